"""Checks exercise 4: a torn read that really happened, then a store in which none can happen, tried at every bytecode instruction."""

import threading
from types import ModuleType
from typing import Any

from bot.submission import convert_to_decimals
from tests.exercises.checking import call, expect, get_required, report
from tests.exercises.interleaving import Race, double_interleavings, interleavings
from tests.exercises.sandbox_helpers import open_stream
from tests.sandbox import Sandbox

BLOCKS = 20
NEW_STORE = (0.0, 0.0)  # prices() of a new store
LOOP = "one thread updates in an endless loop, the other reads until it gets a pair that is not in the set of valid pairs"
NEW = "a new store returns this pair before its first frame: add it to the valid pairs"
TORN = "update or prices has two steps: do both under one lock, in both methods, or use a single assignment"
REFERENCE = "prices took something under the lock that update changes later, and read it after the lock: copy both values under the lock"

Pair = tuple[float, float]


def check(exercise: ModuleType) -> None:
    frames = market_data()
    check_torn_read(exercise, frames)
    check_one_thread(exercise, frames)
    instructions = check_interleavings(exercise, frames, "update")
    instructions += check_interleavings(exercise, frames, "prices")
    report(f"SafeStore: paused at {instructions} instructions, one by one, and no torn read")
    pairs = check_double_interleavings(exercise, frames)
    report(f"SafeStore: both methods paused, at {pairs} pairs of instructions, and no torn read")


def market_data() -> list[dict[str, Any]]:
    """Return a sandbox's market data of some blocks. No two have the same pair of prices."""
    with Sandbox(block_time=0, seed=4) as sandbox, open_stream(sandbox, "markets/data") as stream:
        sandbox.block(BLOCKS)
        frames = [stream.receive()["marketData"][0] for _ in range(BLOCKS)]
    by_pair = {pair_of(frame): frame for frame in frames if int(frame["bestBidPrice"]) and int(frame["bestOfferPrice"])}
    return list(by_pair.values())


def pair_of(frame: dict[str, Any]) -> Pair:
    return convert_to_decimals(5, int(frame["bestBidPrice"])), convert_to_decimals(5, int(frame["bestOfferPrice"]))


def check_torn_read(exercise: ModuleType, frames: list[dict[str, Any]]) -> None:
    valid = {NEW_STORE, *map(pair_of, frames)}
    torn_reads = record_torn_reads(get_required(exercise, "PageStore"), valid)
    pair = call(exercise, "find_torn_read", frames, returns=tuple)
    expect(
        pair not in valid,
        saw=f"find_torn_read returned {pair}, which is not torn",
        expected="the bid of one block with the offer of another",
        hint=NEW if pair == NEW_STORE else LOOP,
    )
    expect(
        pair in torn_reads,
        saw=f"find_torn_read returned {pair}. This pair is torn, but prices() did not return it while another thread wrote",
        expected="a pair that PageStore.prices() has returned while another thread was writing",
        hint="do not change PageStore; call update() of one store on one thread, and prices() of the same store on another",
    )
    report(f"a torn read: bid {pair[0]} and offer {pair[1]} are in no frame together")


def record_torn_reads(store_class: Any, valid: set[Pair]) -> set[Pair]:
    """Change a class so that it records the torn pairs that it returns to other threads than the writing one."""
    torn_reads: set[Pair] = set()
    update, prices = store_class.update, store_class.prices

    def recording_update(store: Any, frame: dict[str, Any]) -> None:
        store.writer = threading.get_ident()
        update(store, frame)

    def recording_prices(store: Any) -> Pair:
        pair: Pair = prices(store)
        if pair not in valid and getattr(store, "writer", None) not in (None, threading.get_ident()):
            torn_reads.add(pair)
        return pair

    store_class.update, store_class.prices = recording_update, recording_prices
    return torn_reads


def check_one_thread(exercise: ModuleType, frames: list[dict[str, Any]]) -> None:
    store = call(exercise, "SafeStore")
    for frame in frames:
        call(store, "update", frame)
        pair = call(store, "prices", returns=tuple)
        expect(
            pair == pair_of(frame),
            saw=f"SafeStore.prices() returned {pair} after a frame with {pair_of(frame)}",
            expected="the bid and the offer of the newest frame, in human numbers",
            hint="SafeStore must do everything that PageStore does",
        )


def make_race(exercise: ModuleType, frames: list[dict[str, Any]]) -> Race[Pair]:
    """Return a race between the second frame and a reader, on a new store that has the first."""
    store = call(exercise, "SafeStore")
    call(store, "update", frames[0])
    return Race(write=lambda: call(store, "update", frames[1]), read=lambda: call(store, "prices"))


def check_interleavings(exercise: ModuleType, frames: list[dict[str, Any]], paused: str) -> int:
    """Pause one method at each instruction and run the other one meanwhile. Return the number of instructions."""
    old, new = pair_of(frames[0]), pair_of(frames[1])
    instructions = 0
    for pair, final in interleavings(lambda: make_race(exercise, frames), paused == "update", files=[str(exercise.__file__)]):
        expect(
            pair in (old, new) and final == new,
            saw=f"prices() returned {pair} while {paused}() was paused after {instructions} instructions, and {final} at the end",
            expected=f"{old}, the pair before, or {new}, the pair after; at the end the latter",
            hint=TORN,
        )
        instructions += 1
    return instructions


def check_double_interleavings(exercise: ModuleType, frames: list[dict[str, Any]]) -> int:
    """Pause `prices` at each instruction, and `update` meanwhile at each of its own. Return the number of pairs."""
    old, new = pair_of(frames[0]), pair_of(frames[1])
    pairs = 0
    for pair, final in double_interleavings(lambda: make_race(exercise, frames), files=[str(exercise.__file__)]):
        expect(
            pair in (old, new) and final == new,
            saw=f"prices() returned {pair}; it was paused, then update() began and was paused, then prices() ended; {final} at the end",
            expected=f"{old}, the pair before, or {new}, the pair after; at the end the latter",
            hint=REFERENCE,
        )
        pairs += 1
    return pairs
