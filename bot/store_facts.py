"""Getters of the store that the page lacks: ages, the pace of blocks, rejections, order updates, trades and depth.

Not on the page. VegaStore inherits these getters; they take its locks like its own, and any thread may call them.
"""

from threading import Lock
from typing import Optional

from bot.market_data import Depth, Trade, TradesAndDepth, best_prices_without
from bot.models import Account, Market, Order, Position
from bot.sync import DataAge, OrderHistory, SnapshotAssembler


class StoreFacts:
    """Getters over the fields of VegaStore, which says what each lock guards."""

    _accounts_lock: Lock
    _orders_lock: Lock
    _positions_lock: Lock
    _markets_lock: Lock
    _markets: dict[str, Market]
    _orders: dict[str, Order]
    _ages: dict[str, DataAge]
    _minimum_values: dict[str, dict[str, float]]
    _order_history: OrderHistory
    _account_snapshot: SnapshotAssembler[Account]
    _order_snapshot: SnapshotAssembler[Order]
    _position_snapshot: SnapshotAssembler[Position]
    _trades_and_depth: TradesAndDepth

    def get_trades(self) -> list[Trade]:
        """Return the newest trades on the market, those before the start too, oldest first; none without `trades=True`."""
        return self._trades_and_depth.get_trades()

    def get_depth(self, market_id: str) -> Optional[Depth]:
        """Return the book of the market; None without `depth=True`, and while it is not known to be complete."""
        return self._trades_and_depth.get_depth(market_id)

    def get_best_prices_without_us(self, market_id: str) -> Optional[tuple[float, float]]:
        """Return best bid and best offer without the party's own orders, 0 for a side without others; None as `get_depth`.

        The book and the orders come on two streams. One may be a block ahead of the other.
        """
        depth = self.get_depth(market_id)
        return best_prices_without(depth, self._live_orders()) if depth is not None else None

    def get_order_updates(self, position: int) -> tuple[int, list[Order]]:
        """Return the position to ask with next time, and the party's order updates since `position`, dead orders too."""
        with self._orders_lock:
            return self._order_history.since(position)

    def get_consecutive_rejections(self, market_id: str) -> tuple[str, int]:
        """Return the reason of the newest rejected orders on a market, and how many were rejected for it in a row."""
        with self._orders_lock:
            return self._order_history.rejections(market_id)

    def get_account_snapshot_count(self) -> int:
        """Return how many snapshots of its accounts the party has got: one with each connection of their stream."""
        with self._accounts_lock:
            return self._account_snapshot.count

    def get_minimum_order_value(self, market_id: str, side: str) -> float:
        """Return the smallest price times size that the network accepts on a market; 0 if there is none or it is unknown."""
        with self._markets_lock:
            return self._minimum_values.get(market_id, {}).get(side, 0.0)

    def get_block_interval(self, market_id: str) -> float:
        """Return the median time between two blocks in seconds; 0 before two blocks of the market's data."""
        with self._markets_lock:
            return self._age_of(market_id).block_interval()

    def get_block_count(self, market_id: str) -> int:
        """Return how many blocks of a market's data the stream has brought."""
        with self._markets_lock:
            return self._age_of(market_id).blocks

    def seconds_since_update(self, market_id: str) -> float:
        """Return the age of a market's data at the node in seconds; infinite before any."""
        with self._markets_lock:
            return self._age_of(market_id).seconds()

    def seconds_since_position(self, market_id: str) -> float:
        """Return the age of the position on a market: 0 while its stream keeps it, infinite before any."""
        with self._markets_lock:
            market = self._markets.get(market_id)
        if market is not None and market.base_asset_id:  # a spot position is a balance
            with self._accounts_lock:
                return self._account_snapshot.age()
        with self._positions_lock:
            return self._position_snapshot.age()

    def seconds_since_orders(self) -> float:
        """Return the age of the party's orders: 0 while their stream keeps them, infinite before any."""
        with self._orders_lock:
            return self._order_snapshot.age()

    def _age_of(self, market_id: str) -> DataAge:
        """Under the markets' lock."""
        age = self._ages.get(market_id)
        if age is None:
            age = self._ages[market_id] = DataAge()
        return age

    def _live_orders(self) -> list[Order]:
        with self._orders_lock:
            return list(self._orders.values())
