"""bot/market_data.py: trades and market depth against the recordings of a real network, and against the sandbox."""

import dataclasses
import json
from typing import Any

import pytest

import bot.market_data as market_data
from bot.market_data import Depth, PriceLevel, TradesAndDepth, best_prices_without, parse_depth, parse_trade
from bot.models import Asset, Market, Order, parse_market
from bot.parsing import ParseError
from tests.sandbox import Sandbox
from tests.support.processes import StoreProcess
from tests.support.scripted_node import RECORDINGS
from tests.support.settings import sandbox_settings
from tests.support.waiting import wait_until

SECOND_NETWORK = RECORDINGS / "second_network"
ASSET_DECIMALS = 18
DEPTH_AND_TRADES = """
import functools
from bot.vega_store import VegaStore
VegaStore.start = functools.partialmethod(VegaStore.start, depth=True, trades=True)
"""


def rest(name: str) -> Any:
    return json.loads((SECOND_NETWORK / f"rest-{name}.json").read_text())["body"]


def frames(name: str) -> list[dict[str, Any]]:
    return [json.loads(line)["result"] for line in (SECOND_NETWORK / f"ws-{name}.jsonl").read_text().splitlines()]


def market_of(product: str) -> Market:
    market: Market = parse_market(rest(f"trades-{product}-market")["market"])
    return market


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the books that were asked for over REST; the answers are left to the test."""
    ids: list[str] = []

    class Loop:
        def run_in_thread(self, function: Any, on_done: Any) -> None:
            function()

    monkeypatch.setattr(market_data, "REQUEST_INTERVAL", 0.0)
    monkeypatch.setattr("bot.transport.event_loop.EventLoop.get", Loop)
    monkeypatch.setattr("bot.more_api_calls.get_market_depth", lambda url, market_id, deadline: ids.append(market_id))
    monkeypatch.setattr("bot.more_api_calls.get_newest_trades", lambda url, market_id, deadline: ids.append(market_id))
    return ids


def feed(product: str) -> TradesAndDepth:
    asset = Asset("", "STATUS_ENABLED", "", "", ASSET_DECIMALS)
    return TradesAndDepth("", known_market=lambda _: market_of(product), known_asset=lambda _: asset)


def book(depth: Depth) -> tuple[Any, Any, int]:
    return depth.buy, depth.sell, depth.sequence_number


def order(side: str, price: float, remaining: float, market_id: str = "m") -> Order:
    return Order("o", market_id, remaining, remaining, price, "TYPE_LIMIT", "TIME_IN_FORCE_GTC", "STATUS_ACTIVE", "p", side)


###########################################################
#                         Recordings                      #
###########################################################


@pytest.mark.parametrize("product", ["future", "spot"])
def test_the_book_after_the_recorded_updates_is_the_recorded_book(product: str, requested: list[str]) -> None:
    market = market_of(product)
    whole = {int(node["sequenceNumber"]): node for result in frames(f"{product}-depth") for node in result["marketDepth"]}
    received = feed(product)
    received.hooks_of_depth(market.market_id).on_open()
    received.depth_seed.on_answer(1, rest(f"{product}-depth"))
    compared = 0
    for result in frames(f"{product}-depth-updates"):
        received.update_depth(result)
        depth = received.get_depth(market.market_id)
        assert depth is not None
        if depth.sequence_number in whole:
            expected = parse_depth(whole[depth.sequence_number], market.position_decimal_places, market.decimal_places)
            assert book(depth) == book(expected)
            compared += 1
    assert compared > 10
    assert requested == [market.market_id]


@pytest.mark.parametrize("product", ["future", "spot"])
def test_a_missing_update_begins_anew(product: str, requested: list[str]) -> None:
    market = market_of(product)
    received = feed(product)
    received.hooks_of_depth(market.market_id).on_open()
    received.depth_seed.on_answer(1, rest(f"{product}-depth"))
    first, _, third, *later = frames(f"{product}-depth-updates")
    received.update_depth(first)
    received.update_depth(third)
    assert received.get_depth(market.market_id) is None
    assert requested == [market.market_id] * 2
    received.update_depth(later[0])  # comes before the answer
    whole = {node["sequenceNumber"]: node for result in frames(f"{product}-depth") for node in result["marketDepth"]}
    received.depth_seed.on_answer(1, whole[third["update"][0]["sequenceNumber"]])
    depth = received.get_depth(market.market_id)
    assert depth is not None
    assert depth.sequence_number == int(later[0]["update"][0]["sequenceNumber"])
    assert requested == [market.market_id] * 2


def test_an_answer_that_is_older_than_the_updates_is_not_used(requested: list[str]) -> None:
    market = market_of("future")
    received = feed("future")
    received.hooks_of_depth(market.market_id).on_open()
    for result in frames("future-depth-updates")[1:3]:
        received.update_depth(result)
    received.depth_seed.on_answer(1, rest("future-depth"))  # from before the first update
    assert received.get_depth(market.market_id) is None
    assert len(requested) == 2


def test_an_answer_to_a_connection_that_was_lost_is_not_used(requested: list[str]) -> None:
    market = market_of("future")
    received = feed("future")
    hooks = received.hooks_of_depth(market.market_id)
    hooks.on_open()
    hooks.on_open()
    received.depth_seed.on_answer(1, rest("future-depth"))
    assert received.get_depth(market.market_id) is None
    received.depth_seed.on_answer(2, rest("future-depth"))
    assert received.get_depth(market.market_id) is not None
    hooks.on_disconnect(0.0)
    assert received.get_depth(market.market_id) is None
    received.depth_seed.on_answer(2, rest("future-depth"))  # of the connection that is lost now
    assert received.get_depth(market.market_id) is None


def test_without_an_answer_it_asks_again_after_a_second_and_not_for_a_connection_that_was_lost(
    requested: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[tuple[float, Any]] = []
    monkeypatch.setattr(market_data, "REQUEST_INTERVAL", 60.0)
    monkeypatch.setattr("rel.timeout", lambda delay, function, *args: timers.append((delay, lambda: function(*args))))
    market = market_of("future")
    received = feed("future")
    hooks = received.hooks_of_depth(market.market_id)
    hooks.on_open()
    received.depth_seed.on_answer(1, None)
    received.update_depth(frames("future-depth-updates")[0])
    assert (len(requested), len(timers)) == (1, 1)
    assert 0 < timers[0][0] <= 60
    timers[0][1]()
    assert len(requested) == 2
    received.depth_seed.on_answer(1, {"marketId": 1})  # cannot be read
    hooks.on_disconnect(0.0)
    timers[1][1]()
    assert len(requested) == 2


@pytest.mark.parametrize("product", ["future", "spot"])
def test_trades_of_rest_and_stream_are_merged_in_their_order(product: str, requested: list[str]) -> None:
    market = market_of(product)
    received = feed(product)
    hooks = received.hooks_of_trades(market.market_id)
    hooks.on_open()
    assert requested == [market.market_id]
    seed = [edge["node"] for edge in rest(f"{product}-trades")["trades"]["edges"]]  # newest first
    streamed = [trade for result in frames(f"{product}-trades") for trade in result["trades"]]
    received.update_trades({"trades": streamed[:1]})
    received.trades_seed.on_answer(1, seed)
    for trade in streamed:
        received.update_trades({"trades": [trade]})
    trades = received.get_trades()
    assert {trade.trade_id for trade in trades} == {node["id"] for node in (*seed, *streamed)}
    assert len({trade.trade_id for trade in trades}) == len(trades)
    assert [trade.timestamp for trade in trades] == sorted(trade.timestamp for trade in trades)
    hooks.on_disconnect(0.0)
    received.trades_seed.on_answer(1, [])
    assert received.get_trades() == trades


def test_the_newest_trades_are_kept(requested: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_data, "MAX_TRADES", 3)
    received = feed("future")
    node = frames("future-trades")[0]["trades"][0]
    received.update_trades({"trades": [{**node, "id": str(number)} for number in range(5)]})
    assert [trade.trade_id for trade in received.get_trades()] == ["2", "3", "4"]
    received.hooks_of_trades(market_of("future").market_id).on_open()
    received.trades_seed.on_answer(1, [{**node, "id": "5", "timestamp": "1895641085000000000"}, {"id": "unreadable"}, node])
    assert [trade.trade_id for trade in received.get_trades()] == ["3", "4", "5"]


@pytest.mark.parametrize("product", ["future", "spot"])
def test_trades_are_the_same_over_rest_and_stream(product: str) -> None:
    market = market_of(product)
    decimals = (market.position_decimal_places, market.decimal_places, ASSET_DECIMALS)
    received = feed(product)
    for result in frames(f"{product}-trades"):
        received.update_trades(result)
    trades = {trade.trade_id: trade for trade in received.get_trades()}
    assert len(trades) == sum(len(result["trades"]) for result in frames(f"{product}-trades"))
    for edge in rest(f"{product}-trades")["trades"]["edges"]:
        trade = parse_trade(edge["node"], *decimals)
        assert trades.get(trade.trade_id, trade) == trade
        assert trade.aggressor in ("SIDE_BUY", "SIDE_SELL")


def test_the_fee_of_a_trade_is_the_sum_of_its_parts() -> None:
    trade = parse_trade(frames("future-trades")[0]["trades"][0], 2, 3, ASSET_DECIMALS)
    assert (trade.price, trade.size, trade.aggressor) == (99.852, 3.68, "SIDE_SELL")
    assert trade.buyer_fee == 0
    assert trade.seller_fee == pytest.approx(0.073491072 + 2 * 0.18372768)


@pytest.mark.parametrize("change", [{"price": None}, {"size": "a"}, {"buyerFee": {"makerFee": "1.5"}}, {"aggressor": []}])
def test_a_trade_that_cannot_be_read_is_left_out(change: dict[str, Any]) -> None:
    good = frames("future-trades")[0]["trades"][0]
    received = feed("future")
    with pytest.raises(ParseError, match="left out 1 of 2"):
        received.update_trades({"trades": [{**good, **change}, good]})
    assert len(received.get_trades()) == 1


###########################################################
#              Best prices without own orders             #
###########################################################

DEPTH = Depth(
    "m",
    buy=(PriceLevel(9.9, 1.0, 1), PriceLevel(9.8, 2.0, 2)),
    sell=(PriceLevel(10.1, 0.3, 2), PriceLevel(10.2, 1.0, 1)),
    sequence_number=1,
)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([], (9.9, 10.1)),
        ([order("SIDE_BUY", 9.9, 1.0)], (9.8, 10.1)),
        ([order("SIDE_BUY", 9.9, 0.5)], (9.9, 10.1)),
        ([order("SIDE_SELL", 10.1, 0.1), order("SIDE_SELL", 10.1, 0.2)], (9.9, 10.2)),  # 0.1 + 0.2 is a little above 0.3
        ([order("SIDE_BUY", 9.9, 1.0), order("SIDE_BUY", 9.8, 2.0)], (0.0, 10.1)),
        ([order("SIDE_BUY", 9.9, 1.0, market_id="another")], (9.9, 10.1)),
        ([order("SIDE_SELL", 9.9, 1.0)], (9.9, 10.1)),
    ],
)
def test_best_prices_do_not_count_own_orders(orders: list[Order], expected: tuple[float, float]) -> None:
    assert best_prices_without(DEPTH, orders) == expected


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEPTH.sequence_number = 2  # type: ignore[misc]


###########################################################
#                       The sandbox                       #
###########################################################


@pytest.mark.usefixtures("healthy")
def test_the_store_follows_trades_and_depth_of_a_running_node(sandbox: Sandbox, future: str) -> None:
    party = sandbox_settings(sandbox, future)["PARTY_ID"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, future, party, setup=DEPTH_AND_TRADES) as store:
        store.wait_for("READY")
        store.wait_until(lambda: len(store.ask("get_trades")) >= 3)
        assert {trade["market_id"] for trade in store.ask("get_trades")} == {future}

        def is_equal() -> bool:
            """Return whether the store has the book that the chain has, at a moment when no block comes in between."""
            depth = store.ask("get_depth", future)
            chain = sandbox.call(lambda box: box.node.depths.latest(future))
            if depth is None or str(depth["sequence_number"]) != chain["sequenceNumber"]:
                return False
            places = sandbox.call(lambda box: (box.chain.markets[future].price_decimals, box.chain.markets[future].size_decimals))
            expected = parse_depth(chain, places[1], places[0])
            assert [[level["price"], level["volume"], level["orders"]] for level in depth["buy"]] == [
                [level.price, level.volume, level.orders] for level in expected.buy
            ]
            assert len(depth["sell"]) == len(expected.sell)
            return True

        for _ in range(3):
            store.wait_until(is_equal)
        depth, prices = store.ask("get_depth", future), store.ask("get_best_prices_without_us", future)
        assert depth["buy"]
        assert prices[0] < prices[1]


@pytest.mark.usefixtures("healthy")
def test_a_lost_stream_of_depth_forgets_the_book_and_the_next_connection_begins_anew(sandbox: Sandbox, future: str) -> None:
    party = sandbox_settings(sandbox, future)["PARTY_ID"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, future, party, setup=DEPTH_AND_TRADES, reconnect=2) as store:
        store.wait_until(lambda: store.ask("get_depth", future))
        sandbox.call(lambda box: box.node.disconnect("reset", "markets/depth/updates"))
        store.wait_for("stream markets/depth/updates: connection lost")
        assert store.ask("get_depth", future) is None
        store.wait_for("stream markets/depth/updates: reconnected")
        store.wait_until(lambda: store.ask("get_depth", future))


@pytest.mark.usefixtures("healthy")
def test_trades_during_an_outage_of_the_stream_come_over_rest(sandbox: Sandbox, future: str) -> None:
    party = sandbox_settings(sandbox, future)["PARTY_ID"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, future, party, setup=DEPTH_AND_TRADES, reconnect=2) as store:
        store.wait_until(lambda: store.ask("get_trades"))
        sandbox.fail_handshakes(404)
        sandbox.drop_streams("reset", "trades")
        store.wait_for("stream trades: connection lost")
        end = sandbox.call(lambda box: box.chain.height) + 10
        wait_until(lambda: sandbox.call(lambda box: box.chain.height) >= end)
        sandbox.fail_handshakes(None)
        store.wait_for("stream trades: reconnected")

        def has_all() -> bool:
            trades = sandbox.call(lambda box: [trade.id for _, trade in box.node.trades.newest_first([future], [], [])])[::-1]
            stored = [trade["trade_id"] for trade in store.ask("get_trades")]
            start = trades.index(stored[0])
            return len(stored) > 5 and trades[start:][: len(stored)] == stored and len(trades) - start - len(stored) < 3

        store.wait_until(has_all)


@pytest.mark.usefixtures("healthy")
def test_without_being_asked_the_store_opens_four_streams(sandbox: Sandbox, future: str) -> None:
    party = sandbox_settings(sandbox, future)["PARTY_ID"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, future, party) as store:
        store.wait_for("READY")
        store.wait_until(lambda: store.ask("get_block_count", future) >= 2)
        assert (store.ask("get_trades"), store.ask("get_depth", future), store.ask("get_best_prices_without_us", future)) == (
            [],
            None,
            None,
        )
