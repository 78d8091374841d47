"""Prices of the same goods on another exchange, as a ticker over WebSocket: `/reference/SOLDAI` on the data node's port.

The other exchange leads: its price is the one around which the sandbox's maker will quote in the next block. After each block every
client gets one text frame, {"symbol": "SOLDAI", "bid_price": "99.99871", "ask_price": "100.00266"}, and a new client gets the newest
one at once. Faults of the data node's streams do not affect this feed.
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

MAX_BACKLOG = 1000  # frames; a client with more unread frames is disconnected
MAX_MESSAGE_SIZE = 1024  # bytes; clients have nothing to send


def add_reference_feed(sandbox: "Sandbox", app: web.Application) -> None:
    """Add the feed to an application. It sends a frame for each block of the sandbox. A second call has no effect."""
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
    """Return the other exchange's symbol of a market: SOLDAI for `SOL/DAI future`."""
    return re.sub("[^A-Z0-9]", "", market.name.partition(" ")[0].upper())


class ReferenceFeed:
    def __init__(self, sandbox: "Sandbox") -> None:
        self._chain, self._traders = sandbox.chain, sandbox.traders
        # reversed: the first of two markets with the same symbol wins
        self._markets = {symbol_of(market): market for market in reversed(self._chain.markets.values())}
        self._random_walks = RandomWalks(list(self._markets.values()))
        self._newest: dict[str, str] = {}  # symbol -> frame
        self._clients: set[_Client] = set()

    def publish(self, block: Block) -> None:
        """Queue a new frame for every client."""
        mid_prices = next_mid_prices(self._traders) if self._traders else self._random_walks.mid_prices()
        self._newest = {symbol: _frame(symbol, market, mid_prices[market.id], block.height) for symbol, market in self._markets.items()}
        for client in list(self._clients):
            client.send(self._newest[client.symbol])

    async def connect(self, request: web.Request) -> web.StreamResponse:
        symbol = request.match_info["symbol"].upper()
        if symbol not in self._markets:
            return web.Response(status=404, text=f"unknown symbol {symbol!r}; known are {', '.join(sorted(self._markets))}\n")
        if sum(client.remote == request.remote for client in self._clients) >= MAX_SUBSCRIPTIONS:
            return web.Response(status=429, text="too many connections\n")
        connection = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_SIZE)
        if not connection.can_prepare(request):
            return web.Response(status=400, text="this URL needs a WebSocket client\n")
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
            client.disconnect()


def next_mid_prices(traders: Traders) -> dict[str, int]:
    """Return the maker's prices of the next block, in ticks. A copy draws them, so the traders' own random numbers do not change."""
    twin = copy.deepcopy(traders, {id(traders._chain): traders._chain})  # shares the chain, which the copy only reads
    twin.transactions()
    return {market_id: walk.now for market_id, walk in twin._walks.items()}


class RandomWalks:
    """Random walks from the markets' first prices, for a sandbox without traders."""

    def __init__(self, markets: list[Market]) -> None:
        self._generator = random.Random(" ".join(market.id for market in markets))
        self._markets = markets
        self._walks = {market.id: _walk(market) for market in markets}

    def mid_prices(self) -> dict[str, int]:
        """Advance by one block and return the prices in ticks, by market id."""
        for market in self._markets:
            self._walks[market.id].rescale(market.upcoming_terms.unit)
            self._walks[market.id].move(self._generator)
        return {market_id: walk.now for market_id, walk in self._walks.items()}


def _walk(market: Market) -> RandomWalk:
    start = market.mark_price // market.tick_size
    return RandomWalk(start=start, now=start, step=max(1, start // 3000), unit=market.terms.unit)


def _frame(symbol: str, market: Market, middle: int, height: int) -> str:
    """Return a frame around a mid price in ticks. Its spread changes with each block and is much narrower than the maker's."""
    half = random.Random(f"{market.id} {height}").randint(1, max(1, middle // 30_000))
    bid, ask = (_price(market, ticks) for ticks in (middle - half, middle + half))
    return compact({"symbol": symbol, "bid_price": bid, "ask_price": ask})


def _price(market: Market, ticks: int) -> str:
    terms = market.upcoming_terms
    return f"{Decimal(ticks * terms.tick_size).scaleb(-terms.price_decimals):f}"


class _Client:
    """One connection and its unsent frames."""

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
            self.disconnect()

    def disconnect(self) -> None:
        if self._transport:
            self._transport.abort()

    async def run(self) -> None:
        """Serve the connection until either side closes it. Reading answers the client's pings and its close frame."""
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
