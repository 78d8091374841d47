"""The position limit where streams are lost or silent: no quotes without positions and orders, and fills count at once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import bot.sync
import bot.vega_store
from bot.parsing import ParseError
from bot.vega_store import VegaStore
from tests.exercises.interleaving import Race, interleavings
from tests.sandbox import Sandbox
from tests.support.live_sandbox import turns
from tests.support.processes import BotProcess
from tests.support.scripted_node import BOT, MARKETS, recorded_node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

QUOTED = r"\| quoted$"
OTHER_PARTY = "c" * 64
LIMIT, SET_OF_QUOTES = 1, 1  # contracts


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


def test_records_of_another_party_are_left_out() -> None:
    with recorded_node() as node:
        store = VegaStore(node.ws_url, node.rest_url)
        store.load_data(BOT)
        position = {"marketId": MARKETS["perp"], "partyId": OTHER_PARTY, "openVolume": "500000", "averageEntryPrice": "7"}
        update = {"updates": {"positions": [{**position, "unrealisedPnl": "0", "realisedPnl": "0"}]}}
        with pytest.raises(ParseError, match="left out 1 of 1: a record of another party"):
            store._update_position(update)
        assert store.get_position_by_market_id(MARKETS["perp"]) is None


@pytest.mark.parametrize("pause_write", [True, False])
def test_no_interleaving_shows_an_old_position_with_a_new_age(pause_write: bool) -> None:
    files = [bot.vega_store.__file__, bot.sync.__file__]
    market_id = MARKETS["perp"]
    node: dict[str, Any] = {"marketId": market_id, "partyId": BOT, "averageEntryPrice": "7", "unrealisedPnl": "0", "realisedPnl": "0"}
    page = {"snapshot": {"positions": [{**node, "openVolume": "413"}], "lastPage": True}}
    with recorded_node() as server:

        def prepare() -> Race[tuple[float, Any]]:
            store = VegaStore(server.ws_url, server.rest_url)
            store.load_data(BOT)
            store._position_snapshot.on_connect()

            def read() -> tuple[float, Any]:
                age = store.seconds_since_position(market_id)  # first, as the loop reads it
                return age, store.get_position_by_market_id(market_id)

            return Race(lambda: store._update_position(json.loads(json.dumps(page))), read)

        tried = 0
        for (age, position), (final_age, final_position) in interleavings(prepare, pause_write, files):
            assert age > 0 or position is not None, "the seeded position, shown as fresh"
            assert final_age == 0
            assert final_position.open_volume == 0.413
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
