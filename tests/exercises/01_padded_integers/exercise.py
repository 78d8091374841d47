"""Exercise 1. Edit this file, then: .venv/bin/python -m tests.exercises 1"""

from decimal import Decimal
from typing import Union


def to_wallet(number: Union[float, Decimal], decimal_places: int, multiple: int = 1) -> str:
    """Turn a price, a size or an amount of money into the padded integer that the wallet wants.

    Args:
        number: in human units, for example 18.5.
        decimal_places: of the market's prices or sizes, or of the asset; may be below zero.
        multiple: the tick size, a padded integer; the result must be the nearest multiple of it.
    """
    # The tutorial's way. It knows nothing of `multiple`, and that is not the worst of it.
    return str(int(number * 10**decimal_places))
