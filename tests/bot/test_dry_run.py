"""DRY_RUN=true: the bot reads a node, shows what it would quote, and sends nothing, whatever happens."""

import re
import signal

import pytest

import bot.submission as sub
from bot.wallet import VegaWallet
from tests.sandbox import Sandbox
from tests.support.http_replay import Replay
from tests.support.live_sandbox import live_on
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")
WOULD_QUOTE = r"\| would quote: buy [0-9.]+ at [0-9.]+, sell [0-9.]+ at [0-9.]+$"


def test_a_dry_run_shows_what_it_would_quote_and_needs_no_wallet(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future, DRY_RUN="true", WALLET_URL="", WALLET_TOKEN="", LOOP_INTERVAL="0.2") as bot:
        line = 0
        for _ in range(3):
            line = bot.wait_for(WOULD_QUOTE, after=line)
        assert bot.stop() == 0
    turn = re.search(r"prices are ([0-9.]+) - ([0-9.]+) .* at ([0-9.]+), sell .* at ([0-9.]+)$", bot.lines[line - 1])
    assert turn
    assert (turn[1], turn[2]) == (turn[3], turn[4])
    assert bot.lines[-1].endswith("Stopped: dry run, nothing was sent; 0 open orders on the market")


def test_a_dry_run_cancels_nothing_and_names_the_open_orders_that_it_leaves(sandbox: Sandbox, future: str) -> None:
    order = sub.OrderSubmission(future, 1, 50.0, "TIME_IN_FORCE_GTC", "TYPE_LIMIT", "SIDE_BUY")  # far from the market
    own_wallet = VegaWallet(sandbox.token, sandbox.wallet_url, sandbox.parties["bot"])
    own_wallet.submit_transaction(sub.instruction_to_json(sub.BatchMarketInstruction([order], [], []), 5, 3))
    wait_until(lambda: live_on(sandbox, future))
    (left,) = [node["id"] for node in live_on(sandbox, future)]
    with Replay() as wallet, BotProcess(sandbox, future, DRY_RUN="true", WALLET_URL=wallet.url, LOOP_INTERVAL="0.2") as bot:
        line = bot.wait_for(rf"\| 1 live order .*{WOULD_QUOTE}")
        sandbox.suspend("future")
        bot.wait_for("no quote: market is STATE_SUSPENDED", after=bot.wait_for("no quote: market is STATE_SUSPENDED", after=line))
        assert bot.stop(signal.SIGTERM) == 0
        assert wallet.connections == []
    assert f"Stopped: dry run, nothing was sent; 1 open order on the market: {left}" in bot.lines[-1]
    assert [node["id"] for node in live_on(sandbox, future)] == [left]
