"""Who follows which stream, for the page: open or not, frames a second, and how old the last frame is.

A look once a second at what the data node has open; it needs to know nothing of being looked at.
"""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Optional

from tests.sandbox.node.streams import Streams, Subscription

WINDOW = 5  # looks over which frames a second are counted
REMEMBERED = 120.0  # seconds for which a stream that has closed is still shown
MOST_CLOSED = 500  # of them

Place = tuple[str, str, str]  # address, party's name ("" where it cannot be told), stream


class _Line:
    """One connection, as seen so far."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.counts: deque[tuple[float, int]] = deque(maxlen=WINDOW + 1)  # (moment of a look, frames sent by then)
        self.closed_at: Optional[float] = None

    def rate(self) -> float:
        (begin, before), (end, after) = self.counts[0], self.counts[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


class Followers:
    def __init__(self, streams: Streams, names: Mapping[str, str]) -> None:
        self._streams, self._names = streams, names
        self._open: dict[Subscription, _Line] = {}
        self._places: dict[Place, _Line] = {}  # the newest connection of each

    def look(self) -> None:
        """Take note of what is open, and of how much was sent on it."""
        now, open_now = time.monotonic(), self._streams.open
        for gone in self._open.keys() - open_now:
            self._open.pop(gone).closed_at = now
        for subscription in open_now:
            line = self._open.setdefault(subscription, _Line(subscription))
            line.counts.append((now, subscription.frames))
        self._place_lines()
        self._forget(now)

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each party and address, with what there is to say of its four streams."""
        now = time.monotonic()
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for (address, party, stream), line in self._places.items():
            row = rows.setdefault((party, address), {"party": party, "address": address, "streams": {}})
            sent_at = line.subscription.sent_at
            row["streams"][stream] = {
                "open": line.closed_at is None,
                "rate": 0.0 if line.closed_at else round(line.rate(), 1),
                "age": None if sent_at is None else round(now - sent_at, 1),
                "waiting": line.subscription.waiting,
            }
        return [rows[key] for key in sorted(rows, key=lambda key: (not key[0], key))]

    def _place_lines(self) -> None:
        """Give each open connection its place in the table.

        Market data are of no party. Such a connection is taken for that of the party whose others came from the same address at about the
        same time, as a bot dials its four at once.
        """
        self._places = {place: line for place, line in self._places.items() if line.closed_at is not None}
        lines = sorted(self._open.values(), key=lambda line: line.subscription.opened_at)
        dialled: dict[Place, float] = {}  # place of an orders, positions or accounts stream -> when it was opened
        for line in lines:
            party = self._party(line.subscription)
            if party:
                place = (line.subscription.remote or "", party, line.subscription.stream)
                self._places[place] = line
                dialled[place] = line.subscription.opened_at
        taken: set[tuple[str, str]] = set()
        for line in lines:
            if not self._party(line.subscription):
                self._place_nameless(line, dialled, taken)

    def _place_nameless(self, line: _Line, dialled: Mapping[Place, float], taken: set[tuple[str, str]]) -> None:
        address, stream = line.subscription.remote or "", line.subscription.stream
        near = [
            (abs(opened_at - line.subscription.opened_at), party)
            for (where, party, _), opened_at in dialled.items()
            if where == address and (party, stream) not in taken
        ]
        party = min(near)[1] if near else ""
        taken.add((party, stream))
        self._places[address, party, stream] = line

    def _party(self, subscription: Subscription) -> str:
        return self._names.get(subscription.parties[0], "") if len(subscription.parties) == 1 else ""

    def _forget(self, now: float) -> None:
        closed = [(line.closed_at, place) for place, line in self._places.items() if line.closed_at is not None]
        closed.sort(reverse=True)
        for number, (closed_at, place) in enumerate(closed):
            if number >= MOST_CLOSED or closed_at < now - REMEMBERED:
                del self._places[place]
