"""A wallet that gives no response, or none that can be parsed, and executes the orders nevertheless."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.live_sandbox import end_with, orders_on_chain
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until


@pytest.fixture
def quiet() -> Iterator[Sandbox]:
    """A sandbox where one party quotes on the future and nobody trades, so that the bot's orders stay open."""
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
    """A wallet that holds the bot's orders without a response, until `release` executes them."""
    with FaultyWallet(quiet.wallet_url) as running:
        running.fault = "held"
        yield running


def test_orders_that_the_wallet_executes_after_the_last_cancel_are_cancelled_and_the_bot_warns_of_more(
    quiet: Sandbox, slow_wallet: FaultyWallet
) -> None:
    with BotProcess(quiet, quiet.markets["future"], WALLET_URL=slow_wallet.url) as bot:
        bot.wait_for("no answer within 3 s")
        slow_wallet.fault = ""
        wait_until(lambda: orders_on_chain(quiet) != [])
        bot.signal(signal.SIGINT)
        wait_until(lambda: orders_on_chain(quiet) == [])
        slow_wallet.release()
        wait_until(lambda: len(slow_wallet.cancels) > 1)
        assert end_with(bot) == 1
    assert bot.lines[-1].endswith("the wallet has not answered for some orders, and may still send them")
    assert orders_on_chain(quiet) == []


def test_the_end_names_open_orders_and_warns_of_those_that_the_wallet_has_not_answered_for(
    quiet: Sandbox, slow_wallet: FaultyWallet
) -> None:
    slow_wallet.fault = ""
    with BotProcess(quiet, quiet.markets["future"], WALLET_URL=slow_wallet.url) as bot:
        wait_until(lambda: orders_on_chain(quiet) != [])
        slow_wallet.fault = "held"
        bot.wait_for("no answer within 3 s")
        slow_wallet.fault = "500"
        left = orders_on_chain(quiet)
        assert end_with(bot, signal.SIGINT) == 1
        slow_wallet.fault = ""
        slow_wallet.release()
    named = "(" + "|".join(left) + ")"
    assert re.search(rf"cancel them by hand: {named}, {named}; the wallet has not answered for some orders", bot.lines[-1])


def test_orders_that_the_wallet_executes_after_the_market_was_suspended_are_cancelled(quiet: Sandbox, slow_wallet: FaultyWallet) -> None:
    with BotProcess(quiet, quiet.markets["future"], WALLET_URL=slow_wallet.url) as bot:
        bot.wait_for("no answer within 3 s")
        slow_wallet.fault = ""
        quiet.suspend("future")
        bot.wait_for("no quote: market is STATE_SUSPENDED")
        slow_wallet.release()
        wait_until(lambda: orders_on_chain(quiet) != [])
        wait_until(lambda: orders_on_chain(quiet) == [])
        assert end_with(bot, signal.SIGINT) == 1


def test_after_a_response_that_cannot_be_parsed_orders_may_have_been_sent(quiet: Sandbox) -> None:
    with FaultyWallet(quiet.wallet_url) as wallet, BotProcess(quiet, quiet.markets["future"], WALLET_URL=wallet.url) as bot:
        wallet.fault = "executed, HTML"
        bot.wait_for("no quote: wallet: HTTP 200, <!doctype html>")
        wait_until(lambda: orders_on_chain(quiet) != [])
        bot.signal(signal.SIGINT)
        wait_until(lambda: wallet.cancels != [])
        assert end_with(bot) == 1
    assert "nothing was sent" not in bot.output
    assert orders_on_chain(quiet) == []


def test_orders_that_were_seen_last_are_named_if_the_node_does_not_answer_at_the_end(quiet: Sandbox) -> None:
    with BotProcess(quiet, quiet.markets["future"]) as bot:
        bot.wait_for(r"\| 2 live orders \|")
        quiet.fail_rest(503)
        quiet.fail_wallet(401)
        left = orders_on_chain(quiet)
        assert end_with(bot, signal.SIGTERM) == 1
    assert re.search(r"orders may be left .*: GET orders\S*: HTTP 503.*; open when last seen: ", bot.lines[-1])
    assert [order_id for order_id in left if order_id not in bot.lines[-1]] == []
