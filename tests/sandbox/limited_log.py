"""A log that cannot be flooded from the network: one line per minute for each kind of event and each address."""

import logging
import time

INTERVAL = 60.0  # seconds between two lines of the same kind and address
MAX_KEYS = 1000  # kinds and addresses that are remembered


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
