"""One application on one port, with a doorman: so many connections from one address at a time, and no more."""

import asyncio
from typing import Any, Optional

from aiohttp import web

PATIENCE = 0.2  # seconds that a stop leaves to requests under way
MOST_CONNECTIONS = 400  # from one address to one port: four streams and a few calls of everyone in a room behind one router
MOST_BODY = 256 * 1024  # bytes; a batch of 30 instructions has ten thousand
TURNED_AWAY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Server:
    """One application on one port of a host."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self.port = port  # the real one as soon as it listens
        self._host = host
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        self._listener: Optional[asyncio.Server] = None

    async def start(self) -> None:
        await self._runner.setup()
        await self.listen()

    async def listen(self) -> None:
        # Not aiohttp's TCPSite: it has no place for the doorman.
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Doorman(self._runner.server), self._host, self.port)
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


class _Doorman(asyncio.Protocol):
    """Meets each new connection: hands it to aiohttp, or answers its first request with 429 where its address has too many."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._is_crowded(transport):
            self._transport = transport
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)  # one that asks nothing is not kept waiting
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(TURNED_AWAY)
        self._transport.close()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._timer.cancel()

    def _is_crowded(self, transport: asyncio.Transport) -> bool:
        others = self._server.connections
        if len(others) < MOST_CONNECTIONS:  # the usual case, without a look at each
            return False
        address = transport.get_extra_info("peername")[0]
        peers = (other.transport.get_extra_info("peername") for other in others if other.transport)
        return sum(peer is not None and peer[0] == address for peer in peers) >= MOST_CONNECTIONS


@web.middleware
async def refuse_large_bodies(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answer 413 before anything is done, also where nobody would look at the body."""
    if (request.content_length or 0) > MOST_BODY:  # not a byte of it is read
        raise web.HTTPRequestEntityTooLarge(max_size=MOST_BODY, actual_size=request.content_length or 0)
    if request.can_read_body:
        await request.read()  # raises the same once there is too much of one whose length was not said
    return await handler(request)  # type: ignore[no-any-return]
