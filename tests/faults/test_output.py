"""The bot when its log cannot be written or the clock is set: the disk is full, the terminal is gone. Trading goes on."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import FaultyWallet
from tests.support.fork import Fork
from tests.support.live_sandbox import orders_on_chain
from tests.support.processes import ROOT
from tests.support.settings import sandbox_settings
from tests.support.waiting import DEFAULT_TIMEOUT, POLL_INTERVAL, wait_until

TURN = "Latest prices are "
QUOTED = r"\| quoted$"
CLOCK_STEPS = """
import signal
import time

offsets, offset, real_time, real_time_ns = [-3600, 3600], 0, time.time, time.time_ns
time.time = lambda: real_time() + offset
time.time_ns = lambda: real_time_ns() + offset * 10**9

def step(number, frame):
    global offset
    offset = offsets.pop()

signal.signal(signal.SIGUSR1, step)
"""
FULL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))  # bytes: a disk with room for a line or two
os.execv(sys.executable, [sys.executable, "-m", "main"])
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=71) as running:
        yield running


@pytest.fixture
def wallet(sandbox: Sandbox) -> Iterator[FaultyWallet]:
    with FaultyWallet(sandbox.wallet_url) as running:
        yield running


def trade_and_end(bot: "subprocess.Popen[bytes]", sandbox: Sandbox, wallet: FaultyWallet) -> int:
    """Wait for two more turns with orders, and for the orders on the chain; then end the bot, and return its exit status."""
    try:
        quotes, orders = len(wallet.quotes), len(orders_on_chain(sandbox, status=None))
        wait_until(lambda: len(wallet.quotes) >= quotes + 2)
        wait_until(lambda: len(orders_on_chain(sandbox, status=None)) > orders)
        bot.send_signal(signal.SIGINT)
        return bot.wait(DEFAULT_TIMEOUT)
    finally:
        bot.kill()
        bot.wait()


def environment(sandbox: Sandbox, wallet: FaultyWallet) -> dict[str, str]:
    return {**os.environ, **sandbox_settings(sandbox, sandbox.markets["future"], WALLET_URL=wallet.url, NO_PROXY="127.0.0.1")}


@pytest.mark.parametrize(
    "redirection",
    [">/dev/full 2>/dev/full", "2>&-", "<&- >&- 2>&-"],
    ids=["disk full", "errors closed", "all closed"],
)
def test_trading_and_the_shutdown_go_on_when_nothing_can_be_written(sandbox: Sandbox, wallet: FaultyWallet, redirection: str) -> None:
    command = ["sh", "-c", f'exec "$0" -m main {redirection}', sys.executable]
    bot = subprocess.Popen(command, env=environment(sandbox, wallet), cwd=ROOT, stderr=subprocess.DEVNULL)
    assert trade_and_end(bot, sandbox, wallet) == 0
    assert len(wallet.cancels) == 1
    assert orders_on_chain(sandbox) == []


def test_trading_and_the_shutdown_go_on_when_the_reader_of_the_log_has_gone(sandbox: Sandbox, wallet: FaultyWallet) -> None:
    command = [sys.executable, "-m", "main"]
    bot = subprocess.Popen(command, env=environment(sandbox, wallet), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert bot.stdout is not None
    assert bot.stdout.readline().endswith(b"| quoted\n")
    bot.stdout.close()
    assert trade_and_end(bot, sandbox, wallet) == 0
    assert orders_on_chain(sandbox) == []


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """A full pipe that nobody reads, like a terminal stopped with Ctrl+S."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def test_trading_and_the_shutdown_go_on_when_nobody_reads_the_log(sandbox: Sandbox, wallet: FaultyWallet, full_pipe: int) -> None:
    bot = subprocess.Popen([sys.executable, "-m", "main"], env=environment(sandbox, wallet), cwd=ROOT, stderr=full_pipe)
    assert trade_and_end(bot, sandbox, wallet) == 0
    assert len(wallet.cancels) == 1
    assert orders_on_chain(sandbox) == []


def test_a_second_signal_ends_the_bot_at_once_when_nobody_reads_the_log(sandbox: Sandbox, wallet: FaultyWallet, full_pipe: int) -> None:
    bot = subprocess.Popen([sys.executable, "-m", "main"], env=environment(sandbox, wallet), cwd=ROOT, stderr=full_pipe)
    try:
        wait_until(lambda: wallet.quotes)
        wallet.fault = "hangs"
        bot.send_signal(signal.SIGINT)
        wait_until(lambda: wallet.cancels)  # the bot is ending, and its first cancel hangs
        while bot.poll() is None:  # signals of the first second count as one
            bot.send_signal(signal.SIGINT)
            time.sleep(POLL_INTERVAL)
        assert bot.wait() == 1
    finally:
        bot.kill()
        bot.wait()


def test_a_disk_that_is_full_for_a_while_loses_those_lines_and_causes_no_traceback(
    sandbox: Sandbox, wallet: FaultyWallet, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("ab") as file:
        bot = subprocess.Popen([sys.executable, "-c", FULL_DISK], env=environment(sandbox, wallet), cwd=ROOT, stderr=file)
    try:
        wait_until(lambda: log.stat().st_size == 150)
        quotes = len(wallet.quotes)
        wait_until(lambda: len(wallet.quotes) >= quotes + 2)
        before = log.read_text()
        os.truncate(log, 0)  # the disk has room again
        wait_until(lambda: re.search(f"{QUOTED}\n", log.read_text(), re.MULTILINE))
    finally:
        status = trade_and_end(bot, sandbox, wallet)
    assert status == 0
    assert "Traceback" not in before + log.read_text()
    assert "Logging error" not in before + log.read_text()


def test_setting_the_clock_by_an_hour_changes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    with Fork(tmp_path, sandbox, sandbox.markets["future"], CLOCK_STEPS) as bot:
        line = bot.wait_for(rf"\| [12] live orders? .*{QUOTED}")
        hours = [clock_of(bot.lines[line - 1])]
        for _ in ("an hour forwards", "two hours backwards"):
            sandbox.hold_blocks()  # no new data, so that ages span the step
            line = bot.wait_for(TURN, after=len(bot.lines))
            bot.signal(signal.SIGUSR1)
            line = bot.wait_for(TURN, after=bot.wait_for(TURN, after=line))
            sandbox.hold_blocks(on=False)
            for _ in range(4):
                line = bot.wait_for(QUOTED, after=line)
            hours.append(clock_of(bot.lines[line - 1]))
        assert [round((after - before) / 3600) for before, after in itertools.pairwise(hours)] == [1, -2]  # it was set
        assert bot.stop() == 0
    turns = [text for text in bot.lines if TURN in text]
    healthy = r"data [0-4]\.\d s old \| (quoted|no quote: waiting for the (last orders|\w+ stream))$"
    assert [text for text in turns if not re.search(healthy, text)] == []
    assert orders_on_chain(sandbox) == []


def clock_of(line: str) -> float:
    return time.mktime(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S"))
