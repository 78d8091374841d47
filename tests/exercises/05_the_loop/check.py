"""Checks exercise 5: the learner's stopwatch, then polling and looking measured side by side on a node that is far away."""

import time
from typing import Any

from bot.vega_store import VegaStore
from tests.exercises.checking import call, expect, say, wanted
from tests.exercises.sandbox_helpers import PATIENCE, market_now, order, send, with_store
from tests.sandbox import Sandbox

DELAY = 0.1  # seconds that each REST call takes
POLLS, LOOKS = 5, 1000
LONGEST_LOOK = 0.01  # seconds; it takes some microseconds
NAP = 0.02  # seconds
GETTERS = "get_market_by_id has the prices, get_position_by_market_id the position, or None; get_orders gives those of all markets"


def check(exercise: Any) -> None:
    check_stopwatch(exercise)
    with Sandbox(block_time=0, traders=False, seed=5) as sandbox:
        trade(sandbox)
        market = market_now(sandbox)
        party_id = sandbox.parties["bot"]

        def poll() -> Any:
            return call(exercise, "poll", sandbox.node_url, market.market_id, party_id, market)

        def measure(store: VegaStore) -> None:
            def look() -> Any:
                return exercise.look(store, market.market_id)  # as it is: 1000 of these are measured

            call(exercise, "look", store, market.market_id, gives=wanted(exercise, "Facts"))
            check_stranger(exercise, store, sandbox.markets["perpetual"])
            check_facts(look, poll)
            send(sandbox, "a", orderSubmission=order(market.market_id, "SELL", 100, 10_001_000))
            sandbox.block()
            check_facts(look, poll)
            sandbox.delay_rest(DELAY)
            compare(*(call(exercise, "seconds_a_turn", read, turns, gives=float) for read, turns in ((poll, POLLS), (look, LOOKS))))
            sandbox.delay_rest(0)

        with_store(sandbox, measure)


def trade(sandbox: Sandbox) -> None:
    """Give the bot a position of half a contract and a live order, also one on another market, and the market two prices."""
    future, perpetual = sandbox.markets["future"], sandbox.markets["perpetual"]
    send(sandbox, "a", orderSubmission=order(future, "SELL", 500, 10_002_000))
    send(sandbox, "a", orderSubmission=order(future, "SELL", 900, 10_003_000))
    send(sandbox, "bot", orderSubmission=order(future, "BUY", 500))
    send(sandbox, "bot", orderSubmission=order(future, "BUY", 700, 9_998_000))
    send(sandbox, "bot", orderSubmission=order(perpetual, "BUY", 1, 180_000))
    sandbox.block()


def check_stopwatch(exercise: Any) -> None:
    calls = []

    def nap() -> None:
        calls.append(1)
        time.sleep(NAP)

    seconds = call(exercise, "seconds_a_turn", nap, 5, gives=float)
    expect(
        len(calls) == 5,
        saw=f"seconds_a_turn(read, 5) called read {len(calls)} times",
        expected="5 times",
        hint="for _ in range(turns): read()",
    )
    expect(
        NAP <= seconds < 4 * NAP,
        saw=f"for a read that takes {NAP} s, seconds_a_turn returned {seconds!r}",
        expected=f"{NAP} or a little more",
        hint="time.perf_counter() before the loop and after it; the difference, divided by turns",
    )


def check_stranger(exercise: Any, store: VegaStore, market_id: str) -> None:
    """Look at a market on which the bot has an order and never traded, so that the store has no position there."""
    facts = call(exercise, "look", store, market_id, errors=(AttributeError,), hint=f"{GETTERS}. None where we never traded: that is 0")
    expect(
        (facts.open_volume, facts.live_orders) == (0, 1),
        saw=f"look returned {facts} for a market on which we never traded, with one order that rests",
        expected="open_volume 0 and live_orders 1",
        hint=GETTERS,
    )


def check_facts(look: Any, poll: Any) -> None:
    """Compare both, once the streams have had the time to bring the newest block."""
    expected, deadline = poll(), time.monotonic() + PATIENCE
    while (looked := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    expect(
        looked == expected,
        saw=f"look returned {looked}",
        expected=f"{expected}, as poll returns",
        hint=GETTERS,
    )
    say(f"both say {expected}")


def compare(polling: float, looking: float) -> None:
    say(f"asking over REST: {polling:.3f} s a turn, {1 / polling:.1f} turns a second (three calls, {DELAY} s each)")
    say(f"looking in the store: {looking * 1e6:.1f} millionths of a second a turn")
    expect(
        polling >= 3 * DELAY,
        saw=f"{polling:.3f} s for a turn of three REST calls that take {DELAY} s each",
        expected=f"{3 * DELAY:.1f} s at least",
        hint="did poll change, or does seconds_a_turn divide by the wrong number?",
    )
    expect(
        looking < LONGEST_LOOK,
        saw=f"looking took {looking:.3f} s a turn",
        expected=f"less than {LONGEST_LOOK} s, with REST as slow as it may be",
        hint="look must not call poll or client: all it needs is in the store",
    )
    say(f"looking is {polling / looking:,.0f} times as fast, and does not care how far away the node is")
