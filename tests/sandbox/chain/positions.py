"""Positions on futures and perpetuals as a data node shows them: entry price, and profit and loss.

A trade that closes realises (price - entry price) * closed size; a trade that opens moves the volume-weighted entry price. Unrealised
profit is measured against the last trade's price, and after marking to market against the mark price.
"""

from fractions import Fraction

from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import NETWORK, Position, Trade

DECIMALS = 10**30  # an entry price keeps 30 decimals, or its denominator would grow with every trade


class Positions:
    """All positions, and which of them changed since the last block."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, str], Position] = {}  # (party, market id)
        self.changed: dict[tuple[str, str], Position] = {}

    def trade(self, market: Market, trade: Trade, now: int) -> None:
        for party_id, volume in ((trade.buyer, trade.size), (trade.seller, -trade.size)):
            position = self._position(party_id, market, now)
            market.open_interest -= max(0, position.open_volume)
            _take(position, volume, trade, market)
            market.open_interest += max(0, position.open_volume)

    def mark_to_market(self, market: Market, party_id: str, now: int) -> None:
        """Measure a party's unrealised profit against the mark price."""
        position = self._position(party_id, market, now)
        position.unrealised_pnl = _profit(position, market.mark_asset_price, market)

    def socialise_loss(self, market: Market, party_id: str, amount: int, now: int) -> None:
        """Add what a party lost (below zero) because others could not pay, or what it owed and did not pay (above zero)."""
        position = self._position(party_id, market, now)
        position.loss_socialisation += abs(amount)
        position.realised_pnl += amount

    def close_out(self, market: Market, party_id: str, confiscated: int, now: int) -> None:
        """Close the position of a distressed party, whose money on the market is confiscated."""
        position = self._position(party_id, market, now)
        market.open_interest -= max(0, position.open_volume)
        position.realised_pnl += position.unrealised_pnl - confiscated
        position.unrealised_pnl, position.open_volume = Fraction(0), 0
        position.exact_entry_price = Fraction(0)  # the API's entry price stays, as recorded
        position.status = "POSITION_STATUS_CLOSED_OUT"

    def take_over(self, market: Market, trade: Trade, now: int) -> None:
        """Add the position of a distressed party, which `close_out` ends, to that of the network."""
        position = self._position(NETWORK, market, now)
        market.open_interest -= max(0, position.open_volume)
        _take(position, trade.size if trade.buyer == NETWORK else -trade.size, trade, market)
        market.open_interest += max(0, position.open_volume)

    def close_orders(self, market: Market, party_id: str, now: int) -> None:
        """Note that a party's orders were stopped and that it could keep its position."""
        self._position(party_id, market, now).status = "POSITION_STATUS_ORDERS_CLOSED"

    def settle_market(self, market: Market, now: int) -> None:
        """Realise every profit of a market that ends at its mark price."""
        for position in [position for position in self.positions.values() if position.market_id == market.id]:
            self.mark_to_market(market, position.party_id, now)
            position.realised_pnl += position.unrealised_pnl
            position.unrealised_pnl, position.open_volume = Fraction(0), 0
        market.open_interest = 0

    def _position(self, party_id: str, market: Market, now: int) -> Position:
        key = (party_id, market.id)
        position = self.positions.get(key)
        if position is None:
            position = self.positions[key] = Position(market_id=market.id, party_id=party_id)
        self.changed[key] = position
        position.updated_at = now
        return position


def _take(position: Position, volume: int, trade: Trade, market: Market) -> None:
    """Add a trade to a position; `volume` is below zero for a sale."""
    held = position.open_volume
    closed = 0
    if held * volume < 0:  # opposite signs
        closed = held if abs(volume) > abs(held) else -volume
        position.realised_pnl += (trade.asset_price - position.exact_entry_price) * closed * market.unit[0] / market.unit[1]
    kept, opened = held - closed, volume + closed
    position.open_volume = kept + opened
    position.average_entry_price = _entry_price(position.average_entry_price, kept, trade.price, opened)
    position.exact_entry_price = _entry_price(position.exact_entry_price, kept, trade.asset_price, opened)
    position.unrealised_pnl = _profit(position, trade.asset_price, market)


def _entry_price(entry: Fraction, kept: int, price: int, opened: int) -> Fraction:
    if not kept + opened:
        return Fraction(0)
    if not opened:
        return entry
    if not kept:
        return Fraction(price)
    return Fraction(round((entry * kept + price * opened) / (kept + opened) * DECIMALS), DECIMALS)


def _profit(position: Position, asset_price: int, market: Market) -> Fraction:
    if not position.open_volume:
        return Fraction(0)
    return (asset_price - position.exact_entry_price) * position.open_volume * Fraction(*market.unit)
