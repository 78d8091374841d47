"""Exercise 8, one solution of many: wide quotes around the middle, skewed against the position, with the bot's own rule for the sizes."""

from dataclasses import replace

import main
from bot.models import Market
from bot.submission import OrderSubmission

HALF_SPREAD = 0.05  # price units from our middle to either quote; the maker's best ones are 0.02 to 0.03 away
SKEW = 0.01  # price units for each contract that we hold


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Quote around a middle that moves away from what we have too much of."""
    middle = (market.best_bid_price + market.best_offer_price) / 2 - SKEW * open_volume
    ours = replace(market, best_bid_price=middle - HALF_SPREAD, best_offer_price=middle + HALF_SPREAD)
    return main.quotes(ours, open_volume, max_abs_position)
