"""Looks over the orders that a learner's code has made, before they go anywhere."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bot.enums import OrderType, Side, TimeInForce
from bot.submission import OrderSubmission
from tests.exercises.checking import call, expect, shown

NUMBERS = (int, float, Decimal, Fraction)
NAMES = {"side": Side, "type": OrderType, "time_in_force": TimeInForce}


def call_for_orders(owner: Any, name: str, *args: Any, **hints: Any) -> list[OrderSubmission]:
    """Call a function of the learner's that chooses orders; `hints` are those of `call`."""
    orders: list[OrderSubmission] = look_over(call(owner, name, *args, gives=list, **hints), f"{name} returned")
    return orders


def look_over(orders: Any, whence: str) -> Any:
    """Return the orders, if they are such as a wallet can make something of.

    Raises:
        NotYet: they are none, or one has a field that is no number, no name or no id.
    """
    expect(
        isinstance(orders, list) and all(isinstance(each, OrderSubmission) for each in orders),
        saw=f"{whence} {shown(orders)}",
        expected="a list of OrderSubmission, which may be empty",
        hint="main.quotes makes such a list, of one order for each side",
    )
    for each in orders:
        for field, kind in NAMES.items():
            _look_at_name(each, field, [name for name in kind.__members__ if not name.endswith("UNSPECIFIED")], whence)
        _look_at_numbers(each, whence)
    return orders


def _look_at_name(order: OrderSubmission, field: str, names: list[str], whence: str) -> None:
    expect(
        getattr(order, field) in names,
        saw=f"{whence} an order with {field} {getattr(order, field)!r}",
        expected=f"one of {', '.join(names)}",
        hint="the API knows names, and only these: see bot/enums.py",
    )


def _look_at_numbers(order: OrderSubmission, whence: str) -> None:
    for field, number in (("price", order.price), ("size", order.size)):
        expect(
            isinstance(number, NUMBERS) and math.isfinite(number),
            saw=f"{whence} an order with {field} {number!r}",
            expected="a number, as the market's prices are",
            hint=f"print what you calculate the {field} from: nan comes of nan, text of text",
        )
    expect(
        order.size > 0 and isinstance(order.market_id, str),
        saw=f"{whence} an order for {order.size} contracts on the market {order.market_id!r}",
        expected="a size above zero, and the id of a market",
        hint="no order at all says that there is no room",
    )
