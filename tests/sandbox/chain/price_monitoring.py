"""Price monitoring: the bounds that trade prices must keep, and how long an auction lasts that a price outside of them causes.

Each trigger has a horizon. Its reference price is the average price of the last block that is at least as old as the horizon; its bounds
are the range in which the price stays, by the market's log-normal risk model, with the trigger's probability over the horizon.
Prices are asset prices, times chain nanoseconds.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Optional

SECOND = 10**9  # ns
YEAR = 365.25 * 24 * 60 * 60  # s
VOLATILITY = 1.0  # sigma of the recorded markets' risk model, per year; its drift is 0


@dataclass
class Trigger:
    """One pair of bounds."""

    horizon: int  # s
    probability: str  # a decimal number, as in the API
    auction_extension: int  # s
    active: bool = True
    down: Fraction = field(init=False)  # bounds as fractions of the reference price
    up: Fraction = field(init=False)

    def __post_init__(self) -> None:
        years = self.horizon / YEAR
        width = NormalDist().inv_cdf((1 + float(self.probability)) / 2) * VOLATILITY * math.sqrt(years)
        drift = -(VOLATILITY**2) * years / 2
        # Decimals of 16 digits, as Vega's core keeps the factors; from here on all arithmetic is exact.
        self.down, self.up = (Fraction(f"{math.exp(drift + sign * width):.16f}") for sign in (-1, 1))

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> "Trigger":
        """Return a trigger of the markets file."""
        return cls(entry["horizon"], entry["probability"], entry["auction_extension"])


@dataclass(frozen=True)
class Bounds:
    """The valid prices of a trigger, at present."""

    trigger: Trigger
    minimum: int
    maximum: int
    reference: Fraction


class PriceMonitor:
    """The bounds of one market, and the prices that they depend on."""

    def __init__(self, triggers: Optional[list[Trigger]] = None) -> None:
        self.triggers = sorted(triggers or [], key=lambda trigger: trigger.horizon)
        self._now = 0
        self._prices: list[int] = []  # of this block
        self._averages: deque[tuple[int, Fraction]] = deque()  # (block time, average price), oldest first
        self._cache: dict[int, Bounds] = {}  # by index of the trigger; they change once a block, and with a new history

    def begin_block(self, now: int) -> None:
        """Average the prices of the last block."""
        if not self.triggers or now == self._now:
            return
        if self._prices:
            self._averages.append((self._now, Fraction(sum(self._prices), len(self._prices))))
        self._prices, self._now = [], now
        oldest = now - self.triggers[-1].horizon * SECOND
        while len(self._averages) > 1 and self._averages[0][0] < oldest:
            self._averages.popleft()
        self._cache.clear()

    def record(self, asset_price: int) -> None:
        """Add a mark price to the history."""
        if self.triggers and asset_price:
            self._prices.append(asset_price)

    def reset(self, asset_price: int) -> None:
        """Start a new history with one price (0: with the last one), and activate all bounds."""
        if asset_price:
            self._prices, self._averages = [asset_price], deque()
        elif self._averages:
            self._averages = deque([self._averages[-1]])
        self._cache.clear()
        self.activate()

    def activate(self) -> None:
        for trigger in self.triggers:
            trigger.active = True

    def bounds(self) -> list[Bounds]:
        """Return the bounds of the active triggers."""
        if not self._prices and not self._averages:
            return []
        return [self._bounds(index) for index, trigger in enumerate(self.triggers) if trigger.active]

    def violated(self, asset_price: int) -> Optional[Trigger]:
        """Return the first active trigger whose bounds a price violates, and deactivate it; None if there is none."""
        if not asset_price:
            return None
        for bounds in self.bounds():
            if not bounds.minimum <= asset_price <= bounds.maximum:
                bounds.trigger.active = False
                return bounds.trigger
        return None

    def _bounds(self, index: int) -> Bounds:
        if index not in self._cache:
            trigger = self.triggers[index]
            reference = self._reference(trigger)
            limits = math.ceil(reference * trigger.down), math.floor(reference * trigger.up)
            self._cache[index] = Bounds(trigger, *limits, reference)
        return self._cache[index]

    def _reference(self, trigger: Trigger) -> Fraction:
        if not self._averages:
            return Fraction(self._prices[0])
        before = self._now - trigger.horizon * SECOND
        index = bisect_right(self._averages, before, key=lambda entry: entry[0])
        return self._averages[max(0, index - 1)][1]
