"""A wallet that gives no answer, or none that can be read, and carries the orders out all the same."""

import signal
from collections.abc import Iterator

import pytest

from tests.faults.test_end import end, live
from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until


@pytest.fixture
def quiet() -> Iterator[Sandbox]:
    """A sandbox on whose future one party quotes and nobody trades, so that the bot's orders stay."""
    with Sandbox(block_time=0.1, seed=67, traders=False) as running:
        running.call(quote_both_sides)
        yield running


def quote_both_sides(box: Sandbox) -> None:
    market = box.chain.markets[box.markets["future"]]
    terms = {"marketId": market.id, "size": "7", "timeInForce": "TIME_IN_FORCE_GTC", "type": "TYPE_LIMIT"}
    for side, ticks in (("SIDE_BUY", -300), ("SIDE_SELL", 500)):
        order = {**terms, "side": side, "price": str(market.mark_price + ticks * market.tick_size)}
        box.chain.submit(box.parties["a"], {"orderSubmission": order})


@pytest.fixture
def slow_wallet(quiet: Sandbox) -> Iterator[FaultyWallet]:
    """A wallet that has given no answer to the bot's quotes, and carries them out when it is told to; it answers again."""
    with FaultyWallet(quiet.wallet_url) as running:
        running.fault = "held"
        yield running


def test_what_the_wallet_carries_out_behind_the_cancel_is_cancelled_too_and_more_may_come(
    quiet: Sandbox, slow_wallet: FaultyWallet
) -> None:
    with BotProcess(quiet, quiet.markets["future"], WALLET_URL=slow_wallet.url) as bot:
        bot.wait_for("no answer within 3 s")
        slow_wallet.fault = ""
        wait_until(lambda: live(quiet) != [])
        bot.signal(signal.SIGINT)
        wait_until(lambda: live(quiet) == [])
        slow_wallet.release()
        wait_until(lambda: len(slow_wallet.cancels) > 1)
        assert end(bot) == 1
    assert bot.lines[-1].endswith("the wallet has not answered for some of them, and may still send them")
    assert live(quiet) == []


def test_what_the_wallet_carries_out_behind_the_pull_is_pulled_too(quiet: Sandbox, slow_wallet: FaultyWallet) -> None:
    with BotProcess(quiet, quiet.markets["future"], WALLET_URL=slow_wallet.url) as bot:
        bot.wait_for("no answer within 3 s")
        slow_wallet.fault = ""
        quiet.suspend("future")
        bot.wait_for("no quote: market is STATE_SUSPENDED")
        slow_wallet.release()
        wait_until(lambda: live(quiet) != [])
        wait_until(lambda: live(quiet) == [])
        assert end(bot, signal.SIGINT) == 1


def test_a_wallet_whose_answers_nobody_can_read_may_have_sent_orders(quiet: Sandbox) -> None:
    with FaultyWallet(quiet.wallet_url) as wallet, BotProcess(quiet, quiet.markets["future"], WALLET_URL=wallet.url) as bot:
        wallet.fault = "taken, HTML"
        bot.wait_for("no quote: wallet: HTTP 200, <!doctype html>")
        wait_until(lambda: live(quiet) != [])
        bot.signal(signal.SIGINT)
        wait_until(lambda: wallet.cancels != [])
        assert end(bot) == 1
    assert "nothing was sent" not in bot.output
    assert live(quiet) == []
