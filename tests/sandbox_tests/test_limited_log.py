"""The log on the teacher's terminal is bounded: one line per minute for each kind of event and each address."""

import logging
from collections.abc import Iterator

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.limited_log import MAX_KEYS, LimitedLog, printable
from tests.support.room_calls import ask


@pytest.fixture
def sandbox(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    caplog.set_level(logging.WARNING)
    for module in ("wallet.http", "room.join"):  # earlier tests may have written the line that a test expects
        monkeypatch.setattr(f"tests.sandbox.{module}.log", LimitedLog(module))
    with Sandbox(block_time=0, seed=71, participants=2) as running:
        yield running


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("request_text", "line"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 50_000 + b"\r\n\r\n", "malformed request from 127.0.0.2: 400, message:"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \x1b[2J\r\n\r\n", "malformed request from 127.0.0.2: 400, message:"),
    ],
    ids=["too long", "control characters"],
)
def test_malformed_requests_write_one_line_per_address(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, request_text: bytes, line: str
) -> None:
    for _ in range(20):
        assert b" 400 " in ask(sandbox, request_text, "127.0.0.2")[:20]
    assert [text[: len(line) + 9] for text in lines(caplog)] == [f"sandbox: {line}"]
    assert "\x1b" not in caplog.text
    ask(sandbox, request_text, "127.0.0.3")
    assert len(lines(caplog)) == 2


def test_used_codes_write_one_line_per_address(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    form = {"code": sandbox.room.participants["p01"].code}
    answers = [requests.post(sandbox.url(path="/join"), data=form, timeout=20).status_code for _ in range(20)]
    assert answers == [200] + [410] * 19
    assert lines(caplog) == [
        "sandbox: settings of p01 sent to 127.0.0.1",
        "sandbox: 127.0.0.1 used the code of p01 again; first used by 127.0.0.1",
    ]


def test_foreign_hosts_write_one_line(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        requests.get(f"{sandbox.wallet_url}/api/v2/health", headers={"Host": "evil.example"}, timeout=20)
    assert lines(caplog) == ["sandbox: the wallet rejected a request for the host 'evil.example'"]


def test_a_defect_is_logged_with_its_traceback_once(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.call(lambda inside: inside.chain.markets.update(broken=None))
    for _ in range(3):
        assert requests.get(f"{sandbox.node_url}/markets", timeout=20).status_code == 500
    sandbox.call(lambda inside: inside.chain.markets.pop("broken"))
    assert len(lines(caplog)) == 1
    assert "Traceback (most recent call last)" in lines(caplog)[0]


def test_skipped_lines_are_counted_and_old_keys_are_dropped(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("tests.sandbox.limited_log.time.monotonic", lambda: now)
    log = LimitedLog("test")
    for _ in range(4):
        log.warning("kind", "address", "event")
    now += 61
    log.warning("kind", "address", "event")
    assert lines(caplog) == ["sandbox: event", "sandbox: event (3 more like this before)"]
    for number in range(3 * MAX_KEYS):
        log.warning("kind", str(number), "event")
    assert len(log._written) <= MAX_KEYS


def test_text_from_the_network_is_escaped_and_shortened() -> None:
    assert printable("a\x1b[2Jb\nforged line") == "a\\x1b[2Jb"
    assert len(printable("x" * 100_000)) == 120
