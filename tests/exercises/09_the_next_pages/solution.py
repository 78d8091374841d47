"""Exercise 9, solved with records of the bot and the tutorial's rule."""

import json
from dataclasses import replace
from threading import Lock
from typing import Any, Optional

import tests.support.example_rule as example_rule
from bot.models import Market, ReferencePrice
from bot.submission import OrderSubmission, convert_from_decimals, convert_to_decimals
from bot.vega_store import VegaStore


def commitment(store: VegaStore, market_id: str) -> dict[str, Any]:
    """Use the general account of the settlement asset, and the decimal places of that asset."""
    market = store.get_market_by_id(market_id)
    assert market is not None
    asset = store.get_asset_by_id(market.settlement_asset_id)
    assert asset is not None
    account = next(
        account
        for account in store.get_accounts()
        if account.account_type == "ACCOUNT_TYPE_GENERAL" and account.asset_id == market.settlement_asset_id
    )
    amount = convert_from_decimals(decimal_places=asset.decimal_places, number=account.balance / 4)
    return {
        "liquidityProvisionSubmission": {
            "marketId": market_id,
            "commitmentAmount": str(amount),
            "fee": "0.01",
            "reference": "",
        }
    }


class ReferenceStore:
    """The newest price of each symbol on the other exchange."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._prices: dict[str, ReferencePrice] = {}  # by symbol; guarded by _lock

    def update(self, text: str) -> None:
        frame = json.loads(text)
        price = ReferencePrice(symbol=frame["symbol"], bid_price=float(frame["bid_price"]), ask_price=float(frame["ask_price"]))
        with self._lock:
            self._prices[price.symbol] = price

    def get(self, symbol: str) -> Optional[ReferencePrice]:
        with self._lock:
            return self._prices.get(symbol)


def quotes(market: Market, reference: Optional[ReferencePrice], open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Quote with this market's spread around the reference. Limit each quote to one tick from the other side of the book."""
    if reference is None:
        return []
    middle = (reference.bid_price + reference.ask_price) / 2
    half_spread = (market.best_offer_price - market.best_bid_price) / 2
    tick = convert_to_decimals(market.decimal_places, market.tick_size)
    bid = min(middle - half_spread, market.best_offer_price - tick)
    offer = max(middle + half_spread, market.best_bid_price + tick)
    return example_rule.quotes(replace(market, best_bid_price=bid, best_offer_price=offer), open_volume, max_abs_position)
