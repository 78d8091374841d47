"""The newest trades, for REST."""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Optional

from tests.sandbox.chain.records import Trade

MAX_TRADES = 20_000  # kept; older ones are gone, as on a node that prunes


class TradeHistory:
    """The newest trades of all markets."""

    def __init__(self) -> None:
        self._trades: deque[tuple[int, Trade]] = deque(maxlen=MAX_TRADES)  # (number, trade), oldest first
        self._count = 0
        self._last: dict[str, Trade] = {}  # by market

    def add(self, trades: Collection[Trade]) -> None:
        for trade in trades:
            self._count += 1
            self._trades.append((self._count, trade))
            self._last[trade.market_id] = trade

    def last(self, market_id: str) -> Optional[Trade]:
        """Return the last trade of a market, None if there is none."""
        return self._last.get(market_id)

    def newest_first(self, markets: Collection[str], parties: Collection[str], orders: Collection[str]) -> Iterator[tuple[int, Trade]]:
        """Iterate over (number, trade). An empty filter matches everything."""
        for number, trade in reversed(self._trades):
            if (
                (not markets or trade.market_id in markets)
                and (not parties or trade.buyer in parties or trade.seller in parties)
                and (not orders or trade.buy_order in orders or trade.sell_order in orders)
            ):
                yield number, trade
