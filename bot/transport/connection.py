"""One stream's connection: dialled, read until empty, lost, dialled again. What stands between websocket-client and rel.

Not on the page, which hands rel itself to websocket-client, and pays with a slow loop, double dials, and dials that hold up
everything. All of this runs on rel's thread, but for the dials.
"""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import rel
import websocket

from bot.transport.error_text import close_words, failure_words, stream_name
from bot.transport.event_loop import MainThread
from bot.transport.heartbeat import Pulse
from bot.transport.http import shut_down
from bot.transport.receive_buffer import Inbox

logger = logging.getLogger(__name__)

LONGEST_RECONNECT = 10  # seconds between two dials, where the node cannot be reached
LONGEST_RECONNECT_AFTER_ERROR = 60  # seconds, where it can, and refuses the subscription
LONGEST_DIAL = 5.0  # seconds for connect and handshake together
LONGEST_FRAME = 5.0  # seconds from a frame's first byte to its last
LARGEST_FRAME = 2**26  # bytes; the largest real ones have a few ten thousand
MOST_REPORTS = 20  # different complaints about one stream's frames in …
REPORT_AGAIN = 600.0  # seconds


class Stream:
    """What websocket-client takes for its dispatcher: one stream's way to rel, and its one pending redial.

    websocket-client calls `signal`, `abort`, `buffwrite`, `read` and `timeout`, some from the thread that dials; they
    hand over to the main thread, where all the rest runs.
    """

    app: Any  # a WebSocketApp; any, since some of what is used here is missing from its types
    on_error: Callable[[Any, str], None]
    on_open: Optional[Callable[[], Any]] = None
    on_lost: Optional[Callable[[float], Any]] = None  # with the seconds for which what came before may have been outdated
    each_block = False  # the node sends something each block

    def __init__(self, main_thread: MainThread, reconnect: float):
        self._main_thread = main_thread
        self._reconnect = reconnect
        self._inbox: Any = None  # an Inbox; None while there is no connection
        self._event: Any = None  # rel's, for that connection
        self._lose: Callable[[], Any] = bool  # websocket-client's own reader; at the end of a stream it asks for a redial
        self._reason: object = None  # why the connection was lost, where websocket-client cannot know
        self.pulse = Pulse()
        self._heard_at = 0.0  # time.monotonic() of the newest good frame, or of the connection
        self._half_since: Optional[float] = None  # time.monotonic() when a frame was first found incomplete
        self.has_spoken = False  # since it was dialled
        self._dialling: Optional[Callable[[], Any]] = None  # the dial under way
        self._dialled_at = 0.0  # time.monotonic()
        self._redials = 0  # since the last good frame
        self._losses: set[str] = set()  # words reported, since the last good frame
        self._refused = False  # the newest frame was an error, or nothing we know
        self._reports: dict[str, float] = {}  # complaint about a frame -> time.monotonic() when it was logged
        self._closed = False

    # Called by websocket-client.

    def signal(self, number: int, callback: Callable[[], Any]) -> None:
        """Do nothing: signals are the business of whoever calls `rel.dispatch()`."""

    def abort(self) -> None:
        """Do nothing, as above."""

    def buffwrite(self, sock: socket.socket, data: bytes, send: object, on_error: object) -> None:
        """Send a pong or a close frame, at once: rel's write buffer would keep watching a socket that is gone."""
        with contextlib.suppress(OSError):  # the next read finds out
            sock.send(data)

    def read(self, sock: socket.socket, callback: Callable[[], Any]) -> None:
        """Take over a connection: the dial has succeeded."""
        self._main_thread.call(self._open, sock, callback)

    def timeout(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        """Dial again later: the connection, or the dial, has failed."""
        reason = self._reason or sys.exc_info()[1]  # websocket-client calls this while it handles the exception
        self._main_thread.call(self._dial_later, reason, partial(callback, *args))

    # Main thread.

    def dial(self, connect: Callable[[], Any]) -> None:
        """Connect on a thread of its own: name look-up, TLS and handshake may hang, and hold up nothing there."""
        if self._closed:
            return
        self._dialling, self._dialled_at = connect, time.monotonic()
        self._reason = None
        websocket.setdefaulttimeout(LONGEST_DIAL)  # bounds each step; `_check_dial` bounds them together
        threading.Thread(target=connect, name=f"dial {stream_name(self.app.url)}", daemon=True).start()
        rel.timeout(LONGEST_DIAL, self._check_dial, connect)

    def _check_dial(self, connect: Callable[[], Any]) -> bool:
        pending = self._dialling is connect and not self._closed
        if pending:
            self.drop(f"no handshake within {LONGEST_DIAL:.0f} s")
        return pending  # rel: call me again, in case there was no socket yet to shut down

    def drop(self, reason: str) -> None:
        """Shut the raw socket down: a read that waits on it wakes, finds the end of the stream, and a redial follows."""
        self._reason = reason
        sock = self._inbox.raw if self.is_open() else self.app.sock and self.app.sock.sock
        if sock is not None:
            shut_down(sock)

    def close(self) -> None:
        """Close the connection, or what the dial under way brings. rel watches nothing any more."""
        self._closed = True
        if self.is_open():
            self._inbox.raw.close()
            self._inbox = None

    def is_open(self) -> bool:
        return self._inbox is not None

    def silent_for(self) -> float:
        """Return for how many seconds an open connection has sent no frame."""
        return time.monotonic() - self._heard_at if self.is_open() else 0.0

    def drop_if_stuck(self, longest_lag: float) -> None:
        """Drop the connection where a frame trickles in, or has stopped in its middle, or where the link holds up the pongs."""
        if self._half_since is not None and time.monotonic() - self._half_since > LONGEST_FRAME:
            self.drop(f"half a frame for {LONGEST_FRAME:.0f} s")
        elif self.is_open() and self.pulse.lag() > longest_lag:
            self.drop(f"the node is silent: no answer to a ping for {longest_lag:.0f} s")

    def ping(self) -> None:
        if self.is_open() and (words := self.pulse.next_ping()):
            with contextlib.suppress(OSError, websocket.WebSocketException):  # the next read finds out
                self.app.sock.ping(words)

    def report(self, complaint: str, refused: bool = False) -> None:
        """Log what is wrong with a frame, once for the same words; `refused` where the frame brought nothing at all."""
        self._refused = refused
        now = time.monotonic()
        self._reports = {words: then for words, then in self._reports.items() if now - then < REPORT_AGAIN}
        if complaint not in self._reports and len(self._reports) < MOST_REPORTS:
            self._reports[complaint] = now
            last = f" (others are not shown for {REPORT_AGAIN:.0f} s)" if len(self._reports) == MOST_REPORTS else ""
            logger.warning("stream %s: %s%s", stream_name(self.app.url), complaint, last)

    def _open(self, sock: socket.socket, callback: Callable[[], Any]) -> None:
        self._dialling = None
        if self._closed:
            sock.close()
            return
        self._inbox = Inbox(sock)
        self.app.sock.frame_buffer.recv_strict = self._inbox.take
        self._lose = callback
        self._heard_at = time.monotonic()
        self.pulse.start()
        self.has_spoken = False
        if self.on_open is not None:
            self.on_open()
        self._event = rel.read(sock, self._read_all)
        self._read_all()  # the TLS layer may hold frames already, of which rel's poll knows nothing

    def _read_all(self) -> bool:
        """Deliver what has come, up to READ_SIZE, so that no stream starves the others; return whether to go on watching."""
        inbox = self._inbox
        inbox.allow()
        while self._inbox is inbox and not self._main_thread.is_ending:  # a callback may have ended either
            try:
                opcode, frame = self.app.sock.recv_data_frame(control_frame=True)  # answers pings
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    return self._lost(close_words(frame.data))
                if opcode == websocket.ABNF.OPCODE_PONG:
                    self.pulse.answer(frame.data)
                if opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
                    continue
                message = frame.data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else frame.data
            except BlockingIOError:  # all read; half a frame stays in websocket-client's buffer until the rest comes
                return self._wait_for_the_rest()
            except Exception as error:  # reset, bad UTF-8, unknown opcode, …: as it comes, out of rel.dispatch() they go
                return self._lost(error)
            self._half_since = None
            self._refused = False
            self.app.on_message(self.app, message)
            if not self._refused:
                self._is_well()
        return self._inbox is inbox

    def _is_well(self) -> None:
        self._heard_at = time.monotonic()
        self.has_spoken = True
        if self._redials:
            logger.info("stream %s: back", stream_name(self.app.url))
            self._redials = 0
            self._losses.clear()

    def _wait_for_the_rest(self) -> bool:
        buffer, message = (
            self.app.sock.frame_buffer,
            self.app.sock.cont_frame.cont_data,
        )  # the latter: opcode and bytes of a message in pieces
        size = (buffer.length or 0) + (len(message[1]) if message else 0)
        if size > LARGEST_FRAME:
            return self._lost(f"a frame of {size} bytes")
        is_half = buffer.header is not None or self._inbox.has_rest() or bool(message)
        self._half_since = (self._half_since or time.monotonic()) if is_half else None
        return True

    def _lost(self, reason: object) -> bool:
        self._reason = self._reason or reason
        self._event.delete()
        self._inbox.end()
        self.app.sock.frame_buffer.clear()
        raw, self._inbox = self._inbox.raw, None
        self._half_since = None
        if self.on_lost is not None:
            self.on_lost(self.pulse.lag())
        self._lose()  # finds the end of the stream, and calls `timeout`
        raw.close()
        return False  # rel: stop watching

    def _dial_later(self, reason: object, connect: Callable[[], Any]) -> None:
        hung = int(time.monotonic() - self._dialled_at) if self._dialling else 0  # seconds, by which the next dial is due sooner
        self._dialling = None
        if self._closed:
            return
        seconds = max(0.0, pause(self._reconnect, self._redials, self._refused) - hung)
        words = f"lost, {failure_words(reason)}"
        kind = words.partition(": ")[0]  # what follows may differ from try to try
        if kind not in self._losses:  # say it once, not at each try
            self._losses.add(kind)
            self.on_error(self.app, f"{words}; dialling again in {seconds:g} s")
        self._redials += 1
        self._refused = False
        rel.timeout(seconds, self.dial, connect)


def pause(reconnect: float, redials: int, refused: bool) -> float:
    """Return for how many seconds to wait until the next dial.

    Differs from the page, which dials each five seconds for ever: a node that cannot be reached needs no hammering, and one
    that refuses the subscription will mostly go on to.
    """
    longest = LONGEST_RECONNECT_AFTER_ERROR if refused else LONGEST_RECONNECT
    return min(reconnect * 2.0 ** min(redials, 10), max(longest, reconnect))
