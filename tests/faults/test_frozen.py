"""A link that goes silent both ways and closes nothing: the whole bot on it, as a user sees it and as the node counts it."""

import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.test_streams import threads_and_sockets, wait_for_no_more_than
from tests.sandbox import Sandbox
from tests.support.fault_proxy import DOWN, STREAMS, FaultProxy
from tests.support.processes import BotProcess

STALE = "no quote: data is older than 5 s$"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=13) as running:
        yield running


def sent_by_the_bot(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return a list that grows by each batch that the bot sends from now on."""
    sent: list[dict[str, Any]] = []
    submit = sandbox.chain.submit

    def noting(party_id: str, transaction: dict[str, Any]) -> str:
        if party_id == sandbox.chain.parties["bot"]:
            sent.append(transaction["batchMarketInstructions"])
        return submit(party_id, transaction)

    sandbox.call(lambda box: setattr(box.chain, "submit", noting))
    return sent


def live_orders(sandbox: Sandbox) -> int:
    def count(box: Sandbox) -> int:
        return sum(order.party_id == box.parties["bot"] and order.status == "STATUS_ACTIVE" for order in box.chain.orders.values())

    return int(sandbox.call(count))


@pytest.mark.parametrize("passing", [0, 100], ids=["between two frames", "in the middle of a frame"])
def test_a_frozen_peer_is_noticed_and_quotes_are_pulled_once_and_all_streams_are_dialled_again(sandbox: Sandbox, passing: int) -> None:
    sent = sent_by_the_bot(sandbox)
    with (
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], NODE_URL=proxy.rest_url, WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"[12] live orders .* quoted$", after=bot.wait_for(r"\| quoted$"))
        before = threads_and_sockets(bot)
        assert {stream: len(proxy.dials(stream)) for stream in STREAMS} == dict.fromkeys(STREAMS, 1)

        frozen = time.monotonic()
        proxy.turn("freeze", *STREAMS, "rest", after=passing)
        line = bot.wait_for(STALE, seconds=2 * 5)
        bot.wait_for("stream markets/data: lost, the node is silent: no ", seconds=2 * 5)
        for stream in STREAMS:
            bot.wait_for(f"stream {stream}: lost, ")
            proxy.wait_for_dials(stream, 2, seconds=frozen + 2 * (5 + 1 + 5) - time.monotonic())
        line = bot.wait_for(STALE, after=line)
        assert sum(not batch.get("submissions") for batch in sent) == 1
        assert live_orders(sandbox) == 0
        ages = [float(age) for age in re.findall(r"data ([0-9.]+) s old \| quoted", bot.output)]
        assert max(ages) <= 5

        proxy.turn("pass", *STREAMS, "rest")
        for stream in ("markets/data", "orders"):
            bot.wait_for(f"stream {stream}: back$", seconds=2 * (10 + 1))
        bot.wait_for(r"\| quoted$", after=line)
        wait_for_no_more_than(bot, before)
        for stream in STREAMS:
            bot.wait_for(f"stream {stream}: back$")
            assert len(proxy.dials(stream)) == 2
        assert bot.stop() == 0
    assert live_orders(sandbox) == 0


def test_a_stream_that_freezes_alone_is_dialled_again(sandbox: Sandbox) -> None:
    """Where nothing changes, only pings tell a dead stream from a quiet one."""
    with (
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$")))
        proxy.turn("freeze", "positions")
        bot.wait_for("stream positions: lost, the node is silent: no answer to a ping for 5 s", seconds=2 * (5 + 1))
        bot.wait_for("no quote: position is older than 5 s$")
        proxy.turn("pass", "positions")
        bot.wait_for("stream positions: back$", seconds=2 * (5 + 5 + 1))
        bot.wait_for(r"\| quoted$", after=len(bot.lines))
        assert {stream: len(proxy.dials(stream)) for stream in STREAMS} == {**dict.fromkeys(STREAMS, 1), "positions": 2}
        assert bot.stop() == 0


def test_no_quote_goes_out_on_data_that_was_long_under_way() -> None:
    """On a link too slow for the stream, frames never stop coming, and each is older than the one before."""
    with (
        Sandbox(block_time=0.2, seed=17) as sandbox,
        FaultProxy(sandbox.node_url) as proxy,
        BotProcess(sandbox, sandbox.markets["future"], WS_URL=proxy.ws_url) as bot,
    ):
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$")))
        heights = blocks_of_the_bids(sandbox)
        proxy.turn("slow", "markets/data", directions=(DOWN,))
        bot.wait_for("stream markets/data: lost, the node is silent: no answer to a ping for 5 s", seconds=2 * (5 + 5))
        bot.wait_for(STALE)
        assert bot.stop() == 0
        behind = [made - seen for made, seen in heights]
        assert max(behind) <= 2 * 5 / 0.2  # blocks
        assert len(behind) > 3


def blocks_of_the_bids(sandbox: Sandbox) -> list[tuple[int, int]]:
    """Return a list that grows by the block of each quote of the bot, and the newest block whose best bid it shows."""
    bids: dict[str, int] = {}  # best bid -> the newest block that ended with it
    found: list[tuple[int, int]] = []
    make, submit = sandbox.make_block, sandbox.chain.submit

    def noting_block() -> None:
        make()
        market = sandbox.chain.markets[sandbox.markets["future"]]
        bids[str(market.best_bid[0])] = sandbox.chain.height

    def noting_quote(party_id: str, transaction: dict[str, Any]) -> str:
        for order in transaction.get("batchMarketInstructions", {}).get("submissions", []):
            if party_id == sandbox.chain.parties["bot"] and order["side"] == "SIDE_BUY" and order["price"] in bids:
                found.append((sandbox.chain.height, bids[order["price"]]))
        return submit(party_id, transaction)

    def note(box: Sandbox) -> None:
        box.make_block = noting_block
        box.chain.submit = noting_quote

    sandbox.call(note)
    return found


def test_a_bot_that_was_held_up_itself_drops_no_stream(sandbox: Sandbox) -> None:
    with BotProcess(sandbox, sandbox.markets["future"]) as bot:
        bot.wait_for(r"\| quoted$", after=bot.wait_for(r"\| quoted$"))
        bot.signal(signal.SIGSTOP)
        begun = time.monotonic()
        while time.monotonic() < begun + 7:  # the fault itself: longer than the five seconds after which a node counts as silent
            time.sleep(0.1)
        bot.signal(signal.SIGCONT)
        line = bot.wait_for(r"\| quoted$", after=len(bot.lines))
        bot.wait_for(r"\| quoted$", after=line)
        assert bot.stop() == 0
        assert "lost" not in bot.output
