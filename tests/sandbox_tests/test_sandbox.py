"""The `Sandbox` class as tests use it: start and stop, block clock, seed."""

import contextlib
import gc
import socket
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox, server
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def test_a_stopped_sandbox_leaves_no_threads_ports_or_warnings(recwarn: pytest.WarningsRecorder) -> None:
    threads = set(threading.enumerate())
    with Sandbox(block_time=0.01, seed=22) as sandbox:
        requests.get(f"{sandbox.node_url}/assets", timeout=30)
        ports = [port_of(sandbox.node_url), port_of(sandbox.wallet_url)]

    assert set(threading.enumerate()) <= threads
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    assert not [str(warning.message) for warning in recwarn]


LISTENERS = {"sandbox": lambda: Sandbox(block_time=0, seed=22), "proxy": lambda: FaultProxy("http://127.0.0.1:9/api/v2")}


@pytest.mark.parametrize("room", ["room for all", "too many"])
@pytest.mark.parametrize("listens", LISTENERS.values(), ids=LISTENERS)
def test_connections_made_during_the_stop_are_closed(listens: Callable[[], Any], room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if room == "too many":
        limits = server.ConnectionLimits(accept_batch=100, per_address=5, total=1000)
        monkeypatch.setattr(server, "connection_limits", lambda files: limits)
    for _ in range(10):
        callers: list[socket.socket] = []
        many = threading.Event()

        def call(port: int, callers: list[socket.socket] = callers, many: threading.Event = many) -> None:
            with contextlib.suppress(OSError):  # until the port is closed
                while True:
                    callers.append(socket.create_connection(("127.0.0.1", port), timeout=30))
                    if len(callers) > 20:
                        many.set()

        with listens() as listening:
            urls = [listening.rest_url] if isinstance(listening, FaultProxy) else [listening.node_url, listening.wallet_url]
            threads = [threading.Thread(target=call, args=(port_of(url),)) for url in urls]
            for thread in threads:
                thread.start()
            assert many.wait(5)
        for thread in threads:
            thread.join()
        for caller in callers:
            caller.close()
        gc.collect()  # warns of sockets left open


def test_a_port_in_use_raises_and_leaves_no_threads() -> None:
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in ("port", "wallet_port"):
            with pytest.raises(OSError, match="in use"), Sandbox(**{port: taken.getsockname()[1]}):
                pass

    assert set(threading.enumerate()) <= threads


def test_ids_keys_and_token_come_from_the_seed() -> None:
    first, second, other = Sandbox(seed=23), Sandbox(seed=23), Sandbox(seed=24)

    assert (first.parties, first.markets, first.token) == (second.parties, second.markets, second.token)
    assert first.parties != other.parties
    assert first.markets != other.markets
    assert list(first.parties) == ["bot", "a", "b", "c"]
    assert list(first.markets) == ["future", "perpetual", "spot"]


def test_blocks_are_a_second_of_chain_time_apart() -> None:
    with Sandbox(block_time=0.01) as sandbox:
        begin = sandbox.call(lambda running: (running.chain.height, running.chain.time))
        wait_until(lambda: sandbox.call(lambda running: running.chain.height) >= begin[0] + 10)
        end = sandbox.call(lambda running: (running.chain.height, running.chain.time))

    assert end[1] - begin[1] == (end[0] - begin[0]) * 10**9


def test_prices_are_available_right_after_the_start() -> None:
    with Sandbox(block_time=60) as sandbox:
        url = f"{sandbox.node_url}/market/data/{sandbox.markets['future']}/latest"
        assert int(requests.get(url, timeout=30).json()["marketData"]["bestBidPrice"]) > 0


def test_blocks_start_on_the_second_that_is_their_time() -> None:
    """Whenever the sandbox starts; here in the middle of a second."""
    delays: list[float] = []

    class Timed(Sandbox):
        def make_block(self) -> None:
            started = time.time()
            super().make_block()
            delays.append(started - self.chain.time / 1e9)

    time.sleep((0.5 - time.time()) % 1)
    with Timed(block_time=1, traders=False):
        wait_until(lambda: len(delays) > 5)
    assert 0 <= statistics.median(delays[1:]) < 0.2  # the first block is made at the start


def test_an_error_in_the_block_clock_is_raised_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def run_until_broken() -> None:
        with Sandbox(block_time=0.01) as sandbox:
            sandbox.call(lambda running: running.chain.traders.clear())  # makes the traders fail with a KeyError
            wait_until(lambda: "KeyError" in capsys.readouterr().err)

    with pytest.raises(KeyError):
        run_until_broken()


def test_a_restart_closes_every_connection_and_keeps_chain_and_port() -> None:
    with Sandbox(block_time=0) as sandbox:
        url = sandbox.node_url
        sandbox.block(2)
        with socket.create_connection(("127.0.0.1", port_of(url)), timeout=30) as idle:
            idle.sendall(b"GET /api/v2/assets HTTP/1.1\r\nHost: sandbox\r\n\r\n")
            idle.recv(1)
            sandbox.restart()
            wait_until(lambda: not idle.recv(65536))

        assert sandbox.node_url == url
        assert requests.get(sandbox.control_url, timeout=30).json()["height"] == 2
