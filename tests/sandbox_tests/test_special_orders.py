"""Pegged and iceberg orders. No recording has one: the rules are those of Vega's source at v0.77.6.

Pegged orders: `repricePeggedOrders`, `getNewPeggedPrice` and `parkAllPeggedOrders` of core/execution/future/market.go. Iceberg orders:
`icebergRefresh` of core/matching/orderbook.go and `uncross` of core/matching/side.go, `NewIcebergOrder` of core/types/matching.go.
"""

from typing import Any

import pytest

from tests.sandbox.chain.records import Order
from tests.support.chain_network import Network


@pytest.fixture
def network() -> Network:
    """Bids of b at 98 and 97, offers at 102 and 103; the tick size is 0.0005."""
    network = Network()
    for side, price in (("BUY", 980_000), ("BUY", 970_000), ("SELL", 1_020_000), ("SELL", 1_030_000)):
        network.place("b", side, 1000, price)
    return network


def place_pegged(network: Network, side: str, reference: str, offset: int, party: str = "a") -> Order:
    peg = {"reference": f"PEGGED_REFERENCE_{reference}", "offset": str(offset)}
    order = network.order(side, 100, 0) | {"peggedOrder": peg}
    del order["price"]
    network.send(party, orderSubmission=order)
    return list(network.chain.orders.values())[-1]


def place_iceberg(network: Network, party: str, side: str, price: int, peak: int = 20, visible: int = 10, **terms: Any) -> Order:
    options = {"peakSize": str(peak), "minimumVisibleSize": str(visible)}
    return network.place(party, side, 100, price, icebergOpts=options, **terms)


@pytest.mark.parametrize(
    ("side", "reference", "offset", "price"),
    [
        ("BUY", "BEST_BID", 10_000, 970_000),
        ("BUY", "MID", 10_000, 990_000),
        ("SELL", "BEST_ASK", 10_000, 1_030_000),
        ("SELL", "MID", 10_000, 1_010_000),
        ("BUY", "BEST_BID", 0, 980_000),
    ],
)
def test_a_pegged_order_rests_at_its_reference_and_offset(network: Network, side: str, reference: str, offset: int, price: int) -> None:
    order = place_pegged(network, side, reference, offset)
    assert (order.status, order.price) == ("STATUS_ACTIVE", price)


def test_a_pegged_order_follows_its_reference(network: Network) -> None:
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    better = network.place("c", "BUY", 10, 990_000)
    assert (order.price, order.status) == (980_000, "STATUS_ACTIVE")
    network.cancel("c", better)
    assert order.price == 970_000


def test_pegged_orders_do_not_follow_each_other(network: Network) -> None:
    order = place_pegged(network, "BUY", "MID", 10_000)
    other = place_pegged(network, "SELL", "MID", 10_000, party="c")
    assert (order.price, other.price) == (990_000, 1_010_000)
    assert network.market.best_bid[0] == 990_000


def test_a_pegged_order_is_parked_while_it_has_no_reference(network: Network) -> None:
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    margin = network.balance("a", "MARGIN", "tUSD", network.market)
    network.cancel("b")
    assert (order.status, order.price) == ("STATUS_PARKED", 0)
    assert margin > network.balance("a", "MARGIN", "tUSD", network.market) == 0
    network.place("b", "BUY", 10, 900_000)
    assert (order.status, order.price) == ("STATUS_ACTIVE", 890_000)


def test_pegged_orders_are_parked_during_an_auction(network: Network) -> None:
    order = place_pegged(network, "SELL", "BEST_ASK", 10_000)
    network.chain.suspend(network.market.id)
    network.chain.block()
    assert order.status == "STATUS_PARKED"
    network.chain.resume(network.market.id)
    network.chain.block()
    assert (order.status, order.price) == ("STATUS_ACTIVE", 1_030_000)


def test_a_parked_order_can_be_cancelled(network: Network) -> None:
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    network.cancel("b")
    network.cancel("a", order)
    assert order.status == "STATUS_CANCELLED"


def test_the_offset_of_a_pegged_order_can_be_amended(network: Network) -> None:
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    network.amend("a", order, peggedOffset="20000")
    assert (order.status, order.price, order.version) == ("STATUS_ACTIVE", 960_000, 2)


def test_an_iceberg_shows_its_peak_and_the_depth_shows_all_of_it(network: Network) -> None:
    """The depth counts `TrueRemaining`: datanode/entities/market_depth.go."""
    order = place_iceberg(network, "a", "SELL", 1_010_000)
    assert (order.remaining, order.total_remaining) == (20, 100)
    assert network.market.depth("SIDE_SELL")[0] == (1_010_000, 100)


def test_an_iceberg_refreshes_when_less_than_its_minimum_is_visible(network: Network) -> None:
    order = place_iceberg(network, "a", "SELL", 1_010_000)
    network.place("c", "BUY", 5, 1_010_000)
    assert (order.remaining, order.total_remaining) == (15, 95)
    network.place("c", "BUY", 6, 1_010_000)
    assert (order.remaining, order.total_remaining) == (20, 89)


def test_a_refreshed_iceberg_goes_to_the_end_of_the_line(network: Network) -> None:
    first = place_iceberg(network, "a", "SELL", 1_010_000)
    second = network.place("b", "SELL", 50, 1_010_000)
    network.place("c", "BUY", 15, 1_010_000)
    network.place("c", "BUY", 10, 1_010_000)
    assert (first.total_remaining, second.remaining) == (85, 40)


def test_one_order_can_take_all_of_an_iceberg(network: Network) -> None:
    iceberg = place_iceberg(network, "a", "SELL", 1_010_000)
    taker = network.place("c", "BUY", 120, 1_010_000)
    assert (iceberg.status, iceberg.total_remaining) == ("STATUS_FILLED", 0)
    assert (taker.status, taker.remaining) == ("STATUS_ACTIVE", 20)


def test_a_party_needs_margin_for_all_of_an_iceberg(network: Network) -> None:
    place_iceberg(network, "a", "BUY", 900_000)
    network.place("c", "BUY", 100, 900_000)
    margins = [network.balance(party, "MARGIN", "tUSD", network.market) for party in "ac"]
    assert margins[0] == margins[1] > 0


def test_the_size_of_an_iceberg_can_be_amended(network: Network) -> None:
    order = place_iceberg(network, "a", "SELL", 1_010_000)
    network.amend("a", order, sizeDelta="-30")
    assert (order.remaining, order.total_remaining) == (20, 70)
    network.amend("a", order, sizeDelta="-60")
    assert (order.remaining, order.total_remaining) == (10, 10)


def test_an_order_whose_reference_moves_loses_its_place_even_if_its_price_stays(network: Network) -> None:
    """`repricePeggedOrders` of core/execution/future takes it out of the book and puts it back."""
    order = place_pegged(network, "BUY", "MID", 20_000)
    other = network.place("c", "BUY", 100, 980_000)
    assert order.price == other.price
    network.place("b", "SELL", 10, 1_019_995)
    network.place("bot", "SELL", 1050, 980_000)
    assert (order.price, order.remaining, other.remaining) == (980_000, 100, 50)


def test_a_smaller_size_keeps_the_place_of_a_pegged_order(network: Network) -> None:
    """`amendOrder` of core/execution/future/market.go: a pegged order with the same price is amended like any other."""
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    other = network.place("c", "BUY", 100, 970_000)
    network.amend("a", order, size="50")
    network.place("bot", "SELL", 2050, 970_000)
    assert (order.status, order.size, other.status) == ("STATUS_FILLED", 50, "STATUS_ACTIVE")


def test_a_parked_order_can_be_amended(network: Network) -> None:
    """`checkOrderForSpam` of core/execution/future/market.go takes the mark price for its value, not its own price, which is 0."""
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    network.chain.suspend(network.market.id)
    network.chain.block()
    network.amend("a", order, size="70", peggedOffset="20000")
    assert (order.status, order.price, order.size, order.version) == ("STATUS_PARKED", 0, 70, 2)
    network.chain.resume(network.market.id)
    network.chain.block()
    assert (order.status, order.price) == ("STATUS_ACTIVE", 960_000)


def test_an_amendment_that_its_party_cannot_pay_for_leaves_an_order_parked(network: Network) -> None:
    """`checkMarginForAmendOrder` of core/execution/future/market.go."""
    order = place_pegged(network, "BUY", "BEST_BID", 990_000)
    assert order.status == "STATUS_PARKED"  # its price would be below zero
    network.amend("a", order, peggedOffset="10000", size=str(10**12))
    assert (order.status, order.size, order.version) == ("STATUS_PARKED", 100, 1)
    network.amend("a", order, peggedOffset="10000")
    assert (order.status, order.price, order.version) == ("STATUS_ACTIVE", 970_000, 2)


def test_a_repriced_order_that_its_party_cannot_pay_for_is_cancelled(network: Network) -> None:
    """`repriceAllSpecialOrders` of core/execution/future: margins follow once all orders are back."""
    order = place_pegged(network, "BUY", "BEST_BID", 10_000)
    network.cancel("b")
    assert order.status == "STATUS_PARKED"
    general = network.chain.accounts[network.chain.parties["a"], "", "ACCOUNT_TYPE_GENERAL", network.market.settlement_asset.id]
    general.balance = 0
    network.place("b", "BUY", 10, 900_000)
    assert order.status == "STATUS_CANCELLED"


def test_a_fill_or_kill_order_counts_what_an_iceberg_shows(network: Network) -> None:
    """`uncross` of core/matching/side.go adds up `Remaining`, not `TrueRemaining`."""
    order = place_iceberg(network, "a", "SELL", 1_010_000)
    killed = network.place("c", "BUY", 21, 1_010_000, tif="FOK")
    filled = network.place("c", "BUY", 20, 1_010_000, tif="FOK")
    assert (killed.status, filled.status, order.total_remaining) == ("STATUS_STOPPED", "STATUS_FILLED", 80)
    both = network.place("c", "BUY", 60, 1_020_000, tif="FOK")  # the next price shows enough, and the hidden size trades first
    assert (both.status, order.total_remaining) == ("STATUS_FILLED", 20)


def test_an_auction_ends_with_visible_sizes_before_hidden_ones(network: Network) -> None:
    """`uncrossBookSide` of core/matching/orderbook.go: icebergs refresh after the last trade."""
    network.cancel("b")
    network.chain.suspend(network.market.id)
    network.chain.block()
    iceberg = place_iceberg(network, "a", "SELL", 1_000_000)
    other = network.place("b", "SELL", 50, 1_000_000)
    for size in (40, 45):
        network.place("c", "BUY", size, 1_000_000)
    network.chain.resume(network.market.id)
    network.chain.block()
    assert (other.remaining, iceberg.remaining, iceberg.total_remaining) == (0, 20, 65)
