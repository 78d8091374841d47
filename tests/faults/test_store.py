"""What the store holds after the node was away: exactly what its REST answers say, whatever changed meanwhile."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.faults.test_convergence import Node, QuietStore, in_store
from tests.sandbox import Sandbox
from tests.sandbox.chain.records import BUY, SELL
from tests.support.fault_proxy import DOWN, FaultProxy

PAGE = 50  # orders on one page of a snapshot
FAR = 2_000_000  # ticks: where no trader comes


class Rig:
    """A node with traders, a store on it, and what REST says."""

    def __init__(self, sandbox: Sandbox, store: QuietStore, node: Node) -> None:
        self.sandbox, self.store, self.node = sandbox, store, node
        self.market = sandbox.chain.markets[sandbox.markets["future"]]

    def orders(self, count: int, side: str = BUY, ticks: int = -FAR, **terms: Any) -> None:
        """Have the bot's party send orders so many ticks from the market, at most 30 in a batch, and make a block of it."""
        price = str(self.market.mark_price + ticks * self.market.tick_size)
        order = {"marketId": self.market.id, "side": side, "type": "TYPE_LIMIT", "price": price, "timeInForce": "TIME_IN_FORCE_GTC"} | terms
        for first in range(0, count, 30):
            batch = [{**order, "size": str(number + 1)} for number in range(first, min(count, first + 30))]
            self.send({"batchMarketInstructions": {"submissions": batch}})
        self.sandbox.block(1)

    def send(self, transaction: dict[str, Any]) -> None:
        self.sandbox.call(lambda box: box.chain.submit(box.parties["bot"], transaction))

    def trade(self, side: str, size: int) -> None:
        terms = {"side": side, "size": str(size), "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
        self.send({"orderSubmission": {"marketId": self.market.id, **terms}})
        self.sandbox.block(1)

    def wait_for_equality(self) -> None:
        self.store.wait_until(lambda: in_store(self.store) == self.node.state())


@contextlib.contextmanager
def rig_on(sandbox: Sandbox, ws_url: str, log: Path) -> Iterator[Rig]:
    sandbox.block(2)
    market, party, node = sandbox.markets["future"], sandbox.parties["bot"], Node(sandbox, "bot")
    with contextlib.closing(node), QuietStore(log, ws_url, sandbox.node_url, market, party, '{"reconnect": 0.5}') as store:
        store.wait_for("READY")
        store.wait_until(lambda: sum(sandbox.call(lambda box: box.node.open_connections).values()) == 4)
        yield Rig(sandbox, store, node)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=17) as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.node_url) as running:
        yield running


@pytest.fixture
def rig(sandbox: Sandbox, proxy: FaultProxy, tmp_path: Path) -> Iterator[Rig]:
    with rig_on(sandbox, proxy.ws_url, tmp_path / "log") as running:
        yield running


def test_after_a_restart_of_the_node_the_store_holds_what_rest_says_and_nothing_that_died_meanwhile(rig: Rig) -> None:
    rig.orders(3)
    rig.trade(BUY, size=2000)
    rig.wait_for_equality()
    before = in_store(rig.store)
    survivor, amended, *cancelled = before["orders"]

    restart = threading.Thread(target=rig.sandbox.restart, args=(0.8,))
    restart.start()
    rig.store.wait_until(lambda: not sum(rig.sandbox.call(lambda box: box.node.open_connections).values()))
    with pytest.raises(requests.ConnectionError):
        rig.node.state()
    for order_id in cancelled:
        rig.send({"orderCancellation": {"marketId": rig.market.id, "orderId": order_id}})
    rig.send({"orderAmendment": {"marketId": rig.market.id, "orderId": amended, "sizeDelta": "40"}})
    rig.orders(2, side=SELL, ticks=FAR)
    rig.trade(SELL, size=5000)
    assert restart.is_alive(), "the node was back before all was done"
    restart.join()

    rig.wait_for_equality()
    after = in_store(rig.store)
    assert not after["orders"].keys() & set(cancelled)
    assert after["orders"][survivor] == before["orders"][survivor]
    assert after["orders"][amended] != before["orders"][amended]
    assert len(after["orders"]) == 4
    assert after["positions"] != before["positions"]
    assert after["accounts"] != before["accounts"]


def test_what_the_node_has_lost_with_its_restart_is_gone_from_the_store(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with Sandbox(block_time=0, seed=17) as first:
            rig = stack.enter_context(rig_on(first, first.ws_url, tmp_path / "log"))
            rig.orders(2)
            rig.trade(BUY, size=2000)
            rig.wait_for_equality()
            before = in_store(rig.store)
            port = urlsplit(first.node_url).port or 0
        # A second one in its place, at its beginning: the same markets and parties, and nothing of what happened.
        stack.enter_context(Sandbox(block_time=0, seed=17, port=port))
        rig.wait_for_equality()
        after = in_store(rig.store)
        assert len(before["orders"]) == 2
        assert (after["orders"], after["positions"]) == ({}, {})
        assert after["accounts"].keys() < before["accounts"].keys()


def test_of_a_snapshot_cut_after_its_first_page_nothing_stays(rig: Rig, proxy: FaultProxy) -> None:
    rig.orders(2 * PAGE + 20)
    rig.wait_for_equality()
    before = in_store(rig.store)["orders"]
    assert len(before) == 2 * PAGE + 20
    page = 50 * 330  # bytes, less than a page has and more than half of it

    proxy.turn("cut", "orders", directions=(DOWN,), after=0)
    rig.send({"orderCancellation": {"marketId": rig.market.id}})
    rig.sandbox.block(1)  # the news of it cut the stream
    rig.orders(2 * PAGE + 10, ticks=-FAR // 2)
    proxy.turn("cut", "orders", directions=(DOWN,), after=2 * page)  # in the second page
    dials = len(proxy.dials("orders"))
    proxy.wait_for_dials("orders", dials + 1)
    proxy.wait_for_dials("orders", dials + 2)  # so the snapshot of the one before was cut
    assert in_store(rig.store)["orders"] == before

    proxy.turn("pass", "orders")
    rig.wait_for_equality()
    assert len(in_store(rig.store)["orders"]) == 2 * PAGE + 10
