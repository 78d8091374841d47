"""Opening a stream: connect, proxy, TLS, and the answer to the handshake. Connecting threads.

Not on the page. websocket-client has proxy, certificate and address rules of its own, follows redirects to any host, and fails
at what a load balancer may add to an answer. So it gets a socket that is connected already, and only the part of the answer
that it checks.
"""

import contextlib
import io
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import websocket

from bot.transport.certificates import tls_context
from bot.transport.error_text import truncate
from bot.transport.proxies import Proxy, authorization, proxy_for
from bot.transport.sockets import DeadlineSocket, connect

MAX_HEAD_SIZE = 16384  # bytes of an answer's status line and headers
MAX_BODY_SIZE = 4096  # bytes of an error's body that are read
MAX_INTERIM_ANSWERS = 20
_REDIRECTS = (301, 302, 303, 307, 308)
_CHECKED_HEADERS = ("upgrade", "connection", "sec-websocket-accept")  # by websocket-client

Answer = tuple[int, str, dict[str, str]]  # status, reason, headers with their names in small letters


class HandshakeError(Exception):
    """The handshake was not answered with a stream, or the proxy did not connect."""


class RedirectError(HandshakeError):
    """The handshake was answered with a redirect."""

    def __init__(self, status: int, target: str):
        super().__init__(f"handshake answered HTTP {status}: redirect to {target}")
        self.target = target


def open_socket(url: str) -> Any:
    """Return a socket that is connected to a stream's host, through a proxy and TLS where there are any.

    Raises:
        OSError: the host, or the proxy, cannot be reached; or its certificate is not trusted; or the thread's deadline passed.
        HandshakeError: the proxy did not connect.
    """
    parts = urlsplit(url)
    is_secure = parts.scheme.lower() == "wss"
    host, port = parts.hostname or "", parts.port or (443 if is_secure else 80)
    proxy = proxy_for(url)
    sock = connect(proxy.host, proxy.port) if proxy is not None else connect(host, port)
    try:
        if proxy is not None:
            _tunnel(sock, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        sock.limit_timeout()
        return tls_context().wrap_socket(sock, server_hostname=host) if is_secure else sock
    except BaseException:
        sock.close()
        raise


def _tunnel(sock: DeadlineSocket, proxy: Proxy, target: str) -> None:
    headers = {"Host": target, **authorization(proxy.user, proxy.password)}
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    status, reason, _ = _read_answer(sock)
    if not 200 <= status < 300:
        raise HandshakeError(f"the proxy answered HTTP {status}: {truncate(reason)}")


class HandshakeSocket:
    """What websocket-client takes for its socket during the handshake.

    Args:
        sock: the connected socket, which is in `sock` afterwards.
        url: of the stream.
    """

    def __init__(self, sock: Any, url: str):
        self.sock = sock
        self._url = url
        self._answer = io.BytesIO()
        self._is_answered = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def recv(self, size: int) -> bytes:
        """Return bytes of the checked answer."""
        if not self._is_answered:
            self._is_answered = True
            self._answer = io.BytesIO(self._checked_answer())
        return self._answer.read(size)

    def _checked_answer(self) -> bytes:
        """Read the answer; return the part of it that websocket-client checks. Cookies and unknown headers stay here."""
        status, reason, headers = _read_answer(self.sock)
        if status in _REDIRECTS and headers.get("location"):
            target = headers["location"]
            with contextlib.suppress(ValueError):  # not an address
                target = urljoin(_http_url(self._url), target)
            target = re.sub("^http", "ws", target, flags=re.IGNORECASE)
            raise RedirectError(status, truncate(target))
        if status != 101:
            body = _read_body(self.sock, headers) or reason.encode()
            raise websocket.WebSocketBadStatusException("", status, reason, headers, body)
        if headers.get("sec-websocket-extensions"):
            extension = truncate(headers["sec-websocket-extensions"])
            raise HandshakeError(f"handshake answered with the extension {extension}, which was not asked for")
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {headers[name]}" for name in _CHECKED_HEADERS if name in headers)]
        return "\r\n".join([*lines, "", ""]).encode()


def _http_url(url: str) -> str:
    return re.sub("^ws", "http", url, flags=re.IGNORECASE)  # urljoin knows nothing of ws://


def _read_answer(sock: Any) -> Answer:
    """Read the head of an answer, byte by byte, because the next bytes are for the next reader. Skip interim answers."""
    for _ in range(MAX_INTERIM_ANSWERS):
        head = bytearray()
        while not head.endswith((b"\n\r\n", b"\n\n")):
            sock.limit_timeout()
            byte = sock.recv(1)
            if not byte:
                raise websocket.WebSocketConnectionClosedException("closed before the handshake was answered")
            head += byte
            if len(head) > MAX_HEAD_SIZE:
                raise HandshakeError(f"handshake answered with more than {MAX_HEAD_SIZE} bytes of headers")
        status, reason, headers = _parse_head(head.decode("latin-1"))
        if status == 101 or not 100 <= status < 200:
            return status, reason, headers
    raise HandshakeError(f"handshake answered with {MAX_INTERIM_ANSWERS} interim answers")


def _parse_head(head: str) -> Answer:
    first, *lines = re.sub(r"\r?\n[ \t]+", " ", head).split("\n")  # a line that begins with a blank continues the one before
    version, _, rest = first.strip().partition(" ")
    status, _, reason = rest.strip().partition(" ")
    if not (version.startswith("HTTP/") and status.isascii() and status.isdigit() and len(status) == 3):
        raise HandshakeError(f"handshake not answered with HTTP: {truncate(first)}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon:  # a header that is repeated is one with a list
            headers[name] = f"{headers[name]}, {value}" if headers.get(name) else value
    return int(status), reason, headers


def _read_body(sock: Any, headers: dict[str, str]) -> bytes:
    """Read the beginning of an error's body, if its length is known."""
    length = headers.get("content-length", "0")
    size = min(int(length), MAX_BODY_SIZE) if length.isascii() and length.isdigit() and len(length) < 20 else 0
    body = bytearray()
    while len(body) < size:
        sock.limit_timeout()
        piece = sock.recv(size - len(body))
        if not piece:
            break
        body += piece
    return bytes(body)
