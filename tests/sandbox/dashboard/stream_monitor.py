"""The state of every party's streams, for the page: open or closed, frames per second, and the age of the last frame.

It samples the data node's open connections once a second. The data node does not know that it is being observed.
"""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Optional

from tests.sandbox.node.streams import Streams
from tests.sandbox.node.subscription import Subscription

RATE_SAMPLES = 5  # samples over which frames per second are measured
CLOSED_STREAM_RETENTION = 120.0  # seconds for which a closed stream is still shown
MAX_CLOSED_STREAMS = 500  # shown

Key = tuple[str, str, str]  # address, party's name ("" where it is unknown), stream


class _Connection:
    """One connection and its samples."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.samples: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES + 1)  # (monotonic time, frames sent so far)
        self.closed_at: Optional[float] = None  # monotonic time

    def rate(self) -> float:
        """Return frames per second."""
        (begin, before), (end, after) = self.samples[0], self.samples[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


class StreamMonitor:
    """Call `sample` once a second; `table` returns the rows."""

    def __init__(self, streams: Streams, names: Mapping[str, str]) -> None:
        self._streams, self._names = streams, names
        self._open: dict[Subscription, _Connection] = {}
        self._by_key: dict[Key, _Connection] = {}  # the newest connection of each

    def sample(self) -> None:
        """Note which streams are open and how many frames each has sent."""
        now, open_now = time.monotonic(), self._streams.open
        for closed in self._open.keys() - open_now:
            self._open.pop(closed).closed_at = now
        for subscription in open_now:
            connection = self._open.setdefault(subscription, _Connection(subscription))
            connection.samples.append((now, subscription.frames))
        self._assign_keys()
        self._discard_old(now)

    def table(self) -> list[dict[str, Any]]:
        """Return one row per party and address, with the state of its four streams."""
        now = time.monotonic()
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for (address, party, stream), connection in self._by_key.items():
            row = rows.setdefault((party, address), {"party": party, "address": address, "streams": {}})
            sent_at = connection.subscription.sent_at
            row["streams"][stream] = {
                "open": connection.closed_at is None,
                "rate": 0.0 if connection.closed_at else round(connection.rate(), 1),
                "age": None if sent_at is None else round(now - sent_at, 1),
                "waiting": connection.subscription.waiting,
            }
        return [rows[key] for key in sorted(rows, key=lambda key: (not key[0], key))]

    def _assign_keys(self) -> None:
        """Assign each open connection to an address, a party and a stream.

        A market data stream names no party. It is assigned to the party whose other streams were opened from the same address at about
        the same time, because a bot opens its four streams together.
        """
        self._by_key = {key: connection for key, connection in self._by_key.items() if connection.closed_at is not None}
        connections = sorted(self._open.values(), key=lambda connection: connection.subscription.opened_at)
        opened_at: dict[Key, float] = {}  # of the orders, positions and accounts streams
        for connection in connections:
            party = self._party(connection.subscription)
            if party:
                key = (connection.subscription.remote or "", party, connection.subscription.stream)
                self._by_key[key] = connection
                opened_at[key] = connection.subscription.opened_at
        assigned: set[tuple[str, str]] = set()
        for connection in connections:
            if not self._party(connection.subscription):
                self._assign_by_time(connection, opened_at, assigned)

    def _assign_by_time(self, connection: _Connection, opened_at: Mapping[Key, float], assigned: set[tuple[str, str]]) -> None:
        address, stream = connection.subscription.remote or "", connection.subscription.stream
        candidates = [
            (abs(other_opened_at - connection.subscription.opened_at), party)
            for (other_address, party, _), other_opened_at in opened_at.items()
            if other_address == address and (party, stream) not in assigned
        ]
        party = min(candidates)[1] if candidates else ""
        assigned.add((party, stream))
        self._by_key[address, party, stream] = connection

    def _party(self, subscription: Subscription) -> str:
        return self._names.get(subscription.parties[0], "") if len(subscription.parties) == 1 else ""

    def _discard_old(self, now: float) -> None:
        closed = [(connection.closed_at, key) for key, connection in self._by_key.items() if connection.closed_at is not None]
        closed.sort(reverse=True)
        for number, (closed_at, key) in enumerate(closed):
            if number >= MAX_CLOSED_STREAMS or closed_at < now - CLOSED_STREAM_RETENTION:
                del self._by_key[key]
