"""HTTP calls that end in time. Any thread.

Not on the page. The timeouts of requests are for each read, so an answer that trickles in byte by byte could hold a thread
for ever. Here a timer shuts the call's raw socket down: the read that waits on it wakes, and the call fails as if cut.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


def shut_down(sock: Any) -> None:
    """Wake whoever reads from a socket, in any thread, with the end of the stream."""
    with contextlib.suppress(OSError):  # gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's own, which pulls the TLS layer from under the reader


class _Call(threading.local):
    """The HTTP call that a thread is in."""

    sockets: Any = None  # a list; the last one is that on which the thread waits for an answer. None outside `deadline`


_call = _Call()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Cut the HTTP call that this thread makes meanwhile, and its retries, after so many seconds."""
    sockets: list[socket.socket] = []
    over = threading.Event()
    lock = threading.Lock()  # once the call is over, its connection may serve the next, and must not be cut

    def cut() -> None:
        wait = seconds
        while not over.wait(wait):
            with lock:
                if sockets and not over.is_set():
                    shut_down(sockets[-1])
            wait = 0.05  # a retry may open another connection

    threading.Thread(target=cut, name="deadline", daemon=True).start()
    _call.sockets = sockets
    try:
        yield
    finally:
        _call.sockets = None
        with lock:
            over.set()


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter, whose connections `deadline` knows."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class _Known:
    """Before urllib3's connections: tells `deadline` of the socket, be the connection new or used before."""

    sock: Any

    def getresponse(self) -> Any:
        if _call.sockets is not None:
            _call.sockets.append(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _HttpConnection(_Known, HTTPConnection):
    pass


class _HttpsConnection(_Known, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
