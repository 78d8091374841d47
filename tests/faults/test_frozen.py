"""The whole bot on a link that becomes silent in both directions and closes nothing."""

import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.fault_proxy import DOWN, UP, FaultProxy
from tests.support.frames import STREAMS
from tests.support.live_sandbox import orders_on_chain
from tests.support.process_usage import usage_of, wait_for_no_leak
from tests.support.processes import BotProcess

STALE = "no quote: data is older than 5 s$"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=13) as running:
        yield running


def batches_of_the_bot(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return a list that grows with each batch that the bot sends."""
    sent: list[dict[str, Any]] = []
    submit = sandbox.chain.submit

    def note_and_submit(party_id: str, transaction: dict[str, Any], *args: Any) -> str:
        if party_id == sandbox.chain.parties["bot"]:
            sent.append(transaction["batchMarketInstructions"])
        return submit(party_id, transaction, *args)

    sandbox.call(lambda box: setattr(box.chain, "submit", note_and_submit))
    return sent


@pytest.mark.parametrize("passing", [0, 100], ids=["between two frames", "in the middle of a frame"])
def test_a_frozen_link_is_detected_quotes_are_cancelled_and_all_streams_reconnect(sandbox: Sandbox, passing: int) -> None:
    sent = batches_of_the_bot(sandbox)
    with (
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], NODE_URL=proxy.rest_url, WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"[12] live orders? .* quoted$", after=bot.wait_for(r"\| quoted$"))
        before = usage_of(bot)
        assert proxy.connection_counts() == dict.fromkeys(STREAMS, 1)

        frozen = time.monotonic()
        proxy.set_mode("freeze", *STREAMS, "rest", after=passing)
        line = bot.wait_for(STALE, timeout=2 * 5)
        bot.wait_for(r"stream markets/data: connection lost \((no|incomplete) ", timeout=2 * 5)
        for stream in STREAMS:
            bot.wait_for(rf"stream {stream}: connection lost \(")
            proxy.wait_for_connections(stream, 2, timeout=frozen + 2 * (5 + 1 + 5) - time.monotonic())
        line = bot.wait_for(STALE, after=line)
        assert 1 <= sum(not batch.get("submissions") for batch in sent) <= 10  # each turn, while the store shows open orders
        assert orders_on_chain(sandbox) == []
        ages = [float(age) for age in re.findall(r"data ([0-9.]+) s old \| quoted", bot.output)]
        assert max(ages) <= 5

        proxy.set_mode("pass", *STREAMS, "rest")
        for stream in ("markets/data", "orders"):
            bot.wait_for(f"stream {stream}: reconnected$")
        bot.wait_for(r"\| quoted$", after=line)
        wait_for_no_leak(bot, before)
        for stream in STREAMS:
            bot.wait_for(f"stream {stream}: reconnected$")
            assert proxy.connection_counts()[stream] in (2, 3)  # 3 where the handshake of the second one was frozen for 5 s
        assert bot.stop() == 0
    assert orders_on_chain(sandbox) == []


def test_a_single_frozen_stream_reconnects(sandbox: Sandbox) -> None:
    """When nothing changes, only pings tell a dead stream from a quiet one."""
    with (
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$")))
        proxy.set_mode("freeze", "positions")
        bot.wait_for(r"stream positions: connection lost \(no pong for 5 s", timeout=2 * (5 + 1))
        bot.wait_for("no quote: waiting for the positions stream$")
        proxy.set_mode("pass", "positions")
        bot.wait_for("stream positions: reconnected$", timeout=2 * (5 + 5 + 1))
        bot.wait_for(r"\| quoted$", after=len(bot.lines))
        assert proxy.connection_counts() == {**dict.fromkeys(STREAMS, 1), "positions": 2}
        assert bot.stop() == 0


def test_no_quote_is_sent_on_data_that_was_in_transit_for_too_long() -> None:
    """On a link too slow for the stream, frames never stop arriving, but each is older than the one before."""
    with (
        Sandbox(block_time=0.2, seed=17) as sandbox,
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$")))
        blocks = blocks_of_the_quotes(sandbox)
        proxy.set_mode("slow", "markets/data", directions=(DOWN,))
        bot.wait_for(r"stream markets/data: connection lost \(no pong for 5 s")
        bot.wait_for(STALE)
        assert bot.stop() == 0
        ages = [made - quoted for made, quoted in blocks]
        assert ages, "no quote went out on delayed data"
        assert max(ages) <= 2 * 5 / 0.2  # blocks


def blocks_of_the_quotes(sandbox: Sandbox) -> list[tuple[int, int]]:
    """Return a list that grows with each order of the bot: the chain's newest block, and the newest one with the order's price as the best.

    Orders at a price that was the best only before the call are left out.
    """
    newest: dict[tuple[str, str], int] = {}  # side and best price -> the newest block that ended with it
    found: list[tuple[int, int]] = []
    make_block, submit = sandbox.make_block, sandbox.chain.submit

    def make_block_and_note() -> None:
        make_block()
        market = sandbox.chain.markets[sandbox.markets["future"]]
        for side, (price, *_) in (("SIDE_BUY", market.best_bid), ("SIDE_SELL", market.best_offer)):
            newest[side, str(price)] = sandbox.chain.height

    def note_and_submit(party_id: str, transaction: dict[str, Any], *args: Any) -> str:
        for order in transaction.get("batchMarketInstructions", {}).get("submissions", []):
            block = newest.get((order["side"], order["price"]))
            if party_id == sandbox.chain.parties["bot"] and block is not None:
                found.append((sandbox.chain.height, block))
        return submit(party_id, transaction, *args)

    def replace_methods(box: Sandbox) -> None:
        setattr(box, "make_block", make_block_and_note)  # noqa: B010 - mypy accepts no assignment to a method
        setattr(box.chain, "submit", note_and_submit)  # noqa: B010

    sandbox.call(replace_methods)
    return found


def test_a_bot_that_was_suspended_itself_disconnects_no_stream(sandbox: Sandbox) -> None:
    with (
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$")))
        bot.signal(signal.SIGSTOP)
        time.sleep(7)  # this is the fault: it lasts longer than the five seconds after which a node counts as silent
        proxy.set_mode("freeze", directions=(UP,))  # the first ping takes a while: longer than until the next check
        bot.signal(signal.SIGCONT)
        time.sleep(1.5)  # as above
        proxy.set_mode("pass")
        line = bot.wait_for(r"\| quoted$", after=len(bot.lines))
        bot.wait_for(r"\| quoted$", after=line)
        assert bot.stop() == 0
        assert "connection lost" not in bot.output
