"""The feed of the view "Inside the bot": takes what the observer in the bot's process posts, and passes it to open pages."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, Optional

from aiohttp import web

from tests.sandbox.dashboard.observer import KEY_VARIABLE, URL_VARIABLE
from tests.sandbox.node.responses import compact
from tests.sandbox.room.room import is_loopback, secrets_equal

PATH = "/page/inside"
KEY_HEADER = "X-Inside-Key"
MAX_PAGES = 100  # open at a time
MAX_QUEUED = 4  # messages; a page that is slower skips some


class InsideFeed:
    """Keeps the newest message of the observer, and sends each to all pages that show the view.

    Only a process on this machine that was given the key can post. Reading needs no key, because secrets are removed.

    Args:
        hidden: texts that must not be shown, such as tokens. The observer removes its own token; this is the second check.
    """

    def __init__(self, hidden: Sequence[str]) -> None:
        self._hidden = [text.encode() for text in hidden]
        self._key = secrets.token_urlsafe(24)
        self._steps: dict[str, dict[str, Any]] = {}  # by step: the newest note, with `at`, the monotonic time of its call
        self._latest: dict[str, Any] = {}  # the other fields of the newest message
        self._pages: set[asyncio.Queue[Optional[bytes]]] = set()

    def environment(self, sandbox_url: str) -> dict[str, str]:
        """Return the variables with which an observer finds this feed. `sandbox_url` is the page's address."""
        return {URL_VARIABLE: f"{sandbox_url.rstrip('/')}{PATH}", KEY_VARIABLE: self._key}

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, self._receive)
        app.router.add_get(PATH, self._stream)
        app.on_shutdown.append(self._close_streams)

    async def _receive(self, request: web.Request) -> web.Response:
        if not _is_from_this_machine(request) or not secrets_equal(request.headers.get(KEY_HEADER, ""), self._key):
            return web.Response(status=403, text="only the sandbox's own module can post here\n")
        body = await request.read()
        for text in self._hidden:
            body = body.replace(text, b"...")
        now = time.monotonic()
        try:
            message = json.loads(body)
            for step, note in message.pop("steps").items():
                self._steps[step] = {**note, "at": now - note["age"]}
        except (ValueError, LookupError, TypeError, AttributeError):
            return web.Response(status=400, text="not a message of the observer\n")
        self._latest = message
        event = self._event()
        for queue in self._pages:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(event)
        return web.Response(status=202 if self._pages else 204)  # 202 asks the observer for more

    def _event(self) -> bytes:
        """Return everything as one event. Ages are in seconds at the moment of sending."""
        now = time.monotonic()
        steps = {step: {**note, "age": round(now - note["at"], 2)} for step, note in self._steps.items()}
        return f"data: {compact({**self._latest, 'steps': steps})}\n\n".encode()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._pages) >= MAX_PAGES:
            return web.Response(status=503, text="too many pages are open\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[Optional[bytes]] = asyncio.Queue(MAX_QUEUED)
        queue.put_nowait(self._event() if self._steps else b": nothing is observed yet\n\n")
        self._pages.add(queue)
        try:
            with contextlib.suppress(ConnectionError):
                while (message := await queue.get()) is not None:
                    await response.write(message)
                await response.write_eof()
        finally:
            self._pages.discard(queue)
        return response

    async def _close_streams(self, _app: web.Application) -> None:
        for queue in self._pages:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)


def _is_from_this_machine(request: web.Request) -> bool:
    """Return whether both ends have the same address, as they have where --host is the address of a network card."""
    own = request.transport.get_extra_info("sockname") if request.transport else None
    return is_loopback(request.remote) or (own is not None and own[0] == request.remote)
