"""Exercise 7. Edit this file, then run: .venv/bin/python -m tests.exercises 7"""

from collections.abc import Callable

from bot.submission import OrderSubmission
from bot.vega_store import VegaStore
from tests.support.example_rule import quotes

MAX_ABS_POSITION = 1  # contracts


class Quoter:
    """Quotes one market, one turn at a time."""

    def __init__(self, store: VegaStore, send: Callable[[list[OrderSubmission]], None], market_id: str, max_age: float) -> None:
        self._store = store
        self._send = send  # replaces all our orders on the market by these; an empty list cancels them all
        self._market_id = market_id
        self._max_age = max_age  # seconds

    def turn(self) -> None:
        market = self._store.get_market_by_id(self._market_id)
        if market is not None:
            self._send(quotes(market, 0, MAX_ABS_POSITION))
