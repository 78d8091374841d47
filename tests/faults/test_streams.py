"""Streams that are disconnected, rejected or hang, through a proxy that breaks the link.

Bad frames are in test_frames.py, frozen links in test_frozen.py.
"""

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bot.transport.connection import reconnect_delay
from tests.sandbox import Sandbox
from tests.support.fault_proxy import DOWN, PING_FRAME, FaultProxy
from tests.support.frames import STREAMS
from tests.support.process_usage import usage_of, wait_for_no_leak
from tests.support.processes import StoreProcess
from tests.support.waiting import DEFAULT_TIMEOUT

WITHOUT_MARKET_DATA = ("accounts", "orders", "positions")
NO_HANDSHAKE = "(no handshake within 5 s|.*timed out)"  # of two timers the first
MAX_DATA_AGE = 4  # s; less than the five of every timeout, so a greater age means that the main thread was blocked by one
RECONNECT_TIMEOUT = 4  # s; less than five, so that no other check can be what has made the stream reconnect


@dataclass
class Rig:
    """A store that reads the streams of a sandbox through a proxy, and its REST directly."""

    sandbox: Sandbox
    proxy: FaultProxy
    store: StoreProcess
    market: str

    def log_of(self, stream: str) -> list[str]:
        """Return the log lines about a stream."""
        return [line for line in self.store.lines if line.startswith(f"stream {stream}: ")]

    def wait_for_all(self, message: str, timeout: float = DEFAULT_TIMEOUT, after: int = 0, streams: tuple[str, ...] = STREAMS) -> None:
        """Wait until a message was logged about each stream."""
        deadline = time.monotonic() + timeout
        for stream in streams:
            self.store.wait_for(f"^stream {stream}: {message}", max(0.0, deadline - time.monotonic()), after)

    def max_data_age_until(self, condition: Callable[[], bool], timeout: float = DEFAULT_TIMEOUT) -> float:
        """Wait, and return the greatest age of the market data meanwhile. It shows whether anything blocked the main thread."""
        ages: list[float] = []

        def met() -> bool:
            ages.append(self.store.ask("seconds_since_update", self.market))
            return condition()

        self.store.wait_until(met, timeout)
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
            proxy.wait_for_connections(stream, 1)
        store.wait_until(lambda: store.ask("seconds_since_update", market) < 1)
        yield Rig(sandbox, proxy, store, market)


def close_frame(code: int) -> bytes:
    return b"\x88\x02" + code.to_bytes(2, "big")


def place_order(sandbox: Sandbox) -> None:
    """Place an order of the bot's party, far from the market. Orders and accounts change with it."""
    market = sandbox.call(lambda box: box.chain.markets[box.markets["future"]])
    terms = {"side": "SIDE_BUY", "size": "7", "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    order = {"marketId": market.id, "price": str(market.mark_price - 900 * market.tick_size), **terms}
    sandbox.call(lambda box: box.chain.submit(box.parties["bot"], {"orderSubmission": order}))
    sandbox.block(1)


def test_a_disconnected_stream_gets_one_new_connection() -> None:
    disconnects = [
        ("reset", PING_FRAME),
        ("cut", PING_FRAME),
        ("", PING_FRAME + close_frame(1000)),
        ("", PING_FRAME + close_frame(1001)),
        ("cut", close_frame(1011)),
        ("reset", close_frame(1011)),
        ("reset", b"\x81\x7e"),
    ]
    with rig(reconnect=0.5) as link:
        for number, (how, last_bytes) in enumerate(disconnects, 1):
            line = len(link.store.lines)
            link.proxy.disconnect(how, last_bytes=last_bytes)
            link.wait_for_all("reconnected$", timeout=RECONNECT_TIMEOUT, after=line)
            assert link.proxy.connection_counts() == dict.fromkeys(STREAMS, 1 + number), f"after {how} {last_bytes!r}"
        for stream in STREAMS:
            assert len(link.log_of(stream)) == 2 * len(disconnects)  # connection lost, and reconnected


def test_rejected_handshakes_are_retried_after_five_then_every_ten_seconds_and_affect_no_other_stream() -> None:
    with Sandbox(block_time=0.25, seed=7, traders=False) as sandbox, connected(sandbox, 5) as rejected, connected(sandbox, 5) as refused:
        statuses = {"orders": 429, "positions": 502, "accounts": 503}
        for stream, status in statuses.items():
            rejected.proxy.answer_handshakes(status, stream, body="busy, your request was number {}")
        refused.proxy.stop_listening()
        began = time.monotonic()
        rejected.proxy.disconnect("reset", *WITHOUT_MARKET_DATA)
        refused.proxy.disconnect("reset")
        max_age = rejected.max_data_age_until(lambda: time.monotonic() > began + 30, timeout=60)
        rejected.proxy.answer_handshakes(None)
        refused.proxy.listen()
        rejected.wait_for_all("reconnected$", streams=WITHOUT_MARKET_DATA)
        refused.wait_for_all("reconnected$")

        assert max_age < MAX_DATA_AGE
        assert rejected.proxy.connection_counts()["markets/data"] == 1
        for stream, status in statuses.items():
            gaps = [later - earlier for earlier, later in itertools.pairwise([began, *rejected.proxy.connection_times(stream)[1:]])]
            assert 5 <= gaps[0] < 2 * 5
            assert all(9 < gap < 2 * 10 for gap in gaps[1:])  # ten from connect to connect; seen from the proxy, a little less
            assert len(gaps) == 4
            messages = [line.partition(f"stream {stream}: ")[2] for line in rejected.log_of(stream)]
            assert messages[0].startswith("connection lost (")
            assert messages[1].startswith(f"connection lost (handshake answered HTTP {status}: busy, your request was number 2), ")
            assert messages[2:] == ["reconnected"]
        for stream in STREAMS:
            assert refused.proxy.connection_counts()[stream] == 2
            messages = [line.partition(f"stream {stream}: ")[2] for line in refused.log_of(stream)]
            assert messages[1].startswith("connection lost ([Errno 111] Connection refused), reconnecting in ")
            assert messages[2:] == ["reconnected"]


def test_handshakes_and_frames_that_hang_or_trickle_block_nothing_and_are_disconnected() -> None:
    with rig() as link:
        place_order(link.sandbox)
        link.store.wait_until(lambda: "ACCOUNT_TYPE_MARGIN" in {each["account_type"] for each in link.store.ask("get_accounts")})
        before = usage_of(link.store)
        link.proxy.set_mode("freeze", "orders")
        link.proxy.set_mode("trickle", "positions", "accounts", directions=(DOWN,))
        link.proxy.disconnect("reset", "orders", "positions")
        place_order(link.sandbox)  # for a frame on the accounts' stream
        expected = [
            rf"stream orders: connection lost \({NO_HANDSHAKE}",
            rf"stream positions: connection lost \({NO_HANDSHAKE}",
            r"accounts: connection lost \(incomplete frame for 5 s",
        ]
        max_age = link.max_data_age_until(lambda: all(re.search(line, link.store.output) for line in expected), timeout=2 * (1 + 5))
        assert max_age < MAX_DATA_AGE
        assert link.proxy.connection_counts()["markets/data"] == 1
        link.proxy.set_mode("pass")
        link.wait_for_all("reconnected$", streams=WITHOUT_MARKET_DATA)
        link.store.wait_until(lambda: len(link.store.ask("get_orders")) == 2)
        wait_for_no_leak(link.store, before)


def test_a_connect_that_is_never_answered_blocks_neither_the_streams_nor_the_shutdown() -> None:
    with rig() as link:
        link.proxy.blackhole()
        link.proxy.disconnect("reset", "orders")
        lost = rf"stream orders: connection lost \({NO_HANDSHAKE}"
        max_age = link.max_data_age_until(lambda: bool(re.search(lost, link.store.output)), timeout=2 * (1 + 5))
        assert max_age < MAX_DATA_AGE
        link.proxy.listen()
        link.wait_for_all("reconnected$", streams=("orders",))
        link.proxy.blackhole()
        before = pending_connects(link.proxy)
        link.proxy.disconnect("reset", "orders")
        link.store.wait_until(lambda: pending_connects(link.proxy) > before)
        link.store.stop_from_another_thread()
        link.store.wait_for("^ENDED$", timeout=4)  # before the connect gives up
        assert link.store.finish() == 0


def pending_connects(proxy: FaultProxy) -> int:
    """Return how many sockets of this machine wait for an answer to their connect to the proxy (TCP state SYN_SENT)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[2].split(":")[1], 16) == urlsplit(proxy.rest_url).port and row[3] == "02" for row in rows)


# No route to any host as long as the file FLAG exists, which gets a line per connect. The loopback always has a route.
NO_ROUTE = """
import errno, os, socket, threading
class Socket(socket.socket):
    def connect(self, address):
        if os.path.exists(FLAG):
            with open(FLAG, "a") as tries:
                print("connect", file=tries)
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        super().connect(address)
    def recv(self, *args):
        is_main = threading.current_thread() is threading.main_thread()  # other threads connect
        if os.path.exists(FLAG) and self.family == socket.AF_INET and is_main:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return super().recv(*args)
socket.socket = Socket
"""


def test_no_route_to_host_causes_one_log_line_and_one_reconnect(tmp_path: Path) -> None:
    flag = tmp_path / "no route"
    with Sandbox(block_time=0.1, seed=7, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        setup = f"FLAG = {str(flag)!r}\n{NO_ROUTE}"
        with StoreProcess(sandbox.ws_url, sandbox.node_url, market, party, setup=setup, reconnect=0.2) as store:
            store.wait_until(lambda: sandbox.call(lambda box: sum(box.node.connections.values())) == 4)
            flag.touch()
            store.wait_until(lambda: len(flag.read_text().splitlines()) >= 3)
            flag.unlink()
            store.wait_for("^stream markets/data: reconnected$")
            lost = [stream for stream in STREAMS if f"stream {stream}: connection lost" in store.output]  # those that had data meanwhile
            for stream in lost:
                store.wait_for(f"^stream {stream}: reconnected$")
                logged = [line for line in store.lines if line.startswith(f"stream {stream}: ")]
                assert len(logged) == 2
                assert logged[0].endswith("connection lost ([Errno 113] No route to host), reconnecting in 0.2 s")
            assert sandbox.call(lambda box: box.node.connections) == {stream: 1 + (stream in lost) for stream in STREAMS}


def test_an_unreachable_address_is_logged_once_per_stream() -> None:
    with Sandbox(block_time=0, seed=7, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        broadcast = sandbox.ws_url.replace("127.0.0.1", "127.255.255.255")  # no TCP there, and the kernel says so
        with StoreProcess(broadcast, sandbox.node_url, market, party, reconnect=0.05) as store:
            for stream in STREAMS:
                store.wait_for(rf"^stream {stream}: connection lost \(.*Network is unreachable")
            assert store.ask("get_market_by_id", market) is not None
        assert sum(line.startswith("stream ") for line in store.lines) == 4


def test_the_reconnect_delay_doubles_up_to_ten_seconds_when_the_node_cannot_be_reached() -> None:
    assert [reconnect_delay(5, attempts, rejected=False) for attempts in range(6)] == [5, 10, 10, 10, 10, 10]


def test_the_reconnect_delay_doubles_up_to_a_minute_when_the_node_rejects_the_subscription() -> None:
    assert [reconnect_delay(5, attempts, rejected=True) for attempts in range(7)] == [5, 10, 20, 40, 60, 60, 60]


# The first attempts to connect get no thread.
NO_THREADS = """
import threading
start, failures = threading.Thread.start, [1] * 8
def fail(thread):
    if failures and thread.name.startswith("connect "):
        failures.pop()
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = fail
"""


def test_without_a_thread_an_attempt_to_connect_costs_its_try() -> None:
    with Sandbox(block_time=0.1, seed=7, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        with StoreProcess(sandbox.ws_url, sandbox.node_url, market, party, setup=NO_THREADS, reconnect=0.2) as store:
            for stream in STREAMS:
                store.wait_for(rf"^stream {stream}: connection lost \(can't start new thread\), reconnecting in 0\.2 s$")
            for stream in STREAMS:
                store.wait_for(f"^stream {stream}: reconnected$")
    assert "Traceback" not in store.output
