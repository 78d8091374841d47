"""bot/settings.py: every problem at once, before anything connects; the token never shown."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.settings import SettingsError, load_settings
from tests.support.http_replay import Replay

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
SHOW = "from bot.settings import load_settings; settings = load_settings(); print(settings); print(len(settings.token), settings.log_level)"


@pytest.fixture(autouse=True)
def _a_clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in [*GOOD, "LOG_LEVEL"]:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)


def problems_with(monkeypatch: pytest.MonkeyPatch, **changes: str) -> list[str]:
    for key, value in {**GOOD, **changes}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value).splitlines()


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the temporary directory, as a user does in the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=20,
    )


def dotenv(settings: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


###########################################################
#                    One problem at a time                #
###########################################################


@pytest.mark.parametrize("key", GOOD)
def test_an_empty_setting_is_named_with_where_to_get_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, **{key: ""}) == [f"{key} is empty: fill it in, .env.example says where it comes from"]


@pytest.mark.parametrize("key", GOOD)
def test_blanks_count_as_empty(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, **{key: "  \t"}) == [f"{key} is empty: fill it in, .env.example says where it comes from"]


@pytest.mark.parametrize("key", GOOD)
def test_a_placeholder_in_angle_brackets_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: f"<your {key} here>"})
    assert problem == f"{key} still has its placeholder in angle brackets: put the value in their place"


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_setting_is_named_with_how_to_add_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(key)
    with pytest.raises(SettingsError, match=rf"^{key} is missing: add it to \.env \(cp \.env\.example \.env\) or to the environment$"):
        load_settings()


@pytest.mark.parametrize("key", ["MARKET_ID", "PARTY_ID"])
@pytest.mark.parametrize("value", ["aa", "a" * 63, "a" * 65, "g" * 64, "aa " * 21 + "a", "٣" * 64], ids=len)
def test_a_key_without_64_hex_digits_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem.startswith(f"{key} is ")
    assert problem.endswith(" has 64 hex digits (0-9, a-f)")


@pytest.mark.parametrize("key", ["MARKET_ID", "PARTY_ID"])
@pytest.mark.parametrize("value", ["0x" + "a" * 64, "0X" + "a" * 62])
def test_a_key_that_starts_with_0x_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert problem == f"{key} starts with 0x: leave that out, Vega's ids have no prefix"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_where_ws_belongs_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, WS_URL=f"{scheme}://127.0.0.1:3008/api/v2")
    assert problem == f"WS_URL starts with {scheme}://, but must start with ws:// or wss://"


@pytest.mark.parametrize("key", ["NODE_URL", "WALLET_URL"])
def test_ws_where_http_belongs_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: "ws://127.0.0.1:3008/api/v2"})
    assert problem == f"{key} starts with ws://, but must start with http:// or https://"


@pytest.mark.parametrize("key", ["NODE_URL", "WS_URL", "WALLET_URL"])
@pytest.mark.parametrize(
    "value", ["localhost:3008/api/v2", "127.0.0.1", "http://", "http://host:99999", "http://host:x", "http://[1", "http://127..0.1"]
)
def test_a_bad_address_is_named(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, **{key: value})
    assert re.fullmatch(f"{key} is '.*', which is not an address: write it like (http|ws)://127.0.0.1:\\d+(/api/v2)?", problem)


@pytest.mark.parametrize("value", ["two words", "tokén"])
def test_a_token_that_cannot_be_in_a_header_is_named_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, WALLET_TOKEN=value)
    assert problem == "WALLET_TOKEN has characters that no token has: copy it again, without quotes or blanks"


def test_an_unknown_log_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(monkeypatch, LOG_LEVEL="LOUD") == ["LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"]


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
    assert getattr(load_settings(), field) == expected


def test_the_token_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in GOOD.items():
        monkeypatch.setenv(key, value)
    settings = load_settings()
    assert settings.token == TOKEN
    assert TOKEN not in f"{settings} {settings!r}"


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
def test_a_dotenv_that_is_no_utf_8_ends_with_status_2_and_no_traceback(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    ended = python("-m", "main")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 2


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


def test_what_dotenv_holds_is_in_the_environment_for_the_next_pages(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv(GOOD))
    assert python("-c", f"{SHOW}; import os; print(os.environ['WALLET_URL'])").stdout.splitlines()[-1] == GOOD["WALLET_URL"]


def test_the_example_names_every_setting() -> None:
    example = (ROOT / ".env.example").read_text()
    assert [key for key in [*GOOD, "LOG_LEVEL"] if not re.search(rf"^#? ?{key}=", example, re.MULTILINE)] == []


def test_the_example_loads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    ended = python("-c", SHOW)
    assert (ended.returncode, ended.stderr) == (0, "")
