"""main.quotes: the page's rule, from what the bot knows to the orders it wants. The only tests of the rule in main.py."""

import pytest

import bot.submission as sub
from main import quotes
from tests.support.markets import make_market

MARKET = make_market()


def test_a_flat_bot_quotes_size_one_on_both_sides_at_the_best_prices() -> None:
    assert quotes(MARKET, open_volume=0, max_abs_position=1) == [
        sub.OrderSubmission(
            market_id="aa" * 32, size=1, price=100.15385, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_BUY"
        ),
        sub.OrderSubmission(
            market_id="aa" * 32, size=1, price=100.21167, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_SELL"
        ),
    ]


@pytest.mark.parametrize(
    ("open_volume", "max_abs_position", "sides"),
    [
        (1, 1, ["SIDE_SELL"]),
        (-1, 1, ["SIDE_BUY"]),
        (2.186, 1, ["SIDE_SELL"]),
        (-2.186, 1, ["SIDE_BUY"]),
        (0.999, 1, ["SIDE_BUY", "SIDE_SELL"]),
        (-0.5, 2.5, ["SIDE_BUY", "SIDE_SELL"]),
        (0, 0, []),
    ],
)
def test_it_quotes_a_side_while_the_position_is_inside_the_limit(open_volume: float, max_abs_position: float, sides: list[str]) -> None:
    orders = quotes(MARKET, open_volume, max_abs_position)
    assert isinstance(orders, list)
    assert [order.side for order in orders] == sides
