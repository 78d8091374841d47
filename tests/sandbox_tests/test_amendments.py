"""The chain: amendments, and orders on suspended and settled markets."""

from typing import Any

import pytest

from tests.sandbox.chain.records import BUY, SELL, Order
from tests.support.chain_network import MONEY, SECOND, Network, outcome


@pytest.fixture
def network() -> Network:
    return Network()


def queue_of_two(network: Network) -> tuple[Order, Order]:
    """Return two bids at one price; b's is behind a's, and a's is filled by 2 of 6."""
    orders = network.place("a", "BUY", 6, 999_000), network.place("b", "BUY", 8, 999_000)
    network.place("c", "SELL", 2, 999_000)
    return orders


@pytest.mark.parametrize(
    ("changes", "size", "remaining", "keeps_its_place"),
    [
        ({"sizeDelta": "-1"}, 5, 3, True),
        ({"size": "5"}, 5, 3, True),
        ({"timeInForce": "TIME_IN_FORCE_GTT", "expiresAt": "1800000000000000000"}, 6, 4, True),
        ({"price": "999000"}, 6, 4, True),
        ({"sizeDelta": "3"}, 9, 7, False),
        ({"price": "998000"}, 6, 4, False),
    ],
)
def test_an_amended_order_keeps_its_priority_unless_its_price_changes_or_its_size_grows(
    network: Network, changes: dict[str, str], size: int, remaining: int, keeps_its_place: bool
) -> None:
    order, behind = queue_of_two(network)
    network.amend("a", order, **changes)
    assert (order.size, order.remaining, order.version, order.updated_at) == (size, remaining, 2, network.chain.time)
    network.place("c", "SELL", 1, 998_000)
    assert (order.remaining < remaining, behind.remaining < 8) == (keeps_its_place, not keeps_its_place)


def test_an_order_amended_to_no_remaining_size_is_cancelled_with_its_old_size_and_version(network: Network) -> None:
    order, _ = queue_of_two(network)
    network.amend("a", order, sizeDelta="-4")
    assert (outcome(order), order.size, order.version) == (("CANCELLED", None, 4), 6, 1)


def test_an_order_amended_to_a_crossing_price_trades(network: Network) -> None:
    network.place("b", "SELL", 4, 1_000_000)
    order = network.amend("a", network.place("a", "BUY", 6, 999_000), price="1000500")
    assert (outcome(order), order.price, order.version) == (("ACTIVE", None, 2), 1_000_500, 2)


def test_an_order_amended_to_cross_an_order_of_its_own_party_is_stopped(network: Network) -> None:
    network.place("a", "SELL", 4, 1_000_000)
    order = network.amend("a", network.place("a", "BUY", 6, 999_000), price="1000000")
    assert (outcome(order), order.version) == (("STOPPED", "SELF_TRADING", 6), 2)


def test_an_expiry_can_be_set_moved_and_removed(network: Network) -> None:
    order = network.place("a", "BUY", 6, 999_000)
    soon = network.chain.time + 4 * SECOND
    network.amend("a", order, timeInForce="TIME_IN_FORCE_GTT", expiresAt=str(soon))
    network.amend("a", order, expiresAt=str(soon + 2 * SECOND))
    network.chain.block()
    network.chain.block()
    assert (order.status, order.version) == ("STATUS_ACTIVE", 3)
    network.amend("a", order, timeInForce="TIME_IN_FORCE_GTC")
    for _ in range(5):
        network.chain.block()
    assert (order.status, order.expires_at) == ("STATUS_ACTIVE", 0)


def test_an_order_amended_to_an_expiry_in_the_past_expires(network: Network) -> None:
    order = network.place("a", "BUY", 6, 999_000)
    network.chain.block()
    network.amend("a", order, timeInForce="TIME_IN_FORCE_GTT", expiresAt=str(order.created_at + 1))
    assert (outcome(order), order.version) == (("EXPIRED", None, 6), 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"timeInForce": "TIME_IN_FORCE_IOC"},
        {"timeInForce": "TIME_IN_FORCE_FOK"},
        {"timeInForce": "TIME_IN_FORCE_GFN"},
        {"timeInForce": "TIME_IN_FORCE_GTT"},
        {"timeInForce": "TIME_IN_FORCE_GTT", "expiresAt": "5"},
        {"timeInForce": "TIME_IN_FORCE_GTC", "expiresAt": "1800000000000000000"},
        {"timeInForce": "TIME_IN_FORCE_GTC", "expiresAt": "0"},
        {"expiresAt": "5"},
        {"price": "999001"},
        {"price": "0"},
        {"price": "1000000"},  # a post-only order that would trade
        {"size": "5", "sizeDelta": "-1"},
        {"sizeDelta": "1000000000000"},  # exceeds the party's balance
        {"peggedOffset": "5"},
        {},
    ],
)
def test_a_failed_amendment_does_not_change_the_order(network: Network, changes: dict[str, str]) -> None:
    network.place("b", "SELL", 4, 1_000_000)
    order = network.place("a", "BUY", 6, 999_000, postOnly=True)
    network.amend("a", order, **changes)
    assert (outcome(order), order.price, order.size, order.version, order.updated_at) == (("ACTIVE", None, 6), 999_000, 6, 1, 0)
    assert network.market.best_bid == (999_000, 6)


def short_of_margin(network: Network) -> Order:
    """Return an offer that reduces a's long position, after the price fell so far that a's balance no longer covers the margin."""
    network.place("b", "SELL", 120_000_000, 1_000_000)
    network.place("a", "BUY", 120_000_000, 1_000_000)
    network.place("b", "SELL", 1, 970_000)
    network.place("c", "BUY", 1, 970_000)
    network.chain.block()
    assert network.market.current_mark_price == 970_000
    order = network.place("a", "SELL", 600, 1_000_000)
    assert order.status == "STATUS_ACTIVE"
    return order


@pytest.mark.parametrize("changes", [{"sizeDelta": "-1"}, {"sizeDelta": "1"}, {"price": "1000500"}])
def test_an_amended_order_needs_margin_even_if_it_reduces_the_position(network: Network, changes: dict[str, str]) -> None:
    order = short_of_margin(network)
    network.amend("a", order, **changes)
    assert (outcome(order), order.price, order.version) == (("ACTIVE", None, 600), 1_000_000, 1)


def test_an_amendment_that_changes_nothing_needs_no_margin(network: Network) -> None:
    order = short_of_margin(network)
    network.amend("a", order, price="1000000")
    assert (outcome(order), order.price, order.version) == (("ACTIVE", None, 600), 1_000_000, 2)


@pytest.mark.parametrize(
    "changes", [{"price": str(2**256 + 4)}, {"price": "5" * 5000}, {"sizeDelta": str(2**63 - 6)}, {"size": str(2**63)}]
)
def test_an_amendment_beyond_the_networks_integer_ranges_does_not_change_the_order(network: Network, changes: dict[str, str]) -> None:
    order = network.place("a", "BUY", 6, 999_000)
    network.amend("a", order, **changes)
    assert (outcome(order), order.price, order.size, order.version) == (("ACTIVE", None, 6), 999_000, 6, 1)


def test_in_a_suspended_market_orders_rest_and_best_prices_move_but_nothing_trades(network: Network) -> None:
    network.chain.suspend(network.market.id)
    network.place("a", "SELL", 4, 1_000_000)
    network.place("b", "BUY", 6, 1_000_500, postOnly=True)
    assert (network.market.state, network.market.trading_mode) == (
        "STATE_SUSPENDED_VIA_GOVERNANCE",
        "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE",
    )
    assert (network.market.trigger, network.market.auction_start) == ("AUCTION_TRIGGER_GOVERNANCE_SUSPENSION", network.chain.time - SECOND)
    assert (network.market.best_bid, network.market.best_offer) == ((1_000_500, 6), (1_000_000, 4))
    assert network.market.indicative == (1_000_250, 4)


@pytest.mark.parametrize(
    ("tif", "expected"),
    [
        ("IOC", ("REJECTED", "CANNOT_SEND_IOC_ORDER_DURING_AUCTION", 6)),
        ("FOK", ("REJECTED", "CANNOT_SEND_FOK_ORDER_DURING_AUCTION", 6)),
        ("GFN", ("REJECTED", "CANNOT_SEND_GFN_ORDER_DURING_AN_AUCTION", 6)),
        ("GFA", ("ACTIVE", None, 6)),
    ],
)
def test_an_auction_rejects_orders_that_cannot_rest(network: Network, tif: str, expected: Any) -> None:
    network.chain.suspend(network.market.id)
    assert outcome(network.place("a", "BUY", 6, 999_000, tif=tif)) == expected


def test_after_resuming_crossed_orders_trade_at_one_price_and_auction_orders_are_cancelled(network: Network) -> None:
    normal = network.place("c", "BUY", 3, 990_000, tif="GFN")
    network.chain.suspend(network.market.id)
    sells = [network.place("a", "SELL", size, price) for size, price in ((4, 1_000_000), (5, 1_000_200))]
    buys = [network.place("b", "BUY", size, price) for size, price in ((6, 1_000_500), (7, 999_500))]
    waiting = network.place("b", "BUY", 2, 995_000, tif="GFA")
    network.chain.resume(network.market.id)
    block = network.chain.block()
    assert [(trade.price, trade.size) for trade in block.trades] == [(1_000_350, 4), (1_000_350, 2)]
    assert [order.remaining for order in sells + buys] == [0, 3, 0, 7]
    assert (normal.status, waiting.status) == ("STATUS_CANCELLED", "STATUS_CANCELLED")
    assert (network.market.state, network.market.trigger, network.market.auction_start) == (
        "STATE_ACTIVE",
        "AUCTION_TRIGGER_UNSPECIFIED",
        0,
    )
    assert network.place("a", "SELL", 1, 1_001_000).batch_id == 2


@pytest.mark.parametrize("state", ["STATE_SETTLED", "STATE_CLOSED", "STATE_CANCELLED", "STATE_TRADING_TERMINATED", "STATE_PROPOSED"])
def test_a_market_that_is_not_open_rejects_orders(network: Network, state: str) -> None:
    network.chain.set_state(network.market.id, state, "TRADING_MODE_NO_TRADING")
    order = network.place("a", "BUY", 6, 999_000)
    assert (outcome(order), order.version) == (("REJECTED", "MARKET_CLOSED", 6), 0)


def test_settling_a_market_stops_its_orders_closes_positions_and_releases_margin(network: Network) -> None:
    network.place("a", "SELL", 400, 1_000_000)
    network.place("b", "BUY", 300, 1_000_000)
    network.place("c", "BUY", 1, 1_001_000)
    network.chain.set_state(network.market.id, "STATE_SETTLED", "TRADING_MODE_NO_TRADING")
    block = network.chain.block()
    assert [(order.status, order.remaining) for order in block.orders] == [("STATUS_STOPPED", 99)]
    assert [network.open_volume(party) for party in "abc"] == [0, 0, 0]
    assert network.market.open_interest == 0
    assert sum(network.balance(party, "GENERAL", "tUSD") for party in "abc") == 3 * MONEY * 10**9
    assert network.balance("a", "MARGIN", "tUSD", network.market) == 0


def test_a_pending_market_is_in_its_opening_auction(network: Network) -> None:
    network.chain.set_state(network.market.id, "STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")
    assert network.place("a", "BUY", 6, 999_000).status == "STATUS_ACTIVE"
    assert network.market.trigger == "AUCTION_TRIGGER_OPENING"


def test_a_side_of_the_book_stays_empty_until_refill_side(network: Network) -> None:
    orders = [network.place("a", "BUY", 6, 999_000), network.place("b", "BUY", 8, 998_000), network.place("b", "SELL", 3, 1_000_000)]
    network.chain.emptied_sides.add((network.market.id, BUY))
    block = network.send("a", orderSubmission=network.order("BUY", 7, 999_000))
    assert [order.status for order in orders] == ["STATUS_CANCELLED", "STATUS_CANCELLED", "STATUS_ACTIVE"]
    assert [(order.size, order.status) for order in block.orders[2:]] == [(7, "STATUS_CANCELLED")]
    assert (network.market.depth(BUY), network.market.depth(SELL)) == ([], [(1_000_000, 3)])
    assert network.balance("a", "MARGIN", "tUSD", network.market) == 0
    network.chain.emptied_sides.clear()
    assert network.place("a", "BUY", 7, 999_000).status == "STATUS_ACTIVE"


def test_an_order_on_an_emptied_side_can_trade_in_its_own_block(network: Network) -> None:
    network.chain.emptied_sides.add((network.market.id, BUY))
    network.place("b", "SELL", 3, 1_000_000)
    assert outcome(network.place("a", "BUY", 4, 1_000_000)) == ("CANCELLED", None, 1)
