"""The bot on a wallet that fails in every way: the turn's line gives the reason, the next turn follows, and calls never overlap."""

from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet, leaked_parts
from tests.support.fork import Fork
from tests.support.processes import BotProcess

TURN = r"Latest prices are .* \| "
INCOMPLETE = "no answer within|IncompleteRead|Remote end closed connection"
NO_ANSWER = r"no answer within [0-9.]+ s; the transaction may still be executed"
REASONS = {
    "refused": "Connection refused .check WALLET_URL",
    "hangs": NO_ANSWER,
    "401": "HTTP 401, Internal error: this wallet answers 401",
    "400": "HTTP 400, Internal error: this wallet answers 400",
    "500": "HTTP 500, Internal error: this wallet answers 500",
    "HTML": "HTTP 200, <!doctype html><html><head><title>It works!</title></head><body> <h1>nginx</h1></body></html>",
    "late": NO_ANSWER,
    "trickles": INCOMPLETE,
    "cut": INCOMPLETE,
    "disconnects": INCOMPLETE,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=41) as running:
        yield running


@pytest.fixture(scope="module")
def wallet(sandbox: Sandbox) -> Iterator[FaultyWallet]:
    with FaultyWallet(sandbox.wallet_url) as running:
        yield running


@pytest.fixture(scope="module")
def bot(sandbox: Sandbox, wallet: FaultyWallet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotProcess]:
    """One bot for all tests of this module. Each test leaves it quoting."""
    with Fork(tmp_path_factory.mktemp("fork"), sandbox, sandbox.markets["future"], WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as running:
        yield running
        running.stop()
        assert leaked_parts(sandbox.token, running.output) == []
        assert "Traceback" not in running.output


@pytest.fixture(autouse=True)
def _quoting_before_and_after(wallet: FaultyWallet, bot: BotProcess) -> Iterator[None]:
    bot.wait_for(r"\| quoted$", after=len(bot.lines))
    yield
    wallet.fault = ""


@pytest.mark.parametrize("fault", REASONS)
def test_a_wallet_failure_skips_the_turn_with_its_reason_and_the_wallet_is_used_again_when_it_recovers(
    bot: BotProcess, wallet: FaultyWallet, fault: str
) -> None:
    before = len(bot.lines)
    wallet.fault = fault
    line = bot.wait_for(rf"{TURN}no quote: .*wallet: .*({REASONS[fault]})", timeout=2 * 5, after=before)
    wallet.fault = ""
    quoted = len(wallet.quotes)
    bot.wait_for(r"\| [12] live orders? \| .* quoted$", after=bot.wait_for(r"\| quoted$", after=line))
    assert len(wallet.quotes) > quoted
    assert wallet.max_concurrent == 1


def test_a_wallet_that_keeps_failing_is_called_once_per_turn(bot: BotProcess, wallet: FaultyWallet) -> None:
    wallet.fault = "500"
    line = bot.wait_for("wallet: HTTP 500", after=len(bot.lines))
    turns_before = sum("wallet: HTTP 500" in text for text in bot.lines)
    calls_before = len(wallet.calls)
    for _ in range(5):
        line = bot.wait_for("wallet: HTTP 500", after=line)
    calls = len(wallet.calls) - calls_before
    bot.wait_for("wallet: HTTP 500", after=len(bot.lines))  # so that the line of the last call is there too
    turns = sum("wallet: HTTP 500" in text for text in bot.lines) - turns_before
    assert 4 <= calls <= turns
