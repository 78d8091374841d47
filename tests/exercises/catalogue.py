"""The list of exercises, and the record of those that are solved.

`.solved.json` beside the exercises holds, for each solved exercise, the digest of the exercise.py that passed. Git ignores the file.
The list shows an exercise as solved only while its exercise.py is unchanged.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

FOLDER = Path(__file__).parent
SOLVED_FILE = ".solved.json"


@dataclass(frozen=True)
class Exercise:
    number: int
    name: str  # of its folder
    title: str
    path: Path  # of its folder


def exercises(folder: Path = FOLDER) -> list[Exercise]:
    """Return all exercises in their order. The title is the first line of the README."""
    found = []
    for readme in sorted(folder.glob("[0-9][0-9]_*/README.md")):
        path = readme.parent
        with readme.open(encoding="utf-8") as text:
            title = text.readline().strip("# \n").partition(". ")[2]
        found.append(Exercise(number=int(path.name[:2]), name=path.name, title=title, path=path))
    return found


def states(folder: Path = FOLDER) -> dict[str, str]:
    """Return the state of each exercise by name: solved, changed since it was solved, or to do."""
    solved = _load(folder / SOLVED_FILE)
    return {exercise.name: _state(exercise, solved.get(exercise.name)) for exercise in exercises(folder)}


def record(exercise: Exercise, solution: Optional[bytes]) -> None:
    """Record the content of an exercise.py that passed, or None if it did not pass.

    Raises:
        OSError: the file cannot be written, for example in a read-only checkout.
    """
    file = exercise.path.parent / SOLVED_FILE
    solved = _load(file)
    solved.pop(exercise.name, None)
    if solution is not None:
        solved[exercise.name] = _digest(solution)
    file.write_text(json.dumps(solved, indent=1), encoding="utf-8")


def _state(exercise: Exercise, digest: Optional[str]) -> str:
    if digest is None:
        return "to do"
    file = exercise.path / "exercise.py"
    return "solved" if file.is_file() and _digest(file.read_bytes()) == digest else "changed since it was solved"


def _load(file: Path) -> dict[str, str]:
    try:
        solved = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing or damaged: nothing counts as solved until it is checked again
        return {}
    return solved if isinstance(solved, dict) else {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
