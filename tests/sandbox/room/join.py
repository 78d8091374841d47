"""`/join`: a participant enters the code from the teacher and downloads the `.env` of their key, once.

No page contains a token: the response is a download that must not be cached.
"""

import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from aiohttp import web

from tests.sandbox.room.room import Participant, Room, env_lines, logger

MAX_WRONG_CODES = 10  # per address and WRONG_CODE_WINDOW; there are 10^12 codes
WRONG_CODE_WINDOW = 60.0  # seconds
Settings = Callable[[Participant, str], dict[str, str]]  # (participant, host name or address of this machine) -> settings


class Join:
    def __init__(self, room: Room, settings: Settings) -> None:
        self._room, self._settings = room, settings
        self._wrong: dict[str, list[float]] = {}  # address -> times of its wrong codes

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/join", self._send_settings)

    async def _send_settings(self, request: web.Request) -> web.Response:
        address = request.remote or ""
        if self._has_too_many_wrong_codes(address):
            return web.Response(status=429, headers={"Retry-After": "60"}, text="Too many wrong codes. Wait a minute.\n")
        participant = self._room.find(await _code(request))
        if participant is None:
            self._wrong.setdefault(address, []).append(time.monotonic())
            return web.Response(status=403, text="Unknown code. Check it, or ask your teacher.\n")
        if participant.claimed_by is not None:
            logger.warning("sandbox: %s used the code of %s again; first used by %s", address, participant.name, participant.claimed_by)
            return web.Response(status=410, text="This code has already been used. If not by you, tell your teacher.\n")
        settings = self._settings(participant, _host(request))  # before the code is marked as used: this can raise HTTPBadRequest
        participant.claimed_by = address
        logger.warning("sandbox: settings of %s sent to %s", participant.name, address)
        return web.Response(
            text=env_lines(settings),
            headers={"Content-Disposition": 'attachment; filename="sandbox.env"', "Cache-Control": "no-store"},
        )

    def _has_too_many_wrong_codes(self, address: str) -> bool:
        now = time.monotonic()
        if len(self._wrong) > 1000:  # addresses; drop those whose codes are too old to count
            self._wrong = {one: times for one, times in self._wrong.items() if times[-1] > now - WRONG_CODE_WINDOW}
        recent = [when for when in self._wrong.get(address, []) if when > now - WRONG_CODE_WINDOW]
        return len(recent) >= MAX_WRONG_CODES


async def _code(request: web.Request) -> str:
    """Return the code of the form. aiohttp's own reader answers 500 to malformed bodies."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest(text="Send the code as a form, for example: curl -d code=ABCD-2345\n")
    try:
        form = (await request.read()).decode(request.charset or "utf-8")
    except (LookupError, ValueError):  # unknown charset; bytes invalid in it
        raise web.HTTPBadRequest(text="The form cannot be decoded. Send it as UTF-8.\n") from None
    return parse_qs(form).get("code", [""])[0]


def _host(request: web.Request) -> str:
    """Return the host name or address of this machine that the participant used; the bot can use it too."""
    match = re.fullmatch(r"([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", request.host)
    if not match:
        raise web.HTTPBadRequest(text="invalid Host header\n")
    return match[1]
