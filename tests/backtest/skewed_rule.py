"""A rule to compare with: wide quotes around a mid price that moves against the position."""

from dataclasses import replace

from bot.models import Market
from bot.submission import OrderSubmission
from tests.support import example_rule

HALF_SPREAD = 0.0005  # of the price; the maker's best quotes are at 0.00017 to 0.00033
SKEW = 0.0001  # of the price, for each contract held


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Quote on both sides of the skewed mid price, as far as the position limit permits."""
    mid_price = (market.best_bid_price + market.best_offer_price) / 2
    skewed_price = mid_price * (1 - SKEW * open_volume)
    bid, offer = skewed_price - HALF_SPREAD * mid_price, skewed_price + HALF_SPREAD * mid_price
    return example_rule.quotes(replace(market, best_bid_price=bid, best_offer_price=offer), open_volume, max_abs_position)
