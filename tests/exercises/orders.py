"""Validates the orders that a learner's code returns, before they are sent."""

import math
from decimal import Decimal
from fractions import Fraction

from bot.enums import OrderType, Side, TimeInForce
from bot.submission import OrderSubmission
from tests.exercises.checking import Hint, call, expect, format_values

NUMBERS = (int, float, Decimal, Fraction)
ENUMS = {"side": Side, "type": OrderType, "time_in_force": TimeInForce}


def call_for_orders(
    owner: object, name: str, *args: object, errors: tuple[type[Exception], ...] = (), hint: Hint = ""
) -> list[OrderSubmission]:
    """Call a function of the learner that returns orders. See `call` for the arguments.

    Raises:
        NotSolved: as `call` and `validate_orders`.
    """
    return validate_orders(call(owner, name, *args, returns=list, errors=errors, hint=hint), f"{name} returned")


def validate_orders(orders: object, source: str) -> list[OrderSubmission]:
    """Return the orders if the wallet can use them.

    Args:
        source: begins the message, for example "quotes returned".

    Raises:
        NotSolved: the value is not a list of orders, or an order has a field that is not a number, a name of an enum or an id.
    """
    expect(
        isinstance(orders, list) and all(isinstance(order, OrderSubmission) for order in orders),
        saw=f"{source} {format_values(orders)}",
        expected="a list of OrderSubmission; it may be empty",
        hint="the tutorial's rule makes such a list: tests/support/example_rule.py",
    )
    assert isinstance(orders, list)
    for order in orders:
        _validate_enums(order, source)
        _validate_numbers(order, source)
    return orders


def _validate_enums(order: OrderSubmission, source: str) -> None:
    for field, enum in ENUMS.items():
        names = [name for name in enum.__members__ if not name.endswith("UNSPECIFIED")]
        expect(
            getattr(order, field) in names,
            saw=f"{source} an order with {field} {getattr(order, field)!r}",
            expected=f"one of {', '.join(names)}",
            hint="the API knows only these names: see bot/enums.py",
        )


def _validate_numbers(order: OrderSubmission, source: str) -> None:
    for field, number in (("price", order.price), ("size", order.size)):
        expect(
            isinstance(number, NUMBERS) and math.isfinite(number),
            saw=f"{source} an order with {field} {number!r}",
            expected="a finite number",
            hint=f"print the values that you calculate the {field} from",
        )
    expect(
        order.size > 0 and isinstance(order.market_id, str),
        saw=f"{source} an order for {order.size} contracts on the market {order.market_id!r}",
        expected="a size above zero and the id of a market",
        hint="if there is nothing to buy or sell, return no order",
    )
