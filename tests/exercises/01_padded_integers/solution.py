"""Exercise 1, solved with what the bot has."""

from decimal import Decimal
from typing import Union

from bot.submission import convert_from_decimals


def to_wallet(number: Union[float, Decimal], decimal_places: int, multiple: int = 1) -> str:
    """Fractions are exact, so the one rounding is the one that we want: to the nearest multiple."""
    return str(convert_from_decimals(decimal_places, number, multiple))
