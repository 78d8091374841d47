"""Executes decoded transactions: calls what each kind of instruction is for."""

from typing import Any

from tests.sandbox.chain.command_validation import problems
from tests.sandbox.chain.execution import Execution


class TransactionExecutor:
    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def execute(self, party_id: str, transaction: dict[str, Any]) -> None:
        """Execute a transaction that has passed the network's checks. Kinds that the chain does not execute have no effect."""
        for kind, command in transaction.items():
            if kind == "batchMarketInstructions":
                self._execute_batch(party_id, command)
            elif problems(kind, command):
                continue
            elif kind == "orderSubmission":
                self._execution.submit(party_id, command)
            elif kind == "orderAmendment":
                self._execution.amend(party_id, command)
            elif kind == "orderCancellation":
                self._execution.cancel(party_id, command)
            elif kind == "stopOrdersSubmission":
                self._execution.submit_stop_orders(party_id, command)
            elif kind == "stopOrdersCancellation":
                self._execution.cancel_stop_orders(party_id, command)
            elif kind.startswith("liquidityProvision"):
                self._provide_liquidity(party_id, kind, command)

    def _provide_liquidity(self, party_id: str, kind: str, command: dict[str, Any]) -> None:
        engine = self._execution.engines.get(command["marketId"])
        if engine is None:
            return
        if kind == "liquidityProvisionSubmission":
            engine.liquidity.commit(party_id, command)
        elif kind == "liquidityProvisionAmendment":
            engine.liquidity.amend(party_id, command)
        else:
            engine.liquidity.cancel(party_id)

    def _execute_batch(self, party_id: str, batch: dict[str, Any]) -> None:
        """Run cancellations, then amendments, then submissions, then stop orders. A failed instruction does not stop the others."""
        for cancellation in batch.get("cancellations", []):
            if not problems("orderCancellation", cancellation):
                self._execution.cancel(party_id, cancellation)
        amended = set()  # an order can be amended once per batch
        for amendment in batch.get("amendments", []):
            fails = amendment.get("orderId") in amended or problems("orderAmendment", amendment)
            if not fails and self._execution.amend(party_id, amendment):
                amended.add(amendment["orderId"])
        for submission in batch.get("submissions", []):
            if not problems("orderSubmission", submission):
                self._execution.submit(party_id, submission)
        for cancellation in batch.get("stopOrdersCancellation", []):
            if not problems("stopOrdersCancellation", cancellation):
                self._execution.cancel_stop_orders(party_id, cancellation)
        for submission in batch.get("stopOrdersSubmission", []):
            if not problems("stopOrdersSubmission", submission):
                self._execution.submit_stop_orders(party_id, submission)
