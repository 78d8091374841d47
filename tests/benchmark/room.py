"""`python -m tests.benchmark.room`: thirty bots, the traders and some open pages on one sandbox. Are its blocks and streams on time?

The sandbox runs in a process of its own, the bots together in this one, on the loopback. A bot reads the four streams and sends one batch
per second: cancel all, and a quote on each side. The run ends after a given number of seconds.

Measured at the bots' end of the sockets:
- the delay of a block: when its market data first reached any bot, compared with a clock that ticks once per second;
- the delay of a stream: from then until the frame of the same block reached the other bots;
- the response time of the wallet, and missing frames.

With `--attack`, one more participant sends as much as it may, and 248 streams are opened that nobody reads.
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
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from tests.support.waiting import DEFAULT_TIMEOUT

WARM_UP = 3.0  # s, at least, until all bots have connected; not measured
POLL_INTERVAL = 0.1  # s
MAX_SECONDS = 600
MAX_BOTS = 200
MIN_BLOCKS = 3  # the first and the last one are not judged
MAX_BLOCK_DELAY = 0.050  # s
STREAMS = {"markets/data", "orders", "positions", "accounts"}
UNREAD_STREAMS = 248
ATTACK_BATCHES, ATTACK_ORDERS = 50, 29  # per second and per batch: the most that a participant may send
HANDSHAKE = (
    "GET /api/v2/stream/orders HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Bot:
    """A light v0.77 client."""

    def __init__(self, sandbox: dict[str, Any], name: str, session: aiohttp.ClientSession) -> None:
        self._sandbox, self._session = sandbox, session
        self._party, self._market = sandbox["parties"][name], sandbox["markets"]["future"]
        self._token = sandbox["participants"][name]["token"]
        self.blocks: dict[int, float] = {}  # chain time of a block -> when its market data arrived
        self.frames: dict[str, int] = defaultdict(int)
        self.response_times: list[float] = []  # s, of the wallet
        self.rejected_batches = 0
        self.position = 0
        self.is_connected = False  # on all streams
        self._best: tuple[str, str] = ("0", "0")

    def blocks_after(self, begin: int) -> dict[int, float]:
        return {block: received for block, received in self.blocks.items() if block > begin}

    async def run(self, offset: float) -> None:
        market, party = self._market, self._party
        paths = {  # of STREAMS
            "markets/data": f"marketIds={market}",
            "orders": f"partyIds={party}",
            "positions": f"partyId={party}",
            "accounts": f"partyId={party}",
        }
        await asyncio.gather(self._trade(offset), *(self._read(stream, query) for stream, query in paths.items()))

    async def _read(self, stream: str, query: str) -> None:
        async with self._session.ws_connect(f"{self._sandbox['ws_url']}/stream/{stream}?{query}") as connection:
            async for message in connection:
                received = time.monotonic()
                self.frames[stream] += 1
                self.is_connected = self.frames.keys() == STREAMS
                self._process(json.loads(message.data)["result"], received)

    def _process(self, result: dict[str, Any], received: float) -> None:
        for data in result.get("marketData", []):
            self.blocks[int(data["timestamp"])] = received
            self._best = (data["bestBidPrice"], data["bestOfferPrice"])
        for position in result.get("updates", {}).get("positions", []):
            self.position = int(position.get("openVolume", 0))

    async def _trade(self, offset: float) -> None:
        """Send a batch per second. Bots begin at different moments, as in a real room."""
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
        began = time.monotonic()
        async with self._session.post(f"{self._sandbox['wallet_url']}/api/v2/requests", json=call, headers=headers) as response:
            await response.read()
            self.rejected_batches += response.status != 200
        self.response_times.append(time.monotonic() - began)


async def attack(sandbox: dict[str, Any], name: str, session: aiohttp.ClientSession) -> None:
    """Send as many orders as a participant may, which all rest, and open streams that nobody reads."""
    address = sandbox["node_url"].removeprefix("http://").removesuffix("/api/v2")
    host, _, port = address.rpartition(":")
    unread = []
    for _ in range(UNREAD_STREAMS):
        _, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))  # reading pauses after 128 KB
        writer.write(HANDSHAKE.format(address).encode())
        unread.append(writer)
    market, key = sandbox["markets"]["future"], sandbox["parties"][name]
    order = {"marketId": market, "size": "1000", "price": "5000000", "side": "SIDE_BUY", "type": "TYPE_LIMIT"}
    batch = {
        "cancellations": [{"marketId": market}],
        "submissions": [{**order, "timeInForce": "TIME_IN_FORCE_GTC"}] * ATTACK_ORDERS,
    }
    params = {"publicKey": key, "sendingMode": "TYPE_SYNC", "transaction": {"batchMarketInstructions": batch}}
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": params}
    headers = {"Origin": "benchmark", "Authorization": f"VWT {sandbox['participants'][name]['token']}"}
    while True:
        for _ in range(ATTACK_BATCHES):
            async with session.post(f"{sandbox['wallet_url']}/api/v2/requests", json=call, headers=headers) as response:
                await response.read()
        await asyncio.sleep(0.5)


async def watch_page(sandbox: dict[str, Any], party: str, session: aiohttp.ClientSession) -> None:
    """Keep a page open, as a browser does."""
    address = sandbox["node_url"].replace("/api/v2", "/page/events")
    async with session.get(address, params={"party": party}, timeout=aiohttp.ClientTimeout(total=None)) as response:
        async for _ in response.content.iter_any():
            pass


@contextlib.asynccontextmanager
async def start_sandbox(parties: int) -> AsyncIterator[dict[str, Any]]:
    arguments = ["--json", "--parties", str(parties), "--port", "0", "--wallet-port", "0"]
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.sandbox", *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout
        yield json.loads(await asyncio.wait_for(child.stdout.readline(), DEFAULT_TIMEOUT))
    finally:
        child.terminate()
        await child.wait()


async def measure(parties: int, pages: int, seconds: float, is_attacked: bool = False) -> list[Bot]:
    """Run all bots and pages for some seconds; return the bots with what they measured after the warm-up."""
    participants = parties + is_attacked
    async with start_sandbox(participants) as sandbox, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        *names, last = sandbox["participants"]
        if not is_attacked:
            names.append(last)
        bots = [Bot(sandbox, name, session) for name in names]
        attackers = [asyncio.create_task(attack(sandbox, last, session))] if is_attacked else []
        tasks = attackers + [asyncio.create_task(bot.run(number / parties)) for number, bot in enumerate(bots)]
        names = list(sandbox["parties"])
        tasks += [asyncio.create_task(watch_page(sandbox, names[number % len(names)], session)) for number in range(pages)]
        await asyncio.wait(tasks, timeout=WARM_UP, return_when=asyncio.FIRST_EXCEPTION)
        await _run_until(tasks, lambda: all(bot.is_connected for bot in bots))
        begin = max((block for bot in bots for block in bot.blocks), default=0)  # some bots may still be a few blocks behind
        for bot in bots:
            bot.response_times.clear()
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        await _run_until(tasks, lambda: all(len(bot.blocks_after(begin)) >= MIN_BLOCKS for bot in bots))
        last = max((block for bot in bots for block in bot.blocks), default=0)
        await _run_until(tasks, lambda: all(max(bot.blocks, default=0) >= last for bot in bots))
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in failed:
            task.result()  # raises the error that ended it
        for bot in bots:
            bot.blocks = bot.blocks_after(begin)
        return bots


async def _run_until(tasks: list["asyncio.Task[None]"], condition: Callable[[], bool]) -> None:
    """Let the tasks run until a condition holds, one of them fails, or time is up. On a busy machine, bots run behind the blocks."""
    deadline = time.monotonic() + DEFAULT_TIMEOUT
    while not condition() and time.monotonic() < deadline:
        done, _ = await asyncio.wait(tasks, timeout=POLL_INTERVAL, return_when=asyncio.FIRST_EXCEPTION)
        if done:
            return


def figures(bots: list[Bot]) -> dict[str, float]:
    """Return the figures, times in milliseconds."""
    times = sorted(set().union(*(bot.blocks for bot in bots)))[1:-1]  # the first and the last one may be incomplete
    first = {block: min(bot.blocks[block] for bot in bots if block in bot.blocks) for block in times}
    offsets = {block: received - block / 10**9 for block, received in first.items()}
    middle = statistics.median(offsets.values())
    block_delays = sorted(abs(offset - middle) * 1000 for offset in offsets.values())
    stream_delays = sorted((bot.blocks[block] - first[block]) * 1000 for bot in bots for block in times if block in bot.blocks)
    response_times = sorted(seconds * 1000 for bot in bots for seconds in bot.response_times)
    return {
        "blocks": len(times),
        "block delay, median": _at(block_delays, 0.5),
        "block delay, maximum": block_delays[-1],
        "stream delay, median": _at(stream_delays, 0.5),
        "stream delay, 99 %": _at(stream_delays, 0.99),
        "stream delay, maximum": stream_delays[-1],
        "missing frames": sum(block not in bot.blocks for bot in bots for block in times),
        "wallet response, median": _at(response_times, 0.5),
        "wallet response, 99 %": _at(response_times, 0.99),
        "wallet response, maximum": response_times[-1],
        "batches": len(response_times),
        "batches rejected": sum(bot.rejected_batches for bot in bots),
    }


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def report(bots: list[Bot], pages: int) -> bool:
    """Print the table; return whether all blocks were on time and no frame is missing."""
    measured = figures(bots)
    print(f"{len(bots)} bots, {pages} pages | Python {platform.python_version()}, aiohttp {aiohttp.__version__}, {platform.platform()}")
    for name, value in measured.items():
        unit = " ms" if any(word in name for word in ("delay", "response")) else ""
        print(f"{name:<26}{value:>10.1f}{unit}" if unit else f"{name:<26}{value:>10.0f}")
    is_on_time = measured["block delay, maximum"] <= MAX_BLOCK_DELAY * 1000 and not measured["missing frames"]
    print("on time" if is_on_time else f"NOT on time: a block was more than {MAX_BLOCK_DELAY * 1000:.0f} ms late, or a frame is missing")
    return is_on_time


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.room", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parties", type=int, default=30, help="bots (default 30)")
    parser.add_argument("--pages", type=int, default=5, help="open pages (default 5)")
    parser.add_argument("--seconds", type=float, default=30, help="measured, after a short warm-up (default 30)")
    parser.add_argument("--attack", action="store_true", help="with a participant that sends all it may, and streams that nobody reads")
    options = parser.parse_args()
    if not (1 <= options.parties <= MAX_BOTS and 0 <= options.pages <= MAX_BOTS and 3 <= options.seconds <= MAX_SECONDS):
        parser.error(f"at most {MAX_BOTS} bots and pages, for 3 to {MAX_SECONDS} seconds")
    bots = asyncio.run(measure(options.parties, options.pages, options.seconds, options.attack))
    raise SystemExit(0 if report(bots, options.pages) else 1)


if __name__ == "__main__":
    main()
