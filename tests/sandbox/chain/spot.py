"""Spot markets: payment on delivery. Resting orders are covered by the holding account, and trades swap base and quote asset."""

from fractions import Fraction
from typing import Optional

from tests.sandbox.chain.book import Fills
from tests.sandbox.chain.decimal_text import decimal_text
from tests.sandbox.chain.engine import MIN_ORDER_VALUE, MarketEngine
from tests.sandbox.chain.fees import FREE, FeeRule
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.ledger import GENERAL, HOLDING
from tests.sandbox.chain.market import MARK_INTERVAL, OPENING, Market
from tests.sandbox.chain.records import BUY, CANCELLED, SELL, STOPPED, Account, Fees, Order, Trade


class SpotEngine(MarketEngine):
    """A market without positions. On spot, `reduceOnly` has no effect."""

    def __init__(self, market: Market, journal: Journal) -> None:
        super().__init__(market, journal)
        assert market.base_asset is not None
        shift = market.base_asset.decimals - market.size_decimals
        self._base_unit = Fraction(10) ** shift
        self._held: dict[str, int] = {}  # order id -> amount that it has in the holding account
        self._held_fees: dict[str, int] = {}  # order id -> fees of it, only in auctions

    # --- Orders ---

    def _is_acceptable(self, order: Order) -> bool:
        """An order beyond its party's balance, with the fees a taker would pay, has no effect.

        INSUFFICIENT_ASSET_BALANCE is only for parties without any account of the asset. A market order to buy has no price, so its
        balance check follows when it is matched.
        """
        if order.peg and self.market.in_auction:
            return True
        if order.peg and not self._reprice(order):
            return False
        needed = self._amount(order.side, order.asset_price, order.total_remaining)
        if order.side == BUY and not order.peg:
            needed += self._order_fees(order.asset_price, order.total_remaining)
        return needed <= self._general(order.party_id, order.side).balance

    def _fits(self, order: Order, amended: Order) -> bool:
        return True

    def _reserve(self, order: Order) -> bool:
        return True

    def _resubmit_pegged(self, orders: list[Order]) -> None:
        """As in `reSubmitPeggedOrders` of core/execution/spot, one that its party cannot pay for is stopped."""
        for order in orders:
            if self._amount(order.side, order.asset_price, order.total_remaining) > self._general(order.party_id, order.side).balance:
                order.status = STOPPED
            else:
                self._hold(order)
                self.market.book.add(order)
            self.journal.publish(order)

    def _can_pay(self, order: Order, fills: Fills) -> bool:
        if not self._can_cover(order, fills, self._held_for(order)):
            self._reject(order, "ORDER_ERROR_INTERNAL_ERROR")  # the network has no OrderError for it
            return False
        return True

    def _can_pay_amended(self, order: Order, amended: Order, fills: Fills) -> bool:
        return self._can_cover(amended, fills, self._held_for(order))

    def _fund_amendment(self, order: Order, amended: Order) -> bool:
        """Check that the party can pay. As in `validateOrderAmendment` of core/execution/spot, a buyer's hidden size does not count."""
        size = amended.total_remaining
        if amended.iceberg and amended.side == BUY:
            size = max(0, order.remaining + amended.size - order.size)
        needed = self._amount(amended.side, amended.asset_price, size)
        if self.market.in_auction and amended.side == BUY:
            needed += self._order_fees(amended.asset_price, size)
        return needed - self._held_for(order) <= self._general(order.party_id, order.side).balance

    def _undo_amendment(self, order: Order, amended: Order) -> None:
        """As in `orderCancelReplace` of core/execution/spot, what the order had in the holding account is released and stays so."""
        self._release(order)

    def _on_executed(self, order: Order) -> None:
        """Nothing yet: the holding account follows once the trades are paid."""

    def _on_remove(self, order: Order) -> None:
        self._release(order)

    def _on_amended_in_place(self, order: Order) -> None:
        """As in `amendOrder` of core/execution/spot, in an auction a seller holds fees too, counted in quote units.

        An order that is not covered then stays in the book, without money in the holding account.
        """
        self._release(order)
        needed = self._amount(order.side, order.asset_price, order.total_remaining)
        fees = self._order_fees(order.asset_price, order.total_remaining) if self.market.in_auction else 0
        if needed + fees <= self._general(order.party_id, order.side).balance:
            self._held[order.id], self._held_fees[order.id] = self._to_holding(order, needed), self._to_holding(order, fees)

    def _pay(self, order: Order, fills: Fills, trades: list[Trade], fee_rule: FeeRule) -> None:
        was_resting = fee_rule is not FeeRule.AGGRESSOR
        if not was_resting:
            self._release(order)  # an amended order has money in the holding account
        for (passive, _), trade in zip(fills, trades, strict=True):
            for resting in (passive, order) if was_resting else (passive,):
                self._release_for(resting, trade, fee_rule)
            self._record(trade)
            self._swap(trade, fee_rule)
        for done in (*(passive for passive, _ in fills), order):
            if done.is_finished:
                self._release(done)
        if not was_resting and not order.is_finished:
            self._hold(order)

    # --- Money ---

    def _swap(self, trade: Trade, fee_rule: FeeRule) -> None:
        """Exchange base and quote asset, and pay the fees."""
        market, ledger = self.market, self.ledger
        assert market.base_asset is not None
        base, quote = market.base_asset.id, market.settlement_asset.id
        buyer, seller = (ledger.account(party_id, GENERAL, quote) for party_id in (trade.buyer, trade.seller))
        base_accounts = [ledger.account(party_id, GENERAL, base) for party_id in (trade.seller, trade.buyer)]
        ledger.collect([base_accounts[0]], base_accounts[1], self._amount(SELL, trade.asset_price, trade.size))
        ledger.collect([buyer], seller, self._amount(BUY, trade.asset_price, trade.size))
        buyer_fees, seller_fees = self._buyer_fees(trade, fee_rule), trade.seller_fees
        for account, fees in ((buyer, buyer_fees), (seller, seller_fees)):
            if fees.total:
                ledger.pay_fees([account], fees, market.id)
        ledger.pay_maker(trade.seller, quote, market.id, buyer_fees.maker)
        ledger.pay_maker(trade.buyer, quote, market.id, seller_fees.maker)

    def _buyer_fees(self, trade: Trade, fee_rule: FeeRule) -> Fees:
        market = self.market
        return market.fees.continuous(market.value(trade.asset_price, trade.size)) if fee_rule is FeeRule.BUYER else trade.buyer_fees

    def _amount(self, side: str, asset_price: int, size: int) -> int:
        """Return what a buyer (quote) or seller (base) gives for a size, rounded down as in Vega."""
        if side == BUY:
            numerator, denominator = self.market.value(asset_price, size)
            return numerator // denominator
        return size * self._base_unit.numerator // self._base_unit.denominator

    def _order_fees(self, asset_price: int, size: int) -> int:
        """Return the fees for an order if all of it traded at its price."""
        market = self.market
        if market.trading_mode == OPENING:
            return 0
        value = market.value(asset_price, size)
        fees: Fees = market.fees.auction(value) if market.in_auction else market.fees.continuous(value)
        return fees.total

    def _can_cover(self, order: Order, fills: Fills, held: int) -> bool:
        """Return whether a party can pay for what its order would trade at once, with the fees."""
        if not fills:
            return True
        market = self.market
        if order.side == SELL:
            needed = self._amount(SELL, 0, sum(size for _, size in fills))
        else:
            # As in Vega, fees count as if they were in the unit of price times size.
            numerator = denominator = 0
            for resting, size in fills:
                value = market.value(resting.asset_price, size)
                numerator, denominator = numerator + value[0] + market.fees.continuous(value).total * market.unit[0], value[1]
            needed = numerator // denominator
        return needed - held <= self._general(order.party_id, order.side).balance

    def _held_for(self, order: Order) -> int:
        return self._held.get(order.id, 0) + self._held_fees.get(order.id, 0)

    def _hold(self, order: Order) -> None:
        """Cover what remains of a resting order in the holding account; in an auction, a buyer's fees too."""
        if order.is_finished or not order.total_remaining:
            return
        self._held[order.id] = self._to_holding(order, self._amount(order.side, order.asset_price, order.total_remaining))
        if self.market.in_auction and order.side == BUY:
            self._held_fees[order.id] = self._to_holding(order, self._order_fees(order.asset_price, order.total_remaining))

    def _to_holding(self, order: Order, amount: int) -> int:
        general = self._general(order.party_id, order.side)
        amount = min(amount, general.balance)
        self.ledger.move(general, self._holding(order), amount)
        return amount

    def _release(self, order: Order) -> None:
        amount = self._held.pop(order.id, 0) + self._held_fees.pop(order.id, 0)
        self.ledger.move(self._holding(order), self._general(order.party_id, order.side), amount)

    def _release_for(self, order: Order, trade: Trade, fee_rule: FeeRule) -> None:
        """Release what a resting order pays for one of its trades.

        As in `handleTrade` of core/execution/spot/market.go, that is the value at the trade's price, and half of the buyer's fees where the
        trade ends an auction. The rest stays in the holding account until the order ends.
        """
        amount = min(self._amount(order.side, trade.asset_price, trade.size), self._held.get(order.id, 0))
        self._held[order.id] = self._held.get(order.id, 0) - amount
        fees = 0
        if order.side == BUY and fee_rule is not FeeRule.AGGRESSOR:
            fees = min(self._buyer_fees(trade, fee_rule).total // 2, self._held_fees.get(order.id, 0))
            self._held_fees[order.id] = self._held_fees.get(order.id, 0) - fees
        self.ledger.move(self._holding(order), self._general(order.party_id, order.side), amount + fees)

    # --- Auctions and marking ---

    def _on_auction_start(self) -> None:
        super()._on_auction_start()
        self._hold_fees(FeeRule.SHARED)

    def _before_uncrossing(self) -> None:
        self._hold_fees(self._fee_rule())

    def _hold_fees(self, fee_rule: FeeRule) -> None:
        """Hold the fees that buyers would pay by a rule, by party, then by id. Orders whose party has not enough are cancelled at the end.

        As in `processFeesTransfersOnEnterAuction` and `checkFeeTransfersWhileInAuction` of core/execution/spot/market.go.
        """
        market = self.market
        unpaid = []
        for order in sorted(market.book.orders(BUY), key=lambda order: (order.party_id, order.id)):
            value = market.value(order.asset_price, order.total_remaining)
            fees = FREE if market.trading_mode == OPENING else market.fees.auction(value)
            if fee_rule is FeeRule.BUYER:
                fees = market.fees.continuous(value)
            missing = fees.total - self._held_fees.get(order.id, 0)
            if missing > self._general(order.party_id, BUY).balance:
                unpaid.append(order)
            elif missing > 0:
                self._held_fees[order.id] = self._held_fees.get(order.id, 0) + self._to_holding(order, missing)
        for order in unpaid:
            self.close(order, CANCELLED)

    def _mark(self) -> None:
        market = self.market
        market.mark_due = self.journal.now + MARK_INTERVAL
        price = market.last_asset_price if market.traded else market.mark_asset_price
        if not self._violates_bounds(price, persistent=True) and not market.in_auction:
            market.monitor.record(price)
            market.mark_asset_price = market.last_asset_price = price
            market.traded = False

    def _after_auction(self) -> None:
        market = self.market
        for order in market.book.orders(BUY):
            self.ledger.move(self._holding(order), self._general(order.party_id, BUY), self._held_fees.pop(order.id, 0))
        market.mark_asset_price = market.last_asset_price
        market.mark_due = self.journal.now + MARK_INTERVAL
        self._reprice_pegged(is_forced=True)

    def _settle_market(self) -> None:
        self.market.mark_asset_price = self.market.last_asset_price

    # --- Other ---

    def value_shortfall(self, side: str, asset_price: int, size: int) -> Optional[str]:
        quantum = self.market.settlement_asset.quantum
        value = Fraction(*self.market.value(asset_price, size))
        required = Fraction(quantum**2, MIN_ORDER_VALUE)
        if value >= required:
            return None
        return f"order value ({decimal_text(value)}) is less than minimum holding requirement for spam ({decimal_text(required)})"

    def _general(self, party_id: str, side: str) -> Account:
        return self.ledger.account(party_id, GENERAL, self._asset_id(side))

    def _holding(self, order: Order) -> Account:
        return self.ledger.account(order.party_id, HOLDING, self._asset_id(order.side))

    def _asset_id(self, side: str) -> str:
        asset = self.market.settlement_asset if side == BUY else self.market.base_asset
        assert asset is not None
        return asset.id
