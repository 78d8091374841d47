"""One check, in the process that `runner` starts for it: loads the learner's file, runs the check, writes a verdict to a file.

Started as `python -m tests.exercises.child EXERCISE_FOLDER FILE OUTPUT_FOLDER TIMEOUT`. `Watch` ends a check that cannot end itself: a
deadlock, an endless loop. If one long call holds the interpreter, the watch cannot run. Then faulthandler writes the stacks of all threads
to OUTPUT_FOLDER and ends the process, from a C thread.
"""

import contextlib
import dataclasses
import faulthandler
import json
import logging
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Optional

from tests.exercises.checking import NotSolved, last_frame
from tests.exercises.runner import ROOT, Verdict, show_all_characters, source_line, still_running

MAX_MEMORY = 4 * 2**30  # bytes; an endless list must not use up the machine's memory
WATCH_INTERVAL = 0.25  # s
MAX_IDLE_INTERVALS = 20  # in a row: 5 s
MAX_IDLE_CPU_TIME = 0.001  # s per interval; no part of a check uses less for as long as 5 s
CALL_TIMEOUT = 6.0  # s that one call of the learner's code may take; in a solution, the longest takes 2 s
DEFAULT_TIMEOUT = 60.0  # s; with a longer one, for a slow machine, a call may also take longer
EXERCISES = str(ROOT / "tests" / "exercises")  # files below it are the check, except the learner's
PACKAGES = ("aiohttp", "dotenv", "rel", "requests", "websocket")


def load(name: str, file: Path) -> ModuleType:
    """Run a file as a module. Without a bytecode cache: Python would not notice two edits within a second."""
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses look up their module there
    try:
        code = compile(file.read_bytes(), str(file), "exec")  # bytes, because a file may declare its encoding
    except ValueError as error:  # Python 3.10 raises it for a zero byte, 3.12 raises SyntaxError
        raise SyntaxError(str(error)) from error
    exec(code, module.__dict__)
    return module


def check_file(folder: Path, file: Path) -> Verdict:
    """Check a learner's file. Every exception becomes a verdict."""
    try:
        exercise = load("exercise", file)
        load("check", folder / "check.py").check(exercise)
    except NotSolved as problem:
        return Verdict(solved=False, saw=problem.saw, expected=problem.expected, hint=problem.hint)
    except SyntaxError as error:
        return verdict_for_syntax_error(error, file)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: the learner's code may raise anything
        return verdict_for_exception(error, file)
    return Verdict(solved=True)


def verdict_for_syntax_error(error: SyntaxError, file: Path) -> Verdict:
    place = f"line {error.lineno} of {Path(error.filename or file).name}" if error.lineno else file.name
    is_encoding_error = any(word in str(error.msg) for word in ("codec", "encoding", "null bytes"))
    return Verdict(
        solved=False,
        saw=f"{place} is not valid Python: {error.msg}\n    {(error.text or '').strip()}".rstrip(),
        expected="a file that Python can read",
        hint="save it as UTF-8" if is_encoding_error else "look at that line and the one above it: a bracket, a colon, the indentation",
    )


def verdict_for_exception(error: BaseException, file: Path) -> Verdict:
    """Name the line of the learner's file that an exception came from, or the line of the check if there is none."""
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, ImportError) and error.name in PACKAGES:
        return Verdict(
            solved=False,
            saw=message,
            expected="the packages of tests/sandbox/requirements.txt",
            hint="use the Python of the virtual environment: .venv/bin/python -m tests.exercises …",
        )
    if isinstance(error, OSError) and error.filename == str(file):
        return Verdict(solved=False, saw=message, expected=f"the file {file}", hint="is the name correct?")
    frame = last_frame(error.__traceback__, str(file))
    if frame is not None:
        return Verdict(
            solved=False,
            saw=f"line {frame.lineno} of {file.name}, in {frame.name}: {message}\n{source_line(file, frame.lineno or 0)}",
            expected="code that runs without an exception",
            hint="print the values that this line uses; the lines above show how far the check came",
        )
    return Verdict(
        solved=False,
        saw=f"the check could not continue: {message}\n{_check_line(error)}".rstrip(),
        expected=f"functions in {file.name} that take and return the same types as in the starting point",
        hint="print what your functions get and what they return: one of these values has the wrong type",
    )


def _check_line(error: BaseException) -> str:
    """Return the line of the check that raised an exception, or the last line of a thread that runs no check."""
    trace = error.__traceback__
    check_file = str(getattr(sys.modules.get("check"), "__file__", ""))
    frame = last_frame(trace, check_file) or next(reversed(traceback.extract_tb(trace)), None)
    return f"in line {frame.lineno} of {Path(frame.filename).name}: {frame.line}" if frame else ""


class Watch:
    """Ends a check in which the learner's code is stuck. Looks at all threads, four times a second, on a thread of its own.

    Counts looks, not the time: a process that was suspended, or got no processor, has not waited.

    Args:
        file: the learner's.
        timeout: s; of the whole check.
        stacks: for faulthandler, a file descriptor.
        finish: gets the verdict.
    """

    def __init__(self, file: Path, timeout: float, stacks: int, finish: Callable[[Verdict], None]) -> None:
        self._file, self._timeout, self._stacks, self._finish = file, timeout, stacks, finish
        self._call_timeout = CALL_TIMEOUT * max(1.0, timeout / DEFAULT_TIMEOUT)
        self._calls: dict[FrameType, int] = {}  # outermost frame of the learner's code in a call of the check -> looks that it has lasted
        self._idle_looks = 0
        self._end = time.monotonic() + timeout
        self._set_alarm()

    def run(self) -> None:
        used = _cpu_time_of_others()
        while True:
            time.sleep(WATCH_INTERVAL)
            self._set_alarm()
            before, used = used, _cpu_time_of_others()
            self._idle_looks = self._idle_looks + 1 if used - before <= MAX_IDLE_CPU_TIME else 0
            if self._idle_looks >= MAX_IDLE_INTERVALS:
                self._finish(self._verdict_for_deadlock())
            self._look_at_calls()

    def _set_alarm(self) -> None:
        """Let faulthandler end the process at the end of the time, or earlier if the watch does not get to run."""
        left = self._end - time.monotonic()
        if left > 2 * WATCH_INTERVAL:  # otherwise the last alarm stays: it is set to the end
            faulthandler.dump_traceback_later(min(left, self._call_timeout), exit=True, file=self._stacks)

    def _look_at_calls(self) -> None:
        """Finish if a call of the learner's code lasts too long. A thread that the learner has started may run as long as the check."""
        calls = {}
        for frame in sys._current_frames().values():
            call = self._find_call(frame)
            if call is not None:
                calls[call] = self._calls.get(call, 0) + 1
                if calls[call] * WATCH_INTERVAL > self._call_timeout:
                    innermost = waiting_frames(self._file, frame)[0]
                    self._finish(still_running(self._file, innermost.lineno or 0, innermost.name, self._call_timeout))
        self._calls = calls

    def _find_call(self, frame: Optional[FrameType]) -> Optional[FrameType]:
        """Return the outermost frame of the learner's file that was called by the check, or by code that the check has called.

        Args:
            frame: the innermost one of a thread.
        """
        found = learners = None
        while frame is not None:
            if frame.f_code.co_filename == str(self._file):
                learners = frame
            elif frame.f_code.co_filename.startswith(EXERCISES):
                found = learners
            frame = frame.f_back
        return found

    def _verdict_for_deadlock(self) -> Verdict:
        frames = waiting_frames(self._file)
        if not frames:
            saw = f"nothing happens any more: the check waits for something that {self._file.name} has not done"
        else:
            place = f"line {frames[0].lineno} of {self._file.name}, in {frames[0].name}"
            saw = f"nothing happens any more: {place}, waits\n{source_line(self._file, frames[0].lineno or 0)}"
        return Verdict(
            solved=False,
            saw=saw,
            expected="code that ends",
            hint="does a thread take a lock that it has already, never release one, or wait for what no other thread does? Use `with`, and"
            " call nothing in it that takes the same lock",
        )


def _cpu_time_of_others() -> float:
    """Return the CPU time of all threads except this one, in seconds."""
    return time.process_time() - time.thread_time()


def waiting_frames(file: Path, innermost: Optional[FrameType] = None) -> list[traceback.FrameSummary]:
    """Return the innermost frame of a file on each thread that executes it now, or on the thread of one frame."""
    stacks = [traceback.extract_stack(frame) for frame in ([innermost] if innermost else sys._current_frames().values())]
    frames = [[frame for frame in stack if frame.filename == str(file)] for stack in stacks]
    return [in_file[-1] for in_file in frames if in_file]


def main(folder: Path, file: Path, output_folder: Path, timeout: float) -> None:
    show_all_characters()
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.disable()  # the bot's modules log the faults that checks cause
    first_verdict = threading.Lock()

    def finish(verdict: Verdict) -> None:
        """Write a verdict and end the process at once: a thread of the learner may still be running."""
        first_verdict.acquire()  # never released: only the first verdict counts
        faulthandler.cancel_dump_traceback_later()
        (output_folder / "verdict.json").write_text(json.dumps(dataclasses.asdict(verdict)), encoding="utf-8")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None: the verdict is written already
                stream.flush()
        os._exit(0)

    # Report an exception on any thread at once. Other threads may wait for that thread, and the exception is the cause.
    threading.excepthook = lambda args: finish(verdict_for_exception(args.exc_value, file)) if args.exc_value else None
    with (output_folder / "stacks.txt").open("w", encoding="utf-8") as stacks:
        threading.Thread(target=Watch(file, timeout, stacks.fileno(), finish).run, daemon=True).start()
        finish(check_file(folder, file))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
