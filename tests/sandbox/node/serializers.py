"""Serialization of the chain's records: REST nodes (all fields, enum names) and stream nodes.

A stream node is the short form of a REST node: enums are numbers, and zero, false and empty fields are left out.
"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.commands import ENUMS
from tests.sandbox.chain.decimal_text import decimal_text
from tests.sandbox.chain.price_monitoring import Trigger
from tests.sandbox.chain.records import Account, Asset, Fees, Iceberg, Order, Position, Trade

Node = dict[str, Any]

# The fields of a market's node that the chain does not use, as recorded on a real network.
_TERMS = json.loads(Path(__file__).with_name("market_terms.json").read_text())

# Asset.Status has names in common with Order.Status, and no stream contains an asset.
ENUM_NUMBERS = {name: number for enum, names in ENUMS.items() if enum != "Asset.Status" for name, number in names.items()}
ENUM_NUMBERS |= {"COMPOSITE_PRICE_TYPE_UNSPECIFIED": 0, "COMPOSITE_PRICE_TYPE_LAST_TRADE": 3}
ENUM_FIELDS = {
    *("side", "timeInForce", "type", "status", "reason", "positionStatus"),
    *("marketTradingMode", "marketState", "trigger", "extensionTrigger", "markPriceType", "aggressor"),
}
# Both integers and decimal amounts are strings, but streams leave out only integers at zero.
INTEGER_FIELDS = {
    *("size", "remaining", "createdAt", "updatedAt", "expiresAt", "version", "batchId", "openVolume", "openInterest", "timestamp"),
    *("bestBidVolume", "bestOfferVolume", "bestStaticBidVolume", "bestStaticOfferVolume", "indicativeVolume"),
    *("auctionStart", "auctionEnd", "nextMarkToMarket", "nextNetworkCloseout"),
    *("buyerAuctionBatch", "sellerAuctionBatch", "peakSize", "minimumVisibleSize", "reservedRemaining"),
}


def stream_node(node: Node) -> Node:
    """Return the stream form of a REST node."""
    shown = {}
    for field, value in node.items():
        if isinstance(value, dict):
            value = stream_node(value)
        elif isinstance(value, list):
            value = [stream_node(item) if isinstance(item, dict) else item for item in value]
        elif field in ENUM_FIELDS or (field == "reference" and "offset" in node):  # that of a pegged order, not an order's own
            value = ENUM_NUMBERS[value]
        absent = value in (None, 0, False, "", []) or (value == "0" and field in INTEGER_FIELDS)
        if not absent:
            shown[field] = value
    return shown


def asset_node(asset: Asset) -> Node:
    details = {
        "name": asset.symbol,
        "symbol": asset.symbol,
        "decimals": str(asset.decimals),
        "quantum": str(asset.quantum),
        "builtinAsset": {"maxFaucetAmountMint": "0"},
    }
    return {"id": asset.id, "details": details, "status": "STATUS_ENABLED"}


def order_node(order: Order) -> Node:
    reason = {"reason": order.reason} if order.reason else {}  # REST leaves out these two fields if empty, and no others
    iceberg = {"icebergOrder": _iceberg_node(order.iceberg)} if order.iceberg else {}
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
        "peggedOrder": {"reference": order.peg.reference, "offset": str(order.peg.offset)} if order.peg else None,
        "liquidityProvisionId": "",
        "postOnly": order.post_only,
        "reduceOnly": order.reduce_only,
        **iceberg,
    }


def _iceberg_node(iceberg: Iceberg) -> Node:
    return {
        "peakSize": str(iceberg.peak_size),
        "minimumVisibleSize": str(iceberg.minimum_visible_size),
        "reservedRemaining": str(iceberg.reserved),
    }


def rounded(number: Fraction) -> int:
    """Round to the nearest integer, halves away from zero, as a Vega node does. (Python's `round` rounds halves to even.)"""
    numerator, denominator = number.numerator, number.denominator
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def position_node(position: Position) -> Node:
    return {
        "marketId": position.market_id,
        "partyId": position.party_id,
        "openVolume": str(position.open_volume),
        "realisedPnl": str(rounded(position.realised_pnl)),
        "unrealisedPnl": str(rounded(position.unrealised_pnl)),
        "averageEntryPrice": str(rounded(position.average_entry_price)),
        "updatedAt": str(position.updated_at),
        "lossSocialisationAmount": str(position.loss_socialisation),
        "positionStatus": position.status,
    }


def account_node(account: Account) -> Node:
    return {
        "owner": account.owner,
        "balance": str(account.balance),
        "asset": account.asset_id,
        "marketId": account.market_id,
        "type": account.type,
    }


def trade_node(trade: Trade) -> Node:
    return {
        "id": trade.id,
        "marketId": trade.market_id,
        "price": str(trade.price),
        "size": str(trade.size),
        "buyer": trade.buyer,
        "seller": trade.seller,
        "aggressor": trade.aggressor,
        "buyOrder": trade.buy_order,
        "sellOrder": trade.sell_order,
        "timestamp": str(trade.timestamp),
        "type": trade.type,
        "buyerFee": _fee_node(trade.buyer_fees),
        "sellerFee": _fee_node(trade.seller_fees),
        "buyerAuctionBatch": "0",
        "sellerAuctionBatch": "0",
        "assetPrice": "",
    }


def _fee_node(fees: Fees) -> Node:
    """Return the fees of one side of a trade. There are no discounts here."""
    return {
        "makerFee": str(fees.maker),
        "infrastructureFee": str(fees.infrastructure),
        "liquidityFee": str(fees.liquidity),
        "makerFeeVolumeDiscount": "0",
        "infrastructureFeeVolumeDiscount": "0",
        "liquidityFeeVolumeDiscount": "0",
        "makerFeeReferrerDiscount": "0",
        "infrastructureFeeReferrerDiscount": "0",
        "liquidityFeeReferrerDiscount": "0",
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
        "fees": {"factors": _fee_factors(market), "liquidityFeeSettings": {"method": "METHOD_MARGINAL_COST"}},
        "priceMonitoringSettings": {"parameters": {"triggers": [_trigger_node(trigger) for trigger in market.monitor.triggers]}},
        "enableTransactionReordering": market.reorders_transactions,
    }


def _fee_factors(market: Market) -> Node:
    fees = market.fees
    factors = {"makerFee": fees.maker, "infrastructureFee": fees.infrastructure, "liquidityFee": fees.liquidity}
    return {name: decimal_text(factor) for name, factor in factors.items()}


def _trigger_node(trigger: Trigger) -> Node:
    return {
        "horizon": str(trigger.horizon),
        "probability": trigger.probability,
        "auctionExtension": str(trigger.auction_extension),
    }


def _bounds_nodes(market: Market) -> list[Node]:
    """Return the price monitoring bounds. As on a real node, a minimum is rounded up to the price above it."""
    above = 1 if market.price_factor > 1 else 0
    return [
        {
            "minValidPrice": str(market.to_price(bounds.minimum) + above),
            "maxValidPrice": str(market.to_price(bounds.maximum)),
            "trigger": _trigger_node(bounds.trigger),
            "referencePrice": str(market.to_price(int(bounds.reference))),
            "active": True,
        }
        for bounds in market.monitor.bounds()
    ]


def market_data_node(chain: Chain, market: Market) -> Node:
    """Return a market's market data."""
    (bid, bid_volume), (offer, offer_volume) = market.best_bid, market.best_offer
    (static_bid, static_bid_volume), (static_offer, static_offer_volume) = market.best_static
    mid_price = (bid + offer) // 2 if bid and offer else 0
    static_mid_price = (static_bid + static_offer) // 2 if static_bid and static_offer else 0
    indicative_price, indicative_volume = market.indicative
    bonds = (a.balance for a in chain.accounts.values() if a.type == "ACCOUNT_TYPE_BOND" and a.market_id == market.id)
    return {
        "markPrice": str(market.mark_price),
        "bestBidPrice": str(bid),
        "bestBidVolume": str(bid_volume),
        "bestOfferPrice": str(offer),
        "bestOfferVolume": str(offer_volume),
        "bestStaticBidPrice": str(static_bid),
        "bestStaticBidVolume": str(static_bid_volume),
        "bestStaticOfferPrice": str(static_offer),
        "bestStaticOfferVolume": str(static_offer_volume),
        "midPrice": str(mid_price),
        "staticMidPrice": str(static_mid_price),
        "market": market.id,
        "timestamp": str(chain.time),
        "openInterest": str(market.open_interest),
        "auctionEnd": str(market.auction_end),
        "auctionStart": str(market.auction_start),
        "indicativePrice": str(indicative_price),
        "indicativeVolume": str(indicative_volume),
        "marketTradingMode": market.trading_mode,
        "trigger": market.trigger,
        "extensionTrigger": market.extension_trigger,
        "targetStake": "0",
        "suppliedStake": str(sum(bonds)),
        "priceMonitoringBounds": _bounds_nodes(market),
        "marketValueProxy": "0",
        "liquidityProviderFeeShare": [],
        "marketState": market.state,
        "nextMarkToMarket": str(market.next_mark_to_market),
        "lastTradedPrice": str(market.last_traded_price),
        "marketGrowth": "0",
        "liquidityProviderSla": [],
        "nextNetworkCloseout": str(market.next_closeout),
        "markPriceType": "COMPOSITE_PRICE_TYPE_UNSPECIFIED" if market.is_spot else "COMPOSITE_PRICE_TYPE_LAST_TRADE",
        "markPriceState": None if market.is_spot else {"priceSources": []},
    }
