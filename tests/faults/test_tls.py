"""Streams and REST over TLS: no frame waits in a record, certificates are always checked, and faults are handled as on TCP."""

import contextlib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
import trustme

import bot.vega_api_client as client
from bot.wallet import VegaWallet, WalletError
from tests.support.fault_proxy import FaultProxy
from tests.support.frames import FIRST_FRAMES, MARKET, MARKET_DATA, STREAMS, encode_frame, order_frame
from tests.support.process_usage import usage_of, wait_for_no_leak
from tests.support.processes import ROOT, StoreProcess
from tests.support.scripted_node import BOT, Raw, ScriptedNode, recorded_node
from tests.support.waiting import DEFAULT_TIMEOUT

MAX_RECORD_SIZE = 16384  # bytes
RECONNECT_TIMEOUT = 4  # s; less than five, so that no other check can be what has made the stream reconnect


class TlsNode(ScriptedNode):
    """The recorded node behind TLS: `https://` and `wss://` on one port."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        super().__init__(ssl_context)
        with recorded_node() as plain:
            self.rest = plain.rest
        self.first_frames = dict(FIRST_FRAMES)


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
    """Return the TLS settings of a server with a certificate for that host; with None it is self-signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if name is not None:
        authority.issue_cert(name).configure_cert(context)
        return context
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def node(authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsNode]:
    """A node whose certificate the bot trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority_file)
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", authority_file)
    with TlsNode(server_context(authority)) as running:
        yield running


@contextlib.contextmanager
def store_on(node: TlsNode, ws_url: str = "") -> Iterator[StoreProcess]:
    with StoreProcess(ws_url or node.ws_url, node.rest_url, MARKET, BOT, reconnect=0.5) as store:
        store.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
        yield store


def frames(count: int) -> bytes:
    return b"".join(encode_frame(order_frame(id=f"{number:064x}")) for number in range(count))


@pytest.mark.parametrize("count", [40, 400], ids=["one record", "frames across records"])
def test_all_frames_of_a_record_are_processed_at_once(node: TlsNode, count: int) -> None:
    with store_on(node) as store:
        assert len(frames(40)) < MAX_RECORD_SIZE < len(frames(400))
        node.send("orders", Raw(frames(count)))  # and nothing after it, which would wake the reader again
        store.wait_until(lambda: len(store.order_ids()) == count, timeout=4)  # before the check for silence
        assert dict(node.connections) == dict.fromkeys(STREAMS, 1)


def test_the_systems_variable_for_authorities_works_too(node: TlsNode, authority_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBSOCKET_CLIENT_CA_BUNDLE")
    monkeypatch.setenv("SSL_CERT_FILE", authority_file)
    with store_on(node) as store:
        node.send("orders", order_frame())
        store.wait_until(lambda: len(store.order_ids()) == 1)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE"])
def test_each_variable_for_certificates_means_the_same_for_rest_streams_and_wallet(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, authority_file)
    with TlsNode(server_context(authority)) as node:
        with store_on(node) as store:
            assert store.ask("get_market_by_id", MARKET) is not None
        wallet = VegaWallet(token="token", wallet_url=node.rest_url.removesuffix("/api/v2"), pub_key=BOT)
        with pytest.raises(WalletError, match="HTTP 405"):  # the node takes no POST, but its certificate is trusted
            wallet.submit_transaction({}, timeouts=(10.0, 10.0))
        wallet._session.close()


def test_both_of_two_variables_for_certificates_are_trusted(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trustme.CA().cert_pem.tempfile() as other:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other)
        monkeypatch.setenv("SSL_CERT_FILE", authority_file)
        with TlsNode(server_context(authority)) as node, store_on(node) as store:
            assert store.ask("get_market_by_id", MARKET) is not None


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificates", "", "a directory"])
def test_a_file_without_certificates_is_a_settings_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str) -> None:
    file = tmp_path / "authorities.pem"
    if content == "a directory":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    monkeypatch.setenv(name, str(file))
    run = subprocess.run([sys.executable, "-m", "main"], cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert run.returncode == 2
    reason = "there is no such file of certificates" if content is None else "no certificates can be read"
    lines = [line for line in run.stderr.splitlines() if line.startswith(f"{name} is ")]
    assert [str(file) in line and reason in line for line in lines] == [True]


ENVIRONMENTS = {
    "none": {},
    "empty": dict.fromkeys(("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), ""),
    "missing": dict.fromkeys(("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"), "/no/such/file"),
    "off": {"PYTHONHTTPSVERIFY": "0", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "WEBSOCKET_CLIENT_CA_BUNDLE": "false"},
}
SELF_SIGNED = "certificate verify failed: self.signed certificate"  # older OpenSSLs write it with a space
WRONG_HOST = "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_stream_with_a_self_signed_certificate_is_rejected_with_one_log_line(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    for name, value in ENVIRONMENTS[environment].items():
        monkeypatch.setenv(name, value)
    reason = "there is no such file of certificates" if environment in ("missing", "off") else SELF_SIGNED
    assert_rejected(TlsNode(server_context(authority, None)), reason)


def test_a_stream_with_the_certificate_of_another_host_is_rejected_with_one_log_line(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", authority_file)
    assert_rejected(TlsNode(server_context(authority, "vega.example")), WRONG_HOST)


def assert_rejected(impostor: TlsNode, error: str) -> None:
    with recorded_node() as plain, impostor, StoreProcess(impostor.ws_url, plain.rest_url, MARKET, BOT, reconnect=0.05) as store:
        for stream in STREAMS:
            store.wait_for(rf"^stream {stream}: connection lost \(.*{error}.*\), reconnecting in 0")
        assert store.ask("get_market_by_id", MARKET) is not None
        assert not impostor.connections
    assert sum(line.startswith("stream ") for line in store.lines) == 4


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_rest_with_a_self_signed_certificate_is_rejected(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    for name, value in ENVIRONMENTS[environment].items():
        monkeypatch.setenv(name, value)
    with TlsNode(server_context(authority, None)) as impostor, pytest.raises(client.VegaApiError, match="certificate"):
        client.get_market(impostor.rest_url, MARKET, deadline=time.monotonic() + 20)
    assert not impostor.rest_calls


def test_rest_with_the_certificate_of_another_host_is_rejected(
    authority: trustme.CA, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority_file)
    with TlsNode(server_context(authority, "vega.example")) as impostor, pytest.raises(client.VegaApiError, match=WRONG_HOST):
        client.get_market(impostor.rest_url, MARKET, deadline=time.monotonic() + 20)
    assert not impostor.rest_calls


def test_a_missing_file_of_authorities_is_an_error_of_the_rest_call(node: TlsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    with pytest.raises(client.VegaApiError, match="/no/such/file"):
        client.get_market(node.rest_url, MARKET, deadline=time.monotonic() + 20)


def test_a_missing_file_of_authorities_is_an_error_of_the_wallet_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    wallet = VegaWallet(token="token", wallet_url="https://127.0.0.1:1789", pub_key=BOT)
    with pytest.raises(WalletError, match="/no/such/file"):
        wallet.submit_transaction({})


def test_after_a_reset_over_tls_each_stream_gets_one_new_connection(node: TlsNode) -> None:
    with FaultProxy(node.rest_url) as proxy, store_on(node, proxy.ws_url.replace("ws:", "wss:")) as store:
        proxy.disconnect("reset", "tls")
        for stream in STREAMS:
            store.wait_for(f"^stream {stream}: reconnected$", timeout=RECONNECT_TIMEOUT)
            node.wait_for_connections(stream, 2)  # it counts them after its first frames
        assert dict(node.connections) == dict.fromkeys(STREAMS, 2)
        assert len(proxy.connection_times("tls")) == 8


def test_a_link_that_freezes_in_the_middle_of_a_record_is_detected_and_all_streams_reconnect(node: TlsNode) -> None:
    with FaultProxy(node.rest_url) as proxy, store_on(node, proxy.ws_url.replace("ws:", "wss:")) as store:
        before = usage_of(store)
        proxy.set_mode("freeze", "tls", after=100)
        node.send("markets/data", MARKET_DATA)
        store.wait_for(r"^stream markets/data: connection lost \(", timeout=2 * 5)
        proxy.wait_for_connections("tls", 8)  # their handshakes hang
        proxy.set_mode("pass", "tls")
        for stream in STREAMS:
            store.wait_for(f"^stream {stream}: reconnected$")
        wait_for_no_leak(store, before)
        node.send("orders", order_frame())
        store.wait_until(lambda: len(store.order_ids()) == 1)
