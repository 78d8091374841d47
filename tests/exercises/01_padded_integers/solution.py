"""Exercise 1, solved. The bot does the same in `convert_from_decimals` (bot/submission.py)."""

from decimal import Decimal
from fractions import Fraction
from typing import Union


def to_padded_integer(number: Union[float, Decimal], decimal_places: int, multiple: int = 1) -> str:
    """Calculate with fractions, which are exact. Only `round` changes the value, and it runs once, at the end."""
    padded = Fraction(number) * Fraction(10) ** decimal_places  # Fraction(10): 10**-1 would be a float
    ticks = round(padded / multiple)  # the nearest whole number of ticks
    return str(ticks * multiple)
