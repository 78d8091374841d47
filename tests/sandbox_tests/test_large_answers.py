"""Large answers, asked for by many clients at once, keep the sandbox's event loop free for blocks."""

import asyncio
import gc
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.support.chain_network import markets_without_minimum
from tests.support.stream_clients import stream_opener

ORDERS = 5000
CLIENTS = 6
MAX_CPU_TIME = 0.05  # s of the loop's thread from one pass of the loop to the next; one page of 5,000 orders takes 0.1 s


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=51, traders=False, markets=markets_without_minimum()) as running, stream_opener(running) as open_stream:
        open_stream(f"orders?partyIds={running.parties['a']}")  # with a first subscription, orders are kept as they are sent
        order = {"marketId": running.markets["future"], "price": "9000000", "size": "10", "side": "SIDE_BUY"}
        order |= {"type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
        batch = {"batchMarketInstructions": {"submissions": [order] * 25}}
        for _ in range(ORDERS // 25):
            running.call(lambda inside: inside.chain.submit(inside.parties["a"], batch))
        running.block()
        yield running


class LoopWatch:
    """Measures how long the event loop works between two passes, in CPU time of its thread, so that other processes do not count.

    Without garbage collection: a sandbox that runs as a process freezes its objects (`tests/sandbox/launcher.py`).
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._is_running = sandbox, True
        self.longest = 0.0  # s

    async def _watch(self) -> None:
        last = time.thread_time()
        while self._is_running:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now

    def __enter__(self) -> "LoopWatch":
        gc.disable()
        self._task: Any = self._sandbox.call(lambda inside: [asyncio.ensure_future(self._watch())])
        return self

    def __exit__(self, *error: object) -> None:
        self._is_running = False
        gc.enable()


def get_page(sandbox: Sandbox) -> list[Any]:
    answer = requests.get(f"{sandbox.node_url}/orders?filter.liveOnly=true&pagination.first=5000", timeout=60)
    assert answer.status_code == 200
    edges: list[Any] = answer.json()["orders"]["edges"]
    return edges


def test_pages_of_thousands_of_orders_leave_the_event_loop_free(sandbox: Sandbox) -> None:
    with LoopWatch(sandbox) as watch, ThreadPoolExecutor(CLIENTS) as clients:
        pages = list(clients.map(get_page, [sandbox] * CLIENTS))
    assert [len({edge["node"]["id"] for edge in page}) for page in pages] == [ORDERS] * CLIENTS
    assert watch.longest < MAX_CPU_TIME


def test_snapshots_of_thousands_of_orders_leave_the_event_loop_free(sandbox: Sandbox) -> None:
    with stream_opener(sandbox) as open_stream, LoopWatch(sandbox) as watch, ThreadPoolExecutor(CLIENTS) as clients:
        paths = [f"orders?partyIds={sandbox.parties['a']}&partyIds={number:064x}" for number in range(CLIENTS)]
        for client in clients.map(open_stream, paths):
            while '"lastPage":true' not in str(client.recv()):
                pass
    assert watch.longest < MAX_CPU_TIME


def test_a_page_is_of_one_block_although_blocks_come_while_it_is_written(sandbox: Sandbox) -> None:
    newest, *_, oldest = get_page(sandbox)
    with ThreadPoolExecutor(CLIENTS) as clients:
        pages = [clients.submit(get_page, sandbox) for _ in range(CLIENTS)]
        for size in itertools.cycle(("20", "30", "40")):
            changes = [{"orderId": edge["node"]["id"], "marketId": edge["node"]["marketId"], "size": size} for edge in (newest, oldest)]
            amend(sandbox, changes)
            if all(page.done() for page in pages):
                break
    ends = [(page.result()[0]["node"], page.result()[-1]["node"]) for page in pages]
    assert [first["size"] for first, _ in ends] == [last["size"] for _, last in ends]


def amend(sandbox: Sandbox, amendments: list[dict[str, Any]]) -> None:
    sandbox.call(lambda inside: inside.chain.submit(inside.parties["a"], {"batchMarketInstructions": {"amendments": amendments}}))
    sandbox.block()
