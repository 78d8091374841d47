"""Exercise 2, solved with helpers of the bot. The bot does the same in `parse_order` (bot/models.py)."""

from typing import Any

from bot.enums import OrderError, OrderStatus, OrderType, Side, TimeInForce, enum_name
from bot.models import Order
from bot.submission import convert_to_decimals


def read_order(node: dict[str, Any], price_decimals: int, size_decimals: int) -> Order:
    """Read with `get` what a stream may leave out. It never leaves out ids and prices."""
    return Order(
        order_id=node["id"],
        market_id=node["marketId"],
        party_id=node["partyId"],
        size=convert_to_decimals(size_decimals, int(node.get("size", 0))),
        remaining_size=convert_to_decimals(size_decimals, int(node.get("remaining", 0))),
        price=convert_to_decimals(price_decimals, int(node["price"])),
        order_type=enum_name(OrderType, node.get("type", 0)),
        time_in_force=enum_name(TimeInForce, node.get("timeInForce", 0)),
        status=enum_name(OrderStatus, node.get("status", 0)),
        side=enum_name(Side, node.get("side", 0)),
        reason=enum_name(OrderError, node.get("reason", "")),
    )
