"""A frozen copy of the tutorial's rule, as `main.quotes` has it when nobody has edited it.

Everything that needs a rule uses this copy, so that a reader can paste a rule into main.py without breaking a test or an exercise.
Only tests/bot/test_quotes.py tests the rule in main.py.
"""

from bot.models import Market
from bot.submission import OrderSubmission


def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Return an order of size 1 at the market's best price for each side on which the position is below the maximum.

    Args:
        market: the newest prices, in price units; both sides of the book must be there.
        open_volume: the bot's position in contracts, below zero when short.
        max_abs_position: contracts. An order that fills may still pass it: the size is always 1. See
            `bot.execution.pre_trade_checks.limit_to_position`.
    """
    submissions = []
    if open_volume < max_abs_position:
        submissions.append(
            OrderSubmission(
                market_id=market.market_id,
                size=1,
                price=market.best_bid_price,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_BUY",
            )
        )
    if open_volume > -1 * max_abs_position:
        submissions.append(
            OrderSubmission(
                market_id=market.market_id,
                size=1,
                price=market.best_offer_price,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_SELL",
            )
        )
    return submissions
