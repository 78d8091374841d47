"""Exercise 8. Edit this file, then run: .venv/bin/python -m tests.exercises 8"""

from bot.models import Market
from bot.submission import OrderSubmission


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Return the orders to have on the book until the next block. They replace all earlier ones.

    Args:
        market: best_bid_price and best_offer_price are those of the newest block. They may be your own quotes.
        open_volume: your position in contracts, below zero if short.
        max_abs_position: contracts. Orders that could exceed it are cut or left out before they are sent.
    """
    submissions = []
    if open_volume < max_abs_position:
        submissions.append(order(market, "SIDE_BUY", market.best_bid_price))
    if open_volume > -1 * max_abs_position:
        submissions.append(order(market, "SIDE_SELL", market.best_offer_price))
    return submissions


def order(market: Market, side: str, price: float) -> OrderSubmission:
    """Return an order for one contract."""
    return OrderSubmission(market_id=market.market_id, size=1, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side=side)
