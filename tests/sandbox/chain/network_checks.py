"""The network's checks of a transaction before it accepts it. A transaction that fails one has no effect at all.

A network with CometBFT answers with the error message; a null chain answers with a hash.
"""

import re
from typing import Any, Optional

from tests.sandbox.chain.engine import MarketEngine
from tests.sandbox.chain.ledger import GENERAL, HOLDING, MARGIN, ORDER_MARGIN, Ledger
from tests.sandbox.chain.market import FINAL_STATES, Market
from tests.sandbox.chain.uint_limits import read_uint

MAX_BATCH_SIZE = 30  # instructions; spam.protection.max.batchSize
BATCH_LISTS = ("updateMarginMode", "cancellations", "amendments", "submissions", "stopOrdersSubmission", "stopOrdersCancellation")
MARKET_KINDS = (
    *("orderSubmission", "orderAmendment", "orderCancellation"),
    *("liquidityProvisionSubmission", "liquidityProvisionAmendment", "liquidityProvisionCancellation"),
)


class NetworkChecks:
    """Checks decoded transactions against the present state of the chain."""

    def __init__(self, engines: dict[str, MarketEngine], ledger: Ledger) -> None:
        self._engines = engines
        self._ledger = ledger
        self.is_null_chain = False

    def error(self, party_id: str, kind: str, command: dict[str, Any]) -> str:
        """Return the network's error message for a transaction; empty if it accepts it."""
        if kind == "batchMarketInstructions":
            return self._batch_error(party_id, command)
        if kind in MARKET_KINDS:
            error = self._party_error(party_id, command.get("marketId", ""))
            if error or kind != "orderSubmission" or (self.is_null_chain and self._has_no_price_yet(command)):
                return error
            return self._order_error(command)
        return ""

    def _batch_error(self, party_id: str, batch: dict[str, Any]) -> str:
        size = sum(len(batch.get(name, [])) for name in BATCH_LISTS)
        if size > MAX_BATCH_SIZE:
            return f"market batch instructions too big, got({size}), expected({MAX_BATCH_SIZE})"
        for submission in batch.get("submissions", []):
            error = self._party_error(party_id, submission.get("marketId", "")) or self._order_error(submission)
            if error:
                return error
        errors = (self._party_error(party_id, amendment.get("marketId", "")) for amendment in batch.get("amendments", []))
        return next((error for error in errors if error), "")

    def _party_error(self, party_id: str, market_id: str) -> str:
        """Check that the market exists and that the party has money for it."""
        if not market_id:
            return self._party_error_on_any_market(party_id)
        engine = self._engines.get(market_id)
        if engine is None or engine.market.state in FINAL_STATES:
            return "market does not exist"
        market = engine.market
        accounts = self._general_accounts(party_id, market)
        if any(accounts):
            return ""
        not_eligible = f"party {party_id} is not eligible to submit order transactions in market {market_id}"
        if not accounts:
            return f"{not_eligible} (no general account found)"
        asset_id = market.settlement_asset.id
        if any(self._ledger.balance(party_id, kind, asset_id, market_id) for kind in (MARGIN, ORDER_MARGIN)):
            return ""
        return f"{not_eligible} (no general account balance in asset and no market accounts found)"

    def _general_accounts(self, party_id: str, market: Market) -> list[int]:
        """Return the party's general balances in the market's assets."""
        assets = [asset for asset in (market.settlement_asset, market.base_asset) if asset]
        found = [self._ledger.accounts.get((party_id, "", GENERAL, asset.id)) for asset in assets]
        return [account.balance for account in found if account]

    def _party_error_on_any_market(self, party_id: str) -> str:
        kinds = (GENERAL, HOLDING, MARGIN, ORDER_MARGIN)
        if any(account.balance for account in self._ledger.of_party(party_id) if account.type in kinds):
            return ""
        return f"party {party_id} is not eligible to submit order transaction with no market in scope"

    def _has_no_price_yet(self, submission: dict[str, Any]) -> bool:
        """Return whether an order takes its price from a market that has none: it is worth nothing, but a null chain executes it."""
        takes_price = bool(submission.get("peggedOrder")) or submission.get("type") == "TYPE_MARKET"
        return takes_price and not self._engines[submission["marketId"]].market.mark_asset_price

    def _order_error(self, submission: dict[str, Any]) -> str:
        """Check that an order has a readable price and the minimum value."""
        engine = self._engines[submission["marketId"]]
        price = _read_price(submission.get("price", ""))
        if price is None:
            return "invalid price"
        peg = submission.get("peggedOrder")
        offset = _read_price(peg.get("offset", "0")) if peg else 0
        if offset is None:
            return "invalid offset"
        market, side, size = engine.market, submission.get("side", ""), submission.get("size", 0)
        if peg or submission.get("type") == "TYPE_MARKET":
            price = market.spam_price(side, offset)
        return engine.value_shortfall(side, market.to_asset_price(price), size) or ""


def _read_price(text: str) -> Optional[int]:
    return read_uint(text) if not text or re.fullmatch(r"\+?[0-9]+|-0+", text) else None
