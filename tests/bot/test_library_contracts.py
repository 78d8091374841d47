"""What bot/transport uses of its libraries beyond their documented interface. A new version that changes it fails here first.

Each test fails with a sentence that names the attribute and the installed version.
"""

import http.client
import inspect
import io
import socket
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
import rel
import requests
import requests.utils
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
import websocket
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.support.processes import ROOT
from tests.support.waiting import DEFAULT_TIMEOUT


def require(holds: object, library: str, what: str) -> None:
    assert holds, f"{library} {version(library)}: {what}, which bot/transport needs"


def run(library: str, what: str, code: str) -> None:
    """Run code in a child process, since rel has one loop for a whole process; it must end without an error."""
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert child.returncode == 0, f"{library} {version(library)}: {what}, which bot/transport needs\n{child.stderr}"


# websocket-client


class Dispatcher:
    """Notes what websocket-client calls. `run_forever` must return after `read`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))


class AnsweredSocket:
    """A connected socket on which the handshake has been answered."""

    ANSWER = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"

    def __init__(self) -> None:
        self._answer = io.BytesIO()
        self.is_closed = False

    def send(self, data: bytes) -> int:
        import base64
        import hashlib
        import re

        found = re.search(rb"Sec-WebSocket-Key: (\S+)", data)
        assert found is not None
        digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self._answer = io.BytesIO(self.ANSWER.format(base64.b64encode(digest).decode()).encode())
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._answer.read(size)

    def gettimeout(self) -> float:
        return 1.0

    def close(self) -> None:
        self.is_closed = True


def connected_app(dispatcher: Dispatcher) -> tuple[Any, AnsweredSocket]:
    sock = AnsweredSocket()
    app: Any = websocket.WebSocketApp("ws://127.0.0.1:1/x")
    app.prepared_socket = sock
    app.run_forever(dispatcher=dispatcher, reconnect=5, skip_utf8_validation=True)
    return app, sock


def test_websocket_app_takes_a_connected_socket_from_prepared_socket() -> None:
    dispatcher = Dispatcher()
    app, sock = connected_app(dispatcher)
    require(app.sock and app.sock.sock is sock, "websocket-client", "WebSocketApp.prepared_socket is not used as WebSocketApp.sock.sock")


def test_run_forever_hands_the_connected_socket_to_the_dispatchers_read_and_returns() -> None:
    dispatcher = Dispatcher()
    _, sock = connected_app(dispatcher)
    names = [call[0] for call in dispatcher.calls]
    require("read" in names, "websocket-client", f"run_forever called {names} of its dispatcher, not read")
    require(dispatcher.calls[names.index("read")][1] is sock, "websocket-client", "dispatcher.read does not get WebSocketApp.sock.sock")
    require(set(names) <= {"signal", "abort", "read"}, "websocket-client", f"run_forever calls new methods of its dispatcher: {names}")


def test_recv_frame_reads_with_recv_strict_of_its_frame_buffer_and_keeps_its_place() -> None:
    app, _ = connected_app(Dispatcher())
    pieces: list[Any] = [b"\x81\x05", BlockingIOError(), b"hello"]
    sizes: list[int] = []

    def recv_strict(size: int) -> bytes:
        sizes.append(size)
        piece = pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return bytes(piece)

    what = "WebSocket.frame_buffer.recv_strict is not what recv_frame reads with"
    app.sock.frame_buffer.recv_strict = recv_strict
    with pytest.raises(BlockingIOError):
        app.sock.recv_frame()
    frame = app.sock.recv_frame()
    require(sizes == [2, 5, 5], "websocket-client", f"{what}: it asked for {sizes} bytes")
    require((frame.opcode, frame.fin, frame.data) == (1, 1, b"hello"), "websocket-client", "a frame has no opcode, fin and data")


def test_pongs_pings_and_close_frames_are_written_with_the_dispatchers_buffwrite() -> None:
    dispatcher = Dispatcher()
    app, sock = connected_app(dispatcher)
    app.sock.pong(b"x")
    app.sock.ping("x")
    app.sock.send_close()
    writes = [call[1:3] for call in dispatcher.calls if call[0] == "buffwrite"]
    require([each[0] for each in writes] == [sock] * 3, "websocket-client", "WebSocket.pong, ping and send_close do not use buffwrite")
    require([each[1][0] & 15 for each in writes] == [10, 9, 8], "websocket-client", "buffwrite does not get whole frames")


def test_shutdown_closes_the_socket_that_stands_in_sock_sock() -> None:
    app, _ = connected_app(Dispatcher())
    left, right = socket.socketpair()
    with right:
        app.sock.sock = left
        app.sock.shutdown()
        require(left.fileno() == -1, "websocket-client", "WebSocket.shutdown does not close WebSocket.sock")


def test_run_forever_calls_on_error_once_and_asks_the_dispatcher_for_a_timeout_when_it_cannot_connect() -> None:
    errors: list[Any] = []
    dispatcher = Dispatcher()
    app: Any = websocket.WebSocketApp("ws://127.0.0.1:1/x", on_error=lambda _, error: errors.append(error))
    app.prepared_socket = AnsweredSocket()
    app.prepared_socket.send = lambda data: (_ for _ in ()).throw(ConnectionResetError("reset"))
    app.run_forever(dispatcher=dispatcher, reconnect=5)
    require(len(errors) == 1 and isinstance(errors[0], ConnectionResetError), "websocket-client", f"on_error got {errors} at a reset")
    names = [call[0] for call in dispatcher.calls]
    require(set(names) <= {"signal", "abort", "timeout"}, "websocket-client", f"run_forever calls {names} of its dispatcher at an error")


def test_a_bad_status_has_its_code_and_body() -> None:
    error = websocket.WebSocketBadStatusException("", 404, "Not Found", {}, b"no")
    require(error.status_code == 404 and error.resp_body == b"no", "websocket-client", "WebSocketBadStatusException has other attributes")


# rel


def test_rel_has_its_registrar_and_their_mapping_in_rel_rel() -> None:
    require(hasattr(rel.rel, "registrar"), "rel", "rel.rel.registrar is gone")
    require({"poll", "select"} <= set(rel.rel.mapping), "rel", "rel.rel.mapping has other names")


@pytest.mark.parametrize("name", ["LISTEN_SELECT", "LISTEN_KQUEUE", "LISTEN_POLL"])
def test_rel_has_the_waits_of_its_polls_in_its_module(name: str) -> None:
    require(hasattr(rel.registrar, name), "rel", f"rel.registrar.{name} is gone")
    source = inspect.getsource(rel.registrar)
    require(source.count(name) > 1, "rel", f"rel.registrar.{name} is not used")


@pytest.mark.parametrize("name", ["loop", "abort", "add_timer", "remove_timer", "check_events", "check_timers", "dispatch"])
def test_rels_registrars_have_the_methods_that_are_replaced_or_called(name: str) -> None:
    for kind in rel.rel.mapping.values():
        if inspect.isclass(kind):
            require(callable(getattr(kind, name, None)), "rel", f"{kind.__name__}.{name} is gone")


def test_epoll_of_rel_is_a_kind_of_poll() -> None:
    kinds = rel.registrar.EpollRegistrar, rel.registrar.PollRegistrar
    require(all(map(inspect.isclass, kinds)), "rel", "rel.registrar.EpollRegistrar or PollRegistrar is gone")


START = "import rel, rel.registrar, socket, time\nrel.initialize(['poll', 'select'], ['strict'])\nregistrar = rel.rel.registrar\n"


def test_rel_initializes_the_registrar_that_its_mapping_names() -> None:
    code = "import rel\nclass Own(rel.rel.mapping['select']): pass\nrel.rel.mapping['own'] = Own\nrel.initialize(['own'], ['strict'])\n"
    run("rel", "rel.initialize does not take names that were added to rel.rel.mapping", f"{code}assert type(rel.rel.registrar) is Own")


def test_the_class_of_rels_registrar_can_be_replaced_after_a_caller_has_registered() -> None:
    register = "a, b = socket.socketpair()\nrel.read(a, bool)\n"
    own = "class Own(type(registrar)):\n    def loop(self): return 'own'\nregistrar.__class__ = Own\n"
    code = "assert rel.rel.registrar.loop() == 'own'\nassert a.fileno() in registrar.events['read']\n"
    run("rel", "registrar.__class__ cannot be replaced by a subclass that keeps the events", START + register + own + code)


def test_rel_adds_timers_with_add_timer_of_its_registrar_and_gives_them_a_monotonic_expiration() -> None:
    note = "added, add = [], registrar.add_timer\nregistrar.add_timer = lambda timer: (added.append(timer), add(timer))\n"
    code = (
        "timer = rel.timeout(7, bool)\nassert added == [timer]\nassert 6 < timer.expiration - time.monotonic() <= 7\nset(registrar.timers)"
    )
    run("rel", "registrar.timers, registrar.add_timer or Timer.expiration (on time.monotonic()) is gone", START + note + code)


def test_rel_keeps_events_by_their_kind_and_descriptor() -> None:
    code = "a, b = socket.socketpair()\nevent = rel.read(a, bool)\nassert a.fileno() in registrar.events['read']\n"
    run("rel", "registrar.events is gone", f"{START}{code}event.delete()\nassert not registrar.events['read']")


def test_rel_waits_in_its_poll_for_the_seconds_in_its_module() -> None:
    code = "a, b = socket.socketpair()\nrel.read(a, bool)\nrel.registrar.LISTEN_SELECT = 0.2\nrel.registrar.LISTEN_POLL = 200\n"
    wait = "began = time.monotonic()\nregistrar.check_events()\nassert time.monotonic() - began >= 0.19\n"
    run("rel", "registrar.check_events does not wait for rel.registrar.LISTEN_…", START + code + wait)


def test_rel_dispatches_as_long_as_run_dispatch_is_true_and_loop_returns_something_true() -> None:
    code = "turns = []\nregistrar.loop = lambda: turns.append(registrar.run_dispatch) or len(turns) < 3\nrel.dispatch()\n"
    run("rel", "registrar.dispatch does not run registrar.loop while registrar.run_dispatch", f"{START}{code}assert turns == [True] * 3")


# requests and urllib3


def test_requests_asks_its_adapter_for_pool_managers_and_certificates() -> None:
    for name in ("init_poolmanager", "proxy_manager_for", "proxy_headers", "cert_verify", "send"):
        require(callable(getattr(HTTPAdapter, name, None)), "requests", f"HTTPAdapter.{name} is gone")
    require(HTTPAdapter().proxy_manager == {}, "requests", "HTTPAdapter.proxy_manager is gone")
    source = inspect.getsource(HTTPAdapter.send)
    require("self.cert_verify(" in source, "requests", "HTTPAdapter.send does not call cert_verify")


def test_requests_reads_a_body_from_the_stream_of_its_raw_answer() -> None:
    class Raw:
        def stream(self, size: int, decode_content: bool) -> Any:
            yield b"x" * 3

    response = requests.Response()
    response.raw, response.encoding = Raw(), "utf-8"
    require(response.text == "xxx", "requests", "Response.text does not read Response.raw.stream")


def test_requests_names_its_certificates() -> None:
    require(getattr(requests.utils, "DEFAULT_CA_BUNDLE_PATH", ""), "requests", "requests.utils.DEFAULT_CA_BUNDLE_PATH is gone")


def test_a_session_that_does_not_trust_the_environment_reads_no_netrc_proxies_or_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    session = requests.Session()
    session.trust_env = False
    merged = session.merge_environment_settings("http://node.example", {}, None, None, None)
    require(not merged["proxies"] and merged["verify"] is True, "requests", "Session.trust_env does not keep the environment out")


ERRORS = ("ConnectTimeoutError", "DecodeError", "HTTPError", "InvalidHeader", "NewConnectionError", "ProtocolError")


@pytest.mark.parametrize("name", ERRORS)
def test_urllib3_has_the_errors_that_are_raised_or_caught(name: str) -> None:
    require(hasattr(urllib3.exceptions, name), "urllib3", f"urllib3.exceptions.{name} is gone")


@pytest.mark.parametrize("name", ["HTTPConnectionPool", "HTTPSConnectionPool"])
def test_urllib3_pools_name_the_class_of_their_connections(name: str) -> None:
    require(hasattr(getattr(urllib3.connectionpool, name, None), "ConnectionCls"), "urllib3", f"{name}.ConnectionCls is gone")


def test_the_proxy_manager_of_urllib3_is_a_pool_manager_with_pools_by_scheme() -> None:
    manager: Any = getattr(urllib3, "ProxyManager", None)
    is_manager = isinstance(manager, type) and issubclass(manager, urllib3.PoolManager)
    require(is_manager and hasattr(manager("http://127.0.0.1:1"), "pool_classes_by_scheme"), "urllib3", "ProxyManager has other pools")


def test_urllib3_takes_pools_by_scheme_and_connections_by_pool() -> None:
    what = "PoolManager.pool_classes_by_scheme or HTTPConnectionPool.ConnectionCls is not used"

    class Connection(urllib3.connection.HTTPConnection):
        pass

    class Pool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Connection

    manager = urllib3.PoolManager()
    manager.pool_classes_by_scheme = {"http": Pool}
    pool: Any = manager.connection_from_url("http://127.0.0.1:1")
    require(type(pool) is Pool, "urllib3", what)
    require(type(pool._new_conn()) is Connection, "urllib3", what)


def test_urllib3_connects_with_new_conn_and_keeps_the_socket_in_sock() -> None:
    left, right = socket.socketpair()

    class Connection(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> Any:
            return left

    connection: Any = Connection("node.example", 81, timeout=3.0)
    require((connection.host, connection.port, connection.timeout) == ("node.example", 81, 3.0), "urllib3", "host, port or timeout is gone")
    with left, right:
        connection.connect()
        require(connection.sock is left, "urllib3", "HTTPConnection.connect does not put what _new_conn returns into sock")


def test_urllib3_makes_answers_with_response_class() -> None:
    class Response(http.client.HTTPResponse):
        pass

    left, right = socket.socketpair()

    class Connection(urllib3.connection.HTTPConnection):
        response_class: Any = Response

        def _new_conn(self) -> Any:
            return left

    seen: list[type] = []
    Response.begin = lambda self: seen.append(type(self)) or http.client.HTTPResponse.begin(self)  # type: ignore[func-returns-value, method-assign]
    with left, right:
        right.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        connection: Any = Connection("127.0.0.1", 1)
        connection.request("GET", "/")
        require(connection.getresponse().status == 204, "urllib3", "an answer has no status")
    require(seen == [Response], "urllib3", "HTTPConnection.response_class is not used")


def test_urllib3_takes_the_tls_context_of_an_https_connection_from_ssl_context() -> None:
    source = inspect.getsource(urllib3.connection.HTTPSConnection.connect)
    require("self.ssl_context" in source, "urllib3", "HTTPSConnection.ssl_context is not used")


def test_urllib3_parses_retry_after() -> None:
    require(Retry().parse_retry_after("7") == 7, "urllib3", "Retry.parse_retry_after is gone")
