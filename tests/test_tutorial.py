"""The code has the modules, names, fields, parameters and defaults of the tutorial's pages, which `outline.json` lists."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import typing
from pathlib import Path
from typing import Any

import pytest

import main

ROOT = Path(__file__).parents[1]
OUTLINE = json.loads((Path(__file__).parent / "outline.json").read_text())
ITEMS = [(path, name) for path, items in OUTLINE.items() for name in items]
CLASSES = [(path, name) for path, name in ITEMS if "methods" in OUTLINE[path][name]]
RECORDS = [(path, name) for path, name in CLASSES if "dataclass" in OUTLINE[path][name]["decorators"]]
FUNCTIONS = [(path, name) for path, name in ITEMS if "params" in OUTLINE[path][name]]
METHODS = [(path, name, method) for path, name in CLASSES for method in OUTLINE[path][name]["methods"]]


def module_of(path: str) -> Any:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


def assert_starts_with_published(function: Any, published: dict[str, Any]) -> None:
    parameters = list(inspect.signature(function).parameters.values())  # follows functools.wraps
    count = len(published["params"])
    assert [parameter.name for parameter in parameters[:count]] == published["params"]
    assert {parameter.kind for parameter in parameters[:count]} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    defaults = {parameter.name: repr(parameter.default) for parameter in parameters[:count] if parameter.default is not parameter.empty}
    assert defaults == published["defaults"]
    without_default = [parameter.name for parameter in parameters[count:] if parameter.default is parameter.empty]
    assert without_default == [], "a parameter that the page lacks has no default"


@pytest.mark.parametrize("path", OUTLINE)
def test_module_exists(path: str) -> None:
    assert Path(module_of(path).__file__) == ROOT / path


@pytest.mark.parametrize(("path", "name"), ITEMS)
def test_name_exists(path: str, name: str) -> None:
    assert hasattr(module_of(path), name)


@pytest.mark.parametrize(("path", "name"), FUNCTIONS)
def test_function_has_the_published_parameters_and_defaults(path: str, name: str) -> None:
    assert_starts_with_published(getattr(module_of(path), name), OUTLINE[path][name])


@pytest.mark.parametrize(("path", "name", "method"), METHODS)
def test_method_has_the_published_parameters_and_defaults(path: str, name: str, method: str) -> None:
    assert_starts_with_published(vars(getattr(module_of(path), name))[method], OUTLINE[path][name]["methods"][method])


@pytest.mark.parametrize(("path", "name"), CLASSES)
def test_class_is_a_dataclass_where_the_page_has_one(path: str, name: str) -> None:
    assert dataclasses.is_dataclass(getattr(module_of(path), name)) == ((path, name) in RECORDS)


@pytest.mark.parametrize(("path", "name"), RECORDS)
def test_record_has_the_published_fields_in_order(path: str, name: str) -> None:
    module = module_of(path)
    published = OUTLINE[path][name]["fields"]
    fields = dataclasses.fields(getattr(module, name))[: len(published)]
    assert [field.name for field in fields] == [field_name for field_name, _, _ in published]
    names = {**vars(typing), **vars(module)}
    assert [field.type for field in fields] == [eval(annotation, names) for _, annotation, _ in published]
    defaults = [None if field.default is dataclasses.MISSING else repr(field.default) for field in fields]
    assert defaults == [default for _, _, default in published]


@pytest.mark.parametrize(("path", "name"), RECORDS)
def test_record_has_defaults_for_fields_that_the_page_lacks(path: str, name: str) -> None:
    added = dataclasses.fields(getattr(module_of(path), name))[len(OUTLINE[path][name]["fields"]) :]
    assert [f.name for f in added if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING] == []


def test_parsers_have_the_published_keys() -> None:
    assert list(module_of("bot/models.py").parsers) == OUTLINE["bot/models.py"]["parsers"]["keys"]


def test_each_parser_is_the_function_of_its_name() -> None:
    models = module_of("bot/models.py")
    assert models.parsers == {key: getattr(models, f"parse_{key.removesuffix('s')}") for key in models.parsers}


def test_an_order_also_has_its_side() -> None:
    assert "side" in {field.name for field in dataclasses.fields(module_of("bot/models.py").Order)}


def test_a_market_also_has_its_tick_size() -> None:
    assert "tick_size" in {field.name for field in dataclasses.fields(module_of("bot/models.py").Market)}


@pytest.mark.parametrize(("alias", "module"), [("sub", "bot.submission"), ("client", "bot.vega_api_client"), ("store", "bot.vega_store")])
def test_main_keeps_the_import_alias(alias: str, module: str) -> None:
    assert vars(main)[alias] is importlib.import_module(module)


def test_the_loop_uses_the_pages_names_in_the_pages_order() -> None:
    (run,) = (node for node in ast.parse(Path(main.__file__).read_text()).body if getattr(node, "name", "") == "_run")
    stored = [node for node in ast.walk(run) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    names = [node.id for node in sorted(stored, key=lambda node: (node.lineno, node.col_offset))]
    published = [
        "market_info",
        "market_price_decimals",
        "market_pos_decimals",
        "wallet",
        "latest_data",
        "position",
        "submissions",
        "batch_tx",
    ]
    assert [name for name in dict.fromkeys(names) if name in published] == published


def test_quotes_has_three_parameters() -> None:
    assert list(inspect.signature(main.quotes).parameters) == ["market", "open_volume", "max_abs_position"]


def test_requirements_are_four_packages_with_minimum_versions() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    matches = [re.fullmatch(r"([a-z-]+)>=\d+(\.\d+)*", line) for line in lines if line]
    assert all(matches), lines
    assert sorted(match[1] for match in matches if match) == ["python-dotenv", "rel", "requests", "websocket-client"]


def test_the_top_level_is_that_of_a_small_tutorial() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("without git, tracked files cannot be told from others")
    try:
        tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git does not answer: {error}")
    top = {path.split("/")[0] for path in tracked}
    plain = {name for name in top if not name.startswith(".")}
    assert plain == {"requirements.txt", "main.py", "bot", "tests", "README.md"}
    assert ".env.example" in top
    assert ".env" not in top
