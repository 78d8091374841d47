"""Runs two functions on two threads and pauses one of them at a chosen instruction, so that a race shows every time, without luck.

Exercises 4, 9 and 10 use it. `interleavings` tries every instruction of one function, one after the other. `double_interleavings` pauses
both functions, at every pair of instructions.
"""

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Generic, Optional, TypeVar

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MAX_INSTRUCTIONS = 2000  # of one function; a store of a few lines has a hundred
BLOCKED_CHECK_INTERVAL = 0.005  # s
MAX_CPU_TIME = 0.005  # s; a method that has used more, and has not returned, tests in a loop whether it may continue
BLOCKED_TIMEOUT = 0.05  # s, where the system does not tell whether a thread sleeps: then it is taken to wait for a lock

Read = TypeVar("Read")


@dataclass(frozen=True)
class Race(Generic[Read]):
    """Two methods of one store, to be called on two threads."""

    write: Callable[[], object]
    read: Callable[[], Read]


def interleavings(prepare: Callable[[], Race[Read]], pause_write: bool, files: Collection[str]) -> Iterator[tuple[Read, Read]]:
    """Pause one method of a new race at each of its instructions, and run the other method meanwhile.

    Args:
        prepare: makes a race with a new store.
        pause_write: whether to pause `write` (and run `read` meanwhile), or the other way round.
        files: source files whose instructions count, as in `__file__`.

    Yields:
        For each instruction, the value that was read meanwhile and the value that is read at the end.
    """
    for instruction in range(MAX_INSTRUCTIONS):
        race = prepare()
        values: list[Read] = []

        def read(race: Race[Read] = race, values: list[Read] = values) -> None:
            values.append(race.read())

        first, second = (race.write, read) if pause_write else (read, race.write)
        if not run_interleaved(first, second, instruction, files):
            return
        yield values[0], race.read()


def run_interleaved(first: Callable[[], object], second: Callable[[], object], instruction: int, files: Collection[str]) -> bool:
    """Run `first`, pause it before one instruction, run `second` meanwhile, then let both end.

    If `second` has to wait for a lock that `first` holds, `first` continues: a correct lock makes `second` wait.

    Args:
        instruction: how many instructions of `files` the thread of `first` executes before the pause.

    Returns:
        Whether `first` has that many instructions. If not, `second` ran after `first`.

    Raises:
        Exception: whatever either function raises.
    """
    paused = _PausingThread(first, instruction, files)
    paused.start()
    paused.stopped.wait()
    other = _Thread(second)
    other.start()
    _wait_until_stopped_or_blocked(other)
    paused.resume.set()
    _join(paused, other)
    return paused.reached


def double_interleavings(prepare: Callable[[], Race[Read]], files: Collection[str], write_step: int = 1) -> Iterator[tuple[Read, Read]]:
    """Pause `read` at each of its instructions, run `write` up to each of its own, then let `read` end first.

    This finds a `read` that uses a value which it has taken under the lock, but does not protect any more.

    Args:
        prepare: makes a race with a new store.
        files: source files whose instructions count, as in `__file__`.
        write_step: pause `write` only at every n-th instruction, if it is a long one.

    Yields:
        For each pair of instructions, the value that was read and the value that is read at the end.
    """
    for read_instruction in range(MAX_INSTRUCTIONS):
        for write_instruction in range(0, MAX_INSTRUCTIONS, write_step):
            race = prepare()
            values: list[Read] = []

            def read(race: Race[Read] = race, values: list[Read] = values) -> None:
                values.append(race.read())

            reader, writer = _PausingThread(read, read_instruction, files), _PausingThread(race.write, write_instruction, files)
            reader.start()
            reader.stopped.wait()
            writer.start()
            _wait_until_stopped_or_blocked(writer)
            is_blocked = not writer.stopped.is_set()
            reader.resume.set()
            _wait_until_stopped_or_blocked(reader, reader.ended)
            writer.resume.set()
            _join(reader, writer)
            yield values[0], race.read()
            if not reader.reached:
                return
            if is_blocked or not writer.reached:  # all later instructions of `write` give the same
                break


def _join(*threads: "_Thread") -> None:
    """Wait for threads to end, and raise the first exception of their functions."""
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.error:
            raise thread.error


def _wait_until_stopped_or_blocked(thread: "_Thread", stopped: Optional[threading.Event] = None) -> None:
    """Return when a thread has ended, has paused, or waits for another one: for a lock, or in a loop that tests a variable.

    A fixed time does not tell these cases apart from another one: on a busy machine, a thread may not get a processor for a while.

    Args:
        thread: is running.
        stopped: is set when it is no longer necessary to wait; `thread.stopped` if it is not given.
    """
    status: Optional[tuple[str, ...]] = None
    while not (stopped or thread.stopped).wait(BLOCKED_CHECK_INTERVAL):
        before, status = status, _sleep_status(thread)
        if status is None:
            thread.join(BLOCKED_TIMEOUT)
            return
        if (status and status == before) or _cpu_time(thread) > MAX_CPU_TIME:
            return


def _sleep_status(thread: threading.Thread) -> Optional[tuple[str, ...]]:
    """Return the number of a sleeping thread's context switches. It is the same in two calls if the thread slept all the time between.

    Returns:
        An empty tuple if the thread is not asleep; None if the system does not tell (only Linux has /proc).
    """
    try:
        lines = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    if not fields.get("State", "").startswith("S"):
        return ()
    return fields.get("voluntary_ctxt_switches", ""), fields.get("nonvoluntary_ctxt_switches", "")


def _cpu_time(thread: threading.Thread) -> float:
    """Return the CPU time of a thread in seconds; 0 if the system does not tell."""
    try:
        return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="ascii").split()[0]) / 10**9
    except (OSError, ValueError, IndexError):
        return 0.0


class _Thread(threading.Thread):
    """A thread that keeps the exception of its function."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.error: Optional[BaseException] = None
        self.ended = threading.Event()
        self.stopped = self.ended  # at the end, or earlier at a pause

    def run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # raised again where the check waits for this thread
            self.error = error
        finally:
            self.ended.set()


class _PausingThread(_Thread):
    """A thread that pauses before one instruction of the given files until `resume` is set."""

    def __init__(self, function: Callable[[], object], instruction: int, files: Collection[str]) -> None:
        super().__init__(function)
        self._remaining = instruction
        self._files = files
        self.stopped = threading.Event()  # at the instruction, or at the end if the function has fewer
        self.resume = threading.Event()
        self.reached = False

    def run(self) -> None:
        sys._getframe().f_trace_opcodes = True  # Python 3.12 needs this before settrace
        sys.settrace(self._trace)
        try:
            super().run()
        finally:
            sys.settrace(None)
            self.stopped.set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Optional["TraceFunction"]:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        if event in ("opcode", "line") and not self.reached:
            if self._remaining == 0:
                self.reached = True
                self.stopped.set()
                self.resume.wait()
            self._remaining -= 1
        return self._trace
