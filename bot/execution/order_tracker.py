"""Which orders may be open on one market, and which position they may lead to. Loop thread.

The answer comes from what the orders stream shows and from what was sent, never from one of them alone: an order that was
sent is not on the stream before its block, and an order on the stream may have been sent by an earlier run or another bot.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.models import Market, Order
from bot.submission import convert_from_decimals
from bot.vega_store import LIVE_STATUSES, VegaStore

logger = logging.getLogger(__name__)

MAX_KNOWN_ORDERS = 5000  # the newest ids, each with its filled size
MAX_UNSEEN_BLOCKS = 3  # after so many blocks, an order that was sent should have appeared
SIGNS = {"SIDE_BUY": 1, "SIDE_SELL": -1}

OrderKey = tuple[str, int, int]  # side, padded price (0 for market orders), padded size


@dataclass
class SentBatch:
    """Orders of one transaction that have not appeared yet."""

    unseen: "Counter[OrderKey]"
    block: int  # how many blocks had been seen when it was sent
    sent_at: int  # ns of chain time: of the newest block by then
    accepted: bool  # the wallet has said so


@dataclass
class Exposure:
    """The position's range, in contracts, if nothing more is filled, and what open orders may add on each side."""

    low: Decimal
    high: Decimal
    unseen: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SIGNS, Decimal(0)))  # side -> contracts


class OrderTracker:
    """Follows the party's orders on one market."""

    def __init__(self, vega_store: VegaStore, market_id: str):
        self._vega_store = vega_store
        self._market_id = market_id
        self._updates_position, _ = vega_store.get_order_updates(0)
        self._filled: OrderedDict[str, Decimal] = OrderedDict()  # order id -> contracts filled, as last seen
        self._unsettled: list[tuple[int, Decimal]] = []  # fills that may not be in the position yet: ns of chain time, signed
        self._fills = self._position()  # on spot markets: what the position should be by the fills seen
        self._account_snapshots = vega_store.get_account_snapshot_count()
        self._batches: list[SentBatch] = []
        self._given_up: Counter[OrderKey] = Counter()  # unseen orders that count as lost, in case one still appears
        self._reported_foreign = False
        orders_before = self.live_orders()
        for order in orders_before:
            self._filled[order.order_id] = _filled_size(order)
        self._report_foreign(len(orders_before))

    def live_orders(self) -> list[Order]:
        """Return the orders that the store shows as live, also those of an earlier run or another bot."""
        return [order for order in self._vega_store.get_orders() if order.market_id == self._market_id]

    def has_unseen(self) -> bool:
        """Return whether orders were sent that have not appeared yet."""
        return bool(self._batches)

    def has_accepted_unseen(self) -> bool:
        """Return whether the wallet has accepted orders that have not appeared."""
        return any(batch.accepted for batch in self._batches)

    def is_overdue(self) -> bool:
        """Return whether an order that was sent should have appeared by now."""
        blocks = self._vega_store.get_block_count(self._market_id)
        return any(blocks - batch.block >= MAX_UNSEEN_BLOCKS for batch in self._batches)

    def on_sent(self, transaction: dict[str, Any], market: Market, accepted: bool) -> None:
        """Note a transaction that the wallet has accepted, or may have."""
        keys: Counter[OrderKey] = Counter()
        for padded in transaction["batchMarketInstructions"]["submissions"]:
            keys[padded["side"], int(padded.get("price", 0)), int(padded["size"])] += 1
        if keys:
            self._batches.append(SentBatch(keys, self._vega_store.get_block_count(self._market_id), market.timestamp, accepted))

    def forget_unseen(self) -> None:
        """Note that the unseen orders do not exist."""
        for batch in self._batches:
            self._given_up.update(batch.unseen)
        self._batches.clear()

    def read_updates(self, market: Market) -> bool:
        """Process the updates of orders since the last call; return whether a sent order has appeared."""
        self._updates_position, orders = self._vega_store.get_order_updates(self._updates_position)
        return self.take_in(orders, market)

    def take_in(self, orders: Iterable[Order], market: Market) -> bool:
        """Process orders from the stream or from REST; return whether a sent order has appeared."""
        has_appeared, foreign = False, 0
        for order in orders:
            if order.market_id != self._market_id:
                continue
            if order.order_id not in self._filled:
                is_sent = self._match(order, market)
                has_appeared = has_appeared or is_sent
                foreign += not is_sent and order.status in LIVE_STATUSES
            self._remember(order)
        self._report_foreign(foreign)
        return has_appeared

    def exposure(self, market: Market) -> Exposure:
        """Return what the position may be, counting fills that only the orders stream has shown."""
        if market.base_asset_id:
            volume = self._position()
            # A balance has no block time, so it and the sum of the fills may each be ahead of the other. A new snapshot of the
            # accounts settles it: fills may have been missed while the streams were away.
            snapshots = self._vega_store.get_account_snapshot_count()
            if snapshots != self._account_snapshots and not self._batches and not self.live_orders():
                self._account_snapshots, self._fills = snapshots, volume
            exposure = Exposure(min(volume, self._fills), max(volume, self._fills))
        else:
            # A fill is part of the position already if the position is not older than the order: both have the block's time.
            position = self._vega_store.get_position_by_market_id(self._market_id)
            updated_at = position.updated_at if position is not None else 0
            self._unsettled = [(at, fill) for at, fill in self._unsettled if at > updated_at]
            volume = Decimal(str(position.open_volume)) if position is not None else Decimal(0)
            volume += sum((fill for _, fill in self._unsettled), Decimal(0))
            exposure = Exposure(volume, volume)
        for batch in self._batches:
            for (side, _, size), count in batch.unseen.items():
                exposure.unseen[side] += count * Decimal(size).scaleb(-market.position_decimal_places)
        return exposure

    def _match(self, order: Order, market: Market) -> bool:
        """Remove a new order from the unseen ones; return whether this bot has sent it."""
        price = 0 if order.order_type == "TYPE_MARKET" else convert_from_decimals(market.decimal_places, order.price)
        key = (order.side, price, convert_from_decimals(market.position_decimal_places, order.size))
        for batch in self._batches:
            if batch.unseen[key] and not 0 < order.updated_at <= batch.sent_at:  # that was an equal order of an earlier run
                batch.unseen[key] -= 1
                if not any(batch.unseen.values()):
                    self._batches.remove(batch)
                return True
        if self._given_up[key]:
            self._given_up[key] -= 1
            return True
        return False

    def _position(self) -> Decimal:
        position = self._vega_store.get_position_by_market_id(self._market_id)
        return Decimal(str(position.open_volume)) if position is not None else Decimal(0)

    def _remember(self, order: Order) -> None:
        filled = _filled_size(order)
        fill = SIGNS.get(order.side, 0) * (filled - self._filled.get(order.order_id, Decimal(0)))
        if fill:
            self._fills += fill
            self._unsettled.append((order.updated_at, fill))
        self._filled[order.order_id] = filled
        self._filled.move_to_end(order.order_id)
        if len(self._filled) > MAX_KNOWN_ORDERS:
            self._filled.popitem(last=False)

    def _report_foreign(self, count: int) -> None:
        if count and not self._reported_foreign:
            self._reported_foreign = True
            orders, them = ("order on this market was", "it is") if count == 1 else ("orders on this market were", "they are")
            logger.warning("%d open %s not sent by this bot: %s cancelled like its own", count, orders, them)


def _filled_size(order: Order) -> Decimal:
    if order.remaining_size == order.size:  # most orders
        return Decimal(0)
    return Decimal(str(order.size)) - Decimal(str(order.remaining_size))
