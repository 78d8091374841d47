"""Order amendments: the amended copy of an order, and the rules that an amendment must satisfy."""

from typing import Any, Optional

from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import FOK, GFA, GFN, GTC, GTT, IOC, Order, Peg
from tests.sandbox.chain.uint_limits import read_uint

UNSPECIFIED = "TIME_IN_FORCE_UNSPECIFIED"


def to_microseconds(time: int) -> int:
    """Cut an expiry to whole microseconds, as a data node stores it; all block times are whole seconds or given by the wall clock."""
    return time - time % 1000 if time >= 1000 else time


def amended_copy(market: Market, order: Order, terms: dict[str, Any], now: int) -> Optional[Order]:
    """Return a copy of the order with the decoded amendment `terms` applied; None if the price exceeds the network's range."""
    price = read_uint(terms["price"]) if "price" in terms else order.price
    if price is None:
        return None
    amended = order.copy()
    amended.version, amended.updated_at = order.version + 1, now
    change = terms["size"] - order.size if "size" in terms else terms.get("sizeDelta", 0)
    amended.size += change
    if amended.iceberg and (change > 0 or amended.iceberg.reserved >= -change):
        amended.iceberg.reserved += change  # the visible part of an iceberg shrinks last
    elif amended.iceberg:
        amended.remaining += change + amended.iceberg.reserved
        amended.iceberg.reserved = 0
    else:
        amended.remaining += change
    if price != order.price:
        amended.price, amended.asset_price = price, market.to_asset_price(price)
    if terms.get("timeInForce", UNSPECIFIED) != UNSPECIFIED:
        amended.time_in_force = terms["timeInForce"]
        amended.expires_at = 0
    amended.expires_at = terms.get("expiresAt", amended.expires_at)
    if order.peg:
        offset = read_uint(terms["peggedOffset"]) if "peggedOffset" in terms else order.peg.offset
        reference = terms.get("peggedReference", order.peg.reference)
        if offset is None:
            return None
        amended.peg = Peg(order.peg.reference if reference == "PEGGED_REFERENCE_UNSPECIFIED" else reference, offset)
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
    changes_peg = bool(terms.keys() & {"peggedOffset", "peggedReference"})
    if order.peg:
        return "price" not in terms and not (changes_peg and _peg_crosses(amended))
    return not changes_peg and ("price" not in terms or amended.price % market.tick_size == 0)


def changes_nothing(order: Order, amended: Order) -> bool:
    """Return whether only the version differs; Vega then requires no margin."""
    return all(getattr(order, name) == getattr(amended, name) for name in ("asset_price", "size", "time_in_force", "expires_at"))


def apply(amended: Order, order: Order) -> None:
    """Copy the amended terms into the order. The book and the archive keep references to the same object."""
    for name in ("price", "asset_price", "size", "remaining", "time_in_force", "expires_at", "version", "updated_at", "peg", "iceberg"):
        setattr(order, name, getattr(amended, name))


def _peg_crosses(order: Order) -> bool:
    """Return whether a pegged order's reference is not allowed on its side, or has no offset although it needs one."""
    assert order.peg is not None
    wrong = "PEGGED_REFERENCE_BEST_ASK" if order.side == "SIDE_BUY" else "PEGGED_REFERENCE_BEST_BID"
    return order.peg.reference == wrong or (order.peg.reference == "PEGGED_REFERENCE_MID" and not order.peg.offset)
