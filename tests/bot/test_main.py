"""`python -m main` in a process of its own, on the sandbox: the page's promise, and when not to quote."""

import itertools
import signal
from datetime import datetime
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.live_sandbox import CRASH, TURN, fills, live_on, turns
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

###########################################################
#                   The page's promise                    #
###########################################################


def test_the_first_turn_quotes(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        first = bot.wait_for(TURN.pattern)
        assert bot.stop() == 0
    assert bot.lines[first - 1].endswith("| quoted")


@pytest.mark.parametrize("product", ["future", "perpetual", "spot"])
def test_the_bot_is_filled_and_leaves_no_order_behind(sandbox: Sandbox, product: str) -> None:
    market_id = sandbox.markets[product]
    before = fills(sandbox, market_id)
    with BotProcess(sandbox, market_id) as bot:
        wait_until(lambda: fills(sandbox, market_id) > before)
        assert bot.stop(signal.SIGTERM if product == "spot" else signal.SIGINT) == 0
    assert live_on(sandbox, market_id) == []
    assert "Stopped: no open orders left on the market" in bot.lines[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_bot_with_no_order_left(sandbox: Sandbox, future: str, number: int) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"[12] live orders? .* quoted$")
        assert bot.stop(number) == 0
    assert live_on(sandbox, future) == []


def test_ctrl_c_works_where_the_shell_has_sigint_ignored(sandbox: Sandbox, future: str) -> None:
    ignored = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, '-m', 'main'])"
    )
    with BotProcess(sandbox, future, command=("-c", ignored)) as bot:
        bot.wait_for(r"\| quoted$")
        assert bot.stop() == 0


def test_each_turn_ends_in_one_line_with_the_outcome_last(bot: BotProcess) -> None:
    bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$"))
    turn = turns(bot)[0]
    assert float(turn["bid"]) < float(turn["offer"])
    assert float(turn["age"]) < 5
    assert turn["outcome"] == "quoted"
    assert [line for line in bot.lines if not TURN.match(line)] == []


def test_turns_begin_a_second_apart(bot: BotProcess, sandbox: Sandbox) -> None:
    sandbox.delay_wallet(1.5)
    line = len(bot.lines)
    for _ in range(6):
        line = bot.wait_for(TURN.pattern, after=line)
    sandbox.delay_wallet()
    times = [datetime.strptime(text[11:23], "%H:%M:%S,%f") for text in bot.lines if TURN.match(text)]
    periods = [(after - before).total_seconds() % 86400 for before, after in itertools.pairwise(times[-5:])]
    assert min(periods) < 2.4  # the page's would be 2.5: the wallet's time and a second on top


def test_filling_what_is_quoted_would_not_pass_the_maximum(bot: BotProcess, sandbox: Sandbox, future: str) -> None:
    for _ in range(5):
        bot.wait_for(TURN.pattern, after=len(bot.lines))
    decimals: int = sandbox.call(lambda box: box.chain.markets[future].size_decimals)
    orders = sandbox.call(lambda box: [o for o in box.chain.orders.values() if o.party_id == box.parties["bot"] and o.market_id == future])
    assert orders
    assert max(order.size for order in orders) <= 10**decimals


def test_on_a_spot_market_the_position_is_the_change_of_the_base_balance(sandbox: Sandbox) -> None:
    market_id = sandbox.markets["spot"]

    def base_balance() -> int:
        def balance(box: Any) -> int:
            base = box.chain.markets[market_id].base_asset.id
            own = (a for a in box.chain.accounts.values() if a.owner == box.parties["bot"] and a.asset_id == base)
            return sum(account.balance for account in own)

        return int(sandbox.call(balance))

    decimals: int = sandbox.call(lambda box: box.chain.markets[market_id].base_asset.decimals)
    before, filled = base_balance(), fills(sandbox, market_id)
    with BotProcess(sandbox, market_id) as bot:
        wait_until(lambda: fills(sandbox, market_id) > filled)
        sandbox.hold_blocks()
        bot.wait_for(TURN.pattern, after=len(bot.lines))
        bot.wait_for(TURN.pattern, after=len(bot.lines))
        assert float(turns(bot)[-1]["position"]) == pytest.approx((base_balance() - before) / 10**decimals, abs=1e-9)
        sandbox.hold_blocks(on=False)
        assert bot.stop() == 0


###########################################################
#                        No quotes                        #
###########################################################


def test_no_quote_is_sent_on_data_older_than_five_seconds_and_open_orders_are_cancelled(
    bot: BotProcess, sandbox: Sandbox, future: str
) -> None:
    sandbox.silence_streams("markets/data")
    line = bot.wait_for(r"data [0-9.]+ s old \| no quote: data is older than 5 s")
    assert all(float(turn["age"]) <= 5 for turn in turns(bot) if turn["outcome"] == "quoted")
    wait_until(lambda: not live_on(sandbox, future))
    sandbox.silence_streams("markets/data", on=False)
    bot.wait_for(r"\| quoted$", after=line)


def test_a_suspended_market_gets_no_quotes_until_it_resumes(bot: BotProcess, sandbox: Sandbox, future: str) -> None:
    sandbox.suspend(future)
    line = bot.wait_for("no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE, TRADING_MODE_SUSPENDED_VIA_GOVERNANCE$")
    bot.wait_for(r"\| 0 live orders \| .* no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE", after=line - 1)
    assert live_on(sandbox, future) == []
    sandbox.resume(future)
    bot.wait_for(r"\| quoted$", after=line)


def test_an_empty_side_gets_no_quotes(bot: BotProcess, sandbox: Sandbox, future: str) -> None:
    sandbox.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED")  # so that the bot's own quotes do not fill it
    sandbox.empty_side(future, "SIDE_BUY")
    line = bot.wait_for(r"Latest prices are 0 - .* \| no quote: a side of the book is empty$")
    sandbox.reject_orders()
    sandbox.refill_side(future, "SIDE_BUY")
    bot.wait_for(r"\| quoted$", after=line)


def test_a_rejected_order_is_logged_with_its_reason(bot: BotProcess, sandbox: Sandbox) -> None:
    sandbox.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED")
    bot.wait_for("order [0-9a-f]{64}: STATUS_REJECTED, ORDER_ERROR_MARGIN_CHECK_FAILED$")


def test_a_wallet_error_is_in_the_turn_line_and_the_wallet_is_used_again_when_it_answers(bot: BotProcess, sandbox: Sandbox) -> None:
    sandbox.fail_wallet(500)
    line = bot.wait_for("no quote: wallet: HTTP 500, ")
    sandbox.fail_wallet()
    bot.wait_for(r"\| quoted$", after=line)


def test_a_wrong_token_gets_the_wallets_message_and_a_hint(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_TOKEN="c0ffee") as bot:
        bot.wait_for("no quote: wallet: HTTP 401, .*token.*WALLET_TOKEN")
        bot.stop()
    assert "c0ffee" not in bot.output
    assert "Traceback" not in bot.output


def test_no_quote_is_sent_on_a_position_that_no_stream_keeps(bot: BotProcess, sandbox: Sandbox, future: str) -> None:
    bot.wait_for(r"\| quoted$")
    sandbox.fail_handshakes(503)
    sandbox.drop_streams("reset", "positions")
    line = bot.wait_for(r"data [0-4]\.[0-9] s old \| no quote: waiting for the positions stream$", timeout=20)
    bot.wait_for(r"\| 0 live orders \| .* no quote: waiting for the positions stream$", after=line - 1)
    assert live_on(sandbox, future) == []
    sandbox.fail_handshakes()
    bot.wait_for(r"\| quoted$", after=line)


@pytest.mark.parametrize("change", ["price=-5.0", "price=0.0", "size=1e-9"])
def test_orders_that_the_network_would_drop_without_a_message_are_an_error(sandbox: Sandbox, future: str, change: str) -> None:
    sabotage = f"rule = main.quotes\nmain.quotes = lambda *given: [main.dataclasses.replace(order, {change}) for order in rule(*given)]"
    with BotProcess(
        sandbox, future, command=("-c", CRASH.format(sabotage="import dataclasses; main.dataclasses = dataclasses\n" + sabotage))
    ) as bot:
        bot.wait_for("ValueError: size and price must be at least one step of the market")
        bot.wait_for(r"\| no quote: quotes\(\) failed$")
        assert bot.stop() == 0
