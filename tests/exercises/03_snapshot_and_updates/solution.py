"""Exercise 3, solved. The bot does the same with `SnapshotAssembler` (bot/sync.py) and `_update_order` (bot/vega_store.py)."""

from typing import Any

OPEN = (1, 8)  # statuses ACTIVE and PARKED; bot/enums.py has them as OrderStatus


class OpenOrders:
    """The open orders, kept up to date by the frames of one stream."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}  # order id -> the stream's node
        self._pages: dict[str, dict[str, Any]] = {}  # orders of a snapshot whose last page has not arrived

    def on_frame(self, result: dict[str, Any]) -> None:
        """Apply one frame: a page of the snapshot, or updates."""
        body = result["snapshot"] if "snapshot" in result else result["updates"]
        orders = self._pages if "snapshot" in result else self._orders
        for order in body.get("orders", []):
            if order.get("status") not in OPEN:
                orders.pop(order["id"], None)
            else:
                orders[order["id"]] = order
        if body.get("lastPage"):  # the snapshot is complete: it replaces everything
            self._orders, self._pages = self._pages, {}

    def orders(self) -> dict[str, dict[str, Any]]:
        return dict(self._orders)
