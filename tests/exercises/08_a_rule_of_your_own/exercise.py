"""Exercise 8. Edit this file, then: .venv/bin/python -m tests.exercises 8"""

from bot.models import Market
from bot.submission import OrderSubmission


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Choose the orders to have on the book until the next block; they replace all earlier ones.

    Args:
        market: with best_bid_price and best_offer_price of the newest block, our own quotes among them.
        open_volume: our position in contracts, below zero when short.
        max_abs_position: contracts; filling what is returned here must not take us beyond, either way.
    """
    bid, offer = market.best_bid_price, market.best_offer_price
    return [
        *order(market, "SIDE_BUY", bid, room=max_abs_position - open_volume),
        *order(market, "SIDE_SELL", offer, room=max_abs_position + open_volume),
    ]


def order(market: Market, side: str, price: float, room: float) -> list[OrderSubmission]:
    """Return an order for one contract, or for the rest of the room; none where there is no room left."""
    size = round(min(1.0, room), market.position_decimal_places)
    if size <= 0:
        return []
    return [
        OrderSubmission(market_id=market.market_id, size=size, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side)
    ]
