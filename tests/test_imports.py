"""The bot's imports, drawn from its sources: they go one way, and what is private to a library stays in bot/transport."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the bottom to the top. A module imports modules of lower layers only; a package may also import its own modules.
LAYERS = (
    ("bot.transport",),
    ("bot.settings", "bot.logs", "bot.submission", "bot.enums", "bot.api_errors"),
    ("bot.parsing",),
    ("bot.models", "bot.vega_api_client", "bot.wallet"),
    ("bot.more_api_calls",),
    ("bot.vega_ws_client", "bot.sync", "bot.market_terms", "bot.market_data"),
    ("bot.store_facts",),
    ("bot.vega_store",),
    ("bot.execution",),
    ("main",),
)
LIBRARIES = ("websocket", "rel", "requests", "urllib3")
# Public names that are global or internal all the same: the whole process shares what they change, or they change between versions.
INTERNAL = (
    "requests.packages",
    "requests.sessions",
    "urllib3",
    "websocket.enableTrace",
    "websocket.getdefaulttimeout",
    "websocket.setdefaulttimeout",
)
INTERNAL_ATTRIBUTES = (
    "check_events",
    "check_timers",
    "frame_buffer",
    "pool_classes_by_scheme",
    "recv_frame",
    "recv_strict",
    "run_dispatch",
)
REL_ATTRIBUTES = ("rel.abort", "rel.dispatch", "rel.timeout")  # public, and harmless on the main thread


@cache
def sources() -> dict[str, str]:
    """Return module -> source. A package is its __init__."""
    paths = [ROOT / "main.py", *(ROOT / "bot").glob("**/*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text() for path in paths}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of all imports, wherever they are: `from bot import models` is `bot.models`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module: str) -> set[str]:
    """Return the modules of this repository that a module imports."""
    found = set()
    for name in imports(ast.parse(sources()[module])):
        known = name if name in sources() else name.rpartition(".")[0]
        if known in sources():
            found.add(known)
    return found


def layer(module: str) -> int:
    """Return the layer that a module, or the package around it, belongs to."""
    (number,) = (number for number, layer in enumerate(LAYERS) for name in layer if f"{module}.".startswith(f"{name}."))
    return number


def package(module: str) -> str:
    return module.rpartition(".")[0]


def test_every_module_has_a_layer() -> None:
    for module in sources().keys() - {"bot"}:
        layer(module)


def test_imports_go_one_way() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in sources().keys() - {"bot"}
        for imported in imported_modules(module)
        if layer(imported) >= layer(module) and not (package(imported) == package(module) != "bot")
    ]
    assert wrong == []


def test_the_lesson_imports_what_the_page_imports() -> None:
    assert {"bot.submission", "bot.vega_api_client", "bot.vega_store", "bot.wallet"} <= imported_modules("main")
    assert {"bot.models", "bot.vega_api_client", "bot.vega_ws_client"} <= imported_modules("bot.vega_store")


def test_no_module_imports_itself_in_a_circle() -> None:
    tuple(TopologicalSorter({module: imported_modules(module) for module in sources()}).static_order())


def test_no_module_of_the_bot_imports_the_tests() -> None:
    assert [module for module, source in sources().items() for name in imports(ast.parse(source)) if name.split(".")[0] == "tests"] == []


def names_and_strings(tree: ast.AST) -> Iterator[str]:
    """Yield all names and strings of a module, except docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        for field in ("name", "id", "attr", "arg", "module"):
            if isinstance(word := getattr(node, field, None), str):
                yield word


@pytest.mark.parametrize("module", [module for module in sources() if module.startswith("bot.transport")])
def test_the_transport_knows_nothing_of_vega(module: str) -> None:
    words = names_and_strings(ast.parse(sources()[module]))
    found = [word for word in words if any(name in word.lower() for name in ("vega", "ws_url", "api/v2"))]
    assert found == []


###########################################################
#          Private and global parts of libraries          #
###########################################################


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def is_internal(name: str) -> bool:
    """Return whether a dotted name of a library is private or global."""
    library, *parts = name.split(".")
    if library not in LIBRARIES:
        return False
    if any(part.startswith("_") for part in parts) or f"{name}.".startswith(tuple(f"{internal}." for internal in INTERNAL)):
        return True
    return library == "rel" and name != "rel" and name not in REL_ATTRIBUTES


def internal_uses(source: str) -> list[str]:
    """Return where a module touches what is private or global in a library."""
    tree = ast.parse(source)
    aliases = {alias.asname: alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names if alias.asname}
    found = [name for name in imports(tree) if is_internal(name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = dotted(node).partition(".")
            if rest and is_internal(f"{aliases.get(root, root)}.{rest}"):
                found.append(dotted(node))
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            is_private = node.attr.startswith("_") and not node.attr.endswith("__") and dotted(node) != "os._exit"
            if node.attr in INTERNAL_ATTRIBUTES or (is_private and not is_own):
                found.append(node.attr)
    return found


@pytest.mark.parametrize("module", [module for module in sources() if not module.startswith("bot.transport")])
def test_private_and_global_parts_of_libraries_are_used_in_the_transport_only(module: str) -> None:
    assert internal_uses(sources()[module]) == []


@pytest.mark.parametrize(
    "source",
    [
        "import rel\nrel.rel.registrar",
        "import rel\nrel.initialize(['poll'])",
        "import rel as loop\nloop.rel",
        "import rel.registrar",
        "from rel import registrar",
        "from websocket._core import WebSocket",
        "import websocket\nwebsocket.setdefaulttimeout(5)",
        "from websocket import setdefaulttimeout",
        "from requests.packages import urllib3",
        "import urllib3",
        "from urllib3.util import Retry",
        "ws.sock.frame_buffer.recv_strict = read",
        "session.adapters['http://']._pool",
        "response.raw._connection",
    ],
)
def test_such_a_use_is_found(source: str) -> None:
    assert internal_uses(source)


def test_the_transport_itself_would_be_found() -> None:
    for module in ("bot.transport.connection", "bot.transport.event_loop", "bot.transport.http"):
        assert internal_uses(sources()[module])
