"""bot/transport/http.py: calls that hang where no timeout of requests applies, in a name look-up."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest

import bot.vega_api_client as client
from bot.transport.http import call_with_deadline
from bot.transport.sockets import resolve
from bot.wallet import VegaWallet, WalletError
from tests.support.http_replay import Answer, Replay, recorded_answer


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let every name look-up hang until this is set."""
    found, look_up = threading.Event(), socket.getaddrinfo

    def hanging(host: Any, *args: Any, **options: Any) -> Any:
        found.wait(60)
        return look_up("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setenv("NO_PROXY", "node.example")
    return found


def wait_for_look_ups_to_end() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("look up "):
            thread.join(10)
            assert not thread.is_alive()


def test_a_name_look_up_that_hangs_is_an_error_of_the_call(names: threading.Event) -> None:
    with pytest.raises(client.VegaApiError, match=r"^GET orders.*no answer from http://node\.example: timed out after 0\.1 s"):
        client.get_open_orders("p", "http://node.example", deadline=time.monotonic() + 0.1)
    names.set()


def test_a_call_abandoned_while_it_connects_is_never_sent(names: threading.Event) -> None:
    with Replay(recorded_answer("markets")) as server:
        wallet = VegaWallet("t0k3n", f"http://node.example:{server.url.rpartition(':')[2]}", "key")
        with pytest.raises(WalletError, match=r"^wallet: no connection within 0\.1 s"):
            wallet.submit_transaction({}, timeouts=(0.1, 0.1))
        names.set()  # now it connects
        wait_for_look_ups_to_end()
    assert len(server.connections) <= 1
    assert server.requests == []


def test_a_call_that_ends_in_time_returns_or_raises_what_it_does() -> None:
    assert call_with_deadline(10, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_with_deadline(10, lambda: 1 / 0)


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system allow no more threads."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)


@pytest.fixture
def server() -> Iterator[Replay]:
    with Replay(then=itertools.repeat(Answer({"result": {"transactionHash": "AB" * 32}, "markets": 7}))) as running:
        yield running


@pytest.fixture
def _server_first(server: Replay, request: pytest.FixtureRequest) -> None:
    """It answers each connection on a thread, so one connection must be open before there are none."""
    client.execute_get_request("markets", "markets", server.url)
    request.getfixturevalue("_no_threads")


@pytest.mark.usefixtures("_server_first")
def test_a_call_needs_no_thread(server: Replay) -> None:
    assert client.execute_get_request("markets", "markets", server.url, deadline=time.monotonic() + 10) == 7


def test_a_name_that_was_looked_up_before_needs_no_thread_and_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = resolve("localhost", 1789)

    def fail(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert resolve("localhost", 1789) == expected


@pytest.mark.usefixtures("_no_threads")
def test_a_look_up_without_a_thread_is_made_by_the_caller() -> None:
    assert [each[4][0] for each in resolve("localhost", 1790)][-1] in ("127.0.0.1", "::1")


def test_a_look_up_that_hangs_later_gives_the_addresses_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = resolve("localhost", 1791)
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: go_on.wait(60))
    assert resolve("localhost", 1791, time.monotonic() + 0.1) == expected
    go_on.set()


class ClosingWallet:
    """A wallet that closes kept connections just as the next request arrives: it reads the request, and executes it or not.

    Args:
        answers: for each connection, how many requests it answers before it closes.
        last_bytes: what it sends before it closes.
    """

    def __init__(self, *answers: int, last_bytes: bytes = b"") -> None:
        self.requests = 0
        self.connections = 0
        self._answers = answers
        self._last_bytes = last_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        body = json.dumps({"result": {"transactionHash": "CD" * 32}}).encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for count in self._answers:
            client_socket, _ = self._listener.accept()
            self.connections += 1
            with client_socket:
                for number in range(count + 1):
                    request = b""
                    while not request.endswith(b"}"):  # the end of its body
                        received = client_socket.recv(65536)
                        if not received:
                            break
                        request += received
                    if not request:
                        break
                    self.requests += 1
                    client_socket.sendall(answer if number < count else self._last_bytes)

    def __enter__(self) -> "ClosingWallet":
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(10)
        self._listener.close()


def batch(*time_in_force: str, cancellation: Optional[dict[str, str]] = None, market: str = "aa") -> dict[str, Any]:
    submissions = [{"marketId": market, "timeInForce": each} for each in time_in_force]
    return {"batchMarketInstructions": {"submissions": submissions, "cancellations": [cancellation or {"marketId": "aa"}]}}


def test_a_batch_that_begins_with_a_market_wide_cancellation_is_sent_once_more_when_a_kept_connection_closes() -> None:
    with ClosingWallet(1, 1) as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        assert wallet.submit_transaction(batch("TIME_IN_FORCE_GTC")) == "CD" * 32
        assert wallet.submit_transaction(batch("TIME_IN_FORCE_GTC")) == "CD" * 32
        wallet._session.close()
    assert (server.requests, server.connections) == (3, 2)


@pytest.mark.parametrize(
    "transaction",
    [
        batch("TIME_IN_FORCE_GTC", cancellation={"marketId": "aa", "orderId": "bb"}),
        batch("TIME_IN_FORCE_GTC", market="bb"),
        batch("TIME_IN_FORCE_GTC", "TIME_IN_FORCE_IOC"),
        {"batchMarketInstructions": {"submissions": [], "cancellations": []}},
        {"orderSubmission": {"marketId": "aa"}},
    ],
    ids=["one order", "another market", "IOC", "empty", "an order alone"],
)
def test_another_transaction_is_not_sent_again_and_may_have_been_executed(transaction: dict[str, Any]) -> None:
    with ClosingWallet(1) as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        wallet.submit_transaction({})
        with pytest.raises(WalletError) as caught:
            wallet.submit_transaction(transaction)
        wallet._session.close()
    assert caught.value.may_have_executed
    assert server.requests == 2


def test_a_new_connection_that_closes_is_not_tried_again() -> None:
    with ClosingWallet(0) as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        with pytest.raises(WalletError) as caught:
            wallet.submit_transaction(batch())
    assert caught.value.may_have_executed
    assert server.requests == 1


def test_a_kept_connection_on_which_no_answer_comes_in_time_is_not_one_that_closed() -> None:
    with Replay(Answer({"result": {"transactionHash": "CD" * 32}}), Answer(hang=True)) as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        wallet.submit_transaction(batch("TIME_IN_FORCE_GTC"))
        with pytest.raises(WalletError, match=r"^wallet: no answer within 0\.2 s"):
            wallet.submit_transaction(batch("TIME_IN_FORCE_GTC"), timeouts=(10.0, 0.2))
        wallet._session.close()
    assert len(server.requests) == 2


def test_a_batch_is_sent_once_more_only() -> None:
    with ClosingWallet(1, 0) as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        wallet.submit_transaction(batch())
        with pytest.raises(WalletError) as caught:
            wallet.submit_transaction(batch())
    assert caught.value.may_have_executed
    assert server.requests == 3


def test_a_kept_connection_that_closes_in_the_middle_of_an_answer_is_not_tried_again() -> None:
    with ClosingWallet(1, last_bytes=b"HTTP/1.1 2") as server:
        wallet = VegaWallet("t0k3n", server.url, "key")
        wallet.submit_transaction(batch())
        with pytest.raises(WalletError) as caught:
            wallet.submit_transaction(batch())
    assert caught.value.may_have_executed
    assert server.requests == 2
