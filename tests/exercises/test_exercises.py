"""The workshop's exercises: each starting point fails with its hint, each solution passes, no mistake of a learner breaks the checker."""

from pathlib import Path

import pytest

from tests.exercises.__main__ import main
from tests.exercises.catalogue import FOLDER, exercises
from tests.sandbox.control import CONTROLS

HINTS = {  # exercise -> what the hint for its starting point speaks of
    1: "int() cuts off what is behind the point",
    2: "streams leave out what is zero, false or empty",
    3: "streams send statuses as numbers",
    4: "one thread updates in an endless loop, the other reads",
    5: "for _ in range(turns): read()",
    6: "the last page replaces the records, it does not add to them",
    7: "ask for the age first, then decide",
    8: "your position runs to its bounds",
    9: "the account whose account_type is ACCOUNT_TYPE_GENERAL",
}


def check(number: int, name: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Check a file of an exercise; return the exit status and all that was printed, with each run of blanks as one."""
    status = main([str(number), str(exercises()[number - 1].path / name)])
    return status, " ".join("".join(capfd.readouterr()).split())


###########################################################
#                      The exercises                      #
###########################################################


@pytest.mark.parametrize("number", HINTS)
def test_a_starting_point_fails_with_its_hint(number: int, capfd: pytest.CaptureFixture[str]) -> None:
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


def test_each_folder_has_a_page_a_starting_point_a_check_and_a_solution() -> None:
    assert [exercise.number for exercise in exercises()] == list(HINTS)
    for exercise in exercises():
        names = {path.name for path in exercise.path.iterdir()}
        assert names - {"__pycache__"} == {"README.md", "exercise.py", "check.py", "solution.py"}
        page = (exercise.path / "README.md").read_text()
        assert f"python -m tests.exercises {exercise.number}\n" in page
        assert all(f"**{part}" in page for part in ("Why.", "The task", "Check it.", "In the bot."))


def test_the_teachers_page_says_what_each_control_teaches() -> None:
    page = (FOLDER / "README.md").read_text()
    assert {name for name in CONTROLS if f"| `{name}`" not in page} == set()


###########################################################
#                         The list                        #
###########################################################

TINY_CHECK = """from tests.exercises.checking import call, expect


def check(exercise):
    number = call(exercise, "double", 21, gives=int, errors=(KeyError,), hint="no dict is needed")
    expect(number == 42, saw=f"double(21) is {number}", expected="42", hint="times two")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two exercises that take no time."""
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


def test_the_list_names_the_nine() -> None:
    titles = [exercise.title for exercise in exercises()]
    assert titles[:3] == ["Padded integers", "Names and numbers", "Snapshot and updates"]
    assert titles[3:6] == ["The lock", "The loop", "Reconnecting"]
    assert titles[6:] == ["Never blind", "A rule of your own", "The next pages"]


def test_the_list_says_what_is_solved_and_what_comes_next(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "01_tiny" / "check.py").write_text("raise SystemExit('the list checks nothing, which is why it takes no time')")
    lines = listing(folder, capfd)
    assert [line.split() for line in lines[:2]] == [["1", "Tiny", "exercise", "to", "do"], ["2", "Tiny", "exercise", "to", "do"]]
    assert "0 of 2 solved." in lines
    assert lines[-1].endswith("python -m tests.exercises 1")


def test_what_is_solved_is_remembered_until_it_is_edited(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
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


def test_a_file_edited_twice_in_a_moment_is_read_anew(folder: Path) -> None:
    mine = folder / "01_tiny" / "exercise.py"
    statuses = []
    for sign in "+*+*":
        mine.write_text(f"def double(number):\n    return number {sign} 2\n")
        statuses.append(main(["1"], folder))
    assert statuses == [1, 0, 1, 0]


def test_checking_another_file_is_not_remembered(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["1", str(folder / "01_tiny" / "solution.py")], folder) == 0
    assert "0 of 2 solved." in listing(folder, capfd)


def test_a_spoilt_memory_is_an_empty_one(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / ".solved.json").write_text("[oops")
    assert "0 of 2 solved." in listing(folder, capfd)


def test_an_unknown_number_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["10"])
    assert "invalid choice: 10" in capfd.readouterr().err


###########################################################
#                   Broken learner code                   #
###########################################################

BROKEN = {
    "a_missing_bracket": ("def double(number:\n    return 1\n", "line 1 of exercise.py is not Python: '(' was never closed"),
    "an_exception": (
        "def double(number):\n    return half(number)\n\n\ndef half(number):\n    return number / 0\n",
        "line 6 of exercise.py, in half: ZeroDivisionError: division by zero return number / 0",
    ),
    "an_import_of_nothing": ("import nowhere\n", "line 1 of exercise.py, in <module>: ModuleNotFoundError: No module named 'nowhere'"),
    "a_function_that_is_gone": ("", "exercise.py has no 'double'"),
    "a_parameter_that_is_gone": (
        "def double():\n    return 42\n",
        "double cannot be called: double() takes 0 positional arguments but 1 was given when called with (21) expected: a function",
    ),
    "a_number_for_a_function": ("double = 42\n", "double cannot be called: 'int' object is not callable"),
    "a_forgotten_return": (
        "def double(number):\n    number * 2\n",
        "double returned None when called with (21) expected: a value of type int hint: does each way through double end in a return?",
    ),
    "text_for_a_number": (
        "def double(number):\n    return '42'\n",
        "double returned '42' when called with (21) expected: a value of type int, not str",
    ),
    "an_error_of_beginners": (
        "def double(number):\n    return {}['number']\n",
        "double raised KeyError: 'number', in line 2 when called with (21) expected: that it can deal with this hint: no dict is needed",
    ),
    "a_zero_byte": ("number = 1\0\n", "exercise.py is not Python: source code"),
    "nothing_that_compares": (
        "class Odd(int):\n    def __eq__(self, other):\n        return [][self]\n\n\ndef double(number):\n    return Odd(1)\n",
        "line 3 of exercise.py, in __eq__: IndexError",
    ),
    "an_exit": ("import sys\nsys.exit(0)\n", "line 2 of exercise.py, in <module>: SystemExit: 0"),
    "an_exit_without_a_word": ("import os\nos._exit(0)\n", "the process ended before the check did"),
    "a_question": ("input('your name? ')\n", "line 1 of exercise.py, in <module>: EOFError"),
    "an_error_on_a_thread": (
        "import threading\n\n\ndef work():\n    {}['key']\n\n\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n",
        "line 5 of exercise.py, in work: KeyError: 'key'",
    ),
    "an_error_on_a_thread_that_another_waits_for": (
        "import threading\n\ndone = threading.Event()\nthreading.Thread(target=lambda: {}['key'] or done.set()).start()\ndone.wait()\n",
        "line 4 of exercise.py, in <lambda>: KeyError: 'key'",
    ),
    "a_thread_without_a_function": (
        "import threading\n\nthread = threading.Thread(target=42)\nthread.start()\nthreading.Event().wait()\n",
        "the check could not go on: TypeError: 'int' object is not callable in line ",
    ),
    "an_endless_recursion": ("def again():\n    again()\n\n\nagain()\n", "line 2 of exercise.py, in again: RecursionError"),
    "more_memory_than_there_is": ("everything = bytearray(2**43)\n", "line 1 of exercise.py, in <module>: MemoryError"),
}


def check_broken(code: str, folder: Path, capfd: pytest.CaptureFixture[str], *options: str) -> str:
    """Check code that does not pass; return what the learner gets to see."""
    (folder / "01_tiny" / "exercise.py").write_text(code)
    assert main(["1", *options], folder) == 1
    return " ".join("".join(capfd.readouterr()).split())


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_code_is_shown_with_its_line(kind: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, words = BROKEN[kind]
    output = check_broken(code, folder, capfd)
    assert words in output
    assert "Traceback" not in output


def test_a_file_in_another_encoding_is_refused_with_its_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "01_tiny" / "exercise.py").write_bytes("word = 1\nword = 'naïve'\n".encode("latin-1"))
    assert main(["1"], folder) == 1
    output = " ".join("".join(capfd.readouterr()).split())
    assert "line 2 of exercise.py is not Python: (unicode error) 'utf-8' codec can't decode" in output
    assert "hint: save it as UTF-8" in output


def test_an_encoding_that_the_file_names_is_read(folder: Path) -> None:
    code = "# coding: latin-1\n# naïve\ndef double(number):\n    return number * 2\n"
    (folder / "01_tiny" / "exercise.py").write_bytes(code.encode("latin-1"))
    assert main(["1"], folder) == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(seconds: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["1", f"--seconds={seconds}"])
    assert seconds in capfd.readouterr().err.partition("argument --seconds: ")[2]


@pytest.mark.parametrize("loop", ["while True:\n        pass", "return sum(range(10**15))"], ids=["in_python", "in_one_long_call"])
def test_an_endless_loop_is_ended_and_shown_with_its_line(loop: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = check_broken(f"def double(number):\n    {loop}\n", folder, capfd, "--seconds", "2")
    assert "still running after 2 s, in line " in output
    assert "of exercise.py, in double" in output


def test_a_file_that_is_not_there_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["1", "nowhere.py"], folder) == 1
    assert "nowhere.py" in capfd.readouterr().out.partition("expected:")[2]


def test_what_the_learner_prints_is_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "so far so good" in check_broken("print('so far', 'so good')\n", folder, capfd)
