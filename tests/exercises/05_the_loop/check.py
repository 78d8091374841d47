"""Checks exercise 5: the learner's stopwatch, then the facts from the store, then both ways measured with a distant node."""

import time
from types import ModuleType
from typing import Any

from bot.models import Market
from bot.vega_store import VegaStore
from tests.exercises.checking import call, expect, get_required, report
from tests.exercises.sandbox_helpers import FilledStore, get_market, order_json, run_with_store, send_transaction
from tests.sandbox import Sandbox
from tests.support.waiting import wait_until

DELAY = 0.1  # s that each REST answer is delayed
POLLS, READS = 5, 1000  # calls to measure
NAP_DURATION = 0.01  # s; of the first nap
NAPS = 5
GETTERS = "get_market_by_id has the prices; get_position_by_market_id the position, or None; get_orders the orders on all markets"
STORE_ONLY = "read_facts must not call poll or client: everything that it needs is in the store"


class Check:
    """The learner's functions, called for one market of a sandbox."""

    def __init__(self, exercise: ModuleType, sandbox: Sandbox) -> None:
        self.exercise, self.sandbox = exercise, sandbox
        self.market: Market = get_market(sandbox)

    def poll(self) -> Any:
        return call(self.exercise, "poll", self.sandbox.node_url, self.market.market_id, self.sandbox.parties["bot"], self.market)

    def compare(self, store: VegaStore) -> None:
        """Compare the facts from the store with those from REST."""
        facts = call(self.exercise, "read_facts", store, self.market.market_id, returns=get_required(self.exercise, "Facts"))
        expected = self.poll()
        expect(facts == expected, saw=f"read_facts returned {facts}", expected=f"{expected}, as poll returns", hint=GETTERS)

    def check_untraded_market(self, store: VegaStore) -> None:
        """Read the facts of a market on which the bot has an order and has never traded."""
        market_id = self.sandbox.markets["perpetual"]
        hint = f"{GETTERS}. None, where the party has never traded, means 0"
        kind = get_required(self.exercise, "Facts")
        facts = call(self.exercise, "read_facts", store, market_id, returns=kind, errors=(AttributeError,), hint=hint)
        expect(
            (facts.open_volume, facts.open_orders) == (0, 1),
            saw=f"read_facts returned {facts} for a market on which the bot has one open order and has never traded",
            expected="open_volume 0 and open_orders 1",
            hint=GETTERS,
        )

    def check_no_requests(self, store: VegaStore) -> None:
        """Delay all REST answers: a function that asks the node cannot be faster than one answer."""
        self.sandbox.delay_rest(DELAY)
        durations = []
        for _ in range(3):  # the fastest counts: any call may be slow on a busy machine
            start = time.perf_counter()
            call(self.exercise, "read_facts", store, self.market.market_id)
            durations.append(time.perf_counter() - start)
        self.sandbox.delay_rest(0)
        expect(
            min(durations) < DELAY,
            saw=f"read_facts took {min(durations):.3f} s while every REST answer takes {DELAY} s",
            expected="a time that does not depend on REST",
            hint=STORE_ONLY,
        )


def check(exercise: ModuleType) -> None:
    check_stopwatch(exercise)
    with Sandbox(block_time=0, traders=False, seed=5) as sandbox:
        trade(sandbox)
        checks = Check(exercise, sandbox)
        check_filled_store(checks)
        run_with_store(sandbox, lambda store: check_streamed_store(checks, store))


def check_stopwatch(exercise: ModuleType) -> None:
    starts: list[float] = []
    ends: list[float] = []

    def nap() -> None:
        starts.append(time.perf_counter())
        time.sleep(NAP_DURATION * (1 + len(ends)) ** 2)  # the average is neither the median nor one of them
        ends.append(time.perf_counter())

    before = time.perf_counter()
    seconds = call(exercise, "seconds_per_turn", nap, NAPS, returns=float)
    after = time.perf_counter()
    expect(
        len(starts) == NAPS,
        saw=f"seconds_per_turn(read, {NAPS}) called read {len(starts)} times",
        expected=f"{NAPS} times",
        hint="for _ in range(turns): read()",
    )
    least, most = sum(end - start for start, end in zip(starts, ends, strict=True)) / NAPS, (after - before) / NAPS
    expect(
        least <= seconds <= most * 1.001,
        saw=f"for a read that took {least:.3f} s on average, seconds_per_turn returned {seconds!r}",
        expected=f"{least:.3f} or a little more",
        hint="time.perf_counter() before the loop and after it; the difference, divided by turns",
    )


def trade(sandbox: Sandbox) -> None:
    """Give the market two prices and the bot a short position of half a contract, an open order, and another one on another market."""
    future, perpetual = sandbox.markets["future"], sandbox.markets["perpetual"]
    send_transaction(sandbox, "a", orderSubmission=order_json(future, "BUY", 500, 9_999_000))
    send_transaction(sandbox, "a", orderSubmission=order_json(future, "SELL", 900, 10_003_000))
    send_transaction(sandbox, "bot", orderSubmission=order_json(future, "SELL", 500))
    send_transaction(sandbox, "bot", orderSubmission=order_json(future, "BUY", 700, 9_998_000))
    send_transaction(sandbox, "bot", orderSubmission=order_json(perpetual, "BUY", 1, 180_000))
    sandbox.block()


def change_price(sandbox: Sandbox, price: int) -> None:
    send_transaction(sandbox, "a", orderSubmission=order_json(sandbox.markets["future"], "SELL", 100, price))
    sandbox.block()


def check_filled_store(checks: Check) -> None:
    """Check the facts from a store without streams, before and after a change of the price."""
    store = FilledStore(checks.sandbox.node_url)
    store.fill(checks.sandbox)
    checks.check_untraded_market(store)
    checks.compare(store)
    checks.check_no_requests(store)
    change_price(checks.sandbox, 10_002_500)
    store.fill(checks.sandbox)
    checks.compare(store)


def check_streamed_store(checks: Check, store: VegaStore) -> None:
    """Check the facts from a store that the streams update, then measure both functions."""
    change_price(checks.sandbox, 10_001_000)
    expected = checks.poll()

    def is_up_to_date() -> bool:
        checks.sandbox.block()  # each block sends market data; an earlier one may have come before the stream was connected
        market = store.get_market_by_id(checks.market.market_id)
        return market is not None and market.best_offer_price == expected.best_offer_price

    wait_until(is_up_to_date, message="the store does not have the newest block")
    checks.compare(store)
    report(f"both functions return {expected}")
    checks.sandbox.delay_rest(DELAY)
    polling = call(checks.exercise, "seconds_per_turn", checks.poll, POLLS, returns=float)
    market_id = checks.market.market_id
    reading = call(checks.exercise, "seconds_per_turn", lambda: checks.exercise.read_facts(store, market_id), READS, returns=float)
    checks.sandbox.delay_rest(0)
    report(f"REST: {polling:.3f} s per turn, {1 / polling:.1f} turns per second (three requests of {DELAY} s)")
    report(f"store: {reading * 1e6:.1f} microseconds per turn")
    expect(
        polling >= 3 * DELAY,
        saw=f"{polling:.3f} s for a turn of three requests that take {DELAY} s each",
        expected=f"at least {3 * DELAY:.1f} s",
        hint="did you change poll, or does seconds_per_turn divide by the wrong number?",
    )
    expect(reading < DELAY, saw=f"read_facts took {reading:.3f} s per turn", expected="much less than one request", hint=STORE_ONLY)
    report(f"the store is {polling / reading:,.0f} times as fast, and the distance to the node does not matter")
