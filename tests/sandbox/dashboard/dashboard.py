"""The live page: its files, and one stream of server-sent events with what is new, a few times a second at most.

A page that connects gets everything it shows, then only what is new. What is new is made into JSON once, however many look.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Optional

from aiohttp import web

from tests.sandbox.dashboard.state import Picture, View
from tests.sandbox.dashboard.stream_monitor import Followers
from tests.sandbox.room.room import is_local_request, is_loopback

FOLDER = Path(__file__).with_name("static")
FILES = {  # what can be asked for, and nothing else: no path of a request ever meets the file system
    "/": ("index.html", "text/html"),
    "/join": ("join.html", "text/html"),
    **{
        f"/page/{name}": (name, kind)
        for name, kind in {
            "page.css": "text/css",
            "page.js": "text/javascript",
            "charts.js": "text/javascript",
            "tables.js": "text/javascript",
            "panel.js": "text/javascript",
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
TICK = 0.25  # seconds: the most often that pages get news
LOOK = 1.0  # seconds: how often the streams are looked at, and the least often that pages get news
MOST_LOOKING = 40  # pages from one address at a time: those of a room behind one router
MOST_WAITING = 20  # news that a page has not taken; further behind it is dropped, comes back, and gets everything anew


class _Looker:
    """One page that is open somewhere."""

    def __init__(self, view: View, request: web.Request) -> None:
        self.view = view
        self.address = request.remote or ""
        self.news: asyncio.Queue[Optional[bytes]] = asyncio.Queue(MOST_WAITING)  # None ends it
        self._request = request

    def send(self, message: Optional[bytes]) -> None:
        try:
            self.news.put_nowait(message)
        except asyncio.QueueFull:
            if self._request.transport:
                self._request.transport.abort()


class Page:
    def __init__(self, picture: Picture, followers: Followers) -> None:
        self._picture, self._followers = picture, followers
        self._files = {path: (FOLDER.joinpath(name).read_bytes(), kind) for path, (name, kind) in FILES.items()}
        self._lookers: set[_Looker] = set()
        self._told = (-1, 0)  # the newest block and call that pages have been told of
        self._clock: Optional[asyncio.Task[None]] = None

    def add_routes(self, app: web.Application) -> None:
        for path in FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/page/events", self._events)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._hang_up)
        app.on_cleanup.append(self._stop)

    async def _file(self, request: web.Request) -> web.Response:
        if request.path == "/join" and not self._picture.has_participants:
            return web.Response(status=404, text="Nobody has settings to fetch here: a room for N people is opened with --parties N.\n")
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._is_crowded(request.remote or ""):
            return web.Response(status=503, text="too many pages are open at this address\n")
        view = self._picture.view(request.query.get("party", ""), request.query.get("market", ""))
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        looker = _Looker(view, request)
        looker.send(self._everything(view, is_local_request(request)))
        self._lookers.add(looker)  # without a pause since everything was put together: nothing is missed
        try:
            with contextlib.suppress(ConnectionError):
                while (message := await looker.news.get()) is not None:
                    await response.write(message)
                await response.write_eof()  # a proper end, at which the browser comes back without a complaint
        finally:
            self._lookers.discard(looker)
        return response

    def _is_crowded(self, address: str) -> bool:
        """Say whether an address has too many pages open. The machine itself, with the projector on it, never has."""
        return not is_loopback(address) and sum(looker.address == address for looker in self._lookers) >= MOST_LOOKING

    def _everything(self, view: View, may_switch: bool) -> bytes:
        setting, common, own = self._picture.setting(view, may_switch), self._picture.common(0), self._picture.own(view)
        return f'retry: 1000\nevent: all\ndata: {{"setting":{setting},"common":{common},"own":{own}}}\n\n'.encode()

    async def _start(self, _app: web.Application) -> None:
        self._clock = asyncio.create_task(self._tell())

    async def _hang_up(self, _app: web.Application) -> None:
        for looker in self._lookers:
            looker.send(None)

    async def _stop(self, _app: web.Application) -> None:
        if self._clock:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)

    async def _tell(self) -> None:
        """Tell every page what is new: soon after it happened, and at least once a second."""
        loop = asyncio.get_running_loop()
        looked = 0.0
        while True:
            await asyncio.sleep(TICK)
            due = loop.time() - looked >= LOOK
            if due:
                looked = loop.time()
                self._followers.look()
            if due or self._told != self._picture.newest:
                self._send_news()

    def _send_news(self) -> None:
        height, call = self._told
        self._told = self._picture.newest
        if not self._lookers:
            return
        common = self._picture.common(call)
        messages = {}
        for looker in self._lookers:
            if looker.view not in messages:
                own = self._picture.own(looker.view, height)
                messages[looker.view] = f'event: news\ndata: {{"common":{common},"own":{own}}}\n\n'.encode()
            looker.send(messages[looker.view])
