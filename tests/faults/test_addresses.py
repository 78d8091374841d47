"""Addresses, and what answers there: capitals, passwords, redirects, several addresses of a host, additions of a load balancer."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

import bot.vega_api_client as client
from tests.sandbox import Sandbox
from tests.support.frames import FIRST_FRAMES, MARKET, STREAMS
from tests.support.handshakes import UPGRADE, HandshakeServer
from tests.support.http_replay import Answer, Replay, recorded
from tests.support.processes import ROOT, BotProcess, StoreProcess
from tests.support.scripted_node import BOT, ScriptedNode, recorded_node
from tests.support.waiting import DEFAULT_TIMEOUT

SWITCHING = "HTTP/1.1 101 Switching Protocols"
SETTINGS = {
    "MARKET_ID": "a" * 64,
    "PARTY_ID": "b" * 64,
    "WALLET_TOKEN": "s3cr3tT0k3n",
    "NODE_URL": "http://127.0.0.1:3008/api/v2",
    "WS_URL": "ws://127.0.0.1:3008/api/v2",
    "WALLET_URL": "http://127.0.0.1:1789",
}


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)
        yield running


def settings_error(**changes: str) -> str:
    """Start the bot with settings that are wrong; return what it prints."""
    command = [sys.executable, "-m", "main"]
    environment = {**SETTINGS, **changes}
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert run.returncode == 2
    return run.stdout + run.stderr


def test_schemes_in_capitals_work() -> None:
    with Sandbox(block_time=0.25, seed=5) as sandbox:
        urls = {
            "NODE_URL": sandbox.node_url.replace("http", "HTTP"),
            "WS_URL": sandbox.ws_url.replace("ws", "WS"),
            "WALLET_URL": sandbox.wallet_url.replace("http", "Http"),
        }
        with BotProcess(sandbox, sandbox.markets["future"], command=("-m", "main"), **urls) as bot:
            bot.wait_for(r"\| quoted$")
            assert bot.stop(signal.SIGINT) == 0


def test_the_store_takes_a_scheme_in_capitals(node: ScriptedNode) -> None:
    with StoreProcess(node.ws_url.replace("ws", "WS"), node.rest_url, MARKET, BOT):
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)


@pytest.mark.parametrize("name", ["NODE_URL", "WS_URL", "WALLET_URL"])
@pytest.mark.parametrize("user", ["user:pass-word@", "pass-word@", ":pass-word@"])
@pytest.mark.parametrize("host", ["127.0.0.1:1789", "bad host", "127.0.0.1:port"])
def test_a_user_or_password_in_an_address_is_a_settings_error_that_does_not_show_it(name: str, user: str, host: str) -> None:
    output = settings_error(**{name: f"{SETTINGS[name].partition('://')[0]}://{user}{host}"})
    assert re.match(f"{name} in .* has a user or a password in it", output)
    assert output.count("\n") == 1
    assert "pass-word" not in output
    assert "user:" not in output


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_handshake_is_not_followed_and_its_target_shown(node: ScriptedNode, status: int) -> None:
    base = f"{node.rest_url.replace('127.0.0.1', 'localhost')}"
    lines = [f"HTTP/1.1 {status} Moved", f"Location: {base}/stream/orders?partyIds=1", "Content-Length: 0"]
    with HandshakeServer(lines) as server, StoreProcess(server.ws_url, node.rest_url, MARKET, BOT) as store:
        target = base.replace("http", "ws")
        answered = rf"handshake answered HTTP {status}: redirect to {target}/stream/orders\?partyIds=1"
        store.wait_for(rf"^stream orders: connection lost \({answered} \(put WS_URL={target} into .env\)\), reconnecting in [\d.]+ s$")
        store.wait_for("^stream accounts: connection lost")
    assert not node.connections


def test_a_redirect_to_something_else_than_a_stream_is_shown(node: ScriptedNode) -> None:
    lines = ["HTTP/1.1 302 Found", "Location: /login", "Content-Length: 0"]
    with HandshakeServer(lines) as server, StoreProcess(server.ws_url, node.rest_url, MARKET, BOT) as store:
        target = server.ws_url.replace("/api/v2", "/login")
        store.wait_for(rf"\(handshake answered HTTP 302: redirect to {target} \(check WS_URL\)\), reconnecting")


@pytest.mark.parametrize(
    "url", ["ws://[::1/api/v2", "ws://a..b/api/v2", "ws://127.0.0.1:99999/api/v2", "http://127.0.0.1/api/v2", "nothing"]
)
def test_an_address_that_cannot_be_connected_to_is_a_lost_connection(node: ScriptedNode, url: str) -> None:
    with StoreProcess(url, node.rest_url, MARKET, BOT, reconnect=1) as store:
        for stream in STREAMS:
            store.wait_for(f"{stream}.*: connection lost .*, reconnecting in 1 s$")
        assert store.ask("get_market_by_id", MARKET) is not None
    assert "Traceback" not in store.output


# node.example has several addresses, and only the last one answers.
SEVERAL_ADDRESSES = """
import socket
look_up = socket.getaddrinfo
def all_of(host, port, *args, **options):
    if host != "node.example":
        return look_up(host, port, *args, **options)
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in ADDRESSES]
socket.getaddrinfo = all_of
"""


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that leaves attempts to connect without an answer: its backlog is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()


@pytest.mark.parametrize("first", ["silent", "refused", "two silent ones"])
def test_each_address_of_a_host_gets_a_try(node: ScriptedNode, silent: tuple[str, int], first: str) -> None:
    addresses = {"silent": [silent], "refused": [("127.0.0.1", 1)], "two silent ones": [silent, silent]}[first]
    addresses.append(("127.0.0.1", int(node.ws_url.split(":")[2].split("/")[0])))
    setup = f"ADDRESSES = {addresses}\n{SEVERAL_ADDRESSES}"
    with StoreProcess("ws://node.example/api/v2", "http://node.example/api/v2", MARKET, BOT, setup=setup) as store:
        store.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
    assert "connection lost" not in store.output


ADDITIONS: dict[str, Sequence[str]] = {
    "nothing": [SWITCHING, *UPGRADE],
    "a cookie": [SWITCHING, *UPGRADE, "Set-Cookie: AWSALB=x; Path=/; Domain=.example.com"],
    "a cookie that is none": [SWITCHING, *UPGRADE, "Set-Cookie: a[b]=c; Domain=x; =; \u00e9=1"],
    "two cookies": [SWITCHING, *UPGRADE, "Set-Cookie: a=b; Domain=y", "set-cookie: b=d,e; Expires=never"],
    "unknown headers": [SWITCHING, *UPGRADE, "X-Empty:", "X-\u00e9: \u00fc\u00ff", "Server: x" + "y" * 10_000, "no colon", ": no name"],
    "early hints": ["HTTP/1.1 103 Early Hints", "Link: </x>; rel=preload", "", "HTTP/1.1 100 Continue", "", SWITCHING, *UPGRADE],
    "two connection headers": [SWITCHING, "Connection: keep-alive", *UPGRADE],
    "another order and case": ["HTTP/1.1 101", "SEC-WEBSOCKET-ACCEPT: {accept}", "connection: keep-alive,UPGRADE", "UPGRADE: WebSocket"],
    "a continued line": [SWITCHING, "Connection: keep-alive,", " Upgrade", "X-A: b", "\tSec-WebSocket-Accept: c", UPGRADE[0], UPGRADE[2]],
    "an empty extension": [SWITCHING, *UPGRADE, "Sec-WebSocket-Extensions:"],
}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_additions_of_a_load_balancer_to_the_handshake_keep_no_stream_from_opening(node: ScriptedNode, addition: str) -> None:
    with HandshakeServer(ADDITIONS[addition]) as server, StoreProcess(server.ws_url, node.rest_url, MARKET, BOT) as store:
        store.wait_until(lambda: store.ask("seconds_since_update", MARKET) < 60)
        store.wait_until(lambda: len(server.connections) == 4)
        assert "connection lost" not in store.output


REJECTIONS: dict[str, tuple[Sequence[str], str]] = {
    "extension": ([SWITCHING, *UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate"], "the extension permessage-deflate, which was not"),
    "endless headers": ([SWITCHING, "X: " + "y" * 100_000], "more than 16384 bytes of headers"),
    "endless hints": (["HTTP/1.1 103 Early Hints", ""] * 30, "20 interim answers"),
    "another protocol": (["SSH-2.0-OpenSSH_9.6"], "not answered with HTTP: SSH-2.0-OpenSSH_9.6"),
    "wrong key": ([SWITCHING, *UPGRADE[:2], "Sec-WebSocket-Accept: x"], "Invalid WebSocket Header"),
    "no body": (["HTTP/1.1 401 Unauthorized", "Content-Length: 0"], "HTTP 401: Unauthorized"),
    "a redirect to half an address": (["HTTP/1.1 302 Found", "Location: http://[::1"], r"HTTP 302: redirect to ws://\[::1 \(check WS_URL"),
    "an error page": (["HTTP/1.1 502 Bad Gateway", "Content-Length: 9", "", "<p>no</p>"], "HTTP 502: <p>no</p>"),
}


@pytest.mark.parametrize("kind", REJECTIONS)
def test_a_handshake_that_is_answered_with_something_else_is_named(node: ScriptedNode, kind: str) -> None:
    lines, message = REJECTIONS[kind]
    with HandshakeServer(lines) as server, StoreProcess(server.ws_url, node.rest_url, MARKET, BOT) as store:
        store.wait_for(rf"^stream orders: connection lost \(.*{message}.*\), reconnecting in [\d.]+ s$")


def test_interim_answers_before_a_rest_answer_are_skipped() -> None:
    with Replay(Answer(recorded("markets")["body"], interim=True)) as node:
        assert len(client.get_markets(node.url)) == 3


def test_a_host_name_is_looked_up_again_for_each_connection() -> None:
    code = """
import os, socket
from bot.transport.sockets import resolve
found = [["127.0.0.1"], ["127.0.0.2"]]
socket.getaddrinfo = lambda host, port, *args: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found.pop(0)[0], port))]
assert [resolve("node.example", 1)[0][4][0] for _ in range(2)] == ["127.0.0.1", "127.0.0.2"]
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=DEFAULT_TIMEOUT
    )
    assert (run.returncode, run.stderr) == (0, "")
