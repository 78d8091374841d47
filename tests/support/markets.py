"""The market of tests that need no network."""

import dataclasses
from typing import Any

from bot.models import Market

_MARKET = Market(
    market_id="aa" * 32,
    state="STATE_ACTIVE",
    trading_mode="TRADING_MODE_CONTINUOUS",
    decimal_places=5,
    position_decimal_places=3,
    code="BTCDAI.FUT",
    name="BTCDAI Future",
    settlement_asset_id="dd" * 32,
    mark_price=100.18,
    best_bid_price=100.15385,
    best_offer_price=100.21167,
    best_bid_volume=7.5,
    best_offer_volume=8.25,
    open_interest=31.125,
    tick=0.00001,
)


def make_market(**changes: Any) -> Market:
    """Return a market that trades, with prices on both sides; `changes` replace its fields."""
    return dataclasses.replace(_MARKET, **changes)
