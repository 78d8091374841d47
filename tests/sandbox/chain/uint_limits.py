"""The widest numbers that the network holds. An instruction beyond them vanishes: a wallet takes it, and no event comes of it."""

from typing import Optional

from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import Order

UINT_BITS = 256  # of a price or an amount
POSITION_BITS = 63  # of what a position would be on one side, were all its orders filled
_DIGITS = len(str(2**UINT_BITS))


def read_uint(text: str) -> Optional[int]:
    """Return a padded price or amount, 0 where there is none; None where it is too wide. `commands` has seen that it is a number."""
    digits = text.lstrip("+0") or "0"
    if len(digits) > _DIGITS:  # first: Python refuses to read thousands of digits
        return None
    number = int(digits)
    return number if number < 2**UINT_BITS else None


def fits(market: Market, order: Order, more: int) -> bool:
    """Say whether an order's side can take so much more of its party; spot markets, without positions, take any size."""
    return market.is_spot or more <= 0 or market.book.resting(order.party_id, order.side) + more < 2**POSITION_BITS
