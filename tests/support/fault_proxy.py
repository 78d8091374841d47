"""A TCP proxy in front of a node's port that breaks the connections it forwards. It runs in a thread of its own.

with FaultProxy(sandbox.node_url) as proxy:
    proxy.set_mode("freeze", "orders", after=100)  # forward 100 bytes more, then nothing; close nothing

The first request tells what a connection carries: the name of a stream, "rest" for all other paths, "tls" where it cannot be read.
"""

import asyncio
import contextlib
import errno
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

from tests.support.frames import STREAMS
from tests.support.waiting import DEFAULT_TIMEOUT, wait_until

HOST = "127.0.0.1"
PING_FRAME = b"\x89\x00"
DOWN, UP = "down", "up"  # to the client, to the node
MODES = ("pass", "freeze", "trickle", "slow", "reset", "cut")
SLOW_RATE = 2_000  # bytes per second
NO_LINGER = struct.pack("ii", 1, 0)  # a socket that is closed with a linger time of zero sends RST instead of FIN


class FaultProxy:
    """Forwards connections to a node and back, in the mode that a test has set. Other threads may call its methods."""

    def __init__(self, node_url: str) -> None:
        self._node_port = urlsplit(node_url).port
        self._changed = threading.Condition()  # guards _connection_times
        self._connection_times: dict[str, list[float]] = defaultdict(list)  # name -> time.monotonic() of each connection
        self._flows: dict[tuple[str, str], _Flow] = defaultdict(_Flow)  # name, direction
        self._responses: dict[str, tuple[int, str]] = {}  # name -> status and body for its requests
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

    def set_mode(self, mode: str, *names: str, directions: tuple[str, ...] = (DOWN, UP), after: int = 0) -> None:
        """Set how to treat connections, open ones and new ones.

        Args:
            mode: "pass"; "freeze": forward nothing, close nothing; "trickle": a byte per second; "slow": SLOW_RATE; "reset" (RST) or
                "cut" (FIN): the next byte ends the connection.
            names: what the connections carry; the four streams where none is given.
            directions: DOWN, UP or both.
            after: bytes to forward in each direction before the mode begins.
        """
        assert mode in MODES
        self._call(self._set_mode(mode, names or STREAMS, directions, after))

    async def _set_mode(self, mode: str, names: tuple[str, ...], directions: tuple[str, ...], after: int) -> None:
        for name, direction in itertools.product(names, directions):
            self._flows[name, direction].set(mode, after)

    def answer_handshakes(self, status: Optional[int], *names: str, body: str = "no") -> None:
        """Answer new handshakes with an HTTP status; with None, forward them again. A `{}` in the body becomes a number that counts up."""
        for name in names or STREAMS:
            if status is None:
                self._responses.pop(name, None)
            else:
                self._responses[name] = (status, body)

    def disconnect(self, how: str, *names: str, last_bytes: bytes = b"") -> None:
        """End open connections.

        Args:
            how: "reset", "cut", or "" to leave the end to the last bytes.
            names: what the connections carry; the four streams where none is given.
            last_bytes: are sent to the client first.
        """
        self._call(self._disconnect(how, names or STREAMS, last_bytes))

    async def _disconnect(self, how: str, names: tuple[str, ...], last_bytes: bytes) -> None:
        for client, name in list(self._clients.items()):
            if name in names:
                client.write(last_bytes)
                if how:
                    self._end(client, how)

    def stop_listening(self) -> None:
        """Have the system refuse new connections; open ones stay."""
        self._call(self._stop_listening())

    def listen(self) -> None:
        """Accept connections again, after `stop_listening` or `blackhole`; otherwise do nothing."""
        for blackhole in self._blackhole:
            blackhole.close()
        self._blackhole = []
        wait_until(self._try_to_listen, message="the port is in use by an outgoing connection")

    def _try_to_listen(self) -> bool:
        """Listen, unless the kernel has given the free port to somebody's outgoing connection meanwhile."""
        try:
            self._call(self._listen())
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def blackhole(self) -> None:
        """Leave new connection attempts without any answer, as some firewalls do: listen with a backlog that is already full."""
        self.stop_listening()
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

    def connection_times(self, name: str) -> list[float]:
        """Return time.monotonic() of each connection that was accepted so far."""
        with self._changed:
            return list(self._connection_times[name])

    def connection_counts(self) -> dict[str, int]:
        """Return how many connections each stream has had so far."""
        return {stream: len(self.connection_times(stream)) for stream in STREAMS}

    def wait_for_connections(self, name: str, count: int, timeout: float = DEFAULT_TIMEOUT) -> list[float]:
        """Wait until there were so many connections; return time.monotonic() of each."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._connection_times[name]) >= count, timeout):
                raise AssertionError(f"{len(self._connection_times[name])} connections of {name}, not {count}, within {timeout:g} s")
            return list(self._connection_times[name])

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
            head = await _read_head(reader)
            name = _name(head)
            self._clients[writer] = name
            with self._changed:
                self._connection_times[name].append(time.monotonic())
                self._changed.notify_all()
            if name in self._responses:
                return await self._respond(writer, *self._responses[name], count=len(self._connection_times[name]))
            from_node, node = await asyncio.open_connection(HOST, self._node_port)
            up = asyncio.create_task(self._forward(reader, node, self._flows[name, UP], writer, head))
            down = asyncio.create_task(self._forward(from_node, writer, self._flows[name, DOWN], writer))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side is gone, or the proxy stops
        finally:
            self._clients.pop(writer, None)
            writer.close()
            if node is not None:
                node.transport.abort()
        return None

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flow: "_Flow",
        client: asyncio.StreamWriter,
        data: bytes = b"",
    ) -> None:
        while data or (data := await reader.read(65536)):
            count = len(data) if flow.mode == "pass" else flow.bytes_left
            if not count and flow.mode in ("reset", "cut"):
                return self._end(client, flow.mode)
            if not count:
                count = await flow.wait_for_quota()
            writer.write(data[:count])
            flow.bytes_left = max(0, flow.bytes_left - len(data[:count]))
            data = data[count:]
            await writer.drain()
        return None

    async def _respond(self, writer: asyncio.StreamWriter, status: int, body: str, count: int) -> None:
        content = body.replace("{}", str(count)).encode()
        writer.write(f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        await writer.drain()

    def _end(self, client: asyncio.StreamWriter, how: str) -> None:
        if how == "reset":
            with contextlib.suppress(OSError):  # closed already
                client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        client.transport.abort()

    async def _listen(self) -> None:
        """Listen without asyncio's server, which in some versions leaks a connection that is made while it closes."""
        if self._listener is None:
            self._listener = socket.create_server((HOST, self._port))
            self._listener.setblocking(False)
            self._port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _stop(self) -> None:
        await self._stop_listening()
        await asyncio.sleep(0)  # let new tasks begin: one that never began would leave its socket open
        for client in list(self._clients):
            client.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close one iteration of the loop later

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEFAULT_TIMEOUT)

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


class _Flow:
    """How to treat one kind of connection in one direction."""

    def __init__(self) -> None:
        self.mode = "pass"
        self.bytes_left = 0  # to forward before the mode begins
        self._mode_set = asyncio.Event()

    def set(self, mode: str, after: int) -> None:
        self.mode, self.bytes_left = mode, after
        self._mode_set.set()
        self._mode_set = asyncio.Event()

    async def wait_for_quota(self) -> int:
        """Wait until some bytes may be forwarded, or another mode is set; return how many bytes."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._mode_set.wait(), {"trickle": 1.0, "slow": 0.1}.get(self.mode))
            return 0
        return SLOW_RATE // 10 if self.mode == "slow" else 1


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """Read the head of a request; of TLS, which begins with the byte 22, what there is."""
    first = await reader.readexactly(1)
    return first + (await reader.read(65536) if first == b"\x16" else await reader.readuntil(b"\r\n\r\n"))


def _name(head: bytes) -> str:
    stream = re.match(rb"GET /api/v2/stream/([a-z/]+)", head)
    return "tls" if head[:1] == b"\x16" else stream[1].decode() if stream else "rest"
