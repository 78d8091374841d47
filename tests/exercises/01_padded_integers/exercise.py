"""Exercise 1. Edit this file, then run: .venv/bin/python -m tests.exercises 1"""

from decimal import Decimal
from typing import Union


def to_padded_integer(number: Union[float, Decimal], decimal_places: int, multiple: int = 1) -> str:
    """Return a price, a size or an amount of money as the padded integer for the wallet.

    Args:
        number: in human units, for example 18.5.
        decimal_places: of the market's prices, of its sizes, or of the asset; may be negative.
        multiple: the tick size, a padded integer. The result must be the nearest multiple of it.
    """
    # The tutorial's way. It ignores `multiple`, and it has another fault.
    return str(int(number * 10**decimal_places))
