"""Exercise 7, solved. The bot does the same in `OrderManager` (bot/execution/order_manager.py)."""

from collections.abc import Callable

from bot.submission import OrderSubmission
from bot.vega_store import VegaStore
from tests.support.example_rule import quotes

MAX_ABS_POSITION = 1  # contracts


class Quoter:
    """Quotes one market, one turn at a time, and never on stale data."""

    def __init__(self, store: VegaStore, send: Callable[[list[OrderSubmission]], None], market_id: str, max_age: float) -> None:
        self._store = store
        self._send = send  # replaces all our orders on the market by these; an empty list cancels them all
        self._market_id = market_id
        self._max_age = max_age  # seconds
        self._has_sent_quotes = False  # since the last cancellation

    def turn(self) -> None:
        age = self._store.seconds_since_update(self._market_id)  # first: the market that we read next is at least this fresh
        market = self._store.get_market_by_id(self._market_id)
        if market is not None and age <= self._max_age:
            self._has_sent_quotes = True
            self._send(quotes(market, 0, MAX_ABS_POSITION))
        elif self._has_sent_quotes or self._has_open_orders():
            self._send([])
            self._has_sent_quotes = False

    def _has_open_orders(self) -> bool:
        return any(order.market_id == self._market_id for order in self._store.get_orders())
