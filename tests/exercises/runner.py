"""Runs one check in a process of its own and makes a verdict of whatever comes of it: a crash, an endless loop and silence too.

The child (see `child`) leaves its verdict in a file, not in its exit status: a learner's code may end the process with any.
"""

import contextlib
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.exercises.catalogue import Exercise

ROOT = Path(__file__).parent.parent.parent
GRACE = 5.0  # seconds after which a child is killed that should have ended itself


@dataclass(frozen=True)
class Verdict:
    """What came of a check, in words for the learner."""

    solved: bool
    saw: str = ""
    expected: str = ""
    hint: str = ""


def judge(exercise: Exercise, file: Path, seconds: float) -> Verdict:
    """Check a file as the solution of an exercise. What the check and the file print goes to our own output."""
    with tempfile.TemporaryDirectory() as folder:
        verdict_file, stacks_file = Path(folder, "verdict.json"), Path(folder, "stacks.txt")
        command = [sys.executable, "-B", "-m", "tests.exercises.child", str(exercise.path), str(file.resolve()), folder, str(seconds)]
        _run(command, seconds)
        if verdict_file.exists():
            return Verdict(**json.loads(verdict_file.read_text(encoding="utf-8")))
        stacks = stacks_file.read_text(encoding="utf-8") if stacks_file.exists() else ""
        return _overtime(stacks, file, seconds) if stacks else _vanished()


def _run(command: list[str], seconds: float) -> None:
    """Run the child to its end, in a session of its own: so that what it has started ends with it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        child.wait(seconds + GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _overtime(stacks: str, file: Path, seconds: float) -> Verdict:
    """Say where the learner's code was when time was up: the newest line of its file in any thread's stack."""
    place = re.search(rf'File "[^"\n]*{re.escape(file.name)}", line (\d+) in (\S+)', stacks)
    if place is None:
        saw = f"the check was not done after {seconds:g} s, and was waiting, not in {file.name}"
    else:
        saw = f"still running after {seconds:g} s, in line {place[1]} of {file.name}, in {place[2]}:\n{line_of(file, int(place[1]))}"
    return Verdict(
        solved=False,
        saw=saw,
        expected="that it comes to an end",
        hint="look for a loop whose condition never changes, or a lock taken twice by the same thread; on a slow machine, --seconds 180",
    )


def _vanished() -> Verdict:
    return Verdict(
        solved=False,
        saw="the process ended before the check did",
        expected="that the check reaches its end",
        hint="does your code call os._exit, or kill processes, or need very much memory?",
    )


def line_of(file: Path, number: int) -> str:
    return f"    {linecache.getline(str(file), number).strip()}"
