"""The README against the repository: what it names exists, and what departs from the page is in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_test_that_it_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", README))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_its_map_names_every_module_of_the_bot() -> None:
    modules = {f"bot/{path.name}" for path in (ROOT / "bot").glob("*.py") if path.name != "__init__.py"}
    assert {module for module in modules if f"`{module}`" not in README} == set()


def test_its_first_two_commands_are_one_line_each() -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
    assert len(commands) == 2
    assert [command.count("\n") for command in commands] == [1, 1]
