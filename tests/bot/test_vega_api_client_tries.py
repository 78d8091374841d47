"""bot/vega_api_client.py against a real HTTP server: what is tried again, how long it may take, one connection for all."""

import itertools
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Optional

import pytest

import bot.vega_api_client as client
from bot.transport.http import MAX_RETRY_AFTER, retry_delay
from bot.wallet import VegaWallet, WalletError
from tests.support.http_replay import Answer, Replay, recorded_answer

ONE_TRY = client.MIN_RETRY_TIME - 0.1  # s
MARKET = "cbe5d71234d0177ddf258bf7c0488dc91f6ca25c367423730f22dea28f562cf2"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def deadline_in(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else time.monotonic() + seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_temporary_failure_is_retried(status: int) -> None:
    with Replay(Answer("busy", status=status), recorded_answer("markets")) as node:
        assert len(client.get_markets(node.url)) == 3
    assert node.paths == ["/markets", "/markets"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
def test_a_rejection_is_not_tried_again(status: int) -> None:
    with Replay(Answer("no", status=status), recorded_answer("markets")) as node, pytest.raises(client.VegaApiError):
        client.get_markets(node.url)
    assert len(node.requests) == 1


def test_a_connection_lost_before_the_answer_is_tried_again() -> None:
    with Replay(Answer(drop=True), recorded_answer("markets")) as node:
        assert len(client.get_markets(node.url)) == 3


def test_a_node_that_stays_busy_is_asked_three_times_and_quoted() -> None:
    busy = Answer({"code": 8, "message": "", "details": [{"message": "too many requests", "inner": "slow down"}]}, status=503)
    with Replay(then=itertools.repeat(busy)) as node, pytest.raises(client.VegaApiError, match=r"HTTP 503, too many requests: slow down$"):
        client.get_markets(node.url)
    assert len(node.requests) == 3


def test_retry_after_is_honoured() -> None:
    with Replay(Answer("busy", status=429, headers={"Retry-After": "1"}), recorded_answer("markets")) as node:
        began = time.monotonic()
        client.get_markets(node.url)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("value", ["1.5", "soon", "-5", "9" * 5000, "\xb2", "Fri, 99 Foo 99999 99:99:99 GMT"])
def test_an_unreadable_retry_after_costs_neither_the_tries_nor_the_nodes_error_message(value: str) -> None:
    busy = Answer({"code": 8, "message": "", "details": [{"message": "too many requests"}]}, status=429, headers={"Retry-After": value})
    with Replay(then=itertools.repeat(busy)) as node, pytest.raises(client.VegaApiError, match=r"HTTP 429, too many requests$"):
        client.get_markets(node.url)
    assert len(node.requests) == 3


def test_a_redirect_to_a_bad_address_is_an_error_of_the_call() -> None:
    with (
        Replay(Answer(status=302, headers={"Location": "http://a..b/"})) as node,
        pytest.raises(client.VegaApiError, match=r"^GET markets: "),
    ):
        client.get_markets(node.url)


BROKEN = {
    "a redirect to half an address": Answer(status=302, headers={"Location": "http://[::1"}),
    "a redirect that is not UTF-8": Answer(status=302, headers={"Location": "http://\xff/"}),
    "a redirect to a port that does not exist": Answer(status=302, headers={"Location": "http://127.0.0.1:99999/"}),
    "an endless length": Answer("{}", headers={"Content-Length": "9" * 5000, "Connection": "close"}),
    "a length that is not a number": Answer("{}", headers={"Content-Length": "\xb2", "Connection": "close"}),
    "a chunk of a negative length": Answer("-5\r\n{}", headers={"Transfer-Encoding": "chunked"}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_breaks_http_is_an_error_of_the_call(kind: str) -> None:
    with Replay(BROKEN[kind]) as node, pytest.raises(client.VegaApiError, match=r"^GET market/x: no answer from ") as raised:
        client.get_market(node.url, "x", deadline=deadline_in(ONE_TRY))
    assert raised.value.retryable


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_of_the_wallet_that_breaks_http_is_an_error_of_the_call(kind: str) -> None:
    with Replay(BROKEN[kind]) as wallet, pytest.raises(WalletError) as raised:
        VegaWallet("t0k3n", wallet.url, "key").submit_transaction({})
    assert raised.value.may_have_executed


def test_a_long_reason_is_cut() -> None:
    class Talkative(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500, "very " * 5000)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Talkative) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(client.VegaApiError) as raised:
            client.get_market(f"http://127.0.0.1:{server.server_port}", "x", deadline=deadline_in(ONE_TRY))
        server.shutdown()
    assert len(str(raised.value)) < 300


def test_a_block_height_of_thousands_of_digits_is_left_out() -> None:
    with Replay(Answer({"market": {}}, headers={"X-Block-Height": "9" * 5000, "X-Block-Timestamp": "7"})) as node:
        assert client.get_with_block("market/x", "market", node.url) == ({}, client.Block(0, 7))


def retry_after(value: str) -> float:
    return retry_delay(SimpleNamespace(headers={"Retry-After": value}), attempt=1)


def test_retry_after_of_seven_seconds_is_seven_seconds() -> None:
    assert retry_after("7") == 7


def test_retry_after_of_an_hour_is_cut_to_ten_seconds() -> None:
    assert retry_after("3600") == MAX_RETRY_AFTER == 10


def test_retry_after_given_as_a_date_is_cut_to_ten_seconds_too() -> None:
    assert retry_after(formatdate(time.time() + 3600, usegmt=True)) == 10


def test_one_try_tries_once_even_where_the_node_asks_to_come_back() -> None:
    with Replay(Answer("busy", status=429, headers={"Retry-After": "9"}), recorded_answer("future-market")) as node:
        began = time.monotonic()
        with pytest.raises(client.VegaApiError, match="HTTP 429, busy"):
            client.get_market(node.url, MARKET, deadline=time.monotonic() + 0.9)
    assert len(node.requests) == 1
    assert time.monotonic() - began < 5


def test_one_try_at_a_node_that_hangs_takes_a_second_at_most() -> None:
    with Replay(Answer(hang=True)) as node:
        began = time.monotonic()
        with pytest.raises(client.VegaApiError, match=f"GET market/{MARKET}: no answer"):
            client.get_market(node.url, MARKET, deadline=time.monotonic() + 0.9)
    assert time.monotonic() - began < 2 * 1


def test_one_try_at_an_answer_that_trickles_takes_a_second_at_most() -> None:
    with Replay(Answer({"market": "twelve bytes"}, pause=0.2)) as node:
        began = time.monotonic()
        with pytest.raises(client.VegaApiError):
            client.get_market(node.url, MARKET, deadline=time.monotonic() + 0.9)
    assert time.monotonic() - began < 2 * 1


@pytest.mark.parametrize("seconds", [None, ONE_TRY])
def test_calls_share_one_connection(seconds: Optional[float]) -> None:
    with Replay(recorded_answer("assets"), recorded_answer("markets"), recorded_answer("bad-market"), recorded_answer("assets")) as node:
        client.execute_get_request("assets", "assets", node.url, deadline_in(seconds))
        client.execute_get_request("markets", "markets", node.url, deadline_in(seconds))
        with pytest.raises(client.VegaApiError):
            client.execute_get_request("market/x", "market", node.url, deadline_in(seconds))
        client.execute_get_request("assets", "assets", node.url, deadline_in(seconds))
    assert len(node.requests) == 4
    assert len(node.connections) == 1


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (404, False), (429, True), (500, True), (503, True)])
def test_an_error_says_whether_another_try_may_help(status: int, retryable: bool) -> None:
    with Replay(Answer("no", status=status)) as node, pytest.raises(client.VegaApiError) as caught:
        client.execute_get_request("markets", "markets", node.url, deadline_in(ONE_TRY))
    assert caught.value.retryable == retryable
