"""What the chain knows: plain records in padded integers, enums by the API's names, times in chain nanoseconds.

Everything else in the sandbox reads these; only `chain` and the modules behind it change them.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Optional

ACTIVE, PARKED, REJECTED = "STATUS_ACTIVE", "STATUS_PARKED", "STATUS_REJECTED"
BUY, SELL = "SIDE_BUY", "SIDE_SELL"


@dataclass(frozen=True)
class Asset:
    """Money of one kind; balances are integers of 10^-decimals."""

    id: str
    symbol: str
    decimals: int


@dataclass
class Order:
    """One order in the state that the last block left it in; dead ones are kept, as a data node does."""

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
    reason: Optional[str] = None  # an OrderError, where rejected or stopped with one
    reference: str = ""
    version: int = 1
    batch_id: int = 0
    created_at: int = 0
    updated_at: int = 0  # 0 until something changed it
    expires_at: int = 0  # 0 unless GTT
    post_only: bool = False
    reduce_only: bool = False
    number: int = 0  # its place among all orders there ever were


@dataclass
class Position:
    """A party's net holding on a future or perpetual. Fractions stay exact; they are rounded only when shown."""

    market_id: str
    party_id: str
    open_volume: int = 0  # padded, below zero is short
    average_entry_price: Fraction = Fraction(0)  # padded price, of the prices that trades show
    exact_entry_price: Fraction = Fraction(0)  # padded price, of those that were paid: profit and loss go by it
    realised_pnl: Fraction = Fraction(0)  # padded settlement asset
    unrealised_pnl: Fraction = Fraction(0)  # padded settlement asset
    updated_at: int = 0


@dataclass
class Account:
    """Money of one party, of one kind, for one purpose."""

    owner: str
    asset_id: str
    market_id: str  # "" for a general account
    type: str
    balance: int = 0  # padded


@dataclass(frozen=True)
class Trade:
    """One match; the aggressor is the side that came second."""

    market_id: str
    exact_price: Fraction  # padded; what is paid. An auction may end between two padded prices
    size: int
    buyer: str
    seller: str
    aggressor: str  # a Side

    @property
    def price(self) -> int:
        """The price that the API shows, padded."""
        return floor(self.exact_price)


@dataclass(frozen=True)
class Block:
    """One block, and each record that it changed, once, in the state the block left it in."""

    height: int
    time: int
    orders: list[Order] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
