"""`python -m main` in a process of its own, on the sandbox: how it starts, how it ends, and what is left on the node."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from bot.execution.shutdown import START_RETRY_DELAY
from tests.sandbox import Sandbox
from tests.support.live_sandbox import CRASH, live_on, repeat_signal
from tests.support.processes import BotProcess, Process

pytestmark = pytest.mark.usefixtures("healthy")

###########################################################
#                      Settings, start                    #
###########################################################


def test_a_market_that_the_node_does_not_know_is_one_clear_line(sandbox: Sandbox) -> None:
    with BotProcess(sandbox, "0" * 64) as bot:
        assert bot.finish() == 1
    assert bot.lines[-1].endswith("HTTP 404, failed to get market for ID: no resource corresponding to this id")
    assert len(bot.lines) == 1


def test_a_party_without_accounts_is_one_clear_line(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future, PARTY_ID="ab" * 32) as bot:
        assert bot.finish() == 1
    assert "has no accounts" in bot.lines[-1]
    assert len(bot.lines) == 1


def test_a_node_that_cannot_be_reached_for_thirty_seconds_is_one_clear_line(sandbox: Sandbox, future: str) -> None:
    began = time.monotonic()
    with BotProcess(sandbox, future, NODE_URL="http://127.0.0.1:9/api/v2") as bot:
        assert bot.finish(timeout=60) == 1
    assert time.monotonic() - began >= 30 - START_RETRY_DELAY  # no attempt begins after the thirty seconds
    assert re.search("Cannot start: GET assets: no answer from http://127.0.0.1:9/api/v2: .*Connection refused", bot.lines[-1])
    assert "Traceback" not in bot.output


def test_ctrl_c_while_starting_ends_at_once_with_nothing_sent(sandbox: Sandbox, future: str) -> None:
    sandbox.delay_rest(20)
    with BotProcess(sandbox, future, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("Starting new HTTP connection")
        began = time.monotonic()
        assert bot.stop() == 0
        assert time.monotonic() - began < 10
    assert any(line.endswith("Stopped while starting; nothing was sent") for line in bot.lines)


###########################################################
#                          The end                        #
###########################################################


def test_a_terminal_that_is_closed_leaves_no_order_behind(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"[12] live orders? .* quoted$")
        assert bot.stop(signal.SIGHUP) == 0
    assert live_on(sandbox, future) == []


def test_orders_that_cannot_be_cancelled_are_named_with_status_1(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"[12] live orders? .* quoted$")
        sandbox.hold_blocks()  # so that nobody fills them meanwhile
        while not live_on(sandbox, future):
            bot.wait_for(r"\| quoted$", after=len(bot.lines))
            sandbox.block(1)
        sandbox.fail_wallet(500)
        assert bot.stop() == 1
    left = [order["id"] for order in live_on(sandbox, future)]
    assert f"{len(left)} order" in bot.lines[-1]
    assert "left on the market, cancel them by hand: " in bot.lines[-1]
    assert all(order_id in bot.lines[-1] for order_id in left)
    assert sum("Cancelling all orders failed: wallet: HTTP 500" in line for line in bot.lines) == 3
    sandbox.fail_wallet()


def test_a_cancellation_that_was_never_accepted_leaves_doubt_even_if_no_order_is_seen(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"\| quoted$")
        sandbox.fail_wallet(500)
        bot.wait_for("no quote: wallet: HTTP 500")
        sandbox.set_state(future, "STATE_SUSPENDED", "TRADING_MODE_MONITORING_AUCTION")
        sandbox.empty_side(future, "SIDE_BUY")
        sandbox.empty_side(future, "SIDE_SELL")
        sandbox.block(2)
        assert live_on(sandbox, future) == []
        assert bot.stop() == 1
    assert "orders may be left on the market" in bot.lines[-1]


def test_a_second_signal_within_a_second_is_the_same_stop(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"[12] live orders? .* quoted$")
        for _ in range(3):  # as a task runner does, or a terminal whose Ctrl+C reaches the whole process group
            bot.signal(signal.SIGINT)
        assert bot.finish() == 0
    assert "Stopping: cancelling all orders on the market" in bot.output
    assert "Stopped: no open orders left on the market" in bot.lines[-1]
    assert live_on(sandbox, future) == []


def test_a_second_signal_ends_at_once_and_says_what_may_be_left(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future) as bot:
        bot.wait_for(r"\| quoted$")
        sandbox.delay_wallet(20)
        bot.wait_for("no answer within")
        bot.signal(signal.SIGINT)
        assert repeat_signal(bot, signal.SIGTERM) == 1
    assert bot.lines[-1] == "Second signal: ended at once; orders may be left on the market"


def test_an_exception_in_the_loop_ends_the_process_in_an_orderly_way_with_status_1(sandbox: Sandbox, future: str) -> None:
    sabotage = "import bot.execution.order_manager as om; om._plain = lambda number: 1 / 0"
    with BotProcess(sandbox, future, command=("-c", CRASH.format(sabotage=sabotage))) as bot:
        assert bot.finish() == 1
    assert "ZeroDivisionError" in bot.output
    assert "Stopped: no open orders left on the market" in bot.lines[-1]
    assert live_on(sandbox, future) == []


def test_an_exception_in_a_callback_ends_the_process_in_an_orderly_way_with_status_1(sandbox: Sandbox, future: str) -> None:
    sabotage = "main.store.VegaStore._update_accounts = lambda self, account_dict: 1 / 0"
    with BotProcess(sandbox, future, command=("-c", CRASH.format(sabotage=sabotage))) as bot:
        assert bot.finish() == 1
    assert "ZeroDivisionError" in bot.output
    assert live_on(sandbox, future) == []


def test_the_token_is_in_no_output_at_any_level(sandbox: Sandbox, future: str) -> None:
    with BotProcess(sandbox, future, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for(r"\| quoted$")
        sandbox.fail_wallet(401)
        bot.wait_for("no quote: wallet")
        sandbox.fail_wallet()
        bot.stop()
    assert sandbox.token not in bot.output


def test_the_first_command_of_the_readme_runs_the_bot_in_the_sandbox() -> None:
    command = [sys.executable, "-m", "tests.sandbox", "--block-time", "0.25", "-m", "main"]
    with Process(command, {}, cwd=Path(__file__).parents[2]) as launcher:
        launcher.wait_for(r"[12] live orders? .* quoted$")
        launcher.signal(signal.SIGINT)
        assert launcher.finish() == 0
    assert re.search("0 live orders left", launcher.output)
