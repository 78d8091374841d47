"""The web page of the sandbox: its static files, and one stream of server-sent events for every open page.

A new page gets a snapshot of everything it shows, then updates, at most four a second. The JSON of an update is made once per view,
however many pages show that view.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Optional

from aiohttp import web

from tests.sandbox.dashboard.state import DashboardState, View
from tests.sandbox.dashboard.stream_monitor import StreamMonitor
from tests.sandbox.room.room import is_local_request, is_loopback

STATIC_FOLDER = Path(__file__).with_name("static")
FILES = {  # URL path -> file and content type. Only these files are served, so no request path reaches the file system.
    "/": ("index.html", "text/html"),
    **{
        f"/page/{name}": (name, content_type)
        for name, content_type in {
            "page.css": "text/css",
            "page.js": "text/javascript",
            "charts.js": "text/javascript",
            "tables.js": "text/javascript",
            "panel.js": "text/javascript",
            "ranking.js": "text/javascript",
            "inside.js": "text/javascript",
            "format.js": "text/javascript",
            "join.js": "text/javascript",
            "uPlot.iife.min.js": "text/javascript",
            "uPlot.min.css": "text/css",
            "icon.svg": "image/svg+xml",
        }.items()
    },
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MIN_UPDATE_INTERVAL = 0.25  # seconds between two updates at least
MAX_UPDATE_INTERVAL = 1.0  # seconds between two updates at most; the stream monitor takes a sample as often
MAX_PAGES_PER_ADDRESS = 40  # open at a time; a whole room may sit behind one router
MAX_QUEUED_MESSAGES = 20  # a page further behind is disconnected; it reconnects and gets a new snapshot


class _Client:
    """One open page."""

    def __init__(self, view: View, request: web.Request) -> None:
        self.view = view
        self.address = request.remote or ""
        self.queue: asyncio.Queue[Optional[bytes]] = asyncio.Queue(MAX_QUEUED_MESSAGES)  # None ends the stream
        self._request = request

    def send(self, message: Optional[bytes]) -> None:
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            if self._request.transport:
                self._request.transport.abort()


class Dashboard:
    """Serves the page on the data node's port."""

    def __init__(self, state: DashboardState, streams: StreamMonitor) -> None:
        self._state, self._streams = state, streams
        self._files = {path: (STATIC_FOLDER.joinpath(name).read_bytes(), content_type) for path, (name, content_type) in FILES.items()}
        self._clients: set[_Client] = set()
        self._sent_version = (-1, 0)  # the block and the request that the last update ended with
        self._update_task: Optional[asyncio.Task[None]] = None

    def add_routes(self, app: web.Application) -> None:
        for path in FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/page/events", self._events)
        app.router.add_get("/page/rounds.json", self._rounds_json)
        app.router.add_get("/rounds.csv", self._rounds_csv)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._close_streams)
        app.on_cleanup.append(self._stop)

    async def _file(self, request: web.Request) -> web.Response:
        body, content_type = self._files[request.path]
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._has_too_many_pages(request.remote or ""):
            return web.Response(status=503, text="too many pages are open at this address\n")
        view = self._state.view(request.query.get("party", ""), request.query.get("market", ""))
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        client = _Client(view, request)
        client.send(self._snapshot(view, is_local_request(request)))
        self._clients.add(client)  # no await since the snapshot was taken, so the client misses no update
        try:
            with contextlib.suppress(ConnectionError):
                while (message := await client.queue.get()) is not None:
                    await response.write(message)
                await response.write_eof()  # after a regular end the browser reconnects without an error on its console
        finally:
            self._clients.discard(client)
        return response

    async def _rounds_json(self, _request: web.Request) -> web.Response:
        return web.json_response(self._state.rounds.as_json(), headers=HEADERS)

    async def _rounds_csv(self, _request: web.Request) -> web.Response:
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="rounds.csv"'}
        return web.Response(text=self._state.rounds.as_csv(), content_type="text/csv", charset="utf-8", headers=headers)

    def _has_too_many_pages(self, address: str) -> bool:
        """Return whether an address has reached its limit. The sandbox's own machine, where the projector runs, has no limit."""
        return not is_loopback(address) and sum(client.address == address for client in self._clients) >= MAX_PAGES_PER_ADDRESS

    def _snapshot(self, view: View, may_control: bool) -> bytes:
        config, shared, own = self._state.config(view, may_control), self._state.shared(0), self._state.own(view)
        return f'retry: 1000\nevent: snapshot\ndata: {{"config":{config},"shared":{shared},"own":{own}}}\n\n'.encode()

    async def _start(self, _app: web.Application) -> None:
        self._update_task = asyncio.create_task(self._send_updates())

    async def _close_streams(self, _app: web.Application) -> None:
        self.reload()

    def reload(self) -> None:
        """Disconnect all pages; they connect again and get everything anew."""
        for client in self._clients:
            client.send(None)

    async def _stop(self, _app: web.Application) -> None:
        if self._update_task:
            self._update_task.cancel()
            await asyncio.gather(self._update_task, return_exceptions=True)

    async def _send_updates(self) -> None:
        """Send an update soon after each change, and at least once a second."""
        loop = asyncio.get_running_loop()
        last_sample = 0.0
        while True:
            await asyncio.sleep(MIN_UPDATE_INTERVAL)
            is_due = loop.time() - last_sample >= MAX_UPDATE_INTERVAL
            if is_due:
                last_sample = loop.time()
                self._streams.sample()
            if is_due or self._sent_version != self._state.version:
                self._send_update()

    def _send_update(self) -> None:
        height, request_number = self._sent_version
        self._sent_version = self._state.version
        if not self._clients:
            return
        shared = self._state.shared(request_number)
        messages: dict[View, bytes] = {}
        for client in self._clients:
            if client.view not in messages:
                own = self._state.own(client.view, height)
                messages[client.view] = f'event: update\ndata: {{"shared":{shared},"own":{own}}}\n\n'.encode()
            client.send(messages[client.view])
