"""Runs one check in a process of its own and returns its verdict, also if the learner's code crashes, never ends or kills the process.

The child process (see `child`) writes its verdict to a file. Its exit status does not count: the learner's code may end the process with
any status.
"""

import contextlib
import io
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.exercises.catalogue import Exercise

ROOT = Path(__file__).parent.parent.parent
ENDLESS = "look for a loop whose condition never changes, or a lock that the same thread takes twice; on a slow machine: --seconds 180"
KILL_DELAY = 5.0  # s after its timeout until a child that has not ended itself is killed


@dataclass(frozen=True)
class Verdict:
    """The result of a check, with messages for the learner."""

    solved: bool
    saw: str = ""
    expected: str = ""
    hint: str = ""


def run_check(exercise: Exercise, file: Path, timeout: float) -> Verdict:
    """Check a file as the solution of an exercise. The output of the check and of the file goes to our own output.

    Args:
        timeout: s
    """
    with tempfile.TemporaryDirectory() as folder:
        verdict_file, stacks_file = Path(folder, "verdict.json"), Path(folder, "stacks.txt")
        command = [sys.executable, "-B", "-m", "tests.exercises.child", str(exercise.path), str(file.resolve()), folder, str(timeout)]
        start = time.monotonic()
        _run(command, timeout)
        if verdict_file.exists():
            return Verdict(**json.loads(verdict_file.read_text(encoding="utf-8")))
        stacks = stacks_file.read_text(encoding="utf-8") if stacks_file.exists() else ""
        return _timed_out(stacks, file, min(timeout, time.monotonic() - start)) if stacks else _process_ended()


def show_all_characters() -> None:
    """Escape characters that the terminal cannot show. Otherwise print raises UnicodeEncodeError, and the verdict is lost."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def source_line(file: Path, number: int) -> str:
    """Return a line of a file, indented for a message."""
    return f"    {linecache.getline(str(file), number).strip()}"


def _run(command: list[str], timeout: float) -> None:
    """Run the child to its end. It has a session of its own, so that the processes it has started end with it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        child.wait(timeout + KILL_DELAY)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def still_running(file: Path, number: int, function: str, seconds: float) -> Verdict:
    """Return the verdict for code that does not end. `number` is that of the line that was running."""
    return Verdict(
        solved=False,
        saw=f"still running after {seconds:.0f} s, in line {number} of {file.name}, in {function}:\n{source_line(file, number)}",
        expected="code that ends",
        hint=ENDLESS,
    )


def _timed_out(stacks: str, file: Path, seconds: float) -> Verdict:
    """Find the line of the learner's file that was running: the innermost one in the first thread that has one."""
    place = re.search(rf'File "[^"\n]*{re.escape(file.name)}", line (\d+) in (\S+)', stacks)
    if place is not None:
        return still_running(file, int(place[1]), place[2], seconds)
    saw = f"the check did not end within {seconds:.0f} s; it was waiting, outside {file.name}"
    return Verdict(solved=False, saw=saw, expected="code that ends", hint=ENDLESS)


def _process_ended() -> Verdict:
    return Verdict(
        solved=False,
        saw="the process ended before the check did",
        expected="a check that runs to its end",
        hint="does your code call os._exit, kill processes, or use very much memory?",
    )
