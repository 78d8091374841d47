"""Every order there ever was, dead ones too, as a data node keeps them: by id, and by party, which spares looking through them all."""

import heapq
from collections.abc import Iterable, Iterator

from .records import Order


class Archive:
    """Orders are only ever added, at the end; an order's number is its place among all of them, and stays good as a cursor."""

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}  # oldest first
        self._by_party: dict[str, list[Order]] = {}  # oldest first

    def add(self, order: Order) -> None:
        order.number = len(self.by_id)
        self.by_id[order.id] = order
        self._by_party.setdefault(order.party_id, []).append(order)

    def newest_first(self, parties: Iterable[str]) -> Iterator[Order]:
        """Yield the orders of some parties, or of everyone where none is named. No order may come in while this runs."""
        if not parties:
            return reversed(self.by_id.values())
        lists = [reversed(self._by_party.get(party_id, [])) for party_id in dict.fromkeys(parties)]
        return heapq.merge(*lists, key=lambda order: -order.number)
