"""What the network does with the positions of distressed parties: it takes them over at the mark price, and closes them on the book.

The strategy is that of the recorded markets' `liquidationStrategy`.
"""

import math
from typing import Optional

from tests.sandbox.chain.exposure import Exposure
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.market import SECOND, Market
from tests.sandbox.chain.records import ACTIVE, BUY, FILLED, FOK, IOC, LIMIT, NETWORK, NETWORK_TYPE, SELL, Order, Trade

DISPOSAL_INTERVAL = SECOND  # ns; disposalTimeStep
SLIPPAGE = (1, 2)  # disposalSlippageRange: how far from the middle the network trades
BOOK_SHARE = (1, 2)  # maxFractionConsumed: the part of the reachable volume that the network takes at most


class Liquidation:
    def __init__(self, market: Market, journal: Journal) -> None:
        self._market = market
        self._journal = journal

    def take_over(self, exposure: Exposure) -> Trade:
        """Let the network take over a party's position; return the trade. Its two orders are published."""
        market, journal = self._market, self._journal
        is_long = exposure.size > 0
        network = self._order(NETWORK, BUY if is_long else SELL, abs(exposure.size), "close-out distressed")
        party = self._order(exposure.party_id, SELL if is_long else BUY, abs(exposure.size), f"distressed-{exposure.party_id}")
        if not market.next_closeout:
            market.next_closeout = journal.now + DISPOSAL_INTERVAL
        buy, sell = (network, party) if is_long else (party, network)
        return Trade(
            market_id=market.id,
            price=market.to_price(market.mark_asset_price),
            exact_price=market.current_mark_price,
            size=abs(exposure.size),
            buyer=buy.party_id,
            seller=sell.party_id,
            aggressor=network.side,
            asset_price=market.mark_asset_price,
            id=journal.new_id("trade"),
            buy_order=buy.id,
            sell_order=sell.id,
            timestamp=journal.now,
            type="TYPE_NETWORK_CLOSE_OUT_BAD",
        )

    def order(self, volume: int) -> Optional[Order]:
        """Return the network's next order to close its position; None if it has none, must wait, or finds no volume."""
        market = self._market
        middle = market.mid_asset_price
        if not volume or market.in_auction or market.next_closeout > self._journal.now or not middle:
            return None
        side, book_side = (SELL, BUY) if volume > 0 else (BUY, SELL)
        sign = -1 if side == SELL else 1
        price = middle * (SLIPPAGE[1] + sign * SLIPPAGE[0]) // SLIPPAGE[1]
        for bounds in market.monitor.bounds():
            price = max(price, bounds.minimum) if side == SELL else min(price, bounds.maximum)
        available = market.book.volume_up_to(book_side, price)
        size = min(abs(volume), math.ceil(available * BOOK_SHARE[0] / BOOK_SHARE[1]))
        if not size:
            return None
        market.next_closeout = self._journal.now + DISPOSAL_INTERVAL
        return Order(
            id=self._journal.new_id("order"),
            market_id=market.id,
            party_id=NETWORK,
            side=side,
            price=market.to_price(price),
            size=size,
            remaining=size,
            time_in_force=IOC,
            type=LIMIT,
            status=ACTIVE,
            reference="LS",
            version=0,
            created_at=self._journal.now,
            asset_price=price,
        )

    def on_traded(self, volume: int) -> None:
        """Note what the network still holds."""
        if not volume:
            self._market.next_closeout = 0

    def _order(self, party_id: str, side: str, size: int, reference: str) -> Order:
        market = self._market
        order = Order(
            id=self._journal.new_id("order"),
            market_id=market.id,
            party_id=party_id,
            side=side,
            price=market.to_price(market.mark_asset_price),
            size=size,
            remaining=0,
            time_in_force=FOK,
            type=NETWORK_TYPE,
            status=FILLED,
            reference=reference,
            version=0,
            created_at=self._journal.now,
            asset_price=market.mark_asset_price,
        )
        self._journal.publish(order)
        return order
