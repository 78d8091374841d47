"""The position limit where streams are lost or silent: no quotes without positions and orders, and fills count at once."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bot.store_facts
import bot.sync
import bot.vega_store
from bot.parsing import ParseError
from bot.vega_store import VegaStore
from tests.exercises.interleaving import Race, interleavings
from tests.sandbox import Sandbox
from tests.support.fork import Fork
from tests.support.live_sandbox import turns
from tests.support.processes import BotProcess
from tests.support.scripted_node import BOT, MARKETS, recorded_node
from tests.support.seeded_store import order_node, results, seeded_store
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

QUOTED = r"\| quoted$"
OTHER_PARTY = "c" * 64
LIMIT, SET_OF_QUOTES = 1, 1  # contracts
ALMOST_THE_LIMIT = """
def quotes(market, open_volume, max_abs_position, right=quotes):
    import dataclasses
    return [dataclasses.replace(order, size=0.999 * max_abs_position) for order in right(market, open_volume, max_abs_position)]
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=81) as running:
        yield running


def position_on_chain(sandbox: Sandbox, market_id: str) -> float:
    def volume(box: Sandbox) -> float:
        return int(box.bought[box.parties["bot"], market_id]) / int(10 ** box.chain.markets[market_id].size_decimals)

    return float(sandbox.call(volume))


def test_nothing_is_quoted_before_the_streams_of_positions_and_orders_have_delivered(sandbox: Sandbox) -> None:
    wrong = sandbox.ws_url.rsplit(":", 1)[0] + ":9/api/v2"
    with BotProcess(sandbox, sandbox.markets["future"], WS_URL=wrong) as bot:
        for _ in range(4):
            bot.wait_for("no quote: waiting for the positions stream$", after=len(bot.lines))
        assert bot.stop() == 0
    assert all(turn["outcome"] != "quoted" for turn in turns(bot))


@pytest.mark.parametrize(("product", "stream"), [("future", "positions"), ("spot", "accounts"), ("future", "orders")])
def test_a_lost_stream_stops_the_quotes_at_once_until_its_next_snapshot(sandbox: Sandbox, product: str, stream: str) -> None:
    market_id = sandbox.markets[product]
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for(QUOTED)
        sandbox.fail_handshakes(503)
        sandbox.drop_streams("reset", stream)
        lost = bot.wait_for(f"stream {stream}: connection lost")
        line = bot.wait_for("Latest prices are", after=bot.wait_for(f"no quote: waiting for the {stream} stream$", after=lost - 1))
        sandbox.fail_handshakes()
        bot.wait_for(QUOTED, after=line)
        assert bot.stop() == 0


@pytest.mark.parametrize(("product", "stream"), [("future", "positions"), ("spot", "accounts"), ("future", "orders")])
def test_a_silent_stream_costs_the_limit_at_most_one_set_of_quotes(sandbox: Sandbox, product: str, stream: str) -> None:
    market_id = sandbox.markets[product]
    largest = 0.0
    before = position_on_chain(sandbox, market_id)
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for(QUOTED)
        sandbox.silence_streams(stream)
        for _ in range(12):
            bot.wait_for("Latest prices are", after=len(bot.lines))
            largest = max(largest, abs(position_on_chain(sandbox, market_id) - (before if product == "spot" else 0)))
        bot.stop()
    assert largest <= LIMIT + SET_OF_QUOTES


def test_orders_that_have_not_appeared_are_not_cancelled_because_the_rest_of_the_room_is_below_the_minimum_value(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with Fork(tmp_path, sandbox, sandbox.markets["future"], ALMOST_THE_LIMIT, loop_interval=0.1) as bot:
        bot.wait_for(r"\| no quote: waiting for the last orders$")  # several turns between two blocks
        bot.wait_for(r"\| [12] live orders? \|")
        assert "no quote: order value" not in bot.output
        assert bot.stop() == 0


def test_records_of_another_party_are_left_out() -> None:
    with recorded_node() as node:
        store = VegaStore(node.ws_url, node.rest_url)
        store.load_data(BOT)
        position = {"marketId": MARKETS["perp"], "partyId": OTHER_PARTY, "openVolume": "500000", "averageEntryPrice": "7"}
        update = {"updates": {"positions": [{**position, "unrealisedPnl": "0", "realisedPnl": "0"}]}}
        with pytest.raises(ParseError, match="left out 1 of 1: a record of another party"):
            store._update_position(update)
        assert store.get_position_by_market_id(MARKETS["perp"]) is None


def updates(store: VegaStore, kind: str) -> tuple[Callable[[], None], Callable[[], tuple[float, bool]]]:
    """Return what brings a store its first frame of a kind, and what reads its age in seconds, then whether the records are new."""
    perp, spot, future = MARKETS["perp"], MARKETS["spot"], MARKETS["future"]
    position = {"marketId": perp, "partyId": BOT, "openVolume": "413", "averageEntryPrice": "7", "unrealisedPnl": "0", "realisedPnl": "0"}
    base = next(market.base_asset_id for market in store.get_markets() if market.market_id == spot)
    account = {"owner": BOT, "balance": "9" * 20, "asset": base, "marketId": "", "type": 4}

    def spot_volume() -> float:
        found = store.get_position_by_market_id(spot)
        assert found is not None
        return found.open_volume

    def has_price() -> bool:
        market = store.get_market_by_id(future)
        return market is not None and market.best_bid_price > 0

    if kind == "positions":
        store._position_snapshot.on_connect()
        page = {"snapshot": {"positions": [position], "lastPage": True}}
        return lambda: store._update_position(page), lambda: (
            store.seconds_since_position(perp),
            store.get_position_by_market_id(perp) is not None,
        )
    if kind == "balances":
        store._account_snapshot.on_connect()
        page = {"snapshot": {"accounts": [account], "lastPage": True}}
        return lambda: store._update_accounts(page), lambda: (store.seconds_since_position(spot), spot_volume() != 0)
    if kind == "orders":
        store._order_snapshot.on_connect()
        page = {"snapshot": {"orders": [order_node(id="b" * 64)], "lastPage": True}}
        return lambda: store._update_order(page), lambda: (store.seconds_since_orders(), store.get_order_by_id("b" * 64) is not None)
    (frame, *_) = results("future-market-data")
    return lambda: store._update_market_data(frame), lambda: (store.seconds_since_update(future), has_price())


@pytest.mark.parametrize("pause_write", [True, False])
@pytest.mark.parametrize("kind", ["positions", "balances", "orders", "prices"])
def test_no_interleaving_shows_old_records_with_a_new_age(kind: str, pause_write: bool) -> None:
    files = [bot.vega_store.__file__, bot.store_facts.__file__, bot.sync.__file__]
    with recorded_node() as node:

        def prepare() -> Race[tuple[float, bool]]:
            store = seeded_store(node)
            return Race(*updates(store, kind))

        tried = 0
        for (age, is_new), (final_age, is_finally_new) in interleavings(prepare, pause_write, files):
            is_fresh = age < math.inf if kind == "prices" else age == 0
            assert is_new or not is_fresh, "old records, shown as fresh"
            assert is_finally_new
            assert final_age < math.inf
            tried += 1
        assert tried > 10


def test_two_bots_on_one_key_report_each_others_orders_once(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["perpetual"]
    with BotProcess(sandbox, market_id) as first, BotProcess(sandbox, market_id) as second:
        bots = (first, second)
        wait_until(lambda: any("not sent by this bot" in each.output for each in bots))
        for each in bots:
            each.stop()
        assert all(each.output.count("not sent by this bot") <= 1 for each in bots)
