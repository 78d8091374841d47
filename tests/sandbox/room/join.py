"""`/join`: a participant types the code from the teacher and gets the `.env` of the one own key, as a file, once.

No page ever holds a token: the answer is a download, not to be kept by anything on the way.
"""

import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from aiohttp import web

from tests.sandbox.room.room import Participant, Room, env_lines, logger

MAX_WRONG_CODES, WRONG_CODE_WINDOW = 10, 60.0  # codes that one address may get wrong in so many seconds; a code is one of 10^12
Settings = Callable[[Participant, str], dict[str, str]]  # of a participant, with the host by which this machine was reached


class Join:
    def __init__(self, room: Room, settings: Settings) -> None:
        self._room, self._settings = room, settings
        self._wrong: dict[str, list[float]] = {}  # address -> when it gave a wrong code

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/join", self._send_settings)

    async def _send_settings(self, request: web.Request) -> web.Response:
        address = request.remote or ""
        if self._has_too_many_wrong_codes(address):
            return web.Response(status=429, headers={"Retry-After": "60"}, text="Too many wrong codes: wait a minute.\n")
        participant = self._room.find(await _code(request))
        if participant is None:
            self._wrong.setdefault(address, []).append(time.monotonic())
            return web.Response(status=403, text="This is nobody's code: check it, and ask your teacher.\n")
        if participant.claimed_by is not None:
            logger.warning("sandbox: %s tried the code of %s, which was used by %s", address, participant.name, participant.claimed_by)
            return web.Response(status=410, text="This code was used before. If that was not you, tell your teacher.\n")
        settings = self._settings(participant, _host(request))  # first: who is refused has not used the code
        participant.claimed_by = address
        logger.warning("sandbox: the settings of %s went to %s", participant.name, address)
        return web.Response(
            text=env_lines(settings),
            headers={"Content-Disposition": 'attachment; filename="sandbox.env"', "Cache-Control": "no-store"},
        )

    def _has_too_many_wrong_codes(self, address: str) -> bool:
        now = time.monotonic()
        if len(self._wrong) > 1000:  # addresses; those that have waited long enough are forgotten
            self._wrong = {one: times for one, times in self._wrong.items() if times[-1] > now - WRONG_CODE_WINDOW}
        recent = [when for when in self._wrong.get(address, []) if when > now - WRONG_CODE_WINDOW]
        return len(recent) >= MAX_WRONG_CODES


async def _code(request: web.Request) -> str:
    """Read the form. aiohttp's own reader has an exception, and an error 500, for each way in which a body can be malformed."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest(text="Send the code as a form does, for example: curl -d code=ABCD-2345\n")
    try:
        form = (await request.read()).decode(request.charset or "utf-8")
    except (LookupError, ValueError):  # no such charset; bytes that are none of it
        raise web.HTTPBadRequest(text="The form cannot be read: send it as UTF-8.\n") from None
    return parse_qs(form).get("code", [""])[0]


def _host(request: web.Request) -> str:
    """Return the name by which the participant reached this machine, which is the one that the bot can use too."""
    match = re.fullmatch(r"([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", request.host)
    if not match:
        raise web.HTTPBadRequest(text="the Host header names no host\n")
    return match[1]
