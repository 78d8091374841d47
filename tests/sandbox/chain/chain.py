"""The chain: queues transactions, makes blocks, and holds every market, order, position and account.

It is deterministic: no clock, no network, no threads, no floats. The same seed and the same calls give the same chain, ids included.
A block expires orders first, then executes the transactions in order of submission, then marks markets to market.

Like the network, it accepts transactions without effect: kinds that it does not execute (stop orders, votes, …), invalid instructions,
batches of more than 30 instructions. `positions` states the margin rule; `execution` lists what the chain leaves out.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Optional

from tests.sandbox.chain import commands
from tests.sandbox.chain.execution import Execution
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import ACTIVE_STATE, CONTINUOUS, SUSPENDED, SUSPENDED_STATE, Market, build_market
from tests.sandbox.chain.records import Account, Asset, Block, Order, Position
from tests.sandbox.chain.uint_limits import read_uint

START_TIME = 1_700_000_000_000_000_000  # ns
SECOND = 1_000_000_000  # ns
BALANCE = 10_000_000  # of every asset, for each party
TRADER_BALANCE = 1_000 * BALANCE
DEFAULT_PARTIES = ("bot", "a", "b", "c")  # the parties of every sandbox
MAX_BATCH_SIZE = 30  # instructions; spam.protection.max.batchSize

__all__ = ["Chain", "Market"]


def run_now(function: Callable[[], None]) -> None:
    function()


class Chain:
    """A Vega network.

    Raises:
        ValueError: the markets file has an invalid market; the message is one line.
    """

    def __init__(self, config: dict[str, Any], seed: int = 0, start_time: int = START_TIME, participants: Iterable[str] = ()) -> None:
        self.height = 0
        self.time = start_time  # ns
        self.reject_orders: Optional[str] = None  # an OrderError; while it is set, new orders are rejected with it, except the traders'
        self.emptied_sides: set[tuple[str, str]] = set()  # (market id, side); orders there are cancelled at the end of each block
        self._seed, self._counter = seed, itertools.count(1)
        by_symbol = {symbol: Asset(self._id(f"asset {symbol}"), symbol, decimals) for symbol, decimals in config["assets"].items()}
        self.assets: dict[str, Asset] = {asset.id: asset for asset in by_symbol.values()}
        self.markets: dict[str, Market] = self._build_markets(config["markets"], by_symbol)
        self.parties: dict[str, str] = {name: self._id(f"party {name}") for name in (*DEFAULT_PARTIES, *participants)}
        self.traders: dict[str, str] = {name: self._id(f"party {name}") for name in ("maker", "taker")}
        self._ledger = Ledger()
        self._fund(self.parties.values(), BALANCE)
        self._fund(self.traders.values(), TRADER_BALANCE)
        self._execution = Execution(self.markets, self._ledger, self._next_id, self.traders.values())
        self._queue: list[tuple[str, dict[str, Any]]] = []
        self._governance: list[Callable[[], None]] = []

    @property
    def orders(self) -> dict[str, Order]:
        """Every order by id, in order of submission, dead ones included."""
        return self._execution.archive.by_id

    def newest_orders(self, parties: Sequence[str] = (), live_only: bool = False) -> Iterator[Order]:
        """Iterate over the orders of some parties, or of all, newest first. Do not make a block while iterating."""
        if not live_only:
            return self._execution.archive.newest_first(parties)
        books = [market.book.by_party for market in self.markets.values()]  # the books contain exactly the live orders
        live = [order for book in books for party_id in dict.fromkeys(parties) or book for order in book.get(party_id, {}).values()]
        return iter(sorted(live, key=lambda order: order.number, reverse=True))

    @property
    def positions(self) -> dict[tuple[str, str], Position]:
        """By party and market id."""
        return self._execution.positions.positions

    @property
    def accounts(self) -> dict[tuple[str, str, str, str], Account]:
        """By owner, market id (or ""), type and asset id."""
        return self._ledger.accounts

    def submit(self, party_id: str, transaction: dict[str, Any], deliver: Callable[[Callable[[], None]], None] = run_now) -> str:
        """Queue a transaction (JSON form of the protobuf message) for the next block, and return its hash.

        Args:
            party_id: the public key that signs the transaction.
            transaction: one of the kinds of `commands.TRANSACTION`.
            deliver: gets the function that queues the transaction, and calls it now, later or never.

        Raises:
            commands.InvalidCommandError: the transaction cannot be decoded; a wallet would not send it.
        """
        decoded = commands.decode(transaction)
        deliver(lambda: self._queue.append((party_id, decoded)))
        return self._next_id("transaction").upper()

    def block(self) -> Block:
        """Make one block of all queued transactions. Chain time advances by one second."""
        self.height += 1
        self.time += SECOND
        execution = self._execution
        execution.reject_orders = self.reject_orders
        execution.begin_block(self.time)
        for change in self._governance:
            change()
        execution.empty_sides(self.emptied_sides)
        execution.expire()
        for party_id, transaction in self._queue:
            self._execute(party_id, transaction)
        execution.empty_sides(self.emptied_sides)
        execution.end_block()
        self._governance, self._queue = [], []
        return Block(
            height=self.height,
            time=self.time,
            orders=[replace(order) for order in execution.changed.values()],
            positions=[replace(position) for position in execution.positions.changed.values()],
            accounts=[replace(account) for account in self._ledger.changed.values()],
            trades=execution.trades,
        )

    def suspend(self, market_id: str) -> None:
        """Suspend a market by governance at the next block: orders rest, nothing trades."""
        self.set_state(market_id, SUSPENDED_STATE, SUSPENDED)

    def resume(self, market_id: str) -> None:
        """Resume a market at the next block; crossed orders trade at one price."""
        self.set_state(market_id, ACTIVE_STATE, CONTINUOUS)

    def set_state(self, market_id: str, state: str, trading_mode: str) -> None:
        """Set a market's state and trading mode, by name, at the next block. Final states close its orders and positions."""
        market = self.markets[market_id]
        self._governance.append(lambda: self._execution.set_state(market, state, trading_mode))

    def _execute(self, party_id: str, transaction: dict[str, Any]) -> None:
        for kind, command in transaction.items():
            if kind == "batchMarketInstructions":
                self._execute_batch(party_id, command)
            elif kind == "orderSubmission":
                self._execute_batch(party_id, {"submissions": [command]})
            elif kind == "orderAmendment":
                self._execute_batch(party_id, {"amendments": [command]})
            elif kind == "orderCancellation":
                self._execute_batch(party_id, {"cancellations": [command]})
            elif kind == "liquidityProvisionSubmission":
                self._commit(party_id, command)

    def _execute_batch(self, party_id: str, batch: dict[str, Any]) -> None:
        """Run cancellations, then amendments, then submissions. A failed instruction does not stop the others."""
        if sum(len(instructions) for instructions in batch.values() if isinstance(instructions, list)) > MAX_BATCH_SIZE:
            return
        for cancellation in batch.get("cancellations", []):
            if not commands.problems("orderCancellation", cancellation):
                self._execution.cancel(party_id, cancellation)
        amended = set()  # an order can be amended once per batch
        for amendment in batch.get("amendments", []):
            fails = amendment.get("orderId") in amended or commands.problems("orderAmendment", amendment)
            if not fails and self._execution.amend(party_id, amendment):
                amended.add(amendment["orderId"])
        for submission in batch.get("submissions", []):
            if not commands.problems("orderSubmission", submission):
                self._execution.submit(party_id, submission)

    def _commit(self, party_id: str, command: dict[str, Any]) -> None:
        market = self.markets.get(command.get("marketId", ""))
        if market is None or commands.problems("liquidityProvisionSubmission", command):
            return
        amount = read_uint(command["commitmentAmount"])
        if amount is not None and Decimal(command["fee"]) <= 1:  # the wallet only checks that it is not negative
            self._ledger.commit(party_id, market, amount)

    def _build_markets(self, entries: list[dict[str, Any]], by_symbol: dict[str, Asset]) -> dict[str, Market]:
        markets = {}
        for entry in entries:
            market = build_market(self._id(f"market {entry.get('name')}"), entry, by_symbol, self.time)
            if market.id in markets:
                raise ValueError(f"market {market.name}: there are two of that name")
            markets[market.id] = market
        return markets

    def _fund(self, party_ids: Iterable[str], amount: int) -> None:
        for party_id, asset in itertools.product(party_ids, self.assets.values()):
            self._ledger.deposit(party_id, asset.id, amount * 10**asset.decimals)

    def _next_id(self, kind: str) -> str:
        return self._id(f"{kind} {next(self._counter)}")

    def _id(self, name: str) -> str:
        """64 hex digits, the same for the same seed and name."""
        return hashlib.sha256(f"{self._seed} {name}".encode()).hexdigest()
