"""What instructions do to orders, as in Vega core v0.77: submissions, amendments, cancellations, expiry, and auctions.

Statuses, reasons and versions are those of the real network. What an order goes through, in this order: the market may be closed to
it; its terms may not fit the market; its party may not be able to pay; and then it meets the book.

Left out: price monitoring (the recorded markets' bounds are far away); pegged, iceberg and stop orders, which are taken in and do
nothing; transaction reordering; the cut of prices to the asset's decimals, where it has fewer. On spot, `reduceOnly` means nothing.
"""

import heapq
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Any, Optional

from tests.sandbox.chain import amendments
from tests.sandbox.chain.amendments import FOK, GFA, GFN, GTT, IOC
from tests.sandbox.chain.archive import Archive
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import FINAL_STATES, MARK_INTERVAL, UNOPENED_STATES, Market
from tests.sandbox.chain.order_validation import reject, vanishes
from tests.sandbox.chain.positions import Positions
from tests.sandbox.chain.records import ACTIVE, BUY, REJECTED, SELL, Order, Trade
from tests.sandbox.chain.uint_limits import read_uint

FILLED, PARTIALLY_FILLED, STOPPED = "STATUS_FILLED", "STATUS_PARTIALLY_FILLED", "STATUS_STOPPED"
CANCELLED, EXPIRED = "STATUS_CANCELLED", "STATUS_EXPIRED"


class Execution:
    """The markets at work. `changed` and `trades` are what happened since `begin_block`."""

    def __init__(self, markets: dict[str, Market], ledger: Ledger, new_id: Callable[[str], str], traders: Collection[str]) -> None:
        self.markets = markets
        self.ledger = ledger
        self.positions = Positions(ledger)
        self.archive = Archive()
        self.changed: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.reject_orders: Optional[str] = None  # an OrderError for every new order but the traders', or no book would be left
        self._new_id = new_id
        self._traders = frozenset(traders)
        self._now = 0
        self._expiries: list[tuple[int, str]] = []  # heap of (time, order id); entries of dead or amended orders are skipped

    def begin_block(self, now: int) -> None:
        self._now = now
        self.changed, self.trades = {}, []
        self.ledger.changed, self.positions.changed = {}, {}
        for market in self.markets.values():
            market.begin_block()

    def expire(self) -> None:
        while self._expiries and self._expiries[0][0] <= self._now:
            expires_at, order_id = heapq.heappop(self._expiries)
            order = self.archive.by_id[order_id]
            if order.status == ACTIVE and order.expires_at == expires_at:
                self._close(order, EXPIRED)

    def submit(self, party_id: str, terms: dict[str, Any]) -> None:
        """Carry out a decoded order submission."""
        market, price = self.markets.get(terms["marketId"]), read_uint(terms.get("price", ""))
        if market is None or price is None or terms.keys() & {"peggedOrder", "icebergOpts"}:
            return
        order = Order(
            id=self._new_id("order"),
            market_id=market.id,
            party_id=party_id,
            side=terms["side"],
            price=price,
            size=terms["size"],
            remaining=terms["size"],
            time_in_force=terms["timeInForce"],
            type=terms["type"],
            status=ACTIVE,
            reference=terms.get("reference", ""),
            version=1 if market.can_trade else 0,  # as on the network, which gives it one a little later
            created_at=self._now,
            expires_at=terms.get("expiresAt", 0),
            post_only=terms.get("postOnly", False),
            reduce_only=terms.get("reduceOnly", False),
        )
        if self.reject_orders and party_id not in self._traders:
            order.status, order.reason = REJECTED, self.reject_orders
        elif not reject(market, order) and vanishes(market, order, self.ledger):
            return
        self.archive.add(order)
        self.changed[order.id] = order
        if order.status == REJECTED:
            return
        if market.is_spot:
            self._execute(market, order)
        else:
            self._execute_with_margin(market, order)

    def amend(self, party_id: str, terms: dict[str, Any]) -> bool:
        """Carry out a decoded order amendment; False where it failed, which leaves no trace."""
        market = self.markets.get(terms["marketId"])
        order = market.book.by_party.get(party_id, {}).get(terms["orderId"]) if market and market.can_trade else None
        if market is None or order is None:
            return False
        amended = amendments.amended_copy(order, terms, self._now)
        if amended is None or not amendments.is_allowed(market, order, amended, terms):
            return False
        if amended.remaining <= 0:
            self._close(order, CANCELLED)
        elif amended.expires_at and amended.expires_at < self._now:
            self._close(order, EXPIRED)
            amendments.apply(amended, order)
        elif not self._can_fund(market, order, amended):
            return False
        elif amended.price != order.price or amended.size > order.size:
            return self._replace(market, order, amended)
        else:
            self._amend_in_place(market, order, amended)
        return True

    def cancel(self, party_id: str, terms: dict[str, Any]) -> None:
        """Carry out a decoded cancellation: one order, all on a market, or all on every market."""
        market_id, order_id = terms.get("marketId"), terms.get("orderId")
        markets = [self.markets[market_id]] if market_id in self.markets else []
        if not market_id and not order_id:
            markets = list(self.markets.values())
        for market in markets:
            for order in market.book.orders_of_party(party_id) if market.can_trade else []:
                if order_id in (None, "", order.id):
                    self._close(order, CANCELLED)

    def set_state(self, market: Market, state: str, trading_mode: str) -> None:
        """Enter or leave an auction on the way, or end the market for good."""
        was_in_auction = market.in_auction
        if state in UNOPENED_STATES:
            self._close_all(market, CANCELLED)
        market.set_state(state, trading_mode, self._now)
        if was_in_auction and not market.in_auction:
            self._leave_auction(market)
        elif market.in_auction and not was_in_auction:
            self._close_all(market, CANCELLED, GFN)
        if state in FINAL_STATES:
            self._close_all(market, STOPPED)
            self._mark_to_market(market)
            if not market.is_spot:
                self.positions.close(market, self._now)

    def empty_sides(self, sides: Iterable[tuple[str, str]]) -> None:
        """Cancel every order on some sides, given by market id and side."""
        for market_id, side in sorted(sides):
            for order in list(self.markets[market_id].book.orders(side)):
                self._close(order, CANCELLED)

    def end_block(self) -> None:
        """Mark to market where it is time to, and give margin back to those who need none any more."""
        self.archive.end_block()
        for market in self.markets.values():
            if market.can_trade and not market.in_auction and market.mark_due <= self._now:
                self._mark_to_market(market)
        for order in self.changed.values():
            market = self.markets[order.market_id]
            if order.status != REJECTED and not market.is_spot:
                self.positions.release_margin(market, order.party_id)

    def _execute_with_margin(self, market: Market, order: Order) -> None:
        """Let the order in on a future or perpetual if it reduces what it has to, and its party can back it."""
        excess = 0
        if order.reduce_only:
            open_volume = self.positions.open_volume(market, order.party_id)
            reducible = max(0, -open_volume if order.side == BUY else open_volume)
            excess = max(0, order.size - reducible)
            if not reducible or (excess and order.time_in_force == FOK):
                self._reject(order, STOPPED, "ORDER_ERROR_REDUCE_ONLY_ORDER_WOULD_NOT_REDUCE_POSITION")
                return
        elif not self.positions.ensure_margin(market, order):
            self._reject(order, REJECTED, "ORDER_ERROR_MARGIN_CHECK_FAILED")
            return
        order.remaining -= excess
        self._execute(market, order)
        order.remaining += excess
        if order.reduce_only and order.remaining:
            order.status = STOPPED

    def _execute(self, market: Market, order: Order) -> None:
        """Trade what the book has for the order, and rest what may rest. In an auction everything rests."""
        fills, self_trades = ([], False) if market.in_auction else market.book.match(order)
        if order.post_only and fills:
            self._reject(order, STOPPED, "ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE")
            return
        if market.is_spot and not self.ledger.can_buy(market, order, fills):
            self._reject(order, REJECTED, "ORDER_ERROR_INTERNAL_ERROR")  # the network has no OrderError for it
            return
        order.batch_id = market.auctions_completed
        for resting, size in fills:
            order.remaining -= size
            self._fill(market, resting, size)
            parties = (order.party_id, resting.party_id) if order.side == BUY else (resting.party_id, order.party_id)
            self._trade(market, Trade(market.id, Fraction(resting.price), size, *parties, aggressor=order.side))
        order.status = _status(order, self_trades)
        if self_trades:
            order.reason = "ORDER_ERROR_SELF_TRADING"
        if order.status == ACTIVE:
            market.book.add(order)
            self._schedule_expiry(order)
        self._update_holding(market, order)

    def _fill(self, market: Market, resting: Order, size: int) -> None:
        resting.remaining -= size
        resting.updated_at = self._now
        self.changed[resting.id] = resting
        if not resting.remaining:
            resting.status = FILLED
            market.book.remove(resting)
        self._update_holding(market, resting)

    def _trade(self, market: Market, trade: Trade) -> None:
        self.trades.append(trade)
        market.last_exact_price, market.traded = trade.exact_price, True
        if market.is_spot:
            self.ledger.pay_spot_trade(market, trade)
        else:
            self.positions.trade(market, trade, self._now)

    def _reject(self, order: Order, status: str, reason: str) -> None:
        order.status, order.reason, order.updated_at = status, reason, self._now

    def _close(self, order: Order, status: str) -> None:
        """Take an order off the book; it keeps what remained of it."""
        market = self.markets[order.market_id]
        market.book.remove(order)
        order.status, order.updated_at = status, self._now
        self.changed[order.id] = order
        self._update_holding(market, order)

    def _close_all(self, market: Market, status: str, time_in_force: Optional[str] = None) -> None:
        for order in [*market.book.orders(BUY), *market.book.orders(SELL)]:
            if time_in_force in (None, order.time_in_force):
                self._close(order, status)

    def _update_holding(self, market: Market, order: Order) -> None:
        if market.is_spot:
            self.ledger.hold(market, order, order.remaining if order.status == ACTIVE else 0)

    def _schedule_expiry(self, order: Order) -> None:
        if order.expires_at and order.time_in_force in (GTT, GFA, GFN):
            heapq.heappush(self._expiries, (order.expires_at, order.id))

    def _can_fund(self, market: Market, order: Order, amended: Order) -> bool:
        if amendments.changes_nothing(order, amended):
            return True
        if market.is_spot:
            return self.ledger.can_pay(market, amended, amended.price, amended.remaining)
        return self.positions.ensure_margin(market, amended, replaced=order.remaining)

    def _replace(self, market: Market, order: Order, amended: Order) -> bool:
        """A new price or a larger size: the order leaves the book and comes back last in line, or trades."""
        if amended.post_only and not market.in_auction and market.book.match(amended)[0]:
            return False
        market.book.remove(order)
        amendments.apply(amended, order)
        self.changed[order.id] = order
        self._execute(market, order)
        return True

    def _amend_in_place(self, market: Market, order: Order, amended: Order) -> None:
        """Anything else keeps the order's place in the line."""
        amendments.apply(amended, order)
        self.changed[order.id] = order
        self._schedule_expiry(order)
        self._update_holding(market, order)

    def _leave_auction(self, market: Market) -> None:
        """Trade what crosses, all at one price; here, as in Vega, a party may trade with itself."""
        price, volume = market.uncrossing()
        market.auctions_completed += 1
        while volume:
            buy, sell = next(market.book.orders(BUY)), next(market.book.orders(SELL))
            size = min(volume, buy.remaining, sell.remaining)
            for order in (buy, sell):
                self._fill(market, order, size)
            self._trade(market, Trade(market.id, price, size, buy.party_id, sell.party_id, aggressor="SIDE_UNSPECIFIED"))
            volume -= size
        self._close_all(market, CANCELLED, GFA)
        self._mark_to_market(market)

    def _mark_to_market(self, market: Market) -> None:
        """Let the mark price follow the last trade; with anything new, profits and losses are paid."""
        market.mark_due = self._now + MARK_INTERVAL
        if market.current_mark_price != market.last_exact_price or market.traded:
            market.current_mark_price, market.traded = market.last_exact_price, False
            if not market.is_spot:
                self.positions.mark_to_market(market, self._now)


def _status(order: Order, self_trades: bool) -> str:
    """What becomes of an order that has met the book."""
    untouched = order.remaining == order.size
    if self_trades:
        return STOPPED if untouched else PARTIALLY_FILLED
    if not order.remaining:
        return FILLED
    if order.time_in_force in (IOC, FOK):
        return STOPPED if untouched else PARTIALLY_FILLED
    return ACTIVE
