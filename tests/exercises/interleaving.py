"""Switches threads at a chosen instruction, so that a race is a matter of counting, not of luck. Exercises 4 and 9 rest on it."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

MOST_PLACES = 2000  # a store of a few lines has a hundred
SHORT_WAIT = 0.01  # seconds that a second thread gets to finish before we take it to wait for a lock


@dataclass(frozen=True)
class Race:
    """One store's two methods, to be called on two threads."""

    write: Callable[[], Any]
    read: Callable[[], Any]


def switched(prepare: Callable[[], Race], stop_writing: bool) -> Iterator[tuple[Any, Any]]:
    """Stop one method of a new race at each of its instructions, and run the other one there.

    Yields:
        For each place what was read there, and what is read at the end.
    """
    for place in range(MOST_PLACES):
        race, values = prepare(), []

        def read(race: Race = race, values: list[Any] = values) -> None:
            values.append(race.read())

        if not (switch_at(race.write, read, place) if stop_writing else switch_at(read, race.write, place)):
            return
        yield values[0], race.read()


def switch_at(first: Callable[[], Any], second: Callable[[], Any], place: int) -> bool:
    """Run `first`, stop it before the instruction number `place` of the learner's code, run `second` there, let both end.

    Should `second` have to wait for `first`, for a lock that it holds, both go on together: that is what a lock is for.

    Returns:
        Whether `first` has that many instructions. Only then was `second` run in its middle.

    Raises:
        Exception: whatever either of them raises.
    """
    stopper = _Stopper(first, place)
    stopper.start()
    stopper.stopped.wait()
    other = _Runner(second)
    other.start()
    other.join(SHORT_WAIT)
    stopper.go_on.set()
    stopper.join()
    other.join()
    for runner in (stopper, other):
        if runner.error:
            raise runner.error
    return stopper.reached


class _Runner(threading.Thread):
    """A thread that keeps what its function raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # raised again by switch_at
            self.error = error


class _Stopper(_Runner):
    """Stops before one instruction of the code in the learner's file, until it is told to go on."""

    def __init__(self, function: Callable[[], Any], place: int) -> None:
        super().__init__(function)
        self._left = place
        self._file = sys.modules["exercise"].__file__
        self.stopped = threading.Event()  # at that instruction, or at the end where there are fewer
        self.go_on = threading.Event()
        self.reached = False

    def run(self) -> None:
        sys._getframe().f_trace_opcodes = True  # Python 3.12 has to know of it before settrace
        sys.settrace(self._trace)
        try:
            super().run()
        finally:
            sys.settrace(None)
            self.stopped.set()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        frame.f_trace_opcodes = True
        if event in ("opcode", "line") and not self.reached:
            if self._left == 0:
                self.reached = True
                self.stopped.set()
                self.go_on.wait()
            self._left -= 1
        return self._trace
