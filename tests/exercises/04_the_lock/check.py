"""Checks exercise 4: a torn read that really happened, then a store in which none can, tried at each bytecode instruction."""

import threading
from typing import Any

from bot.submission import convert_to_decimals
from tests.exercises.checking import call, expect, say, wanted
from tests.exercises.interleaving import Race, switched
from tests.exercises.sandbox_helpers import stream_of
from tests.sandbox import Sandbox

BLOCKS = 20
BEFORE_ANY = (0.0, 0.0)  # what a new store says
ENDLESS = "one thread updates in an endless loop, the other reads until the pair is none of those that belong together"
NEW = "that is what a new store says before its first frame, and whole: it belongs to the pairs that you do not look for"
TORN = "the writing has two steps, or the reading has: either both happen under one lock, in both methods, or one assignment does it all"

Pair = tuple[float, float]


def check(exercise: Any) -> None:
    frames = market_data()
    check_torn_read(exercise, frames)
    check_plain_use(exercise, frames)
    places = check_switches(exercise, frames, "update")
    places += check_switches(exercise, frames, "prices")
    say(f"SafeStore: {places} places to switch threads, tried one by one, and no torn read")


def market_data() -> list[dict[str, Any]]:
    """Return a sandbox's market data of some blocks, no two pairs of prices alike."""
    with Sandbox(block_time=0, seed=4) as sandbox, stream_of(sandbox, "markets/data") as stream:
        sandbox.block(BLOCKS)
        frames = [stream.next()["marketData"][0] for _ in range(BLOCKS)]
    by_pair = {pair_of(frame): frame for frame in frames if int(frame["bestBidPrice"]) and int(frame["bestOfferPrice"])}
    return list(by_pair.values())


def pair_of(frame: dict[str, Any]) -> Pair:
    return convert_to_decimals(5, int(frame["bestBidPrice"])), convert_to_decimals(5, int(frame["bestOfferPrice"]))


def check_torn_read(exercise: Any, frames: list[dict[str, Any]]) -> None:
    whole = {BEFORE_ANY, *map(pair_of, frames)}
    caught = watch(wanted(exercise, "PageStore"), whole)
    pair = call(exercise, "find_torn_read", frames, gives=tuple)
    expect(
        pair not in whole,
        saw=f"find_torn_read returned {pair}, which belongs together",
        expected="a bid of one block beside an offer of another",
        hint=NEW if pair == BEFORE_ANY else ENDLESS,
    )
    expect(
        pair in caught,
        saw=f"find_torn_read returned {pair}, which is torn, but did not come out of prices() while another thread wrote",
        expected="a pair that PageStore.prices() has handed out while another thread was writing",
        hint="leave PageStore as it is; call update() of one store in one thread, and prices() of the same store in another",
    )
    say(f"a torn read, caught: bid {pair[0]} and offer {pair[1]} stand in no frame together")


def watch(store_class: Any, whole: set[Pair]) -> set[Pair]:
    """Note the torn pairs that stores of a class hand out to another thread than the one that writes them."""
    caught: set[Pair] = set()
    update, prices = store_class.update, store_class.prices

    def noting_update(store: Any, frame: dict[str, Any]) -> None:
        store.writer = threading.get_ident()
        update(store, frame)

    def noting_prices(store: Any) -> Pair:
        pair: Pair = prices(store)
        if pair not in whole and getattr(store, "writer", None) not in (None, threading.get_ident()):
            caught.add(pair)
        return pair

    store_class.update, store_class.prices = noting_update, noting_prices
    return caught


def check_plain_use(exercise: Any, frames: list[dict[str, Any]]) -> None:
    store = call(exercise, "SafeStore")
    for frame in frames:
        call(store, "update", frame)
        pair = call(store, "prices", gives=tuple)
        expect(
            pair == pair_of(frame),
            saw=f"SafeStore.prices() returned {pair} after a frame with {pair_of(frame)}",
            expected="the bid and the offer of the newest frame, in human numbers",
            hint="SafeStore must do all that PageStore does",
        )


def check_switches(exercise: Any, frames: list[dict[str, Any]], stopped: str) -> int:
    """Stop one method at each instruction and run the other one there; return how many places there were."""
    old, new = pair_of(frames[0]), pair_of(frames[1])

    def prepare() -> Race:
        store = call(exercise, "SafeStore")
        call(store, "update", frames[0])
        return Race(write=lambda: call(store, "update", frames[1]), read=lambda: call(store, "prices"))

    places = 0
    for pair, at_end in switched(prepare, stopped == "update"):
        expect(
            pair in (old, new) and at_end == new,
            saw=f"prices() gave {pair} where {stopped}() was stopped after {places} instructions, and {at_end} at the end",
            expected=f"{old}, the pair before, or {new}, the one after; at the end the latter",
            hint=TORN,
        )
        places += 1
    return places
