"""Exercise 9. Edit this file, then: .venv/bin/python -m tests.exercises 9"""

from typing import Any, Optional

import main
from bot.models import Market, ReferencePrice
from bot.submission import OrderSubmission, convert_from_decimals
from bot.vega_store import VegaStore


def commitment(store: VegaStore, market_id: str) -> dict[str, Any]:
    """Part one: return the transaction that commits a quarter of what we have of the market's settlement asset."""
    market = store.get_market_by_id(market_id)
    account = store.get_accounts()[0]  # the first is as good as any other, is it not?
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
        """Take one frame of the feed."""

    def get(self, symbol: str) -> Optional[ReferencePrice]:
        return None


def quotes(market: Market, reference: Optional[ReferencePrice], open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
    """Part two: return the orders to have on the book until the next block."""
    return main.quotes(market, open_volume, max_abs_position)
