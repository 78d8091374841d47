"""bot/transport/event_loop.py: rel's one loop, each time in its own process, on real streams."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.processes import Process
from tests.support.waiting import wait_until

all_registrars = pytest.mark.parametrize("registrar", ["epoll", "poll", "select"])
BEGIN = """
import rel, signal, sys, threading
import bot.transport.event_loop
from bot.vega_ws_client import VegaWebSocketClient

url, market_id, registrar = sys.argv[1:4]
rel.initialize([registrar], options=("strict",))
delivered = threading.Event()

def subscribe(callback):
    client = VegaWebSocketClient(url)
    client.subscribe_market_data(market_id, callback=callback)
    return client

def say(*words):
    print(*words, flush=True)
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.02, seed=2, traders=False) as running:
        yield running


def child(sandbox: Sandbox, code: str, registrar: str, *arguments: str) -> Process:
    command = [sys.executable, "-c", BEGIN + code, sandbox.ws_url, sandbox.markets["future"], registrar, *arguments]
    return Process(command, {})


@pytest.mark.parametrize("caller", ["thread", "handler"])
@all_registrars
def test_rel_abort_ends_the_dispatch_from_any_caller(sandbox: Sandbox, registrar: str, caller: str) -> None:
    code = """
import os
rel.signal(signal.SIGUSR1, rel.abort)
subscribe(lambda result: delivered.set())

def end():
    delivered.wait()
    rel.abort() if sys.argv[4] == "thread" else os.kill(os.getpid(), signal.SIGUSR1)

threading.Thread(target=end).start()
rel.dispatch()
say("ended")
"""
    with child(sandbox, code, registrar, caller) as process:
        process.wait_for("^ended$")
        assert process.finish() == 0
        assert process.lines == ["ended"]


@pytest.mark.parametrize("caller", ["thread", "handler"])
@all_registrars
def test_a_call_from_elsewhere_wakes_the_poll_and_runs_on_the_main_thread(sandbox: Sandbox, registrar: str, caller: str) -> None:
    code = """
import os
import bot.transport.connection
bot.transport.event_loop.MAX_POLL_WAIT = bot.transport.connection.HANDSHAKE_TIMEOUT = bot.transport.connection.CHECK_INTERVAL = 3600.0
client = VegaWebSocketClient(url)
client.subscribe_endpoint(url + "/stream/markets/data?foo=bar", callback=print)  # a stream of no market is silent
event_loop = bot.transport.event_loop.EventLoop.get()

def call(*_):
    event_loop.call_soon_threadsafe(lambda: say("called on", threading.current_thread() is threading.main_thread()))

signal.signal(signal.SIGUSR1, call)
act = call if sys.argv[4] == "thread" else lambda: os.kill(os.getpid(), signal.SIGUSR1)
rel.timeout(0, lambda: threading.Timer(0.2, act).start())
rel.dispatch()
"""
    with child(sandbox, code, registrar, caller) as process:
        process.wait_for("^called on True$")


@all_registrars
def test_nothing_is_delivered_after_an_abort_in_a_callback(sandbox: Sandbox, registrar: str) -> None:
    code = """
def end(result):
    say("delivered")
    rel.abort()

clients = [subscribe(end), subscribe(end)]
rel.dispatch()
say("ended")
"""
    with child(sandbox, code, registrar) as process:
        process.wait_for("^ended$")
        assert process.finish() == 0
        assert process.lines == ["delivered", "ended"]


@all_registrars
def test_a_stop_from_another_thread_before_the_dispatch_ends_it_too(sandbox: Sandbox, registrar: str) -> None:
    code = """
client = subscribe(lambda result: None)
stopper = threading.Thread(target=client.stop)
stopper.start()
stopper.join()
rel.dispatch()
say("ended")
"""
    with child(sandbox, code, registrar) as process:
        process.wait_for("^ended$")
        assert process.finish() == 0


@all_registrars
def test_a_second_dispatch_after_an_abort_ends_with_ctrl_c(sandbox: Sandbox, registrar: str) -> None:
    code = """
subscribe(lambda result: rel.abort())
rel.dispatch()
say("first ended")
rel.timeout(0.01, lambda: say("runs") or True)
rel.dispatch()
say("second ended")
"""
    with child(sandbox, code, registrar) as process:
        process.wait_for("^runs$", after=process.wait_for("^first ended$"))
        process.signal(signal.SIGINT)
        process.wait_for("^second ended$")
        assert process.finish() == 0


@all_registrars
def test_after_clients_that_have_stopped_a_new_one_is_delivered_to_and_stops(sandbox: Sandbox, registrar: str) -> None:
    code = """
clients = [subscribe(lambda result: clients[1].stop()), subscribe(lambda result: None)]
rel.dispatch()
say("first ended")
third = subscribe(lambda result: threading.Thread(target=third.stop).start())
rel.dispatch()
say("second ended")
assert rel.rel.registrar.event_loop is None  # plain rel again
"""
    with child(sandbox, code, registrar) as process:
        process.wait_for("^second ended$", after=process.wait_for("^first ended$"))
        assert process.finish() == 0


def test_an_exception_in_a_callback_leaves_the_dispatch_and_an_abort_then_closes_all(sandbox: Sandbox) -> None:
    def open_connections() -> int:
        return int(sandbox.call(lambda box: box.node.open_connections.get("markets/data", 0)))

    code = """
subscribe(lambda result: 1 / 0)
try:
    rel.dispatch()
except ZeroDivisionError:
    rel.abort()
say("ended", bot.transport.event_loop.EventLoop._current)
input()
"""
    with child(sandbox, code, "epoll") as process:
        process.wait_for("^ended None$")
        wait_until(lambda: open_connections() == 0)
