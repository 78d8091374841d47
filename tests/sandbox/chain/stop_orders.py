"""Stop orders: orders that are submitted when the last traded price reaches a trigger, or when they expire."""

from collections.abc import Callable

from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.records import Order


class StopOrders:
    """The stop orders of one market."""

    def __init__(self, market_id: str, journal: Journal) -> None:
        self._market_id = market_id
        self._journal = journal

    def triggered(self, price: int, open_volume: Callable[[str], int]) -> list[Order]:
        return []

    def expired(self, in_auction: bool) -> list[Order]:
        return []

    def cancel_all(self, party_id: str) -> None: ...
