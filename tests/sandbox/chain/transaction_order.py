"""The order in which a block executes its transactions.

Single post-only submissions run first. On a market with transaction reordering, cancellations run before them, and everything that is
neither a cancellation nor post-only waits for the next block, where it runs after that block's post-only orders.
"""

from collections.abc import Container
from typing import Any

Transaction = tuple[str, dict[str, Any]]  # party, decoded transaction
CANCELLATIONS, POST_ONLY, OTHERS, NEXT_BLOCK = range(4)


class TransactionQueue:
    """The transactions that wait for a block."""

    def __init__(self, reordered_markets: Container[str]) -> None:
        self._reordered = reordered_markets
        self._is_any_reordered = bool(reordered_markets)
        self._new: list[Transaction] = []
        self._delayed: list[Transaction] = []

    def add(self, party_id: str, transaction: dict[str, Any]) -> None:
        self._new.append((party_id, transaction))

    def take(self) -> list[Transaction]:
        """Return the transactions of the next block, in the order in which they run."""
        classes: list[list[Transaction]] = [[], [], [], []]
        for sent in self._new:
            classes[self._class_of(sent[1])].append(sent)
        block = classes[CANCELLATIONS] + classes[POST_ONLY] + self._delayed + classes[OTHERS]
        self._new, self._delayed = [], classes[NEXT_BLOCK]
        return block

    def _class_of(self, transaction: dict[str, Any]) -> int:
        for kind, command in transaction.items():
            if kind == "orderSubmission":
                return POST_ONLY if command.get("postOnly") else NEXT_BLOCK if command.get("marketId") in self._reordered else OTHERS
            if kind == "orderAmendment":
                return NEXT_BLOCK if command.get("marketId") in self._reordered else OTHERS
            if kind in ("orderCancellation", "stopOrdersCancellation"):
                market_id = command.get("marketId")
                return CANCELLATIONS if market_id in self._reordered or (not market_id and self._is_any_reordered) else OTHERS
            if kind == "stopOrdersSubmission":
                return NEXT_BLOCK if any(market_id in self._reordered for market_id in _stop_markets(command)) else OTHERS
            if kind == "batchMarketInstructions":
                return self._class_of_batch(command)
        return OTHERS

    def _class_of_batch(self, batch: dict[str, Any]) -> int:
        if not self._is_any_reordered:
            return OTHERS
        lists = ("submissions", "amendments", "cancellations", "stopOrdersCancellation")
        markets = [instruction.get("marketId") for name in lists for instruction in batch.get(name, [])]
        markets += [market_id for setup in batch.get("stopOrdersSubmission", []) for market_id in _stop_markets(setup)]
        if not any(market_id in self._reordered for market_id in markets):
            return OTHERS
        if batch.get("amendments") or batch.get("stopOrdersSubmission"):
            return NEXT_BLOCK
        submissions = batch.get("submissions", [])
        if not submissions:
            return CANCELLATIONS
        return POST_ONLY if all(submission.get("postOnly") for submission in submissions) else NEXT_BLOCK


def _stop_markets(submission: dict[str, Any]) -> list[Any]:
    return [setup.get("orderSubmission", {}).get("marketId") for setup in submission.values()]
