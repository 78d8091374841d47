"""The order book of one market: resting orders by price, and matching of incoming orders.

Prices are padded integers. Orders match in price-time priority: best price first, then oldest first.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from fractions import Fraction

from tests.sandbox.chain.records import BUY, SELL, Order

FOK = "TIME_IN_FORCE_FOK"
MARKET = "TYPE_MARKET"
OTHER_SIDE = {BUY: SELL, SELL: BUY}

Fills = list[tuple[Order, int]]  # resting order and filled size


class Book:
    """Contains live orders only. `remaining` may shrink in place; any other change requires `remove` and `add`."""

    def __init__(self) -> None:
        self.by_party: dict[str, dict[str, Order]] = {}  # party -> order id -> order, oldest first
        self._levels: dict[str, dict[int, dict[str, Order]]] = {BUY: {}, SELL: {}}  # side -> price -> order id -> order
        self._ranks: dict[str, list[int]] = {BUY: [], SELL: []}  # prices with orders, best last: sorted ascending, offers negated

    def add(self, order: Order) -> None:
        level = self._levels[order.side].get(order.price)
        if level is None:
            level = self._levels[order.side][order.price] = {}
            insort(self._ranks[order.side], _rank(order.side, order.price))
        level[order.id] = order
        self.by_party.setdefault(order.party_id, {})[order.id] = order

    def remove(self, order: Order) -> None:
        level = self._levels[order.side][order.price]
        del level[order.id]
        del self.by_party[order.party_id][order.id]
        if not level:
            del self._levels[order.side][order.price]
            ranks = self._ranks[order.side]
            del ranks[bisect_left(ranks, _rank(order.side, order.price))]

    def orders(self, side: str) -> Iterator[Order]:
        """Best first. The book must not change while this runs."""
        for price in self._prices(side):
            yield from self._levels[side][price].values()

    def orders_of_party(self, party_id: str) -> list[Order]:
        """Return the party's orders, oldest first. The list is a copy, so the caller may cancel the orders."""
        return list(self.by_party.get(party_id, {}).values())

    def resting(self, party_id: str, side: str) -> int:
        """Return the total remaining size of a party's orders on one side."""
        return sum(order.remaining for order in self.by_party.get(party_id, {}).values() if order.side == side)

    def depth(self, side: str) -> list[tuple[int, int]]:
        """Price and volume of each level, best first."""
        return [(price, self._volume(side, price)) for price in self._prices(side)]

    def best(self, side: str) -> tuple[int, int]:
        """Return price and volume of the best level; zeros if the side is empty."""
        price = next(self._prices(side), 0)
        return (price, self._volume(side, price)) if price else (0, 0)

    def match(self, order: Order) -> tuple[Fills, bool]:
        """Return the fills of an incoming order, and whether matching stops at an order of its own party.

        A fill-or-kill order that cannot be filled completely has no fills.
        """
        fills, unfilled, self_trades = self._fills(order)
        if order.time_in_force == FOK and unfilled:
            fills = []
        return fills, self_trades

    def _fills(self, order: Order) -> tuple[Fills, int, bool]:
        fills: Fills = []
        unfilled = order.remaining
        for resting in self.orders(OTHER_SIDE[order.side]):
            if not unfilled or not _crosses(order, resting.price):
                break
            if resting.party_id == order.party_id:
                return fills, unfilled, True
            fills.append((resting, min(unfilled, resting.remaining)))
            unfilled -= fills[-1][1]
        return fills, unfilled, False

    def uncrossing(self) -> tuple[Fraction, int]:
        """Return the price and volume at which an auction would end now; zeros if the book is not crossed.

        As in Vega, the price is the midpoint of the range of prices with the maximum tradable volume.
        """
        bids, offers = self.depth(BUY), self.depth(SELL)
        if not bids or not offers or bids[0][0] < offers[0][0]:
            return Fraction(0), 0
        candidates = {}
        for price in {price for price, _ in bids + offers if offers[0][0] <= price <= bids[0][0]}:
            bought = sum(volume for bid, volume in bids if bid >= price)
            sold = sum(volume for offer, volume in offers if offer <= price)
            candidates[price] = min(bought, sold)
        volume = max(candidates.values())
        prices = [price for price, tradable in candidates.items() if tradable == volume]
        return Fraction(min(prices) + max(prices), 2), volume

    def _prices(self, side: str) -> Iterator[int]:
        return (abs(rank) for rank in reversed(self._ranks[side]))

    def _volume(self, side: str, price: int) -> int:
        return sum(order.remaining for order in self._levels[side][price].values())


def _rank(side: str, price: int) -> int:
    return price if side == BUY else -price


def _crosses(order: Order, price: int) -> bool:
    if order.type == MARKET:
        return True
    return order.price >= price if order.side == BUY else order.price <= price
