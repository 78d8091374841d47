"""Liquidity commitments."""

from fractions import Fraction
from typing import Any

from tests.sandbox.chain.execution import Execution
from tests.sandbox.chain.ledger import BOND, GENERAL
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.uint_limits import read_uint


class Liquidity:
    """The commitments of all parties."""

    def __init__(self, execution: Execution) -> None:
        self._markets: dict[str, Market] = {engine.market.id: engine.market for engine in execution.engines.values()}
        self._ledger = execution.journal.ledger

    def commit(self, party_id: str, command: dict[str, Any]) -> None:
        """Move a liquidity commitment to the party's bond account; a second one, or one beyond its balance, has no effect."""
        market, amount = self._markets.get(command["marketId"]), read_uint(command["commitmentAmount"])
        if market is None or amount is None or Fraction(command["fee"]) > 1:
            return
        general = self._ledger.account(party_id, GENERAL, market.settlement_asset.id)
        bond = self._ledger.accounts.get((party_id, market.id, BOND, market.settlement_asset.id))
        if amount <= general.balance and not (bond and bond.balance):
            self._ledger.move(general, self._ledger.account(party_id, BOND, market.settlement_asset.id, market.id), amount)

    def amend(self, party_id: str, command: dict[str, Any]) -> None: ...

    def cancel(self, party_id: str, command: dict[str, Any]) -> None: ...
