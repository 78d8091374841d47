"""Answers and frames of any size: bodies are bounded, also compressed ones, and a huge frame costs neither the shutdown nor the memory."""

import contextlib
import gzip
import itertools
import json
import re
import signal
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bot.vega_api_client as client
from bot.transport.http import MAX_BODY_SIZE
from bot.wallet import VegaWallet, WalletError
from tests.support.frames import FIRST_FRAMES, MARKET, MARKET_DATA, STREAMS, order_frame
from tests.support.http_replay import Answer, Replay
from tests.support.processes import StoreProcess
from tests.support.scripted_node import BOT, ScriptedNode, recorded_node

FRAME_SIZE = 60_000_000  # bytes
GIGABYTE = 10**9
SHUTDOWN_TIMEOUT = 10  # s, promised; tested with twice the time


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(url: str) -> Any:
    return client.execute_get_request("markets", "markets", url, deadline=time.monotonic() + 20)


def send(url: str) -> Any:
    return VegaWallet("s3cr3tT0k3n", url, "key").submit_transaction({}, timeouts=(10.0, 10.0))


CALLS: dict[str, Callable[[str], Any]] = {"REST": get, "wallet": send}
FAILED = (client.VegaApiError, WalletError)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Less than a megabyte that would become more than 100 MB."""
    zipped = zlib.compressobj(level=1, wbits=16 + zlib.MAX_WBITS)
    return b"".join(zipped.compress(b"y" * 1_000_000) for _ in range(110)) + zipped.flush()


@pytest.mark.parametrize("call", CALLS)
def test_a_compressed_body_is_bounded(bomb: bytes, call: str) -> None:
    assert len(bomb) < 1_000_000
    answers = itertools.repeat(Answer(bomb, headers={"Content-Encoding": "gzip"}))
    with Replay(then=answers) as server:
        tracemalloc.start()
        with pytest.raises(FAILED, match=f"the answer has more than {MAX_BODY_SIZE} bytes"):
            CALLS[call](server.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY_SIZE


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_is_not_compressed_is_bounded(call: str) -> None:
    with (
        Replay(then=itertools.repeat(Answer(b"z" * (MAX_BODY_SIZE + 1)))) as server,
        pytest.raises(FAILED, match="the answer has more than"),
    ):
        CALLS[call](server.url)


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip"])
@pytest.mark.parametrize("call", CALLS)
def test_a_body_in_an_encoding_that_was_not_asked_for_is_an_error(call: str, encoding: str) -> None:
    with (
        Replay(then=itertools.repeat(Answer("{}", headers={"Content-Encoding": encoding}))) as server,
        pytest.raises(FAILED, match=f"Content-Encoding {encoding}, which was not asked for"),
    ):
        CALLS[call](server.url)


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b'{"markets": 7}')[:-12]], ids=["none", "cut"])
def test_a_body_that_is_not_whole_gzip_is_an_error(body: bytes) -> None:
    with Replay(then=itertools.repeat(Answer(body, headers={"Content-Encoding": "gzip"}))) as server, pytest.raises(client.VegaApiError):
        get(server.url)


def test_a_large_body_that_is_wanted_is_parsed() -> None:
    with Replay(Answer({"markets": "m" * 20_000_000}, zipped=True)) as server:
        assert len(get(server.url)) == 20_000_000


def test_a_body_of_too_many_values_is_an_error() -> None:
    with (
        Replay(Answer(b'{"markets": [' + b"[]," * 10_000_000 + b"7]}", zipped=True)) as server,
        pytest.raises(client.VegaApiError, match="not the expected JSON"),
    ):
        get(server.url)


def test_a_call_that_is_cut_by_its_deadline_says_so() -> None:
    """Not what the cut has provoked."""
    slow = Answer({"markets": "y" * 100}, pause=0.05)
    for answer in (slow, replace(slow, headers={"Content-Length": "9999"}), replace(slow, hang=True)):
        with Replay(then=itertools.repeat(answer)) as node, pytest.raises(client.VegaApiError, match=r": timed out after 0\.5"):
            client.execute_get_request("markets", "markets", node.url, deadline=time.monotonic() + 0.5)


def test_a_long_error_message_is_searched_for_the_token_and_cut_in_no_time() -> None:
    error = {"error": {"code": 1, "message": "m" * 20_000_000, "data": "s3cr3tT0k3n" * 1_000_000}}
    with Replay(Answer(error, status=400)) as server, pytest.raises(WalletError) as caught:
        send(server.url)
    assert len(str(caught.value)) < 400


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)
        yield running


def peak_memory(process: StoreProcess) -> int:
    """Return the most memory that a process has had, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


LARGE_FRAMES: dict[str, Callable[[], str]] = {
    "one long string": lambda: json.dumps({"result": {"updates": {"orders": []}, "x": "y" * FRAME_SIZE}}),
    "orders": lambda: json.dumps({"result": {"updates": {"orders": [json.loads(order_frame())] * (FRAME_SIZE // 400)}}}),
    "empty orders": lambda: '{"result":{"updates":{"orders":[' + "{}," * (FRAME_SIZE // 3) + "{}]}}}",
    "lists": lambda: '{"result":[' + "[]," * (FRAME_SIZE // 3) + "[]]}",
}


@contextlib.contextmanager
def store_that_gets(node: ScriptedNode, frame: str) -> Iterator[StoreProcess]:
    """A store to which a large frame is sent, while the market data goes on."""
    done = threading.Event()

    def keep_sending() -> None:
        while not done.wait(0.5):
            with contextlib.suppress(Exception):  # the store has disconnected
                node.send("markets/data", MARKET_DATA)

    def send_frame() -> None:
        with contextlib.suppress(Exception):
            node.send("orders", frame)

    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, reconnect=1) as store:
        store.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
        threads = [threading.Thread(target=each) for each in (keep_sending, send_frame)]
        for thread in threads:
            thread.start()
        try:
            yield store
        finally:
            done.set()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("kind", LARGE_FRAMES)
def test_a_large_frame_delays_the_shutdown_by_ten_seconds_at_most_and_costs_less_than_a_gigabyte(node: ScriptedNode, kind: str) -> None:
    with store_that_gets(node, LARGE_FRAMES[kind]()) as store:
        before = peak_memory(store)
        store.wait_until(lambda: peak_memory(store) > before + FRAME_SIZE // 2)
        began = time.monotonic()
        store.signal(signal.SIGINT)
        store.wait_until(lambda: "ENDED" in store.lines or peak_memory(store) >= GIGABYTE)
        assert time.monotonic() - began < 2 * SHUTDOWN_TIMEOUT
        assert "ENDED" in store.lines


def test_a_large_frame_is_processed(node: ScriptedNode) -> None:
    text = order_frame(id="b" * 64)
    with store_that_gets(node, text[:-1] + " " * 10_000_000 + "}") as store:
        store.wait_until(lambda: store.order_ids() == {"b" * 64})
        assert peak_memory(store) < GIGABYTE
