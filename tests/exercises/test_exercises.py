"""The exercises: each starting point is rejected with a hint, each solution passes, and no mistake of a learner breaks the command."""

import base64
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.exercises.__main__ import main
from tests.exercises.catalogue import FOLDER, exercises
from tests.sandbox.control import CONTROLS

HINTS = {  # exercise -> part of the hint for its starting point
    1: "int() truncates",
    2: "streams leave out what is zero, false or empty",
    3: "streams send statuses as numbers",
    4: "one thread updates in an endless loop, the other reads",
    5: "for _ in range(turns): read()",
    6: "the last page replaces the records, it does not add to them",
    7: "ask for the age first, then decide",
    8: "if you are long, move both quotes down",
    9: "the account whose account_type is ACCOUNT_TYPE_GENERAL",
    10: "a frame holds a list of trades",
    11: "send nothing for it, and the queue position stays",
    12: "one look is not enough",
}
EXERCISES = {exercise.number: exercise for exercise in exercises()}


def check(number: int, name: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Check a file of an exercise. Return the exit status and the output, with single spaces."""
    status = main([str(number), str(EXERCISES[number].path / name)])
    return status, " ".join("".join(capfd.readouterr()).split())


###########################################################
#                      The exercises                      #
###########################################################


@pytest.mark.parametrize("number", HINTS)
def test_a_starting_point_is_rejected_with_its_hint(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    status, output = check(number, "exercise.py", capfd)
    assert status == 1
    saw, _, hint = output.partition("hint:")
    assert HINTS[number] in hint
    assert "saw:" in saw
    assert "expected:" in saw


@pytest.mark.parametrize("number", HINTS)
def test_a_solution_passes(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    status, output = check(number, "solution.py", capfd)
    assert status == 0, output
    assert "Solved." in output


def test_every_folder_has_a_readme_a_starting_point_a_check_and_a_solution() -> None:
    assert list(EXERCISES) == list(HINTS)
    for exercise in EXERCISES.values():
        names = {path.name for path in exercise.path.iterdir()}
        assert names - {"__pycache__"} == {"README.md", "exercise.py", "check.py", "solution.py"}
        page = (exercise.path / "README.md").read_text()
        assert f"python -m tests.exercises {exercise.number}\n" in page
        assert all(f"**{part}" in page for part in ("Why.", "The task", "Check it.", "In the bot."))


def test_every_file_and_name_in_the_readmes_exists() -> None:
    root = FOLDER.parents[1]
    for readme in sorted(FOLDER.glob("**/README.md")):
        text = " ".join(readme.read_text(encoding="utf-8").split())
        paths = set(re.findall(r"`((?:bot|tests|main)[\w/]*\.\w+)`", text)) - {"tests/exercises/.solved.json"}
        assert {path for path in paths if not (root / path).exists()} == set(), readme
        for name, path in re.findall(r"`(\w+)`(?:,? and `\w+`)? in `([\w/]+\.py)`", text):
            file = root / path if "/" in path or path == "main.py" else readme.parent / path
            assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), (readme, name, path)


def test_no_exercise_depends_on_the_rule_in_main() -> None:
    for file in sorted(FOLDER.glob("**/*.py")):
        imported = re.findall(r"^\s*(?:from|import) (main)\b", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert not imported, file


def test_the_handout_prints_on_two_pages(browser: Any) -> None:
    browser.get((FOLDER / "handout.html").as_uri())
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2


def test_the_handout_has_all_exercises_and_the_vocabulary() -> None:
    text = (FOLDER / "handout.html").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"<td>☐ (\d+) ", text)] == list(EXERCISES)
    assert all(f"☐ {exercise.number} {exercise.title}<" in text for exercise in EXERCISES.values())
    terms = " ".join(re.findall("<dt>(.+)</dt>", text)).lower()
    assert all(term in terms for term in ("order", "bid", "offer", "spread", "position", "margin", "block", "padded integer"))


def test_the_teachers_readme_has_all_exercises() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"| {exercise.number} | {exercise.title.lower()} |" in text for exercise in EXERCISES.values())


def test_the_teachers_readme_explains_every_control() -> None:
    page = (FOLDER / "README.md").read_text()
    assert {name for name in CONTROLS if f"| `{name}`" not in page} == set()


###########################################################
#                         The list                        #
###########################################################

TINY_CHECK = """from tests.exercises.checking import call, expect


def check(exercise):
    number = call(exercise, "double", 21, returns=int, errors=(KeyError,), hint="no dict is needed")
    expect(number == 42, saw=f"double(21) is {number}", expected="42", hint="times two")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two exercises whose checks take no time."""
    for number in (1, 2):
        path = tmp_path / f"0{number}_tiny"
        path.mkdir()
        (path / "README.md").write_text(f"# {number}. Tiny exercise\n")
        (path / "check.py").write_text(TINY_CHECK)
        (path / "exercise.py").write_text("def double(number):\n    return number + 2\n")
        (path / "solution.py").write_text("def double(number):\n    return number * 2\n")
    return tmp_path


def listing(folder: Path, capfd: pytest.CaptureFixture[str]) -> list[str]:
    capfd.readouterr()
    assert main([], folder) == 0
    return capfd.readouterr().out.splitlines()


def test_the_list_has_all_exercises() -> None:
    titles = [exercise.title for exercise in EXERCISES.values()]
    assert titles[:3] == ["Padded integers", "Names and numbers", "Snapshot and updates"]
    assert titles[3:6] == ["The lock", "The loop", "Reconnecting"]
    assert titles[6:9] == ["Never blind", "A rule of your own", "The next pages"]
    assert titles[9:] == ["A fifth stream", "Keep your place", "Leave nothing behind"]


def test_the_list_shows_what_is_solved_and_what_comes_next(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "01_tiny" / "check.py").write_text("raise SystemExit('the list runs no check')")
    lines = listing(folder, capfd)
    assert [line.split() for line in lines[:2]] == [["1", "Tiny", "exercise", "to", "do"], ["2", "Tiny", "exercise", "to", "do"]]
    assert "0 of 2 solved." in lines
    assert lines[-1].endswith("python -m tests.exercises 1")


def test_a_solved_exercise_is_recorded_until_its_file_is_edited(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = folder / "01_tiny" / "exercise.py"
    mine.write_text(mine.with_name("solution.py").read_text())
    assert main(["1"], folder) == 0
    lines = listing(folder, capfd)
    assert lines[0].endswith("  solved")
    assert lines[-1].endswith("python -m tests.exercises 2")

    mine.write_text(mine.read_text() + "# one more thought\n")
    assert listing(folder, capfd)[0].endswith("changed since it was solved")

    mine.write_text("def double(")
    assert main(["1"], folder) == 1
    assert listing(folder, capfd)[0].endswith("to do")


def test_a_file_that_is_edited_twice_within_a_second_is_read_again(folder: Path) -> None:
    mine = folder / "01_tiny" / "exercise.py"
    statuses = []
    for sign in "+*+*":
        mine.write_text(f"def double(number):\n    return number {sign} 2\n")
        statuses.append(main(["1"], folder))
    assert statuses == [1, 0, 1, 0]


def test_the_check_of_another_file_is_not_recorded(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["1", str(folder / "01_tiny" / "solution.py")], folder) == 0
    assert "0 of 2 solved." in listing(folder, capfd)


def test_a_damaged_record_counts_as_empty(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / ".solved.json").write_text("[oops")
    assert "0 of 2 solved." in listing(folder, capfd)


def test_an_unknown_number_is_rejected(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["99"])
    assert "invalid choice: 99" in capfd.readouterr().err


###########################################################
#                   Broken learner code                   #
###########################################################

BROKEN = {
    "a_missing_bracket": ("def double(number:\n    return 1\n", "line 1 of exercise.py is not valid Python: '(' was never closed"),
    "an_exception": (
        "def double(number):\n    return half(number)\n\n\ndef half(number):\n    return number / 0\n",
        "line 6 of exercise.py, in half: ZeroDivisionError: division by zero return number / 0",
    ),
    "a_missing_module": ("import nowhere\n", "line 1 of exercise.py, in <module>: ModuleNotFoundError: No module named 'nowhere'"),
    "a_missing_function": ("", "exercise.py has no 'double'"),
    "a_missing_parameter": (
        "def double():\n    return 42\n",
        "double cannot be called: double() takes 0 positional arguments but 1 was given when called with (21) expected: a function",
    ),
    "a_number_instead_of_a_function": ("double = 42\n", "double cannot be called: 'int' object is not callable"),
    "a_missing_return": (
        "def double(number):\n    number * 2\n",
        "double returned None when called with (21) expected: a value of type int hint: does every path through double end in a return?",
    ),
    "text_instead_of_a_number": (
        "def double(number):\n    return '42'\n",
        "double returned '42' when called with (21) expected: a value of type int, not str",
    ),
    "an_error_of_this_exercise": (
        "def double(number):\n    return {}['number']\n",
        "double raised KeyError: 'number', in line 2 when called with (21) expected: a result, not an exception hint: no dict is needed",
    ),
    "a_zero_byte": ("number = 1\0\n", "exercise.py is not valid Python: source code"),
    "a_comparison_that_fails": (
        "class Odd(int):\n    def __eq__(self, other):\n        return [][self]\n\n\ndef double(number):\n    return Odd(1)\n",
        "line 3 of exercise.py, in __eq__: IndexError",
    ),
    "an_exit": ("import sys\nsys.exit(0)\n", "line 2 of exercise.py, in <module>: SystemExit: 0"),
    "an_exit_of_the_process": ("import os\nos._exit(0)\n", "the process ended before the check did"),
    "a_question_to_the_user": ("input('your name? ')\n", "line 1 of exercise.py, in <module>: EOFError"),
    "an_error_on_a_thread": (
        "import threading\n\n\ndef work():\n    {}['key']\n\n\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n",
        "line 5 of exercise.py, in work: KeyError: 'key'",
    ),
    "an_exit_on_a_thread_that_another_waits_for": (
        "import sys\nimport threading\n\ndone = threading.Event()\n"
        "threading.Thread(target=lambda: sys.exit() or done.set()).start()\ndone.wait()\n",
        "line 5 of exercise.py, in <lambda>: SystemExit",
    ),
    "an_endless_recursion_on_a_thread": (
        "import threading\n\n\ndef again():\n    again()\n\n\nthread = threading.Thread(target=again)\nthread.start()\nthread.join()\n",
        "line 5 of exercise.py, in again: RecursionError",
    ),
    "a_thread_that_waits_for_itself": (
        "import threading\n\nthread = threading.Thread(target=lambda: thread.join())\nthread.start()\nthread.join()\n",
        "line 3 of exercise.py, in <lambda>: RuntimeError: cannot join current thread",
    ),
    "an_error_on_a_thread_that_another_waits_for": (
        "import threading\n\ndone = threading.Event()\nthreading.Thread(target=lambda: {}['key'] or done.set()).start()\ndone.wait()\n",
        "line 4 of exercise.py, in <lambda>: KeyError: 'key'",
    ),
    "a_thread_without_a_function": (
        "import threading\n\nthread = threading.Thread(target=42)\nthread.start()\nthreading.Event().wait()\n",
        "the check could not continue: TypeError: 'int' object is not callable in line ",
    ),
    "an_endless_recursion": ("def again():\n    again()\n\n\nagain()\n", "line 2 of exercise.py, in again: RecursionError"),
    "too_much_memory": ("everything = bytearray(2**43)\n", "line 1 of exercise.py, in <module>: MemoryError"),
}


def check_broken(code: str, folder: Path, capfd: pytest.CaptureFixture[str], *options: str) -> str:
    """Check code that does not pass. Return the output."""
    (folder / "01_tiny" / "exercise.py").write_text(code)
    assert main(["1", *options], folder) == 1
    return " ".join("".join(capfd.readouterr()).split())


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_code_is_shown_with_its_line(kind: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, message = BROKEN[kind]
    output = check_broken(code, folder, capfd)
    assert message in output
    assert "Traceback" not in output


def test_a_file_in_another_encoding_is_rejected_with_its_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "01_tiny" / "exercise.py").write_bytes("word = 1\nword = 'naïve'\n".encode("latin-1"))
    assert main(["1"], folder) == 1
    output = " ".join("".join(capfd.readouterr()).split())
    assert "line 2 of exercise.py is not valid Python: (unicode error) 'utf-8' codec can't decode" in output
    assert "hint: save it as UTF-8" in output


def test_a_file_may_declare_its_encoding(folder: Path) -> None:
    code = "# coding: latin-1\n# naïve\ndef double(number):\n    return number * 2\n"
    (folder / "01_tiny" / "exercise.py").write_bytes(code.encode("latin-1"))
    assert main(["1"], folder) == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_an_invalid_time_limit_is_rejected(seconds: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["1", f"--seconds={seconds}"])
    assert seconds in capfd.readouterr().err.partition("argument --seconds: ")[2]


@pytest.mark.parametrize("loop", ["while True:\n        pass", "return sum(range(10**15))"], ids=["in_python", "in_one_long_call"])
def test_an_endless_loop_is_ended_and_its_line_is_shown(loop: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = check_broken(f"def double(number):\n    {loop}\n", folder, capfd, "--seconds", "2")
    assert "still running after 2 s, in line " in output
    assert "of exercise.py, in double" in output


def test_a_missing_file_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["1", "nowhere.py"], folder) == 1
    assert "nowhere.py" in capfd.readouterr().out.partition("expected:")[2]


def test_the_output_of_the_learners_code_is_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "so far so good" in check_broken("print('so far', 'so good')\n", folder, capfd)


STUCK = {
    "a_loop_on_another_thread": (
        "    def work():\n        while True:\n            pass\n\n"
        "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()\n",
        "in double: thread.join()",
    ),
    "a_loop_that_sleeps": ("    while True:\n        time.sleep(0.001)\n", "in double: "),
    "one_long_call": ("    return sum(range(10**15))\n", "in double: return sum(range(10**15))"),
}


@pytest.mark.parametrize("kind", STUCK)
def test_a_call_that_does_not_return_is_ended_within_ten_seconds(kind: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, place = STUCK[kind]
    start = time.monotonic()
    output = check_broken(f"import threading\nimport time\n\n\ndef double(number):\n{code}", folder, capfd)
    assert time.monotonic() - start < 2 * 10
    assert re.search(r"still running after \d+ s, in line \d+ of exercise.py, " + re.escape(place), output)


def test_a_thread_of_the_learner_may_run_as_long_as_the_check(folder: Path) -> None:
    code = "import threading\n\n\ndef work():\n    while True:\n        pass\n\n\nthreading.Thread(target=work, daemon=True).start()\n"
    (folder / "01_tiny" / "exercise.py").write_text(f"{code}\n\ndef double(number):\n    return number * 2\n")
    check = (folder / "01_tiny" / "check.py").read_text()
    (folder / "01_tiny" / "check.py").write_text(f"import time\n\n{check}    time.sleep(8)\n")
    assert main(["1"], folder) == 0


DEADLOCKS = {
    "a_lock_that_is_taken_twice": "    with lock:\n        with lock:\n            return 42\n",
    "a_lock_that_is_never_released": "    lock.acquire()\n    lock.acquire()\n    return 42\n",
    "a_thread_that_waits_for_a_lock": (
        "    lock.acquire()\n    thread = threading.Thread(target=lock.acquire)\n    thread.start()\n    thread.join()\n    return 42\n"
    ),
}


@pytest.mark.parametrize("kind", DEADLOCKS)
def test_a_deadlock_is_ended_within_ten_seconds_and_its_line_is_shown(kind: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    output = check_broken(f"import threading\n\nlock = threading.Lock()\n\n\ndef double(number):\n{DEADLOCKS[kind]}", folder, capfd)
    assert time.monotonic() - start < 2 * 10
    assert "nothing happens any more: line " in output
    assert "of exercise.py, in double, waits" in output


def test_a_check_that_waits_for_the_learners_code_is_ended_within_ten_seconds(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "01_tiny" / "check.py").write_text(f"import threading\n\n{TINY_CHECK}    threading.Event().wait()\n")
    start = time.monotonic()
    output = check_broken("def double(number):\n    return number * 2\n", folder, capfd)
    assert time.monotonic() - start < 2 * 10
    assert "nothing happens any more: the check waits for something that exercise.py has not done" in output


def test_a_deadlock_in_exercise_4_is_ended_within_ten_seconds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = (EXERCISES[4].path / "solution.py").read_text(encoding="utf-8")
    safe_store = code.rindex("            self._price = price\n")
    file = tmp_path / "exercise.py"
    file.write_text(f"{code[:safe_store]}            self._price = price\n            self.prices()\n{code[safe_store:]}", encoding="utf-8")
    start = time.monotonic()
    assert main(["4", str(file)]) == 1
    assert time.monotonic() - start < 2 * 10
    output = " ".join("".join(capfd.readouterr()).split())
    assert "in prices, waits with self._lock:" in output
    assert "does a thread take a lock that it has already" in output


def test_a_store_that_does_not_stop_in_exercise_10_is_rejected(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = (EXERCISES[10].path / "solution.py").read_text(encoding="utf-8")
    assert "        self._ws_client.stop()\n" in code
    file = tmp_path / "exercise.py"
    file.write_text(code.replace("        self._ws_client.stop()\n", "        pass\n"), encoding="utf-8")
    assert main(["10", str(file)]) == 1
    assert "saw: rel.dispatch() still runs after stop() expected: an end hint: stop() of the store" in " ".join(
        capfd.readouterr().out.split()
    )


def test_a_slow_function_is_not_a_deadlock(folder: Path) -> None:
    code = "import time\n\n\ndef double(number):\n    time.sleep(3)\n    return number * 2\n"
    (folder / "01_tiny" / "exercise.py").write_text(code)
    assert main(["1"], folder) == 0


###########################################################
#                Terminals and file systems               #
###########################################################


def test_a_result_that_cannot_be_recorded_is_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / ".solved.json").mkdir()  # nothing can be written there, as in a read-only checkout; permissions do not stop root
    mine = folder / "01_tiny" / "exercise.py"
    mine.write_text(mine.with_name("solution.py").read_text())
    assert main(["1"], folder) == 0
    output = capfd.readouterr().out
    assert "Solved." in output
    assert "The list will not show this result: " in output


def run_command(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tests.exercises", *arguments]
    return subprocess.run(command, cwd=FOLDER.parents[1], env={**os.environ, **environment}, capture_output=True)


def test_a_terminal_without_unicode_shows_the_verdict(tmp_path: Path) -> None:
    file = tmp_path / "exercise.py"
    file.write_text("print('naïve €')\nraise ValueError('≠')\n", encoding="utf-8")
    result = run_command(["1", str(file)], PYTHONIOENCODING="ascii")
    assert result.returncode == 1
    assert b"na\\xefve \\u20ac" in result.stdout
    assert b"ValueError: \\u2260" in result.stdout
    assert b"Traceback" not in result.stdout + result.stderr


def test_a_closed_output_changes_no_verdict(tmp_path: Path) -> None:
    for name, status in (("exercise.py", 1), ("solution.py", 0)):
        file = EXERCISES[1].path / name
        shell = f'exec "{sys.executable}" -m tests.exercises 1 "{file}" >&- 2>&-'
        assert subprocess.run(["sh", "-c", shell], cwd=FOLDER.parents[1]).returncode == status
