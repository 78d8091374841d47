"""Stop orders. No recording has one: the rules are those of Vega's source at v0.77.6.

`SubmitStopOrdersWithIDGeneratorAndOrderIDs`, `triggerStopOrders`, `submitStopOrders` and `removeExpiredStopOrders` of
core/execution/future/market.go; `PriceUpdated` of core/execution/stoporders/priced_stop_orders.go and trailing_stop_orders.go.
"""

from typing import Any, Optional

import pytest

from tests.sandbox.chain.records import Order
from tests.support.chain_network import SECOND, Network

POSITION = 300  # of a, long; b holds the opposite


@pytest.fixture
def network() -> Network:
    """The price is 100; there are bids of c at 90 and 80 and offers at 110 and 120."""
    network = Network()
    network.place("b", "SELL", POSITION, 1_000_000)
    network.place("a", "BUY", POSITION, 1_000_000)
    for price in (900_000, 800_000):
        network.place("c", "BUY", 1000, price)
        network.place("c", "SELL", 1000, 2_000_000 - price)
    return network


def stop(network: Network, side: str = "SELL", size: int = 100, **setup: Any) -> dict[str, Any]:
    return {"orderSubmission": network.order(side, size, reduceOnly=True) | setup.pop("order", {}), **setup}


def send(network: Network, party: str = "a", **setups: Any) -> list[Order]:
    """Send stop orders, and return the party's new orders of that block."""
    return of_party(network, party, network.send(party, stopOrdersSubmission=setups).orders)


def of_party(network: Network, party: str, orders: list[Order]) -> list[Order]:
    return [order for order in orders if order.party_id == network.chain.parties[party]]


def trade(network: Network, price: int, watched: str = "a") -> list[Order]:
    """Let two other parties trade at a price between the quotes; return the watched party's orders of these blocks."""
    network.place("b", "SELL", 1, price)
    before = len(network.chain.orders)
    network.send("c", orderSubmission=network.order("BUY", 1, price))
    return of_party(network, watched, list(network.chain.orders.values())[before:])


@pytest.mark.parametrize(
    ("side", "price", "quiet", "loud"), [("fallsBelow", 950_000, 950_005, 950_000), ("risesAbove", 1_050_000, 1_049_995, 1_050_000)]
)
def test_an_order_is_submitted_when_the_price_reaches_the_trigger(network: Network, side: str, price: int, quiet: int, loud: int) -> None:
    setups: dict[str, Any] = {side: stop(network, price=str(price))}
    assert send(network, **setups) == []
    assert trade(network, quiet) == []
    (order,) = trade(network, loud)
    assert (order.status, order.side, order.size) == ("STATUS_FILLED", "SIDE_SELL", 100)
    assert network.open_volume("a") == POSITION - 100
    assert trade(network, loud) == []


def test_a_trigger_that_is_reached_already_submits_at_once(network: Network) -> None:
    (order,) = send(network, fallsBelow=stop(network, price="1000000"))
    assert order.status == "STATUS_FILLED"


def test_one_cancels_the_other(network: Network) -> None:
    send(network, fallsBelow=stop(network, price="950000"), risesAbove=stop(network, price="1050000"))
    assert len(trade(network, 1_050_000)) == 1
    assert trade(network, 940_000) == []


def test_a_trailing_stop_follows_the_price_up_but_not_down(network: Network) -> None:
    send(network, fallsBelow=stop(network, trailingPercentOffset="0.05"))
    assert trade(network, 1_080_000) == []
    assert trade(network, 1_030_000) == []
    assert len(trade(network, 1_026_000)) == 1  # 5 % below 108


def test_a_trailing_stop_follows_the_price_down_but_not_up(network: Network) -> None:
    send(network, risesAbove=stop(network, trailingPercentOffset="0.05"))
    assert trade(network, 920_000) == []
    assert trade(network, 960_000) == []
    assert len(trade(network, 966_000)) == 1  # 5 % above 92


@pytest.mark.parametrize(("strategy", "count"), [("SUBMIT", 1), ("CANCELS", 0)])
def test_an_expired_stop_order_is_submitted_or_gone(network: Network, strategy: str, count: int) -> None:
    expiry: dict[str, Any] = {"expiresAt": str(network.chain.time + 3 * SECOND), "expiryStrategy": f"EXPIRY_STRATEGY_{strategy}"}
    send(network, fallsBelow=stop(network, price="950000", **expiry))
    orders = [order for _ in range(4) for order in of_party(network, "a", network.chain.block().orders)]
    assert len(orders) == count
    assert trade(network, 940_000) == []


@pytest.mark.parametrize(("percentage", "size"), [(None, POSITION), ("0.5", POSITION // 2), ("0.001", None)])
def test_the_size_can_follow_the_position(network: Network, percentage: Optional[str], size: Optional[int]) -> None:
    value: dict[str, Any] = {} if percentage is None else {"sizeOverrideValue": {"percentage": percentage}}
    send(network, fallsBelow=stop(network, size=7, price="950000", sizeOverrideSetting="SIZE_OVERRIDE_SETTING_POSITION", **value))
    assert [order.size for order in trade(network, 940_000)] == ([] if size is None else [size])


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": "BUY"},  # enlarges the position
        {"order": {"reduceOnly": False}},
        {"expiresAt": "1", "expiryStrategy": "EXPIRY_STRATEGY_SUBMIT"},
    ],
)
def test_a_stop_order_that_the_network_rejects_has_no_effect(network: Network, wrong: dict[str, Any]) -> None:
    send(network, fallsBelow=stop(network, **wrong, price="950000"))
    assert trade(network, 940_000) == []


def test_a_party_without_position_cannot_have_stop_orders(network: Network) -> None:
    send(network, "bot", fallsBelow=stop(network, price="950000"))
    assert trade(network, 940_000, watched="bot") == []


def test_a_party_has_at_most_four_stop_orders_on_a_market(network: Network) -> None:
    for _ in range(6):
        send(network, fallsBelow=stop(network, size=10, price="950000"))
    assert len(trade(network, 940_000)) == 4


def test_stop_orders_can_be_cancelled(network: Network) -> None:
    send(network, fallsBelow=stop(network, price="950000"), risesAbove=stop(network, price="1050000"))
    network.send("a", stopOrdersCancellation={"marketId": network.market.id})
    assert trade(network, 940_000) == trade(network, 1_060_000) == []


def test_a_price_that_is_reached_triggers_with_the_next_block_of_an_auction(network: Network) -> None:
    """`checkAuction` of core/execution/future/auction.go triggers stop orders in every block of an auction."""
    network.chain.suspend(network.market.id)
    network.chain.block()
    assert send(network, fallsBelow=stop(network, price="1000000")) == []
    (order,) = of_party(network, "a", network.chain.block().orders)
    assert (order.status, order.reason) == ("STATUS_REJECTED", "ORDER_ERROR_CANNOT_SEND_IOC_ORDER_DURING_AUCTION")
    network.chain.resume(network.market.id)
    assert of_party(network, "a", network.chain.block().orders) == []


def test_an_order_for_the_position_waits_while_the_position_is_turned(network: Network) -> None:
    """`CheckDirection` of core/execution/stoporders/stop_orders.go does not remove it, only its expiry."""
    expiry: dict[str, Any] = {"expiresAt": str(network.chain.time + 12 * SECOND), "expiryStrategy": "EXPIRY_STRATEGY_SUBMIT"}
    send(network, fallsBelow=stop(network, price="950000", sizeOverrideSetting="SIZE_OVERRIDE_SETTING_POSITION", **expiry))
    for side, other in (("SELL", "BUY"), ("BUY", "SELL")):
        network.place("c", other, 2 * POSITION, 1_000_000)
        network.place("a", side, 2 * POSITION, 1_000_000)
    for _ in range(12):
        assert of_party(network, "a", network.chain.block().orders) == []
    assert network.open_volume("a") == POSITION
    assert [order.size for order in trade(network, 940_000)] == [POSITION]


def test_a_stop_order_on_spot_needs_no_position() -> None:
    network = Network().trade_on("Spot")
    network.place("c", "BUY", 100, 19_000)
    send(network, fallsBelow={"orderSubmission": network.order("SELL", 10), "price": "19500"})
    (order,) = trade(network, 19_400)
    assert order.status == "STATUS_FILLED"
