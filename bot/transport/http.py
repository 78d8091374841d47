"""HTTP calls with a deadline, each on a thread of its own. Any thread may call.

Not on the page. The timeouts of requests are for each read, so an answer that arrives byte by byte could block a thread
without end, and nothing bounds a name look-up, during which Python does not even react to Ctrl+C. So the caller waits until
its deadline. Then it shuts the call's raw socket down, which ends the read.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Optional, TypeVar, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

Result = TypeVar("Result")
Outcome = tuple[Any, Optional[BaseException]]

ABANDONED_CALL_TIMEOUT = 0.5  # seconds for a call that was abandoned to return
MAX_RETRY_AFTER = 10.0  # seconds to wait where a server asks for it
RETRY_BACKOFF = 0.5  # seconds before the second retry, doubled for the third
RETRY_STATUSES = (429, 502, 503, 504)
# What a call may raise when no answer came. requests lets errors through for a bad address (in a redirect, for example) and
# for a certificate file that does not exist.
CALL_FAILED = (requests.RequestException, HTTPError, OSError)


class NotSentError(requests.ConnectionError):
    """There was no connection, so the server cannot have got the request."""


def shutdown_socket(sock: Any) -> None:
    """Wake whoever reads from a socket, in any thread, with the end of the stream."""
    with contextlib.suppress(OSError):  # closed already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own removes the TLS layer while another thread reads


def build_session(tries: int = 1) -> requests.Session:
    """Return a session for `call_with_deadline`, which makes up to so many tries when a server is busy or unreachable."""
    retry = _Retry(
        total=tries - 1,
        backoff_factor=RETRY_BACKOFF,
        status_forcelist=RETRY_STATUSES,
        raise_on_status=False,  # the last answer holds the server's error message
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _DeadlineAdapter(max_retries=retry))
    return session


def call_with_deadline(seconds: float, function: Callable[[], Result]) -> Result:
    """Make an HTTP call, with its retries, and return or raise what it does.

    Args:
        seconds: until the call is abandoned.
        function: makes the call, on a session of `build_session`.

    Raises:
        NotSentError: there was no connection, whatever the reason; the original error is its cause.
        requests.Timeout: no answer in time.
        Others of CALL_FAILED: the call failed after it had a connection.
    """
    call = _PendingCall()
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def run() -> None:
        _local.call = call
        outcome: Outcome
        try:
            outcome = function(), None
        except BaseException as error:  # for the caller's thread
            outcome = None, error
        call.finish()
        outcomes.put(outcome)

    def wait(timeout: float) -> Optional[Outcome]:
        with contextlib.suppress(queue.Empty):
            return outcomes.get(timeout=timeout)
        return None

    threading.Thread(target=run, name="HTTP call", daemon=True).start()
    try:
        outcome = wait(seconds)
        if outcome is None:
            call.abandon()
            outcome = wait(ABANDONED_CALL_TIMEOUT)
            if outcome is None or outcome[1] is not None:  # not what the cut provoked: the reason for the cut
                outcome = None, requests.Timeout(f"no answer within {seconds:.2g} s")
    finally:
        call.abandon()  # also when a signal handler has raised
    result, error = outcome
    if error is None:
        return cast(Result, result)
    if isinstance(error, CALL_FAILED) and not call.was_connected:
        raise NotSentError(*error.args) from error
    raise error


class _PendingCall:
    """One HTTP call, shared by its caller, who may abandon it, and the thread that makes it."""

    def __init__(self) -> None:
        self.was_connected = False
        self._lock = threading.Lock()  # once the call is over, its connection may serve the next one, and must not be cut
        self._sock: Any = None  # on which the thread waits for an answer
        self._abandoned = False

    def wait_on(self, sock: Any) -> None:
        """Note the connection, before something is sent on it or an answer is awaited."""
        with self._lock:
            if self._abandoned:
                raise requests.Timeout("abandoned")  # so a call that was abandoned while it connected is never sent
            self._sock = sock
            self.was_connected = True

    def finish(self) -> None:
        with self._lock:
            self._sock = None

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._sock is not None:
                shutdown_socket(self._sock)


class _Local(threading.local):
    call: Optional[_PendingCall] = None  # the one that this thread makes


_local = _Local()


class _Retry(Retry):
    """urllib3's Retry waits as long as Retry-After says. A node that says an hour must not block the bot."""

    def get_retry_after(self, response: Any) -> Optional[float]:
        try:
            seconds = super().get_retry_after(response)
        except InvalidHeader:  # neither seconds nor a date; raised, it would hide the node's error message
            return None
        return None if seconds is None else min(seconds, MAX_RETRY_AFTER)


class _NotedConnection:
    """Mixin for urllib3's connections: tells the pending call its socket, whether the connection is new or reused."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if _local.call is not None:
            _local.call.wait_on(self.sock)

    def getresponse(self) -> Any:
        if _local.call is not None:
            _local.call.wait_on(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _HttpConnection(_NotedConnection, HTTPConnection):
    pass


class _HttpsConnection(_NotedConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _NotedPools:
    """Mixin for urllib3's pool managers: their pools make noted connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _PoolManager(_NotedPools, PoolManager):
    pass


class _ProxyManager(_NotedPools, ProxyManager):
    pass


class _DeadlineAdapter(HTTPAdapter):
    """requests' adapter, with connections that `call_with_deadline` can cut."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        self.poolmanager = _PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        if proxy not in self.proxy_manager:
            self.proxy_manager[proxy] = _ProxyManager(proxy, proxy_headers=self.proxy_headers(proxy), **proxy_kwargs)
        return self.proxy_manager[proxy]
