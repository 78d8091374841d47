"""One check, in the process that `judge` starts for it: loads the learner's file, runs the check, leaves a verdict in a file.

Started as `python -m tests.exercises.child FOLDER FILE WHERE SECONDS`; `WHERE` is a folder for the verdict, and for the stacks of
all threads where time is up. faulthandler writes those from a C thread, so also where one long call holds the interpreter.
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
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Optional

from .checking import NotYet
from .judge import Verdict, line_of

MOST_MEMORY = 4 * 2**30  # bytes: an endless list must not take the whole machine with it
PACKAGES = ("aiohttp", "dotenv", "rel", "requests", "websocket")


def load(name: str, file: Path) -> ModuleType:
    """Run a file as a module, without a cache: a file edited twice within a second would otherwise come out of it as it was."""
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses look their module up there
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), module.__dict__)
    return module


def verdict_on(folder: Path, file: Path) -> Verdict:
    """Check a learner's file; whatever it does, but for endless loops, comes back as a verdict."""
    thread_errors: list[BaseException] = []  # of threads that the learner started
    threading.excepthook = lambda args: thread_errors.append(args.exc_value) if args.exc_value else None
    try:
        exercise = load("exercise", file)
        load("check", folder / "check.py").check(exercise)
    except NotYet as problem:
        if thread_errors:
            return crash(thread_errors[0], file)  # the cause, not its consequence
        return Verdict(solved=False, saw=problem.saw, expected=problem.expected, hint=problem.hint)
    except SyntaxError as error:
        return syntax_error(error, file)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: learners' code may raise anything
        return crash(thread_errors[0] if thread_errors else error, file)
    return crash(thread_errors[0], file) if thread_errors else Verdict(solved=True)


def syntax_error(error: SyntaxError, file: Path) -> Verdict:
    place = f"line {error.lineno} of {Path(error.filename or file).name}"
    return Verdict(
        solved=False,
        saw=f"{place} is not Python: {error.msg}\n    {(error.text or '').strip()}",
        expected="a file that Python can read",
        hint="look at that line and the one above it: a bracket, a colon, the indentation",
    )


def crash(error: BaseException, file: Path) -> Verdict:
    """Say which line of the learner's file an exception came out of, or that what it returned could not be used."""
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, ImportError) and error.name in PACKAGES:
        return Verdict(
            solved=False,
            saw=words,
            expected="that the packages of tests/sandbox/requirements.txt are there",
            hint="use the Python of the virtual environment: .venv/bin/python -m tests.exercises …",
        )
    frame = _last_frame(error.__traceback__, str(file))
    if frame is not None:
        return Verdict(
            solved=False,
            saw=f"line {frame.lineno} of {file.name}, in {frame.name}: {words}\n{line_of(file, frame.lineno or 0)}",
            expected="that it runs without an error",
            hint="print what that line works with; what the check prints above says how far it came",
        )
    if isinstance(error, FileNotFoundError):
        return Verdict(solved=False, saw=words, expected=f"to find {file}", hint="is the name right?")
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType) and error.obj.__name__ == "exercise":
        return Verdict(
            solved=False,
            saw=f"{file.name} has no {error.name!r}",
            expected="every name that the starting point had",
            hint="put it back, with its parameters",
        )
    traceback.print_exception(error)
    return Verdict(
        solved=False,
        saw=f"the check could not go on: {words}",
        expected=f"that functions in {file.name} take and return what their docstrings say",
        hint="the traceback above ends in the line of check.py that used it",
    )


def _last_frame(trace: Optional[TracebackType], file: str) -> Optional[traceback.FrameSummary]:
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == file]
    return frames[-1] if frames else None


def main(folder: Path, file: Path, where: Path, seconds: float) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has such a limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.disable()  # the bot's modules report what the check does to them
    with (where / "stacks.txt").open("w", encoding="utf-8") as stacks:
        faulthandler.dump_traceback_later(seconds, exit=True, file=stacks)
        verdict = verdict_on(folder, file)
        faulthandler.cancel_dump_traceback_later()
    (where / "verdict.json").write_text(json.dumps(dataclasses.asdict(verdict)), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a learner's thread may still be running


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
