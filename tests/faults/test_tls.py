"""Streams and REST over TLS: all that a record holds arrives at once, certificates are checked in any environment, faults are as on TCP."""

import contextlib
import functools
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
import trustme
from aiohttp import web

import bot.vega_api_client as client
from bot.wallet import VegaWallet, WalletError
from tests.bot.test_vega_ws_client import BOT, EMPTY, GOOD, MARKET, STREAMS, live_orders, order_frame
from tests.faults.test_streams import threads_and_sockets, wait_for_no_more_than
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import StoreProcess
from tests.support.scripted_node import Raw, ScriptedNode, recorded_node

LARGEST_RECORD = 16384  # bytes


class TlsNode(ScriptedNode):
    """The recorded node behind TLS: `https://` and `wss://` on one port."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        with recorded_node() as plain:
            self.rest = plain.rest
        self.first_frames = {"accounts": [EMPTY], "orders": [EMPTY], "positions": [EMPTY], "markets/data": [GOOD]}
        self._context = context

    async def _start(self) -> None:
        listen = web.TCPSite
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(web, "TCPSite", functools.partial(listen, ssl_context=self._context))
            await super()._start()

    @property
    def rest_url(self) -> str:
        return super().rest_url.replace("http:", "https:")

    @property
    def ws_url(self) -> str:
        return super().ws_url.replace("ws:", "wss:")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, name: Optional[str] = "127.0.0.1") -> ssl.SSLContext:
    """Return what a server needs to be that host; with None its certificate is signed by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if name is not None:
        authority.issue_cert(name).configure_cert(context)
        return context
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def node(authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsNode]:
    """A node whose certificate the bot has been told to trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority_file)
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", authority_file)
    with TlsNode(server_context(authority)) as running:
        yield running


@contextlib.contextmanager
def store_on(node: TlsNode, ws_url: str = "") -> Iterator[StoreProcess]:
    with StoreProcess(ws_url or node.ws_url, node.rest_url, MARKET, BOT, reconnect=0.5) as store:
        store.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_dials(stream, 1)
        yield store


def frames(count: int) -> bytes:
    payloads = [order_frame(id=f"{number:064x}").encode() for number in range(count)]
    return b"".join(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload for payload in payloads)


@pytest.mark.parametrize("count", [40, 400], ids=["one record", "frames across records"])
def test_all_frames_arrive_at_once_however_many_a_record_holds(node: TlsNode, count: int) -> None:
    with store_on(node) as store:
        assert len(frames(40)) < LARGEST_RECORD < len(frames(400))
        node.send("orders", Raw(frames(count)))  # and nothing more after it, which would wake the reader again
        store.wait_until(lambda: len(live_orders(store)) == count, seconds=2)  # before silence makes the bot look
        assert dict(node.dials) == dict.fromkeys(STREAMS, 1)


def test_the_systems_own_way_to_name_authorities_works_too(node: TlsNode, authority_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBSOCKET_CLIENT_CA_BUNDLE")
    monkeypatch.setenv("SSL_CERT_FILE", authority_file)
    with store_on(node) as store:
        node.send("orders", order_frame())
        store.wait_until(lambda: len(live_orders(store)) == 1)


ACCIDENTS = {
    "none": {},
    "empty": dict.fromkeys(("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), ""),
    "missing": dict.fromkeys(("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"), "/no/such/file"),
    "off": {"PYTHONHTTPSVERIFY": "0", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "WEBSOCKET_CLIENT_CA_BUNDLE": "false"},
}
SELF_SIGNED = "certificate verify failed: self.signed certificate"  # older OpenSSLs write it with a space
WRONG_HOST = "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'"


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_stream_with_a_self_signed_certificate_is_refused_in_one_line(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, accident: str
) -> None:
    for name, value in ACCIDENTS[accident].items():
        monkeypatch.setenv(name, value)
    assert_refused(TlsNode(server_context(authority, None)), SELF_SIGNED)


def test_a_stream_with_the_certificate_of_another_host_is_refused_in_one_line(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", authority_file)
    assert_refused(TlsNode(server_context(authority, "vega.example")), WRONG_HOST)


def assert_refused(impostor: TlsNode, words: str) -> None:
    with recorded_node() as plain, impostor, StoreProcess(impostor.ws_url, plain.rest_url, MARKET, BOT, reconnect=0.05) as store:
        for stream in STREAMS:
            store.wait_for(f"^stream {stream}: lost, .*{words}.*; dialling again in 0.05 s$")
        assert store.ask("get_market_by_id", MARKET) is not None
        assert not impostor.dials
    assert sum(line.startswith("stream ") for line in store.lines) == 4


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_rest_with_a_self_signed_certificate_is_refused(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, accident: str) -> None:
    for name, value in ACCIDENTS[accident].items():
        monkeypatch.setenv(name, value)
    with TlsNode(server_context(authority, None)) as impostor, pytest.raises(client.VegaApiError, match="certificate"):
        client.get_market(impostor.rest_url, MARKET, within=0.9)
    assert not impostor.asked


def test_rest_with_the_certificate_of_another_host_is_refused(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority_file)
    with TlsNode(server_context(authority, "vega.example")) as impostor, pytest.raises(client.VegaApiError, match=WRONG_HOST):
        client.get_market(impostor.rest_url, MARKET, within=0.9)
    assert not impostor.asked


def test_authorities_that_are_not_where_they_should_be_are_an_error_of_the_call(node: TlsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    with pytest.raises(client.VegaApiError, match="/no/such/file"):
        client.get_market(node.rest_url, MARKET, within=0.9)


def test_nor_do_they_end_the_loop_where_a_wallet_is_asked_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    wallet = VegaWallet(token="token", wallet_url="https://127.0.0.1:1789", pub_key=BOT)
    with pytest.raises(WalletError, match="/no/such/file"):
        wallet.submit_transaction({})


def test_a_reset_over_tls_gets_one_new_connection_for_each_stream(node: TlsNode) -> None:
    with FaultProxy(node.rest_url) as proxy, store_on(node, proxy.ws_url.replace("ws:", "wss:")) as store:
        proxy.drop("reset", "tls")
        for stream in STREAMS:
            store.wait_for(f"^stream {stream}: back$", seconds=2 * (0.5 + 1))
            node.wait_for_dials(stream, 2)  # it counts them after its first frames
        assert dict(node.dials) == dict.fromkeys(STREAMS, 2)
        assert len(proxy.dials("tls")) == 8


def test_a_peer_that_freezes_in_the_middle_of_a_record_is_noticed_and_all_streams_are_dialled_again(node: TlsNode) -> None:
    with FaultProxy(node.rest_url) as proxy, store_on(node, proxy.ws_url.replace("ws:", "wss:")) as store:
        before = threads_and_sockets(store)
        proxy.turn("freeze", "tls", after=100)
        node.send("markets/data", GOOD)
        store.wait_for("^stream markets/data: lost, ", seconds=2 * 5)
        proxy.wait_for_dials("tls", 8, seconds=2 * (0.5 + 1))  # their handshakes hang
        proxy.turn("pass", "tls")
        for stream in STREAMS:
            store.wait_for(f"^stream {stream}: back$")
        wait_for_no_more_than(store, before)
        node.send("orders", order_frame())
        store.wait_until(lambda: len(live_orders(store)) == 1)
