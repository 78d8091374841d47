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
from types import ModuleType

from tests.exercises.checking import NotYet, last_frame
from tests.exercises.runner import Verdict, line_of

MOST_MEMORY = 4 * 2**30  # bytes: an endless list must not take the whole machine with it
PACKAGES = ("aiohttp", "dotenv", "rel", "requests", "websocket")


def load(name: str, file: Path) -> ModuleType:
    """Run a file as a module, without a cache: a file edited twice within a second would otherwise come out of it as it was."""
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        code = compile(file.read_bytes(), str(file), "exec")  # of bytes: Python itself knows how a file says its encoding
    except ValueError as error:  # what Python 3.10 has for a zero byte, and 3.12 a SyntaxError
        raise SyntaxError(str(error)) from error
    exec(code, module.__dict__)
    return module


def verdict_on(folder: Path, file: Path) -> Verdict:
    """Check a learner's file; whatever it does, but for endless loops, comes back as a verdict."""
    try:
        exercise = load("exercise", file)
        load("check", folder / "check.py").check(exercise)
    except NotYet as problem:
        return Verdict(solved=False, saw=problem.saw, expected=problem.expected, hint=problem.hint)
    except SyntaxError as error:
        return syntax_error(error, file)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: learners' code may raise anything
        return crash(error, file)
    return Verdict(solved=True)


def syntax_error(error: SyntaxError, file: Path) -> Verdict:
    place = f"line {error.lineno} of {Path(error.filename or file).name}" if error.lineno else file.name
    encoding = any(word in str(error.msg) for word in ("codec", "encoding", "null bytes"))
    return Verdict(
        solved=False,
        saw=f"{place} is not Python: {error.msg}\n    {(error.text or '').strip()}".rstrip(),
        expected="a file that Python can read",
        hint="save it as UTF-8" if encoding else "look at that line and the one above it: a bracket, a colon, the indentation",
    )


def crash(error: BaseException, file: Path) -> Verdict:
    """Say which line of the learner's file an exception came out of, or else what stopped the check, and where."""
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, ImportError) and error.name in PACKAGES:
        return Verdict(
            solved=False,
            saw=words,
            expected="that the packages of tests/sandbox/requirements.txt are there",
            hint="use the Python of the virtual environment: .venv/bin/python -m tests.exercises …",
        )
    if isinstance(error, OSError) and error.filename == str(file):
        return Verdict(solved=False, saw=words, expected=f"to find {file}", hint="is the name right?")
    frame = last_frame(error.__traceback__, str(file))
    if frame is not None:
        return Verdict(
            solved=False,
            saw=f"line {frame.lineno} of {file.name}, in {frame.name}: {words}\n{line_of(file, frame.lineno or 0)}",
            expected="that it runs without an error",
            hint="print what that line works with; what the check prints above says how far it came",
        )
    return Verdict(
        solved=False,
        saw=f"the check could not go on: {words}\n{_where(error)}".rstrip(),
        expected=f"that functions in {file.name} take and return what the starting point's do",
        hint="print what you hand over and what you return: something is of another kind than it should be",
    )


def _where(error: BaseException) -> str:
    """Return the line of the check that an exception went through; of a thread that has none, the last line."""
    trace = error.__traceback__
    frame = last_frame(trace, str(getattr(sys.modules.get("check"), "__file__", ""))) or next(reversed(traceback.extract_tb(trace)), None)
    return f"in line {frame.lineno} of {Path(frame.filename).name}: {frame.line}" if frame else ""


def main(folder: Path, file: Path, where: Path, seconds: float) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has such a limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.disable()  # the bot's modules report what the check does to them
    first = threading.Lock()

    def finish(verdict: Verdict) -> None:
        """Leave a verdict and end the process: a thread of the learner's may still be running."""
        first.acquire()  # and never given back: the first verdict is the one that counts
        faulthandler.cancel_dump_traceback_later()
        (where / "verdict.json").write_text(json.dumps(dataclasses.asdict(verdict)), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    # At once: a thread that has died leaves others that wait for it, and then the cause matters, not its consequence.
    threading.excepthook = lambda args: finish(crash(args.exc_value, file)) if args.exc_value else None
    with (where / "stacks.txt").open("w", encoding="utf-8") as stacks:
        faulthandler.dump_traceback_later(seconds, exit=True, file=stacks)
        finish(verdict_on(folder, file))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
