"""The built-in traders: a maker quotes both sides of every market around a random walk, a taker sends market orders.

Prices are whole ticks, sizes padded integers, drawn from one seeded generator. The same seed gives the same transactions, block by
block, as long as nobody else trades.
"""

import random
from dataclasses import dataclass
from typing import Any

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL

LEVELS = 3  # quotes per side of the maker
LAST_LEVEL_CONTRACTS = 10  # contracts at the last level: more than the taker takes, so that no side becomes empty
MEMORY = 10  # blocks for which a party counts after its last order on the book
QUOTED_STATES = ("STATE_ACTIVE", "STATE_SUSPENDED", "STATE_SUSPENDED_VIA_GOVERNANCE")

Transactions = list[tuple[str, dict[str, Any]]]  # (party, transaction)


@dataclass
class RandomWalk:
    """A mean-reverting random walk in ticks."""

    start: int
    now: int
    step: int  # ticks; maximum move per block, and maximum half spread of the maker

    def move(self, generator: random.Random) -> None:
        distance = self.start - self.now
        pull = distance // 50 if distance > 0 else -(-distance // 50)
        minimum = (LEVELS + 1) * self.step + 1  # keeps the maker's last bid above zero
        self.now = max(minimum, self.now + pull + generator.randint(-self.step, self.step))


class Traders:
    def __init__(self, chain: Chain, seed: int) -> None:
        self._chain = chain
        self._generator = random.Random(seed)
        self._walks = {market.id: _random_walk(market) for market in chain.markets.values()}
        self._last_quote: dict[str, dict[str, int]] = {market_id: {} for market_id in chain.markets}  # party id -> height

    def transactions(self) -> Transactions:
        """Return the traders' transactions for the next block."""
        sent: Transactions = []
        for market in self._chain.markets.values():
            self._walks[market.id].move(self._generator)
            crowd = self._count_quoting_parties(market)
            if market.state in QUOTED_STATES:
                sent.append((self._chain.traders["maker"], self._quotes(market, crowd)))
            if market.trading_mode == "TRADING_MODE_CONTINUOUS" and self._generator.randrange(10) < 7:
                sent.append((self._chain.traders["taker"], self._market_order(market, crowd)))
        return sent

    def _count_quoting_parties(self, market: Market) -> int:
        """Return how many parties beside the traders quote now or did in the last blocks; at least 1."""
        last_quote, height = self._last_quote[market.id], self._chain.height
        last_quote.update((party_id, height) for party_id, orders in market.book.by_party.items() if orders)
        traders = self._chain.traders.values()
        return max(1, sum(seen > height - MEMORY for party_id, seen in last_quote.items() if party_id not in traders))

    def _quotes(self, market: Market, crowd: int) -> dict[str, Any]:
        """Cancel all orders and quote again in one batch, as the bot does."""
        walk, draw, contract = self._walks[market.id], self._generator.randint, _contract(market)
        submissions = []
        for side, sign in ((BUY, -1), (SELL, 1)):
            ticks = walk.now
            for level in range(1, LEVELS + 1):
                ticks += sign * draw(walk.step // 2 + 1, walk.step)
                size = draw(contract // 2 + 1, 2 * contract) if level < LEVELS else LAST_LEVEL_CONTRACTS * crowd * contract
                if (market.id, side) not in self._chain.emptied_sides:
                    submissions.append(_order(market, side, size, price=str(ticks * market.tick_size)))
        return {"batchMarketInstructions": {"cancellations": [{"marketId": market.id}], "submissions": submissions}}

    def _market_order(self, market: Market, crowd: int) -> dict[str, Any]:
        """Return a market order of up to twice the maker's level size, so that orders that joined the level trade too.

        It grows with the number of parties that quote, or those at the end of the queue would never trade.
        """
        side = self._generator.choice((BUY, SELL))
        return {"orderSubmission": _order(market, side, crowd * self._generator.randint(1, 4 * _contract(market)))}


def _random_walk(market: Market) -> RandomWalk:
    start = market.mark_price // market.tick_size
    return RandomWalk(start=start, now=start, step=max(1, start // 3000))


def _contract(market: Market) -> int:
    """Return the padded size of one contract."""
    contract: int = 10 ** max(0, market.size_decimals)
    return contract


def _order(market: Market, side: str, size: int, price: str = "") -> dict[str, Any]:
    """Build a GTC limit order; without a price, a market order."""
    order = {"marketId": market.id, "side": side, "size": str(size)}
    if price:
        return {**order, "price": price, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    return {**order, "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
