"""How well a liquidity provider keeps its commitment, and what it loses otherwise."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Optional

MIN_TIME = Fraction("0.5")  # the part of an epoch for which a commitment must be kept
COMPETITION = Fraction("0.5")  # the part of its fees that a provider loses who keeps the commitment just long enough
BOND_PENALTY_SLOPE = 1
MAX_BOND_PENALTY = Fraction("0.5")


@dataclass(frozen=True)
class Penalties:
    """Parts of a provider's fees and commitment."""

    fee: Fraction
    bond: Fraction


class Performance:
    """One provider's performance in the current epoch."""

    def __init__(self) -> None:
        self._since: Optional[int] = None  # ns; since when the commitment is kept, if it is
        self._kept = 0  # ns, before that
        self._last_fee_penalty: Optional[Fraction] = None

    def begin(self, is_kept: bool, now: int) -> None:
        """Begin a new epoch."""
        self._since, self._kept = now if is_kept else None, 0

    def note(self, is_kept: bool, now: int) -> None:
        if is_kept and self._since is None:
            self._since = now
        elif not is_kept and self._since is not None:
            self._kept += now - self._since
            self._since = None

    def penalties(self, start: int, now: int) -> Penalties:
        """Return the penalties for the epoch from `start` to `now`. The fee penalty is at least that of the epoch before."""
        kept = self._kept + (now - self._since if self._since is not None else 0)
        fraction = min(Fraction(1), Fraction(kept, now - start)) if now > start else Fraction(0)
        fee, bond = Fraction(1), Fraction(0)
        if fraction < MIN_TIME:
            bond = min(MAX_BOND_PENALTY, BOND_PENALTY_SLOPE * (1 - fraction / MIN_TIME))
        else:
            fee = (1 - (fraction - MIN_TIME) / (1 - MIN_TIME)) * COMPETITION
        last, self._last_fee_penalty = self._last_fee_penalty, fee
        return Penalties(fee if last is None else max(fee, last), bond)
