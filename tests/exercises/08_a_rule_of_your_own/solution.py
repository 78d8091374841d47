"""Exercise 8, one of many solutions: wide quotes around an average, with a skew against the position."""

from collections import deque

from bot.models import Market
from bot.submission import OrderSubmission

HALF_SPREAD = 0.05  # price units from our middle to each quote
SKEW = 0.01  # price units for each contract of the position
MIDDLES = deque[float](maxlen=3)  # of the newest blocks


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Quote around the average of the last middles. Move both quotes down if we are long, up if we are short."""
    MIDDLES.append((market.best_bid_price + market.best_offer_price) / 2)
    middle = sum(MIDDLES) / len(MIDDLES) - SKEW * open_volume
    submissions = []
    if open_volume < max_abs_position:
        submissions.append(order(market, "SIDE_BUY", middle - HALF_SPREAD))
    if open_volume > -1 * max_abs_position:
        submissions.append(order(market, "SIDE_SELL", middle + HALF_SPREAD))
    return submissions


def order(market: Market, side: str, price: float) -> OrderSubmission:
    """Return an order for one contract."""
    return OrderSubmission(market_id=market.market_id, size=1, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side)
