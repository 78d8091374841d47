"""The end, whatever the bot is in the middle of: within ten seconds, with no order left, or with those named that are."""

import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.fork import FAST, Fork
from tests.support.processes import BotProcess, Process
from tests.support.scripted_node import BOT, MARKETS, Raw, recorded_frames, recorded_node
from tests.support.waiting import wait_until

LONGEST_END = 10  # seconds; tested with twice its time
QUOTED = r"\| quoted$"
RESTING = rf"\| [12] live orders \| .*{QUOTED}"
NOTHING_LEFT = "Stopped: no order of ours is left on the market"
RUN_WITHOUT_SIGINT = "import os, signal, sys; signal.signal(2, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, '-m', 'main'])"
SIGINT_IGNORED = ("-c", RUN_WITHOUT_SIGINT)
NO_ORDERS = {"orders": {"edges": [], "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": "", "endCursor": ""}}}
FAILS_AFTER = """
import itertools

def fails_after(count, function):
    calls = itertools.count()

    def failing(*args, **kwargs):
        if next(calls) < count:
            return function(*args, **kwargs)
        raise ZeroDivisionError("of my own")

    return failing
"""
GARBAGE = """
garbage = [None, 7, "text", [None], [sub.OrderSubmission(market_id="", size=1, price=math.nan, time_in_force="", type="", side="")]]
right = quotes

def quotes(market, open_volume, max_abs_position):
    return garbage.pop() if garbage else right(market, open_volume, max_abs_position)
"""
NINE_OF_TEN = """
turns, right = 0, quotes

def quotes(market, open_volume, max_abs_position):
    global turns
    turns += 1
    return right(market, open_volume, max_abs_position) if turns % 10 == 0 else 1 / 0
"""
EACH_SIGNAL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.1, seed=61) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.reset()
    sandbox.block()


@pytest.fixture
def future(sandbox: Sandbox) -> str:
    return sandbox.markets["future"]


@pytest.fixture
def wallet(sandbox: Sandbox) -> Iterator[FaultyWallet]:
    with FaultyWallet(sandbox.wallet_url) as running:
        yield running


def end(bot: Process, *numbers: int) -> int:
    """Send signals, wait for the end, and return the exit status."""
    for number in numbers:
        bot.signal(number)
    status = bot.finish(seconds=2 * LONGEST_END)
    assert "Traceback" not in bot.output
    return status


def live(sandbox: Sandbox) -> list[str]:
    """Return the ids of the bot's live orders, as the chain has them."""

    def ids(box: Sandbox) -> list[str]:
        return [order.id for order in box.chain.orders.values() if order.party_id == box.parties["bot"] and order.status == "STATUS_ACTIVE"]

    found: list[str] = sandbox.call(ids)
    return found


###########################################################
#                      While starting                     #
###########################################################


@EACH_SIGNAL
def test_a_signal_while_a_call_hangs_at_the_start_ends_with_nothing_sent(
    sandbox: Sandbox, wallet: FaultyWallet, future: str, number: int
) -> None:
    sandbox.delay_rest(60)
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url, LOG_LEVEL="DEBUG") as bot:
        bot.wait_for("Starting new HTTP connection")
        assert end(bot, number) == 0
    assert any(line.endswith("Stopped while starting; nothing was sent") for line in bot.lines)  # then, at DEBUG, the call's own end
    assert wallet.calls == []


def test_a_signal_between_two_tries_at_the_start_ends_with_nothing_sent(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    sandbox.fail_rest(500)
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for("GET assets: HTTP 500.*trying for 30 s")
        assert end(bot, signal.SIGTERM) == 0
    assert wallet.calls == []


@pytest.mark.parametrize("command", [("-m", "main"), SIGINT_IGNORED], ids=["as it comes", "SIGINT ignored"])
def test_ctrl_c_while_python_still_imports_ends_the_bot(sandbox: Sandbox, wallet: FaultyWallet, future: str, command: Any) -> None:
    with BotProcess(sandbox, future, command=command, WALLET_URL=wallet.url, PYTHONPROFILEIMPORTTIME="1") as bot:
        bot.wait_for(r"import time: .* urllib3\.exceptions$")
        status = end(bot, signal.SIGINT)
    assert status in (0, 130, -signal.SIGINT)
    assert wallet.calls == []


def test_a_signal_before_the_market_opens_cancels_nothing_since_nothing_was_sent(
    sandbox: Sandbox, wallet: FaultyWallet, tmp_path: Path
) -> None:
    sandbox.set_state("perpetual", "STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")
    sandbox.block()
    with Fork(tmp_path, sandbox, sandbox.markets["perpetual"], FAST, WALLET_URL=wallet.url) as bot:
        bot.wait_for("market is not open yet")
        assert end(bot, signal.SIGINT) == 0
    assert wallet.calls == []


###########################################################
#                     In the middle of it                 #
###########################################################


def test_a_signal_in_a_wallet_call_that_hangs_ends_after_three_cancels_with_the_orders_left_named(
    sandbox: Sandbox, wallet: FaultyWallet, future: str
) -> None:
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url) as bot:
        bot.wait_for(RESTING)
        sandbox.hold_blocks()  # so that nobody fills what rests there
        while not live(sandbox):
            bot.wait_for(QUOTED, after=len(bot.lines))
            sandbox.block()
        wallet.fault = "hangs"
        asked = len(wallet.calls)
        wait_until(lambda: len(wallet.calls) > asked)  # the call that now hangs
        cancels = len(wallet.cancels)
        assert end(bot, signal.SIGINT) == 1
    assert len(wallet.cancels) - cancels == 3
    assert wallet.most_at_once == 1
    assert f"{len(live(sandbox))} orders of ours are left on the market" in bot.lines[-1]
    assert [order_id for order_id in live(sandbox) if order_id not in bot.lines[-1]] == []


def test_a_cancel_that_the_wallet_takes_at_the_third_try_leaves_no_order(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(RESTING)
        wallet.fault = "500"
        bot.wait_for("no quote: wallet: HTTP 500")
        bot.signal(signal.SIGINT)
        bot.wait_for("cancel failed: wallet: HTTP 500", after=bot.wait_for("cancel failed: wallet: HTTP 500"))
        wallet.fault = ""
        assert bot.finish(seconds=2 * LONGEST_END) == 0
    assert bot.lines[-1].endswith(NOTHING_LEFT)
    assert live(sandbox) == []


def test_a_signal_in_the_middle_of_a_frame_ends_the_bot() -> None:
    half = Raw(b"\x81\x7f" + (10**6).to_bytes(8, "big") + b'{"result"')
    with recorded_node() as node, FaultyWallet() as wallet:
        node.first_frames = {"markets/data": recorded_frames("future-market-data")[:1]}
        node.rest[f"orders?filter.partyIds={BOT}&filter.liveOnly=true"] = (200, NO_ORDERS)
        urls = {"NODE_URL": node.rest_url, "WS_URL": node.ws_url, "WALLET_URL": wallet.url, "PARTY_ID": BOT, "MARKET_ID": MARKETS["future"]}
        with Process([sys.executable, "-m", "main"], {**urls, "WALLET_TOKEN": "t0k3n"}) as bot:
            bot.wait_for("Latest prices are")
            for stream in ("markets/data", "orders"):
                node.wait_for_dials(stream, 1)
                node.send(stream, half)
            bot.wait_for("Latest prices are", after=len(bot.lines))
            assert end(bot, signal.SIGINT) == 0
    assert bot.lines[-1].endswith(NOTHING_LEFT)


def test_a_signal_while_reconnecting_leaves_no_order(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(RESTING)
        sandbox.fail_handshakes(503)
        sandbox.drop_streams("reset")
        bot.wait_for("stream orders: lost, ")
        assert end(bot, signal.SIGTERM) == 0
    assert bot.lines[-1].endswith(NOTHING_LEFT)
    assert live(sandbox) == []


def test_where_the_node_is_down_at_the_end_the_orders_are_cancelled_and_said_to_be_unsure(
    sandbox: Sandbox, wallet: FaultyWallet, future: str
) -> None:
    with BotProcess(sandbox, future, WALLET_URL=wallet.url) as bot:
        bot.wait_for(RESTING)
        sandbox.call(lambda box: box._node_server.pause())
        bot.wait_for("stream orders: lost, ")
        status = end(bot, signal.SIGINT)
        sandbox.call(lambda box: box._node_server.listen())
    assert status == 1
    assert re.search("orders of ours may be left on the market, .*: GET orders.*Connection refused", bot.lines[-1])
    assert live(sandbox) == []


def test_a_second_signal_ends_at_once_with_status_1_and_says_what_may_be_left(sandbox: Sandbox, wallet: FaultyWallet, future: str) -> None:
    with BotProcess(sandbox, future, command=SIGINT_IGNORED, WALLET_URL=wallet.url) as bot:
        bot.wait_for(RESTING)
        wallet.fault = "hangs"
        asked = len(wallet.calls)
        wait_until(lambda: len(wallet.calls) > asked)
        bot.signal(signal.SIGINT)
        wait_until(lambda: wallet.cancels != [])  # it is ending, and its first cancel hangs
        began = time.monotonic()
        assert end(bot, signal.SIGINT) == 1
        assert time.monotonic() - began < 3
    assert bot.lines[-1] == "Second signal: ended at once; orders of ours may be left on the market"


###########################################################
#                       Exceptions                        #
###########################################################


def test_quotes_that_fail_cost_a_turn_each_and_ten_in_a_row_the_bot(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, future, FAST + FAILS_AFTER + "quotes = fails_after(4, quotes)") as bot:
        assert bot.finish() == 1
    skipped = [line for line in bot.lines if line.endswith("| no quote: quotes() failed")]
    assert len(skipped) == 9
    assert sum(line == "ZeroDivisionError: of my own" for line in bot.lines) == 10
    assert sum('raise ZeroDivisionError("of my own")' in line for line in bot.lines) == 10  # where it happened, each time
    assert bot.lines[-1].endswith(NOTHING_LEFT)
    assert live(sandbox) == []


def test_quotes_that_fail_nine_times_in_ten_end_nothing(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, future, "PERIOD = 0.1" + NINE_OF_TEN) as bot:
        line = bot.wait_for(QUOTED)
        bot.wait_for(QUOTED, after=bot.wait_for(QUOTED, after=line))
        assert bot.stop() == 0


def test_quotes_that_return_garbage_cost_a_turn_each(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, future, FAST + GARBAGE) as bot:
        bot.wait_for(QUOTED)
        assert sum(line.endswith("| no quote: quotes() failed") for line in bot.lines) == 5
        assert bot.stop() == 0


@pytest.mark.parametrize("method", ["get_orders", "_update_market_data", "_update_order"], ids=["loop", "callback", "another callback"])
def test_an_exception_elsewhere_ends_the_bot_orderly_with_status_1(sandbox: Sandbox, future: str, tmp_path: Path, method: str) -> None:
    changes = f"{FAST}{FAILS_AFTER}store.VegaStore.{method} = fails_after(8, store.VegaStore.{method})"
    with Fork(tmp_path, sandbox, future, changes) as bot:
        assert bot.finish() == 1
    assert sum(line == "ZeroDivisionError: of my own" for line in bot.lines) == 1
    assert bot.lines[-1].endswith(NOTHING_LEFT)
    assert live(sandbox) == []


def test_quotes_that_exit_end_the_bot_orderly_with_status_1_and_say_so(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    changes = FAST + FAILS_AFTER.replace('ZeroDivisionError("of my own")', 'SystemExit("of my own")') + "quotes = fails_after(4, quotes)"
    with Fork(tmp_path, sandbox, future, changes) as bot:
        assert bot.finish() == 1
    assert "of my own" in bot.output
    assert live(sandbox) == []
