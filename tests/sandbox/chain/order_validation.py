"""What keeps an order from getting as far as the book: a closed market, terms that do not fit it, or, on spot, an empty purse."""

from typing import Optional

from tests.sandbox.chain.amendments import FOK, GFA, GFN, IOC
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import REJECTED, Order
from tests.sandbox.chain.uint_limits import fits

NOT_IN_AUCTION = {
    GFN: "ORDER_ERROR_CANNOT_SEND_GFN_ORDER_DURING_AN_AUCTION",
    IOC: "ORDER_ERROR_CANNOT_SEND_IOC_ORDER_DURING_AUCTION",
    FOK: "ORDER_ERROR_CANNOT_SEND_FOK_ORDER_DURING_AUCTION",
}


def reject(market: Market, order: Order) -> bool:
    """Reject a new order whose market is closed to it, or whose terms do not fit, and say whether it was."""
    order.reason = _reason(market, order)
    # The network knows PRICE_NOT_IN_TICK_SIZE, and does not give it: `validateOrder` sets a reason in every case but this one.
    off_tick = bool(order.price % market.tick_size)
    if order.reason or off_tick:
        order.status = REJECTED
    return order.status == REJECTED


def is_dropped(market: Market, order: Order, ledger: Ledger) -> bool:
    """Say whether the network forgets a new order without a word: the wallet has taken it, and no event comes of it.

    On spot that is what comes of an order beyond its party's balance: INSUFFICIENT_ASSET_BALANCE is for parties that have no account
    of that asset at all, and all here have one. A market order to buy names no price, so the purse is looked at once it meets the book.
    """
    if market.is_spot:
        return not ledger.can_pay(market, order, order.price, order.size)
    return not fits(market, order, order.size)


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
