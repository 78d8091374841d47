"""A log that cannot be flooded from the network: one line per minute for each kind of event and each address."""

import logging
import sys
import time
import traceback
from typing import Any

from aiohttp import WebSocketError
from aiohttp.http_exceptions import HttpProcessingError

INTERVAL = 60.0  # seconds between two lines of the same kind and address
MAX_KEYS = 1000  # kinds and addresses that are remembered
MAX_TEXT = 120  # characters shown of a text from the network


class LimitedLog:
    """Writes warnings to a logger, each kind at most once per INTERVAL for an address."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._written: dict[tuple[str, str], float] = {}  # (kind, address) -> time of the last line
        self._skipped: dict[tuple[str, str], int] = {}

    def warning(self, kind: str, address: str, message: str) -> None:
        """Write a line, or count it if there was one of this kind for this address within INTERVAL."""
        key, now = (kind, address), time.monotonic()
        if now < self._written.get(key, -INTERVAL) + INTERVAL:
            self._skipped[key] = self._skipped.get(key, 0) + 1
            return
        if len(self._written) >= MAX_KEYS:
            self._forget(now)
        skipped = self._skipped.pop(key, 0)
        self._written[key] = now
        self._logger.warning("sandbox: %s%s", message, f" ({skipped} more like this before)" if skipped else "")

    def _forget(self, now: float) -> None:
        """Drop old entries. If all are recent, many addresses are logged at the same time: drop all but the newest half."""
        recent = {key: written for key, written in self._written.items() if now < written + INTERVAL}
        newest = sorted(recent, key=lambda key: recent[key])[-MAX_KEYS // 2 :]
        self._written = {key: recent[key] for key in newest}
        self._skipped = {key: count for key, count in self._skipped.items() if key in self._written}


class ServerLog(logging.Logger):
    """Logger for an aiohttp server: one line for each kind of client error and address, a traceback for each kind of defect.

    aiohttp itself writes a traceback for every malformed request and for every pong on a connection that the client has just closed.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, level=logging.WARNING)
        self.parent = logging.getLogger()
        self._limited = LimitedLog(name)

    def exception(self, msg: object, *args: object, exc_info: Any = True, **_options: Any) -> None:
        """Called by aiohttp with the exception, and with the address of the client if it is known."""
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
        address, kind = str(args[0] if args else ""), type(error).__name__
        if isinstance(error, ConnectionError):  # the client has left
            return
        if isinstance(error, (HttpProcessingError, WebSocketError)):
            self._limited.warning(kind, address, f"malformed request from {address or 'a client'}: {printable(str(error))}")
        else:
            self._limited.warning(kind, address, f"{msg} {address}\n{''.join(traceback.format_exception(error))}")


def printable(text: str) -> str:
    """Return the first line of a text from the network, shortened, without control characters."""
    line = text.strip().partition("\n")[0]
    escaped = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
    return escaped if len(escaped) <= MAX_TEXT else f"{escaped[: MAX_TEXT - 1]}…"
