"""One market: its terms, state and book; and how an entry of the markets file becomes a market."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, Optional

from tests.sandbox.chain.book import Book
from tests.sandbox.chain.fees import FeeFactors
from tests.sandbox.chain.price_monitoring import PriceMonitor, Trigger
from tests.sandbox.chain.records import BUY, SELL, Asset

ACTIVE_STATE, SUSPENDED_STATE = "STATE_ACTIVE", "STATE_SUSPENDED_VIA_GOVERNANCE"
PENDING_STATE, AUCTION_STATE = "STATE_PENDING", "STATE_SUSPENDED"
CONTINUOUS, SUSPENDED, NO_TRADING = "TRADING_MODE_CONTINUOUS", "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE", "TRADING_MODE_NO_TRADING"
OPENING, MONITORING = "TRADING_MODE_OPENING_AUCTION", "TRADING_MODE_MONITORING_AUCTION"
TRADABLE_STATES = (ACTIVE_STATE, SUSPENDED_STATE, PENDING_STATE, AUCTION_STATE)
UNOPENED_STATES = ("STATE_CANCELLED", "STATE_REJECTED")  # ended before trading began
FINAL_STATES = (*UNOPENED_STATES, "STATE_CLOSED", "STATE_SETTLED")
NO_TRIGGER, PRICE_TRIGGER = "AUCTION_TRIGGER_UNSPECIFIED", "AUCTION_TRIGGER_PRICE"
TRIGGERS = {  # the trigger that market data show in such an auction
    OPENING: "AUCTION_TRIGGER_OPENING",
    MONITORING: PRICE_TRIGGER,
    "TRADING_MODE_BATCH_AUCTION": "AUCTION_TRIGGER_BATCH",
    "TRADING_MODE_LONG_BLOCK_AUCTION": "AUCTION_TRIGGER_LONG_BLOCK",
    SUSPENDED: "AUCTION_TRIGGER_GOVERNANCE_SUSPENSION",
}
SPOT = "spot"
DEFAULT_FEES = {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0"}  # as on the second network recorded
SECOND = 10**9  # ns
MARK_INTERVAL = 5 * SECOND  # network.markPriceUpdateMaximumFrequency of the networks recorded
EPOCH_LENGTH = 24 * 60 * 60 * SECOND


class Terms(NamedTuple):
    """What an order price is counted in."""

    tick_size: int  # padded price
    price_decimals: int

    @property
    def unit(self) -> Fraction:
        """The price of one tick."""
        return Fraction(self.tick_size, 10**self.price_decimals)


@dataclass
class Market:
    """Prices and sizes are padded integers, times chain nanoseconds. Asset prices are in the decimals of the settlement asset."""

    id: str
    name: str
    product: str  # future, perpetual, spot
    price_decimals: int
    size_decimals: int
    tick_size: int
    settlement_asset: Asset  # spot: the quote asset
    base_asset: Optional[Asset]  # spot only
    last_asset_price: int  # of the last trade
    mark_asset_price: int  # used for margins; the market data of the next block show it
    mark_price: int  # as the market data of this block show it: the network marks to market after sending them
    next_mark_to_market: int  # as the market data of this block show it
    mark_due: int  # ns; the next mark to market happens at the end of the first block at or after this
    fees: FeeFactors = field(default_factory=FeeFactors)
    reorders_transactions: bool = False
    monitor: PriceMonitor = field(default_factory=PriceMonitor)
    state: str = ACTIVE_STATE
    trading_mode: str = CONTINUOUS
    trigger: str = NO_TRIGGER
    extension_trigger: str = NO_TRIGGER
    auction_start: int = 0  # 0 outside auctions
    auction_duration: int = 0  # ns; 0 for auctions without a fixed end
    auctions_completed: int = 1  # includes the opening auction; orders get this count as their batch id
    traded: bool = False  # since the last mark to market
    open_interest: int = 0
    epoch_start: int = 0  # ns
    epoch_length: int = EPOCH_LENGTH  # ns
    next_closeout: int = 0  # when the network next tries to close a position it took over; 0 if it has none
    book: Book = field(default_factory=Book)
    pending_terms: Optional[Terms] = None  # set by governance for the next block

    def __post_init__(self) -> None:
        self._set_price_decimals(self.price_decimals)
        # The value of one padded size unit, as numerator and denominator.
        self.unit = (_power(-self.size_decimals), _power(self.size_decimals))

    def _set_price_decimals(self, price_decimals: int) -> None:
        self.price_decimals = price_decimals
        shift = self.settlement_asset.decimals - price_decimals
        self._up, self._down = _power(shift), _power(-shift)

    @property
    def terms(self) -> Terms:
        return Terms(self.tick_size, self.price_decimals)

    @property
    def upcoming_terms(self) -> Terms:
        """The terms of the next block."""
        return self.pending_terms or self.terms

    def change_terms(self, terms: Terms) -> None:
        """Set tick size and price decimals. Asset prices stay the same, padded prices follow."""
        self.tick_size, self.pending_terms = terms.tick_size, None
        self._set_price_decimals(terms.price_decimals)
        self.mark_price = self.to_price(self.mark_asset_price)

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
    def auction_end(self) -> int:
        """0 for auctions without a fixed end, and outside auctions."""
        return self.auction_start + self.auction_duration if self.auction_start and self.auction_duration else 0

    def to_asset_price(self, price: int) -> int:
        """Convert a padded price. Where the asset has fewer decimals than the market, the rest is cut off.

        As in Vega, a price beyond the network's 256 bits wraps around.
        """
        return price * self._up // self._down % 2**256

    def to_price(self, asset_price: int) -> int:
        """Convert an asset price to a padded price, rounded down."""
        return asset_price * self._down // self._up

    def spam_price(self, side: str, offset: int) -> int:
        """Return the padded price at which an order without a price of its own counts for the minimum order value.

        As in `checkOrderForSpam` of core/execution/future/market.go, a price below zero wraps around to a very large one.
        """
        return (self.to_price(self.mark_asset_price) + (offset if side == BUY else -offset)) % 2**256

    @property
    def price_factor(self) -> Fraction:
        """Asset price per padded price."""
        return Fraction(self._up, self._down)

    @property
    def scale(self) -> Fraction:
        """Padded asset amount per padded price and padded size: amount = price * size * scale."""
        return self.price_factor * Fraction(*self.unit)

    @property
    def best_bid(self) -> tuple[int, int]:
        """Price and volume; zeros if there are no bids."""
        return self._padded(self.book.best(BUY))

    @property
    def best_offer(self) -> tuple[int, int]:
        """Price and volume; zeros if there are no offers."""
        return self._padded(self.book.best(SELL))

    @property
    def best_static(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Best bid and best offer without pegged orders."""
        return self._padded(self.book.best_static(BUY)), self._padded(self.book.best_static(SELL))

    @property
    def mid_asset_price(self) -> int:
        """The middle of the best static prices; 0 if a side is empty."""
        bid, offer = self.book.best_static(BUY)[0], self.book.best_static(SELL)[0]
        return (bid + offer) // 2 if bid and offer else 0

    @property
    def last_traded_price(self) -> int:
        """Padded, as market data show it."""
        return self.to_price(self.last_asset_price)

    @property
    def current_mark_price(self) -> Fraction:
        """The padded mark price that margins use; the market data of the next block show it."""
        return self.mark_asset_price / self.price_factor

    @property
    def indicative(self) -> tuple[int, int]:
        """Price (as market data show it) and volume at which the auction would end now; zeros outside auctions."""
        if not self.in_auction:
            return 0, 0
        price, volume, _ = self.book.uncrossing()
        return self.to_price(price), volume

    def depth(self, side: str) -> list[tuple[int, int]]:
        """Price and volume of each level of a side, best first."""
        return [self._padded(level) for level in self.book.depth(side)]

    def value(self, asset_price: int, size: int) -> tuple[int, int]:
        """Return the value of a trade in asset units, as numerator and denominator; as in Vega, it wraps around at 256 bits."""
        return asset_price * size % 2**256 * self.unit[0], self.unit[1]

    def begin_block(self) -> None:
        """Publish the mark price of the last mark to market in the market data of the new block."""
        self.mark_price, self.next_mark_to_market = self.to_price(self.mark_asset_price), self.mark_due

    def set_state(self, state: str, trading_mode: str, now: int) -> None:
        was_in_auction = self.in_auction
        self.state, self.trading_mode = state, trading_mode
        self.trigger, self.extension_trigger = TRIGGERS.get(trading_mode, NO_TRIGGER), NO_TRIGGER
        if not self.in_auction:
            self.auction_start = self.auction_duration = 0
        elif not was_in_auction:
            self.auction_start, self.auction_duration = now, 0

    def _padded(self, level: tuple[int, int]) -> tuple[int, int]:
        return self.to_price(level[0]), level[1]


def build_market(market_id: str, entry: Mapping[str, Any], assets: Mapping[str, Asset], now: int) -> Market:
    """Make an open market with an empty book from its entry in the markets file; `assets` are by symbol.

    Raises:
        ValueError: the entry is invalid; the message is one line.
    """
    name = entry.get("name", "without a name")
    try:
        price = _padded_price(entry["first_price"], entry["price_decimals"])
        spot = entry["product"] == SPOT
        first_mark = entry.get("mark_phase", 0) * SECOND or MARK_INTERVAL
        market = Market(
            id=market_id,
            name=entry["name"],
            product=entry["product"],
            price_decimals=entry["price_decimals"],
            size_decimals=entry["size_decimals"],
            tick_size=entry["tick_size"],
            settlement_asset=assets[entry["quote_asset" if spot else "settlement_asset"]],
            base_asset=assets[entry["base_asset"]] if spot else None,
            last_asset_price=0,
            mark_asset_price=0,
            mark_price=price,
            next_mark_to_market=now + first_mark,
            mark_due=now + first_mark,
            fees=FeeFactors(**{kind: Fraction(factor) for kind, factor in (DEFAULT_FEES | entry.get("fees", {})).items()}),
            epoch_start=now,
            epoch_length=entry.get("epoch_length", 0) * SECOND or EPOCH_LENGTH,
            reorders_transactions=entry.get("reorders_transactions", False),
            monitor=PriceMonitor([Trigger.from_entry(trigger) for trigger in entry.get("price_monitoring", [])]),
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
    market.last_asset_price = market.mark_asset_price = market.to_asset_price(price)
    market.monitor.begin_block(now)
    market.monitor.reset(market.mark_asset_price)
    return market


def _power(exponent: int) -> int:
    """Return 10^exponent; 1 for negative exponents."""
    return int(10 ** max(0, exponent))


def _padded_price(number: str, decimals: int) -> int:
    padded = Fraction(number) * 10**decimals
    return padded.numerator if padded.denominator == 1 else 0  # 0 is not a valid price
