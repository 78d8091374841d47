"""A data node that a test scripts: REST responses, and streams frame by frame or byte by byte.

with ScriptedNode() as node:
    node.rest["markets"] = (200, {...})
    node.send("orders", '{"result": …}')
"""

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from aiohttp import web

from tests.support.app_thread import HOST, AppThread
from tests.support.waiting import DEFAULT_TIMEOUT

RECORDINGS = Path(__file__).parents[1] / "recordings"
Frame = Union[str, bytes, "Raw"]


class Raw(bytes):
    """Bytes to send on the TCP connection itself, without the WebSocket layer."""


def recorded(name: str) -> dict[str, Any]:
    """Return a REST recording."""
    content: dict[str, Any] = json.loads((RECORDINGS / f"rest-{name}.json").read_text())
    return content


def recorded_frames(name: str) -> list[str]:
    """Return the frames of a stream recording."""
    lines = (RECORDINGS / f"ws-{name}.jsonl").read_text().splitlines()
    return [line["text"] for line in map(json.loads, lines) if "text" in line]


class ScriptedNode(AppThread):
    """A data node on the loopback, in a thread of its own; with an SSL context, behind TLS."""

    def __init__(self, ssl_context: Optional[ssl.SSLContext] = None) -> None:
        super().__init__(ssl_context)
        self.rest: dict[str, tuple[int, Any]] = {}  # path with query -> status, JSON body
        self.block: Optional[tuple[int, int]] = None  # height and ns of chain time, for the headers of every REST answer
        self.rest_calls: Counter[str] = Counter()  # path with query -> number of calls
        self.first_frames: dict[str, Sequence[Frame]] = {}  # stream -> frames that each new connection gets
        self.disconnect_after_first_frames: set[str] = set()  # streams that then end without a close frame
        self.connections: Counter[str] = Counter()  # stream -> number of connections so far
        self._open: dict[str, web.WebSocketResponse] = {}
        self._transports: dict[str, asyncio.WriteTransport] = {}
        self._tls = "s" if ssl_context else ""
        self._changed = threading.Condition()  # guards connections

    def send(self, stream: str, *frames: Frame) -> None:
        """Send frames on the newest connection of a stream; return when they are sent."""
        self._call(self._send(stream, frames))

    def wait_for_connections(self, stream: str, count: int, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait until a stream has had so many connections and the newest one has got its first frames."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.connections[stream] >= count, timeout):
                raise AssertionError(f"{self.connections[stream]} connections of {stream}, not {count}, within {timeout:g} s")

    async def _send(self, stream: str, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if isinstance(frame, Raw):
                self._transports[stream].write(frame)
            elif isinstance(frame, bytes):
                await self._open[stream].send_bytes(frame)
            else:
                await self._open[stream].send_str(frame)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = request.match_info["stream"]
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        assert request.transport is not None
        self._open[stream], self._transports[stream] = socket, request.transport
        await self._send(stream, self.first_frames.get(stream, []))
        with self._changed:
            self.connections[stream] += 1
            self._changed.notify_all()
        if stream in self.disconnect_after_first_frames:
            request.transport.close()
            return socket
        async for _ in socket:
            pass
        return socket

    async def _rest(self, request: web.Request) -> web.Response:
        path = request.path_qs.removeprefix("/api/v2/")
        self.rest_calls[path] += 1
        status, body = self.rest.get(path, (404, {"code": 5, "message": "Not Found", "details": []}))
        headers = {} if self.block is None else {"X-Block-Height": str(self.block[0]), "X-Block-Timestamp": str(self.block[1])}
        return web.json_response(body, status=status, headers=headers)

    def _routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v2/stream/{stream:.+}", self._stream), web.get("/api/v2/{path:.*}", self._rest)]

    @property
    def rest_url(self) -> str:
        return f"http{self._tls}://{HOST}:{self._port}/api/v2"

    @property
    def ws_url(self) -> str:
        return f"ws{self._tls}://{HOST}:{self._port}/api/v2"


def recorded_node() -> ScriptedNode:
    """Return a node with the first REST responses of the recorded network."""
    node = ScriptedNode()
    for name in ("assets", "markets", "bot-accounts", "bot-orders", "bot-positions", *(f"{kind}-market" for kind in KINDS)):
        answer = recorded(name)
        node.rest[answer["path"]] = (answer["status"], answer["body"])
    for kind in KINDS:
        answer = recorded(f"{kind}-market-data-latest")
        node.rest[answer["path"]] = (answer["status"], answer["body"])
    return node


KINDS = ("future", "perp", "spot")
INFO = json.loads((RECORDINGS / "info.json").read_text())
BOT = INFO["PUB"]["bot"]
MARKETS = dict(zip(KINDS, (INFO["MARKETS"][f"BTCDAI {kind}"] for kind in ("Future", "Perp", "Spot")), strict=True))
