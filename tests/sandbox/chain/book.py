"""The order book of one market: resting orders by price, and matching of incoming orders.

Prices are asset prices. Orders match in price-time priority: best price first, then oldest first.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.sandbox.chain.records import BUY, FOK, MARKET, NO_SIDE, OTHER_SIDE, SELL, Order

Fills = list[tuple[Order, int]]  # resting order and filled size


@dataclass
class Level:
    """The orders at one price, oldest first, and their total remaining size with the hidden parts of icebergs."""

    orders: dict[str, Order] = field(default_factory=dict)
    volume: int = 0


class Book:
    """Contains live orders only. Sizes change through `fill` and `resize`; any other change requires `remove` and `add`."""

    def __init__(self) -> None:
        self.by_party: dict[str, dict[str, Order]] = {}  # party -> order id -> order, oldest first
        self._levels: dict[str, dict[int, Level]] = {BUY: {}, SELL: {}}  # side -> asset price -> level
        self._ranks: dict[str, list[int]] = {BUY: [], SELL: []}  # prices with orders, best last: sorted ascending, offers negated
        self._pegged: dict[str, Order] = {}  # the resting orders whose price follows the book

    def add(self, order: Order) -> None:
        levels = self._levels[order.side]
        level = levels.get(order.asset_price)
        if level is None:
            level = levels[order.asset_price] = Level()
            insort(self._ranks[order.side], _rank(order.side, order.asset_price))
        level.orders[order.id] = order
        level.volume += order.total_remaining
        self.by_party.setdefault(order.party_id, {})[order.id] = order
        if order.peg:
            self._pegged[order.id] = order

    def remove(self, order: Order) -> None:
        level = self._levels[order.side][order.asset_price]
        del level.orders[order.id]
        level.volume -= order.total_remaining
        orders = self.by_party[order.party_id]
        del orders[order.id]
        if not orders:
            del self.by_party[order.party_id]
        self._pegged.pop(order.id, None)
        if not level.orders:
            del self._levels[order.side][order.asset_price]
            ranks = self._ranks[order.side]
            del ranks[bisect_left(ranks, _rank(order.side, order.asset_price))]

    def resize(self, order: Order, remaining: int) -> None:
        """Change an order's visible remaining size; it keeps its place."""
        self._levels[order.side][order.asset_price].volume += remaining - order.remaining
        order.remaining = remaining

    def fill(self, order: Order, size: int) -> None:
        """Take a filled size off a resting order, and remove the order once nothing is left. `refresh` refills an iceberg afterwards."""
        visible = min(size, order.remaining)
        self.resize(order, order.remaining - visible)
        iceberg = order.iceberg
        if iceberg and size > visible:
            iceberg.reserved -= size - visible
            self._levels[order.side][order.asset_price].volume -= size - visible
        if not order.total_remaining:
            self.remove(order)

    def refresh(self, order: Order) -> None:
        """Refill an iceberg that shows too little after trades; it goes to the end of the line."""
        iceberg = order.iceberg
        if iceberg and iceberg.reserved and order.remaining < iceberg.minimum_visible_size:
            self.remove(order)
            show_peak(order)
            self.add(order)

    def orders(self, side: str) -> Iterator[Order]:
        """Best first. The book must not change while this runs."""
        levels = self._levels[side]
        for price in self._prices(side):
            yield from levels[price].orders.values()

    def pegged(self) -> list[Order]:
        """Return the resting pegged orders; the list is a copy."""
        return list(self._pegged.values())

    def orders_of_party(self, party_id: str) -> list[Order]:
        """Return the party's orders, oldest first. The list is a copy, so the caller may cancel the orders."""
        return list(self.by_party.get(party_id, {}).values())

    def depth(self, side: str) -> list[tuple[int, int]]:
        """Asset price and volume of each level, best first."""
        levels = self._levels[side]
        return [(price, levels[price].volume) for price in self._prices(side)]

    def best(self, side: str) -> tuple[int, int]:
        """Return asset price and volume of the best level; zeros if the side is empty."""
        ranks = self._ranks[side]
        if not ranks:
            return 0, 0
        price = abs(ranks[-1])
        return price, self._levels[side][price].volume

    def best_static(self, side: str) -> tuple[int, int]:
        """Return asset price and volume of the best level without pegged orders; zeros if there is none."""
        if not self._pegged:
            return self.best(side)
        for price in self._prices(side):
            volume = sum(order.total_remaining for order in self._levels[side][price].orders.values() if not order.peg)
            if volume:
                return price, volume
        return 0, 0

    def volume_up_to(self, side: str, asset_price: int) -> int:
        """Return the volume of a side at this price and better."""
        volume = 0
        for price in self._prices(side):
            if _rank(side, price) < _rank(side, asset_price):
                break
            volume += self._levels[side][price].volume
        return volume

    def match(self, order: Order) -> tuple[Fills, bool]:
        """Return the fills of an incoming order, and whether matching stops at an order of its own party.

        A fill-or-kill order that what is visible cannot fill completely has no fills, as in `uncross` of core/matching/side.go.
        """
        side = OTHER_SIDE[order.side]
        levels, unfilled, self_trades = self._levels[side], order.total_remaining, False
        if order.time_in_force == FOK:
            is_filled, self_trades = self._fills_at_once(order)
            if not is_filled:
                return [], self_trades
        fills: Fills = []
        for price in self._prices(side):
            if not unfilled or not _crosses(order, price):
                break
            level_fills, self_trades = _match_level(levels[price], order.party_id, unfilled)
            fills += level_fills
            unfilled -= sum(size for _, size in level_fills)
            if self_trades:
                break
        return fills, self_trades

    def _fills_at_once(self, order: Order) -> tuple[bool, bool]:
        """Return whether visible sizes fill an order, and whether it meets an order of its own party before that."""
        visible = 0
        for resting in self.orders(OTHER_SIDE[order.side]):
            if not _crosses(order, resting.asset_price):
                break
            if resting.party_id == order.party_id:
                return False, True
            visible += resting.remaining
            if visible >= order.total_remaining:
                return True, False
        return False, False

    def match_in_auction(self, order: Order, size: int) -> Fills:
        """Return the fills of a resting order with the other side at the end of an auction; a party may trade with itself."""
        fills: Fills = []
        levels = self._levels[OTHER_SIDE[order.side]]
        for price in self._prices(OTHER_SIDE[order.side]):
            if not size:
                break
            level_fills, _ = _match_level(levels[price], "", size)
            fills += level_fills
            size -= sum(filled for _, filled in level_fills)
        return fills

    def uncrossing(self) -> tuple[int, int, str]:
        """Return the price and volume at which an auction would end now, and the side whose orders are then filled completely.

        Zeros and no side if the book is not crossed. As in Vega, the price is the midpoint of the range of prices with the maximum
        tradable volume, rounded down.
        """
        bid, offer = self.best(BUY)[0], self.best(SELL)[0]
        if not bid or not offer or bid < offer:
            return 0, 0, NO_SIDE
        bids = self._levels_up_to(BUY, offer)
        offers = self._levels_up_to(SELL, bid)
        bought: dict[int, int] = {}
        sold: dict[int, int] = {}
        prices = sorted(bids.keys() | offers.keys())
        volume = 0
        for price in prices:
            volume = sold[price] = volume + offers.get(price, 0)
        volume = 0
        for price in reversed(prices):
            volume = bought[price] = volume + bids.get(price, 0)
        tradable = {price: min(bought[price], sold[price]) for price in prices}
        maximum = max(tradable.values())
        best = [price for price in prices if tradable[price] == maximum]
        side = BUY if maximum in bought.values() else SELL
        return (best[0] + best[-1]) // 2, maximum, side

    def _levels_up_to(self, side: str, asset_price: int) -> dict[int, int]:
        found = {}
        for price in self._prices(side):
            if _rank(side, price) < _rank(side, asset_price):
                break
            found[price] = self._levels[side][price].volume
        return found

    def _prices(self, side: str) -> Iterator[int]:
        return map(abs, reversed(self._ranks[side]))


def show_peak(order: Order) -> None:
    """Show up to the peak size of an iceberg order, and hide the rest."""
    iceberg = order.iceberg
    if iceberg is None:
        return
    total = order.total_remaining
    order.remaining = min(total, iceberg.peak_size)
    iceberg.reserved = total - order.remaining


def _match_level(level: Level, party_id: str, unfilled: int) -> tuple[Fills, bool]:
    """Match visible sizes first, oldest first; then hidden sizes, divided in proportion to them."""
    filled: dict[str, int] = {}
    icebergs: list[Order] = []
    self_trades = False
    for resting in level.orders.values():
        if not unfilled:
            break
        if resting.party_id == party_id:
            self_trades = True
            break
        if resting.iceberg and resting.iceberg.reserved:
            icebergs.append(resting)
        size = min(unfilled, resting.remaining)
        if size:
            filled[resting.id] = size
            unfilled -= size
    if unfilled and icebergs:
        hidden = [order.iceberg.reserved for order in icebergs if order.iceberg]
        total = sum(hidden)
        taken = min(unfilled, total)
        parts = [reserved * taken // total for reserved in hidden]
        rest = taken - sum(parts)
        for index, reserved in enumerate(hidden):
            extra = min(rest, reserved - parts[index])
            parts[index] += extra
            rest -= extra
        for order, part in zip(icebergs, parts, strict=True):
            filled[order.id] = filled.get(order.id, 0) + part
    return [(level.orders[order_id], size) for order_id, size in filled.items() if size], self_trades


def _rank(side: str, price: int) -> int:
    return price if side == BUY else -price


def _crosses(order: Order, price: int) -> bool:
    if order.type == MARKET:
        return True
    return order.asset_price >= price if order.side == BUY else order.asset_price <= price
