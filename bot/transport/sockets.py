"""Sockets that keep a deadline, and connections that try each address of a host. Any thread.

Not on the page. A socket's timeout is for each read, so an answer that arrives byte by byte could block a thread without end,
and nothing bounds a name look-up, during which Python does not even react to Ctrl+C. Both libraries also stop at the first
address of a host that does not answer.
"""

import contextlib
import ipaddress
import math
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

CONNECT_STAGGER = 0.25  # seconds until the next address is tried beside those that have not answered

AddressInfo = tuple[Any, Any, int, str, Any]  # of socket.getaddrinfo


class _Local(threading.local):
    deadline = math.inf  # time.monotonic(), for all that this thread's sockets do


_local = _Local()


@contextlib.contextmanager
def deadline_at(deadline: float) -> Iterator[None]:
    """Let the sockets of this module raise TimeoutError after a time.monotonic(). For this thread, in a `with` block."""
    before, _local.deadline = _local.deadline, min(deadline, _local.deadline)
    try:
        yield
    finally:
        _local.deadline = before


class _Deadline:
    """Mixin over a socket: no read or write continues after the thread's deadline. It does not change `recv`, which streams use."""

    bytes_received = 0  # with `recv_into`

    def limit_timeout(self) -> None:
        """Cut the socket's timeout down to the time that is left.

        Raises:
            TimeoutError: no time is left.
        """
        sock: Any = self
        seconds = _local.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        timeout = sock.gettimeout()
        if seconds < math.inf and (timeout is None or timeout > seconds):
            sock.settimeout(seconds)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.limit_timeout()
        received: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        self.bytes_received += received
        return received

    def send(self, *args: Any) -> int:
        self.limit_timeout()
        return super().send(*args)  # type: ignore[misc,no-any-return]

    def sendall(self, *args: Any) -> None:
        self.limit_timeout()
        super().sendall(*args)  # type: ignore[misc]


class DeadlineSocket(_Deadline, socket.socket):
    """A TCP socket."""


class DeadlineSSLSocket(_Deadline, ssl.SSLSocket):
    """A TLS socket, made by a context that has this as its `sslsocket_class`."""


def connect(host: str, port: int, timeout: Optional[float] = None) -> DeadlineSocket:
    """Connect to a host. Each of its addresses gets a try, and one that does not answer delays the others only a little.

    Args:
        timeout: seconds for the look-up and all addresses together, beside the thread's deadline.

    Raises:
        OSError: unknown host, or no address can be reached; TimeoutError if none has answered in time.
    """
    deadline = min(_local.deadline, math.inf if timeout is None else time.monotonic() + timeout)
    addresses = resolve(host, port, deadline)
    pending: list[DeadlineSocket] = []
    first_error: Optional[OSError] = None
    try:
        with selectors.DefaultSelector() as selector:
            next_at = 0.0  # time.monotonic() when the next address gets its try
            while addresses or pending:
                now = time.monotonic()
                if now >= deadline:
                    raise TimeoutError("timed out")
                if addresses and (not pending or now >= next_at):
                    try:
                        pending.append(_begin_connect(addresses.pop(0)))
                        selector.register(pending[-1], selectors.EVENT_WRITE)
                    except OSError as error:
                        first_error = first_error or error
                    next_at = now + CONNECT_STAGGER
                    continue
                wait = min(deadline, next_at if addresses else math.inf) - now
                for key, _ in selector.select(None if wait == math.inf else wait):
                    sock: Any = key.fileobj
                    selector.unregister(sock)
                    pending.remove(sock)
                    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not number:
                        return _configure(sock)
                    sock.close()
                    first_error = first_error or OSError(number, os.strerror(number))
        raise first_error or OSError(f"{host} has no address")
    finally:
        for sock in pending:
            sock.close()


def _begin_connect(address: AddressInfo) -> DeadlineSocket:
    family, kind, protocol, _, where = address
    sock = DeadlineSocket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # it is under way
            sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _configure(sock: DeadlineSocket) -> DeadlineSocket:
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


class _Lookup:
    """A name look-up that runs on a thread of its own."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.addresses: list[AddressInfo] = []
        self.error: Optional[Exception] = None

    def run(self, host: str, port: int) -> None:
        try:
            self.addresses = _look_up(host, port)
        except Exception as error:  # for the threads that wait
            self.error = error
        with _lookups_lock:
            _lookups.pop((host, port), None)
            if self.addresses:
                _known[host, port] = self.addresses
        self.done.set()


_lookups_lock = threading.Lock()
_lookups: dict[tuple[str, int], _Lookup] = {}  # under way; a second one for the same name waits for the first
_known: dict[tuple[str, int], list[AddressInfo]] = {}  # what the newest look-up of a name has found


def resolve(host: str, port: int, deadline: float = math.inf) -> list[AddressInfo]:
    """Return a host's addresses. If the look-up hangs or cannot be made now, return those of the last one.

    Raises:
        OSError: the host is unknown; TimeoutError if the look-up takes longer than the deadline, a time.monotonic().
    """
    if _is_address(host):
        return _look_up(host, port)
    with _lookups_lock:
        known = list(_known.get((host, port), []))
        lookup = _lookups.get((host, port))
        if lookup is None:
            lookup = _Lookup()
            thread = threading.Thread(target=lookup.run, args=(host, port), name=f"look up {host}", daemon=True)
            try:
                thread.start()
                _lookups[host, port] = lookup
            except RuntimeError:  # the system allows no more threads
                return known or _look_up(host, port)
    if not lookup.done.wait(None if deadline == math.inf else max(0.0, deadline - time.monotonic())):
        if not known:
            raise TimeoutError(f"no address of {host} found in time")
    elif lookup.error is None:
        return list(lookup.addresses)
    elif not (known and isinstance(lookup.error, socket.gaierror) and lookup.error.errno == socket.EAI_AGAIN):
        raise lookup.error
    return known


def _look_up(host: str, port: int) -> list[AddressInfo]:
    try:
        return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a host name") from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
