"""bot/transport/http.py: calls that hang where no timeout of requests applies, in a name look-up."""

import socket
import threading
import time
from typing import Any

import pytest

import bot.vega_api_client as client
from bot.transport.http import call_with_deadline
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


def wait_for_look_ups_to_end() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("look up "):
            thread.join(10)
            assert not thread.is_alive()


def test_a_name_look_up_that_hangs_is_an_error_of_the_call(names: threading.Event) -> None:
    with pytest.raises(client.VegaApiError, match=r"^GET orders.*no answer from http://node\.example: no answer within 0\.1 s"):
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
