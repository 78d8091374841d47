"""Orders that an earlier run left, that the network rejects as a batch, or that reach the chain late: none stays unnoticed."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.fork import Fork
from tests.support.live_sandbox import SHUTDOWN_TIMEOUT, end_with, live_on, orders_on_chain
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

QUOTED = r"\| quoted$"
ORDER_DELAY = 2.0  # s
TERMS: dict[str, Any] = {"product": "future", "price_decimals": 5, "size_decimals": 3, "tick_size": 1, "settlement_asset": "tDAI"}
REORDERING: dict[str, Any] = {
    "assets": {"tDAI": 18},
    "markets": [{"name": "SOL/DAI future", "first_price": "100", "reorders_transactions": True, **TERMS}],
}
DUST = """
dust_turns = 0

def quotes(market, open_volume, max_abs_position, right=quotes):
    global dust_turns
    dust_turns += 1
    orders = right(market, open_volume, max_abs_position)
    if dust_turns < 3:
        return orders
    return [dataclasses.replace(orders[0], size=0.001, price=market.tick)]
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=71) as running:
        yield running


def leave_orders(sandbox: Sandbox, market_id: str) -> list[str]:
    """Have a bot killed while its orders are open; return their ids."""
    price = 90 * 10**5
    terms = {"marketId": market_id, "side": "SIDE_BUY", "price": str(price), "size": "250", "type": "TYPE_LIMIT"}
    order = {**terms, "timeInForce": "TIME_IN_FORCE_GTC"}  # far from the market, so that nobody takes it
    sandbox.call(lambda box: box.chain.submit(box.parties["bot"], {"orderSubmission": order}))
    sandbox.block()
    left = orders_on_chain(sandbox, market_id=market_id)
    assert left
    return left


def test_orders_of_an_earlier_run_are_cancelled_while_the_market_is_suspended(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    leave_orders(sandbox, market_id)
    sandbox.suspend("future")
    sandbox.block()
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for("1 open order on this market was not sent by this bot")
        wait_until(lambda: not orders_on_chain(sandbox, market_id=market_id))
        assert bot.stop() == 0
    assert "Stopped: no open orders left on the market" in bot.lines[-1]


def test_orders_of_an_earlier_run_are_named_if_the_wallet_rejects_the_cancellation(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    (left,) = leave_orders(sandbox, market_id)
    sandbox.fail_wallet(401)
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for("no quote: ")
        assert bot.stop() == 1
    assert f"Stopped: 1 order left on the market, cancel them by hand: {left}" in bot.lines[-1]
    sandbox.fail_wallet()


def test_orders_of_an_earlier_run_are_cancelled_by_a_stop_before_the_first_quote(sandbox: Sandbox, tmp_path: Path) -> None:
    market_id = sandbox.markets["future"]
    leave_orders(sandbox, market_id)
    never = "def quotes(market, open_volume, max_abs_position): raise ZeroDivisionError"
    with Fork(tmp_path, sandbox, market_id, never, loop_interval=60) as bot:
        bot.wait_for("Latest prices are")
        assert bot.stop(signal.SIGTERM) == 0
    assert orders_on_chain(sandbox, market_id=market_id) == []


def test_orders_of_an_earlier_run_are_cancelled_by_a_stop_during_the_start(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    leave_orders(sandbox, market_id)
    sandbox.delay_rest(1)
    with BotProcess(sandbox, market_id, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("Starting new HTTP connection")  # the first call, which asks for assets
        assert end_with(bot, signal.SIGINT) == 0
    assert any("Stopped: no open orders left on the market" in line for line in bot.lines)
    assert orders_on_chain(sandbox, market_id=market_id) == []


def test_a_run_that_sends_nothing_and_has_no_orders_ends_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    never = "def quotes(market, open_volume, max_abs_position): return NoQuote('I only watch')"
    with Fork(tmp_path, sandbox, sandbox.markets["perpetual"], never) as bot:
        bot.wait_for(r"no quote: I only watch$")
        assert bot.stop() == 0
    assert bot.lines[-1].endswith("Stopped: nothing was sent")


def test_a_cancellation_that_the_network_loses_is_sent_again(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    leave_orders(sandbox, market_id)
    sandbox.suspend("future")
    sandbox.lose_transactions(2)
    with BotProcess(sandbox, market_id) as bot:
        wait_until(lambda: not orders_on_chain(sandbox, market_id=market_id))
        assert bot.stop() == 0


def test_a_batch_that_the_network_rejects_leaves_no_old_quotes_and_small_orders_are_left_out(sandbox: Sandbox, tmp_path: Path) -> None:
    market_id = sandbox.markets["future"]
    with Fork(tmp_path, sandbox, market_id, "import dataclasses\n" + DUST) as bot:
        bot.wait_for(r"\| no quote: (order value|wallet: HTTP 400, Network error: .*order value)")
        line = bot.wait_for(r"\| no quote: order value .* is below the network's minimum of ")
        bot.wait_for(r"\| 0 live orders \| .*no quote: order value", after=line)
        assert orders_on_chain(sandbox, market_id=market_id) == []
        assert bot.stop() == 0


def test_stops_at_random_moments_on_a_market_that_reorders_leave_no_order() -> None:
    chance = random.Random(5)
    with Sandbox(block_time=0.5, seed=72, markets=REORDERING) as sandbox:
        (market_id,) = sandbox.chain.markets
        for _ in range(3):
            with BotProcess(sandbox, market_id) as bot:
                line = bot.wait_for(QUOTED)
                for _ in range(chance.randrange(3)):
                    line = bot.wait_for("Latest prices are", after=line)
                assert bot.stop() == 0
            sandbox.block(6)
            assert orders_on_chain(sandbox, market_id=market_id) == []


def test_orders_that_the_wallet_hands_on_late_are_cancelled_by_the_end(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for(QUOTED)
        sandbox.delay_transactions(1.0)
        bot.wait_for(QUOTED, after=len(bot.lines))
        status = bot.stop()
    sandbox.delay_transactions()
    sandbox.block(8)
    left = live_on(sandbox, market_id)
    assert (status == 1) or left == []  # either it is sure, or it says that it is not


def test_orders_that_come_seconds_after_the_cancellation_are_cancelled_by_the_end(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for(QUOTED)
        sandbox.delay_transactions(ORDER_DELAY)
        bot.wait_for(QUOTED, after=len(bot.lines))
        sandbox.delay_transactions()  # so the cancellation overtakes the orders
        assert bot.stop() == 0
    ended_at = time.monotonic()
    wait_until(lambda: time.monotonic() - ended_at > 2 * ORDER_DELAY)
    sandbox.block(8)
    assert orders_on_chain(sandbox, market_id=market_id) == []


def test_the_end_says_that_more_may_come_while_the_chain_stands_still(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["future"]
    with BotProcess(sandbox, market_id) as bot:
        bot.wait_for(QUOTED)
        sandbox.pause_chain(60)
        bot.signal(signal.SIGINT)
        assert bot.finish(timeout=2 * SHUTDOWN_TIMEOUT) == 1
    assert "left on the market" in bot.lines[-1]
