"""Trading fees: how much each side of a trade pays.

In continuous trading the incoming side pays all fees, and the maker fee goes to the other side. At the end of a price monitoring
auction both sides pay half of the infrastructure and liquidity fees. Every fee is rounded up to a whole unit of the asset.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from tests.sandbox.chain.records import Fees

FREE = Fees()


class FeeRule(Enum):
    """Who pays the fees of a trade."""

    AGGRESSOR = "aggressor"  # continuous trading
    SHARED = "shared"  # the end of a price monitoring auction
    BUYER = "buyer"  # the end of other auctions
    FREE = "free"  # the end of the opening auction


@dataclass
class FeeFactors:
    """Fees as fractions of a trade's value."""

    maker: Fraction = Fraction(0)
    infrastructure: Fraction = Fraction(0)
    liquidity: Fraction = Fraction(0)

    def continuous(self, value: tuple[int, int]) -> Fees:
        """Return the fees of the incoming side; `value` is the trade's value in asset units, as numerator and denominator."""
        return Fees(_round_up(value, self.maker), _round_up(value, self.infrastructure), _round_up(value, self.liquidity))

    def auction(self, value: tuple[int, int]) -> Fees:
        """Return the fees that each side pays in a price monitoring auction."""
        return Fees(0, -(-_round_up(value, self.infrastructure) // 2), -(-_round_up(value, self.liquidity) // 2))


def _round_up(value: tuple[int, int], factor: Fraction) -> int:
    return -(-value[0] * factor.numerator // (value[1] * factor.denominator))
