"""rel's loop, made to block in the kernel, and the one thread-safe way into it.

Not on the page. There, rel sleeps for 0.6 ms, polls without waiting, and starts again. That costs a twentieth of a core,
delays every frame, and gives other threads no safe way in.
"""

import contextlib
import logging
import math
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Optional, TypeVar

import rel
import rel.registrar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_POLL_WAIT = 0.25  # seconds that one poll waits when nothing wakes it
_METHODS = ("epoll", "kqueue", "poll", "select")  # rel's registrars, best first


class EventLoop:
    """What rel's loop does until it is aborted. rel has one loop per process, and so has this class.

    `rel.abort()` may come from anywhere: any thread, a signal handler, a callback. Nothing else of rel is safe outside
    the main thread, and other threads use `call_soon_threadsafe` instead. A socket pair wakes the poll for them.
    """

    _current: Optional["EventLoop"] = None

    @classmethod
    def get(cls) -> "EventLoop":
        """Return the process's event loop, a new one after an abort. Main thread."""
        if cls._current is None:
            cls._current = cls()
        return cls._current

    def __init__(self) -> None:
        self.closing = False  # True from rel.abort() on: nothing is delivered any more
        self.close_callbacks: list[Callable[[], Any]] = []  # called once, at the end
        self._thread = threading.current_thread()
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._registrar = _blocking_registrar()
        self._registrar.event_loop = self
        rel.read(self._receiver, self._on_wake)  # keeps the poll waiting while no stream is connected

    def call_soon_threadsafe(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the main thread, inside `rel.dispatch()`. Any thread, and signal handlers."""
        self._calls.put(partial(function, *args))
        self._wake()
        if EventLoop._current is not self:  # closed: a connection attempt that ends late still has to close its socket
            self._run_calls()

    def run_in_thread(self, function: Callable[[], Result], on_done: Callable[[Optional[Result]], Any]) -> None:
        """Run a function that may block on a thread of its own, then `on_done` on the main thread. Main thread.

        `on_done` gets the function's result, or None if it raised or if no thread can be started.
        """

        def run() -> None:
            result = None
            try:
                result = function()
            except Exception as error:
                logger.debug("%s: %s", threading.current_thread().name, error)
            self.call_soon_threadsafe(on_done, result)

        try:
            threading.Thread(target=run, name="background call", daemon=True).start()
        except RuntimeError:  # a limit of processes or of memory
            self.call_soon_threadsafe(on_done, None)

    def abort(self) -> None:
        """End `rel.dispatch()` and everything that it watches: what `rel.abort()` does here. Any thread."""
        self.closing = True
        # In the middle of a poll, rel fails on file descriptors that are gone. So a timer does it: rel checks timers after
        # the poll. Other threads cannot know whether the dispatch has begun; if it has not, it ends as soon as it begins.
        if self._registrar.run_dispatch or threading.current_thread() is not self._thread:
            self.call_soon_threadsafe(rel.timeout, 0, self._close)
        else:
            self._close()

    def _close(self) -> None:
        if EventLoop._current is not self:
            return
        self._registrar.event_loop = None  # from now on it is plain rel again
        _set_poll_timeout(self._registrar, 0)
        rel.abort()
        self._receiver.close()
        self._sender.close()
        for close in self.close_callbacks:
            close()
        EventLoop._current = None  # last: later calls from other threads run at once, and must find everything closed
        self._run_calls()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # its buffer is full of wake-ups, or it is closed
            self._sender.send(b"!")

    def _on_wake(self) -> bool:
        self._receiver.recv(4096)
        self._run_calls()
        return True  # rel: keep watching

    def _run_calls(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()()


class _BlockingRegistrar:
    """Mixin over one of rel's registrars. While an EventLoop is attached, it waits in the poll and does not sleep."""

    event_loop: Optional[EventLoop] = None
    _armed_timers: Optional[set[Any]] = None  # own set: rel's own list lags behind in some versions

    # What rel's registrars bring.
    timers: Any
    events: dict[str, dict[int, Any]]
    run_dispatch: bool
    check_events: Callable[[], Any]
    check_timers: Callable[[], bool]

    def loop(self) -> Any:
        if self.event_loop is None:
            return super().loop()  # type: ignore[misc]
        try:
            return self._run_once()
        except BaseException:  # it leaves rel.dispatch(), and rel does not note that by itself
            self.run_dispatch = False
            raise

    def abort(self) -> None:
        if self.event_loop is None:
            super().abort()  # type: ignore[misc]
        else:
            self.event_loop.abort()

    def add_timer(self, timer: Any) -> None:
        super().add_timer(timer)  # type: ignore[misc]
        self._armed().add(timer)

    def remove_timer(self, timer: Any) -> None:
        super().remove_timer(timer)  # type: ignore[misc]
        self._armed().discard(timer)

    def _armed(self) -> set[Any]:
        if self._armed_timers is None:
            self._armed_timers = set(self.timers)
        return self._armed_timers

    def _run_once(self) -> bool:
        """Wait for a readable socket or the next timer; run their callbacks; return whether there is anything left to do."""
        next_timer = min((timer.expiration for timer in self._armed() if timer.expiration is not None), default=math.inf)
        wait = min(max(0.0, next_timer - time.monotonic()), MAX_POLL_WAIT)
        _set_poll_timeout(self, wait)
        if not self.check_events():  # nothing is watched
            time.sleep(wait)
        now = time.monotonic()
        has_timers = self.check_timers()
        # What was due at `now` has run. A repeated timer has a new expiration; the others are over.
        self._armed_timers = {timer for timer in self._armed() if timer.expiration is not None and timer.expiration > now}
        return has_timers or any(self.events.values())


def _set_poll_timeout(registrar: Any, seconds: float) -> None:
    """Set how long rel's next poll waits. rel keeps this in its module, for all registrars."""
    is_poll = isinstance(registrar, rel.registrar.PollRegistrar) and not isinstance(registrar, rel.registrar.EpollRegistrar)
    rel.registrar.LISTEN_SELECT = rel.registrar.LISTEN_KQUEUE = seconds
    rel.registrar.LISTEN_POLL = seconds * 1000 if is_poll else seconds  # poll() takes milliseconds, the others seconds


def _blocking_registrar() -> Any:
    """Return rel's registrar, made to block. A registrar that a caller has chosen, and its events, are kept."""
    registrar = rel.rel.registrar
    if registrar is None:
        names = []
        for method in _METHODS:
            names.append(f"blocking {method}")
            rel.rel.mapping[names[-1]] = _blocking(rel.rel.mapping[method])
        rel.initialize(names, ["strict"])
    elif not isinstance(registrar, _BlockingRegistrar):
        registrar.__class__ = _blocking(type(registrar))
    return rel.rel.registrar


def _blocking(base: type) -> type:
    return type(f"Blocking{base.__name__}", (_BlockingRegistrar, base), {})
