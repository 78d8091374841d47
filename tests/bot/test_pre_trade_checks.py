"""bot/execution/pre_trade_checks.py: when not to quote, and what of a rule's orders may be sent."""

import dataclasses
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bot.submission as sub
from bot.execution.pre_trade_checks import limit_to_position, validate_orders
from tests.support.example_rule import quotes
from tests.support.markets import make_market

SIDES = {"SIDE_BUY": 1, "SIDE_SELL": -1}


def an_order(side: str, size: float, price: float = 100.15385) -> sub.OrderSubmission:
    return sub.OrderSubmission(market_id="aa" * 32, size=size, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side)


def sizes(open_volume: float, max_abs_position: float, position_decimal_places: int = 3) -> dict[str, float]:
    """Return the sizes that the page's rule sends per side."""
    wanted = quotes(make_market(position_decimal_places=position_decimal_places), open_volume, max_abs_position)
    kept, _ = limit_to_position(wanted, open_volume, max_abs_position, position_decimal_places)
    return {order.side: order.size for order in kept}


@pytest.mark.parametrize(
    ("open_volume", "max_abs_position", "expected"),
    [
        (0, 1, {"SIDE_BUY": 1, "SIDE_SELL": 1}),
        (2.186, 1, {"SIDE_SELL": 1}),
        (0.251, 1, {"SIDE_BUY": 0.749, "SIDE_SELL": 1}),
        (-0.251, 1, {"SIDE_BUY": 1, "SIDE_SELL": 0.749}),
        (0.1, 0.5, {"SIDE_BUY": 0.4, "SIDE_SELL": 0.6}),
        (0.25, 0.2504, {"SIDE_SELL": 0.5}),
        (0, 0, {}),
    ],
)
def test_a_size_is_cut_to_what_the_limit_leaves(open_volume: float, max_abs_position: float, expected: dict[str, float]) -> None:
    assert sizes(open_volume, max_abs_position) == expected


def test_a_market_without_size_decimals_gets_whole_contracts() -> None:
    assert sizes(open_volume=1, max_abs_position=1.5, position_decimal_places=0) == {"SIDE_SELL": 1}


def test_a_market_that_trades_in_tens_is_cut_to_tens() -> None:
    kept, left_out = limit_to_position([an_order("SIDE_BUY", 37), an_order("SIDE_SELL", 50)], 11, 40, -1)
    assert [(order.side, order.size) for order in kept] == [("SIDE_BUY", 20), ("SIDE_SELL", 50)]
    assert left_out == []


def test_orders_of_a_side_use_up_its_room_in_their_order() -> None:
    wanted = [an_order("SIDE_BUY", 2), an_order("SIDE_BUY", 1.5), an_order("SIDE_SELL", 4), an_order("SIDE_BUY", 0.25)]
    kept, left_out = limit_to_position(wanted, open_volume=-0.75, max_abs_position=2.5, position_decimal_places=2)
    assert [(order.side, order.size) for order in kept] == [("SIDE_BUY", 2), ("SIDE_BUY", 1.25), ("SIDE_SELL", 1.75)]
    assert left_out == ["position limit reached"]


@settings(deadline=None)  # the machine may be busy
@given(decimals=st.integers(-3, 6), data=st.data())
def test_a_side_has_the_largest_size_that_cannot_pass_the_limit(decimals: int, data: st.DataObject) -> None:
    step = Fraction(10) ** -decimals
    limit = data.draw(st.decimals(0, 5000, places=data.draw(st.integers(0, 7))), label="limit")
    near = round(Fraction(limit) / step)
    steps = data.draw(st.one_of(st.integers(-near - 3, near + 3), st.integers(-(10**9), 10**9)), label="position in steps")
    open_volume = sub.convert_to_decimals(decimals, steps)
    wanted_steps = data.draw(st.integers(1, 5000), label="wanted size in steps")
    wanted = [an_order(side, sub.convert_to_decimals(decimals, wanted_steps)) for side in SIDES]

    kept, _ = limit_to_position(wanted, open_volume, float(limit), decimals)

    sent = {order.side: sub.convert_from_decimals(decimals, order.size) for order in kept}
    for side, sign in SIDES.items():
        room = min(wanted_steps * step, Fraction(limit) - sign * steps * step)
        assert sent.get(side, 0) == max(0, room // step)


@settings(deadline=None)  # the machine may be busy
@given(decimals=st.integers(0, 6), data=st.data())
def test_a_position_kept_as_a_sum_of_fills_never_passes_the_limit(decimals: int, data: st.DataObject) -> None:
    limit = data.draw(st.sampled_from([Decimal("1"), Decimal("0.3"), Decimal("2.5")]))
    steps = 0
    for side in data.draw(st.lists(st.sampled_from(list(SIDES)), max_size=8)):
        sent = sizes(sub.convert_to_decimals(decimals, steps), float(limit), decimals)
        steps += SIDES[side] * sub.convert_from_decimals(decimals, sent.get(side, 0))
        assert abs(Fraction(steps, 10**decimals)) <= Fraction(limit)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "must return a list of sub.OrderSubmission, not None"),
        ({"market_id": "another"}, "must be for market.market_id"),
        ({"time_in_force": "TIME_IN_FORCE_GTT"}, "need expires_at"),
        ({"size": "1"}, "size and price must be numbers"),
        ({"price": None}, "size and price must be numbers"),
        ({"price": float("nan")}, "size and price must be at least one step"),
        ({"size": 30}, "returned 30 orders, but a batch holds at most 29"),
    ],
    ids=["forgotten return", "another market", "GTT", "text", "None", "nan", "too many"],
)
def test_orders_that_this_bot_cannot_send_are_an_error(changes: Optional[dict[str, Any]], message: str) -> None:
    order = an_order("SIDE_BUY", size=2)
    wanted = None if changes is None else [dataclasses.replace(order, **changes)] * (30 if changes.get("size") == 30 else 1)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        validate_orders(wanted, "aa" * 32)


def test_orders_that_it_can_send_are_returned_as_a_list() -> None:
    order = an_order("SIDE_SELL", size=2)
    assert validate_orders((order,), "aa" * 32) == [order]


@pytest.mark.parametrize("kind", [Decimal, Fraction, type("Float64", (float,), {"__repr__": lambda self: "np.float64(2.5)"})])
def test_other_kinds_of_numbers_become_floats(kind: Any) -> None:
    (order,) = validate_orders([an_order("SIDE_SELL", size=kind("2.5"), price=kind("99.5"))], "aa" * 32)
    assert (order.size, type(order.size), order.price, type(order.price)) == (2.5, float, 99.5, float)
