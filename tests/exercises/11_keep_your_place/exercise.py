"""Exercise 11. Edit this file, then run: .venv/bin/python -m tests.exercises 11"""

from dataclasses import dataclass

from bot.models import Order
from bot.submission import BatchMarketInstruction, OrderCancellation, OrderSubmission

MAX_BLOCKS_IN_FLIGHT = 2  # a batch is executed in one of the next two blocks


@dataclass(frozen=True)
class State:
    """What the store shows in one turn, and where to quote."""

    block: int  # height of the newest block in the store
    orders: list[Order]  # our open orders on this market
    open_volume: float  # our position in contracts, below zero if short
    bid_price: float
    offer_price: float


class Quoter:
    """Quotes one market, one turn at a time."""

    def __init__(self, market_id: str, max_abs_position: float) -> None:
        self._market_id = market_id
        self._max_abs_position = max_abs_position  # contracts

    def turn(self, state: State) -> BatchMarketInstruction:
        """Return the instructions for the next block."""
        submissions = []
        if state.open_volume < self._max_abs_position:
            submissions.append(self._order("SIDE_BUY", state.bid_price, 1))
        if state.open_volume > -1 * self._max_abs_position:
            submissions.append(self._order("SIDE_SELL", state.offer_price, 1))
        return BatchMarketInstruction(
            submissions=submissions,
            cancellations=[OrderCancellation(market_id=self._market_id)],
            amendments=[],
        )

    def _order(self, side: str, price: float, size: float) -> OrderSubmission:
        return OrderSubmission(
            market_id=self._market_id, size=size, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side
        )
