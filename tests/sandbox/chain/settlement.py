"""Mark to market: what each party of a market owes or gets when positions are settled at a new mark price.

Open volume is settled against the last mark price, and each trade since then against its own price. Amounts are rounded down to whole
units of the asset; where losses exceed gains by rounding, the surplus goes to parties with a gain of zero, one unit each, then to the
party with the largest gain.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.sandbox.chain.exposure import Exposure


@dataclass
class Settlement:
    """One party's part of a settlement, padded settlement asset."""

    party_id: str
    amount: int
    is_loss: bool


class SettlementEngine:
    """The positions of one market that are settled, and the trades that are not."""

    def __init__(self, unit: tuple[int, int], mark_price: int) -> None:
        self._unit = unit
        self._settled: dict[str, int] = {}  # party -> open volume at the last settlement
        self._trades: dict[str, list[tuple[int, int]]] = {}  # party -> (asset price, size; below zero for a sale)
        self._mark_price = mark_price

    @property
    def has_trades(self) -> bool:
        return bool(self._trades)

    def add_trade(self, buyer: str, seller: str, asset_price: int, size: int) -> None:
        self._trades.setdefault(buyer, []).append((asset_price, size))
        self._trades.setdefault(seller, []).append((asset_price, -size))

    def has_position(self, party_id: str) -> bool:
        """Return whether the party has a settled position and trades since; its margin is not released then."""
        return party_id in self._settled and party_id in self._trades

    def settle(self, exposures: Iterable[Exposure], mark_price: int) -> list[Settlement]:
        """Settle all positions at a mark price. Return losses first, then gains; parties without an amount are included."""
        trades, self._trades = self._trades, {}
        losses: list[Settlement] = []
        gains: list[Settlement] = []
        unrounded: list[Settlement] = []  # gains of zero, of parties with a position
        largest, largest_gain = None, 0
        for exposure in exposures:
            party_id = exposure.party_id
            known = party_id in self._settled
            volume = self._settled[party_id] if known else 0
            last_price = self._mark_price if known else 0
            self._settled.setdefault(party_id, exposure.size)
            traded = trades.get(party_id)
            idle = not volume and not last_price and not exposure.buy and not exposure.sell
            if traded is None and (last_price == mark_price or idle):
                continue
            value, is_loss = _change(volume, last_price, traded or [], mark_price)
            self._settled[party_id] = exposure.size
            if exposure.is_empty:
                del self._settled[party_id]
            part = Settlement(party_id, value * self._unit[0] // self._unit[1], is_loss)
            if is_loss and part.amount:
                losses.append(part)
                continue
            gains.append(part)
            if is_loss:
                continue
            if not part.amount and (traded is not None or exposure.size):
                unrounded.append(part)
            if value > largest_gain:
                largest, largest_gain = part, value
        surplus = sum(part.amount for part in losses) - sum(part.amount for part in gains if not part.is_loss)
        if surplus > 0:
            gains = self._distribute(surplus, gains, unrounded, largest)
        self._mark_price = mark_price
        return losses + gains

    def take_over(self, party_id: str, successor: str) -> None:
        """Move what a closed-out party held, and its unsettled trades, to the network."""
        self._settled[successor] = self._settled.get(successor, 0) + self._settled.pop(party_id, 0)
        trades = self._trades.pop(party_id, [])
        if trades:
            self._trades.setdefault(successor, []).extend(trades)

    @staticmethod
    def _distribute(surplus: int, gains: list[Settlement], unrounded: list[Settlement], largest: "Settlement | None") -> list[Settlement]:
        for part in unrounded:
            if not surplus:
                break
            part.amount += 1
            surplus -= 1
        if surplus and largest:
            largest.amount += surplus
        elif surplus and gains:
            gains[-1].amount += surplus
            gains[-1].is_loss = False
        return gains


def _change(volume: int, last_price: int, trades: list[tuple[int, int]], mark_price: int) -> tuple[int, bool]:
    """Return how much a position gained or lost, times the size unit, and whether it lost.

    The sign of a zero decides who gets rounding remainders: it is that of the last summand that was added to zero.
    """
    total = (mark_price - last_price) * volume
    is_loss = (mark_price < last_price) != (volume < 0)
    for price, size in trades:
        gain = (mark_price - price) * size
        if total == 0:
            is_loss = (mark_price < price) != (size < 0)
        total += gain
        if total:
            is_loss = total < 0
    return abs(total), is_loss
