"""The bot on markets that do not trade, and on a network that rejects its orders."""

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.fork import Fork
from tests.support.live_sandbox import orders_on_chain
from tests.support.processes import Process
from tests.support.waiting import wait_until

TURN = "Latest prices are "
QUOTED = r"\| quoted$"
NOT_TRADING = [
    ("STATE_SUSPENDED_VIA_GOVERNANCE", "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE"),
    ("STATE_SUSPENDED", "TRADING_MODE_MONITORING_AUCTION"),
    ("STATE_ACTIVE", "TRADING_MODE_BATCH_AUCTION"),
]
ENDED = ["STATE_CLOSED", "STATE_SETTLED", "STATE_CANCELLED", "STATE_REJECTED"]
TERMS = {"product": "future", "price_decimals": 5, "size_decimals": 3, "tick_size": 1, "settlement_asset": "tDAI", "first_price": "100"}
FOUR_MARKETS: dict[str, Any] = {"assets": {"tDAI": 18}, "markets": [{"name": name, **TERMS} for name in ENDED]}
TAKE_AT_A_PRICE_WITHOUT_OFFERS = """
def quotes(market, open_volume, max_abs_position):
    terms = {"market_id": market.market_id, "size": 1, "type": "TYPE_LIMIT", "time_in_force": "TIME_IN_FORCE_IOC"}
    return [sub.OrderSubmission(side="SIDE_BUY", price=market.best_bid_price / 2, **terms)]
"""
RUN_FOR_SIX_SECONDS = """
import time

def quotes(market, open_volume, max_abs_position, good_quotes=quotes):
    if not has_run:
        has_run.append(time.sleep(6))
    return good_quotes(market, open_volume, max_abs_position)

has_run = []
"""
SELF_TRADING = """
def quotes(market, open_volume, max_abs_position):
    middle = (market.best_bid_price + market.best_offer_price) / 2
    terms = {"market_id": market.market_id, "size": 1, "type": "TYPE_LIMIT", "time_in_force": "TIME_IN_FORCE_GTC", "price": middle}
    return [sub.OrderSubmission(side="SIDE_BUY", **terms), sub.OrderSubmission(side="SIDE_SELL", **terms)]
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.1, seed=51) as running:
        yield running


@pytest.fixture(scope="module")
def wallet(sandbox: Sandbox) -> Iterator[FaultyWallet]:
    with FaultyWallet(sandbox.wallet_url) as running:
        yield running


@pytest.fixture(scope="module")
def fork(sandbox: Sandbox, wallet: FaultyWallet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fork]:
    folder = tmp_path_factory.mktemp("fork")
    with Fork(folder, sandbox, sandbox.markets["future"], WALLET_URL=wallet.url) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def bot(sandbox: Sandbox, wallet: FaultyWallet, fork: Fork) -> Iterator[Fork]:
    """One bot for many tests. It has open orders when a test begins."""
    fork.wait_for(rf"\| [12] live orders? .*{QUOTED}", after=len(fork.lines))
    yield fork
    wallet.fault = ""
    sandbox.reset()


def turns(bot: Process, count: int, after: int) -> int:
    """Wait for some turns; return the number of the last one's line."""
    for _ in range(count):
        after = bot.wait_for(TURN, after=after)
    return after


###########################################################
#                        No trading                       #
###########################################################


@pytest.mark.parametrize(("state", "mode"), NOT_TRADING)
def test_on_a_market_that_does_not_trade_orders_are_cancelled_and_quotes_resume_with_trading(
    sandbox: Sandbox, wallet: FaultyWallet, bot: Fork, state: str, mode: str
) -> None:
    cancels = len(wallet.cancels)
    sandbox.set_state("future", state, mode)
    line = bot.wait_for(f"no quote: market is {state}, {mode}$", after=len(bot.lines))
    quotes = len(wallet.quotes)
    wait_until(lambda: orders_on_chain(sandbox, market_id=sandbox.markets["future"]) == [])
    line = turns(bot, 4, after=line)
    assert len(wallet.quotes) == quotes
    assert len(wallet.cancels) > cancels
    sandbox.resume("future")
    bot.wait_for(QUOTED, after=line)


def test_a_cancel_that_the_wallet_rejects_is_sent_again(sandbox: Sandbox, wallet: FaultyWallet, bot: Fork) -> None:
    wallet.fault = "500"
    sandbox.suspend("future")
    line = bot.wait_for("no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE, [A-Z_, ]+; cancelling failed: wallet: HTTP 500")
    wallet.fault = ""
    bot.wait_for(r"\| 0 live orders \| .*no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE, \w+$", after=line)
    assert orders_on_chain(sandbox, market_id=sandbox.markets["future"]) == []


@pytest.mark.parametrize("sides", [["SIDE_SELL"], ["SIDE_BUY", "SIDE_SELL"]])
def test_an_empty_side_of_the_book_stops_quoting_until_it_is_filled(
    sandbox: Sandbox, wallet: FaultyWallet, bot: Fork, sides: list[str]
) -> None:
    wallet.fault = "500"  # so that quotes in flight do not fill the side again
    bot.wait_for("HTTP 500", after=len(bot.lines))
    for side in sides:
        sandbox.empty_side("future", side)
    prices = "0 - 0" if len(sides) == 2 else "[0-9.]+ - 0"
    line = bot.wait_for(rf"prices are {prices} \| .* no quote: a side of the book is empty(; cancelling failed|$)", after=len(bot.lines))
    wallet.fault = ""
    quotes = len(wallet.quotes)
    line = turns(bot, 4, after=line)
    assert len(wallet.quotes) == quotes
    for side in sides:
        sandbox.refill_side("future", side)
    bot.wait_for(QUOTED, after=line)


def test_quotes_that_took_longer_than_five_seconds_are_not_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    with FaultyWallet() as wallet, Fork(tmp_path, sandbox, sandbox.markets["spot"], RUN_FOR_SIX_SECONDS, WALLET_URL=wallet.url) as bot:
        line = bot.wait_for(TURN)
        assert bot.lines[line - 1].endswith("| no quote: data became older than 5 s while quotes() ran")
        bot.wait_for(QUOTED, after=line)
        assert bot.stop() == 0
        assert len(wallet.quotes) == sum(text.endswith("| quoted") for text in bot.lines)  # and none for that turn


def test_a_market_that_ends_for_good_ends_the_bot_with_a_clear_message_and_no_order(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(block_time=0.25, seed=52, markets=FOUR_MARKETS))
        markets = dict(zip(ENDED, sandbox.chain.markets, strict=False))
        bots = {state: stack.enter_context(Fork(tmp_path, sandbox, market_id)) for state, market_id in markets.items()}
        for bot in bots.values():
            bot.wait_for(rf"[12] live orders? .*{QUOTED}", timeout=60)
        for state, market_id in markets.items():
            sandbox.set_state(market_id, state, "TRADING_MODE_NO_TRADING")
        for state, bot in bots.items():
            assert bot.finish() == 0, bot.output
            assert f"Market {markets[state]} is {state}: nothing is left to quote\n" in bot.output
            assert "Stopped: no open orders left on the market" in bot.lines[-1]
        assert orders_on_chain(sandbox) == []


def test_the_bot_waits_for_a_market_that_is_not_open_yet_and_not_for_one_that_has_ended(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(block_time=0.1, seed=53, markets=FOUR_MARKETS))
        wallet = stack.enter_context(FaultyWallet(sandbox.wallet_url))
        states = ("STATE_PENDING", "STATE_PROPOSED", "STATE_SETTLED")
        markets = dict(zip(states, sandbox.chain.markets, strict=False))
        for state, market_id in markets.items():
            sandbox.set_state(market_id, state, "TRADING_MODE_NO_TRADING" if state == "STATE_SETTLED" else "TRADING_MODE_OPENING_AUCTION")
        sandbox.block()
        bots = {state: stack.enter_context(Fork(tmp_path, sandbox, market, WALLET_URL=wallet.url)) for state, market in markets.items()}
        assert bots["STATE_SETTLED"].finish() == 0
        assert "is STATE_SETTLED: nothing is left to quote" in bots["STATE_SETTLED"].output
        for state in states[:2]:
            line = bots[state].wait_for(rf"no quote: market is not open yet \({state}\)$")
            turns(bots[state], 3, after=line)
        assert wallet.calls == []
        for state in states[:2]:
            sandbox.resume(markets[state])
            bots[state].wait_for(QUOTED)
            assert bots[state].stop(signal.SIGTERM) == 0


###########################################################
#                     Rejected orders                     #
###########################################################


@pytest.fixture
def quiet_sandbox() -> Iterator[Sandbox]:
    """A market with one bid and one offer that stay, so that only orders of the bot are rejected."""
    with Sandbox(block_time=0.1, seed=54, traders=False) as sandbox:
        market_id, party = sandbox.markets["future"], sandbox.parties["a"]
        terms = {"marketId": market_id, "size": "7000", "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
        orders = [{**terms, "side": side, "price": price} for side, price in (("SIDE_BUY", "9990000"), ("SIDE_SELL", "10010000"))]
        sandbox.call(lambda box: [box.chain.submit(party, {"orderSubmission": order}) for order in orders])
        sandbox.block()
        yield sandbox


def test_after_ten_rejections_in_a_row_the_bot_tries_every_tenth_turn_until_an_order_is_accepted(
    quiet_sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox, market_id = quiet_sandbox, quiet_sandbox.markets["future"]
    with Fork(tmp_path, sandbox, market_id, loop_interval=0.15) as bot:
        bot.wait_for(QUOTED)
        sandbox.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED")
        waiting = r"no quote: \d+ orders in a row were rejected \(ORDER_ERROR_MARGIN_CHECK_FAILED\), trying every 10th turn$"
        line = bot.wait_for(waiting)
        rejected = [text for text in bot.lines if text.endswith("STATUS_REJECTED, ORDER_ERROR_MARGIN_CHECK_FAILED")]
        assert len(rejected) >= 10
        last = turns(bot, 20, after=line)
        outcomes = [re.search(waiting, text) is None for text in bot.lines[line:last] if TURN in text]
        assert [index % 10 for index, is_try in enumerate(outcomes) if is_try] == [outcomes.index(True)] * 2  # every tenth turn
        line = last
        sandbox.reject_orders()
        line = bot.wait_for(rf"\| 2 live orders .*{QUOTED}", after=line)
        for _ in range(3):
            line = bot.wait_for(QUOTED, after=line)


def test_stopped_orders_are_logged_and_count_as_rejected_if_they_have_a_reason(sandbox: Sandbox, tmp_path: Path) -> None:
    markets = sandbox.markets
    with Fork(tmp_path, sandbox, markets["perpetual"], TAKE_AT_A_PRICE_WITHOUT_OFFERS) as taker:
        for _ in range(12):  # normal for an order that takes what is there, or nothing: it does not count
            taker.wait_for("order [0-9a-f]{64}: STATUS_STOPPED, no reason given$", after=len(taker.lines))
        assert "in a row were rejected" not in taker.output
    with Fork(tmp_path, sandbox, markets["spot"], SELF_TRADING) as itself:
        itself.wait_for("order [0-9a-f]{64}: STATUS_STOPPED, ORDER_ERROR_SELF_TRADING$")
