"""Exercise 9. Edit this file, then run: .venv/bin/python -m tests.exercises 9"""

from typing import Any, Optional

import tests.support.example_rule as example_rule
from bot.models import Market, ReferencePrice
from bot.submission import OrderSubmission, convert_from_decimals
from bot.vega_store import VegaStore


def commitment(store: VegaStore, market_id: str) -> dict[str, Any]:
    """Part one: return the transaction that commits a quarter of our balance in the market's settlement asset."""
    market = store.get_market_by_id(market_id)
    assert market is not None
    account = store.get_accounts()[0]  # is the first one the correct one?
    amount = convert_from_decimals(market.decimal_places, account.balance / 4)
    return {
        "liquidityProvisionSubmission": {
            "marketId": market_id,
            "commitmentAmount": str(amount),
            "fee": "0.01",
            "reference": "",
        }
    }


class ReferenceStore:
    """Part two: the newest price of each symbol on the other exchange. `update` and `get` are called on different threads."""

    def update(self, text: str) -> None:
        """Apply one frame of the feed."""

    def get(self, symbol: str) -> Optional[ReferencePrice]:
        return None


def quotes(market: Market, reference: Optional[ReferencePrice], open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Part two: return the orders to have on the book until the next block."""
    return example_rule.quotes(market, open_volume, max_abs_position)
