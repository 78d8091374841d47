"""The whole bot on the sandbox: its start, and its loop on a slow network, beside one that polls as the earlier page does.

The sandbox notes when each frame leaves the node and when each quote reaches the wallet, all on one clock.
"""

import json
import re
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

from aiohttp import web

from tests.sandbox import Sandbox
from tests.sandbox.node.serializers import market_data_node
from tests.support.processes import BotProcess
from tests.support.waiting import DEFAULT_TIMEOUT

BLOCK_TIME = 0.23  # seconds: no part of a second, so that quotes meet blocks at every phase
IN_TIME = 0.01  # seconds that a frame may take from the node into a quote
POLLER = ("-m", "tests.benchmark.bot")

Quote = tuple[float, dict[str, str]]  # time.monotonic() when it reached the wallet, and side -> padded price
Frame = tuple[float, dict[str, str]]  # the same of a frame that left the node, and the best prices in it


class ObservedSandbox(Sandbox):
    """A sandbox that notes what was asked of it, and when."""

    def __init__(self, product: str = "future", **options: Any) -> None:
        super().__init__(**options)
        self.market = self.chain.markets[self.markets[product]]
        self.frames: list[Frame] = []
        self.quotes: list[Quote] = []
        self.asked: list[str] = []  # paths of REST calls
        self.connections: set[Any] = set()  # the clients' ends of those that carried them
        publish = self.node.publish

        def publish_and_note(block: Any) -> None:
            publish(block)
            data = market_data_node(self.chain, self.market)
            prices = {"SIDE_BUY": str(data["bestBidPrice"]), "SIDE_SELL": str(data["bestOfferPrice"])}
            self.frames.append((time.monotonic(), prices))

        self.node.publish = publish_and_note  # type: ignore[method-assign]
        self.node.app.middlewares.append(self._note_call)
        self._wallet_server._runner.app.middlewares.insert(0, self._note_quote)  # before the delay

    @web.middleware
    async def _note_call(self, request: web.Request, handler: Callable[[web.Request], Any]) -> Any:
        if "/stream/" not in request.path and request.transport is not None:
            self.asked.append(request.path_qs)
            self.connections.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    @web.middleware
    async def _note_quote(self, request: web.Request, handler: Callable[[web.Request], Any]) -> Any:
        now = time.monotonic()
        call = json.loads(await request.read())
        submissions = call["params"]["transaction"]["batchMarketInstructions"].get("submissions", [])
        if submissions:
            self.quotes.append((now, {each["side"]: each["price"] for each in submissions}))
        return await handler(request)


def measure_start(delay: float) -> dict[str, Any]:
    """Return how long `python -m main` takes until its first quote is taken, and the REST calls and connections until then."""
    with ObservedSandbox() as sandbox:
        sandbox.delay_rest(delay)
        sandbox.delay_wallet(delay)
        begun = time.monotonic()
        with BotProcess(sandbox, sandbox.market.id, LOG_LEVEL="INFO") as bot:
            bot.wait_for(r"\| quoted$", seconds=30)
            seconds = time.monotonic() - begun
            figures = {
                "seconds": seconds,
                "calls": [re.sub("[0-9a-f]{64}", "ID", path.removeprefix("/api/v2/")) for path in sandbox.asked],
                "connections": len(sandbox.connections),
                "repeated": len(sandbox.asked) - len(set(sandbox.asked)),
            }
        time.sleep(delay + 0.1)  # the sandbox still has calls to answer
    return figures


def measure_loop(delay: float, seconds: float, bots: int) -> dict[str, dict[str, float]]:
    """Run some bots and one that polls, each on a sandbox of its own; return for `bot` and `polling` the loop's figures.

    - `period`: median seconds from quote to quote.
    - `newest`: share of the quotes with the prices of the newest frame that had left the node 10 ms before the quote was
      in the wallet, or of a newer one. Stricter than from the moment of quoting, by the way to the wallet.
    - `quotes`: how many.
    - `late`: of the others the most ms between the frame that they should have had and the quote in the wallet. A little
      over 10 is a busy machine's delay on the quote's own way; the time of a block would be the bot's fault.
    - `told`: share of the frames with other prices than the one before: a quote on an old one can be told from these.
    """
    commands: list[tuple[str, ...]] = [("-m", "main")] * bots + [POLLER]
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(ObservedSandbox(block_time=BLOCK_TIME, seed=seed)) for seed in range(len(commands))]
        for sandbox in sandboxes:
            sandbox.delay_rest(delay)
            sandbox.delay_wallet(delay)
        with ExitStack() as processes:
            for sandbox, command in zip(sandboxes, commands, strict=True):
                processes.enter_context(BotProcess(sandbox, sandbox.market.id, command))
            time.sleep(seconds)
            give_up = time.monotonic() + DEFAULT_TIMEOUT
            while min(len(sandbox.quotes) for sandbox in sandboxes) < 2 and time.monotonic() < give_up:
                time.sleep(0.05)
        time.sleep(delay + 0.1)  # the sandboxes still have calls to answer
    return {"bot": loop_figures(sandboxes[:-1]), "polling": loop_figures(sandboxes[-1:])}


def loop_figures(sandboxes: list[ObservedSandbox]) -> dict[str, float]:
    periods: list[float] = []
    late: list[float] = []
    told: list[bool] = []
    for sandbox in sandboxes:
        times = [arrived for arrived, _ in sandbox.quotes]
        periods += [later - earlier for earlier, later in pairwise(times)]
        late += [lateness(quote, sandbox.frames) for quote in sandbox.quotes]
        told += [earlier[1] != later[1] for earlier, later in pairwise(sandbox.frames)]
    return {
        "period": statistics.median(periods),
        "newest": sum(each <= IN_TIME for each in late) / len(late),
        "quotes": len(late),
        "late": max(late) * 1e3,
        "told": sum(told) / len(told),
    }


def lateness(quote: Quote, frames: list[Frame]) -> float:
    """Return how long before the quote reached the wallet a newer frame had left than the one it uses; 0 for the newest."""
    arrived, quoted = quote
    newer_left = arrived
    for left, prices in reversed(frames):
        if quoted.items() <= prices.items():
            break
        newer_left = min(left, arrived)
    return arrived - newer_left


def poll(node_url: str, wallet_url: str, token: str, party_id: str, market_id: str) -> None:
    """The loop of the tutorial before this one: it asks REST for all that it quotes on, each turn, then sleeps a second."""
    import bot.submission as sub
    import bot.vega_api_client as client
    from bot.models import parse_market_data
    from bot.wallet import VegaWallet

    wallet = VegaWallet(token=token, wallet_url=wallet_url, pub_key=party_id)
    while True:
        node = client.get_market_data(node_url=node_url, market_id=market_id)
        positions = client.get_positions(node_url=node_url, party_id=party_id, market_id=market_id)
        market = client.get_market(node_url=node_url, market_id=market_id)
        price_decimals, position_decimals = int(market["decimalPlaces"]), int(market["positionDecimalPlaces"])
        data = parse_market_data(node, price_decimals, position_decimals)
        held = int(positions[0]["openVolume"]) if positions else 0
        submissions = [
            sub.OrderSubmission(
                market_id=market_id,
                size=1,
                price=data[price],
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side=side,
            )
            for side, price, sign in (("SIDE_BUY", "best_bid_price", 1), ("SIDE_SELL", "best_offer_price", -1))
            if held * sign < 10**position_decimals
        ]
        batch = sub.BatchMarketInstruction(
            submissions=submissions, cancellations=[sub.OrderCancellation(market_id=market_id)], amendments=[]
        )
        wallet.submit_transaction(sub.instruction_to_json(batch, price_decimals, position_decimals))
        time.sleep(1)


if __name__ == "__main__":
    from os import environ

    poll(environ["NODE_URL"], environ["WALLET_URL"], environ["WALLET_TOKEN"], environ["PARTY_ID"], environ["MARKET_ID"])
