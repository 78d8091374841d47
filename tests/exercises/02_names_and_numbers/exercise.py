"""Exercise 2. Edit this file, then run: .venv/bin/python -m tests.exercises 2"""

from typing import Any

from bot.models import Order


def read_order(node: dict[str, Any], price_decimals: int, size_decimals: int) -> Order:
    """Return the order that a node describes. The node is from REST or from a stream."""
    return Order(
        order_id=node["id"],
        market_id=node["marketId"],
        party_id=node["partyId"],
        size=int(node["size"]) / 10**size_decimals,
        remaining_size=int(node["remaining"]) / 10**size_decimals,
        price=int(node["price"]) / 10**price_decimals,
        order_type=node["type"],
        time_in_force=node["timeInForce"],
        status=node["status"],
        side=node["side"],
        reason=node.get("reason", ""),  # why the network rejected the order
    )
