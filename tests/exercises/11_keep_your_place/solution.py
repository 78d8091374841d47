"""Exercise 11, solved."""

from dataclasses import dataclass

from bot.models import Order
from bot.submission import BatchMarketInstruction, OrderAmendment, OrderSubmission

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
        self._visible_from: dict[str, int] = {}  # side -> block from which on the store shows our last new order

    def turn(self, state: State) -> BatchMarketInstruction:
        """Keep orders at the right price, amend the others, and send a new order only where none is open or in flight."""
        submissions, amendments = [], []
        for side, price, room in (
            ("SIDE_BUY", state.bid_price, self._max_abs_position - state.open_volume),
            ("SIDE_SELL", state.offer_price, self._max_abs_position + state.open_volume),
        ):
            orders = [order for order in state.orders if order.side == side]
            amendments += [
                OrderAmendment(order_id=order.order_id, size_delta=0, price=price, market_id=self._market_id)
                for order in orders
                if order.price != price
            ]
            is_in_flight = state.block < self._visible_from.get(side, 0)
            if not orders and not is_in_flight and room > 0:
                submissions.append(self._order(side, price, min(1, room)))
                self._visible_from[side] = state.block + MAX_BLOCKS_IN_FLIGHT
        return BatchMarketInstruction(submissions=submissions, cancellations=[], amendments=amendments)

    def _order(self, side: str, price: float, size: float) -> OrderSubmission:
        return OrderSubmission(
            market_id=self._market_id, size=size, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side
        )
