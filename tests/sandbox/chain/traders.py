"""The built-in traders: a maker quotes both sides of every market, a taker sends orders that trade at once.

There are two kinds of market:
- "informed", the default. Each market has a hidden value that moves at random. The maker follows it with a delay. Some of the taker's
  orders know the value: they take every quote that is mispriced by more than a taker's fees, so whoever they trade with loses on
  average. The other orders know nothing, and trade only near the maker's price.
- "noise". Nobody knows anything: the maker quotes around a random walk, and the taker buys and sells at any price.

Prices are whole ticks, sizes padded integers. Each market has its own seeded generator, so the other markets do not change it. The same
seed gives the same transactions, block by block; only their sizes grow with the number of parties that quote, or those at the end of
the queue would never trade.
"""

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Optional

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL

KINDS = ("informed", "noise")
STEPS_PER_PRICE = 3000  # a step, the unit of spreads and moves, is the first price divided by this
LEVELS = 3  # quotes per side of the maker
LAST_LEVEL_CONTRACTS = 10  # contracts at the last level: more than the taker takes, so that no side becomes empty
TAKER_SHARE = 0.7  # share of the blocks in which the taker sends an order that knows nothing
MEMORY = 10  # blocks for which a party counts after its last order on the book
QUOTED_STATES = ("STATE_ACTIVE", "STATE_SUSPENDED", "STATE_SUSPENDED_VIA_GOVERNANCE")

# For noise only.
TAKER_CONTRACTS = 4  # maximum size: twice the maker's level, so that orders that joined the level trade too

# For informed only.
VALUE_STEPS = 3.5  # maximum move of the hidden value per block, in steps
MAKER_DELAY = 10  # blocks in which the maker makes up for about two thirds of its distance from the value
INFORMED_EDGE = 2.5  # steps by which a quote must be mispriced: 0.08 % of the price, a little more than a taker's fees of 0.07 %
INFORMED_CONTRACTS = 2  # maximum size of an order that knows the value
UNINFORMED_STEPS = 1.25  # maximum distance, in steps, at which an order that knows nothing trades; the maker's best quote is at 0.5 to 1
UNINFORMED_CONTRACTS = 2  # its maximum size

Transactions = list[tuple[str, dict[str, Any]]]  # (party, transaction)


@dataclass
class RandomWalk:
    """A mean-reverting random walk in ticks."""

    start: int
    now: int
    step: int  # ticks; maximum move per block, and maximum half spread of the maker
    unit: Fraction  # price of a tick

    def move(self, generator: random.Random) -> None:
        self.now = self._moved(self.now, self.step, generator)

    def _moved(self, price: int, most: int, generator: random.Random) -> int:
        distance = self.start - price
        pull = distance // 50 if distance > 0 else -(-distance // 50)
        return max(self._minimum, price + pull + generator.randint(-most, most))

    def rescale(self, unit: Fraction) -> None:
        """Count in another tick size."""
        ratio = self.unit / unit
        self.start, self.now, self.unit = round(self.start * ratio), round(self.now * ratio), unit
        self.step = max(1, round(self.step * ratio))

    @property
    def _minimum(self) -> int:
        """Return the lowest price at which the maker's last bid is above zero."""
        return (LEVELS + 1) * self.step + 1


@dataclass
class DelayedPrice(RandomWalk):
    """A hidden value that is a mean-reverting random walk, and a price, `now`, that follows it with a delay."""

    value: int = field(init=False)

    def __post_init__(self) -> None:
        self.value = self.now

    def rescale(self, unit: Fraction) -> None:
        self.value = round(self.value * self.unit / unit)
        super().rescale(unit)

    def move(self, generator: random.Random) -> None:
        self.value = self._moved(self.value, round(VALUE_STEPS * self.step), generator)
        self.now = max(self._minimum, self.now + round((self.value - self.now) / MAKER_DELAY))


class Traders:
    """The maker and the taker of all markets of a chain.

    Args:
        chain: whose markets they trade.
        seed: of their random numbers.
        kind: one of KINDS.
    """

    def __init__(self, chain: Chain, seed: int, kind: str = "informed") -> None:
        if kind not in KINDS:
            raise ValueError(f"traders must be one of {', '.join(KINDS)}, not {kind!r}")
        self._chain = chain
        self._generators = {market.id: random.Random(f"{seed} {market.name}") for market in chain.markets.values()}
        self._walks = {market.id: _walk(market, DelayedPrice if kind == "informed" else RandomWalk) for market in chain.markets.values()}
        self._last_quote: dict[str, dict[str, int]] = {market_id: {} for market_id in chain.markets}  # party id -> height

    def transactions(self) -> Transactions:
        """Return the traders' transactions for the next block."""
        sent: Transactions = []
        for market in self._chain.markets.values():
            walk, generator = self._walks[market.id], self._generators[market.id]
            if market.pending_terms:  # the orders are for the block that changes the terms
                walk.rescale(market.pending_terms.unit)
            walk.move(generator)
            crowd = self._count_quoting_parties(market)
            if market.state in QUOTED_STATES:
                sent.append((self._chain.traders["maker"], self._quotes(market, walk, generator, crowd)))
            if market.trading_mode == "TRADING_MODE_CONTINUOUS":
                if isinstance(walk, DelayedPrice):
                    orders = [_informed_order(market, walk, crowd), _uninformed_order(market, walk, generator, crowd)]
                else:
                    orders = [_market_order(market, generator, crowd)]
                sent += [(self._chain.traders["taker"], {"orderSubmission": order}) for order in orders if order]
        return sent

    def _count_quoting_parties(self, market: Market) -> int:
        """Return how many parties beside the traders quote now or did in the last blocks; at least 1."""
        last_quote, height = self._last_quote[market.id], self._chain.height
        last_quote.update((party_id, height) for party_id, orders in market.book.by_party.items() if orders)
        traders = self._chain.traders.values()
        return max(1, sum(seen > height - MEMORY for party_id, seen in last_quote.items() if party_id not in traders))

    def _quotes(self, market: Market, walk: RandomWalk, generator: random.Random, crowd: int) -> dict[str, Any]:
        """Cancel all orders and quote again in one batch, as the bot does."""
        draw, contract = generator.randint, _contract(market)
        submissions = []
        for side, sign in ((BUY, -1), (SELL, 1)):
            ticks = walk.now
            for level in range(1, LEVELS + 1):
                ticks += sign * draw(walk.step // 2 + 1, walk.step)
                size = draw(contract // 2 + 1, 2 * contract) if level < LEVELS else LAST_LEVEL_CONTRACTS * crowd * contract
                if (market.id, side) not in self._chain.emptied_sides:
                    submissions.append(_order(market, side, size, ticks))
        return {"batchMarketInstructions": {"cancellations": [{"marketId": market.id}], "submissions": submissions}}


def _informed_order(market: Market, walk: DelayedPrice, crowd: int) -> Optional[dict[str, Any]]:
    """Return an order that takes what is mispriced by more than INFORMED_EDGE, if the maker's price is that far from the value."""
    edge = round(INFORMED_EDGE * walk.step)
    if abs(walk.value - walk.now) <= edge:
        return None
    side, limit = (BUY, walk.value - edge) if walk.value > walk.now else (SELL, walk.value + edge)
    return _order(market, side, crowd * INFORMED_CONTRACTS * _contract(market), limit, "TIME_IN_FORCE_IOC")


def _uninformed_order(market: Market, walk: RandomWalk, generator: random.Random, crowd: int) -> Optional[dict[str, Any]]:
    """Return an order that buys or sells near the maker's price, in some of the blocks."""
    if generator.random() >= TAKER_SHARE:
        return None
    side, sign = generator.choice(((BUY, 1), (SELL, -1)))
    size = crowd * generator.randint(1, UNINFORMED_CONTRACTS * _contract(market))
    limit = walk.now + sign * generator.randint(0, round(UNINFORMED_STEPS * walk.step))
    return _order(market, side, size, limit, "TIME_IN_FORCE_IOC")


def _market_order(market: Market, generator: random.Random, crowd: int) -> Optional[dict[str, Any]]:
    """Return a market order, in some of the blocks."""
    if generator.random() >= TAKER_SHARE:
        return None
    side, size = generator.choice((BUY, SELL)), crowd * generator.randint(1, TAKER_CONTRACTS * _contract(market))
    return {"marketId": market.id, "side": side, "size": str(size), "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}


def _walk(market: Market, kind: type[RandomWalk]) -> RandomWalk:
    start = market.mark_price // market.tick_size
    return kind(start=start, now=start, step=max(1, start // STEPS_PER_PRICE), unit=market.terms.unit)


def _contract(market: Market) -> int:
    """Return the padded size of one contract."""
    contract: int = 10 ** max(0, market.size_decimals)
    return contract


def _order(market: Market, side: str, size: int, ticks: int, time_in_force: str = "TIME_IN_FORCE_GTC") -> dict[str, Any]:
    """Build a limit order at a price in ticks."""
    price = str(ticks * (market.pending_terms or market).tick_size)
    return {"marketId": market.id, "side": side, "size": str(size), "price": price, "type": "TYPE_LIMIT", "timeInForce": time_in_force}
