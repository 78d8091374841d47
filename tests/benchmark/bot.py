"""The whole bot on the sandbox: its start, and its loop on a slow network, compared with a bot that polls as the earlier page does.

The sandbox notes when each frame leaves the node and when each quote reaches the wallet, with one clock.
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
from tests.support.waiting import wait_until

BLOCK_TIME = 0.23  # s; does not divide a second, so that quotes fall on all phases of a block
MAX_FRAME_DELAY = 0.01  # s that a frame may take from the node into a quote
POLLER = ("-m", "tests.benchmark.bot")

Quote = tuple[float, dict[str, str]]  # time.monotonic() when it reached the wallet; side -> padded price
Frame = tuple[float, dict[str, str]]  # time.monotonic() when it left the node; side -> best price in it


class ObservedSandbox(Sandbox):
    """A sandbox that notes calls, frames and quotes with their times."""

    def __init__(self, product: str = "future", **options: Any) -> None:
        super().__init__(**options)
        self.market = self.chain.markets[self.markets[product]]
        self.frames: list[Frame] = []
        self.quotes: list[Quote] = []
        self.rest_calls: list[str] = []  # their paths
        self.connections: set[Any] = set()  # the client addresses of their connections
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
            self.rest_calls.append(request.path_qs)
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
    """Return how long `python -m main` takes until its first quote is accepted, and the REST calls and connections until then."""
    with ObservedSandbox() as sandbox:
        sandbox.delay_rest(delay)
        sandbox.delay_wallet(delay)
        began = time.monotonic()
        with BotProcess(sandbox, sandbox.market.id, LOG_LEVEL="INFO") as bot:
            bot.wait_for(r"\| quoted$", timeout=60)
            seconds = time.monotonic() - began
            figures = {
                "seconds": seconds,
                "calls": [re.sub("[0-9a-f]{64}", "ID", path.removeprefix("/api/v2/")) for path in sandbox.rest_calls],
                "connections": len(sandbox.connections),
                "repeated": len(sandbox.rest_calls) - len(set(sandbox.rest_calls)),
            }
        time.sleep(delay + 0.1)  # the sandbox still has calls in flight
    return figures


def measure_loop(delay: float, seconds: float, bots: int) -> dict[str, dict[str, float]]:
    """Run some bots and one that polls, each on its own sandbox; return the figures of the loop for `bot` and `polling`.

    - `period`: median of the seconds from quote to quote.
    - `newest`: share of the quotes with the prices of the newest frame. Frames of the last 10 ms before the quote reached the wallet are
      not required, so this includes the quote's own way to the wallet.
    - `quotes`: their number.
    - `late`: the maximum, in ms, from the first newer frame to the quote in the wallet. A little over 10 is the delay of a busy machine;
      the time of a block would be a defect of the bot.
    - `told`: share of the frames with other prices than the frame before; only these show that a quote is outdated.
    """
    commands: list[tuple[str, ...]] = [*[("-m", "main")] * bots, POLLER]
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(ObservedSandbox(block_time=BLOCK_TIME, seed=seed)) for seed in range(len(commands))]
        for sandbox in sandboxes:
            sandbox.delay_rest(delay)
            sandbox.delay_wallet(delay)
        with ExitStack() as processes:
            for sandbox, command in zip(sandboxes, commands, strict=True):
                processes.enter_context(BotProcess(sandbox, sandbox.market.id, command))
            time.sleep(seconds)
            wait_until(lambda: min(len(sandbox.quotes) for sandbox in sandboxes) >= 2)
        time.sleep(delay + 0.1)  # the sandboxes still have calls in flight
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
        "newest": sum(each <= MAX_FRAME_DELAY for each in late) / len(late),
        "quotes": len(late),
        "late": max(late) * 1e3,
        "told": sum(told) / len(told),
    }


def lateness(quote: Quote, frames: list[Frame]) -> float:
    """Return for how many seconds a newer frame had been sent when the quote reached the wallet; 0 for a quote on the newest one."""
    arrived, quoted = quote
    newer_sent = arrived
    for sent, prices in reversed(frames):
        if quoted.items() <= prices.items():
            break
        newer_sent = min(sent, arrived)
    return arrived - newer_sent


def poll(node_url: str, wallet_url: str, token: str, party_id: str, market_id: str) -> None:
    """The loop of the tutorial before this one: each turn it gets everything over REST, then sleeps a second."""
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
