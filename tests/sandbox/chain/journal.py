"""What happens in the current block, shared by all markets."""

from collections.abc import Callable

from tests.sandbox.chain.archive import Archive
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.positions import Positions
from tests.sandbox.chain.records import Order, Trade


class Journal:
    """The block's time, its changed orders and its trades, and the records that they belong to."""

    def __init__(self, ledger: Ledger, new_id: Callable[[str], str]) -> None:
        self.ledger = ledger
        self.positions = Positions()
        self.archive = Archive()
        self.new_id = new_id
        self.now = 0  # ns, block time
        self.changed: dict[str, Order] = {}
        self.trades: list[Trade] = []

    def begin_block(self, now: int) -> None:
        self.now = now
        self.changed, self.trades = {}, []
        self.ledger.changed, self.positions.changed = {}, {}

    def publish(self, order: Order) -> None:
        """Show an order's present state to clients at the end of the block."""
        if order.id not in self.archive.by_id:
            self.archive.add(order)
        self.changed[order.id] = order
