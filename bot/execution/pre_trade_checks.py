"""Checks before a batch is sent: when not to quote, and what an order must look like. Loop thread; pure functions.

Not on the page, which also quotes at a price of 0, at a price from before the link became silent, and on a suspended market.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Optional

import bot.submission as sub
from bot.models import Market, Order
from bot.transport.error_text import truncate

MAX_DATA_AGE = 5.0  # seconds, or …
MAX_DATA_AGE_BLOCKS = 1.5  # … so many of the market's block intervals, if that is longer
MAX_CONSECUTIVE_REJECTIONS = 10  # orders, for one reason; after that, only …
RETRY_TURNS = 10  # … every tenth turn sends orders, until one is accepted
MAX_INSTRUCTIONS = 30  # in a batch: spam.protection.max.batchSize
FINAL_STATES = ("STATE_REJECTED", "STATE_CANCELLED", "STATE_CLOSED", "STATE_TRADING_TERMINATED", "STATE_SETTLED")
UNOPENED_STATES = ("STATE_PROPOSED", "STATE_PENDING")
POSITION_LIMIT_REACHED = "position limit reached"
SIDES = ("SIDE_BUY", "SIDE_SELL")
NUMBERS = (int, float)  # what sizes and prices of orders are


@dataclass(frozen=True)
class Ages:
    """The ages of the data in seconds. Read them before the data: data read later is at least this fresh."""

    data: float  # of the market's prices
    position: float = 0.0  # 0 while its stream keeps it, as the next
    orders: float = 0.0
    max_data: float = MAX_DATA_AGE


def check_market(market: Market, ages: Ages) -> str:
    """Return the reason not to quote; empty if there is none."""
    if ages.data > ages.max_data:
        return f"data is older than {ages.max_data:.0f} s"
    if ages.position > 0:
        return f"waiting for the {'accounts' if market.base_asset_id else 'positions'} stream"
    if ages.orders > 0:
        return "waiting for the orders stream"
    if market.state in UNOPENED_STATES:
        return f"market is not open yet ({market.state})"
    if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
        return f"market is {market.state}, {market.trading_mode}"
    if not (market.best_bid_price and market.best_offer_price):
        return "a side of the book is empty"
    if min(market.best_bid_price, market.best_offer_price) < 0:
        return f"impossible prices from the node: {market.best_bid_price:g} - {market.best_offer_price:g}"
    if market.best_bid_price >= market.best_offer_price:
        return "the book is crossed"
    if not 0 <= market.tick <= market.best_bid_price:
        return f"impossible tick size from the node: {market.tick:g} at a price of {market.best_bid_price:g}"
    return ""


def check_rejections(reason: str, count: int) -> str:
    """Return why to quote only every tenth turn; empty if the network has not rejected that many orders in a row."""
    if count < MAX_CONSECUTIVE_REJECTIONS:
        return ""
    return f"{count} orders in a row were rejected ({reason or 'no reason given'}), trying every {RETRY_TURNS}th turn"


def validate_orders(orders: Any, market_id: str) -> list[sub.OrderSubmission]:
    """Return the orders of a rule as a list, if this bot can send them.

    Raises:
        TypeError, ValueError: for the author of the rule.
    """
    if not isinstance(orders, (list, tuple)) or not all(isinstance(order, sub.OrderSubmission) for order in orders):
        raise TypeError(f"quotes() must return a list of sub.OrderSubmission, not {truncate(repr(orders))}")
    max_orders = MAX_INSTRUCTIONS - 1
    if len(orders) > max_orders:
        raise ValueError(f"quotes() returned {len(orders)} orders, but a batch holds at most {max_orders} beside its cancellation")
    orders = [order if type(order.size) in NUMBERS and type(order.price) in NUMBERS else _with_floats(order) for order in orders]
    for order in orders:
        if order.market_id != market_id:
            raise ValueError(f"orders must be for market.market_id: {order}")
        if order.side not in SIDES:
            raise ValueError(f"the side must be one of {', '.join(SIDES)}: {order}")
        if not (math.isfinite(order.price) and math.isfinite(order.size) and order.size > 0):
            raise ValueError(f"size and price must be at least one step of the market: {order}")
        if (order.time_in_force == "TIME_IN_FORCE_GTT") != bool(order.expires_at):
            raise ValueError(f"GTT orders, and no others, need expires_at in ns of chain time: {order}")
    return orders


def _with_floats(order: sub.OrderSubmission) -> sub.OrderSubmission:
    """Return an order whose size or price is another kind of number, such as Decimal or numpy's, with floats."""
    if isinstance(order.size, str) or isinstance(order.price, str):
        raise TypeError(f"size and price must be numbers: {order}")
    try:
        return replace(order, size=float(order.size), price=float(order.price))
    except TypeError as error:
        raise TypeError(f"size and price must be numbers: {order}") from error


def cancels_all(batch: sub.BatchMarketInstruction, market_id: str) -> bool:
    """Return whether a batch cancels every order on the market."""
    return any(cancellation.market_id == market_id and cancellation.order_id is None for cancellation in batch.cancellations)


def orders_after(batch: sub.BatchMarketInstruction, live: list[Order], market_id: str) -> list[Order]:
    """Return the live orders that a batch keeps, with the sizes that its amendments give them."""
    if cancels_all(batch, market_id):
        return []
    cancelled = {cancellation.order_id for cancellation in batch.cancellations}
    growth = {amendment.order_id: max(0.0, amendment.size_delta) for amendment in batch.amendments}
    return [
        replace(order, remaining_size=order.remaining_size + growth.get(order.order_id, 0.0))
        for order in live
        if order.order_id not in cancelled
    ]


def room_on_sides(
    low: Decimal, high: Decimal, max_abs_position: float, taken: Optional[Mapping[str, Decimal]] = None
) -> dict[str, Decimal]:
    """Return how many contracts each side may still trade, below 0 if the limit is passed.

    Args:
        low: the smallest position that the bot may have, in contracts; below zero if short.
        high: the largest.
        max_abs_position: the limit in contracts, for long and short.
        taken: contracts per side that other orders may still trade.
    """
    limit, taken = Decimal(str(max_abs_position)), taken or {}
    return {"SIDE_BUY": limit - high - taken.get("SIDE_BUY", Decimal(0)), "SIDE_SELL": limit + low - taken.get("SIDE_SELL", Decimal(0))}


def cut_to_room(
    submissions: list[sub.OrderSubmission], room: dict[str, Decimal], position_decimal_places: int
) -> tuple[list[sub.OrderSubmission], list[str]]:
    """Cut orders so that the position cannot pass the limit, whichever of them are filled.

    Per side, orders are taken in the order given until the room is used up. The last one is cut to the market's size step.
    Differs from the page, which quotes a whole 1 as long as there is any room: with a limit of 1, a position of 1.999 is possible.

    Args:
        submissions: what the quoting rule wants.
        room: contracts per side, from `room_on_sides`.
        position_decimal_places: sizes come in steps of 10 to the power of minus this.

    Returns:
        The orders that fit, and for each side with an order that was left out, why.
    """
    left = dict(room)
    kept: list[sub.OrderSubmission] = []
    left_out: dict[str, str] = {}
    for order in submissions:
        wanted = size = Decimal(str(order.size))
        if wanted > left[order.side]:
            steps = math.floor(left[order.side].scaleb(position_decimal_places))
            size = Decimal(max(0, steps)).scaleb(-position_decimal_places)
        if size <= 0:
            smallest = Decimal(1).scaleb(-position_decimal_places)
            is_step_too_large = 0 < left[order.side] < smallest
            reason = f"the smallest size, {smallest:f}, exceeds what the position limit leaves" if is_step_too_large else ""
            left_out[order.side] = reason or POSITION_LIMIT_REACHED
            continue
        left[order.side] -= size
        kept.append(order if size == wanted else replace(order, size=float(size)))
    return kept, list(dict.fromkeys(left_out.values()))


def limit_to_position(
    submissions: list[sub.OrderSubmission], open_volume: float, max_abs_position: float, position_decimal_places: int
) -> tuple[list[sub.OrderSubmission], list[str]]:
    """Do `cut_to_room` for a known position and no other orders."""
    position = Decimal(str(open_volume))
    return cut_to_room(submissions, room_on_sides(position, position, max_abs_position), position_decimal_places)


def leave_out_small_orders(
    submissions: list[sub.OrderSubmission], minimum_values: Mapping[str, float]
) -> tuple[list[sub.OrderSubmission], list[str]]:
    """Leave out orders that the network would reject, and with them the whole batch, cancellations included.

    Args:
        submissions: the orders.
        minimum_values: side -> the smallest price times size; 0 if there is none.

    Returns:
        The orders that stay, and for each side with an order that was left out, why.
    """
    kept: list[sub.OrderSubmission] = []
    left_out: dict[str, str] = {}
    for order in submissions:
        minimum = minimum_values.get(order.side, 0.0)
        if order.type == "TYPE_LIMIT" and 0 < order.price * order.size < minimum:
            left_out[order.side] = f"order value {order.price * order.size:.6g} is below the network's minimum of {minimum:.6g}"
        else:
            kept.append(order)
    return kept, list(left_out.values())


def check_increments(submissions: list[sub.OrderSubmission], transaction: dict[str, Any]) -> None:
    """Raise ValueError for sizes and prices below one step, which the network rejects together with the whole batch."""
    for submission, padded in zip(submissions, transaction["batchMarketInstructions"]["submissions"], strict=True):
        if int(padded["size"]) <= 0 or (submission.type == "TYPE_LIMIT" and int(padded["price"]) <= 0):
            raise ValueError(f"size and price must be at least one step of the market: {submission}")
