"""Positions on futures and perpetuals: entry price, profit and loss, margin, and marking to market.

Profit and loss follow the data node of Vega: a trade that closes realises (price - entry price) * closed size, one that opens
moves the volume-weighted entry price, and unrealised is against the last trade's price, or the mark price once marked.
Margin is simple: initial margin = 1.5 * mark price * (risk factor * (position + resting orders) + slippage * position) on the
riskier side, checked for new orders that could increase exposure, and for amendments. Vega's close-out of parties below
maintenance is left out: they keep their position, and who total_gain from them gets what they could pay.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

from tests.sandbox.chain.book import MARKET
from tests.sandbox.chain.ledger import GENERAL, MARGIN, NETWORK, SETTLEMENT, Ledger
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import BUY, SELL, Account, Order, Position, Trade

# The log-normal model of the recorded markets (tau one hour, sigma 1, risk aversion 1e-6), and their scaling and slippage factors.
LONG_RISK, SHORT_RISK = Fraction("0.051531420845347675"), Fraction("0.054215188478479999")
SLIPPAGE = Fraction("0.001")
SEARCH, INITIAL, RELEASE = Fraction("1.1"), Fraction("1.5"), Fraction("1.7")
DECIMALS = 10**30  # an entry price keeps 30 decimals, or its denominator would grow with every trade


class Positions:
    """All positions, and which of them changed since the last block."""

    def __init__(self, ledger: Ledger) -> None:
        self.positions: dict[tuple[str, str], Position] = {}  # (party, market id)
        self.changed: dict[tuple[str, str], Position] = {}
        self._ledger = ledger
        self._paid: dict[tuple[str, str], Fraction] = {}  # padded price * size that the position would cost at its last settlement

    def trade(self, market: Market, trade: Trade, now: int) -> None:
        for party_id, volume in ((trade.buyer, trade.size), (trade.seller, -trade.size)):
            position = self._position(party_id, market, now)
            market.open_interest -= max(0, position.open_volume)
            _take(position, volume, trade, market.scale)
            market.open_interest += max(0, position.open_volume)
            self._paid[party_id, market.id] += volume * trade.exact_price

    def mark_to_market(self, market: Market, now: int) -> None:
        """Settle every position of a market at its mark price: losers pay, winners are paid, margins follow."""
        marked = [self._position(party_id, market, now) for party_id in self._parties(market)]
        for position in marked:
            position.unrealised_pnl = _profit(position, market.current_mark_price, market.scale)
        self._settle(market, marked)
        for position in marked:
            self._refresh_margin(market, position.party_id)

    def close(self, market: Market, now: int) -> None:
        """Settle a market for good at its mark price; what was unrealised is realised and all margin goes back."""
        self.mark_to_market(market, now)
        for position in [p for p in self.positions.values() if p.market_id == market.id]:
            position.realised_pnl += position.unrealised_pnl
            position.unrealised_pnl, position.open_volume = Fraction(0), 0
            self._paid[position.party_id, market.id] = Fraction(0)
            self.release_margin(market, position.party_id)
        market.open_interest = 0

    def ensure_margin(self, market: Market, order: Order, replaced: int = 0) -> bool:
        """Move to the margin account what a new order needs; False where its party has not got it.

        ``replaced`` is the size of the resting order that this one, an amended copy, would replace. A new order that cannot increase
        exposure is always good; an amended one, as in Vega, is looked at whatever it does.
        """
        margin, general = self._accounts(market, order.party_id)
        extra = order.remaining - replaced
        buys, sells = (extra, 0) if order.side == BUY else (0, extra)
        needed = ceil(INITIAL * self._maintenance(market, order.party_id, buys, sells))
        if not replaced and self._reduces(market, order):
            return True
        if margin.balance + general.balance < needed:
            return False
        self._ledger.move(general, margin, max(0, needed - margin.balance))
        return True

    def release_margin(self, market: Market, party_id: str) -> None:
        """Give all margin back to a party that has neither a position nor orders left."""
        if not self.open_volume(market, party_id) and not market.book.by_party.get(party_id):
            margin, general = self._accounts(market, party_id)
            self._ledger.move(margin, general, margin.balance)

    def open_volume(self, market: Market, party_id: str) -> int:
        position = self.positions.get((party_id, market.id))
        return position.open_volume if position else 0

    def _position(self, party_id: str, market: Market, now: int) -> Position:
        key = (party_id, market.id)
        if key not in self.positions:
            self.positions[key] = Position(market_id=market.id, party_id=party_id)
            self._paid[key] = Fraction(0)
        position = self.changed[key] = self.positions[key]
        position.updated_at = now
        return position

    def _parties(self, market: Market) -> Iterable[str]:
        """Everyone with a position or a resting order, always in the same order."""
        holders = (party_id for (party_id, market_id), p in self.positions.items() if market_id == market.id and p.open_volume)
        traders = (party_id for party_id, orders in market.book.by_party.items() if orders)
        flat = (party_id for (party_id, market_id), paid in self._paid.items() if market_id == market.id and paid)
        return dict.fromkeys([*holders, *traders, *flat])

    def _settle(self, market: Market, positions: list[Position]) -> None:
        """Collect losses, margin first, then general; share what came in among the winners, by what they total_gain."""
        pool = self._ledger.account(NETWORK, SETTLEMENT, market.settlement_asset.id, market.id)
        winners: list[tuple[Account, int]] = []
        for position in positions:
            key = (position.party_id, market.id)
            worth = position.open_volume * market.current_mark_price
            gain = floor((worth - self._paid[key]) * market.scale)
            self._paid[key] = worth
            margin, general = self._accounts(market, position.party_id)
            if gain > 0:
                winners.append((margin, gain))
            for account in (margin, general):
                loss = min(max(0, -gain), account.balance)
                self._ledger.move(account, pool, loss)
                gain += loss
        total_gain = sum(gain for _, gain in winners)
        available = min(total_gain, pool.balance)
        for account, gain in winners:
            self._ledger.move(pool, account, gain * available // total_gain)

    def _refresh_margin(self, market: Market, party_id: str) -> None:
        """Top up to initial margin below the search level, and go back to it above the release level."""
        maintenance = self._maintenance(market, party_id)
        margin, general = self._accounts(market, party_id)
        initial = ceil(INITIAL * maintenance)
        if margin.balance < SEARCH * maintenance:
            self._ledger.move(general, margin, min(initial - margin.balance, general.balance))
        elif margin.balance > RELEASE * maintenance:
            self._ledger.move(margin, general, margin.balance - initial)

    def _maintenance(self, market: Market, party_id: str, more_buys: int = 0, more_sells: int = 0) -> Fraction:
        held = self.open_volume(market, party_id)
        buys, sells = (market.book.resting(party_id, side) for side in (BUY, SELL))
        long = LONG_RISK * max(0, held + buys + more_buys) + SLIPPAGE * max(0, held)
        short = SHORT_RISK * max(0, sells + more_sells - held) + SLIPPAGE * max(0, -held)
        return market.current_mark_price * market.scale * max(long, short)

    def _reduces(self, market: Market, order: Order) -> bool:
        """Say whether the position could not change sides even if all orders of the order's side were filled."""
        held = self.open_volume(market, order.party_id)
        against = -held if order.side == BUY else held
        resting = 0 if order.type == MARKET else market.book.resting(order.party_id, order.side)
        return against > 0 and resting + order.remaining <= against

    def _accounts(self, market: Market, party_id: str) -> tuple[Account, Account]:
        asset_id = market.settlement_asset.id
        return self._ledger.account(party_id, MARGIN, asset_id, market.id), self._ledger.account(party_id, GENERAL, asset_id)


def _take(position: Position, volume: int, trade: Trade, scale: Fraction) -> None:
    """Add a trade to a position; ``volume`` is below zero for a sale."""
    held = position.open_volume
    closed = 0
    if held * volume < 0:  # opposite signs
        closed = held if abs(volume) > abs(held) else -volume
    position.realised_pnl += (trade.exact_price - position.exact_entry_price) * closed * scale
    kept, opened = held - closed, volume + closed
    position.open_volume = kept + opened
    position.average_entry_price = _entry_price(position.average_entry_price, kept, Fraction(trade.price), opened)
    position.exact_entry_price = _entry_price(position.exact_entry_price, kept, trade.exact_price, opened)
    position.unrealised_pnl = _profit(position, trade.exact_price, scale)


def _entry_price(entry: Fraction, kept: int, price: Fraction, opened: int) -> Fraction:
    if not kept + opened:
        return Fraction(0)
    if not opened:
        return entry
    return Fraction(round((entry * kept + price * opened) / (kept + opened) * DECIMALS), DECIMALS)


def _profit(position: Position, price: Fraction, scale: Fraction) -> Fraction:
    return (price - position.exact_entry_price) * position.open_volume * scale
