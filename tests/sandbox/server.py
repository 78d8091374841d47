"""One application on one port, with a doorman: so many connections from one address at a time, and so many in all.

How many is a matter of the files that the process may have open. Where that number is passed nobody is let in any more, not even to be
turned away, so there is always room for what else the sandbox opens.
"""

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any, NamedTuple, Optional

from aiohttp import web

from tests.sandbox.room.room import is_loopback

PATIENCE = 0.2  # seconds that a stop leaves to requests under way
MAX_CONNECTIONS_PER_ADDRESS = 400  # from one address to one port: four streams and a few calls of everyone in a room behind one router
WANTED_OPEN_FILES = 8192  # open at a time, where the system grants them: macOS begins with 256
RESERVED_FILES = 40  # that a sandbox has open besides its connections
LISTEN_BACKLOG = 128  # connections that wait to be accepted: what macOS grants
PORTS_PER_SANDBOX = 2  # of a sandbox: that of the node, and that of the wallet
MAX_BODY_SIZE = 256 * 1024  # bytes; a batch of 30 instructions has ten thousand
TOO_MANY_REQUESTS = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ConnectionLimits(NamedTuple):
    """How many connections one port has room for."""

    accept_batch: int  # accepted in one go, and those at the admission who are told that they are too many
    per_address: int  # address
    total: int


def connection_limits(files: int) -> ConnectionLimits:
    """Share out so many open files among the ports.

    asyncio accepts a accept_batch in one go, and up to four lots are on their way before the doorman sees the first of them.
    """
    accept_batch = min(100, max(8, files // 64))
    total = (files - RESERVED_FILES) // PORTS_PER_SANDBOX - 5 * accept_batch
    return ConnectionLimits(accept_batch, min(MAX_CONNECTIONS_PER_ADDRESS, total // 3), total)


def raise_open_files_limit() -> int:
    """Return how many files this process may have open, after it has asked for as many as it wants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system may grant less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else min(soft, WANTED_OPEN_FILES)


class Server:
    """One application on one port of a host."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self.port = port  # the real one as soon as it listens
        self._host = host
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        self._listener: Optional[asyncio.Server] = None
        self._admission: Optional[_Admission] = None

    async def start(self) -> None:
        await self._runner.setup()
        self._admission = _Admission(self._runner.server, connection_limits(raise_open_files_limit()))
        await self.listen()

    async def listen(self) -> None:
        # Not aiohttp's TCPSite: it has no place for the doorman.
        assert self._admission is not None
        admission, loop, batch = self._admission, asyncio.get_running_loop(), self._admission.limits.accept_batch
        self._listener = await loop.create_server(lambda: _ConnectionGate(admission), self._host, self.port, backlog=batch)
        for listening in self._listener.sockets:  # more may queue outside than are accepted in one go: asyncio has one number for both
            with socket.socket(fileno=os.dup(listening.fileno())) as queue:
                queue.listen(LISTEN_BACKLOG)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def pause(self) -> None:
        """Close the port and every connection; `listen` opens the port again."""
        await self._close_port()
        await self._runner.app.shutdown()
        if self._runner.server:
            await self._runner.server.shutdown(PATIENCE)

    async def stop(self) -> None:
        await self._close_port()
        await self._runner.cleanup()

    async def _close_port(self) -> None:
        if self._listener:
            for listening in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(listening)
            for _ in range(3):  # asyncio forgets whom it has accepted and not yet let in when the port closes
                await asyncio.sleep(0)
            self._listener.close()
        if self._admission:
            for transport in list(self._admission.rejected):  # aiohttp does not know them, so it would leave them open
                transport.abort()


class _Admission:
    """Who gets in at one port."""

    def __init__(self, server: Any, limits: ConnectionLimits) -> None:
        self.server = server  # aiohttp's
        self.limits = limits
        self.rejected: set[asyncio.Transport] = set()  # open ones that wait for their first request, to be answered with 429

    def has_room_for(self, address: str) -> bool:
        others = self.server.connections
        if len(others) < self.limits.per_address:  # the usual case, without a look at each
            return True
        kept = 0 if is_loopback(address) else self.limits.per_address  # for this machine: however many come, its owner gets in
        if len(others) >= self.limits.total - kept:
            return False
        peers = [other.transport.get_extra_info("peername") for other in others if other.transport]
        own = [peer for peer in peers if peer and peer[0] == address]
        return len(own) < self.limits.per_address


class _ConnectionGate(asyncio.Protocol):
    """Meets each new connection: hands it to aiohttp, or answers its first request with 429 where there are too many."""

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
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)  # one that asks nothing is not kept waiting
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
    """Answer 413 before anything is done, also where nobody would look at the body."""
    if (request.content_length or 0) > MAX_BODY_SIZE:  # not a byte of it is read
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY_SIZE, actual_size=request.content_length or 0)
    if request.can_read_body:
        await request.read()  # raises the same once there is too much of one whose length was not said
    return await handler(request)  # type: ignore[no-any-return]
