"""`python -m tests.exercises` lists the exercises. With a number, it checks one: what the check saw, what it expected, and a hint."""

import argparse
import sys
import textwrap
from pathlib import Path

from tests.exercises.catalogue import FOLDER, Exercise, exercises, record, states
from tests.exercises.runner import Verdict, run_check, show_all_characters

DEFAULT_CHECK_TIMEOUT = 60  # s; the longest check takes ten on a quiet machine
MAX_CHECK_TIMEOUT = 86400  # s: a day
WIDTH = 100  # columns of a verdict


def parse_arguments(arguments: list[str], numbers: list[int]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.exercises", description="Lists the exercises, or checks one.")
    parser.add_argument("number", nargs="?", type=int, choices=numbers, metavar="NUMBER", help=f"{numbers[0]} to {numbers[-1]}")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="check this file instead of exercise.py")
    parser.add_argument(
        "--seconds", type=parse_seconds, default=DEFAULT_CHECK_TIMEOUT, help=f"limit for a check (default {DEFAULT_CHECK_TIMEOUT})"
    )
    return parser.parse_args(arguments)


def parse_seconds(text: str) -> float:
    """Return the time limit of a check, in seconds."""
    number = float(text)  # argparse reports a ValueError
    if not 0 < number <= MAX_CHECK_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {MAX_CHECK_TIMEOUT}")
    return number


def print_list(folder: Path) -> None:
    """Print all exercises and their states. Checks nothing, so it takes no time."""
    state_of = states(folder)
    for exercise in exercises(folder):
        print(f"{exercise.number:2}  {exercise.title:28}{state_of[exercise.name]}")
    solved = sum(state == "solved" for state in state_of.values())
    next_exercise = next((exercise for exercise in exercises(folder) if state_of[exercise.name] != "solved"), None)
    print(f"\n{solved} of {len(state_of)} solved.")
    if next_exercise:
        print(f"Next: read {relative(next_exercise.path / 'README.md')}, edit exercise.py beside it, then run")
        print(f"    .venv/bin/python -m tests.exercises {next_exercise.number}")


def print_verdict(exercise: Exercise, verdict: Verdict) -> None:
    """Print the result of a check. The facts that the check has reported are printed already."""
    if verdict.solved:
        print(f"\nSolved. Compare with {relative(exercise.path / 'solution.py')}.")
        return
    print("\nNot solved yet.")
    for title, text in (("saw", verdict.saw), ("expected", verdict.expected), ("hint", verdict.hint)):
        if text:
            print(f"  {title + ':':10}{_wrapped(text)}")


def _wrapped(text: str) -> str:
    """Wrap long lines, and indent all lines after the first."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ") or [""]]
    return f"\n{'':12}".join(lines)


def relative(path: Path) -> str:
    """Return a path relative to the working directory if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Return the exit status: 0 listed or solved, 1 not solved yet."""
    show_all_characters()
    known = {exercise.number: exercise for exercise in exercises(folder)}
    options = parse_arguments(arguments, list(known))
    if options.number is None:
        print_list(folder)
        return 0
    exercise = known[options.number]
    file = options.file or exercise.path / "exercise.py"
    print(f"Exercise {exercise.number}, {exercise.title}: checking {relative(file.resolve())}", flush=True)
    content = file.read_bytes() if file.is_file() else b""  # now: it may be edited during the check
    verdict = run_check(exercise, file, options.seconds)
    problem = ""
    if options.file is None:
        try:
            record(exercise, content if verdict.solved else None)
        except OSError as error:  # for example a read-only checkout
            problem = f"\nThe list will not show this result: {error}"
    print_verdict(exercise, verdict)
    if problem:
        print(problem)
    return 0 if verdict.solved else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
