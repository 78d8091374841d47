"""One application on one port, with limits on its connections: per address, and in total.

The limits follow from the number of files that the process may open. At the limit a new connection is closed, so the sandbox can
always open its other files.
"""

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any, NamedTuple, Optional

from aiohttp import web

from tests.sandbox.limited_log import ServerLog
from tests.sandbox.room.room import is_loopback

SHUTDOWN_TIMEOUT = 0.2  # seconds; for requests that are being answered
FIRST_REQUEST_TIMEOUT = 0.2  # seconds; for a client over the limit to send the request that is answered with 429
MAX_CONNECTIONS_PER_ADDRESS = 400  # to one port: a whole room behind one router has four streams and a few calls for each bot
WANTED_OPEN_FILES = 8192  # macOS starts with 256
MIN_OPEN_FILES = 256
CONNECTIONS_PER_BOT = 6  # to the data node: four streams, REST, and a dashboard
RESERVED_FILES = 40  # open besides the connections
LISTEN_BACKLOG = 128  # connections waiting to be accepted; the most that macOS allows
PORTS_PER_SANDBOX = 2  # data node and wallet
MAX_BODY_SIZE = 256 * 1024  # bytes; a batch of 30 instructions has about 10,000
TOO_MANY_REQUESTS = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ConnectionLimits(NamedTuple):
    """Numbers of connections to one port."""

    accept_batch: int  # accepted in one step of the event loop; also the most that wait for a 429
    per_address: int
    total: int


def connection_limits(files: int) -> ConnectionLimits:
    """Divide a number of open files among the ports.

    asyncio accepts a batch in one step, and up to four batches are open before the gate sees the first connection.
    """
    accept_batch = min(100, max(8, files // 64))
    total = (files - RESERVED_FILES) // PORTS_PER_SANDBOX - 5 * accept_batch
    return ConnectionLimits(accept_batch, min(MAX_CONNECTIONS_PER_ADDRESS, total // 3), total)


def raise_open_files_limit() -> int:
    """Raise the soft limit on open files as far as needed and possible, and return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems reject values below their hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else min(soft, WANTED_OPEN_FILES)


def check_open_files(participants: int) -> None:
    """Raise the limit on open files as far as possible.

    Raises:
        ValueError: the limit is too low for a sandbox with this number of participants.
    """
    files, bots = raise_open_files_limit(), max(1, participants)
    if not _has_room_for_bots(files, bots):
        needed = next(number for number in range(MIN_OPEN_FILES, 1_000_000, 64) if _has_room_for_bots(number, bots))
        who = f"{participants} participants" if participants else "a sandbox"
        raise ValueError(f"the limit on open files is {files}, but {who} need{'' if participants else 's'} {needed}: ulimit -n {needed}")


def _has_room_for_bots(files: int, bots: int) -> bool:
    return files >= MIN_OPEN_FILES and connection_limits(files).total >= bots * CONNECTIONS_PER_BOT


class Server:
    """One application on one port of a host."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self.port = port  # 0 becomes the actual port when the server listens
        self._host = host
        self._runner = web.AppRunner(app, access_log=None, logger=ServerLog(__name__), shutdown_timeout=SHUTDOWN_TIMEOUT)
        self._listener: Optional[asyncio.Server] = None
        self._admission: Optional[_Admission] = None

    async def start(self) -> None:
        await self._runner.setup()
        self._admission = _Admission(self._runner.server, connection_limits(raise_open_files_limit()))
        await self.listen()

    async def listen(self) -> None:
        # Not aiohttp's TCPSite: it takes no protocol factory.
        assert self._admission is not None
        admission, loop, batch = self._admission, asyncio.get_running_loop(), self._admission.limits.accept_batch
        self._listener = await loop.create_server(lambda: _ConnectionGate(admission), self._host, self.port, backlog=batch)
        for listening in self._listener.sockets:  # asyncio uses one number for the backlog and for the batch; the backlog may be longer
            with socket.socket(fileno=os.dup(listening.fileno())) as queue:
                queue.listen(LISTEN_BACKLOG)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def pause(self) -> None:
        """Close the port and every connection; `listen` opens the port again."""
        await self._close_port()
        await self._runner.app.shutdown()
        if self._runner.server:
            await self._runner.server.shutdown(SHUTDOWN_TIMEOUT)

    async def stop(self) -> None:
        await self._close_port()
        await self._runner.cleanup()

    async def _close_port(self) -> None:
        if self._listener:
            for listening in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(listening)
            for _ in range(3):  # connections that asyncio has accepted but not handed over yet would stay open
                await asyncio.sleep(0)
            self._listener.close()
        if self._admission:
            for transport in list(self._admission.rejected):  # aiohttp does not know these connections and would leave them open
                transport.abort()


class _Admission:
    """Decides which connections to one port are accepted."""

    def __init__(self, server: Any, limits: ConnectionLimits) -> None:
        self.server = server  # aiohttp's
        self.limits = limits
        self.rejected: set[asyncio.Transport] = set()  # open; their first request is answered with 429

    def has_room_for(self, address: str) -> bool:
        others = self.server.connections
        if len(others) < self.limits.per_address:  # the usual case; no need to count by address
            return True
        reserved = 0 if is_loopback(address) else self.limits.per_address  # the owner of this machine can always connect
        if len(others) >= self.limits.total - reserved:
            return False
        peers = [other.transport.get_extra_info("peername") for other in others if other.transport]
        own = [peer for peer in peers if peer and peer[0] == address]
        return len(own) < self.limits.per_address


class _ConnectionGate(asyncio.Protocol):
    """First protocol of each connection: hands it to aiohttp, or answers its first request with 429 if there are too many."""

    def __init__(self, admission: _Admission) -> None:
        self._admission = admission
        self._timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._admission.has_room_for(transport.get_extra_info("peername")[0]):
            handler = self._admission.server()
            transport.set_protocol(handler)
            handler.connection_made(transport)
        elif len(self._admission.rejected) < self._admission.limits.accept_batch:
            self._admission.rejected.add(transport)
            self._transport = transport
            self._timer = asyncio.get_running_loop().call_later(FIRST_REQUEST_TIMEOUT, transport.abort)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._timer:
            self._transport.write(TOO_MANY_REQUESTS)
            self._transport.close()

    def connection_lost(self, error: Optional[Exception]) -> None:
        if self._timer:
            self._timer.cancel()
            self._admission.rejected.discard(self._transport)


@web.middleware
async def reject_large_bodies(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answer 413 before any handler runs, also where the handler would ignore the body."""
    if (request.content_length or 0) > MAX_BODY_SIZE:  # rejected without reading the body
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY_SIZE, actual_size=request.content_length or 0)
    if request.can_read_body:
        await request.read()  # raises the same error if a body of unknown length is too large
    return await handler(request)  # type: ignore[no-any-return]
