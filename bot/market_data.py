"""Trades and market depth of one market: records, parsers, and the newest data of both streams. Not on the page.

The streams are those that `VegaStore.start` opens with `trades=True` and `depth=True`. The main thread is the only writer. Each
lock guards the field of its name; records are frozen and replaced whole, as in `bot/vega_store.py`.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Optional

import rel

import bot.more_api_calls as more_api
from bot.enums import Side
from bot.models import Asset, Market, Order
from bot.parsing import ParseError, nodes_of, parse_amount, parse_enum, parse_int, parse_list, parse_str, raises_parse_error
from bot.transport.connection import ConnectionHooks
from bot.transport.event_loop import EventLoop

logger = logging.getLogger(__name__)

MAX_TRADES = 1000  # newest trades that are kept
MAX_WAITING_UPDATES = 1000  # that came before the book that they change
REQUEST_TIMEOUT = 5.0  # seconds for a REST call
REQUEST_INTERVAL = 1.0  # seconds between two such calls
FEES = ("makerFee", "infrastructureFee", "liquidityFee")
ROUNDING = 1e-9  # of a volume: sums of own orders are floats


@dataclass(frozen=True)
class Trade:
    """One match of two orders. Source: REST `trades` with each connection, then `stream/trades`."""

    trade_id: str
    market_id: str
    price: float  # price units of the market
    size: float  # contracts
    buyer: str  # party id
    seller: str  # party id
    aggressor: str  # a Side name; SIDE_UNSPECIFIED in an auction
    buy_order_id: str
    sell_order_id: str
    timestamp: int  # ns of chain time
    buyer_fee: float  # units of the settlement asset; the maker's share of it goes to the seller
    seller_fee: float  # units of the settlement asset


@dataclass(frozen=True)
class PriceLevel:
    """All orders at one price of one side."""

    price: float  # price units of the market
    volume: float  # contracts; 0 in an update: the level is gone
    orders: int


@dataclass(frozen=True)
class Depth:
    """The book of a market, or the levels that one block changed. Source: REST `market/depth/{id}/latest`, then its stream."""

    market_id: str
    buy: tuple[PriceLevel, ...]  # best first
    sell: tuple[PriceLevel, ...]  # best first
    sequence_number: int
    previous_sequence_number: int = 0  # of the update before this one; 0 on REST


@raises_parse_error
def parse_trade(node: dict[str, Any], position_decimal_places: int, price_decimal_places: int, asset_decimal_places: int) -> Trade:
    """Read a node of `stream/trades`: price, size and fees with the market's and the settlement asset's decimals. Raises ParseError."""

    def fee(key: str) -> float:
        fees = node.get(key) or {}
        return parse_amount(asset_decimal_places, sum(parse_int(fees.get(name) or "0") for name in FEES))

    return Trade(
        trade_id=parse_str(node["id"]),
        market_id=parse_str(node["marketId"]),
        price=parse_amount(price_decimal_places, node["price"]),
        size=parse_amount(position_decimal_places, node.get("size", 0)),
        buyer=parse_str(node["buyer"]),
        seller=parse_str(node["seller"]),
        aggressor=parse_enum(Side, node.get("aggressor", 0)),
        buy_order_id=parse_str(node["buyOrder"]),
        sell_order_id=parse_str(node["sellOrder"]),
        timestamp=parse_int(node.get("timestamp") or 0),
        buyer_fee=fee("buyerFee"),
        seller_fee=fee("sellerFee"),
    )


@raises_parse_error
def parse_depth(node: dict[str, Any], position_decimal_places: int, price_decimal_places: int) -> Depth:
    """Read the book of REST `market/depth/{id}/latest`, or an update of its stream. Raises ParseError."""

    def levels(key: str) -> tuple[PriceLevel, ...]:
        return tuple(
            PriceLevel(
                price=parse_amount(price_decimal_places, level["price"]),
                volume=parse_amount(position_decimal_places, level.get("volume") or 0),
                orders=parse_int(level.get("numberOfOrders") or 0),
            )
            for level in node.get(key) or []
        )

    return Depth(
        market_id=parse_str(node["marketId"]),
        buy=levels("buy"),
        sell=levels("sell"),
        sequence_number=parse_int(node.get("sequenceNumber") or 0),
        previous_sequence_number=parse_int(node.get("previousSequenceNumber") or 0),
    )


def apply_update(depth: Depth, update: Depth) -> Depth:
    """Return the book after an update. Where a level appears several times, the last one counts."""

    def changed(levels: tuple[PriceLevel, ...], updates: tuple[PriceLevel, ...], is_buy: bool) -> tuple[PriceLevel, ...]:
        by_price = {level.price: level for level in (*levels, *updates)}
        return tuple(sorted((level for level in by_price.values() if level.volume), key=lambda level: level.price, reverse=is_buy))

    return replace(update, buy=changed(depth.buy, update.buy, is_buy=True), sell=changed(depth.sell, update.sell, is_buy=False))


def best_prices_without(depth: Depth, orders: list[Order]) -> tuple[float, float]:
    """Return best bid and best offer as they would be without some orders; 0 where no order is left on a side."""
    own: dict[tuple[str, float], float] = {}
    for order in orders:
        if order.market_id == depth.market_id:
            own[order.side, order.price] = own.get((order.side, order.price), 0.0) + order.remaining_size

    def best(side: str, levels: tuple[PriceLevel, ...]) -> float:
        others = (level.price for level in levels if level.volume > own.get((side, level.price), 0.0) * (1 + ROUNDING))
        return next(others, 0.0)

    return best("SIDE_BUY", depth.buy), best("SIDE_SELL", depth.sell)


class SeedRequest:
    """Requests over REST what a stream does not repeat: once per connection of the stream, and again until REST answers. Main thread.

    Args:
        fetch: makes the REST call, on a thread of its own.
        use: takes the answer, and raises ParseError, LookupError or TypeError if it cannot be used.
    """

    def __init__(self, fetch: Callable[[], Any], use: Callable[[Any], None]):
        self._fetch, self._use = fetch, use
        self._connection = 0  # number of the stream's connection, so that an answer to an earlier one is not used
        self._is_requested = False
        self._requested_at = -math.inf  # time.monotonic()

    def on_connect(self) -> None:
        """Ask for a new connection."""
        self.on_disconnect()
        self._is_requested, self._requested_at = False, -math.inf
        self.request()

    def on_disconnect(self) -> None:
        """Forget an answer of REST that is in flight: no stream would keep it up to date."""
        self._connection += 1

    def request(self) -> None:
        """Ask, unless that is under way; not more often than every REQUEST_INTERVAL."""
        if self._is_requested:
            return
        self._is_requested = True
        delay = self._requested_at + REQUEST_INTERVAL - time.monotonic()
        if delay > 0:
            rel.timeout(delay, self._send, self._connection)
        else:
            self._send(self._connection)

    def _send(self, connection: int) -> None:
        if connection == self._connection:
            self._requested_at = time.monotonic()
            EventLoop.get().run_in_thread(self._fetch, lambda answer: self.on_answer(connection, answer))

    def on_answer(self, connection: int, answer: Any) -> None:
        """Use the answer of REST, which was requested on a connection of the stream; None if REST did not answer."""
        if connection != self._connection:
            return
        self._is_requested = False
        try:
            self._use(answer)
        except (ParseError, LookupError, TypeError) as error:
            logger.debug("no answer to use: %r", error)
            self.request()


class TradesAndDepth:
    """The newest trades and the books of the streams of trades and depth, which have no snapshot; part of `VegaStore`.

    Args:
        rest_api_url: where each connection gets its first book, and the trades from before it.
        known_market, known_asset: return the record of an id, or raise ParseError.
    """

    def __init__(self, rest_api_url: str, known_market: Callable[[str], Market], known_asset: Callable[[str], Asset]):
        self._rest_api_url = rest_api_url
        self._known_market, self._known_asset = known_market, known_asset
        self._trades: dict[str, Trade] = {}  # trade id -> trade, oldest first
        self._depths: dict[str, Depth] = {}  # market id -> book; without one while it is not known
        self._trades_lock = Lock()
        self._depths_lock = Lock()

        # Main thread only, so without locks.
        self._market_id = ""
        self._waiting: deque[Depth] = deque(maxlen=MAX_WAITING_UPDATES)  # updates that came while the book was not known
        self.depth_seed = SeedRequest(lambda: more_api.get_market_depth(*self._request_arguments()), self._use_depth)
        self.trades_seed = SeedRequest(lambda: more_api.get_newest_trades(*self._request_arguments()), self._use_trades)

    def hooks_of_trades(self, market_id: str) -> ConnectionHooks:
        """Return what the connection of the stream of trades calls."""
        self._market_id = market_id
        return ConnectionHooks(on_open=self.trades_seed.on_connect, on_disconnect=lambda _: self.trades_seed.on_disconnect())

    def hooks_of_depth(self, market_id: str) -> ConnectionHooks:
        """Return what the connection of the stream of depth calls. A lost connection forgets the book."""
        self._market_id = market_id

        def on_open() -> None:
            self._forget(market_id)
            self.depth_seed.on_connect()

        def on_disconnect(_latency: float) -> None:
            self._forget(market_id)
            self.depth_seed.on_disconnect()

        return ConnectionHooks(on_open=on_open, on_disconnect=on_disconnect)

    def get_trades(self) -> list[Trade]:
        """Return the newest MAX_TRADES trades, oldest first. Any thread."""
        with self._trades_lock:
            return list(self._trades.values())

    def get_depth(self, market_id: str) -> Optional[Depth]:
        """Return the book of a market; None while it is not known. Any thread."""
        with self._depths_lock:
            return self._depths.get(market_id)

    def update_trades(self, trades_dict: dict[str, Any]) -> None:
        """Add the trades of one frame. Raises ParseError if some cannot be read; the others are kept."""
        trades, problem = parse_list(self._parse_trade, nodes_of(trades_dict, "trades"))
        with self._trades_lock:
            for trade in trades:
                self._trades[trade.trade_id] = trade
            while len(self._trades) > MAX_TRADES:
                del self._trades[next(iter(self._trades))]
        if problem:
            raise ParseError(problem)

    def update_depth(self, depth_dict: dict[str, Any]) -> None:
        """Apply the updates of one frame. Raises ParseError if some cannot be read; the others are applied."""
        updates, problem = parse_list(self._parse_depth, nodes_of(depth_dict, "update"))
        for update in updates:
            self._apply(update)
        if problem:
            raise ParseError(problem)

    def _request_arguments(self) -> tuple[str, str, float]:
        return self._rest_api_url, self._market_id, time.monotonic() + REQUEST_TIMEOUT

    def _use_trades(self, nodes: list[dict[str, Any]]) -> None:
        """Add the trades of REST, which come newest first, before those that only the stream has brought."""
        trades, problem = parse_list(self._parse_trade, nodes[::-1])
        if problem:
            logger.debug("trades: %s", problem)
        known = {trade.trade_id: trade for trade in (*trades, *self.get_trades())}
        newest = sorted(known.values(), key=lambda trade: trade.timestamp)[-MAX_TRADES:]
        with self._trades_lock:
            self._trades = {trade.trade_id: trade for trade in newest}

    def _use_depth(self, node: dict[str, Any]) -> None:
        depth = self._parse_depth(node)
        with self._depths_lock:
            self._depths[depth.market_id] = depth
        waiting = list(self._waiting)
        self._waiting.clear()
        for update in waiting:
            self._apply(update)

    def _forget(self, market_id: str) -> None:
        self._waiting.clear()
        with self._depths_lock:
            self._depths.pop(market_id, None)

    def _apply(self, update: Depth) -> None:
        depth = self.get_depth(update.market_id)
        if depth is not None and update.sequence_number <= depth.sequence_number:
            return  # REST knew it
        if depth is not None and update.previous_sequence_number == depth.sequence_number:
            depth = apply_update(depth, update)
            with self._depths_lock:
                self._depths[update.market_id] = depth
            return
        if depth is not None:  # a gap: an update is missing
            self._forget(update.market_id)
        self._waiting.append(update)
        self.depth_seed.request()

    def _parse_trade(self, node: dict[str, Any]) -> Trade:
        market = self._known_market(node["marketId"])
        asset = self._known_asset(market.settlement_asset_id)
        return parse_trade(node, market.position_decimal_places, market.decimal_places, asset.decimal_places)

    def _parse_depth(self, node: dict[str, Any]) -> Depth:
        market = self._known_market(node["marketId"])
        return parse_depth(node, market.position_decimal_places, market.decimal_places)
