"""The end of the bot, at whatever moment: within ten seconds, with no open order left, or with a list of those that are left."""

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.fork import Fork
from tests.support.live_sandbox import SHUTDOWN_TIMEOUT, end_with, node_down, orders_on_chain, repeat_signal
from tests.support.processes import BotProcess, Process
from tests.support.scripted_node import BOT, MARKETS, Raw, recorded_frames, recorded_node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

QUOTED = r"\| quoted$"
WITH_OPEN_ORDERS = rf"\| [12] live orders? \| .*{QUOTED}"
CANCEL_FAILED = "Cancelling all orders failed: wallet: HTTP 500"
NO_OPEN_ORDERS = "Stopped: no open orders left on the market"
SIGINT_IGNORED = (  # as in a background job of a shell
    "-c",
    "import os, signal, sys; signal.signal(2, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, '-m', 'main'])",
)
NO_ORDERS = {"orders": {"edges": [], "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": "", "endCursor": ""}}}
FAILS_AFTER = """
import itertools

def fails_after(count, function):
    calls = itertools.count()

    def failing(*args, **kwargs):
        if next(calls) < count:
            return function(*args, **kwargs)
        raise ZeroDivisionError("made by the test")

    return failing
"""
GARBAGE = """
import math

garbage = [None, 7, "text", [None], [sub.OrderSubmission(market_id="", size=1, price=math.nan, time_in_force="", type="", side="")]]
good_quotes = quotes

def quotes(market, open_volume, max_abs_position):
    return garbage.pop() if garbage else good_quotes(market, open_volume, max_abs_position)
"""
NINE_OF_TEN = """
turns, good_quotes = 0, quotes

def quotes(market, open_volume, max_abs_position):
    global turns
    turns += 1
    return good_quotes(market, open_volume, max_abs_position) if turns % 10 == 0 else 1 / 0
"""
WITH_EACH_SIGNAL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.1, seed=61) as running:
        yield running


@pytest.fixture
def future(sandbox: Sandbox) -> str:
    return sandbox.markets["future"]


@pytest.fixture
def wallet(sandbox: Sandbox) -> Iterator[FaultyWallet]:
    with FaultyWallet(sandbox.wallet_url) as running:
        yield running


###########################################################
#                      While starting                     #
###########################################################


@WITH_EACH_SIGNAL
def test_a_signal_while_a_call_hangs_at_the_start_ends_the_bot_with_nothing_sent(
    sandbox: Sandbox, wallet: FaultyWallet, future: str, number: int
) -> None:
    sandbox.delay_rest(60)
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("Starting new HTTP connection")
        assert end_with(bot, number) == 0
    assert any(
        line.endswith("Stopped while starting; nothing was sent") for line in bot.lines
    )  # not the last line: at DEBUG the call logs its end
    assert wallet.calls == []


def test_a_signal_between_two_attempts_at_the_start_ends_the_bot_with_nothing_sent(
    sandbox: Sandbox, wallet: FaultyWallet, future: str
) -> None:
    sandbox.fail_rest(500)
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for("GET assets: HTTP 500.*trying for 30 s")
        assert end_with(bot, signal.SIGTERM) == 0
    assert wallet.calls == []


def test_ctrl_c_while_python_still_imports_ends_the_bot(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url, PYTHONPROFILEIMPORTTIME="1") as bot:
        bot.wait_for(r"import time: .* urllib3\.exceptions$")
        assert bot.stop() in (0, 1, 130, -signal.SIGINT)  # the bot's own end, or Python's
    assert wallet.calls == []


def test_a_signal_before_the_market_opens_cancels_nothing_because_nothing_was_sent(
    sandbox: Sandbox, wallet: FaultyWallet, tmp_path: Path
) -> None:
    sandbox.set_state("perpetual", "STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")
    sandbox.block()
    with Fork(tmp_path, sandbox, sandbox.markets["perpetual"], WALLET_URL=wallet.url) as bot:
        bot.wait_for("market is not open yet")
        assert end_with(bot, signal.SIGINT) == 0
    assert wallet.calls == []


###########################################################
#                      While running                      #
###########################################################


def test_a_signal_while_the_wallet_hangs_ends_the_bot_after_three_cancels_and_names_the_orders_left(
    sandbox: Sandbox, wallet: FaultyWallet, future: str
) -> None:
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url) as bot:
        bot.wait_for(WITH_OPEN_ORDERS)
        sandbox.hold_blocks()  # so that nobody fills the open orders
        while not orders_on_chain(sandbox):
            bot.wait_for(QUOTED, after=len(bot.lines))
            sandbox.block()
        wallet.fault = "hangs"
        calls = len(wallet.calls)
        wait_until(lambda: len(wallet.calls) > calls)  # the call that now hangs
        cancels = len(wallet.cancels)
        assert end_with(bot, signal.SIGINT) == 1
    assert len(wallet.cancels) - cancels == 3, bot.output
    assert wallet.max_concurrent == 1
    assert re.search(rf"{len(orders_on_chain(sandbox))} orders? left on the market", bot.lines[-1])
    assert [order_id for order_id in orders_on_chain(sandbox) if order_id not in bot.lines[-1]] == []


def test_the_first_signal_says_at_once_what_is_being_done(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(QUOTED)
        wallet.fault = "hangs"
        calls = len(wallet.calls)
        wait_until(lambda: len(wallet.calls) > calls)  # the call that now hangs, for three seconds
        bot.signal(signal.SIGINT)
        line = bot.wait_for("Stopping: cancelling all orders on the market$")
        bot.wait_for("no quote: wallet: no answer within 3 s", after=line)  # the turn ends later
        assert bot.finish(timeout=2 * SHUTDOWN_TIMEOUT) == 1
    assert bot.output.count("Stopping: ") == 1


def test_a_cancel_that_succeeds_at_the_third_attempt_leaves_no_order(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(WITH_OPEN_ORDERS)
        wallet.fault = "500"
        bot.wait_for("no quote: wallet: HTTP 500")
        bot.signal(signal.SIGINT)
        bot.wait_for(CANCEL_FAILED, after=bot.wait_for(CANCEL_FAILED))
        wallet.fault = ""
        assert bot.finish(timeout=2 * SHUTDOWN_TIMEOUT) == 0
    assert NO_OPEN_ORDERS in bot.lines[-1]
    assert orders_on_chain(sandbox) == []


def test_a_signal_in_the_middle_of_a_frame_ends_the_bot() -> None:
    half = Raw(b"\x81\x7f" + (10**6).to_bytes(8, "big") + b'{"result"')
    with recorded_node() as node, FaultyWallet() as wallet:
        node.first_frames = {"markets/data": recorded_frames("future-market-data")[:1]}
        node.rest[f"orders?filter.partyIds={BOT}&filter.liveOnly=true"] = (200, NO_ORDERS)
        urls = {"NODE_URL": node.rest_url, "WS_URL": node.ws_url, "WALLET_URL": wallet.url, "PARTY_ID": BOT, "MARKET_ID": MARKETS["future"]}
        with Process([sys.executable, "-m", "main"], {**urls, "WALLET_TOKEN": "t0k3n"}) as bot:
            bot.wait_for("Latest prices are")
            for stream in ("markets/data", "orders"):
                node.wait_for_connections(stream, 1)
                node.send(stream, half)
            bot.wait_for("Latest prices are", after=len(bot.lines))
            assert end_with(bot, signal.SIGINT) == 0
    assert bot.lines[-1].endswith("Stopped: nothing was sent")  # the streams have delivered no snapshot


def test_a_signal_while_reconnecting_leaves_no_order(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(WITH_OPEN_ORDERS)
        sandbox.fail_handshakes(503)
        sandbox.drop_streams("reset")
        bot.wait_for(r"stream orders: connection lost \(")
        assert end_with(bot, signal.SIGTERM) == 0
    assert NO_OPEN_ORDERS in bot.lines[-1]
    assert orders_on_chain(sandbox) == []


def test_when_the_node_is_down_at_the_end_orders_are_cancelled_and_the_bot_says_that_it_could_not_check(
    sandbox: Sandbox, wallet: FaultyWallet, future: str
) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(WITH_OPEN_ORDERS)
        with node_down(sandbox):
            bot.wait_for(r"stream orders: connection lost \(")
            assert end_with(bot, signal.SIGINT) == 1
    assert re.search("orders may be left on the market, .*: GET orders.*Connection refused", bot.lines[-1])
    assert orders_on_chain(sandbox) == []


def test_a_second_signal_ends_the_bot_at_once_with_status_1_and_a_warning(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url) as bot:
        bot.wait_for(WITH_OPEN_ORDERS)
        wallet.fault = "hangs"
        calls = len(wallet.calls)
        wait_until(lambda: len(wallet.calls) > calls)
        bot.signal(signal.SIGINT)
        wait_until(lambda: wallet.cancels != [])  # the bot is ending, and its first cancel hangs
        assert repeat_signal(bot, signal.SIGINT) == 1
    assert len(wallet.cancels) == 1  # it waited for no further one
    assert bot.lines[-1] == "Second signal: ended at once; orders may be left on the market"


###########################################################
#                       Exceptions                        #
###########################################################


def test_a_quotes_function_that_fails_skips_its_turn_and_ten_failures_in_a_row_end_the_bot(
    sandbox: Sandbox, future: str, tmp_path: Path
) -> None:
    with Fork(tmp_path, sandbox, future, FAILS_AFTER + "quotes = fails_after(4, quotes)") as bot:
        assert bot.finish() == 1
    skipped = [line for line in bot.lines if line.endswith("| no quote: quotes() failed")]
    assert len(skipped) == 9
    assert sum(line == "ZeroDivisionError: made by the test" for line in bot.lines) == 10
    assert sum('raise ZeroDivisionError("made by the test")' in line for line in bot.lines) == 10  # the line that raised it, each time
    assert NO_OPEN_ORDERS in bot.lines[-1]
    assert orders_on_chain(sandbox) == []


def test_a_quotes_function_that_fails_nine_times_in_ten_does_not_end_the_bot(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, future, NINE_OF_TEN, loop_interval=0.1) as bot:
        line = bot.wait_for(QUOTED)
        bot.wait_for(QUOTED, after=bot.wait_for(QUOTED, after=line))
        assert bot.stop() == 0


def test_a_quotes_function_that_returns_garbage_skips_its_turn(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, future, GARBAGE) as bot:
        bot.wait_for(QUOTED)
        assert sum(line.endswith("| no quote: quotes() failed") for line in bot.lines) == 5
        assert bot.stop() == 0


@pytest.mark.parametrize(
    "method", ["get_orders", "get_position_by_market_id", "seconds_since_update", "_update_market_data", "_update_order"]
)
def test_an_exception_elsewhere_ends_the_bot_cleanly_with_status_1(sandbox: Sandbox, future: str, tmp_path: Path, method: str) -> None:
    changes = f"{FAILS_AFTER}store.VegaStore.{method} = fails_after(8, store.VegaStore.{method})"
    with Fork(tmp_path, sandbox, future, changes) as bot:
        assert bot.finish() == 1
    assert sum(line == "ZeroDivisionError: made by the test" for line in bot.lines) == 1
    assert NO_OPEN_ORDERS in bot.lines[-1]
    assert orders_on_chain(sandbox) == []


def test_a_quotes_function_that_exits_ends_the_bot_cleanly_with_status_1(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    changes = (
        FAILS_AFTER.replace('ZeroDivisionError("made by the test")', 'SystemExit("made by the test")') + "quotes = fails_after(4, quotes)"
    )
    with Fork(tmp_path, sandbox, future, changes) as bot:
        assert bot.finish() == 1
    assert "made by the test" in bot.output
    assert orders_on_chain(sandbox) == []
