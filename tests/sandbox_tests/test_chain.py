"""The chain as a whole: setup, invariants, and speed."""

import re
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.records import BUY, SELL
from tests.support.chain_network import CONFIG, MONEY, SECOND, Network


@pytest.fixture
def network() -> Network:
    return Network()


def test_chain_time_advances_one_second_per_block(network: Network) -> None:
    start = network.chain.time
    blocks = [network.chain.block() for _ in range(3)]
    assert [(block.height, block.time) for block in blocks] == [(n, start + n * SECOND) for n in (1, 2, 3)]


def test_the_same_seed_gives_the_same_ids_and_another_seed_others() -> None:
    def ids(seed: int) -> list[str]:
        chain = Chain(CONFIG, seed=seed)
        market_id = next(iter(chain.markets))
        order = {"marketId": market_id, "side": 1, "size": 6, "price": "999000", "timeInForce": 1, "type": 1}
        transaction_hash = chain.submit(chain.parties["a"], {"orderSubmission": order})
        chain.block()
        return [*chain.assets, *chain.markets, *chain.parties.values(), *chain.traders.values(), *chain.orders, transaction_hash]

    assert ids(5) == ids(5)
    assert not set(ids(5)) & set(ids(6))
    assert all(re.fullmatch("[0-9a-f]{64}", item.lower()) for item in ids(5))
    assert len(set(ids(5))) == len(ids(5))


def test_every_party_has_ten_million_of_every_asset_and_the_traders_a_thousand_times_as_much(network: Network) -> None:
    chain = network.chain
    for owners, amount in ((chain.parties, MONEY), (chain.traders, MONEY * 1000)):
        for owner in owners.values():
            for asset in chain.assets.values():
                assert chain.accounts[owner, "", "ACCOUNT_TYPE_GENERAL", asset.id].balance == amount * 10**asset.decimals


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"settlement_asset": "tXYZ"}, "market Future: 'tXYZ' is missing or unknown"),
        ({"tick_size": None}, "market Future: 'tick_size' is missing or unknown"),
        ({"product": "option"}, "market Future: unknown product 'option'"),
        ({"tick_size": 0}, "market Future: tick_size must be at least 1, not 0"),
        ({"first_price": "100.00005"}, "market Future: first_price 100.00005 is not a price above zero of at most 4 decimals"),
        ({"first_price": "0"}, "market Future: first_price 0 is not a price above zero of at most 4 decimals"),
        ({"name": "Spot"}, "market Spot: there are two of that name"),
    ],
)
def test_an_invalid_market_is_rejected_with_a_one_line_message(change: dict[str, Any], complaint: str) -> None:
    market = {key: value for key, value in (CONFIG["markets"][0] | change).items() if value is not None}
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
        Chain(CONFIG | {"markets": [market, CONFIG["markets"][1]]})


def test_a_first_price_may_be_off_the_tick_size_but_order_prices_may_not() -> None:
    """The tick size is a rule for order prices. `first_price` 100.0003 is three padded units above a multiple of 5."""
    network = Network(CONFIG | {"markets": [CONFIG["markets"][0] | {"first_price": "100.0003"}]})
    assert (network.market.mark_price, network.market.last_traded_price) == (1_000_003, 1_000_003)
    assert network.place("a", "BUY", 6, 1_000_003).status == "STATUS_REJECTED"
    assert network.place("a", "BUY", 6, 1_000_005).status == "STATUS_ACTIVE"


Actions = st.SearchStrategy[dict[str, Any]]

PARTIES, TIMES_IN_FORCE = st.sampled_from("abc"), st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK", "GFA", "GFN"])
ORDERS: Actions = st.builds(
    dict,
    do=st.just("place"),
    party=PARTIES,
    spot=st.booleans(),
    side=st.sampled_from(["BUY", "SELL"]),
    size=st.integers(1, 60) | st.just(10**10),
    level=st.none() | st.integers(-4, 4),
    tif=TIMES_IN_FORCE,
    post_only=st.booleans(),
)
AMENDMENTS: Actions = st.builds(
    dict, do=st.just("amend"), number=st.integers(0, 40), delta=st.integers(-30, 30), level=st.none() | st.integers(-4, 4)
)
OTHERS: Actions = st.builds(dict, do=st.sampled_from(["cancel", "block", "suspend", "resume"]), party=PARTIES, spot=st.booleans())


def execute(network: Network, action: dict[str, Any]) -> None:
    network.trade_on("Spot" if action.get("spot") else "Future")
    middle = 20_000 if action.get("spot") else 1_000_000
    if action["do"] == "place":
        price = None if action["level"] is None else middle + action["level"] * 10
        terms = {} if price is None else {"tif": action["tif"], "postOnly": action["post_only"] and action["tif"] not in ("IOC", "FOK")}
        network.chain.submit(
            network.chain.parties[action["party"]], {"orderSubmission": network.order(action["side"], action["size"], price, **terms)}
        )
    elif action["do"] == "amend" and network.chain.orders:
        order = list(network.chain.orders.values())[action["number"] % len(network.chain.orders)]
        change = {"sizeDelta": str(action["delta"])} | (
            {} if action["level"] is None else {"price": str(order.price + action["level"] * 10)}
        )
        network.chain.submit(order.party_id, {"orderAmendment": {"orderId": order.id, "marketId": order.market_id, **change}})
    elif action["do"] == "cancel":
        network.chain.submit(network.chain.parties[action["party"]], {"orderCancellation": {"marketId": network.market.id}})
    elif action["do"] in ("suspend", "resume"):
        getattr(network.chain, action["do"])(network.market.id)


def money(network: Network) -> Counter[str]:
    total: Counter[str] = Counter()
    for account in network.chain.accounts.values():
        total[account.asset_id] += account.balance
    return total


def check(network: Network) -> None:
    chain = network.chain
    for market in chain.markets.values():
        live = [order for order in chain.orders.values() if order.status == "STATUS_ACTIVE" and order.market_id == market.id]
        for side in (BUY, SELL):
            assert sum(volume for _, volume in market.depth(side)) == sum(order.remaining for order in live if order.side == side)
        if not market.in_auction and market.best_bid[1] and market.best_offer[1]:
            assert market.best_bid[0] < market.best_offer[0], "crossed"
        volumes = [position.open_volume for position in chain.positions.values() if position.market_id == market.id]
        assert sum(volumes) == 0
        assert market.open_interest == sum(volume for volume in volumes if volume > 0)
    for order in chain.orders.values():
        assert 0 <= order.remaining <= order.size
        assert (order.remaining == 0) == (order.status == "STATUS_FILLED")
    assert all(account.balance >= 0 for account in chain.accounts.values())
    if not any(order.status == "STATUS_ACTIVE" and chain.markets[order.market_id].is_spot for order in chain.orders.values()):
        assert not any(account.balance for account in chain.accounts.values() if account.type == "ACCOUNT_TYPE_HOLDING")


@settings(max_examples=100, deadline=None)
@given(st.lists(ORDERS | AMENDMENTS | OTHERS, min_size=20, max_size=120), st.sampled_from([0, 4, 9]))
def test_money_is_conserved_positions_sum_to_zero_and_no_open_book_is_crossed(actions: list[dict[str, Any]], decimals: int) -> None:
    network = Network(CONFIG | {"assets": dict.fromkeys(CONFIG["assets"], decimals)})  # with few, money has to be rounded
    funds = money(network)
    for number, action in enumerate(actions):
        execute(network, action)
        if action["do"] != "place" or number % 3 == 0:
            network.chain.block()
            check(network)
    for _ in range(6):  # past the next mark to market
        network.chain.block()
        check(network)
    assert money(network) == funds


def test_block_time_does_not_grow_with_the_number_of_dead_orders(network: Network) -> None:
    batch = {
        "cancellations": [{"marketId": network.market.id}],
        "submissions": [network.order("BUY", 2 + n, 900_000 + 5 * n) for n in range(29)],
    }

    def block_time() -> float:
        """Return the processor time of the fastest of twenty blocks, which other processes do not change."""
        took = []
        for _ in range(20):
            for party in ("a", "b"):
                network.chain.submit(network.chain.parties[party], {"batchMarketInstructions": batch})
            start = time.thread_time()
            network.chain.block()
            took.append(time.thread_time() - start)
        return min(took)

    before = block_time()
    for _ in range(600):
        network.send("a", batchMarketInstructions=batch)
    after = block_time()
    assert len(network.chain.orders) > 17_000
    assert after < 3 * before
