"""The order book of one market: who rests at which price, and what an incoming order would meet.

Prices are padded integers. Best price first, and at one price the order that came first; Vega calls it price-time priority.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from fractions import Fraction

from tests.sandbox.chain.records import BUY, SELL, Order

FOK = "TIME_IN_FORCE_FOK"
MARKET = "TYPE_MARKET"
OTHER_SIDE = {BUY: SELL, SELL: BUY}

Fills = list[tuple[Order, int]]  # resting orders, and how much of each


class Book:
    """Only live orders are in here. They may shrink in place; any other change means `remove` and `add`."""

    def __init__(self) -> None:
        self.by_party: dict[str, dict[str, Order]] = {}  # party -> order id -> order, oldest first
        self._levels: dict[str, dict[int, dict[str, Order]]] = {BUY: {}, SELL: {}}  # side -> price -> order id -> order
        self._ranks: dict[str, list[int]] = {BUY: [], SELL: []}  # the prices that have orders; best last: sorted, sells negated

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

    def of_party(self, party_id: str) -> list[Order]:
        """Oldest first; a copy, so that the caller may cancel them."""
        return list(self.by_party.get(party_id, {}).values())

    def resting(self, party_id: str, side: str) -> int:
        """What a party's orders on a side would still buy or sell."""
        return sum(order.remaining for order in self.by_party.get(party_id, {}).values() if order.side == side)

    def depth(self, side: str) -> list[tuple[int, int]]:
        """Price and volume of each level, best first."""
        return [(price, self._volume(side, price)) for price in self._prices(side)]

    def best(self, side: str) -> tuple[int, int]:
        """Price and volume of the best level; zeros where that side is empty."""
        price = next(self._prices(side), 0)
        return (price, self._volume(side, price)) if price else (0, 0)

    def meet(self, order: Order) -> tuple[Fills, bool]:
        """Return what the order would trade, and whether it would then run into an order of its own party.

        A fill-or-kill order that cannot be filled whole trades nothing.
        """
        fills, missing, meets_itself = self._fills(order)
        if order.time_in_force == FOK and missing:
            fills = []
        return fills, meets_itself

    def _fills(self, order: Order) -> tuple[Fills, int, bool]:
        fills: Fills = []
        missing = order.remaining
        for resting in self.orders(OTHER_SIDE[order.side]):
            if not missing or not _crosses(order, resting.price):
                break
            if resting.party_id == order.party_id:
                return fills, missing, True
            fills.append((resting, min(missing, resting.remaining)))
            missing -= fills[-1][1]
        return fills, missing, False

    def uncrossing(self) -> tuple[Fraction, int]:
        """Return the price and volume at which an auction would end now; zeros where bids and offers do not cross.

        The price is the middle of those at which the most can trade, as in Vega.
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
