"""When not to quote, and what an order must look like. Loop thread; pure functions of what the bot knows.

Not on the page, which quotes whatever it holds: a price of 0, a price from before the link went silent, a suspended market.
"""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import bot.submission as sub
from bot.models import Market
from bot.transport.error_text import truncate

MAX_DATA_AGE = 5.0  # seconds
MAX_CONSECUTIVE_REJECTIONS = 10  # orders, for one reason; after that, only …
RETRY_TURNS = 10  # … every tenth turn sends orders, until one is accepted
MAX_ORDERS = 29  # in a batch, beside the cancellation: spam.protection.max.batchSize is 30
FINAL_STATES = ("STATE_REJECTED", "STATE_CANCELLED", "STATE_CLOSED", "STATE_TRADING_TERMINATED", "STATE_SETTLED")
UNOPENED_STATES = ("STATE_PROPOSED", "STATE_PENDING")


def check_market(market: Market, data_age: float, position_age: float) -> tuple[str, bool]:
    """Return why not to quote, empty if nothing speaks against it, and whether open orders must be cancelled too."""
    if data_age > MAX_DATA_AGE:
        return f"data is older than {MAX_DATA_AGE:.0f} s", True
    if position_age > MAX_DATA_AGE:
        return f"position is older than {MAX_DATA_AGE:.0f} s", True
    if market.state in UNOPENED_STATES:
        return f"market is not open yet ({market.state})", False
    if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
        return f"market is {market.state}, {market.trading_mode}", True
    if not (market.best_bid_price and market.best_offer_price):
        return "a side of the book is empty", False
    return "", False


def check_rejections(reason: str, count: int) -> str:
    """Return why to quote only every tenth turn, empty if the network has not rejected that many orders in a row."""
    if count < MAX_CONSECUTIVE_REJECTIONS:
        return ""
    return f"{count} orders in a row were rejected ({reason or 'no reason given'}), trying every {RETRY_TURNS}th turn"


def validate_orders(orders: Any, market_id: str) -> list[sub.OrderSubmission]:
    """Return what a quoting rule has returned, if it is a list of orders that this bot can send.

    Raises:
        TypeError, ValueError: for whoever wrote the rule.
    """
    if not isinstance(orders, (list, tuple)) or not all(isinstance(order, sub.OrderSubmission) for order in orders):
        raise TypeError(f"quotes() must return a list of sub.OrderSubmission, not {truncate(repr(orders))}")
    if len(orders) > MAX_ORDERS:
        raise ValueError(f"quotes() returned {len(orders)} orders, but a batch holds at most {MAX_ORDERS} beside its cancellation")
    for order in orders:
        if order.market_id != market_id:
            raise ValueError(f"orders must be for market.market_id: {order}")
        if order.time_in_force == "TIME_IN_FORCE_GTT":
            raise ValueError(f"orders cannot be GTT, since they have no expiry: {order}")
    return list(orders)


def limit_to_position(
    submissions: list[sub.OrderSubmission], open_volume: float, max_abs_position: float, position_decimal_places: int
) -> tuple[list[sub.OrderSubmission], list[str]]:
    """Cut orders so that the position cannot pass the limit, whichever of them are filled.

    Per side, orders are taken in the order given until the room is used up. The last one is cut to the market's size step.
    Differs from the page, which quotes a whole 1 as long as there is any room: with a limit of 1, a position of 1.999 is possible.

    Args:
        submissions: what the quoting rule wants.
        open_volume: the position in contracts, below zero if short.
        max_abs_position: the limit in contracts, for long and short.
        position_decimal_places: sizes come in steps of 10 to the power of minus this.

    Returns:
        The orders that fit, and for each order that was left out, why.
    """
    limit, position = Decimal(str(max_abs_position)), Decimal(str(open_volume))
    room = {"SIDE_BUY": limit - position, "SIDE_SELL": limit + position}
    kept, left_out = [], []
    for order in submissions:
        size = Decimal(str(order.size))
        side_room = room.get(order.side, size)
        if size > side_room:
            steps = math.floor(side_room.scaleb(position_decimal_places))
            size = Decimal(max(0, steps)).scaleb(-position_decimal_places)
        if size <= 0 < order.size:
            left_out.append(f"{order.side} {order.size:g}: position limit reached")
            continue
        room[order.side] = side_room - size
        kept.append(order if size == Decimal(str(order.size)) else replace(order, size=float(size)))
    return kept, left_out


def check_increments(submissions: list[sub.OrderSubmission], transaction: dict[str, Any]) -> None:
    """Raise ValueError for sizes and prices below one step, which the network would drop without an error message."""
    for submission, padded in zip(submissions, transaction["batchMarketInstructions"]["submissions"], strict=True):
        if int(padded["size"]) <= 0 or (submission.type == "TYPE_LIMIT" and int(padded["price"]) <= 0):
            raise ValueError(f"size and price must be at least one step of the market: {submission}")
