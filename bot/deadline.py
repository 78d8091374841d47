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

_waiting: dict[int, socket.socket] = {}  # thread id -> the socket on which that thread waits for an answer


def shut_down(sock: Any) -> None:
    """Wake whoever reads from a socket, in any thread, with the end of the stream."""
    with contextlib.suppress(OSError):  # gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's own, which pulls the TLS layer from under the reader


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Cut the HTTP call of this thread that is under way after so many seconds, and any that follows."""
    thread = threading.get_ident()
    done = threading.Event()

    def cut() -> None:
        wait = seconds
        while not done.wait(wait):
            if thread in _waiting:
                shut_down(_waiting[thread])
            wait = 0.05  # a retry would open another connection

    threading.Thread(target=cut, name="deadline", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        _waiting.pop(thread, None)


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter, whose connections `deadline` knows."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _HttpConnection(HTTPConnection):
    def getresponse(self) -> Any:
        _waiting[threading.get_ident()] = self.sock
        return super().getresponse()


class _HttpsConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        _waiting[threading.get_ident()] = self.sock
        return super().getresponse()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
