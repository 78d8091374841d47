"""How far a connection may be behind the node, measured with pings. Main thread; `latency` from any thread.

Not on the page. A stream without changes looks like a dead one, and a slow link looks like a fast one. A pong comes behind
everything that the node sent before it got the ping, so a late pong means late data.
"""

import math
import time
from collections import deque

PING_INTERVAL = 1.0  # seconds
MAX_UNANSWERED = 100  # pings that are remembered
PONG_GRACE = 2.0  # seconds from one ping to the pong of the next, on a link that keeps up


class Heartbeat:
    """Says how old the newest data of a connection may be. From a node that answers no pings it learns nothing."""

    def __init__(self) -> None:
        self._expects_pongs = False  # whether the node has answered on this connection, or did on the one before
        self._has_answered = False  # on this connection
        self._in_step_at = time.monotonic()  # everything that the node sent before this time has arrived
        self._unanswered: deque[float] = deque()  # time.monotonic() of pings, oldest first
        self._pinged_at = -math.inf  # time.monotonic() of the newest ping

    def on_connect(self) -> None:
        """Start with a new connection; its handshake was an answer.

        One connection without pongs is disconnected. Do not judge the next one, or a node that stops answering pings would
        never be used again.
        """
        self._expects_pongs, self._has_answered = self._has_answered, False
        self._in_step_at = time.monotonic()
        self._unanswered.clear()

    def ping_payload_if_due(self) -> str:
        """Return the payload of the next ping, which is its time; empty while no ping is due."""
        now = time.monotonic()
        if now - self._pinged_at < PING_INTERVAL:
            return ""
        self._pinged_at = now
        if len(self._unanswered) < MAX_UNANSWERED:  # the oldest one counts
            self._unanswered.append(now)
        return repr(now)

    def on_pong(self, payload: bytes) -> None:
        """Note the answer to a ping."""
        try:
            pinged_at = float(payload)
        except ValueError:  # an unsolicited pong, which the protocol allows
            return
        if self._in_step_at < pinged_at <= time.monotonic():
            self._in_step_at = pinged_at
            self._expects_pongs = self._has_answered = True
            while self._unanswered and self._unanswered[0] <= pinged_at:
                self._unanswered.popleft()

    def latency(self) -> float:
        """Return for how many seconds data may have been in flight; 0 on a link that keeps up."""
        seconds = time.monotonic() - self._in_step_at
        return seconds if self._expects_pongs and seconds > PONG_GRACE else 0.0

    def seconds_unanswered(self) -> float:
        """Return for how many seconds a ping has waited for its pong.

        Not the same as `latency`: after this process was stopped, its data may be late, but the node has had no ping to answer.
        """
        return time.monotonic() - self._unanswered[0] if self._expects_pongs and self._unanswered else 0.0
