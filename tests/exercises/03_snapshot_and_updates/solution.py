"""Exercise 3, solved with what the bot has."""

from typing import Any

from bot.enums import OrderStatus
from bot.parsing import body_of, nodes_of
from bot.sync import SnapshotAssembler

LIVE = (OrderStatus.STATUS_ACTIVE, OrderStatus.STATUS_PARKED)


class LiveOrders:
    """The orders that are live, as far as the frames of one stream say."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}  # order id -> the stream's node
        self._snapshot: SnapshotAssembler[dict[str, Any]] = SnapshotAssembler()  # its pages, until the last one is in

    def take(self, result: dict[str, Any]) -> None:
        nodes = {node["id"]: node for node in nodes_of(body_of(result), "orders")}
        whole = self._snapshot.add(result, nodes)
        known = whole if whole is not None else {**self._orders, **(nodes if "updates" in result else {})}
        self._orders = {order_id: node for order_id, node in known.items() if node.get("status") in LIVE}

    def orders(self) -> dict[str, dict[str, Any]]:
        return self._orders
