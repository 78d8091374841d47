"""Integer ranges of the network. An instruction outside them is accepted by the wallet and has no effect."""

from typing import Optional

UINT_BITS = 256  # of a price or an amount
POSITION_BITS = 63  # of a potential position: the position after all orders of one side are filled
_DIGITS = len(str(2**UINT_BITS))


def read_uint(text: str) -> Optional[int]:
    """Return a padded price or amount; 0 for an empty text, None if it is out of range. `commands` has validated the syntax."""
    digits = text.lstrip("+0") or "0"
    if len(digits) > _DIGITS:  # Check before int(): Python raises ValueError for thousands of digits.
        return None
    number = int(digits)
    return number if number < 2**UINT_BITS else None


def fits_potential_position(on_side: int, more: int) -> bool:
    """Return whether orders of size `more` fit into a potential position with `on_side` already on that side."""
    return more <= 0 or on_side + more < 2**POSITION_BITS
