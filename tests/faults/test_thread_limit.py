"""The whole bot where the system starts no more threads: a real limit on the processes of its user, from the start or later."""

import os
import random
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.live_sandbox import SHUTDOWN_TIMEOUT, end_with, orders_on_chain
from tests.support.processes import BOT_WITH_FROZEN_RULE, BotProcess
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.usefixtures("healthy"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere RLIMIT_NPROC does not count threads"),
]
IS_ROOT = os.name == "posix" and os.geteuid() == 0
# The limit counts all processes and threads of a user, and root has none. So root's bot becomes a user without other processes. That user
# may not read the repository, so everything is imported before.
PREPARE = """
import encodings.idna, os, resource, signal, sys
import bot.execution.order_manager, bot.logs, bot.settings, tests.support.example_rule

def limit(count):
    resource.setrlimit(resource.RLIMIT_NPROC, (count, count))

start = compile({start!r}, "start", "exec")
source = open("main.py").read()
user, threads = int(sys.argv[1]), int(sys.argv[2])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
if threads:
    limit(threads)
signal.signal(signal.SIGUSR1, lambda *_: limit(1))
exec(start)
""".format(start=BOT_WITH_FROZEN_RULE.replace('Path("main.py").read_text()', "source"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=93) as running:
        yield running


def bot_with(sandbox: Sandbox, threads: int = 0, host: str = "127.0.0.1") -> BotProcess:
    """Return a bot that may have so many threads, 0 for no limit; after SIGUSR1 it can start none."""
    user = random.randrange(20_000, 60_000) if IS_ROOT else 0
    urls = {"NODE_URL": sandbox.node_url, "WS_URL": sandbox.ws_url, "WALLET_URL": sandbox.wallet_url}
    changes = {name: url.replace("127.0.0.1", host) for name, url in urls.items()}
    return BotProcess(sandbox, sandbox.markets["future"], command=("-c", PREPARE, str(user), str(threads)), **changes)


def test_without_a_thread_for_the_log_the_start_ends_with_one_line(sandbox: Sandbox) -> None:
    with bot_with(sandbox, threads=1) as bot:
        assert bot.finish() == 1
    assert bot.lines == ["Cannot start: can't start new thread"]


@pytest.mark.skipif(not IS_ROOT, reason="only root can become a user without other processes")
@pytest.mark.parametrize("threads", [2, 3, 4, 5, 6])
def test_with_a_few_threads_only_the_start_or_the_end_is_clean(sandbox: Sandbox, threads: int) -> None:
    with bot_with(sandbox, threads) as bot:
        wait_until(lambda: bot.has_ended or "Latest prices are" in bot.output)
        if not bot.has_ended:
            bot.signal(signal.SIGINT)
        bot.finish(timeout=2 * SHUTDOWN_TIMEOUT)
    assert "Traceback" not in bot.output
    assert " Stopped: " in bot.lines[-1]
    assert sum("can't start new thread" in line for line in bot.lines) <= 5  # each stream once, and the loop
    sandbox.block(4)
    assert orders_on_chain(sandbox) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_bot_that_can_start_no_more_threads_quotes_on_and_leaves_no_order(sandbox: Sandbox, host: str) -> None:
    with bot_with(sandbox, host=host) as bot:
        bot.wait_for(r"\| quoted$")
        bot.signal(signal.SIGUSR1)
        line = len(bot.lines)
        for _ in range(3):  # a call needs no thread
            line = bot.wait_for(r"\| quoted$", after=line)
        sandbox.drop_streams("reset")
        for stream in ("markets/data", "orders", "positions", "accounts"):  # an attempt to connect costs its try
            bot.wait_for(rf"stream {stream}: connection lost \(can't start new thread\), reconnecting in 10 s$", after=line)
        bot.wait_for(r"no quote: ", after=line)
        wait_until(lambda: orders_on_chain(sandbox) == [])
        assert end_with(bot, signal.SIGINT) == 0
    assert re.search(r"Stopped: no open orders left on the market", bot.lines[-1])
    assert orders_on_chain(sandbox) == []


def test_orders_that_cannot_be_cancelled_are_named_without_a_thread(sandbox: Sandbox) -> None:
    with bot_with(sandbox) as bot:
        bot.wait_for(r"\| quoted$")
        bot.signal(signal.SIGUSR1)
        wait_until(lambda: orders_on_chain(sandbox) != [])
        sandbox.fail_wallet(401)
        sandbox.drop_streams("reset")
        bot.wait_for("no quote: .*cancelling failed", after=len(bot.lines))
        left = orders_on_chain(sandbox)
        assert end_with(bot, signal.SIGTERM) == 1
    assert left == [] or "left on the market, cancel them by hand" in bot.lines[-1]
    assert all(order_id in bot.lines[-1] for order_id in orders_on_chain(sandbox))
