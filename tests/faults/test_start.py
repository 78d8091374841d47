"""The bot on a REST server that fails at the start: tried again for thirty seconds, then one line that names the call and its words.

What is slow runs side by side: a bot for each fault, all of them waited for together.
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
from tests.support.processes import BotProcess

BUSY = {"code": 8, "message": "Too Many Requests", "details": [{"message": "slow down, please", "inner": "60 calls a minute"}]}
BROKEN = {"code": 13, "message": "Internal error", "details": [{"message": "the database is away", "inner": ""}]}
ROUND = {"assets": {"edges": [], "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": "bm93", "endCursor": "bm93"}}}


@dataclass(frozen=True)
class Fault:
    """What a server answers instead of the truth, and what the last line says of it where that never ends."""

    answer: Answer
    words: str  # a regular expression
    bad: float = 2  # bad ones, where the server recovers
    call: str = "assets"  # the call that fails


FAULTS = {
    "429": Fault(Answer(BUSY, 429, {"Retry-After": "1"}), "HTTP 429, slow down, please: 60 calls a minute$"),
    "429 for an hour": Fault(Answer(BUSY, 429, {"Retry-After": "3600"}), "HTTP 429, slow down, please: 60 calls a minute$", bad=1),
    "500": Fault(Answer(BROKEN, status=500), "HTTP 500, the database is away$", call="accounts"),
    "hangs": Fault(Answer(hang=True), "no answer from http://127.0.0.1:.*timed out", bad=1),
    "cut": Fault(Answer({"assets": "x" * 500}, cut=100), r"no answer from http://127.0.0.1:.*IncompleteRead"),
    "HTML": Fault(Answer(HTML, headers={"Content-Type": "text/html"}), "not the JSON we know, but <!doctype html>", call="markets"),
    "redirects": Fault(Answer("", status=302, headers={"Location": "/api/v2/assets"}), "Exceeded 30 redirects", bad=40),
    "pages": Fault(Answer(ROUND), "the page after cursor bm93 names itself as the next", bad=4),
    "trickles": Fault(Answer(ROUND, pause=1.0), "no answer from http://127.0.0.1:.*30 s are over"),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=31) as running:
        yield running


class FaultyRest(Replay):
    """The sandbox's REST, where one call is answered badly for some times."""

    def __init__(self, sandbox: Sandbox, fault: Fault, bad: float) -> None:
        super().__init__(then=self._answers_of(sandbox, fault, bad))

    def _answers_of(self, sandbox: Sandbox, fault: Fault, bad: float) -> Iterator[Answer]:
        while True:
            path = self.paths[-1].removeprefix("/api/v2")
            if path.startswith(f"/{fault.call}") and bad > 0:
                bad -= 1
                yield fault.answer
            else:
                yield Answer(requests.get(f"{sandbox.node_url}{path}", timeout=5).text)


@contextlib.contextmanager
def bots_on(sandbox: Sandbox, faults: dict[str, Fault], bad: Optional[float] = None) -> Iterator[dict[str, BotProcess]]:
    """Start a bot for each fault, each on a server of its own, with a wallet that nobody runs."""
    with contextlib.ExitStack() as stack:
        bots = {}
        for name, fault in faults.items():
            server = stack.enter_context(FaultyRest(sandbox, fault, fault.bad if bad is None else bad))
            urls = {"NODE_URL": f"{server.url}/api/v2", "WALLET_URL": "http://127.0.0.1:9"}
            bots[name] = stack.enter_context(BotProcess(sandbox, sandbox.markets["future"], **urls))
        yield bots


def test_a_server_that_recovers_is_tried_until_it_does(sandbox: Sandbox) -> None:
    passing = {name: fault for name, fault in FAULTS.items() if name not in ("429 for an hour", "trickles")}
    with bots_on(sandbox, passing) as bots:
        started = {name: bot.wait_for("Latest prices are", seconds=40) for name, bot in bots.items()}
        said = {name: bot.lines[: started[name] - 1] for name, bot in bots.items()}
    assert started.keys() == passing.keys()
    assert {name: lines for name, lines in said.items() if len(lines) > 1} == {}  # one line for all the tries


def test_a_server_that_does_not_recover_ends_the_start_after_thirty_seconds_with_one_line(sandbox: Sandbox) -> None:
    began = time.monotonic()
    with bots_on(sandbox, FAULTS, bad=math.inf) as bots:
        statuses = {name: bot.finish(seconds=60) for name, bot in bots.items()}
        took = time.monotonic() - began
    assert 30 <= took < 60
    assert statuses == dict.fromkeys(FAULTS, 1)
    last_lines = {name: bot.lines[-1] for name, bot in bots.items()}
    wanted = {name: rf"Cannot start: GET {fault.call}\S*: .*{fault.words}" for name, fault in FAULTS.items()}
    assert {name: line for name, line in last_lines.items() if not re.search(wanted[name], line)} == {}
    assert {name: bot.lines for name, bot in bots.items() if len(bot.lines) > 2} == {}  # the first failure, and the last word
