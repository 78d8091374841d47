"""The chain's records: padded integers, enums by their API names, times in nanoseconds of chain time.

Prices come in two units. A padded price is in the market's decimals, as the API shows it. An asset price is in the decimals of the
settlement asset (spot: quote asset), as Vega's core calculates with it.

Only the modules of `chain` change the records; the rest of the sandbox reads them.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Optional

ACTIVE, PARKED, REJECTED, STOPPED = "STATUS_ACTIVE", "STATUS_PARKED", "STATUS_REJECTED", "STATUS_STOPPED"
FILLED, PARTIALLY_FILLED = "STATUS_FILLED", "STATUS_PARTIALLY_FILLED"
CANCELLED, EXPIRED = "STATUS_CANCELLED", "STATUS_EXPIRED"
BUY, SELL, NO_SIDE = "SIDE_BUY", "SIDE_SELL", "SIDE_UNSPECIFIED"
OTHER_SIDE = {BUY: SELL, SELL: BUY}
LIMIT, MARKET, NETWORK_TYPE = "TYPE_LIMIT", "TYPE_MARKET", "TYPE_NETWORK"
GTC, GTT, IOC, FOK = "TIME_IN_FORCE_GTC", "TIME_IN_FORCE_GTT", "TIME_IN_FORCE_IOC", "TIME_IN_FORCE_FOK"
GFA, GFN = "TIME_IN_FORCE_GFA", "TIME_IN_FORCE_GFN"
NETWORK = "network"  # the party that takes over the positions of distressed parties


@dataclass(frozen=True)
class Asset:
    """A currency; balances are integers in units of 10^-decimals."""

    id: str
    symbol: str
    decimals: int
    quantum: int = 1  # padded; the minimum order value is a fraction of it


@dataclass
class Iceberg:
    """The hidden part of an iceberg order, in padded sizes. The order's `remaining` is the visible part."""

    peak_size: int
    minimum_visible_size: int
    reserved: int = 0


@dataclass(frozen=True)
class Peg:
    """What a pegged order follows."""

    reference: str  # PEGGED_REFERENCE_…
    offset: int  # padded price


@dataclass
class Order:
    """One order, in its state after the last block."""

    id: str
    market_id: str
    party_id: str
    side: str
    price: int  # padded; 0 for market orders
    size: int  # padded
    remaining: int  # padded
    time_in_force: str
    type: str
    status: str
    reason: Optional[str] = None  # OrderError of a rejected or stopped order, if any
    reference: str = ""
    version: int = 1
    batch_id: int = 0
    created_at: int = 0
    updated_at: int = 0  # 0 until the first change
    expires_at: int = 0  # 0 unless GTT
    post_only: bool = False
    reduce_only: bool = False
    number: int = 0  # position in the archive
    asset_price: int = 0
    iceberg: Optional[Iceberg] = None
    peg: Optional[Peg] = None

    @property
    def total_remaining(self) -> int:
        """Remaining size with the hidden part of an iceberg order."""
        return self.remaining + self.iceberg.reserved if self.iceberg else self.remaining

    @property
    def is_finished(self) -> bool:
        return self.status not in (ACTIVE, PARKED)

    def copy(self) -> "Order":
        order = Order.__new__(Order)
        order.__dict__.update(self.__dict__)
        if self.iceberg:
            order.iceberg = replace(self.iceberg)
        return order


@dataclass
class Position:
    """A party's net position on a future or perpetual. Fractions are exact; the serializers round them."""

    market_id: str
    party_id: str
    open_volume: int = 0  # padded, below zero is short
    average_entry_price: Fraction = Fraction(0)  # padded price, from the trades' displayed prices
    exact_entry_price: Fraction = Fraction(0)  # asset price, from the trades' exact prices; profit and loss use it
    realised_pnl: Fraction = Fraction(0)  # padded settlement asset
    unrealised_pnl: Fraction = Fraction(0)  # padded settlement asset
    loss_socialisation: int = 0  # padded settlement asset; below zero is lost
    status: str = "POSITION_STATUS_UNSPECIFIED"
    updated_at: int = 0


@dataclass
class Account:
    """A balance of one party in one asset, for one purpose."""

    owner: str
    asset_id: str
    market_id: str  # "" for a general account
    type: str
    balance: int = 0  # padded


@dataclass(frozen=True)
class Fees:
    """The fees that one side of a trade pays, padded settlement asset (spot: quote asset)."""

    maker: int = 0
    infrastructure: int = 0
    liquidity: int = 0

    @property
    def total(self) -> int:
        return self.maker + self.infrastructure + self.liquidity


@dataclass(frozen=True)
class Trade:
    """One match. The aggressor is the side of the incoming order; unspecified at the end of an auction."""

    market_id: str
    price: int  # padded, as the API shows it
    exact_price: Fraction  # padded; used for payments. An auction may end between two padded prices
    size: int
    buyer: str
    seller: str
    aggressor: str
    asset_price: int = 0
    id: str = ""
    buy_order: str = ""
    sell_order: str = ""
    timestamp: int = 0
    type: str = "TYPE_DEFAULT"
    buyer_fees: Fees = Fees()
    seller_fees: Fees = Fees()


@dataclass(frozen=True)
class Block:
    """One block with every record that it changed, each once, in its state after the block."""

    height: int
    time: int
    orders: list[Order] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
