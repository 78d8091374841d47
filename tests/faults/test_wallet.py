"""The bot on a wallet that fails in every way: each turn's line says how, there is a next turn, and nothing is asked twice at once."""

from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet, shown
from tests.support.fork import FAST, Fork
from tests.support.processes import BotProcess

TURN = r"Latest prices are .* \| "
TORN = "no answer within|IncompleteRead|Remote end closed connection"
NO_ANSWER = r"no answer within [0-9.]+ s; the transaction may still be carried out"
REASONS = {
    "refused": "Connection refused .check WALLET_URL",
    "hangs": NO_ANSWER,
    "401": "HTTP 401, Internal error: this wallet answers 401",
    "400": "HTTP 400, Internal error: this wallet answers 400",
    "500": "HTTP 500, Internal error: this wallet answers 500",
    "HTML": "HTTP 200, <!doctype html><html><head><title>It works!</title></head><body> <h1>nginx</h1></body></html>",
    "late": NO_ANSWER,
    "trickles": TORN,
    "cut": TORN,
    "drops": TORN,
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
    """One bot for all tests here: each leaves it quoting."""
    with Fork(
        tmp_path_factory.mktemp("fork"), sandbox, sandbox.markets["future"], FAST, WALLET_URL=wallet.url, LOG_LEVEL="DEBUG"
    ) as running:
        yield running
        running.stop()
        assert shown(sandbox.token, running.output) == []
        assert "Traceback" not in running.output


@pytest.fixture(autouse=True)
def _quoting_before_and_after(wallet: FaultyWallet, bot: BotProcess) -> Iterator[None]:
    bot.wait_for(r"\| quoted$", after=len(bot.lines))
    yield
    wallet.fault = ""


@pytest.mark.parametrize("fault", REASONS)
def test_a_wallet_that_fails_costs_a_turn_with_its_reason_and_is_used_again_when_it_recovers(
    bot: BotProcess, wallet: FaultyWallet, fault: str
) -> None:
    before = len(bot.lines)
    wallet.fault = fault
    line = bot.wait_for(rf"{TURN}no quote: wallet: .*({REASONS[fault]})", seconds=10, after=before)  # twice the five seconds
    wallet.fault = ""
    quoted = len(wallet.quotes)
    bot.wait_for(r"\| [12] live orders \| .* quoted$", after=bot.wait_for(r"\| quoted$", after=line))
    assert len(wallet.quotes) > quoted
    assert wallet.most_at_once == 1


def test_a_wallet_that_goes_on_failing_is_asked_once_a_turn(bot: BotProcess, wallet: FaultyWallet) -> None:
    wallet.fault = "500"
    first = bot.wait_for("wallet: HTTP 500", after=len(bot.lines))
    asked, line = len(wallet.calls), first
    for _ in range(5):
        line = bot.wait_for("wallet: HTTP 500", after=line)
    assert len(wallet.calls) - asked in (4, 5, 6)
