"""A change of a market's tick size and price decimals by governance."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import BUY


@pytest.fixture(params=["future", "spot"])
def product(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=91) as running:
        running.block(3)
        yield running


def terms(sandbox: Sandbox, product: str) -> tuple[int, int]:
    market = requests.get(f"{sandbox.node_url}/market/{sandbox.markets[product]}", timeout=20).json()["market"]
    return int(market["tickSize"]), int(market["decimalPlaces"])


def data(sandbox: Sandbox, product: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{sandbox.node_url}/market/data/{sandbox.markets[product]}/latest", timeout=20).json()
    return dict(found["marketData"])


def send(sandbox: Sandbox, product: str, price: int, side: str = BUY, party: str = "b", **more: Any) -> dict[str, Any]:
    """Send a limit order, make a block, and return the order."""
    size = str(10 ** max(0, sandbox.call(lambda inside: inside.chain.markets[inside.markets[product]].size_decimals)))
    order = {"marketId": sandbox.markets[product], "price": str(price), "size": size, "side": side, "type": "TYPE_LIMIT", **more}
    transaction = {"orderSubmission": {**order, "timeInForce": "TIME_IN_FORCE_GTC"}}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties[party], transaction))
    sandbox.block()
    return orders(sandbox, party)[0]


def orders(sandbox: Sandbox, party: str = "b") -> list[dict[str, Any]]:
    query = {"filter.partyIds": sandbox.parties[party]}
    edges = requests.get(f"{sandbox.node_url}/orders", params=query, timeout=20).json()["orders"]["edges"]
    return [edge["node"] for edge in edges]


def test_a_new_tick_size_holds_for_new_orders_and_the_traders_follow_it(sandbox: Sandbox, product: str) -> None:
    old_tick, decimals = terms(sandbox, product)
    low = int(data(sandbox, product)["bestBidPrice"]) // 2 // 1000 * 1000 + old_tick
    assert send(sandbox, product, low)["status"] == "STATUS_ACTIVE"
    sandbox.update_market(product, tick_size=500)
    assert terms(sandbox, product) == (old_tick, decimals)  # until the next block
    sandbox.block()
    assert terms(sandbox, product) == (500, decimals)
    assert orders(sandbox)[0]["status"] == "STATUS_ACTIVE"  # although its price is between two ticks
    rejected = send(sandbox, product, low)
    assert (rejected["status"], "reason" in rejected) == ("STATUS_REJECTED", False)  # Vega gives no reason for it
    assert send(sandbox, product, low - old_tick)["status"] == "STATUS_ACTIVE"
    for _ in range(5):
        sandbox.block()
        found = data(sandbox, product)
        assert int(found["bestBidPrice"]) % 500 == int(found["bestOfferPrice"]) % 500 == 0
        assert 0 < int(found["bestBidPrice"]) < int(found["bestOfferPrice"])


def test_other_decimals_move_every_padded_price_and_no_money(sandbox: Sandbox, product: str) -> None:
    tick, decimals = terms(sandbox, product)
    before = data(sandbox, product)
    send(sandbox, product, int(before["bestOfferPrice"]) * 2 // tick * tick)  # buys one contract at the offer
    resting = send(sandbox, product, int(before["bestBidPrice"]) // 2 // tick * tick)
    before = data(sandbox, product)
    positions = requests.get(f"{sandbox.node_url}/positions?filter.partyIds={sandbox.parties['b']}", timeout=20).json()
    sandbox.update_market(product, price_decimals=decimals + 2)
    sandbox.block()
    after = data(sandbox, product)

    assert terms(sandbox, product) == (tick, decimals + 2)
    assert next(order for order in orders(sandbox) if order["id"] == resting["id"])["status"] == "STATUS_CANCELLED"
    for name in ("markPrice", "bestBidPrice", "bestOfferPrice"):
        assert int(after[name]) == pytest.approx(100 * int(before[name]), rel=0.02)
    if product == "future":
        (old,) = [edge["node"] for edge in positions["positions"]["edges"]]
        found = requests.get(f"{sandbox.node_url}/positions?filter.partyIds={sandbox.parties['b']}", timeout=20).json()
        (new,) = [edge["node"] for edge in found["positions"]["edges"]]
        assert new["openVolume"] == old["openVolume"]
        assert int(new["averageEntryPrice"]) == pytest.approx(100 * int(old["averageEntryPrice"]), abs=50)  # REST rounds it
    for _ in range(10):
        sandbox.block()
        assert 0 < int(data(sandbox, product)["bestBidPrice"]) < int(data(sandbox, product)["bestOfferPrice"])
    trades = requests.get(f"{sandbox.node_url}/trades?marketIds={sandbox.markets[product]}&pagination.first=3", timeout=20).json()
    for edge in trades["trades"]["edges"]:
        assert int(edge["node"]["price"]) == pytest.approx(int(after["markPrice"]), rel=0.05)


def test_a_pegged_order_whose_offset_is_off_the_new_ticks_is_cancelled(sandbox: Sandbox) -> None:
    """`Market.Update` in core/execution/future/market.go."""
    pegs = {offset: {"peggedOrder": {"reference": "PEGGED_REFERENCE_BEST_BID", "offset": str(offset)}} for offset in (7, 500)}
    for peg in pegs.values():
        order = {"marketId": sandbox.markets["future"], "size": "1000", "side": BUY, "type": "TYPE_LIMIT", **peg}
        transaction = {"orderSubmission": {**order, "timeInForce": "TIME_IN_FORCE_GTC"}}
        sandbox.call(lambda inside, transaction=transaction: inside.chain.submit(inside.parties["b"], transaction))  # type: ignore[misc]
    sandbox.block()
    sandbox.update_market("future", tick_size=500)
    sandbox.block()
    statuses = {order["peggedOrder"]["offset"]: order["status"] for order in orders(sandbox)}
    assert statuses == {"7": "STATUS_CANCELLED", "500": "STATUS_ACTIVE"}


def test_reset_restores_the_terms_of_the_markets_file(sandbox: Sandbox, product: str) -> None:
    first = terms(sandbox, product)
    sandbox.update_market(product, tick_size=100, price_decimals=first[1] + 1)
    sandbox.block()
    overview = requests.get(sandbox.control_url, timeout=20).json()
    assert overview["updated_markets"] == {sandbox.markets[product]: {"tick_size": 100, "price_decimals": first[1] + 1}}
    sandbox.reset()
    sandbox.block()
    assert terms(sandbox, product) == first
    assert requests.get(sandbox.control_url, timeout=20).json()["updated_markets"] == {}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"tick_size": "0"}, "update_market: tick_size must be at least 1, not 0"),
        ({"price_decimals": "19"}, "update_market: price_decimals must be 0 to 18, not 19"),
        ({"tick_size": "1" + "0" * 30}, "update_market: the market's price would be 0 ticks; it must be at least 100"),
    ],
)
def test_terms_without_room_for_quotes_are_rejected(sandbox: Sandbox, changed: dict[str, str], line: str) -> None:
    answer = requests.post(f"{sandbox.control_url}/update_market", params={"market": "future", **changed}, timeout=20)
    assert (answer.status_code, answer.text) == (400, line + "\n")


def test_the_dashboard_reconnects_and_shows_the_new_decimals(sandbox: Sandbox) -> None:
    with requests.get(sandbox.url(path="/page/events"), stream=True, timeout=20) as events:
        lines = events.iter_lines(decode_unicode=True)
        assert "event: snapshot" in [next(lines), next(lines)]
        sandbox.update_market("future", price_decimals=6)
        sandbox.block()
        for _ in lines:  # until the stream ends
            pass
    with requests.get(sandbox.url(path="/page/events"), stream=True, timeout=20) as events:
        snapshot = next(line for line in events.iter_lines(decode_unicode=True) if line.startswith("data:"))
    markets = json.loads(snapshot.removeprefix("data:"))["config"]["markets"]
    assert next(market["priceDecimals"] for market in markets if market["id"] == sandbox.markets["future"]) == 6


def test_the_reference_feed_keeps_its_price() -> None:
    for traders in (True, False):
        with Sandbox(block_time=0, seed=92, traders=traders) as sandbox:
            feed = websocket.create_connection(f"{sandbox.ws_url.removesuffix('/api/v2')}/reference/SOLDAI", timeout=20)
            for change in ({}, {"tick_size": 50}, {"price_decimals": 7}, {"price_decimals": 4, "tick_size": 1}):
                if change:
                    sandbox.update_market("future", **change)
                sandbox.block()
                frame = json.loads(feed.recv())
                assert float(frame["bid_price"]) == pytest.approx(100, rel=0.02)
                assert float(frame["ask_price"]) > float(frame["bid_price"])
            feed.close()
