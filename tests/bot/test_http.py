"""bot/transport/http.py: calls that hang where no timeout of requests reaches, in a name look-up."""

import socket
import threading
from typing import Any

import pytest
import requests

import bot.vega_api_client as client
from bot.transport.http import in_time
from bot.wallet import VegaWallet, WalletError
from tests.support.http_replay import Replay, recorded_answer


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


def wait_for_calls_to_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "HTTP call":
            thread.join(10)
            assert not thread.is_alive()


def test_a_name_look_up_that_hangs_is_an_error_of_the_call(names: threading.Event) -> None:
    with pytest.raises(client.VegaApiError, match=r"^GET orders.*no answer from http://node\.example: not over within 0\.1 s"):
        client.get_open_orders("p", "http://node.example", within=0.1)
    names.set()


def test_what_was_given_up_while_it_connected_is_never_sent(names: threading.Event) -> None:
    with Replay(recorded_answer("markets")) as server:
        wallet = VegaWallet("t0k3n", f"http://node.example:{server.url.rpartition(':')[2]}", "key")
        with pytest.raises(WalletError, match=r"^wallet: not over within 0\.2 s"):
            wallet.submit_transaction({}, timeouts=(0.1, 0.1))
        names.set()  # now it connects
        wait_for_calls_to_end()
    assert len(server.connections) <= 1
    assert server.requests == []


def test_a_call_that_ends_in_time_returns_or_raises_what_it_does() -> None:
    assert in_time(10, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(10, lambda: 1 / 0)


def test_one_that_does_not_end_is_left_alone() -> None:
    forever = threading.Event()
    with pytest.raises(requests.Timeout):
        in_time(0.05, forever.wait)
    forever.set()
    wait_for_calls_to_end()
