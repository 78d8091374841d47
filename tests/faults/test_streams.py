"""Streams that are lost, refused or left hanging: what the bot does about it, through a proxy that breaks the link.

Frames that are none are in test_frames.py, frozen peers in test_frozen.py.
"""

import contextlib
import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import bot.transport.connection
from tests.sandbox import Sandbox
from tests.support.fault_proxy import DOWN, PING, STREAMS, FaultProxy
from tests.support.processes import Process, StoreProcess

OTHERS = ("accounts", "orders", "positions")  # than market data
REFUSED = ["lost, [Errno 111] Connection refused", "back"]
NO_HANDSHAKE = "(no handshake within 5 s|.*timed out)"  # whichever timer is first
HELD_UP = 4  # seconds: less than the five for which nothing may hold the main thread; blocks come every 0.1 s


@dataclass
class Rig:
    """A store that reads from a sandbox through a proxy; REST goes past it."""

    sandbox: Sandbox
    proxy: FaultProxy
    store: StoreProcess
    market: str

    def said(self, stream: str) -> list[str]:
        """Return what was logged about a stream."""
        return [line for line in self.store.lines if line.startswith(f"stream {stream}: ")]

    def wait_for_all(self, words: str, seconds: float, after: int = 0, streams: tuple[str, ...] = STREAMS) -> None:
        deadline = time.monotonic() + seconds
        for stream in streams:
            self.store.wait_for(f"^stream {stream}: {words}", max(0.0, deadline - time.monotonic()), after)

    def oldest_data_until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Wait, and return the greatest age of market data meanwhile: nothing that held the main thread up goes unseen."""
        ages: list[float] = []

        def met() -> bool:
            ages.append(self.store.ask("seconds_since_update", self.market))
            return condition()

        self.store.wait_until(met, seconds)
        return max(ages)


@contextlib.contextmanager
def rig(reconnect: float = 1, block_time: float = 0.1) -> Iterator[Rig]:
    with Sandbox(block_time=block_time, seed=7, traders=False) as sandbox, connected(sandbox, reconnect) as connection:
        yield connection


@contextlib.contextmanager
def connected(sandbox: Sandbox, reconnect: float) -> Iterator[Rig]:
    market, party = sandbox.markets["future"], sandbox.parties["bot"]
    with (
        FaultProxy(sandbox.node_url) as proxy,
        StoreProcess(proxy.ws_url, sandbox.node_url, market, party, reconnect=reconnect) as store,
    ):
        store.wait_for("READY")
        for stream in STREAMS:
            proxy.wait_for_dials(stream, 1)
        store.wait_until(lambda: store.ask("seconds_since_update", market) < 1)
        yield Rig(sandbox, proxy, store, market)


def close_frame(code: int) -> bytes:
    return b"\x88\x02" + code.to_bytes(2, "big")


def place_order(sandbox: Sandbox) -> None:
    """Have the bot's party rest an order: orders and accounts change with it."""
    market = sandbox.call(lambda box: box.chain.markets[box.markets["future"]])
    terms = {"side": "SIDE_BUY", "size": "7", "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    order = {"marketId": market.id, "price": str(market.mark_price - 900 * market.tick_size), **terms}
    sandbox.call(lambda box: box.chain.submit(box.parties["bot"], {"orderSubmission": order}))
    sandbox.block(1)


def threads_and_sockets(process: Process) -> tuple[int, int]:
    """Return how many of either a process has."""
    links = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            links.append(os.readlink(descriptor))
    return len(list(Path(f"/proc/{process.pid}/task").iterdir())), sum(link.startswith("socket:") for link in links)


def wait_for_no_more_than(process: Process, before: tuple[int, int]) -> None:
    deadline = time.monotonic() + 10
    while any(now > then for now, then in zip(threads_and_sockets(process), before, strict=True)):
        assert time.monotonic() < deadline, f"{threads_and_sockets(process)} threads and sockets, {before} before:\n{process.output}"
        time.sleep(0.05)


def test_a_lost_stream_gets_one_new_connection_and_is_back_in_time() -> None:
    losses = [
        ("reset", PING),
        ("cut", PING),
        ("", PING + close_frame(1000)),
        ("", PING + close_frame(1001)),
        ("cut", close_frame(1011)),
        ("reset", close_frame(1011)),
        ("reset", b"\x81\x7e"),
    ]
    with rig(reconnect=0.5) as link:
        for number, (how, last_words) in enumerate(losses, 1):
            line = len(link.store.lines)
            link.proxy.drop(how, last_words=last_words)
            link.wait_for_all("back$", seconds=2 * (0.5 + 1), after=line, streams=("markets/data",))
            link.wait_for_all("back$", seconds=2 * (0.5 + 1), after=line)
            dials = {stream: len(link.proxy.dials(stream)) for stream in STREAMS}
            assert dials == dict.fromkeys(STREAMS, 1 + number), f"after {how} {last_words!r}"
        for stream in STREAMS:
            assert len(link.said(stream)) == 2 * len(losses)  # lost, and back


def test_refusals_for_thirty_seconds_harm_no_other_stream_and_are_tried_after_five_then_every_ten() -> None:
    with Sandbox(block_time=0.25, seed=7, traders=False) as sandbox, connected(sandbox, 5) as answered, connected(sandbox, 5) as refused:
        statuses = {"orders": 429, "positions": 502, "accounts": 503}
        for stream, status in statuses.items():
            answered.proxy.answer(status, stream, body="busy, your request was number {}")
        refused.proxy.refuse()
        began = time.monotonic()
        answered.proxy.drop("reset", *OTHERS)
        refused.proxy.drop("reset")
        oldest = answered.oldest_data_until(lambda: time.monotonic() > began + 30, seconds=40)
        answered.proxy.answer(None)
        refused.proxy.listen()
        answered.wait_for_all("back$", seconds=2 * 11, streams=OTHERS)
        refused.wait_for_all("back$", seconds=2 * 11)

        assert oldest < HELD_UP
        assert len(answered.proxy.dials("markets/data")) == 1
        for stream, status in statuses.items():
            gaps = [later - earlier for earlier, later in itertools.pairwise([began, *answered.proxy.dials(stream)[1:]])]
            assert 5 <= gaps[0] < 2 * 5
            assert all(10 <= gap < 2 * 10 for gap in gaps[1:])
            assert len(gaps) == 4
            said = [line.partition(f"stream {stream}: ")[2] for line in answered.said(stream)]
            assert said[0].startswith("lost, ")
            assert said[1].startswith(f"lost, handshake answered HTTP {status}: busy, your request was number 2; dialling again")
            assert said[2:] == ["back"]
        for stream in STREAMS:
            assert len(refused.proxy.dials(stream)) == 2
            words = [line.partition(f"stream {stream}: ")[2] for line in refused.said(stream)]
            assert [re.sub(r"; dialling again in \d+ s$", "", each) for each in words[1:]] == [
                "lost, [Errno 111] Connection refused",
                "back",
            ]


def test_handshakes_and_frames_that_hang_or_trickle_hold_up_nothing_and_are_dropped() -> None:
    with rig() as link:
        place_order(link.sandbox)
        link.store.wait_until(lambda: "ACCOUNT_TYPE_MARGIN" in {each["account_type"] for each in link.store.ask("get_accounts")})
        before = threads_and_sockets(link.store)
        link.proxy.turn("freeze", "orders")
        link.proxy.turn("trickle", "positions", "accounts", directions=(DOWN,))
        link.proxy.drop("reset", "orders", "positions")
        place_order(link.sandbox)  # for a frame on the accounts' stream
        expected = [
            f"stream orders: lost, {NO_HANDSHAKE}",
            f"stream positions: lost, {NO_HANDSHAKE}",
            "accounts: lost, half a frame for 5 s",
        ]
        oldest = link.oldest_data_until(lambda: all(re.search(words, link.store.output) for words in expected), seconds=2 * (1 + 5))
        assert oldest < HELD_UP
        assert len(link.proxy.dials("markets/data")) == 1
        link.proxy.turn("pass")
        link.wait_for_all("back$", seconds=2 * (5 + 4 + 1), streams=OTHERS)
        link.store.wait_until(lambda: len(link.store.ask("get_orders")) == 2)
        wait_for_no_more_than(link.store, before)


def test_a_connect_that_is_never_answered_holds_up_nothing_and_neither_does_it_the_end() -> None:
    with rig() as link:
        link.proxy.swallow()
        link.proxy.drop("reset", "orders")
        lost = f"stream orders: lost, {NO_HANDSHAKE}"
        oldest = link.oldest_data_until(lambda: bool(re.search(lost, link.store.output)), seconds=2 * (1 + 5))
        assert oldest < HELD_UP
        link.proxy.listen()
        link.wait_for_all("back$", seconds=2 * (2 + 1), streams=("orders",))
        before = threads_and_sockets(link.store)
        link.proxy.swallow()
        link.proxy.drop("reset", "orders")
        link.store.wait_until(lambda: threads_and_sockets(link.store)[0] > before[0])  # a dial is under way
        assert link.store._child.stdin is not None
        link.store._child.stdin.close()  # the child's answering thread calls stop()
        link.store.wait_for("^ENDED$", seconds=3)
        assert link.store.finish(seconds=3) == 0


NO_ROUTE = """
import errno, os, runpy, socket, sys, threading
FLAG = sys.argv.pop(1)
class Socket(socket.socket):
    def connect(self, address):
        if os.path.exists(FLAG):
            with open(FLAG, "a") as tries:
                print("dial", file=tries)
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        super().connect(address)
    def recv(self, *args):
        dials = threading.current_thread() is not threading.main_thread()
        if os.path.exists(FLAG) and self.family == socket.AF_INET and not dials:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return super().recv(*args)
socket.socket = Socket
runpy.run_module("tests.support.processes", run_name="__main__")
"""


class UnroutedStore(StoreProcess):
    """A StoreProcess whose sockets find no route as long as a file exists, which gets a line a dial; loopback always has one."""

    def __init__(self, flag: Path, ws_url: str, rest_url: str, market_id: str, party_id: str) -> None:
        Process.__init__(self, [sys.executable, "-c", NO_ROUTE, str(flag), ws_url, rest_url, market_id, party_id, '{"reconnect": 0.2}'], {})


def test_no_route_to_host_costs_the_stream_one_line_and_one_dial_when_there_is_one_again(tmp_path: Path) -> None:
    flag = tmp_path / "no route"
    with Sandbox(block_time=0.1, seed=7, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        with UnroutedStore(flag, sandbox.ws_url, sandbox.node_url, market, party) as store:
            store.wait_until(lambda: sandbox.call(lambda box: sum(box.node.connections.values())) == 4)
            flag.touch()
            store.wait_until(lambda: len(flag.read_text().splitlines()) >= 3)
            flag.unlink()
            store.wait_for("^stream markets/data: back$")
            lost = [stream for stream in STREAMS if f"stream {stream}: lost" in store.output]  # those that were read meanwhile
            for stream in lost:
                store.wait_for(f"^stream {stream}: back$")
                said = [line for line in store.lines if line.startswith(f"stream {stream}: ")]
                assert len(said) == 2
                assert said[0].endswith("lost, [Errno 113] No route to host; dialling again in 0.2 s")
            assert sandbox.call(lambda box: box.node.connections) == {stream: 1 + (stream in lost) for stream in STREAMS}


def test_an_address_that_cannot_be_reached_is_one_line_a_stream() -> None:
    with Sandbox(block_time=0, seed=7, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        broadcast = sandbox.ws_url.replace("127.0.0.1", "127.255.255.255")  # no TCP there, and the kernel says so
        with StoreProcess(broadcast, sandbox.node_url, market, party, reconnect=0.05) as store:
            for stream in STREAMS:
                store.wait_for(f"^stream {stream}: lost, .*Network is unreachable")
            assert store.ask("get_market_by_id", market) is not None
        assert sum(line.startswith("stream ") for line in store.lines) == 4


def delays(monkeypatch: pytest.MonkeyPatch, refused: bool) -> list[float]:
    """Return the seconds that a stream waits before each dial, one loss after the other."""
    waited: list[float] = []
    monkeypatch.setattr(bot.transport.connection.rel, "timeout", lambda seconds, *call: waited.append(seconds))
    at_once = SimpleNamespace(call=lambda function, *args: function(*args))
    stream = bot.transport.connection.Stream(main_thread=at_once, reconnect=5)  # type: ignore[arg-type]
    stream.app, stream.on_error = SimpleNamespace(url="/stream/orders"), lambda app, words: None
    for _ in range(7):
        if refused:
            stream.report("the node says: no", refused=True)
        stream.timeout(5, lambda *args: None)
    return waited


def test_delays_double_up_to_ten_seconds_where_there_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, refused=False) == [5, 10, 10, 10, 10, 10, 10]


def test_delays_double_up_to_a_minute_where_the_node_refuses_the_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, refused=True) == [5, 10, 20, 40, 60, 60, 60]
