"""One stream's connection: connect, read all data, watch, reconnect. It is the layer between websocket-client and rel.

Not on the page, which hands rel itself to websocket-client. That reads one frame per wake-up, connects on the main thread,
reconnects twice after a reset, and waits without end for a node that has gone silent.
"""

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional, Union

import rel
import websocket

from bot.transport import clock
from bot.transport.error_text import close_message, disconnect_message, without_numbers
from bot.transport.event_loop import EventLoop
from bot.transport.handshake import HandshakeSocket, open_socket
from bot.transport.heartbeat import Heartbeat
from bot.transport.proxies import via_proxy
from bot.transport.receive_buffer import MAX_FRAME_SIZE, FrameTooLargeError, ReceiveBuffer
from bot.transport.sockets import deadline_at

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 5.0  # seconds for connect and handshake together
FRAME_TIMEOUT = 5.0  # seconds from a frame's first byte to its last
MIN_SLEEP = 1.0  # seconds of sleep after which connections are replaced
SILENCE_TIMEOUT = 5.0  # seconds without a frame where frames are regular, and without a pong anywhere
CHECK_INTERVAL = 0.5  # seconds between two checks for silence
MAX_RECONNECT_DELAY = 10.0  # seconds, while the node cannot be reached
MAX_REJECTED_RECONNECT_DELAY = 60.0  # seconds, while the node answers and rejects the subscription
MAX_REPORTS = 20  # different problems with one stream's frames per …
REPORT_INTERVAL = 600.0  # seconds

Message = Union[str, bytes]


class _ClosedByNodeError(Exception):
    """The node sent a close frame."""


@dataclass(frozen=True)
class ConnectionHooks:
    """Callbacks with which the owner of a stream follows its connections. Main thread."""

    on_open: Callable[[], Any] = lambda: None  # before the first frame of each connection
    on_disconnect: Callable[[float], Any] = lambda latency: None  # with the seconds for which its data may have been late
    is_overdue: Callable[[], bool] = lambda: False  # whether something that it should have brought is missing


class StreamConnection:
    """websocket-client's dispatcher for one stream: its connection, and its one pending reconnect.

    websocket-client calls `signal`, `abort`, `buffwrite`, `read` and `timeout`, some of them on the connecting thread. They
    hand over to the main thread, where everything else runs.

    Args:
        name: of the stream, for the log.
        reconnect: seconds until the first reconnect; the delay doubles with each further attempt.
        on_error: takes the app and why its connection was lost; called once per outage and reason.
        hooks: called when a connection opens, is lost, or may be overdue.
        regular_frames: what the node sends all the time, if it does, so that silence means trouble.
        hint: takes why a connection could not be opened, and returns what to check; empty if there is nothing to say.
    """

    def __init__(
        self,
        name: str,
        reconnect: float,
        on_error: Callable[[Any, str], None],
        hooks: ConnectionHooks,
        regular_frames: str = "",
        hint: Callable[[object], str] = lambda reason: "",
    ):
        self.name = name
        self.heartbeat = Heartbeat()
        self.regular_frames = regular_frames
        self.has_delivered = False  # a good frame, on this connection
        self._reconnect = reconnect
        self._on_error = on_error
        self._hooks = hooks
        self._hint = hint
        self._event_loop = EventLoop.get()
        self._ws: Any = None  # the WebSocketApp; Any, since some of what is used here is missing from its types
        self._run_forever: Callable[[], Any] = bool
        self._buffer: Optional[ReceiveBuffer] = None  # None while there is no connection
        self._event: Any = None  # rel's, for that connection
        self._timer: Any = None  # rel's: the pending reconnect
        self._fragments: list[Any] = []  # frames of a message that is not complete
        self._partial_since: Optional[float] = None  # time.monotonic() when a message was first found incomplete
        self._disconnect_reason: object = None  # why this side shut the connection down
        self._reconnects_at_once = False  # after that
        self._connecting_since = 0.0  # time.monotonic()
        self.frame_at = 0.0  # time.monotonic() of the newest good frame, or of the connection
        self._attempts = 0  # reconnects since the last good frame
        self._reported_reasons: set[str] = set()  # of disconnects, since the last good frame
        self.is_rejected = False  # the newest frame was an error, or of an unknown shape
        self._reports: dict[str, float] = {}  # kind of a problem with a frame -> time.monotonic() of its log line
        self._closed = False

    # Called by websocket-client.

    def signal(self, number: int, callback: Callable[[], Any]) -> None:
        """Do nothing: the caller of `rel.dispatch()` handles signals."""

    def abort(self) -> None:
        """Do nothing, as above."""

    def buffwrite(self, sock: socket.socket, data: bytes, send: object, on_error: object) -> None:
        """Send a ping, a pong or a close frame at once: rel's write buffer would keep watching a socket that is gone."""
        with contextlib.suppress(OSError):  # the next read finds out
            sock.send(data)

    def read(self, sock: HandshakeSocket, callback: object) -> None:
        """Take over a connected socket. Connecting thread."""
        self._event_loop.call_soon_threadsafe(self._on_connect, sock.sock)

    def timeout(self, seconds: float, callback: object, *args: object) -> None:
        """Do nothing: websocket-client wants to reconnect by itself. `_schedule_reconnect` starts it anew instead."""

    def on_connect_error(self, ws: Any, error: object) -> None:
        """The app's `on_error`: an attempt to connect has failed. Connecting thread."""
        if time.monotonic() - self._connecting_since >= HANDSHAKE_TIMEOUT:  # report the timeout, not the error that it caused
            error = f"no handshake within {HANDSHAKE_TIMEOUT:.0f} s"
        self._event_loop.call_soon_threadsafe(self._on_connect_failed, error)

    # Main thread.

    def connect(self, ws: Any, run_forever: Callable[[], Any]) -> None:
        """Connect now, and again whenever the connection is lost.

        Args:
            ws: the WebSocketApp, with `on_connect_error` as its `on_error`.
            run_forever: runs it with this object as its dispatcher, and with `reconnect`.
        """
        self._ws, self._run_forever = ws, run_forever
        self._connect()

    def _connect(self) -> None:
        if self._closed:
            return
        self._connecting_since = time.monotonic()
        self._disconnect_reason, self._reconnects_at_once = None, False
        self._ws.sock = None  # websocket-client does not run again while it has one
        try:
            # A thread of its own: name look-up, TLS and handshake may hang, and block nothing there.
            threading.Thread(target=self._run, name=f"connect {self.name}", daemon=True).start()
        except RuntimeError as error:  # the system allows no more threads
            self._on_connect_failed(error)

    def _run(self) -> None:
        try:
            with deadline_at(self._connecting_since + HANDSHAKE_TIMEOUT):
                self._ws.prepared_socket = HandshakeSocket(open_socket(self._ws.url), self._ws.url)
                self._run_forever()  # returns when it is connected, or has called on_connect_error
        except BaseException as error:  # of any kind: the stream must get another attempt
            self.on_connect_error(self._ws, error)

    def disconnect(self, reason: str, reconnect_at_once: bool = False) -> None:
        """Shut the socket of an open connection down. The main thread finds the end of the stream, and a reconnect follows."""
        self._disconnect_reason, self._reconnects_at_once = reason, reconnect_at_once
        if self._buffer is not None:
            with contextlib.suppress(OSError):  # closed already
                # SSLSocket's own shutdown would remove the TLS layer below websocket-client.
                socket.socket.shutdown(self._buffer.raw, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, or what an attempt under way brings. rel watches nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.delete()
        if self._buffer is not None:
            self._buffer.raw.close()
            self._buffer = None

    def is_open(self) -> bool:
        """Return whether there is a connection."""
        return self._buffer is not None

    def seconds_since_frame(self) -> float:
        """Return for how long an open connection has been silent; 0 without a connection."""
        return time.monotonic() - self.frame_at if self.is_open() else 0.0

    def disconnect_if_stuck(self) -> None:
        """Disconnect if a message has stopped in its middle, if pongs are late, or if the snapshot is overdue."""
        if self._partial_since is not None and time.monotonic() - self._partial_since > FRAME_TIMEOUT:
            self.disconnect(f"incomplete frame for {FRAME_TIMEOUT:.0f} s")
        elif self.is_open() and self.heartbeat.seconds_unanswered() > SILENCE_TIMEOUT:
            self.disconnect(f"no pong for {SILENCE_TIMEOUT:.0f} s")
        elif self.is_open() and self._hooks.is_overdue():
            self.disconnect("no complete snapshot in time")

    def ping_if_due(self) -> None:
        """Send a ping if the last one was long enough ago."""
        if self.is_open() and (payload := self.heartbeat.ping_payload_if_due()):
            with contextlib.suppress(OSError, websocket.WebSocketException):  # the next read finds out
                self._ws.sock.ping(payload)

    def report(self, problem: str, rejected: bool = False) -> None:
        """Log a problem with a frame, once per REPORT_INTERVAL; `rejected` when the frame brought no data at all."""
        self.is_rejected = rejected
        now = time.monotonic()
        self._reports = {known: then for known, then in self._reports.items() if now - then < REPORT_INTERVAL}
        kind = without_numbers(problem)
        if kind not in self._reports and len(self._reports) < MAX_REPORTS:
            self._reports[kind] = now
            is_last = len(self._reports) == MAX_REPORTS
            logger.warning(
                "stream %s: %s%s",
                self.name,
                problem,
                f" (further problems are not logged for {REPORT_INTERVAL:.0f} s)" if is_last else "",
            )

    def _on_connect(self, sock: socket.socket) -> None:
        if self._closed:
            sock.close()
            return
        self._buffer = ReceiveBuffer(sock)
        self._ws.sock.sock = sock  # from now on without the layer that the handshake needed
        self._ws.sock.frame_buffer.recv_strict = self._buffer.read_exactly
        self._fragments.clear()
        self.frame_at = time.monotonic()
        self.heartbeat.on_connect()
        self.has_delivered = False
        self._hooks.on_open()
        self._event = rel.read(sock, self._read_available)
        self._read_available()  # the TLS layer may hold frames already, and rel's poll does not see them

    def _read_available(self) -> bool:
        """Deliver the messages that have arrived, up to READ_SIZE; return whether rel should keep watching."""
        buffer = self._buffer
        assert buffer is not None
        buffer.grant_quota()
        while self._buffer is buffer and not self._event_loop.closing:  # a callback may have ended either
            try:
                message = self._receive(buffer)
            except BlockingIOError:  # everything is read; websocket-client keeps its place inside a partial frame
                is_partial = buffer.has_partial_frame() or bool(self._fragments)
                self._partial_since = (self._partial_since or time.monotonic()) if is_partial else None
                return True
            except Exception as error:  # reset, bad UTF-8, unknown opcode, …: none of them may leave rel.dispatch()
                return self._on_disconnect(error)
            if message is None:
                continue
            self._partial_since = None
            self.is_rejected = False
            self._ws.on_message(self._ws, message)
            if not self.is_rejected:
                self._on_good_frame()
        return self._buffer is buffer

    def _receive(self, buffer: ReceiveBuffer) -> Optional[Message]:
        """Read one frame; return the message that it completes, None if it completes none."""
        frame = self._ws.sock.recv_frame()
        buffer.end_frame()
        if frame.opcode == websocket.ABNF.OPCODE_PONG:
            self.heartbeat.on_pong(frame.data)
            return None
        if frame.opcode == websocket.ABNF.OPCODE_PING:
            self._ws.sock.pong(frame.data)
            return None
        if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
            self._ws.sock.send_close()
            raise _ClosedByNodeError(close_message(frame.data))
        if (frame.opcode == websocket.ABNF.OPCODE_CONT) != bool(self._fragments):
            raise websocket.WebSocketProtocolException("a continuation frame is missing or out of place")
        self._fragments.append(frame)
        if not frame.fin:
            if sum(len(each.data) for each in self._fragments) > MAX_FRAME_SIZE:
                raise FrameTooLargeError(f"a message of more than {MAX_FRAME_SIZE} bytes is too large")
            return None
        opcode = self._fragments[0].opcode
        data: bytes = frame.data if len(self._fragments) == 1 else b"".join(each.data for each in self._fragments)
        self._fragments.clear()
        return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data

    def _on_good_frame(self) -> None:
        self.frame_at = time.monotonic()
        self.has_delivered = True
        if self._attempts:
            logger.info("stream %s: reconnected", self.name)
            self._attempts = 0
            self._reported_reasons.clear()

    def _on_disconnect(self, reason: object) -> bool:
        assert self._buffer is not None
        self._event.delete()
        self._buffer.close()
        self._ws.sock.shutdown()  # closes the raw socket
        self._buffer = None
        self._partial_since = None
        self._hooks.on_disconnect(self.heartbeat.latency())
        self._schedule_reconnect(reason)
        return False  # rel: stop watching

    def _on_connect_failed(self, error: object) -> None:
        self._schedule_reconnect(error, seconds_spent=int(time.monotonic() - self._connecting_since))

    def _schedule_reconnect(self, reason: object, seconds_spent: int = 0) -> None:
        if self._closed:
            return
        delay = reconnect_delay(self._reconnect, self._attempts, self.is_rejected)
        delay = 0.0 if self._reconnects_at_once else max(0.0, delay - seconds_spent)  # an attempt that hung has used up part of it
        message = disconnect_message(self._disconnect_reason or reason, self._hint(reason))
        kind = without_numbers(message.partition(": ")[0])  # the rest may differ from attempt to attempt
        if kind not in self._reported_reasons:  # once, not at each attempt
            self._reported_reasons.add(kind)
            self._on_error(self._ws, f"connection lost ({message}{via_proxy(self._ws.url)}), reconnecting in {delay:g} s")
        self._attempts += 1
        self.is_rejected = False
        self._set_timer(delay, self._connect)

    def _set_timer(self, seconds: float, callback: Callable[[], Any]) -> None:
        if self._timer is not None:
            self._timer.delete()
        self._timer = rel.timeout(seconds, callback)


def reconnect_delay(reconnect: float, attempts: int, rejected: bool) -> float:
    """Return the seconds until the next attempt to connect.

    Differs from the page, which reconnects every five seconds without end. A node that cannot be reached should not be
    flooded, and one that rejects a subscription will mostly reject it again.
    """
    max_delay = MAX_REJECTED_RECONNECT_DELAY if rejected else MAX_RECONNECT_DELAY
    return min(reconnect * 2.0 ** min(attempts, 10), max(max_delay, reconnect))


class StreamGroup:
    """The connections of one client, which are watched and closed together. Main thread, except where noted.

    Args:
        get_progress: returns a number that grows while the node works, 0 if there is none; asked when regular frames stop, on
            a thread of its own. It may raise.
    """

    def __init__(self, get_progress: Optional[Callable[[], int]] = None) -> None:
        self._get_progress = get_progress
        self._event_loop: Optional[EventLoop] = None
        self._connections: list[StreamConnection] = []
        self._checked_at = 0.0  # time.monotonic() of the last check
        self._slept = clock.slept()  # at that time
        self._is_asking = False  # for the node's progress
        self._progress: tuple[float, int] = (0.0, 0)  # when the last frame came before the silence, and the progress since

    def add(self, connection: StreamConnection) -> None:
        """Watch a connection, until the end of `rel.dispatch()`."""
        self._join_event_loop()
        self._connections.append(connection)

    def stop(self) -> None:
        """End `rel.dispatch()`, and the connections. Any thread, and more than once."""
        rel.abort()

    def latency(self) -> float:
        """Return how late the data of the streams with regular frames may be, in seconds. Any thread."""
        return max((each.heartbeat.latency() for each in self._connections if each.regular_frames), default=0.0)

    def _join_event_loop(self) -> None:
        if self._event_loop is not None and not self._event_loop.closing:
            return
        self._event_loop = EventLoop.get()
        self._event_loop.close_callbacks.append(self._close)
        self._check_timer = rel.timeout(CHECK_INTERVAL, self._check)
        library_logger = logging.getLogger("websocket")
        if library_logger.level == logging.NOTSET:
            library_logger.setLevel(logging.WARNING)  # at INFO it repeats for each attempt what is logged here once
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nobody else handles Ctrl+C
            rel.signal(signal.SIGINT, self.stop)

    def _close(self) -> None:
        self._check_timer.delete()
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _check(self) -> bool:
        """Ping each connection, and disconnect those that are stuck. Differs from the page, which waits without end."""
        now, slept = time.monotonic(), clock.slept()
        # This process was stopped, as by Ctrl+Z. Data that has arrived since is not read yet: read it first, and check next time.
        was_stopped = now - self._checked_at > 2 * CHECK_INTERVAL
        has_slept = slept - self._slept > MIN_SLEEP
        self._checked_at, self._slept = now, slept
        for connection in self._connections:
            if has_slept and connection.is_open():
                connection.disconnect("this machine was suspended", reconnect_at_once=True)
                continue
            connection.ping_if_due()
            if was_stopped:
                continue
            connection.disconnect_if_stuck()
            if connection.regular_frames and connection.seconds_since_frame() > SILENCE_TIMEOUT:
                self._on_silence(connection)
        return True  # rel: call again

    def _on_silence(self, connection: StreamConnection) -> None:
        """Find out why regular frames have stopped: a lost stream, a lost node, or a node that has nothing to send."""
        if connection.is_rejected:  # its newest frame was an error
            connection.disconnect(_silence_message(connection))
        elif self._get_progress is None:
            self._on_progress(connection, None)
        elif not self._is_asking and self._event_loop is not None:
            self._is_asking = True
            self._event_loop.run_in_thread(self._get_progress, lambda progress: self._on_progress(connection, progress))

    def _on_progress(self, connection: StreamConnection, progress: Optional[int]) -> None:
        self._is_asking = False
        if not connection.is_open() or connection.seconds_since_frame() <= SILENCE_TIMEOUT:
            return
        if not progress:  # the node does not answer; the other streams are silent while nothing happens, so all of them go
            for each in self._connections if connection.has_delivered else [connection]:
                if each.is_open():
                    each.disconnect(_silence_message(connection))
            return
        silent_since, before = self._progress
        if silent_since == connection.frame_at and progress > before:
            connection.disconnect(_silence_message(connection))
        elif silent_since != connection.frame_at:  # the first answer in this silence
            self._progress = (connection.frame_at, progress)


def _silence_message(connection: StreamConnection) -> str:
    return f"no {connection.regular_frames} for {SILENCE_TIMEOUT:.0f} s"
