"""Proxies: REST, streams and wallet take the same one or none, never for this machine; errors on the way name it."""

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import bot.vega_api_client as client
from bot.transport.proxies import ProxySettingError, is_local, proxy_for, proxy_problems
from bot.wallet import VegaWallet, WalletError
from tests.support.frames import FIRST_FRAMES, MARKET, STREAMS
from tests.support.http_proxy import HttpProxy
from tests.support.http_replay import Answer, Replay
from tests.support.processes import ROOT, StoreProcess
from tests.support.scripted_node import BOT, ScriptedNode, recorded_node
from tests.support.waiting import DEFAULT_TIMEOUT

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TOKEN = "s3cr3tT0k3n0123456789"
HASH = Answer({"result": {"transactionHash": "AB" * 32}})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)
        yield running


def send_to_wallet(url: str) -> None:
    VegaWallet(TOKEN, url, "key").submit_transaction({}, timeouts=(10.0, 10.0))


FORMS = {
    "http_proxy": "http://{}",
    "HTTP_PROXY": "http://{}/",
    "all_proxy": "http://{}",
    "ALL_PROXY": "HTTP://{}",
    "http_proxy without a scheme": "{}",
    "ALL_PROXY without a scheme": "//{}",
    "http_proxy with a password": "http://user:p%40ss@{}",
    "http_proxy with a password in other letters": "http://user:\u0436\xfc@{}",
}


@pytest.mark.parametrize("form", FORMS)
def test_rest_streams_and_wallet_take_the_same_proxy(node: ScriptedNode, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    with HttpProxy(node.rest_url) as proxy, Replay(HASH) as wallet, HttpProxy(wallet.url) as wallet_proxy:
        monkeypatch.setenv(form.split()[0], FORMS[form].format(proxy.address))
        with StoreProcess("ws://node.example:3008/api/v2", "http://node.example:3008/api/v2", MARKET, BOT) as store:
            store.wait_for("READY")
            for stream in STREAMS:
                node.wait_for_connections(stream, 1)
        monkeypatch.setenv(form.split()[0], FORMS[form].format(wallet_proxy.address))
        send_to_wallet("http://wallet.example:1789")
    assert proxy.requests.count("CONNECT node.example:3008 HTTP/1.1") == len(STREAMS)
    assert "GET http://node.example:3008/api/v2/assets HTTP/1.1" in proxy.requests
    assert wallet_proxy.requests == ["POST http://wallet.example:1789/api/v2/requests HTTP/1.1"]
    if "password" in form:
        password = "\u0436\xfc" if "letters" in form else "p@ss"
        credentials = base64.b64encode(f"user:{password}".encode()).decode()
        assert all(f"Proxy-Authorization: Basic {credentials}\r\n" in head for head in [*proxy.heads, *wallet_proxy.heads])


@pytest.mark.parametrize("name", [*VARIABLES[:3], *map(str.upper, VARIABLES[:3])])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_a_proxy_is_never_used_for_this_machine(node: ScriptedNode, monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    with HttpProxy() as proxy, Replay(HASH) as wallet:
        monkeypatch.setenv(name, f"http://{proxy.address}")
        send_to_wallet(wallet.url.replace("127.0.0.1", host))
        client.get_market(node.rest_url.replace("127.0.0.1", host), MARKET)
    assert proxy.requests == []
    assert TOKEN in wallet.requests[0].headers["authorization"]


def test_streams_on_this_machine_take_no_proxy(node: ScriptedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpProxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.address}")
        url = node.ws_url.replace("127.0.0.1", "localhost")
        with StoreProcess(url, node.rest_url.replace("127.0.0.1", "localhost"), MARKET, BOT) as store:
            store.wait_for("READY")
            for stream in STREAMS:
                node.wait_for_connections(stream, 1)
    assert proxy.requests == []


@pytest.fixture
def closed_port() -> Iterator[str]:
    with socket.socket() as unused:  # bound, but it does not listen
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


def assert_rest_and_wallet_fail(scheme: str, error: str) -> None:
    with pytest.raises(client.VegaApiError, match=error):
        client.get_market(f"{scheme}://node.example/api/v2", MARKET, deadline=time.monotonic() + 1.9)
    with pytest.raises(WalletError, match=error):
        send_to_wallet(f"{scheme}://wallet.example")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_error_of_rest_or_wallet_names_the_proxy_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, closed_port: str, scheme: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://user:pass-word@{closed_port}")
    assert_rest_and_wallet_fail(scheme, rf"[Cc]onnection refused.*\(via ALL_PROXY, http://{closed_port}\)")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_error_of_rest_or_wallet_names_the_proxy_that_rejects_the_call(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with HttpProxy(answer="407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("all_proxy", proxy.address)
        assert_rest_and_wallet_fail(scheme, rf"407.*\(via all_proxy, http://{proxy.address}\)")


def test_a_page_of_the_proxy_instead_of_an_answer_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpProxy(answer="200 Please log in") as proxy:
        monkeypatch.setenv("all_proxy", proxy.address)
        assert_rest_and_wallet_fail("http", rf"\(via all_proxy, http://{proxy.address}\)")


def test_an_error_of_a_stream_names_the_proxy(node: ScriptedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpProxy(answer="403 Forbidden") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass-word@{proxy.address}")
        with StoreProcess("ws://node.example/api/v2", node.rest_url, MARKET, BOT) as store:
            expected = (
                rf"connection lost \(the proxy answered HTTP 403: Forbidden \(via HTTP_PROXY, http://{proxy.address}\)\), reconnecting"
            )
            for stream in STREAMS:
                store.wait_for(f"^stream {stream}: {expected}")
        assert "pass-word" not in store.output


UNUSABLE = {
    "socks5://127.0.0.1:1080": "names a SOCKS proxy",
    "SOCKS5H://user:pass-word@proxy.example": "names a SOCKS proxy",
    "https://proxy.example:3129": "names a proxy of the kind https://",
    "http://user:pass-word@proxy.example:port": "is not the address of a proxy",
    "http://": "is not the address of a proxy",
    "http://a proxy:3128": "is not the address of a proxy",
    "http://pass-word\r\nX: y@proxy.example:3128": "is not the address of a proxy",
    "user:pass-word@": "is not the address of a proxy",
}


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_ends_the_start_with_one_line_that_names_the_variable(name: str, value: str) -> None:
    settings = {
        "MARKET_ID": "a" * 64,
        "PARTY_ID": "b" * 64,
        "WALLET_TOKEN": TOKEN,
        "NODE_URL": "https://node.example/api/v2",
        "WS_URL": "wss://node.example/api/v2",
        "WALLET_URL": "http://127.0.0.1:1789",
    }
    command = [sys.executable, "-m", "main"]
    run = subprocess.run(command, env={**settings, name: value}, cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert run.returncode == 2
    assert run.stderr == f"{name} {UNUSABLE[value]}{run.stderr.partition(UNUSABLE[value])[2]}"
    assert run.stderr.count("\n") == 1
    assert "pass-word" not in run.stderr


def test_a_proxy_that_nothing_needs_causes_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    assert proxy_problems(["http://127.0.0.1:3008/api/v2", "ws://localhost/api/v2"]) == []
    with pytest.raises(ProxySettingError):
        proxy_for("http://node.example")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "127.1", "2130706433", "0x7f000001", "::1", "::ffff:127.0.0.1", "LocalHost.", "a.localhost", "0.0.0.0"],
)
def test_this_machine_has_many_names(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["node.example", "128.0.0.1", "localhost.example", "10.0.0.1", "::2", ""])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("excluded", "url"),
    [
        ("*", "http://node.example"),
        ("node.example", "http://node.example:3008"),
        ("other.example, NODE.example", "ws://node.example"),
        ("example", "http://node.example"),
        (".example", "wss://node.example"),
        ("*.example", "https://node.example"),
        ("node.example:3008", "http://node.example:3008"),
        ("node.example:443", "wss://node.example"),
        ("10.0.0.0/8", "http://10.1.2.3"),
        ("10.1.2.3", "http://10.1.2.3"),
        ("fd00::/8", "http://[fd00::1]"),
    ],
)
def test_no_proxy_excludes_hosts_domains_ports_and_networks(monkeypatch: pytest.MonkeyPatch, excluded: str, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert proxy_for(url) is not None
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    "excluded", ["xnode.example", "ode.example", "node.example:3008", "10.0.0.0/8", "", "10.0.0.0/99", "node.example.com"]
)
def test_no_proxy_excludes_nothing_else(monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxy_for("http://node.example") is not None


def test_the_variable_of_the_scheme_comes_before_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "all.example:1")
    monkeypatch.setenv("HTTP_PROXY", "upper.example:2")
    monkeypatch.setenv("http_proxy", "lower.example")
    hosts = [(proxy.host, proxy.port) for url in ("http", "ws", "https", "wss") if (proxy := proxy_for(f"{url}://node.example"))]
    assert hosts == [("lower.example", 80), ("lower.example", 80), ("all.example", 1), ("all.example", 1)]
