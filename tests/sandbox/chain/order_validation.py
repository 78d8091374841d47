"""Validation of new orders before matching: market state and order terms."""

from typing import Optional

from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import BUY, FOK, GFA, GFN, IOC, LIMIT, REJECTED, Order

NOT_IN_AUCTION = {
    GFN: "ORDER_ERROR_CANNOT_SEND_GFN_ORDER_DURING_AN_AUCTION",
    IOC: "ORDER_ERROR_CANNOT_SEND_IOC_ORDER_DURING_AUCTION",
    FOK: "ORDER_ERROR_CANNOT_SEND_FOK_ORDER_DURING_AUCTION",
}
BEST_BID, BEST_OFFER, MID = "PEGGED_REFERENCE_BEST_BID", "PEGGED_REFERENCE_BEST_ASK", "PEGGED_REFERENCE_MID"


def reject(market: Market, order: Order) -> bool:
    """Reject a new order if its terms do not fit its market. Return whether it was rejected."""
    order.reason = _reason(market, order)
    # Vega defines PRICE_NOT_IN_TICK_SIZE but does not report it: `validateOrder` sets a reason in every case except this one.
    off_tick = (order.peg.offset if order.peg else order.price) % market.tick_size
    if order.reason or off_tick:
        order.status = REJECTED
    return order.status == REJECTED


def _reason(market: Market, order: Order) -> Optional[str]:
    if market.in_auction and order.time_in_force in NOT_IN_AUCTION:
        return NOT_IN_AUCTION[order.time_in_force]
    if not market.in_auction and order.time_in_force == GFA:
        return "ORDER_ERROR_CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING"
    if order.expires_at and order.expires_at < order.created_at:
        return "ORDER_ERROR_INVALID_EXPIRATION_DATETIME"
    return _peg_reason(order) if order.peg else None


def _peg_reason(order: Order) -> Optional[str]:
    assert order.peg is not None
    reference = order.peg.reference
    if order.type != LIMIT:
        return "ORDER_ERROR_MUST_BE_LIMIT_ORDER"
    if (order.time_in_force in NOT_IN_AUCTION and order.time_in_force != GFN) or order.time_in_force == GFA:
        return "ORDER_ERROR_MUST_BE_GTT_OR_GTC"
    if order.side == BUY and reference == BEST_OFFER:
        return "ORDER_ERROR_BUY_CANNOT_REFERENCE_BEST_ASK_PRICE"
    if order.side != BUY and reference == BEST_BID:
        return "ORDER_ERROR_SELL_CANNOT_REFERENCE_BEST_BID_PRICE"
    if reference == MID and not order.peg.offset:
        return "ORDER_ERROR_OFFSET_MUST_BE_GREATER_THAN_ZERO"
    return None
