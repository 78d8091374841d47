"""The documents against the repository: the files, functions, modules and tests that they name exist, and nothing is left out."""

import ast
import builtins
import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "bot/README.md", "tests/README.md", "tests/benchmark/README.md", "tests/exercises/README.md")
OUTLINE = json.loads((ROOT / "tests/outline.json").read_text())
SECTIONS = ("Listener", "Base models", "WebSocket connections", "Storing/caching the data stream", "Putting it together", "Getting started")
THIS = "tests/test_docs.py"  # whose own strings prove nothing
MARKERS = re.compile("Differs from the page|Not on the page")
MAX_README_LINES = 190
# What the reader or a program creates. A path in a folder of this list is created too.
CREATED = (".env", ".venv", "room", "../share", "tests/exercises/.solved.json")

Row = list[str]


@cache
def document(path: str) -> str:
    return (ROOT / path).read_text()


def code_spans(text: str) -> list[str]:
    """Return what is between single backticks, outside fenced and indented blocks."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    prose = re.sub(r"^    .*$", "", prose, flags=re.M)
    paragraphs = re.split(r"\n\s*\n|\n(?=\|)", prose)  # a span may go on in the next line, but not in the next row of a table
    return [" ".join(span.split()) for paragraph in paragraphs for span in re.findall(r"`([^`]+)`", paragraph)]


def section(text: str, title: str) -> str:
    """Return a section without its heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"there is no section {title}"
    return found[1]


def rows(text: str) -> list[Row]:
    """Return the cells of a section's tables, without heads."""
    cells = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return cells[1:]


def names(cell: str) -> set[str]:
    """Return the identifiers in a table's cell, with all parts of dotted ones."""
    return {part for span in code_spans(cell) if re.fullmatch(r"[\w.]+", span) for part in (span, *span.split("."))}


###########################################################
#                  What the sources define                #
###########################################################


@cache
def trees() -> dict[str, ast.Module]:
    """Return path -> syntax tree of every module but exercise.py, where a learner may be half-way through a line."""
    paths = [ROOT / "main.py", *ROOT.glob("bot/**/*.py"), *ROOT.glob("tests/**/*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths if path.name != "exercise.py"}


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names of functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@cache
def known_names() -> set[str]:
    """Return all names that are defined, or spelled out as a string: settings, keys of the API, names in `controls`."""
    texts = (node.value for path, tree in trees().items() if path != THIS for node in ast.walk(tree) if isinstance(node, ast.Constant))
    strings = {text for text in texts if isinstance(text, str) and text.isidentifier()}
    return strings.union(dir(builtins), *map(defined_names, trees().values()))


@cache
def class_members() -> dict[str, set[str]]:
    members: defaultdict[str, set[str]] = defaultdict(set)
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                members[node.name] |= set(defined_names(node))
    return members


@cache
def functions_of_tests() -> set[str]:
    return {name for path, tree in trees().items() if path.startswith("tests/") for name in defined_names(tree) if name.startswith("test_")}


def module_attribute_exists(parts: list[str]) -> bool:
    """Return whether an importable module, such as rel, has an attribute."""
    if importlib.util.find_spec(parts[0]) is None:
        return False
    item = importlib.import_module(parts[0])
    for part in parts[1:]:
        item = getattr(item, part, None)
    return item is not None


def name_exists(span: str) -> bool:
    """Return whether a span is a known name, or is not the name of code at all."""
    parsed = re.fullmatch(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\(.*\))?", span)
    if not parsed:
        return True
    parts = parsed[1].split(".")
    if len(parts) == 1:
        is_plain_word = not parsed[2] and re.fullmatch("[a-z]+|[A-Z]+", span)
        return bool(is_plain_word) or span.startswith("test_") or parts[0] in known_names()
    if parts[0] in class_members():
        return parts[1] in class_members()[parts[0]]
    return module_attribute_exists(parts) or parts[-1] in known_names()


@cache
def file_names() -> set[str]:
    return {path.name for folder in ("bot", "tests") for path in (ROOT / folder).glob("**/*")} | {"main.py"}


def path_exists(path: str, folder: Path) -> bool:
    """Return whether a path is there, from the top or from the document's folder. A name alone may be anywhere."""
    if any(path == created or path.startswith(f"{created}/") for created in CREATED):
        return True
    if any(True for start in (ROOT, folder) for _ in start.glob(path.removeprefix("./").rstrip("/")) if ".." not in path):
        return True
    return (folder / path).exists() or ("/" not in path and path in file_names())


def is_path(span: str) -> bool:
    has_suffix = re.search(r"\.(py|md|txt|json|jsonl|png|csv|env|example)$", span)
    return bool(re.fullmatch(r"[\w.*-][\w./*-]*", span) and (has_suffix or "/" in span))


###########################################################
#                  What the documents name                #
###########################################################


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_file_that_a_document_names_exists(path: str) -> None:
    text = document(path)
    folder = (ROOT / path).parent
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not link.startswith("#")]
    paths = [*links, *filter(is_path, code_spans(text))]
    assert {named for named in paths if not path_exists(named, folder)} == set()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_heading_that_a_document_links_to_exists(path: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([\w-]+)\)", document(path)):
        linked = (ROOT / path).parent / target if target else ROOT / path
        headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_test_that_a_document_names_exists(path: str) -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", document(path)))
    assert named - functions_of_tests() == set()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_name_of_code_that_a_document_uses_exists(path: str) -> None:
    spans = [span for span in code_spans(document(path)) if not is_path(span)]
    assert {span for span in spans if not name_exists(span)} == set()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_module_that_a_document_runs_exists(path: str) -> None:
    modules = set(re.findall(r"python3? -m ([\w.]+\w)", document(path)))
    assert {module for module in modules if importlib.util.find_spec(module) is None} == set()


@pytest.mark.parametrize("span", ["VegaStore.get_nothing", "no_such_function", "quotez()", "NoSuchClass", "rel.dispatchh", "MARKET_IDD"])
def test_a_name_that_does_not_exist_is_found(span: str) -> None:
    assert not name_exists(span)


@pytest.mark.parametrize("span", ["bot/models.txt", "nothing.py", "tests/bot/test_nothing.py", "bot/*.txt"])
def test_a_path_that_does_not_exist_is_found(span: str) -> None:
    assert is_path(span)
    assert not path_exists(span, ROOT)


###########################################################
#                        README.md                        #
###########################################################


def test_its_first_two_commands_are_one_line_each() -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", document("README.md"), re.M | re.S)
    assert [command.count("\n") for command in commands[:2]] == [1, 1]
    assert commands[0].rstrip().endswith(".venv/bin/python -m tests.sandbox -m main")
    assert commands[1].rstrip().endswith(".venv/bin/python -m pytest")


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(document("README.md").splitlines()) <= MAX_README_LINES


def test_it_explains_parts_of_a_line_that_it_shows() -> None:
    text = section(document("README.md"), "What you see")
    output = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)[0]
    parts = [code_spans(row[0])[0] for row in rows(text)]
    assert any(all(part in line for part in parts) for line in output.splitlines())


def test_it_explains_twelve_problems() -> None:
    assert len(rows(section(document("README.md"), "The twelve most likely problems"))) == 12


def test_it_follows_the_sections_of_the_page_in_their_order() -> None:
    text = section(document("README.md"), "Follow the page")
    assert tuple(re.findall(r"^\| \*\*(.+?)\*\*", text, re.M)) == SECTIONS


@pytest.mark.parametrize("path", OUTLINE)
def test_it_names_every_class_and_function_of_the_page_beside_their_file(path: str) -> None:
    table = rows(section(document("README.md"), "Follow the page"))
    named = set().union(*(names(what) for _, file, what in table if path in names(file) | set(code_spans(file))))
    published = {name for item, outline in OUTLINE[path].items() for name in (item, *outline.get("methods", {}))}
    assert published - named == set()


def test_it_names_the_file_that_defines_each_name() -> None:
    for _, file, what in rows(section(document("README.md"), "Follow the page")):
        modules = [path for path in code_spans(file) if path.endswith(".py")]
        defined = set().union(*(defined_names(trees()[path]) for path in modules))
        identifiers = {span.split(".")[0] for span in code_spans(what) if span.replace(".", "").isidentifier()}
        assert not modules or identifiers - defined - {path.removesuffix(".py") for path in modules} == set()


###########################################################
#                      bot/README.md                      #
###########################################################


def enclosing_name(tree: ast.Module, line: int) -> str:
    """Return the name of the innermost function or class around a line, empty at the top of the module."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno).name if around else ""


def departures() -> list[tuple[str, str]]:
    """Return file and enclosing name of each place that the code marks as different from the page."""
    return [
        (path, enclosing_name(tree, line))
        for path, tree in trees().items()
        if not path.startswith("tests/")
        for line, text in enumerate((ROOT / path).read_text().splitlines(), 1)
        if MARKERS.search(text)
    ]


def table_of_differences() -> list[Row]:
    return rows(section(document("bot/README.md"), "Differences from the tutorial"))


def places(where: str) -> list[tuple[str, set[str]]]:
    """Return the files of a row's first cell, each with the names that follow it."""
    return [(code_spans(part)[0], names(part)) for part in where.split(";")]


def test_its_map_names_every_module_of_the_bot() -> None:
    table = rows(section(document("bot/README.md"), "Package map"))
    modules = {path for path in trees() if not path.startswith("tests/") and not path.endswith("__init__.py")}
    assert {code_spans(row[0])[0] for row in table} == modules


def test_every_place_that_differs_from_the_page_is_in_the_table() -> None:
    listed = [place for where, *_ in table_of_differences() for place in places(where)]
    marked = departures()
    assert len(marked) > 30
    missing = [
        (path, name)
        for path, name in marked
        if not any(path == file and (not name or name in listed_names) for file, listed_names in listed)
    ]
    assert missing == [], "add a row to the table of bot/README.md: where, what, why, and a test"


def test_every_row_of_the_table_is_marked_in_the_code_and_has_a_test() -> None:
    marked = {path for path, _ in departures()}
    for where, _, _, test in table_of_differences():
        assert {file for file, _ in places(where)} <= marked
        for file, listed_names in places(where):
            assert listed_names - {file, *file.split(".")} <= set(defined_names(trees()[file])), where
        assert names(test) & functions_of_tests(), where
