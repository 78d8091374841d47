"""`python -m tests.exercises`: lists the exercises; with a number, checks one and says what it saw, what it expected, and a hint."""

import argparse
import sys
import textwrap
from pathlib import Path

from tests.exercises.catalogue import FOLDER, Exercise, exercises, remember, states
from tests.exercises.runner import Verdict, judge

LONGEST_CHECK = 60  # seconds; the longest of the nine takes ten on a quiet machine
LONGEST_WAIT = 86400  # seconds: a day
WIDTH = 100  # columns of a verdict


def parse_arguments(arguments: list[str], count: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.exercises", description="Lists the exercises, or checks one.")
    parser.add_argument("number", nargs="?", type=int, choices=range(1, count + 1), metavar="NUMBER", help=f"1 to {count}")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="check this file instead of the exercise.py in its folder")
    parser.add_argument("--seconds", type=seconds, default=LONGEST_CHECK, help=f"that a check may take (default {LONGEST_CHECK})")
    return parser.parse_args(arguments)


def seconds(text: str) -> float:
    """Read how long a check may take."""
    number = float(text)  # a ValueError is put into words by argparse
    if not 0 < number <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {LONGEST_WAIT}")
    return number


def show_list(folder: Path) -> None:
    """Print what there is and what is solved: read from a file, so that it takes no time."""
    state_of = states(folder)
    for exercise in exercises(folder):
        print(f"{exercise.number:2}  {exercise.title:28}{state_of[exercise.name]}")
    solved = sum(state == "solved" for state in state_of.values())
    following = next((each for each in exercises(folder) if state_of[each.name] != "solved"), None)
    print(f"\n{solved} of {len(state_of)} solved.")
    if following:
        print(f"Next: read {shown(following.path / 'README.md')}, edit exercise.py beside it, then")
        print(f"    .venv/bin/python -m tests.exercises {following.number}")


def show(exercise: Exercise, verdict: Verdict) -> None:
    """Print what came of a check. What the check itself had to say stands above already."""
    if verdict.solved:
        print(f"\nSolved. Compare with {shown(exercise.path / 'solution.py')}, which uses what the bot has.")
        return
    print("\nNot solved yet.")
    for title, words in (("saw", verdict.saw), ("expected", verdict.expected), ("hint", verdict.hint)):
        if words:
            print(f"  {title + ':':10}{_indented(words)}")


def _indented(words: str) -> str:
    """Fold long lines, and let each begin below the first."""
    lines = [folded for line in words.splitlines() for folded in textwrap.wrap(line, WIDTH, subsequent_indent="  ") or [""]]
    return f"\n{'':12}".join(lines)


def shown(path: Path) -> str:
    """Return a path as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Return the exit status: 0 listed or solved, 1 not solved yet."""
    known = exercises(folder)
    options = parse_arguments(arguments, len(known))
    if options.number is None:
        show_list(folder)
        return 0
    exercise = known[options.number - 1]
    file = options.file or exercise.path / "exercise.py"
    print(f"Exercise {exercise.number}, {exercise.title}: checking {shown(file.resolve())}", flush=True)
    begun_with = file.read_bytes() if file.is_file() else b""
    verdict = judge(exercise, file, options.seconds)
    if options.file is None:
        remember(exercise, begun_with if verdict.solved else None)
    show(exercise, verdict)
    return 0 if verdict.solved else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
