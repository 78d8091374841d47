"""`/join`: a participant enters the code from the teacher and gets the `.env` of their key.

A browser gets a page with the settings as text and as a download. It gets a cookie as well, so that the same browser can come back.
Other programs, such as curl, get the file. Every response with a token is sent with `no-store`.
"""

import html
import re
import secrets
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import parse_qs

from aiohttp import web

from tests.sandbox.dashboard.dashboard import HEADERS, STATIC_FOLDER
from tests.sandbox.limited_log import LimitedLog
from tests.sandbox.room.private_files import env_lines
from tests.sandbox.room.room import Participant, Room, secrets_equal

MAX_WRONG_CODES = 10  # per address and WRONG_CODE_WINDOW; there are 10^12 codes
WRONG_CODE_WINDOW = 60.0  # seconds
COOKIE = "sandbox_participant"  # name of the participant's key and its browser key
FILE_NAME = "sandbox.env"  # browsers remove a leading dot from the name of a download
Settings = Callable[[Participant, str], dict[str, str]]  # (participant, host name or address of this machine) -> settings

log = LimitedLog(__name__)


class _Form(NamedTuple):
    code: str
    name: str  # that the participant wants to be shown with; "" for none


class Join:
    """The pages under /join.

    Args:
        settings: returns the settings of a participant who uses that host name for this machine.
    """

    def __init__(self, room: Room, settings: Settings) -> None:
        self._room, self._settings = room, settings
        self._wrong: dict[str, list[float]] = {}  # address -> times of its wrong codes
        self._form_page, self._settings_page = _template("join.html"), _template("joined.html")

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/join", self._show)
        app.router.add_post("/join", self._claim)
        app.router.add_post("/join/name", self._rename)
        app.router.add_get("/join/settings", self._download)

    async def _show(self, request: web.Request) -> web.Response:
        if not self._room.participants:
            return web.Response(status=404, text="This sandbox has no participants. Start one for N people with --parties N.\n")
        participant = self._known_browser(request)
        if participant is None:
            return self._form_response("")
        return self._settings_response(request, participant, "")

    async def _claim(self, request: web.Request) -> web.Response:
        address = request.remote or ""
        if self._has_too_many_wrong_codes(address):
            return self._error(request, 429, "Too many wrong codes. Wait a minute.", {"Retry-After": "60"})
        try:
            form = await _read_form(request)
        except web.HTTPBadRequest as error:
            return self._error(request, 400, str(error.text).strip())
        participant = self._room.find(form.code)
        if participant is None:
            self._wrong.setdefault(address, []).append(time.monotonic())
            return self._error(request, 403, "Unknown code. Check it, or ask your teacher.")
        known = self._known_browser(request)
        if participant.claimed_by is not None and known is not participant:
            message = f"{address} used the code of {participant.name} again; first used by {participant.claimed_by}"
            log.warning("used code", address, message)
            return self._error(request, 410, "This code has already been used. If not by you, tell your teacher.")
        try:
            env = env_lines(self._settings(participant, _host(request)))
            self._room.set_display_name(participant, form.name)
        except web.HTTPBadRequest as error:  # before the code is marked as used
            return self._error(request, 400, str(error.text).strip())
        except ValueError as error:
            return self._error(request, 400, str(error))
        participant.claimed_by = address
        log.warning(f"settings of {participant.name}", address, f"settings of {participant.name} sent to {address}")
        if not _wants_html(request):
            return _file(env)
        participant.browser_key = participant.browser_key or secrets.token_urlsafe(24)
        response = self._settings_response(request, participant, f"The code is used: you are {participant.name}.")
        response.set_cookie(COOKIE, f"{participant.name}.{participant.browser_key}", path="/join", httponly=True, samesite="Strict")
        return response

    async def _rename(self, request: web.Request) -> web.Response:
        participant = self._known_browser(request)
        if participant is None:
            return self._error(request, 403, "Enter your code first.")
        try:
            form = await _read_form(request)
            self._room.set_display_name(participant, form.name)
        except (web.HTTPBadRequest, ValueError) as error:
            message = str(error.text).strip() if isinstance(error, web.HTTPBadRequest) else str(error)
            return self._settings_response(request, participant, message, status=400)
        return self._settings_response(request, participant, f"The ranking shows you as {self._room.display_name(participant.name)}.")

    async def _download(self, request: web.Request) -> web.Response:
        participant = self._known_browser(request)
        if participant is None:
            return self._error(request, 403, "Enter your code first.")
        return _file(env_lines(self._settings(participant, _host(request))))

    def _known_browser(self, request: web.Request) -> Optional[Participant]:
        """Return the participant who has used their code in this browser."""
        name, _, key = request.cookies.get(COOKIE, "").partition(".")
        participant = self._room.participants.get(name)
        if participant is None or participant.browser_key is None or not secrets_equal(key, participant.browser_key):
            return None
        return participant

    def _settings_response(self, request: web.Request, participant: Participant, message: str, status: int = 200) -> web.Response:
        try:
            env = env_lines(self._settings(participant, _host(request)))
        except web.HTTPBadRequest as error:
            return self._error(request, 400, str(error.text).strip())
        return _page(
            self._settings_page,
            status,
            message,
            party=participant.name,
            name=participant.display_name,
            settings=env,
            file_name=FILE_NAME,
        )

    def _form_response(self, message: str, status: int = 200, headers: Optional[dict[str, str]] = None) -> web.Response:
        return _page(self._form_page, status, message, headers)

    def _error(self, request: web.Request, status: int, message: str, headers: Optional[dict[str, str]] = None) -> web.Response:
        """Return the form with an error message to a browser, and the message alone to other programs."""
        if _wants_html(request):
            return self._form_response(message, status, headers)
        return web.Response(status=status, headers=headers, text=f"{message}\n")

    def _has_too_many_wrong_codes(self, address: str) -> bool:
        now = time.monotonic()
        if len(self._wrong) > 1000:  # addresses; drop those whose codes are too old to count
            self._wrong = {one: times for one, times in self._wrong.items() if times[-1] > now - WRONG_CODE_WINDOW}
        recent = [when for when in self._wrong.get(address, []) if when > now - WRONG_CODE_WINDOW]
        return len(recent) >= MAX_WRONG_CODES


def _template(name: str) -> string.Template:
    return string.Template(Path(STATIC_FOLDER, name).read_text(encoding="utf-8"))


def _page(template: string.Template, status: int, message: str, headers: Optional[dict[str, str]] = None, **values: str) -> web.Response:
    kind = "error" if status >= 400 else "done"
    shown = f'<p role="alert" class="message {kind}">{html.escape(message)}</p>' if message else ""
    text = template.substitute({name: html.escape(value) for name, value in values.items()}, message=shown)
    all_headers = {**HEADERS, **(headers or {}), "Cache-Control": "no-store"}
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8", headers=all_headers)


def _file(env: str) -> web.Response:
    return web.Response(text=env, headers={"Content-Disposition": f'attachment; filename="{FILE_NAME}"', "Cache-Control": "no-store"})


def _wants_html(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


async def _read_form(request: web.Request) -> _Form:
    """Return the fields of the form. aiohttp's own reader answers 500 to malformed bodies."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest(text="Send the code as a form, for example: curl -d code=ABCD-2345\n")
    try:
        body = (await request.read()).decode(request.charset or "utf-8")
    except (LookupError, ValueError):  # unknown charset; bytes invalid in it
        raise web.HTTPBadRequest(text="The form cannot be decoded. Send it as UTF-8.\n") from None
    fields = parse_qs(body)
    return _Form(code=fields.get("code", [""])[0], name=fields.get("name", [""])[0])


def _host(request: web.Request) -> str:
    """Return the host name or address of this machine that the participant used; the bot can use it too."""
    match = re.fullmatch(r"([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", request.host)
    if not match:
        raise web.HTTPBadRequest(text="invalid Host header\n")
    return match[1]
