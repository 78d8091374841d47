"""The order archive: every order, dead ones included, as a data node keeps them. Lookup by id and by party."""

import heapq
from collections.abc import Iterable, Iterator

from tests.sandbox.chain.records import Order


class Archive:
    """Orders are only added. An order's number is its position in the archive and never changes, so it can serve as a cursor.

    Newest first has the network's meaning: the newest block first, and within a block by id.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}  # in order of submission
        self._oldest_first: list[Order] = []
        self._by_party: dict[str, list[Order]] = {}  # oldest first
        self._of_this_block: list[Order] = []

    def add(self, order: Order) -> None:
        self.by_id[order.id] = order
        self._of_this_block.append(order)

    def end_block(self) -> None:
        """Number the orders of this block."""
        for order in sorted(self._of_this_block, key=lambda order: order.id, reverse=True):
            order.number = len(self._oldest_first)
            self._oldest_first.append(order)
            self._by_party.setdefault(order.party_id, []).append(order)
        self._of_this_block = []

    def newest_first(self, parties: Iterable[str]) -> Iterator[Order]:
        """Iterate over the orders of some parties; of all parties if none is given. Do not make a block while iterating."""
        if not parties:
            return reversed(self._oldest_first)
        lists = [reversed(self._by_party.get(party_id, [])) for party_id in dict.fromkeys(parties)]
        return heapq.merge(*lists, key=lambda order: -order.number)
