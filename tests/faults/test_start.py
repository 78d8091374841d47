"""The bot on a REST server that fails at the start: it retries for 30 s, then ends with one line that names the call and the error.

These tests are slow, so the bots of all faults run at the same time.
"""

import contextlib
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

import pytest
import requests

from tests.sandbox import Sandbox
from tests.support.faulty_wallet import HTML
from tests.support.http_replay import Answer, Replay
from tests.support.live_sandbox import orders_on_chain
from tests.support.processes import BotProcess

BUSY = {"code": 8, "message": "Too Many Requests", "details": [{"message": "slow down, please", "inner": "60 calls a minute"}]}
BROKEN = {"code": 13, "message": "Internal error", "details": [{"message": "the database is away", "inner": ""}]}
ROUND = {"assets": {"edges": [], "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": "bm93", "endCursor": "bm93"}}}


@dataclass(frozen=True)
class Fault:
    """How a server answers one call, and the error in the bot's last line where the server does not recover."""

    answer: Answer
    error: str  # a regular expression
    count: float = 2  # how often it answers so, where it recovers
    call: str = "assets"  # the call that fails


FAULTS = {
    "429": Fault(Answer(BUSY, 429, {"Retry-After": "1"}), "HTTP 429, slow down, please: 60 calls a minute$"),
    "429 for an hour": Fault(Answer(BUSY, 429, {"Retry-After": "3600"}), "HTTP 429, slow down, please: 60 calls a minute$", count=1),
    "500": Fault(Answer(BROKEN, status=500), "HTTP 500, the database is away$", call="accounts"),
    "hangs": Fault(Answer(hang=True), "no answer from http://127.0.0.1:.*timed out", count=1),
    "cut": Fault(Answer({"assets": "x" * 500}, cut=100), r"no answer from http://127.0.0.1:.*IncompleteRead"),
    "HTML": Fault(Answer(HTML, headers={"Content-Type": "text/html"}), "not the expected JSON, but <!doctype html>", call="markets"),
    "redirects": Fault(Answer("", status=302, headers={"Location": "/api/v2/assets"}), "Exceeded 30 redirects", count=40),
    "pages": Fault(Answer(ROUND), "the page after cursor bm93 names itself as the next one", count=4),
    "trickles": Fault(Answer(ROUND, pause=1.0), r"no answer from http://127.0.0.1:\d+/api/v2: timed out after 30 s$"),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=31) as running:
        yield running


class FaultyRest(Replay):
    """The sandbox's REST, where one call fails some times."""

    def __init__(self, sandbox: Sandbox, fault: Fault, count: float) -> None:
        super().__init__(then=self._answers_of(sandbox, fault, count))

    def _answers_of(self, sandbox: Sandbox, fault: Fault, count: float) -> Iterator[Answer]:
        while True:
            path = self.paths[-1].removeprefix("/api/v2")
            if path.startswith(f"/{fault.call}") and count > 0:
                count -= 1
                yield fault.answer
            else:
                yield Answer(requests.get(f"{sandbox.node_url}{path}", timeout=30).text)


@contextlib.contextmanager
def bots_on(sandbox: Sandbox, faults: dict[str, Fault], count: Optional[float] = None) -> Iterator[dict[str, BotProcess]]:
    """Start a bot for each fault, each on its own server, without a wallet."""
    with contextlib.ExitStack() as stack:
        bots = {}
        for name, fault in faults.items():
            server = stack.enter_context(FaultyRest(sandbox, fault, fault.count if count is None else count))
            bot = BotProcess(sandbox, sandbox.markets["future"], NODE_URL=f"{server.url}/api/v2", WALLET_URL="http://127.0.0.1:9")
            bots[name] = stack.enter_context(bot)
        yield bots


def test_the_bot_retries_until_the_server_recovers(sandbox: Sandbox) -> None:
    passing = {name: fault for name, fault in FAULTS.items() if name not in ("429 for an hour", "trickles")}
    with bots_on(sandbox, passing) as bots:
        started = {name: bot.wait_for("Latest prices are", timeout=2 * 30) for name, bot in bots.items()}
        logged = {name: bot.lines[: started[name] - 1] for name, bot in bots.items()}
    assert {name: lines for name, lines in logged.items() if len(lines) > 1} == {}  # one line for all attempts


def test_when_the_server_does_not_recover_the_bot_ends_after_thirty_seconds_with_one_line(sandbox: Sandbox) -> None:
    began = time.monotonic()
    with bots_on(sandbox, FAULTS, count=math.inf) as bots:
        statuses = {name: bot.finish(timeout=60) for name, bot in bots.items()}
        took = time.monotonic() - began
    assert 30 <= took < 2 * 30
    assert statuses == dict.fromkeys(FAULTS, 1)
    last_lines = {name: bot.lines[-1] for name, bot in bots.items()}
    expected = {name: rf"Cannot start: GET {fault.call}\S*: .*{fault.error}" for name, fault in FAULTS.items()}
    assert {name: line for name, line in last_lines.items() if not re.search(expected[name], line)} == {}
    assert {name: bot.lines for name, bot in bots.items() if len(bot.lines) > 2} == {}  # the first failure, and the last line


def test_a_start_that_fails_cancels_the_orders_of_an_earlier_run(sandbox: Sandbox) -> None:
    market_id, party = sandbox.markets["future"], sandbox.parties["bot"]
    order = {"marketId": market_id, "side": "SIDE_BUY", "price": "9000000", "size": "250", "type": "TYPE_LIMIT"}
    sandbox.call(lambda box: box.chain.submit(party, {"orderSubmission": {**order, "timeInForce": "TIME_IN_FORCE_GTC"}}))
    sandbox.block()
    assert orders_on_chain(sandbox)
    with (
        FaultyRest(sandbox, Fault(Answer(BROKEN, status=400), "", call="positions"), math.inf) as server,
        BotProcess(sandbox, market_id, NODE_URL=f"{server.url}/api/v2") as bot,
    ):
        assert bot.finish(timeout=60) == 1
    assert "Cannot start: GET positions" in bot.output
    assert "Stopped: no open orders left on the market" in bot.lines[-1]
    assert orders_on_chain(sandbox) == []
