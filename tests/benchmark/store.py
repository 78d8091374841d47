"""The cost of an update of the store, and whether reading delays writing: with direct calls, in a process of its own.

There is no network, and the JSON is parsed beforehand, so that only the store's own work is measured.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmark.clients import resident_memory, seeded_store
from tests.support.processes import Process

RECORDED = Path(__file__).parents[1] / "recordings" / "ws-future-bot-orders.jsonl"
UPDATES = 500  # per round, of different orders
READ_INTERVAL = 0.01  # s between two calls of get_orders


def measure_store(sizes: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """Run the measurements in a process of its own; return their figures.

    - `update`: for each number of live orders, the time of one order's update in µs: the median of the rounds. The sizes take turns, so
      that other work of the machine affects all of them.
    - `memory`: for each number of live orders, their memory in MB.
    - `copy`: the time to copy a list of as many orders as the last size, without a lock, in ms.
    - `held`: the time for which get_orders holds the lock of the orders, in ms: the median.
    - `blocked`: the longest update of one order, in ms, while another thread calls get_orders repeatedly.
    - `blocked_by_copy`: the same while that thread copies a list of its own under a lock of its own: the cost of Python's interpreter lock.
    """
    with Process([sys.executable, "-m", "tests.benchmark.store", json.dumps([sizes, rounds, seconds])], {}) as process:
        line = process.lines[process.wait_for("^RESULT ", 180) - 1]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def order_nodes(count: int) -> Iterator[dict[str, Any]]:
    """Yield live orders as the stream sends them: recorded ones with new ids and prices."""
    recorded = json.loads(json.loads(RECORDED.read_text().splitlines()[2])["text"])["result"]["updates"]["orders"][0]
    for number in range(count):
        yield {**recorded, "id": f"{number:064x}", "price": str(10_000_000 + number)}


def store_with_orders(count: int) -> Any:
    store = seeded_store()
    store._order_snapshot.on_connect()
    store._update_order({"snapshot": {"orders": list(order_nodes(count)), "lastPage": True}})
    assert len(store.get_orders()) == count
    return store


def updates_of(count: int) -> list[dict[str, Any]]:
    """Return updates of single orders, spread over all of them."""
    nodes = list(islice(order_nodes(count), 0, None, max(1, count // UPDATES)))
    return [{"updates": {"orders": [node]}} for node in islice(cycle(nodes), UPDATES)]


def update_time(store: Any, updates: list[dict[str, Any]]) -> float:
    """Return the time of one update in µs of CPU; it never waits."""
    began = time.process_time()
    for update in updates:
        store._update_order(update)
    return (time.process_time() - began) / len(updates) * 1e6


def longest_update(store: Any, updates: list[dict[str, Any]], read: Callable[[], Any], seconds: float) -> float:
    """Return the longest update, in ms, while another thread calls `read` every few milliseconds."""
    stop = threading.Event()

    def read_repeatedly() -> None:
        while not stop.wait(READ_INTERVAL):
            read()

    reader = threading.Thread(target=read_repeatedly)
    reader.start()
    longest = 0.0
    end = time.perf_counter() + seconds
    for update in cycle(updates):
        began = time.perf_counter()
        store._update_order(update)
        now = time.perf_counter()
        longest = max(longest, now - began)
        if now > end:
            break
    stop.set()
    reader.join()
    return longest * 1e3


class TimedLock:
    """A lock that notes for how long it is held, in seconds of CPU of the thread that holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held: list[float] = []

    def __enter__(self) -> None:
        self._lock.acquire()
        self._taken = time.thread_time()

    def __exit__(self, *error: object) -> None:
        self.held.append(time.thread_time() - self._taken)
        self._lock.release()


def milliseconds(function: Callable[[], Any]) -> float:
    began = time.thread_time()
    function()
    return (time.thread_time() - began) * 1e3


def main(sizes: list[int], rounds: int, seconds: float) -> None:
    memory, stores, updates = {}, {}, {size: updates_of(size) for size in sizes}
    store_with_orders(1)  # imports everything beforehand
    for size in sizes:
        before = resident_memory()
        stores[size] = store_with_orders(size)
        memory[size] = resident_memory() - before
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            times[size].append(update_time(stores[size], updates[size]))

    store, last = stores[sizes[-1]], updates[sizes[-1]]
    private, private_lock = dict(store._orders), threading.Lock()

    def copy() -> Any:
        with private_lock:
            return list(private.values())

    blocked: list[float] = []
    blocked_by_copy: list[float] = []
    for _ in range(rounds):
        blocked.append(longest_update(store, last, store.get_orders, seconds / rounds / 2))
        blocked_by_copy.append(longest_update(store, last, copy, seconds / rounds / 2))
    store._orders_lock = TimedLock()
    copies = []
    for _ in range(rounds * 5):
        copies.append(milliseconds(copy))
        store.get_orders()
    result = {
        "update": {size: median(times[size]) for size in sizes},
        "memory": memory,
        "copy": median(copies),
        "held": median(store._orders_lock.held) * 1e3,
        "blocked": median(blocked),
        "blocked_by_copy": median(blocked_by_copy),
    }
    print("RESULT", json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
