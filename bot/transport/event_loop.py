"""rel, made to wait in the kernel, and the way for other threads to have something done on its thread.

Not on the page, where rel's loop sleeps and looks by turns: a slow loop, and one that no other thread may touch.
"""

import contextlib
import math
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import rel
import rel.registrar

LONGEST_WAIT = 0.25  # seconds that rel waits in its poll, where nothing wakes it


class MainThread:
    """What rel's loop does instead of its own, until it is aborted. rel is one for the whole process, and so is this.

    As it comes, each pass of rel's loop sleeps for 0.6 ms and then looks, without waiting, for what there is to read. That
    costs a twentieth of a core and holds each frame up. Here the sleep is left out and the poll waits instead, until there
    is something to read or a timer is due. A socket pair keeps it waiting while no stream is open, and wakes it for calls
    from other threads, which must not touch rel themselves, for new timers, and for `rel.abort()`, which may come from
    anywhere, a signal's handler or a callback included.
    """

    _now: Optional["MainThread"] = None

    @classmethod
    def get(cls) -> "MainThread":
        """Return the one there is. rel's thread."""
        if cls._now is None:
            cls._now = cls()
        return cls._now

    def __init__(self) -> None:
        self.is_ending = False  # from rel.abort() on: nothing is delivered any more
        self.at_end: list[Callable[[], Any]] = []  # what to close
        self._thread = threading.current_thread()
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        rel.read(self._receiver, self._run)  # also makes rel choose epoll, poll, select or kqueue
        registrar = self._registrar = rel.rel.registrar
        self._add_timer = registrar.add_timer
        registrar.loop, registrar.abort, registrar.add_timer = self._loop, self.abort, self._add_and_wake

    def _loop(self) -> bool:
        try:
            return self._look()
        except BaseException:  # it leaves rel.dispatch(), which does not note that
            self._registrar.run_dispatch = False
            raise

    def _look(self) -> bool:
        registrar = self._registrar
        due = min((timer.expiration for timer in tuple(registrar.timers)), default=math.inf)
        wait = min(max(0.0, due - time.monotonic()), LONGEST_WAIT)
        rel.registrar.LISTEN_SELECT = rel.registrar.LISTEN_KQUEUE = wait
        in_milliseconds = type(registrar) is rel.registrar.PollRegistrar  # the others take seconds
        rel.registrar.LISTEN_POLL = wait * 1000 if in_milliseconds else wait
        if not registrar.check_events():  # nothing to wait on
            time.sleep(wait)
        return registrar.check_timers() or any(registrar.events.values())

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have a function called on rel's thread, soon. Any thread."""
        self._calls.put(partial(function, *args))
        self._wake()
        if MainThread._now is not self:  # nobody takes out any more: a dial that comes back late closes what it brings
            self._call_all()

    def abort(self) -> None:
        """End `rel.dispatch()` and all that it watches. Any thread."""
        self.is_ending = True
        # In the middle of a poll, rel trips over what is gone: so when it looks at its timers. For others, who cannot know
        # whether it has begun, also where it has not: then it ends as soon as it begins.
        if self._registrar.run_dispatch or threading.current_thread() is not self._thread:
            self.call(rel.timeout, 0, self._end)
        else:
            self._end()

    def _end(self) -> None:
        if MainThread._now is not self:
            return
        del self._registrar.loop, self._registrar.abort, self._registrar.add_timer  # from now on it is plain rel again
        rel.registrar.LISTEN_SELECT = rel.registrar.LISTEN_KQUEUE = rel.registrar.LISTEN_POLL = 0
        rel.abort()
        self._receiver.close()
        self._sender.close()
        for close in self.at_end:
            close()
        MainThread._now = None  # only now: whoever calls from here on calls by itself, and must find all closed
        self._call_all()

    def _add_and_wake(self, timer: Any) -> None:
        self._add_timer(timer)
        self._wake()  # it may come from another thread, or from a signal's handler, and be due before the poll is over

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full of wake-ups already, or closed
            self._sender.send(b"!")

    def _run(self) -> bool:
        self._receiver.recv(4096)
        self._call_all()
        return True  # rel: go on watching

    def _call_all(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()()
