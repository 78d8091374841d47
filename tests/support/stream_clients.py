"""WebSocket clients of the sandbox's streams."""

import contextlib
from collections.abc import Callable, Iterator

import websocket

from tests.sandbox import Sandbox
from tests.support.waiting import DEFAULT_TIMEOUT


@contextlib.contextmanager
def stream_opener(sandbox: Sandbox) -> Iterator[Callable[[str], websocket.WebSocket]]:
    """Yield a function that opens a stream, given what follows `/stream/` in its address. All are closed at the end."""
    with contextlib.ExitStack() as clients:

        def open_stream(path: str) -> websocket.WebSocket:
            client = websocket.create_connection(f"{sandbox.ws_url}/stream/{path}", timeout=DEFAULT_TIMEOUT)
            clients.callback(client.shutdown)
            return client

        yield open_stream
