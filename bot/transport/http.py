"""HTTP calls that end in time, each on a thread of its own. Any thread may ask.

Not on the page. The timeouts of requests are for each read, so an answer that trickles in byte by byte could hold a thread
for ever, and nothing bounds a name look-up, in which Python does not even hear Ctrl+C. So the caller waits, as long as it
wants to; then it shuts the call's raw socket down, and the read that waits on it wakes and fails as if cut.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Optional, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

Result = TypeVar("Result")

LONGEST_LAST = 0.5  # seconds for a call that was cut to come back
# What a call may raise where no answer came: requests lets through what is wrong with an address (of a redirect, say), and
# a file of certificates that is not there.
CALL_FAILED = (requests.RequestException, HTTPError, OSError)


def shut_down(sock: Any) -> None:
    """Wake whoever reads from a socket, in any thread, with the end of the stream."""
    with contextlib.suppress(OSError):  # gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's own, which pulls the TLS layer from under the reader


class _Call:
    """One HTTP call: what its caller, who may give it up, and the thread that makes it share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # once the call is over, its connection may serve the next, and must not be cut
        self._sock: Any = None  # on which the thread waits for an answer
        self._given_up = False

    def wait_on(self, sock: Any) -> None:
        """Note the connection before something is sent on it, or an answer waited for."""
        with self._lock:
            if self._given_up:
                raise requests.Timeout("given up")  # so what was given up while it connected is never sent
            self._sock = sock

    def end(self) -> None:
        with self._lock:
            self._sock = None

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._sock is not None:
                shut_down(self._sock)


class _Here(threading.local):
    call: Optional[_Call] = None  # the one that this thread makes


_here = _Here()


def in_time(seconds: float, function: Callable[[], Result]) -> Result:
    """Make an HTTP call, its retries included, and return or raise what it does; requests.Timeout where it does not end in time."""
    call = _Call()
    outcomes: queue.SimpleQueue[tuple[Any, Optional[BaseException]]] = queue.SimpleQueue()

    def run() -> None:
        _here.call = call
        outcome: tuple[Any, Optional[BaseException]]
        try:
            outcome = function(), None
        except BaseException as error:  # for the caller's thread
            outcome = None, error
        call.end()
        outcomes.put(outcome)

    def wait(longest: float) -> Optional[tuple[Any, Optional[BaseException]]]:
        with contextlib.suppress(queue.Empty):
            return outcomes.get(timeout=longest)
        return None

    threading.Thread(target=run, name="HTTP call", daemon=True).start()
    try:
        outcome = wait(seconds)
        if outcome is None:
            call.give_up()
            outcome = wait(LONGEST_LAST)
    finally:
        call.give_up()  # also where a signal's handler has raised
    if outcome is None:
        raise requests.Timeout(f"not over within {seconds:.2g} s")
    returned: Result
    returned, error = outcome
    if error is not None:
        raise error
    return returned


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter, whose connections `in_time` knows."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class _Known:
    """Before urllib3's connections: tells `in_time` of the socket, be the connection new or used before."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if _here.call is not None:
            _here.call.wait_on(self.sock)

    def getresponse(self) -> Any:
        if _here.call is not None:
            _here.call.wait_on(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _HttpConnection(_Known, HTTPConnection):
    pass


class _HttpsConnection(_Known, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
