"""A room full of people: a key, a token and a code for each participant, and who may use the switches.

Keys hang on the seed, as all ids do. Tokens, codes and the teacher's key do not: whoever has this repository can work out a seed's
secrets. They come from a secret of the room's own, new at each start unless it is kept in a folder (`Room.load_or_create_secret`).
"""

import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

from aiohttp import web

logger = logging.getLogger(__name__)

KEY_HEADER, KEY_PARAMETER = "X-Teacher-Key", "key"
TOKEN_LETTERS = string.ascii_letters + string.digits
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is mistaken for another on paper
SECRET_FILE = "room.secret"
GITIGNORE = f"*.env\n{SECRET_FILE}\n.gitignore\n"  # of git: a room inside the repository is not committed by mistake


@dataclass
class Participant:
    """One person in the room."""

    name: str  # p01, p02, …
    key: str  # public
    token: str = field(repr=False)
    code: str = field(repr=False)  # gives out the settings, once
    claimed_by: Optional[str] = None  # the address that has used the code


class Room:
    """The participants by name, and the teacher's key."""

    def __init__(self, keys: Mapping[str, str], secret: Optional[bytes] = None) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self.teacher_key = self._derive("teacher", TOKEN_LETTERS, 20)
        self.participants = {name: self._participant(name, key) for name, key in keys.items()}

    def find(self, code: str) -> Optional[Participant]:
        """Return whose code it is, None for nobody's."""
        plain = "".join(letter for letter in code.upper() if letter in CODE_LETTERS)
        found = None
        for participant in self.participants.values():  # all of them, always: the time taken tells nothing
            if secrets_equal(plain, participant.code.replace("-", "")):
                found = participant
        return found

    def secrets(self) -> list[str]:
        """Return what must never be shown to anyone else."""
        own = [secret for participant in self.participants.values() for secret in (participant.token, participant.code)]
        return [self.teacher_key, *own]

    def _participant(self, name: str, key: str) -> Participant:
        code = self._derive(f"code {name} {key}", CODE_LETTERS, 8)
        token = self._derive(f"token {name} {key}", TOKEN_LETTERS, 64)
        return Participant(name=name, key=key, token=token, code=f"{code[:4]}-{code[4:]}")

    def _derive(self, label: str, letters: str, length: int) -> str:
        digest = hmac.new(self._secret, label.encode(), hashlib.sha512).digest()
        return "".join(letters[byte % len(letters)] for byte in digest[:length])


def secrets_equal(one: str, other: str) -> bool:
    """Compare secrets in a time that does not tell how much of them agrees."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))  # a header can hold any bytes


def participant_names(count: int) -> list[str]:
    return [f"p{number:02}" for number in range(1, count + 1)]


def load_or_create_secret(folder: Path) -> bytes:
    """Return the secret that a folder keeps, made at the first time, so that a restart leaves everyone's settings good."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        write_private(folder / ".gitignore", GITIGNORE)
    path = folder / SECRET_FILE
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return bytes.fromhex(path.read_text(encoding="ascii"))


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner can read, not even for a moment; never through a link that lies in its place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)  # of a file that was there before, too
        file.write(text)


def env_lines(settings: Mapping[str, str]) -> str:
    """Return settings as the lines of a `.env` file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def is_loopback(address: Optional[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return address == "localhost"
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def is_local_request(request: web.Request) -> bool:
    """Say whether a request was made on this machine, on purpose.

    A page from elsewhere, open in the teacher's browser, sends requests from this machine as well. They name that page as their origin,
    or, where its name was made to lead here, that name as their host.
    """
    try:
        origin = urlsplit(request.headers.get("Origin", f"http://{request.host}")).netloc
        host = urlsplit(f"//{request.host}").hostname
    except ValueError:  # brackets without an address in them
        return False
    return is_loopback(request.remote) and is_loopback(host) and origin == request.host


def guard_controls(room: Room) -> Any:
    """Return a middleware that lets the teacher alone use the switches: at this machine, or with the key from anywhere."""

    @web.middleware
    async def guard(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        if request.path.startswith("/control") and request.method != "GET" and not is_local_request(request):
            given = request.headers.get(KEY_HEADER) or request.query.get(KEY_PARAMETER, "")
            if not secrets_equal(given, room.teacher_key):
                return web.Response(status=403, text="switches work on the teacher's machine, or with the teacher's key\n")
        return await handler(request)

    return guard
