"""How far behind the node a connection may be: pings, and what their answers prove. rel's thread; `lag` from any.

Not on the page. A stream on which nothing changes looks like a dead one, and a slow link like a fast one: what comes over it
is old, and nothing says so. But a pong comes behind all that the node sent before it got the ping, and is held up with it.
"""

import math
import time

EACH = 1.0  # seconds between two pings
USUAL = 2.0  # seconds from one ping to the answer to the next, on a link that keeps up


class Pulse:
    """Says how old what a stream last brought may be. A node that answers no pings is not judged by them."""

    def __init__(self) -> None:
        self._is_expected = False  # whether the node has answered on this connection, or did on the one before
        self._has_answered = False  # on this connection
        self._in_step_at = time.monotonic()  # all that was sent before then has come
        self._asked_at = -math.inf  # time.monotonic() of the newest ping

    def start(self) -> None:
        """Begin with a new connection: its handshake was an answer.

        One connection without answers is dropped; the next is not judged, or a node that no longer answers would be lost for ever.
        """
        self._is_expected, self._has_answered = self._has_answered, False
        self._in_step_at = time.monotonic()

    def next_ping(self) -> str:
        """Return what to send in a ping: the time of it, which the answer brings back. Empty while none is due."""
        now = time.monotonic()
        if now - self._asked_at < EACH:
            return ""
        self._asked_at = now
        return repr(now)

    def answer(self, data: bytes) -> None:
        """Take a pong's data."""
        try:
            asked_at = float(data)
        except ValueError:  # a pong that nobody has asked for; the protocol allows them
            return
        if self._in_step_at < asked_at <= time.monotonic():
            self._in_step_at = asked_at
            self._is_expected = self._has_answered = True

    def lag(self) -> float:
        """Return for how many seconds what the node sent may be under way: 0 on a link that keeps up."""
        seconds = time.monotonic() - self._in_step_at
        return seconds if self._is_expected and seconds > USUAL else 0.0
