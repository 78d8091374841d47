"""Market depth: the price levels of each book, kept up to date from the orders that each block changed.

It follows `MarketDepth` in datanode/entities/market_depth.go. A level appears in a block's update once for each order that changed
it, with its state after the block.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.sandbox.chain.records import ACTIVE, BUY, FOK, IOC, MARKET, SELL, Block, Order
from tests.sandbox.node.serializers import Node

SIDES = {"buy": BUY, "sell": SELL}  # by their names in the API


@dataclass
class Level:
    """The orders at one price of one side."""

    side: str
    price: int  # padded
    orders: int = 0
    volume: int = 0  # padded


@dataclass
class MarketDepth:
    """The levels of one market."""

    sequence_number: int = 0  # of the last change: block time plus the place of the order in the block
    previous_sequence_number: int = 0  # of the update before
    changes: list[Level] = field(default_factory=list)  # of the current block
    _levels: dict[tuple[str, int], Level] = field(default_factory=dict)  # by side and price
    _live: dict[str, tuple[Level, int]] = field(default_factory=dict)  # order id -> its level and volume

    def apply(self, order: Order) -> None:
        """Note the new state of an order."""
        level, volume = self._live.get(order.id, (None, 0))
        remaining = order.total_remaining if order.status == ACTIVE else 0
        if level and remaining and level.price == order.price:
            level.volume += remaining - volume
            self._live[order.id] = (level, remaining)
            self.changes.append(level)
            return
        if level:
            self._remove(order.id, level, volume)
        if remaining:
            self._add(order, remaining)

    def side(self, side: str, limit: int = 0) -> list[Level]:
        """Return the levels of a side, best first; at most `limit`, 0 for all."""
        levels = sorted(
            (level for level in self._levels.values() if level.side == side), key=lambda level: level.price, reverse=side == BUY
        )
        return levels[:limit] if limit else levels

    def _add(self, order: Order, remaining: int) -> None:
        level = self._levels.setdefault((order.side, order.price), Level(order.side, order.price))
        level.orders += 1
        level.volume += remaining
        self._live[order.id] = (level, remaining)
        self.changes.append(level)

    def _remove(self, order_id: str, level: Level, volume: int) -> None:
        level.orders -= 1
        level.volume -= volume
        if not level.orders:
            del self._levels[level.side, level.price]
        del self._live[order_id]
        self.changes.append(level)


class Depths:
    """The depth of every market."""

    def __init__(self) -> None:
        self.by_market: dict[str, MarketDepth] = {}

    def apply(self, block: Block) -> None:
        """Note the orders that a block changed."""
        for depth in self.by_market.values():
            if depth.changes:
                depth.previous_sequence_number = depth.sequence_number
                depth.changes = []
        for number, order in enumerate(block.orders, start=1):
            if order.type != MARKET and order.time_in_force not in (IOC, FOK):
                depth = self.by_market.setdefault(order.market_id, MarketDepth())
                depth.apply(order)
                depth.sequence_number = block.time + number

    def latest(self, market_id: str, limit: int = 0) -> Node:
        """Return the levels of a market as REST shows them, without the last trade."""
        depth = self.by_market.get(market_id, MarketDepth())
        sides = {name: [_rest_level(level) for level in depth.side(side, limit)] for name, side in SIDES.items()}
        return {"marketId": market_id, **sides, "sequenceNumber": str(depth.sequence_number)}

    def snapshots(self) -> list[Node]:
        """Return the whole books of the markets that the last block changed, as the stream of depths sends them."""
        return [
            _stream_depth(market_id, {name: depth.side(side) for name, side in SIDES.items()}, depth.sequence_number)
            for market_id, depth in self._changed()
        ]

    def updates(self) -> list[Node]:
        """Return the levels that the last block changed, as the stream of updates sends them."""
        nodes = []
        for market_id, depth in self._changed():
            sides = {name: [level for level in depth.changes if level.side == side] for name, side in SIDES.items()}
            previous = {"previousSequenceNumber": str(depth.previous_sequence_number)} if depth.previous_sequence_number else {}
            nodes.append({**_stream_depth(market_id, sides, depth.sequence_number), **previous})
        return nodes

    def _changed(self) -> Iterable[tuple[str, MarketDepth]]:
        return ((market_id, depth) for market_id, depth in self.by_market.items() if depth.changes)


def _rest_level(level: Level) -> Node:
    counts = {"numberOfOrders": str(level.orders), "volume": str(level.volume)}
    return {"price": str(level.price), **counts, "ammVolume": "0", "ammVolumeEstimated": "0"}


def _stream_depth(market_id: str, sides: dict[str, list[Level]], sequence_number: int) -> Node:
    shown = {name: [_stream_level(level) for level in levels] for name, levels in sides.items() if levels}
    return {"marketId": market_id, **shown, "sequenceNumber": str(sequence_number)}


def _stream_level(level: Level) -> Node:
    counts = {"numberOfOrders": str(level.orders), "volume": str(level.volume)} if level.orders else {}
    return {"price": str(level.price), **counts}
