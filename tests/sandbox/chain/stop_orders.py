"""Stop orders of one market: orders that wait until the last traded price reaches a trigger, or until they expire.

The data node shows them on paths that the bot does not use, so only their effects exist here. As in Vega's
`SubmitStopOrdersWithIDGeneratorAndOrderIDs` (core/execution/future/market.go) and core/execution/stoporders at v0.77.6.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Optional

from tests.sandbox.chain.exposure import Exposure
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.market import OPENING, Market
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.chain.uint_limits import read_uint

MAX_STOP_ORDERS = 4  # of a party on a market; spam.protection.max.stopOrdersPerMarket

Submission = tuple[str, dict[str, Any]]  # party, terms of an order


@dataclass
class StopOrder:
    """One stop order: what to submit, and when."""

    id: str
    party_id: str
    submission: dict[str, Any]
    rises: bool
    price: Optional[int]  # padded
    offset: Fraction  # without a price: how far the price must turn back from its best value since then
    best_price: int  # the highest since then, or the lowest if the order waits for a rise
    expires_at: int  # ns; 0 if it does not expire
    submits_at_expiry: bool
    position_share: Optional[Fraction]  # replaces the size by a part of the position
    other_id: str = ""  # one cancels the other

    def follow(self, price: int) -> bool:
        """Note a new price, and return whether it triggers the order."""
        if self.price is not None:
            return price >= self.price if self.rises else price <= self.price
        if self.rises:
            self.best_price = min(self.best_price, price)
            return price > self.best_price and self.best_price * (1 + self.offset) <= price
        self.best_price = max(self.best_price, price)
        return price < self.best_price and self.best_price * (1 - self.offset) >= price

    @property
    def urgency(self) -> tuple[bool, bool, int]:
        """Orders that trigger together run in this order: price triggers first, of those falling ones first, the farthest first."""
        return self.price is None, self.rises, (self.price or 0) * (1 if self.rises else -1)


class StopOrders:
    """The stop orders of one market."""

    def __init__(self, market: Market, journal: Journal) -> None:
        self._market = market
        self._journal = journal
        self._orders: dict[str, StopOrder] = {}  # by id, oldest first

    def submit(self, party_id: str, terms: dict[str, Any], exposure: Optional[Exposure]) -> list[Submission]:
        """Take in one stop order, or two of which one cancels the other. Return the order of one that triggers at once."""
        stops = [self._build(party_id, terms[side], side == "risesAbove") for side in ("fallsBelow", "risesAbove") if side in terms]
        if not self._are_allowed(party_id, stops) or not (self._market.is_spot or _close_position(stops, exposure)):
            return []
        at_once = [] if self._market.in_auction else [stop for stop in stops if stop.price is not None and self._is_reached(stop)]
        if at_once:
            return [(party_id, at_once[0].submission)]
        for stop, other in zip(stops, reversed(stops), strict=True):
            stop.other_id = other.id if len(stops) > 1 else ""
            self._orders[stop.id] = stop
        return []

    def cancel(self, party_id: str, stop_id: str = "") -> None:
        """Cancel a party's stop order and the one it is linked to, or all of a party."""
        for stop in list(self._orders.values()):
            if stop.party_id == party_id and (not stop_id or stop_id in (stop.id, stop.other_id)):
                del self._orders[stop.id]

    def triggered(self, exposures: dict[str, Exposure]) -> list[Submission]:
        """Return the orders that the last traded price triggers; orders linked to them are gone."""
        if not self._orders:
            return []
        price = self._market.last_traded_price
        triggered = sorted((stop for stop in self._orders.values() if stop.follow(price)), key=lambda stop: stop.urgency)
        for stop in triggered:
            self._remove(stop)
        self._note_wrong_sides(exposures)
        return self._submissions(triggered, exposures)

    def expired(self, exposures: dict[str, Exposure]) -> list[Submission]:
        """Return the orders of expired stop orders that are to be submitted then; in an auction none is."""
        now = self._journal.now
        expired = [stop for stop in self._orders.values() if stop.expires_at and stop.expires_at <= now]
        for stop in expired:
            self._remove(stop)
        submitted = [stop for stop in expired if stop.submits_at_expiry and not self._market.in_auction]
        return self._submissions(sorted(submitted, key=lambda stop: stop.id), exposures)

    def _build(self, party_id: str, setup: dict[str, Any], rises: bool) -> StopOrder:
        share = None
        if setup.get("sizeOverrideSetting") == "SIZE_OVERRIDE_SETTING_POSITION":
            share = Fraction((setup.get("sizeOverrideValue") or {}).get("percentage") or "1")
        return StopOrder(
            id=self._journal.new_id("stop order"),
            party_id=party_id,
            submission=setup["orderSubmission"],
            rises=rises,
            price=read_uint(setup["price"]) if "price" in setup else None,
            offset=Fraction(setup.get("trailingPercentOffset") or 0),
            best_price=self._market.last_traded_price,
            expires_at=setup.get("expiresAt", 0),
            submits_at_expiry=setup.get("expiryStrategy") == "EXPIRY_STRATEGY_SUBMIT",
            position_share=share,
        )

    def _are_allowed(self, party_id: str, stops: list[StopOrder]) -> bool:
        market, now = self._market, self._journal.now
        if market.trading_mode == OPENING or not market.can_trade:
            return False
        expiries = [stop.expires_at for stop in stops if stop.expires_at]
        if any(expiry < now for expiry in expiries) or (len(expiries) == 2 and expiries[0] == expiries[1]):
            return False
        if market.is_spot and any(stop.position_share is not None for stop in stops):
            return False
        return sum(stop.party_id == party_id for stop in self._orders.values()) + len(stops) <= MAX_STOP_ORDERS

    def _is_reached(self, stop: StopOrder) -> bool:
        return stop.follow(self._market.last_traded_price)

    def _remove(self, stop: StopOrder) -> None:
        self._orders.pop(stop.id, None)
        self._orders.pop(stop.other_id, None)

    def _note_wrong_sides(self, exposures: dict[str, Exposure]) -> None:
        """Forget the expiry of orders for a part of the position that could only enlarge it by now.

        As in `CheckDirection` of core/execution/stoporders/stop_orders.go, which reports them as cancelled but keeps them: they are
        submitted if the position has turned again when their price comes.
        """
        for stop in self._orders.values():
            size = exposures[stop.party_id].size if stop.party_id in exposures else 0
            if stop.position_share is not None and size and stop.submission["side"] != (SELL if size > 0 else BUY):
                stop.expires_at = 0

    @staticmethod
    def _submissions(stops: list[StopOrder], exposures: dict[str, Exposure]) -> list[Submission]:
        found = []
        for stop in stops:
            submission = dict(stop.submission)
            if stop.position_share is not None:
                position = exposures[stop.party_id].size if stop.party_id in exposures else 0
                size = int(abs(position) * stop.position_share + Fraction(1, 2))
                if not size or submission["side"] != (SELL if position > 0 else BUY):
                    continue
                submission["size"] = size
            found.append((stop.party_id, submission))
        return found


def _close_position(stops: list[StopOrder], exposure: Optional[Exposure]) -> bool:
    """Return whether the stop orders can close a position that the party has, or that its orders could open."""
    if exposure is None or not all(stop.submission.get("reduceOnly") for stop in stops):
        return False
    potential = exposure.size - exposure.sell + exposure.buy
    if stops[0].submission["side"] == BUY:
        return potential < 0 or exposure.size < 0
    return potential > 0 or exposure.size > 0
