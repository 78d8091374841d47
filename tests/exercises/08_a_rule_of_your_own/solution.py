"""Exercise 8, one of many solutions: quotes that move with the trend, and against the position."""

from collections import deque

from bot.models import Market
from bot.submission import OrderSubmission

HALF_SPREAD = 0.05  # price units from our middle to each quote
SKEW = 0.02  # price units for each contract of the position
MIDDLES = deque[float](maxlen=5)  # of the newest blocks


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Move both quotes by the distance of the price from its average, and away from the position."""
    newest = (market.best_bid_price + market.best_offer_price) / 2
    MIDDLES.append(newest)
    average = sum(MIDDLES) / len(MIDDLES)
    middle = newest + (newest - average) - SKEW * open_volume
    submissions = []
    if open_volume < max_abs_position:
        submissions.append(order(market, "SIDE_BUY", middle - HALF_SPREAD))
    if open_volume > -1 * max_abs_position:
        submissions.append(order(market, "SIDE_SELL", middle + HALF_SPREAD))
    return submissions


def order(market: Market, side: str, price: float) -> OrderSubmission:
    """Return an order for one contract."""
    return OrderSubmission(market_id=market.market_id, size=1, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side)
