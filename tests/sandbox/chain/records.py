"""The chain's records: padded integers, enums by their API names, times in nanoseconds of chain time.

Only the modules of `chain` change them; the rest of the sandbox reads them.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Optional

ACTIVE, PARKED, REJECTED = "STATUS_ACTIVE", "STATUS_PARKED", "STATUS_REJECTED"
BUY, SELL = "SIDE_BUY", "SIDE_SELL"


@dataclass(frozen=True)
class Asset:
    """A currency; balances are integers in units of 10^-decimals."""

    id: str
    symbol: str
    decimals: int


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


@dataclass
class Position:
    """A party's net position on a future or perpetual. Fractions are exact; the serializers round them."""

    market_id: str
    party_id: str
    open_volume: int = 0  # padded, below zero is short
    average_entry_price: Fraction = Fraction(0)  # padded price, from the trades' displayed prices
    exact_entry_price: Fraction = Fraction(0)  # padded price, from the trades' exact prices; profit and loss use it
    realised_pnl: Fraction = Fraction(0)  # padded settlement asset
    unrealised_pnl: Fraction = Fraction(0)  # padded settlement asset
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
class Trade:
    """One match. The aggressor is the side of the incoming order."""

    market_id: str
    exact_price: Fraction  # padded; used for payments. An auction may end between two padded prices
    size: int
    buyer: str
    seller: str
    aggressor: str  # a Side

    @property
    def price(self) -> int:
        """The padded price as the API shows it."""
        return floor(self.exact_price)


@dataclass(frozen=True)
class Block:
    """One block with every record that it changed, each once, in its state after the block."""

    height: int
    time: int
    orders: list[Order] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
