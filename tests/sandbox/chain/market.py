"""One market: its terms, state and book; and how an entry of the markets file becomes a market."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any, Optional

from tests.sandbox.chain.book import Book
from tests.sandbox.chain.records import BUY, SELL, Asset

ACTIVE_STATE, SUSPENDED_STATE = "STATE_ACTIVE", "STATE_SUSPENDED_VIA_GOVERNANCE"
CONTINUOUS, SUSPENDED, NO_TRADING = "TRADING_MODE_CONTINUOUS", "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE", "TRADING_MODE_NO_TRADING"
TRADABLE_STATES = (ACTIVE_STATE, SUSPENDED_STATE, "STATE_PENDING", "STATE_SUSPENDED")
UNOPENED_STATES = ("STATE_CANCELLED", "STATE_REJECTED")  # ended before trading began
FINAL_STATES = (*UNOPENED_STATES, "STATE_CLOSED", "STATE_SETTLED")
NO_TRIGGER = "AUCTION_TRIGGER_UNSPECIFIED"
TRIGGERS = {  # the trigger that market data show in such an auction
    "TRADING_MODE_OPENING_AUCTION": "AUCTION_TRIGGER_OPENING",
    "TRADING_MODE_MONITORING_AUCTION": "AUCTION_TRIGGER_PRICE",
    "TRADING_MODE_BATCH_AUCTION": "AUCTION_TRIGGER_BATCH",
    "TRADING_MODE_LONG_BLOCK_AUCTION": "AUCTION_TRIGGER_LONG_BLOCK",
    SUSPENDED: "AUCTION_TRIGGER_GOVERNANCE_SUSPENSION",
}
SPOT = "spot"
MARK_INTERVAL = 5 * 10**9  # ns; network.markPriceUpdateMaximumFrequency of the network recorded


@dataclass
class Market:
    """Prices and sizes are padded integers, times chain nanoseconds."""

    id: str
    name: str
    product: str  # future, perpetual, spot
    price_decimals: int
    size_decimals: int
    tick_size: int
    settlement_asset: Asset  # spot: the quote asset
    base_asset: Optional[Asset]  # spot only
    last_exact_price: Fraction  # of the last trade
    mark_price: int  # as the market data of this block show it: the network marks to market after sending them
    current_mark_price: Fraction  # used for margins; the market data of the next block show it
    next_mark_to_market: int  # as the market data of this block show it
    mark_due: int  # ns; the next mark to market happens at the end of the first block at or after this
    state: str = ACTIVE_STATE
    trading_mode: str = CONTINUOUS
    trigger: str = NO_TRIGGER
    auction_start: int = 0  # 0 outside auctions
    auctions_completed: int = 1  # includes the opening auction; orders get this count as their batch id
    traded: bool = False  # since the last mark to market
    open_interest: int = 0
    book: Book = field(default_factory=Book)

    @property
    def is_spot(self) -> bool:
        return self.product == SPOT

    @property
    def in_auction(self) -> bool:
        return self.trading_mode not in (CONTINUOUS, NO_TRADING)

    @property
    def can_trade(self) -> bool:
        return self.state in TRADABLE_STATES

    @property
    def best_bid(self) -> tuple[int, int]:
        """Price and volume; zeros if there are no bids."""
        return self.book.best(BUY)

    @property
    def best_offer(self) -> tuple[int, int]:
        """Price and volume; zeros if there are no offers."""
        return self.book.best(SELL)

    @property
    def last_traded_price(self) -> int:
        """Padded, as market data show it."""
        return floor(self.last_exact_price)

    @property
    def indicative(self) -> tuple[int, int]:
        """Price (as market data show it) and volume at which the auction would end now; zeros outside auctions."""
        price, volume = self.book.uncrossing() if self.in_auction else (0, 0)
        return floor(price), volume

    def uncrossing(self) -> tuple[Fraction, int]:
        """Price and volume at which the auction ends. A midpoint between two padded prices is exact up to the asset's decimals."""
        price, volume = self.book.uncrossing()
        units = 10 ** max(0, self.settlement_asset.decimals - self.price_decimals)
        return Fraction(floor(price * units), units), volume

    def depth(self, side: str) -> list[tuple[int, int]]:
        """Price and volume of each level of a side, best first."""
        return self.book.depth(side)

    @property
    def scale(self) -> Fraction:
        """Padded asset amount per padded price and padded size: amount = price * size * scale."""
        return Fraction(10) ** (self.settlement_asset.decimals - self.price_decimals - self.size_decimals)

    def begin_block(self) -> None:
        """Publish the mark price of the last mark to market in the market data of the new block."""
        self.mark_price, self.next_mark_to_market = floor(self.current_mark_price), self.mark_due

    def set_state(self, state: str, trading_mode: str, now: int) -> None:
        was_in_auction = self.in_auction
        self.state, self.trading_mode = state, trading_mode
        self.trigger = TRIGGERS.get(trading_mode, NO_TRIGGER)
        if not self.in_auction:
            self.auction_start = 0
        elif not was_in_auction:
            self.auction_start = now


def build_market(market_id: str, entry: Mapping[str, Any], assets: Mapping[str, Asset], now: int) -> Market:
    """Make an open market with an empty book from its entry in the markets file; `assets` are by symbol.

    Raises:
        ValueError: the entry is invalid; the message is one line.
    """
    name = entry.get("name", "without a name")
    try:
        price = _padded(entry["first_price"], entry["price_decimals"])
        spot = entry["product"] == SPOT
        market = Market(
            id=market_id,
            name=entry["name"],
            product=entry["product"],
            price_decimals=entry["price_decimals"],
            size_decimals=entry["size_decimals"],
            tick_size=entry["tick_size"],
            settlement_asset=assets[entry["quote_asset" if spot else "settlement_asset"]],
            base_asset=assets[entry["base_asset"]] if spot else None,
            last_exact_price=Fraction(price),
            mark_price=price,
            current_mark_price=Fraction(price),
            next_mark_to_market=now + MARK_INTERVAL,
            mark_due=now + MARK_INTERVAL,
        )
    except KeyError as error:
        raise ValueError(f"market {name}: {error} is missing or unknown") from None
    if market.product not in ("future", "perpetual", SPOT):
        raise ValueError(f"market {name}: unknown product {market.product!r}")
    if market.tick_size < 1:
        raise ValueError(f"market {name}: tick_size must be at least 1, not {market.tick_size}")
    if price < 1:  # The tick size does not apply: it is a rule for order prices.
        decimals = market.price_decimals
        raise ValueError(f"market {name}: first_price {entry['first_price']} is not a price above zero of at most {decimals} decimals")
    return market


def _padded(number: str, decimals: int) -> int:
    padded = Fraction(number) * 10**decimals
    return padded.numerator if padded.denominator == 1 else 0  # 0 is not a valid price
