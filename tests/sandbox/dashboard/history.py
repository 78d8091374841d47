"""The last five minutes of the chain, block by block, for the page: prices, quotes, positions, PnL and trades.

Five minutes of chain time are 300 blocks, however long the blocks took. Older blocks are discarded.
"""

import itertools
from collections import Counter, deque
from fractions import Fraction
from typing import NamedTuple, Optional, TypeVar

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL, Block, Trade

HISTORY_LENGTH = 300  # blocks, which are seconds of chain time
MAX_TRADES = 5_000  # kept per market
MANY_ORDERS = 200  # of one party on one market

Row = tuple[int, float, Optional[float], Optional[float], Optional[float], Optional[float], float, float]


class PartySnapshot(NamedTuple):
    """One party on one market after a block."""

    bid: Optional[int]  # padded price of its best open bid
    offer: Optional[int]
    position: int  # padded size; on spot markets bought minus sold
    pnl: float  # in the settlement asset, realised and unrealised, since the start of the round


class MarketSnapshot(NamedTuple):
    """One market after one block."""

    height: int
    time: float  # chain time in seconds
    bid: int  # padded price, 0 where that side is empty
    offer: int
    parties: dict[str, PartySnapshot]  # by public key; only parties that have had an order or a position here


class RecordedTrade(NamedTuple):
    """One trade with its block."""

    height: int
    time: float  # chain time in seconds
    trade: Trade


Record = TypeVar("Record", MarketSnapshot, RecordedTrade)


class History:
    """The sandbox adds each block; the page reads."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._names = {key: name for name, key in [*chain.parties.items(), *chain.traders.items()]}
        self.snapshots: dict[str, deque[MarketSnapshot]] = {market_id: deque(maxlen=HISTORY_LENGTH) for market_id in chain.markets}
        self.trades: dict[str, deque[RecordedTrade]] = {market_id: deque(maxlen=MAX_TRADES) for market_id in chain.markets}
        self.fills: Counter[tuple[str, str]] = Counter()  # (party, market id) -> number of trades of the party
        self.net_bought: Counter[tuple[str, str]] = Counter()  # (party, market id) -> padded size bought minus sold
        self.round_fills: Counter[tuple[str, str]] = Counter()  # the same as `fills`, since the start of the round
        self.largest_positions: Counter[tuple[str, str]] = Counter()  # padded size, long or short, since the start of the round
        self._net_paid: Counter[tuple[str, str]] = Counter()  # (party, market id) -> padded price * size paid minus received
        self._earlier_pnl: dict[tuple[str, str], float] = {}  # of the time before the round

    def record(self, block: Block) -> None:
        """Add a block. The chain must still be in the state that the block left."""
        seconds = block.time / 10**9
        for trade in block.trades:
            buyer, seller = (trade.buyer, trade.market_id), (trade.seller, trade.market_id)
            self.fills.update((buyer, seller))
            self.round_fills.update((buyer, seller))
            for key, sign in ((buyer, 1), (seller, -1)):  # at the end of an auction buyer and seller can be the same party
                self.net_bought[key] += sign * trade.size
                self._net_paid[key] += sign * trade.size * trade.price
            self.trades[trade.market_id].append(RecordedTrade(block.height, seconds, trade))
        for market in self._chain.markets.values():
            parties = {party_id: party for party_id in self._names if (party := self._party_snapshot(market, party_id))}
            snapshot = MarketSnapshot(block.height, seconds, market.best_bid[0], market.best_offer[0], parties)
            self.snapshots[market.id].append(snapshot)
            for party_id, party in parties.items():
                key = (party_id, market.id)
                self.largest_positions[key] = max(self.largest_positions[key], abs(party.position))
        self._discard_old_trades(seconds)

    def change_decimals(self, market: Market, old: int) -> None:
        """Forget the charts of a market whose price decimals have changed; what its parties paid stays."""
        self.snapshots[market.id].clear()
        self.trades[market.id].clear()
        for key in [key for key in self._net_paid if key[1] == market.id]:
            self._net_paid[key] = round(self._net_paid[key] * Fraction(10) ** (market.price_decimals - old))

    def start_round(self) -> None:
        """Set every PnL to zero, and count fills and the largest position from now on. Positions stay."""
        self.round_fills.clear()
        self.largest_positions.clear()
        for market_id, snapshots in self.snapshots.items():
            if not snapshots:
                continue
            for party_id, party in snapshots[-1].parties.items():
                key = (party_id, market_id)
                self._earlier_pnl[key] = self._earlier_pnl.get(key, 0.0) + party.pnl
                self.largest_positions[key] = abs(party.position)
            parties = {party_id: party._replace(pnl=0.0) for party_id, party in snapshots[-1].parties.items()}
            snapshots[-1] = snapshots[-1]._replace(parties=parties)

    def party_snapshots(self, market: Market) -> dict[str, PartySnapshot]:
        """Return all parties on a market after the newest block, by public key."""
        snapshots = self.snapshots[market.id]
        return snapshots[-1].parties if snapshots else {}

    def rows(self, market: Market, party_id: str, since: int = -1) -> list[Row]:
        """Return the data of the charts, one row for each block after `since`, prices and sizes in units, None for a missing price.

        Columns: height, time, best bid, best offer, own bid, own offer, position, PnL.
        """
        rows: list[Row] = []
        for snapshot in newer_than(self.snapshots[market.id], since):
            own = snapshot.parties.get(party_id) or PartySnapshot(None, None, 0, 0.0)
            best_bid, best_offer = price_in_units(market, snapshot.bid or None), price_in_units(market, snapshot.offer or None)
            bid, offer = price_in_units(market, own.bid), price_in_units(market, own.offer)
            position = size_in_units(market, own.position)
            rows.append((snapshot.height, snapshot.time, best_bid, best_offer, bid, offer, position, own.pnl))
        return rows

    def _party_snapshot(self, market: Market, party_id: str) -> Optional[PartySnapshot]:
        key = (party_id, market.id)
        orders = market.book.by_party.get(party_id)
        position = self._chain.positions.get((party_id, market.id))
        if not orders and not position and not self.fills[key]:
            return None
        bid, offer = (_best_price(market, party_id, side) for side in (BUY, SELL))
        if position:
            pnl = float(position.realised_pnl + position.unrealised_pnl) / 10**market.settlement_asset.decimals
            return PartySnapshot(bid, offer, position.open_volume, pnl - self._earlier_pnl.get(key, 0.0))
        net_bought = self.net_bought[key]
        pnl = (net_bought * market.last_traded_price - self._net_paid[key]) / 10 ** (market.price_decimals + market.size_decimals)
        return PartySnapshot(bid, offer, net_bought, pnl - self._earlier_pnl.get(key, 0.0))

    def _discard_old_trades(self, now: float) -> None:
        for trades in self.trades.values():
            while trades and trades[0].time <= now - HISTORY_LENGTH:
                trades.popleft()


def _best_price(market: Market, party_id: str, side: str) -> Optional[int]:
    """Return the best padded price of a party's open orders on a side."""
    own = market.book.by_party.get(party_id, {})
    if len(own) > MANY_ORDERS:  # then one of them is probably near the top of the book
        return next((order.price for order in market.book.orders(side) if order.party_id == party_id), None)
    prices = [order.price for order in own.values() if order.side == side]
    return (max(prices) if side == BUY else min(prices)) if prices else None


def newer_than(records: "deque[Record]", since: int) -> "list[Record]":
    """Return the records of blocks after `since`, oldest first. Reads from the end, so its time depends on the new records only."""
    return list(itertools.takewhile(lambda record: record.height > since, reversed(records)))[::-1]


def price_in_units(market: Market, padded: Optional[int]) -> Optional[float]:
    return None if padded is None else padded / 10**market.price_decimals


def size_in_units(market: Market, padded: int) -> float:
    return float(padded / 10**market.size_decimals)  # size decimals can be negative
