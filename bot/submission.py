"""Instruction records and their JSON for the wallet: human units in, padded integers out. Any thread.

Page: "Getting started"; the later pages paste their own instructions in here.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Optional, Union

Number = Union[int, float, Decimal, Fraction]


@dataclass(frozen=True)
class OrderSubmission:
    """A new order."""

    market_id: str
    size: float  # contracts
    price: float  # price units of the market
    time_in_force: str  # a TimeInForce name
    type: str  # an OrderType name
    side: str  # a Side name
    post_only: bool = False  # stopped instead of trading at once
    reduce_only: bool = False  # stopped if it would not reduce the position
    expires_at: int = 0  # ns of chain time, for GTT orders
    reference: str = ""  # comes back with the order, at most 100 characters


@dataclass(frozen=True)
class OrderCancellation:
    """Cancels one order, or, without `order_id`, all of the party's orders on the market."""

    market_id: str
    order_id: Optional[str] = None


@dataclass(frozen=True)
class OrderAmendment:
    """Changes a resting order in place."""

    order_id: str
    size_delta: float  # contracts, below zero to shrink
    price: float  # price units of the market
    market_id: str = ""  # Differs from the page: the network rejects an amendment without its market.


@dataclass(frozen=True)
class BatchMarketInstruction:
    """Instructions for one block: cancellations first, then amendments, then submissions, in any order here."""

    submissions: list[OrderSubmission]
    cancellations: list[OrderCancellation]
    amendments: list[OrderAmendment]


def convert_to_decimals(decimal_places: int, number: Number) -> float:
    """Turn a padded integer into the human number: 9990000 with 5 places is 99.9.

    Exact to the last bit where `number` is an int: Python's division of integers rounds once, correctly. Differs from
    the page, which passes a float. It loses digits above 2^53, and 18-decimal balances have more.
    """
    if decimal_places < 0:  # the API allows sizes in tens, hundreds, …
        return float(number * 10**-decimal_places)
    return float(number / 10**decimal_places)


def convert_from_decimals(decimal_places: int, number: Number, multiple: int = 1) -> int:
    """Turn a human number into the padded integer, the nearest one that is a multiple of `multiple` (a tick size).

    Differs from the page, where `int(number * 10**decimal_places)` truncates: 64.1 at two decimals became 6409.
    """
    numerator, denominator = number.as_integer_ratio()
    numerator, denominator = numerator * 10 ** max(0, decimal_places), denominator * multiple * 10 ** max(0, -decimal_places)
    whole, rest = divmod(numerator, denominator)  # round(Fraction(…)) takes longer than the rest of an order
    is_up = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)  # halves to even
    return int((whole + is_up) * multiple)


def _submission_to_json(submission: OrderSubmission, price_decimals: int, position_decimals: int, tick_size: int = 1) -> dict[str, Any]:
    content: dict[str, Any] = {
        "marketId": submission.market_id,
        "price": str(convert_from_decimals(price_decimals, submission.price, tick_size)),
        "size": str(convert_from_decimals(position_decimals, submission.size)),
        "side": submission.side,
        "timeInForce": submission.time_in_force,
        "type": submission.type,
    }
    if submission.type == "TYPE_MARKET":  # Differs from the page: the network drops market orders that name a price.
        del content["price"]
    # Differs from the page, which has none of these. Left out unless they are set.
    if submission.post_only:
        content["postOnly"] = True
    if submission.reduce_only:
        content["reduceOnly"] = True
    if submission.expires_at:
        content["expiresAt"] = str(submission.expires_at)
    if submission.reference:
        content["reference"] = submission.reference
    return content


def _cancellation_to_json(cancellation: OrderCancellation) -> dict[str, Any]:
    if cancellation.order_id is None:
        return {"marketId": cancellation.market_id}
    return {"marketId": cancellation.market_id, "orderId": cancellation.order_id}


def _amendment_to_json(amendment: OrderAmendment, price_decimals: int, position_decimals: int, tick_size: int = 1) -> dict[str, Any]:
    return {
        "orderId": amendment.order_id,
        "marketId": amendment.market_id,
        "sizeDelta": str(convert_from_decimals(position_decimals, amendment.size_delta)),
        "price": str(convert_from_decimals(price_decimals, amendment.price, tick_size)),
    }


def instruction_to_json(
    instruction: BatchMarketInstruction, price_decimals: int, position_decimals: int, tick_size: int = 1
) -> dict[str, Any]:
    """Return the transaction that the wallet takes.

    Args:
        instruction: what to do, in human units.
        price_decimals: the market's `decimalPlaces`.
        position_decimals: the market's `positionDecimalPlaces`.
        tick_size: the market's `tickSize`, a padded price; the network rejects a price that is not a multiple of it.
    """
    return {
        "batchMarketInstructions": {
            "submissions": [_submission_to_json(item, price_decimals, position_decimals, tick_size) for item in instruction.submissions],
            "amendments": [_amendment_to_json(item, price_decimals, position_decimals, tick_size) for item in instruction.amendments],
            "cancellations": [_cancellation_to_json(item) for item in instruction.cancellations],
        }
    }
