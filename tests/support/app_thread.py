"""An aiohttp application on the loopback, in a thread of its own: the base of the servers that tests script."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Optional, TypeVar

from aiohttp import web

from tests.support.waiting import DEFAULT_TIMEOUT

HOST = "127.0.0.1"
Running = TypeVar("Running", bound="AppThread")
Result = TypeVar("Result")


class AppThread:
    """Serves routes for the length of a `with` block, and leaves no socket open.

    Args:
        ssl_context: for HTTPS; None for HTTP.
    """

    def __init__(self, ssl_context: Optional[ssl.SSLContext] = None) -> None:
        self._port = 0  # the real one once it listens
        self._ssl_context = ssl_context
        self._listener: Optional[asyncio.Server] = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _routes(self) -> list[web.RouteDef]:
        """Return what the application serves."""
        raise NotImplementedError

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        assert self._runner.server is not None
        self._listener = await self._loop.create_server(self._runner.server, HOST, self._port, ssl=self._ssl_context)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            for listening in self._listener.sockets:
                self._loop.remove_reader(listening)
            for _ in range(3):  # asyncio leaves a socket open that it has accepted and not yet set up when the listener closes
                await asyncio.sleep(0)
            self._listener.close()
            self._listener = None

    async def _stop(self) -> None:
        await self._stop_listening()
        if self._ssl_context is not None and self._runner.server is not None:
            for handler in list(self._runner.server.connections):  # TLS would wait until clients that keep a connection close it
                if handler.transport is not None:
                    handler.transport.abort()
            await asyncio.sleep(0.2)  # for handshakes whose client is gone
        await self._runner.cleanup()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # TLS handshakes, for example
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(2):  # transports close one iteration of the loop later
            await asyncio.sleep(0)

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the server's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEFAULT_TIMEOUT)

    def __enter__(self: Running) -> Running:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
