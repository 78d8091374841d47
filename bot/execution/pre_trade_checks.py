"""When not to quote. Loop thread; pure functions of what the bot knows.

Not on the page, which quotes whatever it holds: a price of 0, a price from before the link went silent, a suspended market.
"""

from typing import Any

import bot.submission as sub
from bot.models import Market
from bot.transport.error_text import shortened

LONGEST_AGE = 5.0  # seconds: no quote on older data
MOST_REFUSALS = 10  # orders in a row for one reason; after that, only …
MOST_ORDERS = 29  # in a batch, beside the cancellation: spam.protection.max.batchSize is 30
TURNS_TO_TRY_AGAIN = 10  # … each tenth turn, until one is taken
ENDED = ("STATE_REJECTED", "STATE_CANCELLED", "STATE_CLOSED", "STATE_TRADING_TERMINATED", "STATE_SETTLED")  # for good


def reason_not_to_quote(market: Market, age: float, position_age: float) -> tuple[str, bool]:
    """Return why not to quote, empty where there is no reason; and whether what rests on the book must go too."""
    if age > LONGEST_AGE:
        return f"data is older than {LONGEST_AGE:.0f} s", True
    if position_age > LONGEST_AGE:
        return f"position is older than {LONGEST_AGE:.0f} s", True
    if market.state in ("STATE_PROPOSED", "STATE_PENDING"):
        return f"market is not open yet ({market.state}), waiting", False
    if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
        return f"market is {market.state}, {market.trading_mode}", True
    if not (market.best_bid_price and market.best_offer_price):
        return "a side of the book is empty", False
    return "", False


def reason_to_wait(refusal: str, refusals: int) -> str:
    """Return why to try only each tenth turn: the network has refused so many orders in a row for that reason."""
    if refusals < MOST_REFUSALS:
        return ""
    return f"{refusals} orders in a row were refused ({refusal or 'no reason given'}), trying each {TURNS_TO_TRY_AGAIN}th turn"


def as_orders(wanted: Any, market_id: str) -> list[sub.OrderSubmission]:
    """Return what quotes() has returned; raise where it is no list of orders, or holds what this bot cannot send.

    Raises:
        TypeError, ValueError: in words for whoever wrote that rule.
    """
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(order, sub.OrderSubmission) for order in wanted):
        raise TypeError(f"quotes() must return a list of sub.OrderSubmission, not {shortened(repr(wanted))}")
    if len(wanted) > MOST_ORDERS:
        raise ValueError(f"quotes() wants {len(wanted)} orders, but a batch holds at most {MOST_ORDERS} beside its cancellation")
    for order in wanted:
        if order.market_id != market_id or order.time_in_force == "TIME_IN_FORCE_GTT":
            raise ValueError(f"orders must be for market.market_id, and not GTT, since they have no expiry: {order}")
    return list(wanted)


def check_steps(submissions: list[sub.OrderSubmission], transaction: dict[str, Any]) -> None:
    """Raise ValueError for what the wallet would take in, and the network drop without a word."""
    for submission, padded in zip(submissions, transaction["batchMarketInstructions"]["submissions"], strict=True):
        if int(padded["size"]) <= 0 or (submission.type == "TYPE_LIMIT" and int(padded["price"]) <= 0):
            raise ValueError(f"size and price must be at least one step of the market: {submission}")
