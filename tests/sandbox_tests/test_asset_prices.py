"""Markets whose prices have more decimals than their asset. What is cut off of a price does not count.

No recording has such a market. `SubmitOrderWithIDGeneratorAndOrderID` of core/execution/future/market.go at v0.77.6 multiplies a price by
`priceFactor` and drops the rest (`num.UintFromDecimal`); core/execution/spot/market.go does the same.
"""

from typing import Any

import pytest

from tests.support.chain_network import Network, outcome

DIGITS = 3  # by which the prices have more decimals than the asset
MARKET: dict[str, Any] = {
    "name": "Future",
    "product": "future",
    "price_decimals": 5,
    "size_decimals": 0,
    "tick_size": 1,
    "settlement_asset": "tUSD",
    "first_price": "100",
    "fees": {"maker": "0", "infrastructure": "0", "liquidity": "0"},
}
ONE = 10**5  # a price of 1


@pytest.fixture
def network() -> Network:
    return Network({"assets": {"tUSD": 2}, "markets": [MARKET]})


def test_prices_that_differ_in_what_is_cut_off_trade_with_each_other(network: Network) -> None:
    offer = network.place("a", "SELL", 1, 100 * ONE + 999)
    order = network.place("b", "BUY", 1, 100 * ONE + 1)
    assert (offer.status, order.status) == ("STATUS_FILLED", "STATUS_FILLED")


def test_orders_keep_the_price_that_was_sent(network: Network) -> None:
    assert network.place("a", "BUY", 1, 100 * ONE + 123).price == 100 * ONE + 123


def test_they_share_a_price_level_in_order_of_time(network: Network) -> None:
    first = network.place("a", "BUY", 1, 99 * ONE + 1)
    second = network.place("c", "BUY", 1, 99 * ONE + 900)
    network.place("b", "SELL", 1, 98 * ONE)
    assert (first.status, second.status) == ("STATUS_FILLED", "STATUS_ACTIVE")
    assert network.market.depth("SIDE_BUY") == [(99 * ONE, 1)]


def test_money_moves_by_the_price_that_is_left(network: Network) -> None:
    network.place("a", "SELL", 10, 100 * ONE + 999)
    network.place("b", "BUY", 10, 100 * ONE + 999)
    network.place("a", "SELL", 10, 101 * ONE + 999)
    network.place("b", "BUY", 10, 101 * ONE + 999)
    before = sum(network.balance("b", kind, "tUSD", market) for kind, market in (("GENERAL", None), ("MARGIN", network.market)))
    while network.market.mark_price != 101 * ONE:
        network.chain.block()
    after = sum(network.balance("b", kind, "tUSD", market) for kind, market in (("GENERAL", None), ("MARGIN", network.market)))
    assert after - before == 10 * 100  # ten contracts gain 1.00


def test_an_order_is_worth_nothing_if_nothing_is_left_of_its_price(network: Network) -> None:
    network.send("a", batchMarketInstructions={"submissions": [network.order("BUY", 10**6, 10**DIGITS - 1)]})
    assert not network.chain.orders  # below the minimum order value, so the network ignores the transaction


def test_an_order_cannot_be_amended_to_such_a_price(network: Network) -> None:
    order = network.place("a", "BUY", 1, 10**DIGITS)
    network.amend("a", order, price=str(10**DIGITS - 1))
    assert outcome(order) == ("ACTIVE", None, 1)
    assert order.price == 10**DIGITS


def test_spot_pays_what_is_left_of_the_price() -> None:
    spot = {key: value for key, value in MARKET.items() if key != "settlement_asset"}
    spot |= {"name": "Spot", "product": "spot", "quote_asset": "tUSD", "base_asset": "tBTC"}
    network = Network({"assets": {"tUSD": 2, "tBTC": 0}, "markets": [spot]})
    before = network.balance("b", "GENERAL", "tUSD")
    network.place("a", "SELL", 3, 50 * ONE + 999)
    network.place("b", "BUY", 3, 50 * ONE + 999)
    assert before - network.balance("b", "GENERAL", "tUSD") == 3 * 5000
