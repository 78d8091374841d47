"""`python -m tests.benchmark.room`: thirty bots, the traders and some pages on one sandbox. Are its blocks on time, and its streams?

The sandbox runs in a process of its own, the bots together in this one, on the loopback. A bot follows the four streams and sends a batch
a second: cancel all, and a quote on each side. Bounded: so many bots, so many seconds, then it ends.

What is measured, on this side of the sockets:
- a block's lateness: when its market data first came to any bot, against a clock that ticks once a second from the run's median on;
- how far behind a stream is: the time from then until the same block's frame has come to the slowest bot;
- the time that the wallet takes to answer, and frames that never came.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

WARM_UP = 3.0  # seconds in which everybody connects, not measured
LONGEST_RUN = 600
MOST_BOTS = 200
ON_TIME = 0.050  # seconds


class Bot:
    """A light v0.77 client."""

    def __init__(self, told: dict[str, Any], name: str, session: aiohttp.ClientSession) -> None:
        self._told, self._session = told, session
        self._party, self._market = told["parties"][name], told["markets"]["future"]
        self._token = told["participants"][name]["token"]
        self.blocks: dict[int, float] = {}  # chain time of a block -> when its market data came
        self.frames: dict[str, int] = defaultdict(int)
        self.answers: list[float] = []  # seconds that the wallet took
        self.refusals = 0
        self.position = 0
        self._best: tuple[str, str] = ("0", "0")

    async def run(self, offset: float) -> None:
        market, party = self._market, self._party
        paths = {
            "markets/data": f"marketIds={market}",
            "orders": f"partyIds={party}",
            "positions": f"partyId={party}",
            "accounts": f"partyId={party}",
        }
        await asyncio.gather(self._trade(offset), *(self._follow(stream, query) for stream, query in paths.items()))

    async def _follow(self, stream: str, query: str) -> None:
        async with self._session.ws_connect(f"{self._told['ws_url']}/stream/{stream}?{query}") as connection:
            async for message in connection:
                came = time.monotonic()
                self.frames[stream] += 1
                self._take(json.loads(message.data)["result"], came)

    def _take(self, result: dict[str, Any], came: float) -> None:
        for data in result.get("marketData", []):
            self.blocks[int(data["timestamp"])] = came
            self._best = (data["bestBidPrice"], data["bestOfferPrice"])
        for position in result.get("updates", {}).get("positions", []):
            self.position = int(position.get("openVolume", 0))

    async def _trade(self, offset: float) -> None:
        """A batch a second; bots begin at different moments, as people do."""
        await asyncio.sleep(offset)
        while True:
            turn = time.monotonic()
            if "0" not in self._best:
                await self._send()
            await asyncio.sleep(max(0.0, turn + 1 - time.monotonic()))

    async def _send(self) -> None:
        terms = {"marketId": self._market, "size": "1000", "timeInForce": "TIME_IN_FORCE_GTC", "type": "TYPE_LIMIT"}
        sides = [("SIDE_BUY", self._best[0])] * (self.position <= 3000) + [("SIDE_SELL", self._best[1])] * (self.position >= -3000)
        batch = {
            "cancellations": [{"marketId": self._market}],
            "submissions": [{**terms, "side": side, "price": price} for side, price in sides],
        }
        params = {"publicKey": self._party, "sendingMode": "TYPE_SYNC", "transaction": {"batchMarketInstructions": batch}}
        call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": params}
        headers = {"Origin": "benchmark", "Authorization": f"VWT {self._token}"}
        asked = time.monotonic()
        async with self._session.post(f"{self._told['wallet_url']}/api/v2/requests", json=call, headers=headers) as answer:
            await answer.read()
            self.refusals += answer.status != 200
        self.answers.append(time.monotonic() - asked)


async def watch_page(told: dict[str, Any], party: str, session: aiohttp.ClientSession) -> None:
    """Keep a page open, as a browser does."""
    address = told["node_url"].replace("/api/v2", "/page/events")
    async with session.get(address, params={"party": party}, timeout=aiohttp.ClientTimeout(total=None)) as answer:
        async for _ in answer.content.iter_any():
            pass


@contextlib.asynccontextmanager
async def sandbox(parties: int) -> AsyncIterator[dict[str, Any]]:
    arguments = ["--json", "--parties", str(parties), "--port", "0", "--wallet-port", "0"]
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.sandbox", *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout
        yield json.loads(await asyncio.wait_for(child.stdout.readline(), 20))
    finally:
        child.terminate()
        await child.wait()


async def measure(parties: int, pages: int, seconds: float) -> list[Bot]:
    """Run everybody for so long, and return the bots with what they saw after the warm-up."""
    async with sandbox(parties) as told, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        bots = [Bot(told, name, session) for name in told["participants"]]
        tasks = [asyncio.create_task(bot.run(number / parties)) for number, bot in enumerate(bots)]
        names = list(told["parties"])
        tasks += [asyncio.create_task(watch_page(told, names[number % len(names)], session)) for number in range(pages)]
        await asyncio.sleep(WARM_UP)
        for bot in bots:
            bot.blocks.clear()
            bot.answers.clear()
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in failed:
            task.result()  # raises what has ended it
        return bots


def figures(bots: list[Bot]) -> dict[str, float]:
    """Return what is measured, times in milliseconds."""
    times = sorted(set().union(*(bot.blocks for bot in bots)))[1:-1]  # the first and the last may be cut off
    first = {block: min(bot.blocks[block] for bot in bots if block in bot.blocks) for block in times}
    beside = {block: came - block / 10**9 for block, came in first.items()}
    middle = statistics.median(beside.values())
    late = sorted(abs(moment - middle) * 1000 for moment in beside.values())
    behind = sorted((bot.blocks[block] - first[block]) * 1000 for bot in bots for block in times if block in bot.blocks)
    answers = sorted(answer * 1000 for bot in bots for answer in bot.answers)
    return {
        "blocks": len(times),
        "block late, median": _at(late, 0.5),
        "block late, worst": late[-1],
        "stream behind, median": _at(behind, 0.5),
        "stream behind, 99 %": _at(behind, 0.99),
        "stream behind, worst": behind[-1],
        "frames that never came": sum(block not in bot.blocks for bot in bots for block in times),
        "wallet's answer, median": _at(answers, 0.5),
        "wallet's answer, 99 %": _at(answers, 0.99),
        "wallet's answer, worst": answers[-1],
        "batches": len(answers),
        "batches refused": sum(bot.refusals for bot in bots),
    }


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def report(bots: list[Bot], pages: int) -> bool:
    """Print the table; say whether blocks were on time and nothing was lost."""
    measured = figures(bots)
    print(f"{len(bots)} bots, {pages} pages | Python {platform.python_version()}, aiohttp {aiohttp.__version__}, {platform.platform()}")
    for name, value in measured.items():
        unit = " ms" if any(word in name for word in ("late", "behind", "answer")) else ""
        print(f"{name:<26}{value:>10.1f}{unit}" if unit else f"{name:<26}{value:>10.0f}")
    fine = measured["block late, worst"] <= ON_TIME * 1000 and not measured["frames that never came"]
    print("on time" if fine else f"NOT on time: a block was more than {ON_TIME * 1000:.0f} ms late, or a frame was lost")
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.room", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parties", type=int, default=30, help="bots (default 30)")
    parser.add_argument("--pages", type=int, default=5, help="open pages (default 5)")
    parser.add_argument("--seconds", type=float, default=30, help="measured, after a short warm-up (default 30)")
    options = parser.parse_args()
    if not (1 <= options.parties <= MOST_BOTS and 0 <= options.pages <= MOST_BOTS and 3 <= options.seconds <= LONGEST_RUN):
        parser.error(f"at most {MOST_BOTS} bots and pages, for 3 to {LONGEST_RUN} seconds")
    bots = asyncio.run(measure(options.parties, options.pages, options.seconds))
    raise SystemExit(0 if report(bots, options.pages) else 1)


if __name__ == "__main__":
    main()
