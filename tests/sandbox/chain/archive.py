"""The order archive: live orders, and the newest dead ones, as a data node that prunes keeps them. Lookup by id and by party."""

import heapq
import itertools
from collections.abc import Iterable, Iterator

from tests.sandbox.chain.records import Order

MAX_DEAD_ORDERS = 20_000  # without a limit, thirty quoting bots would add 200 MB per hour


class Archive:
    """An order's number counts all orders ever added and never changes, so it can serve as a cursor.

    Newest first has the network's meaning: the newest block first, and within a block by id.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}  # in order of submission
        self._numbers = itertools.count()
        self._oldest_first: dict[int, Order] = {}  # by number
        self._by_party: dict[str, dict[int, Order]] = {}  # by number, oldest first
        self._of_this_block: list[Order] = []
        self._dead: dict[str, Order] = {}  # by id, in the order in which they died

    def add(self, order: Order) -> None:
        self.by_id[order.id] = order
        self._of_this_block.append(order)

    def end_block(self) -> None:
        """Number the orders of this block."""
        for order in sorted(self._of_this_block, key=lambda order: order.id, reverse=True):
            order.number = next(self._numbers)
            self._oldest_first[order.number] = order
            self._by_party.setdefault(order.party_id, {})[order.number] = order
        self._of_this_block = []

    def prune(self, changed: Iterable[Order]) -> None:
        """Note which of the changed orders are dead, and forget the oldest dead orders beyond MAX_DEAD_ORDERS."""
        self._dead.update((order.id, order) for order in changed if order.is_finished)
        for order_id in list(itertools.islice(self._dead, max(0, len(self._dead) - MAX_DEAD_ORDERS))):
            self._forget(self._dead.pop(order_id))

    def newest_first(self, parties: Iterable[str]) -> Iterator[Order]:
        """Iterate over the orders of some parties; of all parties if none is given. Do not make a block while iterating."""
        if not parties:
            return reversed(self._oldest_first.values())
        orders = [reversed(self._by_party.get(party_id, {}).values()) for party_id in dict.fromkeys(parties)]
        return heapq.merge(*orders, key=lambda order: -order.number)

    def _forget(self, order: Order) -> None:
        self.by_id.pop(order.id, None)
        self._oldest_first.pop(order.number, None)
        of_party = self._by_party.get(order.party_id, {})
        of_party.pop(order.number, None)
        if not of_party:
            self._by_party.pop(order.party_id, None)
