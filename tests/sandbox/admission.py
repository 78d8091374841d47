"""What keeps an order from getting as far as the book: a closed market, terms that do not fit it, or, on spot, an empty purse."""

from typing import Optional

from .amendments import FOK, GFA, GFN, IOC
from .book import MARKET
from .ledger import Ledger
from .market import Market
from .records import BUY, Order

NOT_IN_AUCTION = {
    GFN: "ORDER_ERROR_CANNOT_SEND_GFN_ORDER_DURING_AN_AUCTION",
    IOC: "ORDER_ERROR_CANNOT_SEND_IOC_ORDER_DURING_AUCTION",
    FOK: "ORDER_ERROR_CANNOT_SEND_FOK_ORDER_DURING_AUCTION",
}


def refusal(market: Market, order: Order, ledger: Ledger) -> Optional[str]:
    """Return the error with which a new order is rejected at once, or None."""
    if not market.can_trade:
        return "ORDER_ERROR_MARKET_CLOSED"
    if market.in_auction and order.time_in_force in NOT_IN_AUCTION:
        return NOT_IN_AUCTION[order.time_in_force]
    if not market.in_auction and order.time_in_force == GFA:
        return "ORDER_ERROR_CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING"
    if order.expires_at and order.expires_at < order.created_at:
        return "ORDER_ERROR_INVALID_EXPIRATION_DATETIME"
    if order.price % market.tick_size:
        return "ORDER_ERROR_PRICE_NOT_IN_TICK_SIZE"
    if market.is_spot and not _can_pay(market, order, ledger):
        return "ORDER_ERROR_INSUFFICIENT_ASSET_BALANCE"
    return None


def _can_pay(market: Market, order: Order, ledger: Ledger) -> bool:
    """A seller needs the base, a buyer the price: of the whole order at its limit, or of what a market order would buy."""
    if order.type == MARKET and order.side == BUY:
        fills, _ = market.book.meet(order)
        return ledger.can_pay(market, order, sum(resting.price * size for resting, size in fills), 1)
    return ledger.can_pay(market, order, order.price, order.size)
