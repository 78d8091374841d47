"""bot/settings.py: every problem at once, before anything connects; the token never shown."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.settings import SettingsError, load_settings
from tests.support.http_replay import Replay
from tests.support.waiting import DEFAULT_TIMEOUT

ROOT = Path(__file__).parents[2]
TOKEN = "sEcReTtOkEn0123456789"
GOOD = {
    "MARKET_ID": "aa" * 32,
    "PARTY_ID": "bb" * 32,
    "NODE_URL": "http://127.0.0.1:3008/api/v2",
    "WS_URL": "ws://127.0.0.1:3008/api/v2",
    "WALLET_URL": "http://127.0.0.1:1789",
    "WALLET_TOKEN": TOKEN,
}
SHOW = """
from bot.settings import load_settings
from main import RuleSettings

settings, _ = load_settings(RuleSettings)
print(settings)
print(len(settings.token), settings.log_level)
"""
EMPTY = "is empty: fill it in, .env.example says where it comes from"
OPTIONAL = ["LOG_LEVEL", "MAX_ABS_POSITION", "LOOP_INTERVAL", "DRY_RUN", "ENV_FILE"]


@dataclass(frozen=True)
class NoRuleSettings:
    """A bot without settings of its own."""


@dataclass(frozen=True)
class Skewed:
    """Settings that a fork adds: one of each type."""

    skew: float = 0.5
    levels: int = 3
    post_only: bool = True
    name: str = "mine"


@pytest.fixture(autouse=True)
def _a_clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in [*GOOD, *OPTIONAL, "SKEW", "LEVELS", "POST_ONLY", "NAME"]:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)


def problems_with(monkeypatch: pytest.MonkeyPatch, **changes: str) -> list[str]:
    for key, value in {**GOOD, **changes}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(NoRuleSettings)
    return str(caught.value).splitlines()


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the temporary directory, as a user does in the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=DEFAULT_TIMEOUT,
    )


def dotenv(settings: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


###########################################################
#                    One problem at a time                #
###########################################################


@pytest.mark.parametrize("key", GOOD)
def test_an_empty_setting_is_named_with_where_to_get_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, **{key: ""}) == [f"{key} in the environment {EMPTY}"]


@pytest.mark.parametrize("key", GOOD)
def test_blanks_count_as_empty(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, **{key: "  \t"}) == [f"{key} in the environment {EMPTY}"]


@pytest.mark.parametrize("key", GOOD)
def test_a_placeholder_in_angle_brackets_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: f"<your {key} here>"})
    assert problem == f"{key} in the environment still has its placeholder in angle brackets: put the value in their place"


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_setting_is_named_with_how_to_add_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(key)
    with pytest.raises(SettingsError, match=rf"^{key} is missing: add it to \.env \(cp \.env\.example \.env\) or to the environment$"):
        load_settings(NoRuleSettings)


@pytest.mark.parametrize("key", ["MARKET_ID", "PARTY_ID"])
@pytest.mark.parametrize("value", ["aa", "a" * 63, "a" * 65, "g" * 64, "aa " * 21 + "a", "٣" * 64], ids=len)
def test_a_key_without_64_hex_digits_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem.startswith(f"{key} in the environment has ")
    assert value not in problem
    assert problem.endswith(" has 64 hex digits (0-9, a-f)")


@pytest.mark.parametrize("key", ["MARKET_ID", "PARTY_ID"])
@pytest.mark.parametrize("value", ["0x" + "a" * 64, "0X" + "a" * 62])
def test_a_key_that_starts_with_0x_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem == f"{key} in the environment starts with 0x: leave that out, Vega's ids have no prefix"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_where_ws_belongs_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, WS_URL=f"{scheme}://127.0.0.1:3008/api/v2")
    assert problem == f"WS_URL in the environment starts with {scheme}://, but must start with ws:// or wss://"


@pytest.mark.parametrize("key", ["NODE_URL", "WALLET_URL"])
def test_ws_where_http_belongs_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: "ws://127.0.0.1:3008/api/v2"})
    assert problem == f"{key} in the environment starts with ws://, but must start with http:// or https://"


@pytest.mark.parametrize("key", ["NODE_URL", "WS_URL", "WALLET_URL"])
@pytest.mark.parametrize(
    "value",
    [
        *("localhost:3008/api/v2", "127.0.0.1", "http://", "http://host:99999", "http://host:x", "http://[1", "http://127..0.1"),
        *("http://a host", "http:// host", "http://ho\tst", "http://host/api /v2", "http://host/\x1b[2J", "http://host/\u202e"),
    ],
)
def test_a_bad_address_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert re.fullmatch(f"{key} in the environment is not an address: write it like (http|ws)://127.0.0.1:\\d+(/api/v2)?", problem)


@pytest.mark.parametrize("key", ["NODE_URL", "WS_URL", "WALLET_URL"])
@pytest.mark.parametrize("value", ["http://host/api/v2?key=sEcReT", "ws://host/#sEcReT", "http://host?"])
def test_a_query_or_a_fragment_in_an_address_is_named_and_not_shown(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem.startswith(f"{key} in the environment has a query or a fragment in it")
    assert "sEcReT" not in problem


@pytest.mark.parametrize("key", ["NODE_URL", "WS_URL", "WALLET_URL"])
@pytest.mark.parametrize("value", ["http://b\xfccher.example/api/v2", "ws://stra\xdfe.example", "http://host/\xe9"])
def test_other_letters_in_an_address_are_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem.startswith(f"{key} in the environment has letters that are not ASCII")


@pytest.mark.parametrize("value", ["two words", "tokén", "escape\x1b[2J", "delete\x7f", "line\nbreak"])
def test_a_token_that_cannot_be_in_a_header_is_named_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, WALLET_TOKEN=value)
    assert problem == "WALLET_TOKEN in the environment has characters that no token has: copy it again, without quotes or blanks"


def test_an_unknown_log_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, LOG_LEVEL="LOUD") == [
        "LOG_LEVEL in the environment must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
    ]


###########################################################
#                     What is taken as good               #
###########################################################


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("MARKET_ID", " " + "AB" * 32 + " ", "market_id", "ab" * 32),
        ("PARTY_ID", "CD" * 32, "party_id", "cd" * 32),
        ("NODE_URL", "https://node.example/api/v2/", "node_rest_url", "https://node.example/api/v2"),
        ("WS_URL", "wss://node.example/api/v2/", "node_ws_url", "wss://node.example/api/v2"),
        ("WALLET_URL", "http://localhost:1789/", "wallet_url", "http://localhost:1789"),
        ("WALLET_TOKEN", "another", "token", "another"),
        ("LOG_LEVEL", "debug", "log_level", 10),
        ("LOG_LEVEL", "", "log_level", 20),
        ("LOG_LEVEL", "ERROR", "log_level", 40),
    ],
)
def test_a_setting_arrives_in_its_field(key: str, value: str, field: str, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, good in {**GOOD, key: value}.items():
        monkeypatch.setenv(name, good)
    assert getattr(load_settings(NoRuleSettings)[0], field) == expected


def test_the_token_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in GOOD.items():
        monkeypatch.setenv(key, value)
    settings, _ = load_settings(NoRuleSettings)
    assert settings.token == TOKEN
    assert TOKEN not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    ("key", "field", "default", "values"),
    [
        ("MAX_ABS_POSITION", "max_abs_position", 1.0, {"2.5": 2.5, " 10 ": 10.0}),
        ("LOOP_INTERVAL", "loop_interval", 1.0, {"0.25": 0.25, "3600": 3600.0}),
        ("DRY_RUN", "dry_run", False, {"true": True, "YES": True, "1": True, "False": False, "no": False, "0": False}),
    ],
)
def test_an_optional_setting_has_a_default(
    key: str, field: str, default: Any, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, good in GOOD.items():
        monkeypatch.setenv(name, good)
    assert getattr(load_settings(NoRuleSettings)[0], field) == default
    for value, expected in {"": default, **values}.items():
        monkeypatch.setenv(key, value)
        assert getattr(load_settings(NoRuleSettings)[0], field) == expected


@pytest.mark.parametrize(
    ("key", "values", "problem"),
    [
        ("MAX_ABS_POSITION", ["0", "-1", "1e13"], "must be a number of contracts above 0, and at most 1e+12"),
        ("MAX_ABS_POSITION", ["nan", "inf", "1,5", "one", "1e999"], "must be a number"),
        ("LOOP_INTERVAL", ["0", "-1", "0.001", "3601"], "must be from 0.01 to 3600 seconds"),
        ("LOOP_INTERVAL", ["nan", "1 s"], "must be a number"),
        ("DRY_RUN", ["tru", "on", "2", "none"], "must be true or false"),
    ],
)
def test_an_optional_setting_with_a_bad_value_is_named(key: str, values: list[str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in values:
        assert problems_with(monkeypatch, **{key: value}) == [f"{key} in the environment {problem}"]


def test_a_dry_run_needs_no_wallet(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**GOOD, "DRY_RUN": "true", "WALLET_URL": "not yet", "WALLET_TOKEN": "<none>"}.items():
        monkeypatch.setenv(key, value)
    assert load_settings(NoRuleSettings)[0].dry_run
    for key in ("WALLET_URL", "WALLET_TOKEN"):
        monkeypatch.delenv(key)
    assert load_settings(NoRuleSettings)[0].token == ""
    monkeypatch.delenv("PARTY_ID")
    with pytest.raises(SettingsError, match=r"^PARTY_ID is missing: .*$"):
        load_settings(NoRuleSettings)


@pytest.mark.parametrize("key", [key for key in GOOD if key != "WALLET_TOKEN"] + OPTIONAL[:-1] + ["SKEW", "LEVELS", "POST_ONLY"])
@pytest.mark.parametrize("before", ["", "http://", "ftp://", "0x", f"{TOKEN}://"])
def test_a_token_in_the_wrong_setting_is_not_shown(key: str, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**GOOD, key: f"{before}{TOKEN}"}.items():
        monkeypatch.setenv(name, value)
    if key in ("NODE_URL", "WALLET_URL") and before == "http://":
        return  # a host may have any name
    with pytest.raises(SettingsError, match=f"^{key} in the environment ") as caught:
        load_settings(Skewed)
    assert TOKEN.lower() not in str(caught.value).lower()


@pytest.mark.parametrize("key", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ENV_FILE"])
def test_a_token_instead_of_a_path_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**GOOD, key: TOKEN}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=key) as caught:
        load_settings(Skewed)
    assert TOKEN not in str(caught.value)


###########################################################
#                    Settings of a fork                   #
###########################################################


def test_settings_of_a_fork_are_read_from_variables_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in GOOD.items():
        monkeypatch.setenv(key, value)
    assert load_settings(Skewed)[1] == Skewed()
    for key, value in {"SKEW": "-1e-3", "LEVELS": "5", "POST_ONLY": "false", "NAME": " a name "}.items():
        monkeypatch.setenv(key, value)
    assert load_settings(Skewed)[1] == Skewed(skew=-0.001, levels=5, post_only=False, name="a name")


def test_settings_of_a_fork_are_checked_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**GOOD, "MARKET_ID": "", "SKEW": "much", "LEVELS": "2.5", "POST_ONLY": "perhaps"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(Skewed)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "MARKET_ID in the environment is empty",
        "SKEW in the environment must be a number",
        "LEVELS in the environment must be an integer",
        "POST_ONLY in the environment must be true or false",
    ]


def test_a_setting_of_a_fork_with_another_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Listed:
        levels: tuple[int, ...] = (1, 2)

    for key, value in {**GOOD, "LEVELS": "1,2"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError, match=r"^LEVELS in the environment cannot be read: its field must be a str, int, float or bool$"):
        load_settings(Listed)


def test_a_default_factory_and_a_field_without_init_are_left_to_the_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Own:
        windows: list[int] = field(default_factory=lambda: [5, 20])
        scale: float = field(default=2.0, init=False)

    for key, value in {**GOOD, "SCALE": "3"}.items():
        monkeypatch.setenv(key, value)
    assert load_settings(Own)[1] == Own()


@dataclass(frozen=True)
class Required:
    skew: float


@dataclass(frozen=True)
class Unknown:
    skew: "Flaot" = 0.5  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class Checked:
    skew: float = 0.5

    def __post_init__(self) -> None:
        if self.skew < 0:
            raise ValueError("skew must not be negative")


@dataclass(frozen=True)
class Clashing:
    wallet_token: str = ""


@pytest.mark.parametrize(
    ("own", "changes", "problem"),
    [
        (Required, {}, "SKEW is missing: add it to .env or to the environment, or give the field skew a default"),
        (Unknown, {}, "Unknown cannot be read: name 'Flaot' is not defined"),
        (Checked, {"SKEW": "-1"}, "Checked: skew must not be negative"),
        (Clashing, {}, "WALLET_TOKEN is a setting of the bot itself: give the field wallet_token of Clashing another name"),
    ],
)
def test_a_wrong_dataclass_of_a_fork_is_one_line_beside_the_other_problems(
    own: type[Any], changes: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {**GOOD, "MAX_ABS_POSITION": "-1", **changes}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(own)
    first, second = str(caught.value).splitlines()
    assert first.startswith("MAX_ABS_POSITION in the environment must be")
    assert second == problem


def test_a_rule_of_main_uses_its_settings_from_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv({**GOOD, "SKEW": "much", "LOG_LEVEL": "LOUD"}))
    source = (ROOT / "main.py").read_text()
    start = "@dataclass(frozen=True)\nclass RuleSettings:\n"
    assert start in source
    changed = tmp_path / "fork.py"
    changed.write_text(source.replace(start, f"{start}    skew: float = 0.5\n"))
    ended = python(str(changed))
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "LOG_LEVEL in .env must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "SKEW in .env must be a number",
    ]


def test_importing_main_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv({"SKEW": "0.7", "MARKET_ID": "aa"}))
    ended = python("-c", "import os, main; print(os.environ.get('SKEW'), os.environ.get('MARKET_ID'), main.rule_settings)")
    assert ended.stdout == "None None RuleSettings()\n"


###########################################################
#                   As a user sees it: .env               #
###########################################################


def test_all_problems_come_at_once_with_status_2_before_any_connection(tmp_path: Path) -> None:
    with Replay() as node:
        bad = {
            "MARKET_ID": "0x" + "a" * 64,
            "NODE_URL": f"{node.url}/api/v2",
            "WS_URL": f"{node.url}/api/v2",
            "WALLET_URL": "",
            "WALLET_TOKEN": f"<{TOKEN}>",
            "LOG_LEVEL": "LOUD",
        }
        (tmp_path / ".env").write_text(dotenv(bad))
        ended = python("-m", "main")
    assert ended.returncode == 2
    named = [line.split()[0] for line in ended.stderr.splitlines()]
    assert named == ["MARKET_ID", "PARTY_ID", "WS_URL", "WALLET_URL", "WALLET_TOKEN", "LOG_LEVEL"]
    assert TOKEN not in ended.stdout + ended.stderr
    assert node.connections == []


def test_no_dotenv_at_all_names_every_setting() -> None:
    ended = python("-m", "main")
    assert ended.returncode == 2
    assert [line.split(":")[0] for line in ended.stderr.splitlines()] == [f"{key} is missing" for key in GOOD]


@pytest.mark.parametrize(
    "content", [dotenv(GOOD).encode("utf-16"), b"\xff\xfe\x00", b"MARKET_ID=\xe9\n"], ids=["utf-16", "binary", "latin-1"]
)
def test_a_dotenv_that_is_not_utf_8_ends_with_status_2_and_no_traceback(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    ended = python("-m", "main")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 2


def test_a_file_that_is_not_text_does_not_show_its_content(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(f"WALLET_TOKEN={TOKEN}".encode() + b"\xe9")
    ended = python("-m", "main")
    assert (ended.returncode, ended.stderr) == (2, ".env cannot be read: save it as UTF-8 text\n")


def test_a_directory_instead_of_dotenv_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()  # Docker makes one where the file to mount does not exist
    ended = python("-m", "main")
    assert (ended.returncode, ended.stderr) == (2, ".env cannot be read: Is a directory\n")


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbf" + dotenv(GOOD).encode())
    ended = python("-c", SHOW)
    assert ended.stderr == ""
    assert "aa" * 32 in ended.stdout


def test_a_problem_says_where_its_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv({**GOOD, "MARKET_ID": "", "PARTY_ID": ""}))
    ended = python("-m", "main", PARTY_ID="0x")
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == [
        "MARKET_ID in .env is empty",
        "PARTY_ID in the environment starts with 0x",
    ]


def test_another_file_is_read_instead_of_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv({**GOOD, "MARKET_ID": "dd" * 32, "ENV_FILE": "nothing.env"}))
    (tmp_path / "second.env").write_text(dotenv(GOOD))
    assert "aa" * 32 in python("-c", SHOW, ENV_FILE="second.env").stdout
    assert "dd" * 32 in python("-c", SHOW).stdout  # ENV_FILE counts in the environment only
    (tmp_path / "second.env").write_text(dotenv({**GOOD, "MARKET_ID": "0x"}))
    assert python("-m", "main", ENV_FILE="second.env").stderr.startswith("MARKET_ID in second.env starts with 0x")


def test_another_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv(GOOD))
    ended = python("-m", "main", ENV_FILE="nothing.env")
    assert (ended.returncode, ended.stderr) == (2, "nothing.env (ENV_FILE) cannot be read: No such file or directory\n")


def test_a_good_dotenv_loads_and_does_not_show_its_token(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# comments, quotes and blank lines are fine\n\n" + dotenv({**GOOD, "PARTY_ID": f'"{"bb" * 32}"'}))
    ended = python("-c", SHOW)
    assert ended.stderr == ""
    assert "bb" * 32 in ended.stdout
    assert TOKEN not in ended.stdout
    assert ended.stdout.splitlines()[-1] == f"{len(TOKEN)} 20"


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv({**GOOD, "LOG_LEVEL": "ERROR"}))
    ended = python("-c", SHOW, MARKET_ID="cc" * 32, LOG_LEVEL="DEBUG")
    assert "cc" * 32 in ended.stdout
    assert "aa" * 32 not in ended.stdout
    assert ended.stdout.splitlines()[-1] == f"{len(TOKEN)} 10"


def test_the_settings_of_dotenv_are_in_the_environment_for_the_next_pages(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv(GOOD))
    assert python("-c", f"{SHOW}\nimport os; print(os.environ['WALLET_URL'])").stdout.splitlines()[-1] == GOOD["WALLET_URL"]


def test_the_example_names_every_setting() -> None:
    example = (ROOT / ".env.example").read_text()
    assert [key for key in [*GOOD, *OPTIONAL] if not re.search(rf"^#? ?{key}=", example, re.MULTILINE)] == []


def test_the_example_loads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    ended = python("-c", SHOW)
    assert (ended.returncode, ended.stderr) == (0, "")
