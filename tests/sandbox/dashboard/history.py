"""The last five minutes, block by block, for the page: prices, everyone's quotes, positions, profits and trades. Nothing older is kept.

Five minutes of chain time, that is 300 blocks, whatever time the blocks took.
"""

import itertools
from collections import Counter, deque
from typing import NamedTuple, Optional, TypeVar

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL, Block, Trade

SPAN = 300  # blocks
MOST_TRADES = 5_000  # of one market, however many five minutes bring

Row = tuple[int, float, Optional[float], Optional[float], Optional[float], Optional[float], float, float]


class Standing(NamedTuple):
    """How one party stood on one market after a block."""

    bid: Optional[int]  # padded price of its best live bid
    offer: Optional[int]
    position: int  # padded size; on spot markets what it bought less what it sold
    profit: float  # settlement asset, realised and unrealised


class Moment(NamedTuple):
    """One market after one block."""

    height: int
    time: float  # chain seconds
    bid: int  # padded price, 0 where nobody bids
    offer: int
    standings: dict[str, Standing]  # by party; only of those who ever had an order or a position here


class Deal(NamedTuple):
    """One trade, and its block."""

    height: int
    time: float
    trade: Trade


Dated = TypeVar("Dated", Moment, Deal)


class History:
    """Fed with each block by the sandbox, read by the page."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._names = {key: name for name, key in [*chain.parties.items(), *chain.traders.items()]}
        self.moments: dict[str, deque[Moment]] = {market_id: deque(maxlen=SPAN) for market_id in chain.markets}
        self.deals: dict[str, deque[Deal]] = {market_id: deque(maxlen=MOST_TRADES) for market_id in chain.markets}
        self.fills: Counter[tuple[str, str]] = Counter()  # (party, market id) -> trades that the party was part of
        self.bought: Counter[tuple[str, str]] = Counter()  # (party, market id) -> padded size bought, less what was sold
        self._spent: Counter[tuple[str, str]] = Counter()  # (party, market id) -> padded price * size paid, less what was got

    def record(self, block: Block) -> None:
        """Keep what a block brought. The chain stands where the block left it."""
        seconds = block.time / 10**9
        for trade in block.trades:
            buyer, seller = (trade.buyer, trade.market_id), (trade.seller, trade.market_id)
            self.fills.update((buyer, seller))
            for side, sign in ((buyer, 1), (seller, -1)):  # the same at the end of an auction, where a party can meet itself
                self.bought[side] += sign * trade.size
                self._spent[side] += sign * trade.size * trade.price
            self.deals[trade.market_id].append(Deal(block.height, seconds, trade))
        for market in self._chain.markets.values():
            standings = {party_id: standing for party_id in self._names if (standing := self._standing(market, party_id))}
            moment = Moment(block.height, seconds, market.best_bid[0], market.best_offer[0], standings)
            self.moments[market.id].append(moment)
        self._forget(seconds)

    def rows(self, market: Market, party_id: str, since: int = -1) -> list[Row]:
        """Return what the charts draw, of the blocks after `since`, in units; None where there is no such price.

        Height, time, best bid, best offer, own bid, own offer, position, profit.
        """
        rows: list[Row] = []
        for moment in newer(self.moments[market.id], since):
            own = moment.standings.get(party_id) or Standing(None, None, 0, 0.0)
            best_bid, best_offer = price_of(market, moment.bid or None), price_of(market, moment.offer or None)
            bid, offer = price_of(market, own.bid), price_of(market, own.offer)
            rows.append((moment.height, moment.time, best_bid, best_offer, bid, offer, size_of(market, own.position), own.profit))
        return rows

    def _standing(self, market: Market, party_id: str) -> Optional[Standing]:
        orders = market.book.by_party.get(party_id)
        position = self._chain.positions.get((party_id, market.id))
        traded = self.fills[party_id, market.id]
        if not orders and not position and not traded:
            return None
        live = orders.values() if orders else ()
        bid = max((order.price for order in live if order.side == BUY), default=None)
        offer = min((order.price for order in live if order.side == SELL), default=None)
        if position:
            profit = float(position.realised_pnl + position.unrealised_pnl) / 10**market.settlement_asset.decimals
            return Standing(bid, offer, position.open_volume, profit)
        held = self.bought[party_id, market.id]
        worth = held * market.last_traded_price - self._spent[party_id, market.id]
        return Standing(bid, offer, held, worth / 10 ** (market.price_decimals + market.size_decimals))

    def _forget(self, now: float) -> None:
        for deals in self.deals.values():
            while deals and deals[0].time <= now - SPAN:
                deals.popleft()


def newer(kept: "deque[Dated]", since: int) -> "list[Dated]":
    """Return what belongs to blocks after `since`, oldest first, without a look at all the others."""
    return list(itertools.takewhile(lambda one: one.height > since, reversed(kept)))[::-1]


def price_of(market: Market, padded: Optional[int]) -> Optional[float]:
    return None if padded is None else padded / 10**market.price_decimals


def size_of(market: Market, padded: int) -> float:
    return float(padded / 10**market.size_decimals)  # these decimals can be below zero
