"""Margin levels of a party in cross margin mode, as Vega's risk engine calculates them.

In continuous trading open orders count at the mark price. In an auction they count at their own prices, or at the auction's price where
that gives more. Maintenance margin is rounded up, and the other levels are fractions of it, rounded down.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Optional

from tests.sandbox.chain.exposure import Exposure

# The log-normal model of the recorded markets (tau one hour, sigma 1, risk aversion 1e-6), and their scaling and slippage factors.
LONG_RISK, SHORT_RISK = Fraction("0.051531420845347675"), Fraction("0.05421518847848006")
SLIPPAGE = Fraction("0.001")
SEARCH, INITIAL, RELEASE = 110_000, 150_000, 170_000  # of maintenance margin, in units of 10^-5
_UNITS = 10**18  # the risk factors and the slippage factor are whole multiples of 1/_UNITS
_LONG, _SHORT, _SLIPPAGE = (int(factor * _UNITS) for factor in (LONG_RISK, SHORT_RISK, SLIPPAGE))


@dataclass(frozen=True)
class MarginLevels:
    """Padded settlement asset."""

    maintenance: int

    @property
    def search(self) -> int:
        """Below this level margin is topped up."""
        return self.maintenance * SEARCH // 100_000

    @property
    def initial(self) -> int:
        """The level for new orders, and after topping up or releasing."""
        return self.maintenance * INITIAL // 100_000

    @property
    def release(self) -> int:
        """From this level on margin is released."""
        return self.maintenance * RELEASE // 100_000


@dataclass(frozen=True)
class MarginPrices:
    """Asset prices that margins depend on."""

    mark: int
    in_auction: bool = False
    auction: Optional[int] = None  # the larger of indicative and mark price


def margin_levels(exposure: Exposure, prices: MarginPrices, unit: tuple[int, int], with_orders: bool = True) -> MarginLevels:
    """Return the margin levels of an exposure.

    Args:
        unit: the value of one padded size unit, as numerator and denominator: 1 / 10^size_decimals.
        with_orders: whether open orders count.
    """
    size = exposure.size
    buy, sell = (exposure.buy, exposure.sell) if with_orders else (0, 0)
    buy_value, sell_value = buy * prices.mark, sell * prices.mark
    if prices.in_auction and with_orders:
        auction = prices.auction or 0
        buy_value, sell_value = max(exposure.buy_product, buy * auction), max(exposure.sell_product, sell * auction)
    long = short = 0
    if size + buy > 0:
        long = max(size, 0) * prices.mark * (_SLIPPAGE + _LONG) + buy_value * _LONG
    if size - sell < 0:
        short = max(-size, 0) * prices.mark * (_SLIPPAGE + _SHORT) + sell_value * _SHORT
    return MarginLevels(-(-max(long, short) * unit[0] // (unit[1] * _UNITS)))
