"""A workshop room: a key, a token and a code for each participant, and access to the controls.

Keys are derived from the seed, like all ids. Tokens, codes and the teacher's key are not, because everyone who has this repository
can compute them from a seed. They are derived from a secret, which is new at each start unless a folder stores it
(`private_files.load_or_create_secret`).
"""

import hashlib
import hmac
import ipaddress
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import urlsplit

from aiohttp import web

KEY_HEADER, KEY_PARAMETER = "X-Teacher-Key", "key"
TOKEN_LETTERS = string.ascii_letters + string.digits
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without letters and digits that look alike on paper
SECRET_FILE = "room.secret"
MAX_NAME_LENGTH = 16  # characters, as in the forms of the page
RESERVED_NAMES = {"bot", "a", "b", "c", "maker", "taker"}
GITIGNORE = f"*.env\n{SECRET_FILE}\n.gitignore\n"  # so that a folder inside a repository is not committed by mistake


@dataclass
class Participant:
    """One person in the room."""

    name: str  # p01, p02, …
    key: str  # public
    token: str = field(repr=False)
    code: str = field(repr=False)  # returns the settings, once
    browser_key: Optional[str] = field(default=None, repr=False)  # in the cookie of the browser that used the code
    codes_issued: int = 1
    claimed_by: Optional[str] = None  # the address that used the code
    display_name: str = ""  # that the person has chosen


class Room:
    """The participants by name, and the teacher's key."""

    def __init__(self, keys: Mapping[str, str], secret: Optional[bytes] = None) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self.teacher_key = self._derive("teacher", TOKEN_LETTERS, 20)
        self.participants = {name: self._participant(name, key) for name, key in keys.items()}

    def find(self, code: str) -> Optional[Participant]:
        """Return the participant of a code, None if there is none."""
        plain = "".join(letter for letter in code.upper() if letter in CODE_LETTERS)
        found = None
        for participant in self.participants.values():  # always all of them: the time taken reveals nothing
            if secrets_equal(plain, participant.code.replace("-", "")):
                found = participant
        return found

    def display_name(self, name: str) -> str:
        """Return the name that a participant has chosen; without one, the name of the key."""
        participant = self.participants.get(name)
        return (participant and participant.display_name) or name

    def set_display_name(self, participant: Participant, name: str) -> None:
        """Set the name that the page shows; an empty one is ignored. Raises ValueError with a message for the participant."""
        name = " ".join(name.split())
        if not name:
            return
        if len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise ValueError(f"Choose a name of at most {MAX_NAME_LENGTH} letters.")
        others = [other for other in self.participants.values() if other is not participant]
        taken = {taken.casefold() for other in others for taken in (other.name, other.display_name)} | RESERVED_NAMES
        if name.casefold() in taken:
            raise ValueError(f"The name {name} is taken. Choose another one.")
        participant.display_name = name

    def reissue_code(self, name: str) -> str:
        """Return a new code of a participant. The old code and the browser that used it no longer work; the token stays.

        Raises ValueError where there is no such participant.
        """
        if name not in self.participants:
            raise ValueError(f"there is no participant {name!r}: give {', '.join(self.participants) or 'no name, since nobody takes part'}")
        participant = self.participants[name]
        participant.codes_issued += 1
        participant.code = self._code(f"code {name} {participant.key} {participant.codes_issued}")
        participant.claimed_by = participant.browser_key = None
        return participant.code

    def secrets(self) -> list[str]:
        """Return all secrets of the room, which no page or log may show."""
        own = [secret for participant in self.participants.values() for secret in (participant.token, participant.code)]
        return [self.teacher_key, *own]

    def _participant(self, name: str, key: str) -> Participant:
        token = self._derive(f"token {name} {key}", TOKEN_LETTERS, 64)
        return Participant(name=name, key=key, token=token, code=self._code(f"code {name} {key}"))

    def _code(self, label: str) -> str:
        code = self._derive(label, CODE_LETTERS, 8)
        return f"{code[:4]}-{code[4:]}"

    def _derive(self, label: str, letters: str, length: int) -> str:
        digest = hmac.new(self._secret, label.encode(), hashlib.sha512).digest()
        return "".join(letters[byte % len(letters)] for byte in digest[:length])


def secrets_equal(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))  # a header can contain any bytes


def participant_names(count: int) -> list[str]:
    return [f"p{number:02}" for number in range(1, count + 1)]


def is_loopback(address: Optional[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return address == "localhost"
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def is_local_request(request: web.Request) -> bool:
    """Return whether a request comes from a program or page of this machine.

    A foreign web page in the teacher's browser also sends requests from this machine. Such requests have a foreign Origin, or, if the
    page's host name resolves to this machine, a foreign Host.
    """
    try:
        origin = urlsplit(request.headers.get("Origin", f"http://{request.host}")).netloc
        host = urlsplit(f"//{request.host}").hostname
    except ValueError:  # brackets without an address
        return False
    return is_loopback(request.remote) and is_loopback(host) and origin == request.host


def guard_controls(room: Room) -> Any:
    """Return a middleware that restricts the controls to the teacher: from this machine, or with the teacher's key."""

    @web.middleware
    async def guard(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        if request.path.startswith("/control") and request.method != "GET" and not is_local_request(request):
            given = request.headers.get(KEY_HEADER) or request.query.get(KEY_PARAMETER, "")
            if not secrets_equal(given, room.teacher_key):
                return web.Response(status=403, text="controls work on the teacher's machine, or with the teacher's key\n")
        return await handler(request)

    return guard
