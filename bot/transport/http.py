"""HTTP calls with one deadline for look-up, connect, all tries and the body. On the calling thread; any thread may call.

Not on the page. The timeouts of requests are for each read, and it reads a body of any size. Its sessions also take proxies,
certificates and passwords from the environment by rules of their own; here the rules are those of the streams.
"""

import contextlib
import http.client
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Optional, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3 import PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, InvalidHeader, NewConnectionError, ProtocolError
from urllib3.util import Retry

from bot.transport.certificates import tls_context
from bot.transport.proxies import authorization, proxy_for
from bot.transport.sockets import connect, deadline_at

Result = TypeVar("Result")

MAX_BODY_SIZE = 64_000_000  # bytes of an answer, decompressed
MAX_RETRY_AFTER = 10.0  # seconds to wait where a server asks for it
RETRY_BACKOFF = 1.0  # seconds before the second retry, doubled for the third; the first one follows at once
RETRY_STATUSES = (429, 502, 503, 504)
# What a call may raise when no answer came. requests lets errors through for a bad address (in a redirect, for example) and
# for a certificate file that does not exist.
CALL_FAILED = (requests.RequestException, HTTPError, OSError)


class NotSentError(requests.ConnectionError):
    """There was no connection, so the server cannot have got the request."""


class UnansweredError(requests.ConnectionError):
    """A connection that had served earlier calls was closed before a byte of the answer arrived.

    Most servers close a connection that was idle for a while. If a request is on its way at that moment, nobody reads it.
    """


class BodyTooLargeError(requests.RequestException):
    """An answer of more than MAX_BODY_SIZE bytes."""


class UnreadableAnswerError(requests.RequestException):
    """An answer that breaks HTTP in a way for which the libraries have no error of their own."""


def build_session() -> requests.Session:
    """Return a session for `call_with_deadline`."""
    session = requests.Session()
    session.trust_env = False  # neither proxies, certificates nor a .netrc: see `_Adapter`
    session.headers["Accept-Encoding"] = "gzip"  # which `_Body` can decompress up to a limit
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def call_with_deadline(seconds: float, function: Callable[[], Result], tries: int = 1) -> Result:
    """Make an HTTP call, and return or raise what it does. It needs no thread, except to look up a name for the first time.

    Args:
        seconds: for all tries together.
        function: makes the call, on a session of `build_session`.
        tries: how many to make in all while the server is busy or cannot be reached, and time is left.

    Raises:
        NotSentError: there was no connection; the original error is its cause.
        UnansweredError: a reused connection was closed before the answer.
        requests.Timeout: no answer in time.
        Others of CALL_FAILED: the call failed after it had a connection.
    """
    deadline = time.monotonic() + seconds
    for attempt in range(1, tries + 1):
        result, error = _try(seconds, deadline, function)
        is_last = attempt == tries or not _is_retryable(result, error)
        pause = 0.0 if is_last else retry_delay(result, attempt)
        if is_last or time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _try(seconds: float, deadline: float, function: Callable[[], Result]) -> tuple[Optional[Result], Optional[BaseException]]:
    call = _local.call = _Call()
    failure: Any
    try:
        with deadline_at(deadline):
            return function(), None
    except CALL_FAILED as error:
        failure = error
    except (ValueError, http.client.HTTPException) as error:  # from a redirect to "http://[", or a length that is not a number
        failure = UnreadableAnswerError(f"the answer cannot be read: {error}")
    finally:
        _local.call = None
    if time.monotonic() >= deadline:  # report the timeout, not the error that it caused
        failure = requests.Timeout(f"timed out after {seconds:.2g} s")
    has_died = call.is_unanswered() and not isinstance(failure, requests.Timeout)  # after a timeout the answer may still come
    kind = UnansweredError if has_died else None if call.was_connected else NotSentError
    if kind is None:
        return None, failure
    wrapped = kind(*failure.args)
    wrapped.__cause__ = failure
    return None, wrapped


def _is_retryable(result: Any, error: Optional[BaseException]) -> bool:
    if isinstance(error, NotSentError):
        error = error.__cause__
    if error is None:
        return getattr(result, "status_code", None) in RETRY_STATUSES
    retryable = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, retryable) and not isinstance(error, requests.exceptions.SSLError)


def retry_delay(result: Any, attempt: int) -> float:
    """Return the seconds until the next try, for a failed call without a result. A node that asks for an hour must not block the bot."""
    backoff = RETRY_BACKOFF * 2.0 ** (attempt - 2) if attempt > 1 else 0.0
    value = None if result is None else result.headers.get("Retry-After")
    with contextlib.suppress(InvalidHeader, ValueError, OverflowError):  # neither seconds nor a date
        return min(Retry().parse_retry_after(value), MAX_RETRY_AFTER) if value else backoff
    return backoff


class _Call:
    """What is known of a call's connection while the call runs."""

    def __init__(self) -> None:
        self.was_connected = False
        self._reused: Any = None  # the socket, if earlier calls have used it
        self._received_before = 0

    def on_request(self, sock: Any) -> None:
        """Note on which socket the request goes out, None if it is not connected yet."""
        self._reused = sock if sock is not None and sock.bytes_received else None
        self._received_before = sock.bytes_received if sock is not None else 0
        self.was_connected = sock is not None

    def is_unanswered(self) -> bool:
        return self._reused is not None and self._reused.bytes_received == self._received_before


class _Local(threading.local):
    call: Optional[_Call] = None  # the call that this thread is making


_local = _Local()


class _Response(http.client.HTTPResponse):
    """Skips interim answers such as 103. http.client skips only 100."""

    def begin(self) -> None:
        super().begin()
        while 101 < self.status < 200:
            self.headers = None  # type: ignore[assignment]  # begin does nothing while it has some
            super().begin()


class _Connection:
    """Mixin over urllib3's connections: they connect as streams do, and report to the call in progress."""

    response_class: Any = _Response
    host: str
    port: int
    sock: Any
    timeout: Any

    def _new_conn(self) -> Any:
        seconds = self.timeout if isinstance(self.timeout, (int, float)) else None
        try:
            sock = connect(self.host, self.port, seconds)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]
        sock.settimeout(seconds)
        return sock

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if _local.call is not None:
            _local.call.was_connected = True

    def request(self, *args: Any, **kwargs: Any) -> None:
        if _local.call is not None:
            _local.call.on_request(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _HttpConnection(_Connection, HTTPConnection):
    pass


class _HttpsConnection(_Connection, HTTPSConnection):
    def connect(self) -> None:
        self.ssl_context = tls_context()
        super().connect()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Pools:
    """Mixin over urllib3's pool managers: their pools make the connections above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _PoolManager(_Pools, PoolManager):
    pass


class _ProxyManager(_Pools, ProxyManager):
    pass


class _Adapter(HTTPAdapter):
    """requests' adapter with the rules of `bot/transport`: for addresses, proxies, certificates and sizes."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        self.poolmanager = _PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        if proxy not in self.proxy_manager:
            self.proxy_manager[proxy] = _ProxyManager(proxy, proxy_headers=self.proxy_headers(proxy), **proxy_kwargs)
        return self.proxy_manager[proxy]

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return authorization(*get_auth_from_url(proxy))  # requests encodes in Latin-1, and fails at other characters

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: `tls_context` has all authorities, and checks certificates always."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        proxy = proxy_for(request.url)
        proxies = {} if proxy is None else {"http": proxy.url, "https": proxy.url}
        response = super().send(request, *args, **{**kwargs, "proxies": proxies})
        response.raw = _Body(response.raw)
        response.encoding = "utf-8"  # JSON always is; to guess from a large body takes minutes
        return response


class _Body:
    """Bounds what requests reads of an answer. urllib3 would decompress a few bytes to gigabytes."""

    def __init__(self, raw: Any):
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        try:
            yield from self._stream(size)
        except BaseException:
            self._raw.close()  # requests leaves the connection open
            raise

    def _stream(self, size: int) -> Iterator[bytes]:
        encoding = self._raw.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise DecodeError(f"the answer has the Content-Encoding {encoding}, which was not asked for")
        unzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
        received = read = 0
        for piece in self._raw.stream(size, decode_content=False):
            received += len(piece)
            try:
                data = piece if unzip is None else unzip.decompress(piece, MAX_BODY_SIZE + 1 - read)
            except zlib.error as error:
                raise DecodeError(f"the answer is not gzip: {error}") from error
            read += len(data)
            if read > MAX_BODY_SIZE:
                raise BodyTooLargeError(f"the answer has more than {MAX_BODY_SIZE} bytes")
            yield data
        length = self._raw.headers.get("Content-Length", "")  # urllib3 1.26 does not check it
        if (length.isdigit() and received < int(length)) or (unzip is not None and received and not unzip.eof):
            raise ProtocolError(f"the answer was cut after {received} bytes")
