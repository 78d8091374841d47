"""Serialization of the chain's records: REST nodes (all fields, enum names) and stream nodes.

A stream node is the short form of a REST node: enums are numbers, and zero, false and empty fields are left out.
"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.commands import ENUMS
from tests.sandbox.chain.records import Account, Asset, Order, Position

Node = dict[str, Any]

# The fields of a market's node that the chain does not use, as recorded on a real network.
_TERMS = json.loads(Path(__file__).with_name("market_terms.json").read_text())

# Asset.Status has names in common with Order.Status, and no stream contains an asset.
ENUM_NUMBERS = {name: number for enum, names in ENUMS.items() if enum != "Asset.Status" for name, number in names.items()}
ENUM_NUMBERS |= {"COMPOSITE_PRICE_TYPE_UNSPECIFIED": 0, "COMPOSITE_PRICE_TYPE_LAST_TRADE": 3}
ENUM_FIELDS = {
    *("side", "timeInForce", "type", "status", "reason", "positionStatus"),
    *("marketTradingMode", "marketState", "trigger", "extensionTrigger", "markPriceType"),
}
# Both integers and decimal amounts are strings, but streams leave out only integers at zero.
INTEGER_FIELDS = {
    *("size", "remaining", "createdAt", "updatedAt", "expiresAt", "version", "batchId", "openVolume", "openInterest", "timestamp"),
    *("bestBidVolume", "bestOfferVolume", "bestStaticBidVolume", "bestStaticOfferVolume", "indicativeVolume"),
    *("auctionStart", "auctionEnd", "nextMarkToMarket", "nextNetworkCloseout"),
}


def stream_node(node: Node) -> Node:
    """Return the stream form of a REST node."""
    shown = {}
    for field, value in node.items():
        if field in ENUM_FIELDS:
            value = ENUM_NUMBERS[value]
        elif isinstance(value, dict):
            value = stream_node(value)
        absent = value in (None, 0, False, "", []) or (value == "0" and field in INTEGER_FIELDS)
        if not absent:
            shown[field] = value
    return shown


def asset_node(asset: Asset) -> Node:
    details = {
        "name": asset.symbol,
        "symbol": asset.symbol,
        "decimals": str(asset.decimals),
        "quantum": "1",
        "builtinAsset": {"maxFaucetAmountMint": "0"},
    }
    return {"id": asset.id, "details": details, "status": "STATUS_ENABLED"}


def order_node(order: Order) -> Node:
    reason = {"reason": order.reason} if order.reason else {}  # the only field that REST leaves out if empty
    return {
        "id": order.id,
        "marketId": order.market_id,
        "partyId": order.party_id,
        "side": order.side,
        "price": str(order.price),
        "size": str(order.size),
        "remaining": str(order.remaining),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "createdAt": str(order.created_at),
        "status": order.status,
        "expiresAt": str(order.expires_at),
        "reference": order.reference,
        **reason,
        "updatedAt": str(order.updated_at),
        "version": str(order.version),
        "batchId": str(order.batch_id),
        "peggedOrder": None,
        "liquidityProvisionId": "",
        "postOnly": order.post_only,
        "reduceOnly": order.reduce_only,
    }


def rounded(number: Fraction) -> int:
    """Round to the nearest integer, halves away from zero, as a Vega node does. (Python's `round` rounds halves to even.)"""
    return int(number + Fraction(1 if number > 0 else -1, 2))


def position_node(position: Position) -> Node:
    return {
        "marketId": position.market_id,
        "partyId": position.party_id,
        "openVolume": str(position.open_volume),
        "realisedPnl": str(rounded(position.realised_pnl)),
        "unrealisedPnl": str(rounded(position.unrealised_pnl)),
        "averageEntryPrice": str(rounded(position.average_entry_price)),
        "updatedAt": str(position.updated_at),
        "lossSocialisationAmount": "0",
        "positionStatus": "POSITION_STATUS_UNSPECIFIED",
    }


def account_node(account: Account) -> Node:
    return {
        "owner": account.owner,
        "balance": str(account.balance),
        "asset": account.asset_id,
        "marketId": account.market_id,
        "type": account.type,
    }


def market_node(market: Market, opened: int) -> Node:
    """Return a market's node; `opened` is the opening time of every market, in nanoseconds of chain time."""
    terms = _TERMS[market.product]
    if market.base_asset:
        assets = {"baseAsset": market.base_asset.id, "quoteAsset": market.settlement_asset.id}
    else:
        assets = {"settlementAsset": market.settlement_asset.id}
    instrument = {
        "id": "",
        "code": market.name,
        "name": market.name,
        "metadata": {"tags": []},
        market.product: assets | terms["product"],
    }
    return {
        "id": market.id,
        "tradableInstrument": {"instrument": instrument, **terms["risk"]},
        "decimalPlaces": str(market.price_decimals),
        "positionDecimalPlaces": str(market.size_decimals),
        "tickSize": str(market.tick_size),
        "tradingMode": market.trading_mode,
        "state": market.state,
        "marketTimestamps": {"proposed": str(opened), "pending": str(opened), "open": str(opened), "close": "0"},
        **_TERMS["every market"],
        **terms["market"],
    }


def market_data_node(chain: Chain, market: Market) -> Node:
    """Return a market's market data."""
    (bid, bid_volume), (offer, offer_volume) = market.best_bid, market.best_offer
    mid_price = (bid + offer) // 2 if bid and offer else 0
    indicative_price, indicative_volume = market.indicative
    bonds = (a.balance for a in chain.accounts.values() if a.type == "ACCOUNT_TYPE_BOND" and a.market_id == market.id)
    return {
        "markPrice": str(market.mark_price),
        "bestBidPrice": str(bid),
        "bestBidVolume": str(bid_volume),
        "bestOfferPrice": str(offer),
        "bestOfferVolume": str(offer_volume),
        "bestStaticBidPrice": str(bid),
        "bestStaticBidVolume": str(bid_volume),
        "bestStaticOfferPrice": str(offer),
        "bestStaticOfferVolume": str(offer_volume),
        "midPrice": str(mid_price),
        "staticMidPrice": str(mid_price),
        "market": market.id,
        "timestamp": str(chain.time),
        "openInterest": str(market.open_interest),
        "auctionEnd": "0",
        "auctionStart": str(market.auction_start),
        "indicativePrice": str(indicative_price),
        "indicativeVolume": str(indicative_volume),
        "marketTradingMode": market.trading_mode,
        "trigger": market.trigger,
        "extensionTrigger": "AUCTION_TRIGGER_UNSPECIFIED",
        "targetStake": "0",
        "suppliedStake": str(sum(bonds)),
        "priceMonitoringBounds": [],
        "marketValueProxy": "0",
        "liquidityProviderFeeShare": [],
        "marketState": market.state,
        "nextMarkToMarket": str(market.next_mark_to_market),
        "lastTradedPrice": str(market.last_traded_price),
        "marketGrowth": "0",
        "liquidityProviderSla": [],
        "nextNetworkCloseout": "0",
        "markPriceType": "COMPOSITE_PRICE_TYPE_UNSPECIFIED" if market.is_spot else "COMPOSITE_PRICE_TYPE_LAST_TRADE",
        "markPriceState": None if market.is_spot else {"priceSources": []},
    }
