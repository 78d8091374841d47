"""Exercise 3. Edit this file, then: .venv/bin/python -m tests.exercises 3"""

from typing import Any


class LiveOrders:
    """The orders that are live, as far as the frames of one stream say."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}  # order id -> the stream's node

    def take(self, result: dict[str, Any]) -> None:
        """Apply one frame: a page of the snapshot, or updates."""
        body = result.get("snapshot", result.get("updates"))
        order = body["orders"][0]
        if order["status"] != "STATUS_ACTIVE":  # this comparison is the tutorial's
            self._orders.pop(order["id"], None)
        else:
            self._orders[order["id"]] = order

    def orders(self) -> dict[str, dict[str, Any]]:
        return dict(self._orders)
