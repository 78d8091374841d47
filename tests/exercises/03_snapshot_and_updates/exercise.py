"""Exercise 3. Edit this file, then run: .venv/bin/python -m tests.exercises 3"""

from typing import Any


class OpenOrders:
    """The open orders, kept up to date by the frames of one stream."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}  # order id -> the stream's node

    def on_frame(self, result: dict[str, Any]) -> None:
        """Apply one frame: a page of the snapshot, or updates."""
        body = result["snapshot"] if "snapshot" in result else result["updates"]
        order = body["orders"][0]
        if order["status"] != "STATUS_ACTIVE":  # the tutorial's comparison
            self._orders.pop(order["id"], None)
        else:
            self._orders[order["id"]] = order

    def orders(self) -> dict[str, dict[str, Any]]:
        return dict(self._orders)
