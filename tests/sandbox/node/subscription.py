"""One client of one stream: its filters, its unsent frames, and the connection that carries them.

A stream is a WebSocket, or JSON lines in the response to a plain GET.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Collection, Iterable
from typing import Optional, Protocol, Union

from aiohttp import WSMsgType, web

from tests.sandbox.node.responses import query_of

MAX_CLIENT_MESSAGE = 64 * 1024  # bytes; a node reads nothing from clients but pings
SEND_BUFFER = 128 * 1024  # bytes that the kernel keeps for a client; without this, Linux may keep four megabytes
POLL_INTERVAL = 0.2  # seconds between two looks at a connection whose client has sent a close frame

PARAMETERS = {  # stream -> names of its market and party filters
    "markets/data": ("marketIds", ""),
    "orders": ("marketIds", "partyIds"),
    "positions": ("marketId", "partyId"),
    "accounts": ("marketId", "partyId"),
    "trades": ("marketIds", "partyIds"),
    "markets/depth": ("marketIds", ""),
    "markets/depth/updates": ("marketIds", ""),
}
TUTORIAL_STREAMS = ("markets/data", "orders", "positions", "accounts")
SNAPSHOT_STREAMS = ("orders", "positions", "accounts")
MARKET_STREAMS = ("markets/data", "markets/depth", "markets/depth/updates")  # send nothing without a market filter
DISCONNECT_MODES = ("reset", "cut", "1000", "1001", "1011")


class Channel(Protocol):
    """A connection that carries frames to a client."""

    async def send(self, frame: bytes) -> None: ...

    async def close(self, code: int) -> None: ...

    async def wait_until_closed(self) -> None: ...


class WebSocketChannel:
    """A WebSocket. Like a Vega node it sends no pings, answers pings, and never answers a close frame."""

    def __init__(self, connection: "web.WebSocketResponse[bool]", transport: Optional[asyncio.Transport]) -> None:
        self._connection, self._transport = connection, transport
        self._is_closing = False

    async def send(self, frame: bytes) -> None:
        await self._connection.send_frame(frame, WSMsgType.TEXT)

    async def close(self, code: int) -> None:
        self._is_closing = True
        await self._connection.close(code=code)

    async def wait_until_closed(self) -> None:
        """Read until the connection ends. Reading answers the client's pings. After a close frame the node goes on sending."""
        with contextlib.suppress(ConnectionError):  # a pong on a connection that the client has just closed
            async for _ in self._connection:
                pass
        if not self._is_closing:
            await poll_until_closed(self._transport)


class LinesChannel:
    """The response to a plain GET: one line of JSON per frame. Its headers are sent with the first line, as by a node."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers={"Content-Type": "application/json"})
        self._request = request

    async def send(self, frame: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write(frame + b"\n")

    async def close(self, code: int) -> None:
        """End the response. HTTP has no close codes."""
        if self.response.prepared:
            await self.response.write_eof()
        elif self._request.transport:
            self._request.transport.abort()

    async def wait_until_closed(self) -> None:
        await poll_until_closed(self._request.transport)


async def poll_until_closed(transport: Optional[asyncio.Transport]) -> None:
    while transport and not transport.is_closing():
        await asyncio.sleep(POLL_INTERVAL)


class Subscription:
    """The filters of a client and its unsent frames, in bytes that many subscriptions may share."""

    def __init__(self, stream: str, request: web.Request, channel: Channel) -> None:
        market_filter, party_filter = PARAMETERS[stream]
        query = query_of(request)
        self.stream = stream
        self.markets = tuple(query.getall(market_filter, []))
        self.parties = tuple(query.getall(party_filter, []))
        self.remote = request.remote or ""
        self.awaits_snapshot = stream in SNAPSHOT_STREAMS
        self.opened_at = time.monotonic()
        self.frames = 0  # sent
        self.sent_at: Optional[float] = None  # when the last frame was sent, on the monotonic clock
        self.is_disconnected = False
        self._channel = channel
        self._transport = request.transport
        if self._transport:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._unsent: asyncio.Queue[Union[bytes, int]] = asyncio.Queue()  # frames; a number is a close code
        self._unsent_bytes = 0
        self._snapshot_bytes = 0  # of those; not held against the client, since it has had no time to read them

    @property
    def filters(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Stream and filters: subscriptions with equal ones get equal frames."""
        return self.stream, self.markets, self.parties

    @property
    def waiting(self) -> int:
        """Number of unsent frames."""
        return self._unsent.qsize()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client has not read yet, as far as this process knows."""
        buffered = self._transport.get_write_buffer_size() if self._transport and not self._transport.is_closing() else 0
        return self._unsent_bytes + buffered

    @property
    def overdue_bytes(self) -> int:
        """The same without the rest of the snapshot."""
        return self.waiting_bytes - self._snapshot_bytes

    def matches(self, market_id: str, parties: Collection[str]) -> bool:
        """Return whether a record passes the filters; a trade has two parties, and one of them suffices."""
        any_market = not self.markets and self.stream not in MARKET_STREAMS
        if not any_market and market_id not in self.markets:
            return False
        return not self.parties or any(party in self.parties for party in parties)

    def send(self, frames: Iterable[bytes], snapshot: bool = False) -> None:
        """Queue frames."""
        for frame in frames:
            self._unsent.put_nowait(frame)
            self._unsent_bytes += len(frame)
            if snapshot:
                self._snapshot_bytes += len(frame)

    def disconnect(self, how: str) -> None:
        """Close the connection in one of DISCONNECT_MODES."""
        self.is_disconnected = True
        if how.isdecimal():
            self._unsent.put_nowait(int(how))
        elif self._transport:
            if how == "reset":  # a linger time of zero makes close() send RST instead of FIN
                linger = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()

    async def run(self) -> None:
        """Send frames until either side closes the connection."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._channel.wait_until_closed())
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while isinstance(frame := await self._unsent.get(), bytes):
                await self._channel.send(frame)
                self._unsent_bytes -= len(frame)
                self._snapshot_bytes = max(0, self._snapshot_bytes - len(frame))  # the snapshot is sent first
                self.frames += 1
                self.sent_at = time.monotonic()
            await self._channel.close(frame)
