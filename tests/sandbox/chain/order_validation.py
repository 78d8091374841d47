"""Validation of new orders before matching: market state, order terms, and on spot the balance."""

from typing import Optional

from tests.sandbox.chain.amendments import FOK, GFA, GFN, IOC
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import REJECTED, Order
from tests.sandbox.chain.uint_limits import fits_position_limit

NOT_IN_AUCTION = {
    GFN: "ORDER_ERROR_CANNOT_SEND_GFN_ORDER_DURING_AN_AUCTION",
    IOC: "ORDER_ERROR_CANNOT_SEND_IOC_ORDER_DURING_AUCTION",
    FOK: "ORDER_ERROR_CANNOT_SEND_FOK_ORDER_DURING_AUCTION",
}


def reject(market: Market, order: Order) -> bool:
    """Reject a new order if its market is closed to it or its terms are invalid. Return whether it was rejected."""
    order.reason = _reason(market, order)
    # Vega defines PRICE_NOT_IN_TICK_SIZE but does not report it: `validateOrder` sets a reason in every case except this one.
    off_tick = bool(order.price % market.tick_size)
    if order.reason or off_tick:
        order.status = REJECTED
    return order.status == REJECTED


def vanishes(market: Market, order: Order, ledger: Ledger) -> bool:
    """Return whether a new order vanishes: the wallet accepts it, and the network sends no event.

    On spot this happens to orders that exceed the party's balance. INSUFFICIENT_ASSET_BALANCE is only for parties without any account
    of the asset. A market order to buy has no price, so its balance check follows when it is matched.
    """
    if market.is_spot:
        return not ledger.can_pay(market, order, order.price, order.size)
    return not fits_position_limit(market, order, order.size)


def _reason(market: Market, order: Order) -> Optional[str]:
    if not market.can_trade:
        return "ORDER_ERROR_MARKET_CLOSED"
    if market.in_auction and order.time_in_force in NOT_IN_AUCTION:
        return NOT_IN_AUCTION[order.time_in_force]
    if not market.in_auction and order.time_in_force == GFA:
        return "ORDER_ERROR_CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING"
    if order.expires_at and order.expires_at < order.created_at:
        return "ORDER_ERROR_INVALID_EXPIRATION_DATETIME"
    return None
