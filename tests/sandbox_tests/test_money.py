"""Positions, profit and loss, margin and holding accounts."""

from fractions import Fraction
from math import ceil
from typing import Any

import pytest

from tests.sandbox.chain.records import Position, Trade
from tests.sandbox.node.serializers import position_node
from tests.support.chain_network import CONFIG, MONEY, SECOND, Network, outcome


@pytest.fixture
def network() -> Network:
    return Network()


def test_entry_price_and_pnl_of_a_position_that_grows_shrinks_and_changes_sides(network: Network) -> None:
    """Sizes are hundredths, prices ten-thousandths and money 10^-9: one padded price times one padded size is 10^3 padded money."""
    key = (network.chain.parties["b"], network.market.id)
    seen: list[tuple[Any, ...]] = []
    for side, size, price in (("BUY", 1, 1_000_000), ("BUY", 2, 1_000_100), ("SELL", 1, 1_000_400), ("SELL", 5, 1_000_700)):
        network.place("a", "SELL" if side == "BUY" else "BUY", size, price)
        network.place("b", side, size, price)
        position = network.chain.positions[key]
        seen.append((position.open_volume, position.average_entry_price, position.realised_pnl))
    third = Fraction(10**30 // 3, 10**30)  # kept to 30 decimals
    entry = 1_000_066 + 2 * third
    assert seen[0] == (1, 1_000_000, 0)
    assert seen[1][0] == 3
    assert abs(seen[1][1] - entry) < Fraction(1, 10**29)
    assert seen[2][:2] == (2, seen[1][1])
    assert seen[3][:2] == (-3, 1_000_700)
    assert [round(pnl) for _, _, pnl in seen[2:]] == [
        round((1_000_400 - entry) * 1000),
        round((1_000_400 + 2 * 1_000_700 - 3 * entry) * 1000),
    ]


def test_positions_are_marked_to_market_every_five_seconds(network: Network) -> None:
    network.place("a", "SELL", 100, 1_000_000)
    network.place("b", "BUY", 100, 1_000_000)
    network.place("c", "SELL", 3, 1_002_000)
    network.place("b", "BUY", 3, 1_002_000)
    assert (network.chain.height, network.market.next_mark_to_market) == (4, network.chain.time + SECOND)
    before = {party: worth(network, party) for party in "abc"}
    block = network.chain.block()
    assert {party: worth(network, party) - before[party] for party in "abc"} == {"a": -2_000 * 100 * 1000, "b": 2_000 * 100 * 1000, "c": 0}
    assert {position.party_id for position in block.positions} == {network.chain.parties[party] for party in "abc"}
    assert network.market.mark_price == 1_000_000, "market data are sent before the block marks to market"
    network.chain.block()
    assert network.market.mark_price == 1_002_000


def worth(network: Network, party: str) -> int:
    return network.balance(party, "GENERAL", "tUSD") + network.balance(party, "MARGIN", "tUSD", network.market)


def test_margin_moves_from_the_general_account_and_returns_after_the_last_order(network: Network) -> None:
    network.place("a", "BUY", 600, 999_000)
    margin = network.balance("a", "MARGIN", "tUSD", network.market)
    assert margin == ceil(Fraction("0.051531420845347675") * 600 * 1_000_000 * 1000) * 3 // 2
    assert network.balance("a", "GENERAL", "tUSD") == MONEY * 10**9 - margin
    network.cancel("a")
    assert (network.balance("a", "MARGIN", "tUSD", network.market), network.balance("a", "GENERAL", "tUSD")) == (0, MONEY * 10**9)


def test_a_loss_beyond_the_balance_is_paid_as_far_as_possible_and_the_winner_gets_that_amount(network: Network) -> None:
    network.place("a", "SELL", 120_000_000, 1_000_000)
    network.place("b", "BUY", 120_000_000, 1_000_000)
    network.place("c", "SELL", 1, 1_200_000)
    network.place("b", "BUY", 1, 1_200_000)
    network.chain.block()
    assert worth(network, "a") == 0
    assert worth(network, "b") == 2 * MONEY * 10**9


def cross_in_an_auction(network: Network, bid: int, offer: int) -> Trade:
    """Let a sell 20 to b at the end of an auction, and return the trade."""
    network.chain.suspend(network.market.id)
    network.place("a", "SELL", 20, offer)
    network.place("b", "BUY", 20, bid)
    network.chain.resume(network.market.id)
    (trade,) = network.chain.block().trades
    return trade


def test_an_auction_may_end_between_two_padded_prices_and_payments_use_the_exact_price(network: Network) -> None:
    trade = cross_in_an_auction(network, bid=1_000_005, offer=1_000_000)
    assert (trade.price, trade.exact_price) == (1_000_002, Fraction("1000002.5"))
    network.chain.block()
    assert (network.market.last_traded_price, network.market.mark_price) == (1_000_002, 1_000_002)
    position = network.chain.positions[network.chain.parties["b"], network.market.id]
    assert position.average_entry_price == 1_000_002
    assert position.unrealised_pnl == 0
    before = worth(network, "b")
    network.place("c", "BUY", 20, 1_000_010)
    network.place("b", "SELL", 20, 1_000_010)
    for _ in range(5):
        network.chain.block()
    assert (position.open_volume, worth(network, "b") - before) == (0, 20 * 7_500)
    assert position.realised_pnl == 20 * 7_500


def test_an_auction_price_on_spot_is_exact_up_to_the_quote_assets_decimals() -> None:
    for decimals, price in ((12, Fraction("20002.5")), (3, Fraction(20_002))):
        spot = CONFIG["markets"][1] | {"tick_size": 5}
        network = Network(CONFIG | {"assets": CONFIG["assets"] | {"tEUR": decimals}, "markets": [spot]})
        assert cross_in_an_auction(network, bid=20_005, offer=20_000).exact_price == price
        assert network.balance("a", "GENERAL", "tEUR") - MONEY * 10**decimals == 2 * price * 10 ** (decimals - 3)
        assert network.balance("b", "HOLDING", "tEUR") == 0


def test_a_spot_trade_swaps_base_for_quote_and_a_resting_order_is_covered_by_the_holding_account(network: Network) -> None:
    """Sizes are tenths, prices thousandths, quote 10^-12 and base 10^-8."""
    network.trade_on("Spot").place("a", "BUY", 30, 20_000)
    assert (network.balance("a", "HOLDING", "tEUR"), network.balance("a", "GENERAL", "tEUR")) == (60 * 10**12, (MONEY - 60) * 10**12)
    network.place("b", "SELL", 10, 19_990)
    assert network.balance("a", "HOLDING", "tEUR") == 40 * 10**12
    assert (network.balance("a", "GENERAL", "tBTC"), network.balance("b", "GENERAL", "tBTC")) == ((MONEY + 1) * 10**8, (MONEY - 1) * 10**8)
    assert network.balance("b", "GENERAL", "tEUR") == (MONEY + 20) * 10**12
    network.cancel("a")
    assert (network.balance("a", "HOLDING", "tEUR"), network.balance("a", "GENERAL", "tEUR")) == (0, (MONEY - 20) * 10**12)
    assert network.chain.positions == {}


@pytest.mark.parametrize(("side", "maximum"), [("SELL", MONEY * 10), ("BUY", MONEY // 2)])
def test_a_spot_order_beyond_its_partys_balance_has_no_effect(network: Network, side: str, maximum: int) -> None:
    """Sellers need the base asset, buyers the quote asset. The recorded INSUFFICIENT_ASSET_BALANCE is for parties without an account."""
    for size, orders in ((maximum + 1, 0), (maximum, 1)):
        network.trade_on("Spot").send("a", orderSubmission=network.order(side, size, 20_000))
        assert len(network.chain.orders) == orders
    assert network.market.best_bid[1] + network.market.best_offer[1] == maximum


def test_a_spot_market_order_needs_the_balance_for_its_cost(network: Network) -> None:
    network.trade_on("Spot").place("a", "SELL", MONEY * 10, 20_000)
    order = network.place("b", "BUY", MONEY * 6 // 10)
    assert (outcome(order), order.updated_at) == (("REJECTED", "INTERNAL_ERROR", MONEY * 6 // 10), network.chain.time)
    assert outcome(network.place("b", "BUY", MONEY * 4 // 10)) == ("FILLED", None, 0)


def test_an_amended_spot_order_needs_balance_and_its_holding_follows_the_new_price(network: Network) -> None:
    order = network.trade_on("Spot").place("a", "BUY", MONEY // 2, 20_000)
    network.amend("a", order, price="20010")
    assert (order.price, order.version) == (20_000, 1)
    network.amend("a", order, price="10000")
    assert (network.balance("a", "HOLDING", "tEUR"), order.version) == (MONEY // 2 * 10**12, 2)


def test_a_liquidity_commitment_moves_to_the_bond_account_of_its_market(network: Network) -> None:
    network.send("a", liquidityProvisionSubmission={"marketId": network.market.id, "commitmentAmount": "2500000000000", "fee": "0.001"})
    assert network.balance("a", "BOND", "tUSD", network.market) == 2_500 * 10**9
    assert network.balance("a", "GENERAL", "tUSD") == (MONEY - 2_500) * 10**9


@pytest.mark.parametrize("amount", ["2500000000000", "+2500000000000"])
def test_a_party_commits_once_on_a_market(network: Network, amount: str) -> None:
    commitment = {"marketId": network.market.id, "commitmentAmount": amount, "fee": "0.001"}
    for _ in range(2):
        network.send("a", liquidityProvisionSubmission=commitment)
        assert network.balance("a", "BOND", "tUSD", network.market) == 2_500 * 10**9


@pytest.mark.parametrize(
    ("fee", "committed"),
    [("0", True), ("0.1", True), ("5e-3", True), ("0.1001", False), ("0.5", False), ("-0.1", False), ("much", False), ("", False)],
)
def test_the_fee_of_a_commitment_is_a_decimal_from_0_to_a_tenth(network: Network, fee: str, committed: bool) -> None:
    network.send("a", liquidityProvisionSubmission={"marketId": network.market.id, "commitmentAmount": "7", "fee": fee})
    assert network.balance("a", "BOND", "tUSD", network.market) == (7 if committed else 0)


@pytest.mark.parametrize(("exact", "shown"), [("0.5", "1"), ("1.5", "2"), ("2.5", "3"), ("-0.5", "-1"), ("-2.5", "-3"), ("2.4999", "2")])
def test_halves_are_rounded_away_from_zero(exact: str, shown: str) -> None:
    number = Fraction(exact)
    node = position_node(Position("M", "P", average_entry_price=abs(number), realised_pnl=number, unrealised_pnl=number))
    assert (node["averageEntryPrice"], node["realisedPnl"], node["unrealisedPnl"]) == (shown.lstrip("-"), shown, shown)


def test_a_block_lists_the_accounts_it_changed(network: Network) -> None:
    block = network.send("a", orderSubmission=network.order("BUY", 600, 999_000))
    assert {(account.type, account.market_id) for account in block.accounts} == {
        ("ACCOUNT_TYPE_GENERAL", ""),
        ("ACCOUNT_TYPE_MARGIN", network.market.id),
    }
    assert network.chain.block().accounts == []
