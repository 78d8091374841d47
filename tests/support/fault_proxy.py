"""A TCP proxy in front of a node's port, in a thread of its own, that breaks what it carries.

with FaultProxy(sandbox.node_url) as proxy:
    proxy.turn("freeze", "orders", after=100)  # 100 bytes more, then nothing, and nothing is closed

What a connection carries is told by its first request: a stream's name, "rest" for all other paths, "tls" where it cannot be read.
"""

import asyncio
import contextlib
import itertools
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Optional
from urllib.parse import urlsplit

HOST = "127.0.0.1"
STREAMS = ("markets/data", "accounts", "orders", "positions")
PING = b"\x89\x00"
DOWN, UP = "down", "up"  # to the client, to the node
MODES = ("pass", "freeze", "trickle", "slow", "reset", "cut")
SLOW = 2_000  # bytes a second
NO_LINGER = struct.pack("ii", 1, 0)  # a socket closed with a linger time of zero says RST instead of FIN


class FaultProxy:
    """Carries connections to a node and back, as `turn` has it. Its methods are for other threads."""

    def __init__(self, node_url: str) -> None:
        self._node_port = urlsplit(node_url).port
        self._changed = threading.Condition()  # guards dials, for those who wait
        self._dials: dict[str, list[float]] = defaultdict(list)  # name -> time.monotonic() of each connection
        self._switches: dict[tuple[str, str], _Switch] = defaultdict(_Switch)  # name, direction
        self._statuses: dict[str, tuple[int, str]] = {}  # name -> what its requests are answered with
        self._clients: dict[asyncio.StreamWriter, str] = {}  # open connections -> name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: Optional[socket.socket] = None
        self._port = 0
        self._blackhole: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    @property
    def rest_url(self) -> str:
        return f"http://{HOST}:{self._port}/api/v2"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self._port}/api/v2"

    def turn(self, mode: str, *names: str, directions: tuple[str, ...] = (DOWN, UP), after: int = 0) -> None:
        """Treat connections so, those that are open and those to come; the four streams where none is named.

        Args:
            mode: "pass"; "freeze": nothing goes on, nothing is closed; "trickle": a byte a second; "slow": SLOW bytes a second; "reset"
                (RST) or "cut" (FIN): the next byte ends the connection.
            names: what the connections carry.
            directions: which way.
            after: bytes that pass each way before the mode begins.
        """
        assert mode in MODES
        self._call(self._turn(mode, names or STREAMS, directions, after))

    async def _turn(self, mode: str, names: tuple[str, ...], directions: tuple[str, ...], after: int) -> None:
        for name, direction in itertools.product(names, directions):
            self._switches[name, direction].set(mode, after)

    def answer(self, status: Optional[int], *names: str, body: str = "no") -> None:
        """Answer new handshakes with an HTTP status; with None, carry them again. A `{}` in the body becomes a number that counts up."""
        for name in names or STREAMS:
            if status is None:
                self._statuses.pop(name, None)
            else:
                self._statuses[name] = (status, body)

    def drop(self, how: str, *names: str, last_words: bytes = b"") -> None:
        """End open connections by "reset" or "cut", or with "" leave that to the last words: bytes for the client."""
        self._call(self._drop(how, names or STREAMS, last_words))

    async def _drop(self, how: str, names: tuple[str, ...], last_words: bytes) -> None:
        for client, name in list(self._clients.items()):
            if name in names:
                client.write(last_words)
                if how:
                    self._end(client, how)

    def refuse(self) -> None:
        """Stop listening: new connections are refused, open ones stay."""
        self._call(self._close())

    def listen(self) -> None:
        """Take connections again, after `refuse` or `swallow`; nothing where it takes them already."""
        for blackhole in self._blackhole:
            blackhole.close()
        self._blackhole = []
        self._call(self._listen())

    def swallow(self) -> None:
        """Answer no connection attempt at all, as a firewall that drops: listen with a backlog that is full already."""
        self.refuse()
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, self._port))
        server.listen(0)
        self._blackhole = [server]
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((HOST, self._port))
            self._blackhole.append(client)

    def dials(self, name: str) -> list[float]:
        """Return time.monotonic() of every connection so far, refused ones excepted."""
        with self._changed:
            return list(self._dials[name])

    def wait_for_dials(self, name: str, count: int, seconds: float = 10.0) -> list[float]:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._dials[name]) >= count, seconds):
                raise AssertionError(f"{len(self._dials[name])} dials of {name}, not {count}, within {seconds} s")
            return list(self._dials[name])

    # On the proxy's loop.

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):  # gone already
            client, _ = listener.accept()
            client.setblocking(False)
            task = asyncio.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        node: Optional[asyncio.StreamWriter] = None
        try:
            head = await _head(reader)
            name = _name(head)
            self._clients[writer] = name
            with self._changed:
                self._dials[name].append(time.monotonic())
                self._changed.notify_all()
            if name in self._statuses:
                return await self._refuse(writer, *self._statuses[name], count=len(self._dials[name]))
            from_node, node = await asyncio.open_connection(HOST, self._node_port)
            up = asyncio.create_task(self._pump(reader, node, self._switches[name, UP], writer, head))
            down = asyncio.create_task(self._pump(from_node, writer, self._switches[name, DOWN], writer))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side is gone, or the proxy is
        finally:
            self._clients.pop(writer, None)
            writer.close()
            if node is not None:
                node.transport.abort()
        return None

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        switch: "_Switch",
        client: asyncio.StreamWriter,
        data: bytes = b"",
    ) -> None:
        while data or (data := await reader.read(65536)):
            count = len(data) if switch.mode == "pass" else switch.left
            if not count and switch.mode in ("reset", "cut"):
                return self._end(client, switch.mode)
            if not count:
                count = await switch.next_byte()
            writer.write(data[:count])
            switch.left = max(0, switch.left - len(data[:count]))
            data = data[count:]
            await writer.drain()
        return None

    async def _refuse(self, writer: asyncio.StreamWriter, status: int, body: str, count: int) -> None:
        content = body.replace("{}", str(count)).encode()
        writer.write(f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        await writer.drain()

    def _end(self, client: asyncio.StreamWriter, how: str) -> None:
        if how == "reset":
            with contextlib.suppress(OSError):  # closed already
                client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        client.transport.abort()

    async def _listen(self) -> None:
        """Not by asyncio's server, which in some versions leaks a connection that comes while it closes."""
        if self._listener is None:
            self._listener = socket.create_server((HOST, self._port))
            self._listener.setblocking(False)
            self._port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _close(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _stop(self) -> None:
        await self._close()
        await asyncio.sleep(0)  # whoever was just accepted has begun: a task that never began would leave its socket open
        for client in list(self._clients):
            client.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        for blackhole in self._blackhole:
            blackhole.close()
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Switch:
    """How one kind of connection is treated one way."""

    def __init__(self) -> None:
        self.mode = "pass"
        self.left = 0  # bytes that still pass
        self._turned = asyncio.Event()

    def set(self, mode: str, after: int) -> None:
        self.mode, self.left = mode, after
        self._turned.set()
        self._turned = asyncio.Event()

    async def next_byte(self) -> int:
        """Wait until a byte, or a slow link's share of a tenth of a second, may pass, or the switch is turned; return how many may."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._turned.wait(), {"trickle": 1.0, "slow": 0.1}.get(self.mode))
            return 0
        return SLOW // 10 if self.mode == "slow" else 1


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read a request's head; of TLS, whose first byte is 22, whatever has come."""
    first = await reader.readexactly(1)
    return first + (await reader.read(65536) if first == b"\x16" else await reader.readuntil(b"\r\n\r\n"))


def _name(head: bytes) -> str:
    stream = re.match(rb"GET /api/v2/stream/([a-z/]+)", head)
    return "tls" if head[:1] == b"\x16" else stream[1].decode() if stream else "rest"
