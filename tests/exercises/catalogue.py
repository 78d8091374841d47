"""Which exercises there are, and which of them are solved.

What was solved is remembered in `.solved.json` beside them, which git ignores: for each exercise the digest of the exercise.py that
passed. The list says so only as long as that file is still the same; who wants to be sure checks again.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

FOLDER = Path(__file__).parent
MEMORY = ".solved.json"


@dataclass(frozen=True)
class Exercise:
    number: int
    name: str  # of its folder
    title: str
    path: Path  # of its folder


def exercises(folder: Path = FOLDER) -> list[Exercise]:
    """Return all exercises in their order; a title is the first line of a README."""
    found = []
    for readme in sorted(folder.glob("[0-9][0-9]_*/README.md")):
        path = readme.parent
        with readme.open(encoding="utf-8") as text:
            title = text.readline().strip("# \n").partition(". ")[2]
        found.append(Exercise(number=int(path.name[:2]), name=path.name, title=title, path=path))
    return found


def states(folder: Path = FOLDER) -> dict[str, str]:
    """Return for each exercise, by name: solved, changed since it was solved, or to do."""
    solved = _recall(folder / MEMORY)
    return {exercise.name: _state(exercise, solved.get(exercise.name)) for exercise in exercises(folder)}


def remember(exercise: Exercise, passed: Optional[bytes]) -> None:
    """Note the content of exercise.py that has passed; None where it has not."""
    memory = exercise.path.parent / MEMORY
    solved = _recall(memory)
    solved.pop(exercise.name, None)
    if passed is not None:
        solved[exercise.name] = _digest(passed)
    memory.write_text(json.dumps(solved, indent=1), encoding="utf-8")


def _state(exercise: Exercise, digest: Optional[str]) -> str:
    if digest is None:
        return "to do"
    file = exercise.path / "exercise.py"
    return "solved" if file.is_file() and _digest(file.read_bytes()) == digest else "changed since it was solved"


def _recall(memory: Path) -> dict[str, str]:
    try:
        solved = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or spoilt: then nothing is solved until it is checked again
        return {}
    return solved if isinstance(solved, dict) else {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
