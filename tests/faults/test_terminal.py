"""Standard streams that are closed, and text that a terminal must not get or cannot show."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.support.frames import FIRST_FRAMES, MARKET, STREAMS
from tests.support.http_replay import Answer, Replay
from tests.support.live_sandbox import orders_on_chain
from tests.support.processes import ROOT, BotProcess, StoreProcess
from tests.support.scripted_node import BOT, ScriptedNode, recorded_node
from tests.support.settings import sandbox_settings
from tests.support.waiting import DEFAULT_TIMEOUT, wait_until

FORGED = "2026-11-27 16:00:00,000 Stopped: no open orders left on the market"
EVIL = f"\x1b[2J\x07evil\r\n{FORGED}\u2028\u202egnp\u202c\x9b31m" + "x" * 100_000
SHOWN = r"\x1b[2J\x07evil"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=73) as running:
        yield running


def assert_clean(lines: list[str], shown: str = SHOWN) -> None:
    """No line has a character that a terminal would act on, is forged or endless, and the evil text is there."""
    assert any(shown in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith(FORGED)]
    assert max(map(len, lines)) < 2_000


def test_text_from_the_wallet_cannot_act_on_the_terminal_or_forge_a_line(sandbox: Sandbox) -> None:
    evil = Answer({"error": {"code": 1, "message": EVIL, "data": EVIL}}, status=400)
    with Replay(then=iter([evil] * 1000)) as wallet, BotProcess(sandbox, sandbox.markets["future"], WALLET_URL=wallet.url) as bot:
        bot.wait_for("no quote: wallet: HTTP 400")
        bot.stop(signal.SIGTERM)
        assert_clean(bot.lines)


@pytest.mark.parametrize("body", [EVIL, {"code": 5, "message": EVIL, "details": [{"message": EVIL, "inner": EVIL}]}], ids=["text", "error"])
def test_text_from_rest_cannot_act_on_the_terminal_or_forge_a_line(sandbox: Sandbox, body: object) -> None:
    answers = iter([Answer(body, status=400)] * 1000)
    with Replay(then=answers) as node, BotProcess(sandbox, sandbox.markets["future"], NODE_URL=f"{node.url}/api/v2") as bot:
        assert bot.finish() == 1
        assert_clean(bot.lines)


LOGGED_LIKE_THE_BOT = """
import logging
import bot.logs
logging.basicConfig = lambda **options: None
logging.getLogger().addHandler(logging.StreamHandler())
logging.getLogger().handlers[0].setFormatter(bot.logs.RedactingFormatter("t0k3n"))
logging.getLogger().setLevel(logging.INFO)
"""


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)
        yield running


def test_text_from_a_stream_cannot_act_on_the_terminal_or_forge_a_line(node: ScriptedNode) -> None:
    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, setup=LOGGED_LIKE_THE_BOT) as store:
        store.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
        node.send("orders", json.dumps({"error": {"code": 3, "message": EVIL, "details": []}}), EVIL)
        node.send("positions", json.dumps({"result": {"updates": {"positions": [{"marketId": EVIL}]}}}))
        node.send("accounts", json.dumps({"result": {EVIL: EVIL}}))
        for stream in ("orders: error from", "orders: not JSON", "positions: left out", "accounts: neither"):
            store.wait_for(f"stream {stream}")
        logged = [line for line in store.lines if not line.startswith("READY")]
    assert all(line.isprintable() for line in logged)
    assert not [line for line in logged if line.startswith(FORGED)]
    assert max(map(len, logged)) < 2_000


@pytest.mark.parametrize("name", ["MARKET_ID", "NODE_URL", "WALLET_TOKEN", "HTTP_PROXY", "REQUESTS_CA_BUNDLE", "LOG_LEVEL"])
def test_a_setting_cannot_act_on_the_terminal(sandbox: Sandbox, name: str) -> None:
    settings = {**sandbox_settings(sandbox, sandbox.markets["future"]), "NODE_URL": "http://node.example/api/v2", name: EVIL[:500]}
    command = [sys.executable, "-m", "main"]
    run = subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, timeout=DEFAULT_TIMEOUT)
    assert run.returncode == 2
    lines = run.stderr.decode().splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith(FORGED)]


def test_no_socket_gets_the_number_of_a_closed_standard_stream(sandbox: Sandbox) -> None:
    command = ["sh", "-c", 'exec "$0" -m main <&- >&- 2>&-', sys.executable]
    environment = {**os.environ, **sandbox_settings(sandbox, sandbox.markets["future"])}
    orders = len(orders_on_chain(sandbox, status=None))
    bot = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        wait_until(lambda: len(orders_on_chain(sandbox, status=None)) > orders)
        files = {number: os.readlink(f"/proc/{bot.pid}/fd/{number}") for number in range(3)}
        bot.send_signal(signal.SIGINT)
        assert bot.wait(DEFAULT_TIMEOUT) == 0
    finally:
        bot.kill()
        bot.wait()
    assert files == dict.fromkeys(range(3), os.devnull)


@pytest.mark.parametrize("module", ["tests.sandbox", "tests.exercises", "tests.benchmark", "tests.soak", "tests.backtest"])
@pytest.mark.parametrize("redirection", ["", "2>&-", "<&- 2>&-"], ids=["open", "errors closed", "input closed"])
def test_help_appears_on_a_terminal_that_shows_ascii_only(module: str, redirection: str) -> None:
    command = ["sh", "-c", f'exec "$0" -m {module} --help {redirection}', sys.executable]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.match("usage: ", run.stdout)


def test_the_log_appears_on_a_terminal_that_shows_ascii_only(sandbox: Sandbox, tmp_path: Path) -> None:
    error = Answer({"code": 5, "message": "é漢…", "details": []}, status=400)
    settings = sandbox_settings(sandbox, sandbox.markets["future"])
    with Replay(then=iter([error] * 1000)) as node:
        environment = {**os.environ, **settings, "NODE_URL": f"{node.url}/api/v2", "PYTHONIOENCODING": "ascii:strict"}
        command = [sys.executable, "-m", "main"]
        run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=DEFAULT_TIMEOUT)
    assert run.returncode == 1
    assert r"HTTP 400, \xe9\u6f22\u2026" in run.stderr
