"""Attempts at the exercises: each wrong one is rejected, with a message that names its mistake, and each correct one passes.

The checks run in this process, which is several times as fast as the command. `test_exercises` tests the command.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.exercises.attempts import ATTEMPTS, OTHER_STYLES, Attempt
from tests.exercises.catalogue import exercises
from tests.exercises.checking import NotSolved
from tests.exercises.child import load

EXERCISES = {exercise.number: exercise for exercise in exercises()}


def write_attempt(number: int, attempt: Attempt, folder: Path) -> Path:
    """Write an attempt to a file and return its path."""
    code = (EXERCISES[number].path / attempt.base).read_text(encoding="utf-8")
    for old, new in attempt.changes:
        assert old in code
        code = code.replace(old, new)
    file = folder / "exercise.py"
    file.write_text(code, encoding="utf-8")
    return file


def load_check(number: int) -> Any:
    check: ModuleType = load("check", EXERCISES[number].path / "check.py")
    return check


def full_message(problem: NotSolved) -> str:
    return " ".join(f"{problem.saw} expected: {problem.expected} hint: {problem.hint}".split())


@pytest.mark.parametrize(("number", "name"), [(number, name) for number, attempts in ATTEMPTS.items() for name in attempts])
def test_a_wrong_attempt_is_rejected_with_its_message(number: int, name: str, tmp_path: Path) -> None:
    attempt = ATTEMPTS[number][name]
    exercise, check = load("exercise", write_attempt(number, attempt, tmp_path)), load_check(number)
    if number == 8:
        check.SEEDS = check.SEEDS[:1]  # each takes a second
    with pytest.raises(NotSolved) as rejection:
        check.check(exercise)
    assert attempt.message in full_message(rejection.value)


@pytest.mark.parametrize(("number", "name"), [(number, name) for number, answers in OTHER_STYLES.items() for name in answers])
def test_a_correct_answer_in_another_style_passes(number: int, name: str, tmp_path: Path) -> None:
    attempt = Attempt(message="", changes=OTHER_STYLES[number][name])
    load_check(number).check(load("exercise", write_attempt(number, attempt, tmp_path)))


def test_every_exercise_has_ten_attempts() -> None:
    assert list(ATTEMPTS) == list(EXERCISES)
    assert all(len(attempts) >= 10 for attempts in ATTEMPTS.values())


def test_a_rule_that_uses_random_gets_the_same_score_every_time(tmp_path: Path) -> None:
    rule = Attempt(
        message="",
        changes=(
            ("HALF_SPREAD = 0.05", "import random\n\nHALF_SPREAD = 0.05"),
            ("middle - HALF_SPREAD", "middle - HALF_SPREAD * random.random()"),
        ),
    )
    file, check = write_attempt(8, rule, tmp_path), load_check(8)
    check.BLOCKS = 50
    first, second = (check.play_file(file, seed=1)[0] for _ in range(2))
    assert first.fills
    assert first == second
