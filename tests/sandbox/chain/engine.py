"""One market at work: what submissions, amendments, cancellations, expiry and auctions do to its orders, as in Vega core v0.77.

`MarketEngine` has what futures and spot markets have in common. The subclasses in `futures` and `spot` add what differs: margin and
positions, or payment on delivery.

An order passes these steps: the market must be open to it; its terms must fit the market; its party must be able to pay; then it is
matched. Statuses, reasons and versions are those of the real network.
"""

import heapq
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Optional

from tests.sandbox.chain import amendments
from tests.sandbox.chain.book import Fills, show_peak
from tests.sandbox.chain.exposure import Exposure
from tests.sandbox.chain.fees import FREE, FeeRule
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.liquidity import Liquidity
from tests.sandbox.chain.market import (
    ACTIVE_STATE,
    AUCTION_STATE,
    CONTINUOUS,
    FINAL_STATES,
    MONITORING,
    OPENING,
    PRICE_TRIGGER,
    SECOND,
    UNOPENED_STATES,
    Market,
    Terms,
)
from tests.sandbox.chain.order_validation import BEST_BID, BEST_OFFER, MID, reject
from tests.sandbox.chain.records import (
    ACTIVE,
    BUY,
    CANCELLED,
    EXPIRED,
    FILLED,
    FOK,
    GFA,
    GFN,
    GTT,
    IOC,
    LIMIT,
    MARKET,
    NETWORK,
    NO_SIDE,
    PARKED,
    PARTIALLY_FILLED,
    REJECTED,
    SELL,
    STOPPED,
    Iceberg,
    Order,
    Peg,
    Trade,
)
from tests.sandbox.chain.stop_orders import StopOrders
from tests.sandbox.chain.uint_limits import read_uint

SELF_TRADING = "ORDER_ERROR_SELF_TRADING"
WOULD_TRADE = "ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE"
OUT_OF_BOUNDS = "ORDER_ERROR_NON_PERSISTENT_ORDER_OUT_OF_PRICE_BOUNDS"
STOPPING_REASONS = (WOULD_TRADE, OUT_OF_BOUNDS, "ORDER_ERROR_REDUCE_ONLY_ORDER_WOULD_NOT_REDUCE_POSITION")  # others reject
MIN_ORDER_VALUE = 100  # 1/100 of the asset's quantum; spam.order.minimumMarginQuantumMultiple 0.01 of the networks recorded


class MarketEngine:
    """Executes instructions on one market. Events of the current block are in the journal."""

    def __init__(self, market: Market, journal: Journal) -> None:
        self.market = market
        self.journal = journal
        self.ledger = journal.ledger
        self.stop_orders = StopOrders(market, journal)
        self.liquidity = Liquidity(market, journal)
        self._parked: dict[str, Order] = {}  # pegged orders without a price, by id
        self._expiries: list[tuple[int, str]] = []  # heap of (time, order id); entries of dead or amended orders are skipped
        self._references: dict[str, int] = {}  # by pegged reference: what pegged orders were last priced by; the middle times two

    # --- Instructions ---

    def new_order(self, party_id: str, terms: dict[str, Any]) -> Optional[Order]:
        """Return a new order of a decoded submission; None if its price is beyond the network's range."""
        price = read_uint(terms.get("price", ""))
        peg, iceberg = terms.get("peggedOrder"), terms.get("icebergOpts")
        offset = read_uint(peg.get("offset", "")) if peg else 0
        if price is None or offset is None:
            return None
        return Order(
            id=self.journal.new_id("order"),
            market_id=self.market.id,
            party_id=party_id,
            side=terms["side"],
            price=price,
            size=terms["size"],
            remaining=terms["size"],
            time_in_force=terms["timeInForce"],
            type=terms["type"],
            status=ACTIVE,
            reference=terms.get("reference", ""),
            created_at=self.journal.now,
            expires_at=amendments.to_microseconds(terms.get("expiresAt", 0)),
            post_only=terms.get("postOnly", False),
            reduce_only=terms.get("reduceOnly", False),
            asset_price=0 if terms["type"] == MARKET else self.market.to_asset_price(price),
            peg=Peg(peg["reference"], offset) if peg else None,
            iceberg=Iceberg(iceberg["peakSize"], iceberg["minimumVisibleSize"]) if iceberg else None,
        )

    def submit(self, order: Order) -> None:
        """Execute a new order."""
        market = self.market
        if not market.can_trade:
            self._reject_early(order, "ORDER_ERROR_MARKET_CLOSED")
            return
        if reject(market, order):
            self.journal.publish(order)
        elif self._is_acceptable(order):
            self._submit_validated(order)
            self._schedule_expiry(order)
            self._reprice_pegged()

    def amend(self, party_id: str, terms: dict[str, Any]) -> bool:
        """Execute a decoded order amendment. Return False if it failed, which has no effect."""
        market, order = self.market, self.find(party_id, terms["orderId"])
        if order is None or not market.can_trade:
            return False
        amended = amendments.amended_copy(market, order, terms, self.journal.now)
        if amended is None or not amended.size or not amendments.is_allowed(market, order, amended, terms):
            return False
        if not self._has_minimum_value(amended) or not self._fits(order, amended):
            return False
        amended.expires_at = amendments.to_microseconds(amended.expires_at)
        if amended.total_remaining <= 0:
            self.close(order, CANCELLED)
            self._release_excess(order.party_id)
        elif amended.expires_at and amended.expires_at < self.journal.now:
            self.close(order, EXPIRED)
            amendments.apply(amended, order)
        elif order.peg and (market.in_auction or not self._reprice(amended)):
            self._park_amended(order, amended)
        elif order.id in self._parked:
            return self._unpark(order, amended)
        elif amendments.changes_nothing(order, amended):
            self._amend_in_place(order, amended)
        else:
            return self._amend(order, amended)
        self._reprice_pegged()
        return True

    def cancel(self, party_id: str, order_id: Optional[str]) -> None:
        """Cancel one order of a party, or all."""
        if not self.market.can_trade:
            return
        orders = [order for order in [self.find(party_id, order_id)] if order] if order_id else self.live_orders(party_id)
        for order in sorted(orders, key=lambda order: order.id):
            self.close(order, CANCELLED)
        if orders:
            self._release_excess(party_id)
            self._reprice_pegged()

    def find(self, party_id: str, order_id: str) -> Optional[Order]:
        """Return a live order of a party: resting or parked."""
        order = self.market.book.by_party.get(party_id, {}).get(order_id) or self._parked.get(order_id)
        return order if order and order.party_id == party_id else None

    def live_orders(self, party_id: str) -> list[Order]:
        """Return a party's resting and parked orders."""
        parked = [order for order in self._parked.values() if order.party_id == party_id]
        return self.market.book.orders_of_party(party_id) + parked

    def parked_orders(self) -> list[Order]:
        return list(self._parked.values())

    def close(self, order: Order, status: str) -> None:
        """End a live order; it keeps its remaining size."""
        if order.id in self._parked:
            del self._parked[order.id]
        else:
            self.market.book.remove(order)
            self._on_remove(order)
        order.status, order.updated_at = status, self.journal.now
        self.journal.publish(order)

    def trigger_stop_orders(self) -> None:
        """Submit the orders of stop orders whose price was reached.

        As in Vega (`triggerStopOrders` of core/execution/future/market.go), an auction makes no difference: an order that cannot be placed
        in one is rejected.
        """
        while submissions := self.stop_orders.triggered(self._exposures()):
            self._submit_all(submissions)

    def submit_stop_orders(self, party_id: str, terms: dict[str, Any]) -> None:
        """Take in stop orders; one whose price is reached already is submitted at once, except in an auction."""
        submissions = self.stop_orders.submit(party_id, terms, self._exposures().get(party_id))
        if submissions:
            self._submit_all(submissions)
            self.trigger_stop_orders()

    def _submit_all(self, submissions: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for party_id, terms in submissions:
            order = self.new_order(party_id, terms)
            if order:
                self.submit(order)

    # --- Time ---

    def begin_block(self) -> None:
        """Expire orders, and end an auction whose time has come."""
        market, now = self.market, self.journal.now
        market.monitor.begin_block(now)
        if market.can_trade:
            self._expire()
            self._submit_all(self.stop_orders.expired(self._exposures()))
        self.liquidity.begin_block()
        if market.in_auction:
            if market.trigger == PRICE_TRIGGER and market.auction_end and market.auction_end < now:
                self._end_price_auction()
            self.trigger_stop_orders()

    def end_block(self) -> None:
        """Mark to market if it is due."""
        market = self.market
        market.begin_block()
        if market.can_trade and not market.in_auction and market.mark_due <= self.journal.now:
            self._mark()
        self.liquidity.end_block()

    # --- Auctions ---

    def set_state(self, state: str, trading_mode: str) -> None:
        """Set the market's state, enter or leave an auction accordingly, or end the market for good."""
        market = self.market
        was_in_auction = market.in_auction
        if state in UNOPENED_STATES:
            self._close_all(CANCELLED)
        if was_in_auction and trading_mode == CONTINUOUS:
            self._leave_auction(state)
        else:
            market.set_state(state, trading_mode, self.journal.now)
            if market.in_auction and not was_in_auction:
                self._on_auction_start()
        if state in FINAL_STATES:
            self._close_all(STOPPED)
            self._settle_market()

    def change_terms(self, terms: Terms) -> None:
        """Change tick size and price decimals.

        As in `Market.Update` of core/execution/future/market.go, resting orders stay, also between two new ticks, and only pegged orders
        with such an offset are cancelled. Vega cannot change price decimals; here that cancels all orders, whose prices would be wrong.
        """
        market, old = self.market, self.market.terms
        if terms.price_decimals != old.price_decimals:
            self._close_all(CANCELLED)
            for (_, market_id), position in self.journal.positions.positions.items():
                if market_id == market.id:
                    position.average_entry_price *= Fraction(10) ** (terms.price_decimals - old.price_decimals)
        market.change_terms(terms)
        for order in [*market.book.pegged(), *self._parked.values()]:
            if order.peg and order.peg.offset % terms.tick_size:
                self.close(order, CANCELLED)
                self._release_excess(order.party_id)

    def empty_side(self, side: str) -> None:
        """Cancel every order on one side."""
        for order in list(self.market.book.orders(side)):
            self.close(order, CANCELLED)
            self._release_excess(order.party_id)

    def _violates_bounds(self, asset_price: int, persistent: bool) -> bool:
        """Check a trade's price; a violation starts an auction, unless the order is not persistent. Return whether to stop that one."""
        market = self.market
        trigger = market.monitor.violated(asset_price)
        if trigger is None:
            return False
        if not persistent:
            market.monitor.activate()
            return True
        self._start_price_auction(trigger.auction_extension)
        return False

    def _start_price_auction(self, seconds: int) -> None:
        self.market.set_state(AUCTION_STATE, MONITORING, self.journal.now)
        self.market.auction_duration = seconds * SECOND
        self._on_auction_start()

    def _on_auction_start(self) -> None:
        self._close_all(CANCELLED, GFN)
        for order in self.market.book.pegged():
            self._park(order)

    def _end_price_auction(self) -> None:
        """Leave the auction, or extend it where its price violates other bounds."""
        market = self.market
        price = market.book.uncrossing()[0]
        trigger = market.monitor.violated(price)
        if trigger:
            market.extension_trigger = PRICE_TRIGGER
            market.auction_duration += trigger.auction_extension * SECOND
            return
        market.monitor.reset(price)
        self._leave_auction(ACTIVE_STATE)

    def _leave_auction(self, state: str) -> None:
        """Trade what crosses, all at one price. As in Vega, a party may trade with itself here."""
        market = self.market
        self._before_uncrossing()
        price, volume, side = market.book.uncrossing()
        market.auctions_completed += 1
        if volume:
            self._uncross(price, volume, side)
        for order in [*market.book.orders(BUY), *market.book.orders(SELL)]:
            if order.time_in_force == GFA:
                self.close(order, CANCELLED)
                self._release_excess(order.party_id)
        market.set_state(state, CONTINUOUS, self.journal.now)
        self._after_auction()

    def _uncross(self, asset_price: int, volume: int, side: str) -> None:
        """Fill the orders of one side completely, best first, against the other side."""
        book, fee_rule = self.market.book, self._fee_rule()
        filled: dict[str, Order] = {}
        while volume:
            order = next(book.orders(side))
            wanted = min(order.total_remaining, volume)
            volume -= wanted
            fills = book.match_in_auction(order, wanted)
            filled |= {passive.id: passive for passive, _ in fills}
            trades = [self._trade(order, passive, size, asset_price, fee_rule) for passive, size in fills]
            for passive, size in [*fills, (order, sum(size for _, size in fills))]:
                self._fill(passive, size)
            self._pay(order, fills, trades, fee_rule)
        self._refresh(filled.values())

    def _fee_rule(self) -> FeeRule:
        market = self.market
        if not market.in_auction:
            return FeeRule.AGGRESSOR
        if market.trigger == PRICE_TRIGGER:
            return FeeRule.SHARED
        # As in Vega, a suspension by governance is over before its orders trade: its trades have no aggressor, and the buyer pays.
        return FeeRule.FREE if market.trading_mode == OPENING else FeeRule.BUYER

    # --- Orders ---

    def _reject_early(self, order: Order, reason: str) -> None:
        """Reject an order before its version is set."""
        order.version, order.status, order.reason = 0, REJECTED, reason
        self.journal.publish(order)

    def _submit_validated(self, order: Order) -> None:
        if order.peg and not self._reprice(order):
            show_peak(order)
            self._park(order, is_new=True)
            return
        if self._reserve(order):
            self._match_and_execute(order)
            self._release_excess(order.party_id)

    def _match_and_execute(self, order: Order) -> None:
        fills, self_trades, reason = self._match(order)
        if reason:
            self._reject(order, reason)
        elif order.peg and self.market.in_auction:
            self._on_remove(order)
            self._park(order, is_new=True)
        elif self._can_pay(order, fills):
            order.status = ACTIVE
            self._execute(order, fills, self_trades)

    def _match(self, order: Order) -> tuple[Fills, bool, Optional[str]]:
        """Return an order's fills, whether it stops at an order of its own party, and a reason for which it must not trade."""
        market = self.market
        if market.in_auction:
            return [], False, None
        fills, self_trades = market.book.match(order)
        if order.post_only and fills:
            return [], False, WOULD_TRADE
        persistent = order.time_in_force not in (FOK, GFN, IOC)
        for resting, _ in fills if market.monitor.triggers else []:
            if self._violates_bounds(resting.asset_price, persistent):
                return [], False, OUT_OF_BOUNDS
            if market.in_auction:
                return [], False, None
        return fills, self_trades, None

    def _execute(self, order: Order, fills: Fills, self_trades: bool) -> None:
        """Trade an order's fills, and rest what may rest. In an auction everything rests."""
        market = self.market
        order.batch_id = market.auctions_completed
        self.journal.publish(order)
        trades = [self._trade(order, resting, size, resting.asset_price, FeeRule.AGGRESSOR) for resting, size in fills]
        for resting, size in fills:
            order.remaining -= size
            self._fill(resting, size)
        self._refresh(resting for resting, _ in fills)
        order.status = _status(order, self_trades)
        if self_trades:
            order.reason = SELF_TRADING
        if order.status == ACTIVE:
            show_peak(order)
            market.book.add(order)
        self._on_executed(order)
        self._pay(order, fills, trades, FeeRule.AGGRESSOR)

    def _trade(self, order: Order, passive: Order, size: int, asset_price: int, fee_rule: FeeRule) -> Trade:
        market = self.market
        buy, sell = (order, passive) if order.side == BUY else (passive, order)
        continuous, value = fee_rule is FeeRule.AGGRESSOR, market.value(asset_price, size)
        buyer_fees = seller_fees = FREE
        if fee_rule is FeeRule.SHARED:
            buyer_fees = seller_fees = market.fees.auction(value)
        elif continuous and order.side == BUY:
            buyer_fees = market.fees.continuous(value)
        elif continuous:
            seller_fees = market.fees.continuous(value)
        return Trade(
            market_id=market.id,
            price=passive.price if continuous else market.to_price(asset_price),
            exact_price=asset_price / market.price_factor,
            size=size,
            buyer=buy.party_id,
            seller=sell.party_id,
            aggressor=order.side if continuous else NO_SIDE,
            asset_price=asset_price,
            id=self.journal.new_id("trade"),
            buy_order=buy.id,
            sell_order=sell.id,
            timestamp=self.journal.now,
            buyer_fees=buyer_fees,
            seller_fees=seller_fees,
            type="TYPE_NETWORK_CLOSE_OUT_GOOD" if order.party_id == NETWORK else "TYPE_DEFAULT",
        )

    def _record(self, trade: Trade) -> None:
        self.journal.trades.append(trade)
        self.market.last_asset_price, self.market.traded = trade.asset_price, True

    def _fill(self, resting: Order, size: int) -> None:
        self.market.book.fill(resting, size)
        resting.updated_at = self.journal.now
        if not resting.total_remaining:
            resting.status = FILLED
        self.journal.publish(resting)

    def _refresh(self, orders: Iterable[Order]) -> None:
        for order in orders:
            if order.iceberg and not order.is_finished:
                self.market.book.refresh(order)

    def _reject(self, order: Order, reason: str, status: Optional[str] = None) -> None:
        """Reject an order that was already reserved, or stop it where the reason says so."""
        self._on_remove(order)
        order.status = status or (STOPPED if reason in STOPPING_REASONS else REJECTED)
        order.reason, order.updated_at = reason, self.journal.now
        self.journal.publish(order)

    def _schedule_expiry(self, order: Order) -> None:
        if order.expires_at and order.time_in_force in (GTT, GFA, GFN) and not order.is_finished:
            heapq.heappush(self._expiries, (order.expires_at, order.id))

    def _expire(self) -> None:
        expired = False
        while self._expiries and self._expiries[0][0] <= self.journal.now:
            expires_at, order_id = heapq.heappop(self._expiries)
            order = self.journal.archive.by_id.get(order_id)
            if order and not order.is_finished and order.expires_at == expires_at:
                self.close(order, EXPIRED)
                expired = True
        if expired:
            self._reprice_pegged()

    def _close_all(self, status: str, time_in_force: Optional[str] = None) -> None:
        for order in [*self.market.book.orders(BUY), *self.market.book.orders(SELL), *self._parked.values()]:
            if time_in_force in (None, order.time_in_force):
                self.close(order, status)
                self._release_excess(order.party_id)

    # --- Amendments ---

    def _amend(self, order: Order, amended: Order) -> bool:
        if not self._fund_amendment(order, amended):
            return False
        grows = amended.size > order.size and not order.iceberg
        if amended.asset_price != order.asset_price or grows:
            return self._replace(order, amended)
        shrinks = amended.size < order.size
        self._amend_in_place(order, amended)
        self._on_amended_in_place(order)
        if shrinks:
            self._on_shrunk(order)
        self._reprice_pegged()
        return True

    def _replace(self, order: Order, amended: Order) -> bool:
        """A new price or a larger size: the order leaves the book and comes back last in line, or trades."""
        book = self.market.book
        if amended.iceberg and not self.market.in_auction:
            amended.remaining, amended.iceberg.reserved = amended.total_remaining, 0
        fills, self_trades, reason = self._match(amended)
        if reason or not self._can_pay_amended(order, amended, fills):
            self._undo_amendment(order, amended)
            return False
        book.remove(order)
        amendments.apply(amended, order)
        self._execute(order, fills, self_trades)
        self._schedule_expiry(order)
        self._reprice_pegged()
        return True

    def _amend_in_place(self, order: Order, amended: Order) -> None:
        """Anything else keeps the order's place in the line."""
        hidden = (amended.iceberg.reserved if amended.iceberg else 0) - (order.iceberg.reserved if order.iceberg else 0)
        self.market.book.resize(order, amended.remaining + hidden)
        amendments.apply(amended, order)
        self._schedule_expiry(order)
        self.journal.publish(order)

    def _park_amended(self, order: Order, amended: Order) -> None:
        """Amend a pegged order that has no price now."""
        if order.id not in self._parked:
            self._park(order)
        amendments.apply(amended, order)
        order.price = order.asset_price = 0
        self._schedule_expiry(order)
        self.journal.publish(order)

    def _unpark(self, order: Order, amended: Order) -> bool:
        """Amend a parked order that has a price now: it is submitted like a new one."""
        if not self._can_unpark(amended):
            return False
        del self._parked[order.id]
        amendments.apply(amended, order)
        self._submit_validated(order)
        self._schedule_expiry(order)
        self._reprice_pegged()
        return True

    # --- Pegged orders ---

    def _park(self, order: Order, is_new: bool = False) -> None:
        """Let a pegged order wait for a price."""
        if not is_new:
            self.market.book.remove(order)
            self._on_remove(order)
            self._release_excess(order.party_id)
        order.status, order.price, order.asset_price, order.updated_at = PARKED, 0, 0, self.journal.now
        self._parked[order.id] = order
        self.journal.publish(order)

    def _reprice(self, order: Order) -> bool:
        """Give a pegged order its price. Return False if there is none at present."""
        price = self._pegged_price(order)
        if price is None:
            return False
        order.price, order.asset_price = price, self.market.to_asset_price(price) or 1
        return True

    def _pegged_price(self, order: Order) -> Optional[int]:
        """Return the padded price of a pegged order: its reference and offset, rounded to the better tick."""
        market, peg = self.market, order.peg
        (bid, _), (offer, _) = market.best_static
        assert peg is not None
        if peg.reference == MID:
            reference = (bid + offer + (order.side == BUY)) // 2 if bid and offer else 0
        else:
            reference = bid if peg.reference == BEST_BID else offer
        if market.in_auction or not reference:
            return None
        if order.side == SELL:
            return (reference + peg.offset) // market.tick_size * market.tick_size
        if reference <= peg.offset:
            return None
        return -(-(reference - peg.offset) // market.tick_size) * market.tick_size

    def _reprice_pegged(self, is_forced: bool = False) -> None:
        """Price the pegged orders again whose static reference has moved.

        As in `checkForReferenceMoves` and `repricePeggedOrders` of core/execution/future, all of them leave the book before the first comes
        back, also where the price stays the same: they lose their place in the line.
        """
        market = self.market
        if market.in_auction:
            return
        (bid, _), (offer, _) = market.best_static
        references = {BEST_BID: bid, BEST_OFFER: offer, MID: bid + offer if bid and offer else 0}
        moved = [name for name, price in references.items() if is_forced or price != self._references.get(name)]
        self._references = references
        pegged = [*market.book.pegged(), *self._parked.values()] if moved else []
        self._reprice_all([order for order in pegged if order.peg and order.peg.reference in moved])

    def _reprice_all(self, orders: list[Order]) -> None:
        priced = []
        for order in orders:
            if order.id in self._parked:
                del self._parked[order.id]
            else:
                self.market.book.remove(order)
                self._on_remove(order)
            if self._reprice(order):
                order.status, order.updated_at, order.batch_id = ACTIVE, self.journal.now, self.market.auctions_completed
                priced.append(order)
        for order in orders:
            if order not in priced:
                self._park(order, is_new=True)
        self._resubmit_pegged(priced)

    # --- What the subclasses add ---

    def _is_acceptable(self, order: Order) -> bool:
        """Return whether the network takes a valid new order; one that it does not take has no effect."""
        raise NotImplementedError

    def _fits(self, order: Order, amended: Order) -> bool:
        """Return whether an amended order fits into the party's potential position."""
        raise NotImplementedError

    def _reserve(self, order: Order) -> bool:
        """Secure what a new order needs before it is matched; otherwise reject it and return False."""
        raise NotImplementedError

    def _resubmit_pegged(self, orders: list[Order]) -> None:
        """Put repriced orders back into the book, except those whose party cannot pay for them."""
        raise NotImplementedError

    def _can_unpark(self, amended: Order) -> bool:
        """Return whether the party can pay for an amended order that was parked."""
        return True

    def _before_uncrossing(self) -> None: ...

    def _can_pay(self, order: Order, fills: Fills) -> bool:
        """Return whether the party can pay for a new order's fills; otherwise reject it."""
        raise NotImplementedError

    def _can_pay_amended(self, order: Order, amended: Order, fills: Fills) -> bool:
        raise NotImplementedError

    def _pay(self, order: Order, fills: Fills, trades: list[Trade], fee_rule: FeeRule) -> None:
        """Exchange what was traded, and pay the fees."""
        raise NotImplementedError

    def _on_executed(self, order: Order) -> None:
        """Note what became of an order after matching, before its trades are paid."""
        raise NotImplementedError

    def _on_remove(self, order: Order) -> None:
        """Give back what an order had reserved, after it left the book."""
        raise NotImplementedError

    def _on_amended_in_place(self, order: Order) -> None: ...

    def _on_shrunk(self, order: Order) -> None: ...

    def _fund_amendment(self, order: Order, amended: Order) -> bool:
        """Secure what an amended order needs; otherwise return False."""
        raise NotImplementedError

    def _undo_amendment(self, order: Order, amended: Order) -> None:
        """Undo `_fund_amendment`, as far as the network undoes it."""

    def _release_excess(self, party_id: str) -> None:
        """Release the margin of a party that needs none any more."""

    def _has_minimum_value(self, amended: Order) -> bool:
        """Check an amended order against the minimum order value.

        As in Vega, its asset price is converted once more (`checkOrderAmendForSpam` in core/execution/future/market.go), and a size
        below zero counts as a very large one.
        """
        if amended.size < 0:
            return True
        price = self.market.spam_price(amended.side, amended.peg.offset) if amended.peg else amended.asset_price
        return self.value_shortfall(amended.side, self.market.to_asset_price(price), amended.size) is None

    def value_shortfall(self, side: str, asset_price: int, size: int) -> Optional[str]:
        """Return the network's error message if an order is below the minimum order value, otherwise None."""
        raise NotImplementedError

    def _mark(self) -> None:
        raise NotImplementedError

    def _after_auction(self) -> None:
        raise NotImplementedError

    def _settle_market(self) -> None:
        raise NotImplementedError

    def _exposures(self) -> dict[str, Exposure]:
        """Return the exposures by party; none on spot."""
        return {}


def _status(order: Order, self_trades: bool) -> str:
    """Return the status of an order after matching."""
    untouched = order.remaining == order.size
    if self_trades:
        return STOPPED if untouched else PARTIALLY_FILLED
    if not order.remaining:
        return FILLED
    if order.time_in_force in (IOC, FOK) or order.type != LIMIT:
        return STOPPED if untouched else PARTIALLY_FILLED
    return ACTIVE
