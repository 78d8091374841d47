"""After the node was down, the store holds exactly what the node's REST answers say, whatever changed meanwhile."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import BUY, SELL
from tests.support.fault_proxy import DOWN, FaultProxy
from tests.support.live_sandbox import node_down
from tests.support.processes import StoreProcess
from tests.support.store_comparison import RestState, quiet_store, store_state, wait_for_state

PAGE_SIZE = 50  # orders on one page of a snapshot
MIN_SIZE = 10  # smallest units; the network rejects a batch with an order of too little value
FAR = 2_000_000  # ticks from the market, where no trader trades


class Rig:
    """A sandbox, a store that reads from it, and its REST answers."""

    def __init__(self, sandbox: Sandbox, store: StoreProcess, node: RestState) -> None:
        self.sandbox, self.store, self.node = sandbox, store, node
        self.market = sandbox.chain.markets[sandbox.markets["future"]]

    def orders(self, count: int, side: str = BUY, ticks: int = -FAR, **terms: Any) -> None:
        """Send orders of the bot's party, so many ticks from the market and at most 30 in a batch; then make a block."""
        price = str(self.market.mark_price + ticks * self.market.tick_size)
        order = {"marketId": self.market.id, "side": side, "type": "TYPE_LIMIT", "price": price, "timeInForce": "TIME_IN_FORCE_GTC"} | terms
        for first in range(0, count, 30):
            batch = [{**order, "size": str(MIN_SIZE + number)} for number in range(first, min(count, first + 30))]
            self.send({"batchMarketInstructions": {"submissions": batch}})
        self.sandbox.block(1)

    def send(self, transaction: dict[str, Any]) -> None:
        self.sandbox.call(lambda box: box.chain.submit(box.parties["bot"], transaction))

    def trade(self, side: str, size: int) -> None:
        terms = {"side": side, "size": str(size), "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
        self.send({"orderSubmission": {"marketId": self.market.id, **terms}})
        self.sandbox.block(1)

    def wait_for_equality(self) -> None:
        wait_for_state(self.store, self.node.read())


@contextlib.contextmanager
def rig_on(sandbox: Sandbox, ws_url: str, log: Path) -> Iterator[Rig]:
    sandbox.block(2)
    market, party, node = sandbox.markets["future"], sandbox.parties["bot"], RestState(sandbox, "bot")
    with contextlib.closing(node), quiet_store(log, ws_url, sandbox.node_url, market, party, reconnect=0.5) as store:
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


def test_after_a_restart_of_the_node_the_store_equals_rest_and_holds_no_order_that_ended_meanwhile(rig: Rig) -> None:
    rig.orders(3)
    rig.trade(BUY, size=2000)
    rig.wait_for_equality()
    before = store_state(rig.store)
    survivor, amended, *cancelled = before["orders"]

    with node_down(rig.sandbox):
        with pytest.raises(requests.ConnectionError):
            rig.node.read()
        for order_id in cancelled:
            rig.send({"orderCancellation": {"marketId": rig.market.id, "orderId": order_id}})
        rig.send({"orderAmendment": {"marketId": rig.market.id, "orderId": amended, "sizeDelta": "40"}})
        rig.orders(2, side=SELL, ticks=FAR)
        rig.trade(SELL, size=5000)

    rig.wait_for_equality()
    after = store_state(rig.store)
    assert not after["orders"].keys() & set(cancelled)
    assert after["orders"][survivor] == before["orders"][survivor]
    assert after["orders"][amended] != before["orders"][amended]
    assert len(after["orders"]) == 4
    assert after["positions"] != before["positions"]
    assert after["accounts"] != before["accounts"]


def test_records_that_the_node_lost_in_a_restart_are_removed_from_the_store(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with Sandbox(block_time=0, seed=17) as first:
            rig = stack.enter_context(rig_on(first, first.ws_url, tmp_path / "log"))
            rig.orders(2)
            rig.trade(BUY, size=2000)
            rig.wait_for_equality()
            before = store_state(rig.store)
            port = urlsplit(first.node_url).port or 0
        # Another sandbox on the same port: the same markets and parties, but none of the orders and trades.
        stack.enter_context(Sandbox(block_time=0, seed=17, port=port))
        rig.wait_for_equality()
        after = store_state(rig.store)
        assert len(before["orders"]) == 2
        assert (after["orders"], after["positions"]) == ({}, {})
        assert after["accounts"].keys() < before["accounts"].keys()


def test_a_snapshot_that_ends_after_its_first_page_is_discarded(rig: Rig, proxy: FaultProxy) -> None:
    rig.orders(2 * PAGE_SIZE + 20)
    rig.wait_for_equality()
    before = store_state(rig.store)["orders"]
    assert len(before) == 2 * PAGE_SIZE + 20
    page = PAGE_SIZE * 330  # bytes: less than a page, more than half of one

    proxy.set_mode("cut", "orders", directions=(DOWN,), after=0)
    rig.send({"orderCancellation": {"marketId": rig.market.id}})
    rig.sandbox.block(1)  # its first frame ends the connection
    rig.orders(2 * PAGE_SIZE + 10, ticks=-FAR // 2)
    proxy.set_mode("cut", "orders", directions=(DOWN,), after=2 * page)  # in the second page
    connections = len(proxy.connection_times("orders"))
    proxy.wait_for_connections("orders", connections + 2)  # so the snapshot of the one before has ended early
    assert store_state(rig.store)["orders"] == before

    proxy.set_mode("pass", "orders")
    rig.wait_for_equality()
    assert len(store_state(rig.store)["orders"]) == 2 * PAGE_SIZE + 10
