"""Prices of the same goods on another exchange, as a ticker over WebSocket: `/reference/SOLDAI` on the data node's port.

The other exchange leads: it is now where the sandbox's maker will be in the next block. Each block sends each client one text frame,
{"symbol": "SOLDAI", "bid_price": "99.99871", "ask_price": "100.00266"}, prices as text, as exchanges do. The newest one comes at once.
Faults of the data node's streams do not touch it: it is somebody else's.
"""

import asyncio
import contextlib
import copy
import random
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from aiohttp import web

from tests.sandbox.chain.chain import Market
from tests.sandbox.chain.records import Block
from tests.sandbox.chain.traders import RandomWalk, Traders
from tests.sandbox.node.responses import compact
from tests.sandbox.node.streams import MAX_SUBSCRIPTIONS

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

MAX_BACKLOG = 1000  # frames; a client further behind is dropped
MAX_MESSAGE_SIZE = 1024  # bytes from a client, who has nothing to say


def add_reference_feed(sandbox: "Sandbox", app: web.Application) -> None:
    """Add the feed to an application; it follows the blocks that the sandbox makes. A second time is without effect."""
    if "reference" in app.router.named_resources():
        return
    feed = ReferenceFeed(sandbox)
    publish = sandbox.node.publish

    def publish_and_quote(block: Block) -> None:
        publish(block)
        feed.publish(block)

    sandbox.node.publish = publish_and_quote  # type: ignore[method-assign]
    app.router.add_get("/reference/{symbol}", feed.connect, name="reference")
    app.on_shutdown.append(feed.close)


def symbol_of(market: Market) -> str:
    """Return what the other exchange calls a market's goods: SOLDAI for `SOL/DAI future`."""
    return re.sub("[^A-Z0-9]", "", market.name.partition(" ")[0].upper())


class ReferenceFeed:
    def __init__(self, sandbox: "Sandbox") -> None:
        self._chain, self._traders = sandbox.chain, sandbox.traders
        self._markets = {symbol_of(market): market for market in reversed(self._chain.markets.values())}  # of two alike, the first
        self._random_walks = RandomWalks(list(self._markets.values()))
        self._newest: dict[str, str] = {}  # symbol -> frame
        self._clients: set[_Client] = set()

    def publish(self, block: Block) -> None:
        """Queue a new frame to every client."""
        mid_prices = next_mid_prices(self._traders) if self._traders else self._random_walks.mid_prices()
        self._newest = {symbol: _frame(symbol, market, mid_prices[market.id], block.height) for symbol, market in self._markets.items()}
        for client in list(self._clients):
            client.send(self._newest[client.symbol])

    async def connect(self, request: web.Request) -> web.StreamResponse:
        symbol = request.match_info["symbol"].upper()
        if symbol not in self._markets:
            return web.Response(status=404, text=f"there is no symbol {symbol!r}, only {', '.join(sorted(self._markets))}\n")
        if sum(client.remote == request.remote for client in self._clients) >= MAX_SUBSCRIPTIONS:
            return web.Response(status=429, text="too many connections\n")
        connection = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_SIZE)
        if not connection.can_prepare(request):
            return web.Response(status=400, text="this is a WebSocket address\n")
        await connection.prepare(request)
        client = _Client(symbol, request, connection)
        self._clients.add(client)
        try:
            if symbol in self._newest:
                client.send(self._newest[symbol])
            await client.run()
        finally:
            self._clients.discard(client)
        return connection

    async def close(self, app: web.Application) -> None:
        for client in list(self._clients):
            client.drop()


def next_mid_prices(traders: Traders) -> dict[str, int]:
    """Return where the maker's prices will be in the next block, in ticks: drawn by a copy, so that the traders draw the same."""
    twin = copy.deepcopy(traders, {id(traders._chain): traders._chain})  # all but the chain, which it only reads
    twin.transactions()
    return {market_id: walk.now for market_id, walk in twin._walks.items()}


class RandomWalks:
    """Where there are no traders to be ahead of: random walks of its own, from the markets' first prices."""

    def __init__(self, markets: list[Market]) -> None:
        self._generator = random.Random(" ".join(market.id for market in markets))
        begins = {market.id: market.mark_price // market.tick_size for market in markets}
        self._walks = {market_id: RandomWalk(start=begin, now=begin, step=max(1, begin // 3000)) for market_id, begin in begins.items()}

    def mid_prices(self) -> dict[str, int]:
        """Move on by a block."""
        for walk in self._walks.values():
            walk.move(self._generator)
        return {market_id: walk.now for market_id, walk in self._walks.items()}


def _frame(symbol: str, market: Market, middle: int, height: int) -> str:
    """Quote a middle, in ticks, with a spread that changes from block to block, much narrower than the maker's."""
    half = random.Random(f"{market.id} {height}").randint(1, max(1, middle // 30_000))
    bid, ask = (_price(market, ticks) for ticks in (middle - half, middle + half))
    return compact({"symbol": symbol, "bid_price": bid, "ask_price": ask})


def _price(market: Market, ticks: int) -> str:
    return f"{Decimal(ticks * market.tick_size).scaleb(-market.price_decimals):f}"


class _Client:
    """One connection, and the frames on their way to it."""

    def __init__(self, symbol: str, request: web.Request, connection: web.WebSocketResponse) -> None:
        self.symbol = symbol
        self.remote = request.remote
        self._transport = request.transport
        self._connection = connection
        self._backlog: asyncio.Queue[str] = asyncio.Queue(MAX_BACKLOG)

    def send(self, frame: str) -> None:
        try:
            self._backlog.put_nowait(frame)
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        if self._transport:
            self._transport.abort()

    async def run(self) -> None:
        """Serve the connection until either side ends it. Reading is what answers the client's pings and its close."""
        writer = asyncio.create_task(self._write())
        try:
            async for _ in self._connection:
                pass
        finally:
            writer.cancel()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._connection.send_str(await self._backlog.get())
