"""The token is in no output, with LOG_LEVEL=DEBUG and every fault; and git ignores `.env`."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet, leaked_parts
from tests.support.fork import Fork
from tests.support.http_replay import Answer, Replay
from tests.support.processes import ROOT, BotProcess

QUOTED = r"\| quoted$"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=81) as running:
        yield running


def test_a_wallet_that_echoes_the_request_does_not_leak_the_token(sandbox: Sandbox, tmp_path: Path) -> None:
    """The other faults of a wallet are in test_wallet.py, which makes the same check."""
    with (
        FaultyWallet(sandbox.wallet_url) as wallet,
        Fork(tmp_path, sandbox, sandbox.markets["future"], WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as bot,
    ):
        bot.wait_for(QUOTED)
        wallet.fault = "echoes"
        bot.wait_for("no quote: wallet: HTTP 401, not for you")
        bot.signal(signal.SIGINT)
        bot.finish()
    assert "Cancelling all orders failed: wallet: HTTP 401" in bot.output
    assert leaked_parts(sandbox.token, bot.output) == []


def test_a_wallet_that_echoes_a_part_of_the_token_does_not_leak_it(sandbox: Sandbox) -> None:
    with FaultyWallet() as wallet, BotProcess(sandbox, sandbox.markets["future"], WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as bot:
        wallet.fault = "echoes a part"
        bot.wait_for("no quote: wallet: HTTP 401, .* has expired")
    assert leaked_parts(sandbox.token, bot.output) == []


def test_a_wallet_that_echoes_the_token_in_broken_headers_does_not_leak_it(sandbox: Sandbox) -> None:
    def echo() -> Iterator[Answer]:
        while True:
            yield Answer("no", status=500, headers={"X-Odd": f"1\r\nAuthorization {sandbox.token}\r\nX-Odd: 2"})

    with Replay(then=echo()) as wallet, BotProcess(sandbox, sandbox.markets["future"], WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("no quote: wallet: ")
    assert leaked_parts(sandbox.token, bot.output) == []


def test_rest_and_stream_faults_do_not_leak_the_token(sandbox: Sandbox) -> None:
    sandbox.fail_rest(500)
    with BotProcess(sandbox, sandbox.markets["future"], LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("GET assets: HTTP 500")
        sandbox.fail_rest()
        line = bot.wait_for(QUOTED)
        sandbox.fail_handshakes(429)
        for how, stream in (("reset", "orders"), ("cut", "accounts"), ("1011", "positions")):
            sandbox.drop_streams(how, stream)
            bot.wait_for(rf"stream {stream}: connection lost \(")
        sandbox.silence_streams()
        bot.wait_for(r"stream markets/data: connection lost \(.*no market data", after=line)
        sandbox.fail_rest(503)
        sandbox.fail_wallet(401)
        bot.signal(signal.SIGTERM)
        assert bot.finish() == 1
    sandbox.reset()
    assert leaked_parts(sandbox.token, bot.output) == []


def test_a_crash_does_not_leak_the_token(sandbox: Sandbox, tmp_path: Path) -> None:
    changes = "VegaWallet._transaction_hash = lambda self, response: 1 / 0"
    with Fork(tmp_path, sandbox, sandbox.markets["future"], changes, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("ZeroDivisionError")
        bot.finish()
    assert leaked_parts(sandbox.token, bot.output) == []


@pytest.mark.parametrize("damage", ["{} {}", "<{}>", "{}\n{}", "é{}"])
def test_an_invalid_token_is_rejected_without_leaking_it(sandbox: Sandbox, damage: str) -> None:
    token = damage.format(sandbox.token, sandbox.token)
    with BotProcess(sandbox, sandbox.markets["future"], WALLET_TOKEN=token, LOG_LEVEL="DEBUG") as bot:
        assert bot.finish() == 2
    assert "WALLET_TOKEN" in bot.output
    assert leaked_parts(sandbox.token, bot.output) == []


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_ignores_dot_env_and_not_its_example(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    answer = subprocess.run(["git", "check-ignore", ".env", "tests/.env", ".env.example"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.stdout.splitlines() == [".env", "tests/.env"]
