"""Records and their parsers, from Vega's JSON to human units. Any thread; nothing here keeps state.

Page: "Base models". Each parser takes a node from REST (names, every field) or from a stream (numbers, zeros left out).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.enums import AccountType, AssetStatus, MarketState, OrderError, OrderStatus, OrderType, Side, TimeInForce, TradingMode
from bot.parsing import ParseError as ParseError
from bot.parsing import parse_amount, parse_decimal, parse_decimal_places, parse_enum, parse_int, parse_str, raises_parse_error
from bot.submission import convert_to_decimals
from bot.transport.error_text import truncate

# Differs from the page: all records are frozen. The store replaces them whole, so that a reader in another thread never
# sees a bid of one block beside an offer of the next. Fields that the page lacks and that say how to trade, not what was traded,
# do not count when two records are compared.


@dataclass(frozen=True)
class ReferencePrice:
    """Bid and ask of a market outside Vega; the page "External price" fills it."""

    symbol: str
    bid_price: float  # price units of that market
    ask_price: float  # price units of that market


@dataclass(frozen=True)
class Position:
    """A party's net holding on one market.

    Source: REST `positions` at the start, then `stream/positions`. Spot markets have none.
    """

    party_id: str
    market_id: str
    open_volume: float  # contracts: above zero is long, below is short
    average_entry_price: float  # price units of the market
    unrealised_pnl: float  # units of the settlement asset
    realised_pnl: float  # units of the settlement asset
    updated_at: int = field(default=0, compare=False)  # ns of chain time; 0 on spot markets


@dataclass(frozen=True)
class Order:
    """An order as the last block left it.

    Source: REST `orders` at the start, then `stream/orders`.
    """

    order_id: str
    market_id: str
    size: float  # contracts
    remaining_size: float  # contracts
    price: float  # price units of the market
    order_type: str  # an OrderType name
    time_in_force: str  # a TimeInForce name
    status: str  # an OrderStatus name
    party_id: str
    side: str = "SIDE_UNSPECIFIED"  # a Side name
    reason: str = ""  # an OrderError name where the network stopped or rejected the order, otherwise empty
    reference: str = ""  # chosen by the sender
    updated_at: int = field(default=0, compare=False)  # ns of chain time: the block of the newest change, or of the order's creation


@dataclass(frozen=True)
class Market:
    """A market's terms, and its prices as of the last block.

    Source: REST `markets` and `market/data/{id}/latest` at the start, then `stream/markets/data`.
    """

    market_id: str
    state: str  # a MarketState name
    trading_mode: str  # a TradingMode name
    decimal_places: int  # of padded prices
    position_decimal_places: int  # of padded sizes and volumes
    code: str
    name: str
    settlement_asset_id: str  # on spot markets the quote asset

    mark_price: float = 0  # price units, as the next two
    best_bid_price: float = 0  # 0 while that side of the book is empty
    best_offer_price: float = 0
    best_bid_volume: float = 0  # contracts, as the next two
    best_offer_volume: float = 0
    open_interest: float = 0
    tick_size: int = 1  # padded price: an order's padded price must be a multiple of it
    base_asset_id: str = ""  # spot markets only
    reorders_transactions: bool = field(default=False, compare=False)  # cancellations overtake orders sent before them
    linear_slippage_factor: float = field(default=0, compare=False)  # part of the minimum order value; 0 on spot markets
    tick: float = field(default=0, compare=False)  # price units: the tick size
    timestamp: int = field(default=0, compare=False)  # ns of chain time: the block of these prices; 0 before any


@dataclass(frozen=True)
class Asset:
    """A kind of money.

    Source: REST `assets`.
    """

    asset_id: str
    status: str  # an AssetStatus name
    name: str
    symbol: str
    decimal_places: int  # of padded balances
    quantum: float = field(default=0, compare=False)  # units of the asset: about one dollar's worth


@dataclass(frozen=True)
class Account:
    """Money of one party, of one asset, for one purpose.

    Source: REST `accounts` at the start, then `stream/accounts`.
    """

    owner: str
    account_type: str  # an AccountType name
    balance: float  # units of the asset
    asset_id: str
    market_id: str  # empty where the account is not tied to a market

    def get_id(self) -> str:
        """Return a key that identifies the account."""
        return f"{self.owner}-{self.market_id}-{self.account_type}-{self.asset_id}"


@dataclass(frozen=True)
class AppState:
    """All records together. Nothing here uses it; it is here because the page has it."""

    accounts: list[Account]
    orders: list[Order]
    positions: list[Position]
    assets: list[Asset]
    reference_prices: list[ReferencePrice]
    markets: list[Market]


###########################################################
#                         Parsers                         #
###########################################################
# Streams leave out zeros, but not decimal amounts: fields read with `.get` are those that may be missing there.


@raises_parse_error
def parse_asset(node: dict[str, Any]) -> Asset:
    """Read a node of REST `assets`. Raises ParseError, as all of these parsers do."""
    details = node["details"]
    decimal_places = parse_decimal_places(details["decimals"])
    return Asset(
        asset_id=parse_str(node["id"]),
        status=parse_enum(AssetStatus, node.get("status", 0)),
        name=parse_str(details["name"]),
        symbol=parse_str(details["symbol"]),
        decimal_places=decimal_places,
        quantum=parse_decimal(details.get("quantum") or "0") / 10.0**decimal_places,
    )


@raises_parse_error
def parse_account(node: dict[str, Any], asset_decimal_places: int) -> Account:
    """Read a node of REST or stream `accounts`; the balance has the asset's decimals."""
    return Account(
        owner=parse_str(node["owner"]),
        account_type=parse_enum(AccountType, node.get("type", 0)),
        balance=parse_amount(asset_decimal_places, node["balance"]),
        asset_id=parse_str(node["asset"]),
        market_id=parse_str(node.get("marketId", "")),
    )


@raises_parse_error
def parse_order(node: dict[str, Any], position_decimal_places: int, price_decimal_places: int) -> Order:
    """Read a node of REST or stream `orders`. Sizes have the market's position decimals, the price has its price decimals."""
    return Order(
        order_id=parse_str(node["id"]),
        market_id=parse_str(node["marketId"]),
        size=parse_amount(position_decimal_places, node.get("size", 0)),
        remaining_size=parse_amount(position_decimal_places, node.get("remaining", 0)),
        price=parse_amount(price_decimal_places, node["price"]),
        order_type=parse_enum(OrderType, node.get("type", 0)),
        time_in_force=parse_enum(TimeInForce, node.get("timeInForce", 0)),
        status=parse_enum(OrderStatus, node.get("status", 0)),
        party_id=parse_str(node["partyId"]),
        side=parse_enum(Side, node.get("side", 0)),
        reason=parse_enum(OrderError, node.get("reason") or ""),
        reference=parse_str(node.get("reference") or ""),
        updated_at=max(parse_int(node.get("createdAt") or 0), parse_int(node.get("updatedAt") or 0)),
    )


@raises_parse_error
def parse_position(
    node: dict[str, Any],
    position_decimal_places: int,
    price_decimal_places: int,
    asset_decimal_places: int,
) -> Position:
    """Read a node of REST or stream `positions`. The volume has position decimals, the entry price price decimals, PnL the asset's."""
    return Position(
        party_id=parse_str(node["partyId"]),
        market_id=parse_str(node["marketId"]),
        open_volume=parse_amount(position_decimal_places, node.get("openVolume", 0)),
        average_entry_price=parse_amount(price_decimal_places, node["averageEntryPrice"]),
        unrealised_pnl=parse_amount(asset_decimal_places, node["unrealisedPnl"]),
        realised_pnl=parse_amount(asset_decimal_places, node["realisedPnl"]),
        updated_at=parse_int(node.get("updatedAt") or 0),
    )


@raises_parse_error
def parse_market(node: dict[str, Any]) -> Market:
    """Read a node of REST `markets` or `market/{id}`. It has no prices yet."""
    instrument = node["tradableInstrument"]["instrument"]
    # Differs from the page, which knows futures only and stops at the first market of another product.
    product = instrument.get("future") or instrument.get("perpetual") or instrument.get("spot")
    if product is None:
        raise ValueError(f"unknown product of {truncate(instrument.get('code'))}")
    decimal_places = parse_decimal_places(node.get("decimalPlaces", 0))
    tick_size = parse_int(node.get("tickSize") or 1) or 1
    return Market(
        market_id=parse_str(node["id"]),
        state=parse_enum(MarketState, node.get("state", 0)),
        trading_mode=parse_enum(TradingMode, node.get("tradingMode", 0)),
        decimal_places=decimal_places,
        position_decimal_places=parse_decimal_places(node.get("positionDecimalPlaces", 0)),
        code=parse_str(instrument["code"]),
        name=parse_str(instrument["name"]),
        settlement_asset_id=parse_str(product.get("settlementAsset") or product["quoteAsset"]),
        tick_size=tick_size,
        base_asset_id=parse_str(product.get("baseAsset", "")),
        reorders_transactions=node.get("enableTransactionReordering") is True,
        linear_slippage_factor=parse_decimal(node.get("linearSlippageFactor") or "0"),
        tick=convert_to_decimals(decimal_places, tick_size),
    )


@raises_parse_error
def parse_market_data(node: dict[str, Any], price_decimal_places: int, position_decimal_places: int) -> dict[str, Any]:
    """Return the fields of `Market` that one block's market data replaces. Not on the page: there the store does it."""
    return {
        "mark_price": parse_amount(price_decimal_places, node["markPrice"]),
        "best_bid_price": parse_amount(price_decimal_places, node["bestBidPrice"]),
        "best_offer_price": parse_amount(price_decimal_places, node["bestOfferPrice"]),
        # Differs from the page: volumes have the size's decimals, and streams leave zeros out.
        "best_bid_volume": parse_amount(position_decimal_places, node.get("bestBidVolume", 0)),
        "best_offer_volume": parse_amount(position_decimal_places, node.get("bestOfferVolume", 0)),
        "open_interest": parse_amount(position_decimal_places, node.get("openInterest", 0)),
        "trading_mode": parse_enum(TradingMode, node.get("marketTradingMode", 0)),
        "state": parse_enum(MarketState, node.get("marketState", 0)),
    }


@raises_parse_error
def parse_timestamp(node: dict[str, Any]) -> int:
    """Return the block time of market data in ns; 0 if it has none. Not on the page."""
    return parse_int(node.get("timestamp") or 0)


parsers: dict[str, Callable[..., Any]] = {
    "markets": parse_market,
    "assets": parse_asset,
    "accounts": parse_account,
    "orders": parse_order,
    "positions": parse_position,
}
