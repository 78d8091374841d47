"""Fresh means fresh at the node: nodes that fall behind, chains that pause, machines that sleep, books that cannot be right."""

import dataclasses
import json
import math
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.execution.pre_trade_checks import Ages, check_market
from bot.sync import DataAge, SnapshotAssembler
from bot.transport import clock
from tests.sandbox import Sandbox
from tests.sandbox.node.subscription import Subscription
from tests.support.faulty_wallet import FaultyWallet
from tests.support.fork import STOPPED_CLOCK, Fork
from tests.support.frames import FIRST_FRAMES
from tests.support.markets import make_market
from tests.support.processes import BOT_WITH_FROZEN_RULE, BotProcess, Process, StoreProcess
from tests.support.scripted_node import BOT, MARKETS, recorded_node
from tests.support.seeded_store import results
from tests.support.waiting import wait_until

QUOTED = r"\| quoted$"
SECOND = 10**9  # ns
MAX_LAG = 12.0  # s by which a node falls behind
GOOD = make_market(best_bid_price=99.5, best_offer_price=101.25)
FRESH = Ages(data=0.5)


ONE_TICK_BELOW_A_ROUND_PRICE = """
def quotes(market, open_volume, max_abs_position):
    price = round(market.best_bid_price * 0.9, -2) - market.tick
    buy = {"size": 1, "side": "SIDE_BUY", "type": "TYPE_LIMIT", "time_in_force": "TIME_IN_FORCE_GTC"}
    return [sub.OrderSubmission(market_id=market.market_id, price=price, **buy)]
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(clock, "now", lambda: self.seconds)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=1, seed=91) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.reset()


###########################################################
#                     The age of data                     #
###########################################################


def test_a_node_that_falls_behind_sends_old_data_at_the_usual_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now, age = Clock(monkeypatch), DataAge()
    for block in range(5):
        age.on_block((7000 + block) * SECOND, latency=0)
        assert age.seconds() < 1e-6
        now.seconds += 1
    now.seconds += 20
    age.on_block(7005 * SECOND, latency=0)
    assert age.seconds() == pytest.approx(20, abs=0.5)


def test_no_quote_is_sent_while_a_node_that_answers_pings_is_behind(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    fell_behind_at = math.inf  # time.monotonic()
    sent: list[tuple[float, list[bytes]]] = []  # time.monotonic() and the frames of market data of a block
    send = Subscription.send

    def send_old(subscription: Subscription, frames: Iterable[bytes], snapshot: bool = False) -> None:
        if subscription.stream == "markets/data":
            now = time.monotonic()
            sent.append((now, list(frames)))
            lag = min(MAX_LAG, max(0.0, now - fell_behind_at) / 2)
            frames = next(old for at, old in reversed(sent) if at <= now - lag)
        send(subscription, frames, snapshot)

    monkeypatch.setattr(Subscription, "send", send_old)
    with BotProcess(sandbox, sandbox.markets["future"]) as bot:
        bot.wait_for(QUOTED, after=bot.wait_for(QUOTED))
        fell_behind_at = time.monotonic()
        stale = bot.wait_for(r"data [5-9]\.[0-9] s old \| no quote: data is older than 5 s$")
        sandbox.drop_streams("reset", "markets/data")  # what was learnt of the two clocks survives that
        line = bot.wait_for("stream markets/data: reconnected$", after=stale)
        for _ in range(3):
            line = bot.wait_for(r"data [0-9.]+ s old \| no quote: data is older than 5 s$", after=line)
        assert not any("| quoted" in later for later in bot.lines[stale:])
        fell_behind_at = math.inf
        bot.wait_for(QUOTED, after=line)
        assert bot.stop() == 0
    assert max(float(age) for age in re.findall(r"data ([0-9.]+) s old \| quoted", bot.output)) <= 5


def test_the_baseline_survives_a_reconnect_and_follows_a_slow_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    now, age = Clock(monkeypatch), DataAge()
    timestamp = 7000.0
    for _ in range(2000):
        age.on_block(int(timestamp * SECOND), latency=0)
        now.seconds += 1.005
        timestamp += 1
    age.on_block(int(timestamp * SECOND), latency=0)
    assert age.seconds() < 1


def test_data_without_a_block_time_is_as_old_as_its_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    now, age = Clock(monkeypatch), DataAge()
    age.on_block(0, latency=1.5)
    now.seconds += 2
    assert age.seconds() == pytest.approx(3.5)


def test_no_data_is_infinitely_old() -> None:
    assert DataAge().seconds() == float("inf")


def test_slow_blocks_are_allowed_to_be_older(monkeypatch: pytest.MonkeyPatch) -> None:
    now, age = Clock(monkeypatch), DataAge()
    for block in range(6):
        age.on_block((7000 + 10 * block) * SECOND, latency=0)
        now.seconds += 10
    assert age.block_interval() == 10
    assert check_market(GOOD, dataclasses.replace(FRESH, data=12.0, max_data=15.0)) == ""
    assert check_market(GOOD, dataclasses.replace(FRESH, data=15.5, max_data=15.0)) == "data is older than 15 s"


def test_a_machine_that_slept_quotes_nothing_in_its_first_turn_and_reconnects_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, sandbox.markets["future"], STOPPED_CLOCK, loop_interval=3) as bot:
        bot.wait_for(QUOTED)
        bot.signal(signal.SIGSTOP)  # long before the next turn: no turn is stopped in its middle, with its orders sent
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() - stopped > 8)
        line = len(bot.lines)
        bot.signal(signal.SIGCONT)
        woke = bot.wait_for("Latest prices are", after=line)
        assert re.search("no quote: data is older than 5 s", bot.lines[woke - 1]), bot.output
        bot.wait_for("connection lost .this machine was suspended., reconnecting in 0 s", after=line)
        bot.wait_for(QUOTED, after=woke)
        assert bot.stop() == 0


def test_a_chain_that_pauses_stops_the_quotes_and_costs_no_stream(sandbox: Sandbox) -> None:
    market, party = sandbox.markets["future"], sandbox.parties["bot"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, market, party) as store:
        store.wait_for("READY")
        store.wait_until(lambda: store.ask("seconds_since_update", market) < 2)
        sandbox.pause_chain(8)
        store.wait_until(lambda: store.ask("seconds_since_update", market) > 6.5)
        store.wait_until(lambda: store.ask("seconds_since_update", market) < 2)
        assert "connection lost" not in store.output


def test_market_data_that_is_silent_while_the_chain_goes_on_reconnects_alone(sandbox: Sandbox) -> None:
    market, party = sandbox.markets["future"], sandbox.parties["bot"]
    with StoreProcess(sandbox.ws_url, sandbox.node_url, market, party, reconnect=1) as store:
        store.wait_for("READY")
        store.wait_until(lambda: store.ask("seconds_since_update", market) < 2)
        sandbox.silence_streams("markets/data")
        store.wait_for(r"^stream markets/data: connection lost \(no market data for 5 s\)")
        sandbox.silence_streams("markets/data", on=False)
        store.wait_for("^stream markets/data: reconnected$")
        assert store.output.count("connection lost") == 1


###########################################################
#                Books and terms that are wrong           #
###########################################################


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"best_bid_price": 101.25}, "the book is crossed"),
        ({"best_bid_price": 102.5}, "the book is crossed"),
        ({"best_bid_price": -5.0}, "impossible prices from the node: -5 - 101.25"),
        ({"tick": 1e30}, "impossible tick size from the node: 1e+30 at a price of 99.5"),
        ({"tick": -0.5}, "impossible tick size from the node: -0.5 at a price of 99.5"),
    ],
)
def test_a_book_that_cannot_be_right_is_a_reason_not_to_quote(changes: dict[str, Any], reason: str) -> None:
    assert check_market(GOOD, FRESH) == ""
    assert check_market(dataclasses.replace(GOOD, **changes), FRESH) == reason


def test_wrong_prices_and_a_wrong_tick_size_from_the_node_are_reasons_in_the_turn_line() -> None:
    market_id = MARKETS["future"]
    (frame, *_) = results("future-market-data")
    (data,) = frame["marketData"]
    with recorded_node() as node, FaultyWallet() as wallet:
        node.first_frames = dict(FIRST_FRAMES)
        urls = {"NODE_URL": node.rest_url, "WS_URL": node.ws_url, "WALLET_URL": wallet.url}
        settings = {**urls, "PARTY_ID": BOT, "MARKET_ID": market_id, "WALLET_TOKEN": "t0k3n"}

        def send(number: int, **changes: str) -> None:
            changed = {**data, **changes, "timestamp": str(int(data["timestamp"]) + number * SECOND)}
            node.send("markets/data", json.dumps({"result": {"marketData": [changed]}}))

        with Process([sys.executable, "-c", BOT_WITH_FROZEN_RULE], settings) as bot:
            bot.wait_for("Latest prices are")
            send(1, bestBidPrice=data["bestOfferPrice"])
            bot.wait_for(r"\| no quote: the book is crossed$", after=len(bot.lines))
            send(2, bestBidPrice="-5", bestOfferPrice="-1")
            bot.wait_for(r"\| no quote: impossible prices from the node: ", after=len(bot.lines))
            send(3, bestOfferPrice="0")
            bot.wait_for(r"\| no quote: a side of the book is empty$", after=len(bot.lines))
        _, body = node.rest["markets"]
        (terms,) = (edge["node"] for edge in body["markets"]["edges"] if edge["node"]["id"] == market_id)
        terms["tickSize"] = str(10**30)
        with Process([sys.executable, "-c", BOT_WITH_FROZEN_RULE], settings) as bot:
            bot.wait_for("no quote: impossible tick size from the node: ")
        assert "quotes() failed" not in bot.output


def test_a_new_tick_size_is_used_within_a_minute(tmp_path: Path) -> None:
    with Sandbox(block_time=0.5, seed=92) as sandbox:
        market_id = sandbox.markets["perpetual"]
        with Fork(tmp_path, sandbox, market_id, ONE_TICK_BELOW_A_ROUND_PRICE, loop_interval=1) as bot:
            bot.wait_for(r"\| 1 live order .*quoted$")
            sandbox.call(lambda box: setattr(box.chain.markets[market_id], "tick_size", 50))
            line = bot.wait_for("STATUS_REJECTED")  # a price off the new tick
            bot.wait_for(r"\| 1 live order .*quoted$", timeout=120, after=line)
            bot.wait_for(r"\| 1 live order .*quoted$", after=len(bot.lines))  # not an order from before the change
            assert bot.stop() == 0


###########################################################
#                       Snapshots                         #
###########################################################


def test_a_page_that_comes_again_after_the_last_one_forgets_nothing() -> None:
    snapshot: SnapshotAssembler[str] = SnapshotAssembler()
    snapshot.on_connect()
    assert snapshot.add({"snapshot": {}}, {"1": "one"}) is None
    assert snapshot.add({"snapshot": {"lastPage": True}}, {"2": "two"}) == {"1": "one", "2": "two"}
    assert snapshot.add({"snapshot": {"lastPage": True}}, {"2": "two"}) is None
    assert snapshot.is_complete


def test_a_snapshot_that_never_ends_is_a_reason_to_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    now, snapshot = Clock(monkeypatch), SnapshotAssembler[str]()
    snapshot.on_connect()
    snapshot.add({"snapshot": {}}, {"1": "one"})
    now.seconds += 9
    assert not snapshot.is_overdue()
    now.seconds += 2
    assert snapshot.is_overdue()


def test_the_clock_counts_like_the_monotonic_one_while_the_machine_is_awake() -> None:
    before = clock.slept()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.05)
    assert abs(clock.slept() - before) < 0.5
