"""Order amendments: the amended copy of an order, and the rules that an amendment must satisfy."""

from dataclasses import replace
from typing import Any, Optional

from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import Order
from tests.sandbox.chain.uint_limits import fits_position_limit, read_uint

GTC, GTT, IOC, FOK = "TIME_IN_FORCE_GTC", "TIME_IN_FORCE_GTT", "TIME_IN_FORCE_IOC", "TIME_IN_FORCE_FOK"
GFA, GFN = "TIME_IN_FORCE_GFA", "TIME_IN_FORCE_GFN"
UNSPECIFIED = "TIME_IN_FORCE_UNSPECIFIED"


def amended_copy(order: Order, terms: dict[str, Any], now: int) -> Optional[Order]:
    """Return a copy of the order with the decoded amendment `terms` applied; None if the price exceeds the network's range."""
    price = read_uint(terms["price"]) if "price" in terms else order.price
    if price is None:
        return None
    amended = replace(order, version=order.version + 1, updated_at=now)
    change = terms["size"] - order.size if "size" in terms else terms.get("sizeDelta", 0)
    amended.size += change
    amended.remaining += change
    amended.price = price
    if terms.get("timeInForce", UNSPECIFIED) != UNSPECIFIED:
        amended.time_in_force = terms["timeInForce"]
        amended.expires_at = 0
    amended.expires_at = terms.get("expiresAt", amended.expires_at)
    return amended


def is_allowed(market: Market, order: Order, amended: Order, terms: dict[str, Any]) -> bool:
    """Check Vega's amendment rules. An amendment that breaks one has no effect."""
    time_in_force = terms.get("timeInForce", UNSPECIFIED)
    changes_force = time_in_force not in (UNSPECIFIED, order.time_in_force)
    if time_in_force in (IOC, FOK) or (changes_force and {time_in_force, order.time_in_force} & {GFA, GFN}):
        return False
    if time_in_force == GTC and "expiresAt" in terms:
        return False
    if time_in_force == GTT and amended.expires_at <= order.created_at:
        return False
    if amended.expires_at and amended.expires_at < order.created_at and amended.remaining > 0:
        return False
    if not fits_position_limit(market, amended, amended.remaining - order.remaining):
        return False
    return not terms.keys() & {"peggedOffset", "peggedReference"} and amended.price % market.tick_size == 0


def changes_nothing(order: Order, amended: Order) -> bool:
    """Return whether only the version differs; Vega then requires no margin."""
    return all(getattr(order, name) == getattr(amended, name) for name in ("price", "size", "time_in_force", "expires_at"))


def apply(amended: Order, order: Order) -> None:
    """Copy the amended terms into the order. The book and the archive keep references to the same object."""
    order.price, order.size, order.remaining = amended.price, amended.size, amended.remaining
    order.time_in_force, order.expires_at = amended.time_in_force, amended.expires_at
    order.version, order.updated_at = amended.version, amended.updated_at
