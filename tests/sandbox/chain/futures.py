"""Futures and perpetuals: margin on orders and positions, mark to market, and the close-out of parties that cannot pay.

Perpetuals pay no funding here: the recorded perpetual had no price feed that would have caused payments.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Optional

from tests.sandbox.chain.book import Fills
from tests.sandbox.chain.decimal_text import decimal_text
from tests.sandbox.chain.engine import MIN_ORDER_VALUE, MarketEngine
from tests.sandbox.chain.exposure import Exposure
from tests.sandbox.chain.fees import FREE, FeeRule
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.ledger import BOND, GENERAL, INSURANCE, MARGIN, SETTLEMENT
from tests.sandbox.chain.liquidation import Liquidation
from tests.sandbox.chain.margin import LONG_RISK, SHORT_RISK, SLIPPAGE, MarginLevels, MarginPrices, margin_levels
from tests.sandbox.chain.market import MARK_INTERVAL, OPENING, Market
from tests.sandbox.chain.records import BUY, CANCELLED, FOK, LIMIT, MARKET, NETWORK, STOPPED, Account, Fees, Order, Trade
from tests.sandbox.chain.settlement import Settlement, SettlementEngine
from tests.sandbox.chain.uint_limits import fits_potential_position

LONG_FACTOR, SHORT_FACTOR = LONG_RISK + SLIPPAGE, SHORT_RISK + SLIPPAGE  # of an order's value; for the minimum order value
MARGIN_CHECK_FAILED = "ORDER_ERROR_MARGIN_CHECK_FAILED"


class FuturesEngine(MarketEngine):
    """A market with margin and positions."""

    def __init__(self, market: Market, journal: Journal) -> None:
        super().__init__(market, journal)
        self.exposures: dict[str, Exposure] = {}  # by party, in the order in which they first had an order
        self._settlement = SettlementEngine(market.unit, market.mark_asset_price)
        self._liquidation = Liquidation(market, journal)
        self._changed_parties: dict[str, None] = {}  # parties whose exposure may have become empty since their margin was released
        self._excess = 0  # the part of the reduce-only order being executed that would turn its party's position

    # --- Blocks ---

    def begin_block(self) -> None:
        if self.market.can_trade:
            self._close_network_position()
        super().begin_block()
        if not self.market.in_auction:
            self.liquidity.top_up_bonds()

    def end_block(self) -> None:
        super().end_block()
        for party_id in list(self._changed_parties):
            self._release_excess(party_id)
            if not self._settlement.has_position(party_id):
                del self._changed_parties[party_id]

    # --- Orders ---

    def submit(self, order: Order) -> None:
        if order.type == LIMIT and not order.peg and not order.asset_price:
            self._reject_early(order, "ORDER_ERROR_PRICE_NOT_IN_TICK_SIZE")
        else:
            super().submit(order)

    def _is_acceptable(self, order: Order) -> bool:
        exposure = self.exposures.get(order.party_id)
        return fits_potential_position(exposure.on_side(order.side) if exposure else 0, order.size)

    def _fits(self, order: Order, amended: Order) -> bool:
        exposure = self.exposures.get(order.party_id)
        more = amended.total_remaining - order.total_remaining
        return fits_potential_position(exposure.on_side(order.side) if exposure else 0, more)

    def _reserve(self, order: Order) -> bool:
        """Add the order to its party's exposure, and move margin for it unless it only reduces the position."""
        exposure = self._exposure(order.party_id)
        exposure.add(order.side, order.asset_price, order.total_remaining)
        self._excess = 0
        if order.reduce_only:
            reducible = max(0, -exposure.size if order.side == BUY else exposure.size)
            excess = max(0, order.remaining - reducible)
            if not reducible or (excess and order.time_in_force == FOK):
                self._reject(order, "ORDER_ERROR_REDUCE_ONLY_ORDER_WOULD_NOT_REDUCE_POSITION")
                return False
            order.remaining -= excess
            self._excess = excess
        elif not exposure.is_reduced_by(order) and not self._move_order_margin(exposure, order):
            self._reject(order, MARGIN_CHECK_FAILED)
            return False
        return True

    def _resubmit_pegged(self, orders: list[Order]) -> None:
        """Margins follow once all orders are back; who cannot pay loses them (`repriceAllSpecialOrders` in core/execution/future)."""
        for order in orders:
            self._exposure(order.party_id).add(order.side, order.asset_price, order.total_remaining)
            self.market.book.add(order)
            self.journal.publish(order)
        distressed = self._adjust_margins([self.exposures[party_id] for party_id in sorted({order.party_id for order in orders})])
        for order in orders:
            if order.party_id in distressed:
                self.close(order, CANCELLED)
                self._release_excess(order.party_id)

    def _can_unpark(self, amended: Order) -> bool:
        exposure = self._exposure(amended.party_id).copy()
        exposure.add(amended.side, amended.asset_price, amended.total_remaining)
        return self._has_order_margin(exposure, amended)

    def _can_pay(self, order: Order, fills: Fills) -> bool:
        """Check that the party can pay the fees, and for a market order the margin of the resulting position."""
        if not fills:
            return True
        if self._fees_of(fills) > sum(account.balance for account in self._accounts(order.party_id)):
            self._reject(order, "ORDER_ERROR_INSUFFICIENT_FUNDS_TO_PAY_FEES")
            return False
        exposure = self.exposures[order.party_id]
        if order.type == MARKET and not order.reduce_only and not exposure.is_reduced_by(order):
            after = exposure.copy()
            for _, size in fills:
                after.trade(order.side, order.asset_price, size)
            if not self._move_order_margin(after, order):
                self._reject(order, MARGIN_CHECK_FAILED)
                return False
        return True

    def _can_pay_amended(self, order: Order, amended: Order, fills: Fills) -> bool:
        return self._fees_of(fills) <= sum(account.balance for account in self._accounts(order.party_id))

    def _on_executed(self, order: Order) -> None:
        if order.reduce_only:
            order.remaining += self._excess
            self._excess = 0
            if order.remaining:
                order.status = STOPPED
        if order.is_finished and order.remaining:
            self._on_remove(order)

    def _on_remove(self, order: Order) -> None:
        order.remaining += self._excess
        self._excess = 0
        self._exposure(order.party_id).add(order.side, order.asset_price, -order.total_remaining)

    def _fund_amendment(self, order: Order, amended: Order) -> bool:
        """Replace the order in the exposure, and move margin. Unlike for new orders, a reduced position makes no difference."""
        exposure = self._exposure(order.party_id)
        exposure.add(order.side, order.asset_price, -order.total_remaining)
        exposure.add(amended.side, amended.asset_price, amended.total_remaining)
        if self._move_order_margin(exposure, amended):
            return True
        self._undo_amendment(order, amended)
        return False

    def _undo_amendment(self, order: Order, amended: Order) -> None:
        """The margin that was moved for the amendment stays in the margin account."""
        exposure = self._exposure(order.party_id)
        exposure.add(amended.side, amended.asset_price, -amended.total_remaining)
        exposure.add(order.side, order.asset_price, order.total_remaining)

    def _on_shrunk(self, order: Order) -> None:
        self._adjust_margins([self.exposures[order.party_id]])

    def _pay(self, order: Order, fills: Fills, trades: list[Trade], fee_rule: FeeRule) -> None:
        self._pay_fees(trades, fee_rule)
        for (passive, size), trade in zip(fills, trades, strict=True):
            self._exposure(order.party_id).trade(order.side, order.asset_price, size)
            self._exposure(passive.party_id).trade(passive.side, passive.asset_price, size)
            self._record(trade)
            self.journal.positions.trade(self.market, trade, self.journal.now)
            self._settlement.add_trade(trade.buyer, trade.seller, trade.asset_price, size)

    # --- Fees ---

    def _fees_of(self, fills: Fills) -> int:
        """Return the fees that an incoming order with these fills pays."""
        market = self.market
        return sum(market.fees.continuous(market.value(resting.asset_price, size)).total for resting, size in fills)

    def _pay_fees(self, trades: list[Trade], fee_rule: FeeRule) -> None:
        """Pay from the general account first, then from margin."""
        market, asset_id = self.market, self.market.settlement_asset.id
        if fee_rule is FeeRule.FREE:
            return
        if fee_rule is FeeRule.BUYER:
            self._pay_buyers_fees(trades)
            return
        for trade in trades:
            for party_id, fees in ((trade.buyer, trade.buyer_fees), (trade.seller, trade.seller_fees)):
                if fees.total:
                    self.ledger.pay_fees(self._payers(party_id), fees, market.id)
            maker = trade.seller if trade.aggressor == BUY else trade.buyer
            self.ledger.pay_maker(maker, asset_id, market.id, trade.buyer_fees.maker + trade.seller_fees.maker)

    def _pay_buyers_fees(self, trades: list[Trade]) -> None:
        """As in Vega, the last buyer of an order's trades pays the infrastructure and liquidity fees of all of them."""
        market = self.market
        rest = FREE
        for trade in trades:
            fees = market.fees.continuous(market.value(trade.asset_price, trade.size))
            self.ledger.pay_fees(self._payers(trade.buyer), Fees(maker=fees.maker), market.id)
            self.ledger.pay_maker(trade.seller, market.settlement_asset.id, market.id, fees.maker)
            rest = Fees(0, rest.infrastructure + fees.infrastructure, rest.liquidity + fees.liquidity)
        if trades:
            self.ledger.pay_fees(self._payers(trades[-1].buyer), rest, market.id)

    def _payers(self, party_id: str) -> list[Account]:
        if party_id == NETWORK:
            return [self._insurance()]
        margin, general = self._accounts(party_id)
        return [general, margin]

    # --- Margin ---

    def _exposure(self, party_id: str) -> Exposure:
        exposure = self.exposures.get(party_id)
        if exposure is None:
            exposure = self.exposures[party_id] = Exposure(party_id)
        self._changed_parties[party_id] = None
        return exposure

    def _prices(self, fallback: int = 0) -> MarginPrices:
        """Return the prices for margins. In the opening auction that is the indicative price, or `fallback` without one."""
        market = self.market
        if not market.in_auction:
            return MarginPrices(market.mark_asset_price)
        indicative = market.book.uncrossing()[0]
        mark = market.mark_asset_price
        if market.trading_mode == OPENING:
            mark = indicative or fallback
        return MarginPrices(mark, in_auction=True, auction=max(indicative, market.mark_asset_price))

    def _levels(self, exposure: Exposure, prices: MarginPrices, with_orders: bool = True) -> MarginLevels:
        return margin_levels(exposure, prices, self.market.unit, with_orders)

    def _move_order_margin(self, exposure: Exposure, order: Order) -> bool:
        """Move up to the initial margin level for an order. Return False if its party has not enough."""
        margin, *others = self._order_margin_sources(order.party_id)
        needed = self._levels(exposure, self._prices(order.asset_price)).initial
        if not self._has_order_margin(exposure, order):
            return False
        if margin.balance < needed:
            self.ledger.collect(others, margin, needed - margin.balance)
        return True

    def _has_order_margin(self, exposure: Exposure, order: Order) -> bool:
        needed = self._levels(exposure, self._prices(order.asset_price)).initial
        return sum(account.balance for account in self._order_margin_sources(order.party_id)) >= needed

    def _order_margin_sources(self, party_id: str) -> list[Account]:
        """Return a party's margin, general and, if it has one, bond account."""
        bond = self._bond(party_id)
        return [*self._accounts(party_id), *([bond] if bond else [])]

    def _adjust_margins(self, exposures: Iterable[Exposure]) -> list[str]:
        """Top margins up to the initial level where they are below the search level, and release down to it above the release level.

        Returns:
            The parties whose margin stays below the maintenance level.
        """
        prices = self._prices()
        distressed = []
        for exposure in exposures:
            party_id = exposure.party_id
            if party_id == NETWORK:
                continue
            margin, general = self._accounts(party_id)
            if exposure.is_empty:
                self.ledger.move(margin, general, margin.balance)
                continue
            levels = self._levels(exposure, prices)
            if margin.balance < levels.search:
                bond = self._bond(party_id)
                self.ledger.collect([general, *([bond] if bond else [])], margin, levels.initial - margin.balance)
                if margin.balance < levels.maintenance:
                    distressed.append(party_id)
            elif margin.balance >= levels.release and not prices.in_auction:
                self.ledger.move(margin, general, margin.balance - levels.initial)
        return distressed

    def _release_excess(self, party_id: str) -> None:
        """Give all margin back to a party without position and orders, unless it has trades that are not settled yet."""
        exposure = self.exposures.get(party_id)
        if (exposure and not exposure.is_empty) or self._settlement.has_position(party_id) or party_id == NETWORK:
            return
        margin, general = self._accounts(party_id)
        self.ledger.move(margin, general, margin.balance)

    # --- Mark to market ---

    def _mark(self) -> None:
        """Let the mark price follow the last trade; settle positions if anything is new."""
        market = self.market
        market.mark_due = self.journal.now + MARK_INTERVAL
        traded = market.traded
        if traded and self._enters_auction(market.last_asset_price):
            return
        market.traded = False
        moved = market.mark_asset_price != market.last_asset_price
        if moved or self._settlement.has_trades:
            market.mark_asset_price = market.last_asset_price
            self._settle()
            for party_id in [party_id for party_id, exposure in self.exposures.items() if exposure.is_empty]:
                del self.exposures[party_id]
                self._release_excess(party_id)
                self.stop_orders.cancel(party_id)

    def _enters_auction(self, asset_price: int) -> bool:
        """Check a new mark price; return whether it causes an auction."""
        self._violates_bounds(asset_price, persistent=True)
        if not self.market.in_auction:
            self.market.monitor.record(asset_price)
        return self.market.in_auction

    def _after_auction(self) -> None:
        market = self.market
        market.mark_due = self.journal.now + MARK_INTERVAL
        if market.traded:
            market.mark_asset_price, market.traded = market.last_asset_price, False
        self._reprice_pegged(is_forced=True)
        self.liquidity.top_up_bonds()
        self._settle()

    def _settle(self) -> None:
        """Settle all positions at the mark price: losers pay, winners are paid, margins follow, and who cannot pay is closed out."""
        market, now = self.market, self.journal.now
        exposures = list(self.exposures.values())
        for exposure in exposures:
            self.journal.positions.mark_to_market(market, exposure.party_id, now)
        settlements = self._settlement.settle(exposures, market.mark_asset_price)
        self._transfer(settlements)
        distressed = self._adjust_margins([self.exposures[part.party_id] for part in settlements])
        if distressed:
            self._close_out(distressed)
        self._adjust_margins(self.exposures.values())

    def _transfer(self, settlements: list[Settlement]) -> None:
        """Collect losses from margin, general, bond and insurance; pay gains into margin, less than in full where losses are missing."""
        market, ledger = self.market, self.ledger
        pool = ledger.account(NETWORK, SETTLEMENT, market.settlement_asset.id, market.id)
        expected = 0
        for part in settlements:
            if not part.is_loss or not part.amount:
                continue
            expected += part.amount
            self._collect_loss(part, pool)
        gains = [part for part in settlements if not part.is_loss and part.amount]
        if pool.balance < expected:
            self._socialise(gains, expected, pool.balance)
        for part in gains:
            target = self._insurance() if part.party_id == NETWORK else self._accounts(part.party_id)[0]
            ledger.move(pool, target, min(part.amount, pool.balance))

    def _collect_loss(self, part: Settlement, pool: Account) -> None:
        insurance = self._insurance()
        if part.party_id == NETWORK:
            self.ledger.collect([insurance], pool, part.amount)
            return
        margin, general = self._accounts(part.party_id)
        bond = self._bond(part.party_id)
        own = [margin, general, *([bond] if bond else [])]
        missing = part.amount - self.ledger.collect([*own, insurance], pool, part.amount)
        if missing:
            self.journal.positions.socialise_loss(self.market, part.party_id, missing, self.journal.now)

    def _socialise(self, gains: list[Settlement], expected: int, collected: int) -> None:
        """Cut gains in proportion to what was collected; the last one gets what rounding leaves."""
        share = (collected * 10**16 * 2 + expected) // (2 * expected)  # of 10^16: Vega keeps 16 decimals
        paid = 0
        for part in gains:
            reduced = part.amount * share // 10**16
            if part.party_id != NETWORK:
                self.journal.positions.socialise_loss(self.market, part.party_id, reduced - part.amount, self.journal.now)
            part.amount = reduced
            paid += reduced
        if gains:
            last = next((part for part in gains if part.party_id == NETWORK), gains[-1])
            last.amount += collected - paid

    # --- Close-out ---

    def _close_out(self, distressed: list[str]) -> None:
        """Stop the orders of distressed parties; the network takes over the positions of those who still cannot pay."""
        market, positions, now = self.market, self.journal.positions, self.journal.now
        stopped = False
        for party_id in distressed:
            for order in self.live_orders(party_id):
                self.close(order, STOPPED)
                stopped = True
        for party_id in distressed:
            exposure = self.exposures[party_id]
            margin, general = self._accounts(party_id)
            prices = MarginPrices(market.last_asset_price, market.in_auction)
            if stopped and margin.balance > self._levels(exposure, prices, with_orders=False).maintenance:
                positions.close_orders(market, party_id, now)
                continue
            bond = self._bond(party_id)
            own = [margin, general, *([bond] if bond else [])]
            confiscated = sum(account.balance for account in own)
            trade = self._liquidation.take_over(exposure)
            self.journal.trades.append(trade)
            network = self._exposure(NETWORK)
            network.size += exposure.size
            self._settlement.take_over(party_id, NETWORK)
            positions.close_out(market, party_id, confiscated, now)
            positions.take_over(market, trade, now)
            del self.exposures[party_id]
            self.ledger.collect(own, self._insurance(), confiscated)
            self.ledger.remove(margin)

    def _close_network_position(self) -> None:
        """Let the network try to close what it holds, with an order that may trade a part of the book."""
        network = self.exposures.get(NETWORK)
        order = self._liquidation.order(network.size if network else 0)
        if order is None:
            return
        market = self.market
        self._exposure(NETWORK).add(order.side, order.asset_price, order.remaining)
        last_price, traded = market.last_asset_price, market.traded
        fills, self_trades = market.book.match(order)
        self._execute(order, fills, self_trades)
        market.last_asset_price, market.traded = last_price, traded  # the network's trades do not move the mark price
        self._liquidation.on_traded(self.exposures[NETWORK].size)

    # --- The end ---

    def _settle_market(self) -> None:
        """Settle everything at the mark price, and give all margin back."""
        market = self.market
        if market.traded:
            market.mark_asset_price, market.traded = market.last_asset_price, False
        self._settle()
        self.journal.positions.settle_market(market, self.journal.now)
        for party_id in list(self.exposures):
            self.exposures[party_id].size = 0
            margin, general = self._accounts(party_id)
            self.ledger.move(margin, general, margin.balance)
        self.exposures.clear()
        self._settlement = SettlementEngine(market.unit, market.mark_asset_price)

    # --- Other ---

    def value_shortfall(self, side: str, asset_price: int, size: int) -> Optional[str]:
        factor, (numerator, denominator) = LONG_FACTOR if side == BUY else SHORT_FACTOR, self.market.value(asset_price, size)
        quantum = self.market.settlement_asset.quantum
        if numerator * factor.numerator * MIN_ORDER_VALUE >= quantum * denominator * factor.denominator:  # faster than with fractions
            return None
        value, required = Fraction(numerator, denominator) * factor, Fraction(quantum, MIN_ORDER_VALUE)
        return f"order value ({decimal_text(value)}) is less than minimum maintenance margin for spam ({decimal_text(required)})"

    def _exposures(self) -> dict[str, Exposure]:
        return self.exposures

    def _accounts(self, party_id: str) -> tuple[Account, Account]:
        """Return a party's margin and general account."""
        asset_id = self.market.settlement_asset.id
        return self.ledger.account(party_id, MARGIN, asset_id, self.market.id), self.ledger.account(party_id, GENERAL, asset_id)

    def _bond(self, party_id: str) -> Optional[Account]:
        return self.ledger.accounts.get((party_id, self.market.id, BOND, self.market.settlement_asset.id))

    def _insurance(self) -> Account:
        return self.ledger.account(NETWORK, INSURANCE, self.market.settlement_asset.id, self.market.id)
