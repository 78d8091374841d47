"""Every order there ever was, dead ones too, as a data node keeps them: by id, and by party, which spares looking through them all."""

import heapq
from collections.abc import Iterable, Iterator

from tests.sandbox.chain.records import Order


class Archive:
    """Orders are only ever added; an order's number is its place among all of them, and stays good as a cursor.

    Newest first means what it does on the network: the newest block first, and in a block by id.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}  # in the order they came
        self._oldest_first: list[Order] = []
        self._by_party: dict[str, list[Order]] = {}  # oldest first
        self._of_this_block: list[Order] = []

    def add(self, order: Order) -> None:
        self.by_id[order.id] = order
        self._of_this_block.append(order)

    def end_block(self) -> None:
        """Give the block's orders their places."""
        for order in sorted(self._of_this_block, key=lambda order: order.id, reverse=True):
            order.number = len(self._oldest_first)
            self._oldest_first.append(order)
            self._by_party.setdefault(order.party_id, []).append(order)
        self._of_this_block = []

    def newest_first(self, parties: Iterable[str]) -> Iterator[Order]:
        """Yield the orders of some parties, or of everyone where none is named. No block may be made while this runs."""
        if not parties:
            return reversed(self._oldest_first)
        lists = [reversed(self._by_party.get(party_id, [])) for party_id in dict.fromkeys(parties)]
        return heapq.merge(*lists, key=lambda order: -order.number)
