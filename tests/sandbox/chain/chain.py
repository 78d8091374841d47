"""The chain: queues transactions, makes blocks, and holds every market, order, position and account.

It is deterministic: no clock, no network, no threads, no floats. The same seed and the same calls give the same chain, ids included.
A block expires orders first, then executes the transactions in the order of `transaction_order`, then marks markets to market.

It decides as Vega core v0.77 does, to the unit of each balance. What it leaves out:
- isolated margin: the instruction is checked and has no effect; all margin is cross margin,
- funding payments of perpetuals, automated market makers, teams, referrals, rewards and votes,
- the penalty for a bond that pays for margin, and what `liquidity` says,
- its market data show the state after a block; the network's show it before the block's transactions.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Optional, Union

from tests.sandbox.chain import commands
from tests.sandbox.chain.execution import Execution
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import ACTIVE_STATE, CONTINUOUS, SUSPENDED, SUSPENDED_STATE, Market, Terms, build_market
from tests.sandbox.chain.network_checks import NetworkChecks
from tests.sandbox.chain.records import Account, Asset, Block, Order, Position
from tests.sandbox.chain.transaction_order import TransactionQueue
from tests.sandbox.chain.transactions import TransactionExecutor

START_TIME = 1_700_000_000_000_000_000  # ns
SECOND = 1_000_000_000  # ns
BALANCE = 10_000_000  # of every asset, for each party
TRADER_BALANCE = 1_000 * BALANCE
DEFAULT_PARTIES = ("bot", "a", "b", "c")  # the parties of every sandbox

__all__ = ["Chain", "Market"]


class RejectedTransactionError(ValueError):
    """A transaction that the network rejects as a whole; the text is the network's error message."""


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
        by_symbol = {symbol: self._build_asset(symbol, terms) for symbol, terms in config["assets"].items()}
        self.assets: dict[str, Asset] = {asset.id: asset for asset in by_symbol.values()}
        self.markets: dict[str, Market] = self._build_markets(config["markets"], by_symbol)
        self.parties: dict[str, str] = {name: self._id(f"party {name}") for name in (*DEFAULT_PARTIES, *participants)}
        self.traders: dict[str, str] = {name: self._id(f"party {name}") for name in ("maker", "taker")}
        self._ledger = Ledger()
        self._fund(self.parties.values(), BALANCE)
        self._fund(self.traders.values(), TRADER_BALANCE)
        self._execution = Execution(self.markets, self._ledger, self._next_id, self.traders.values())
        self._transactions = TransactionExecutor(self._execution)
        self._checks = NetworkChecks(self._execution.engines, self._ledger)
        self._queue = TransactionQueue({market.id for market in self.markets.values() if market.reorders_transactions})
        self._governance: list[Callable[[], None]] = []

    @property
    def is_null_chain(self) -> bool:
        """Whether the chain executes what only CometBFT would reject."""
        return self._checks.is_null_chain

    @is_null_chain.setter
    def is_null_chain(self, is_null_chain: bool) -> None:
        self._checks.is_null_chain = is_null_chain

    @property
    def orders(self) -> dict[str, Order]:
        """Every order by id, in order of submission, dead ones included."""
        return self._execution.journal.archive.by_id

    def newest_orders(self, parties: Sequence[str] = (), live_only: bool = False) -> Iterator[Order]:
        """Iterate over the orders of some parties, or of all, newest first. Do not make a block while iterating."""
        if not live_only:
            return self._execution.journal.archive.newest_first(parties)
        books = [market.book.by_party for market in self.markets.values()]
        live = [order for book in books for party_id in dict.fromkeys(parties) or book for order in book.get(party_id, {}).values()]
        live += [order for engine in self._execution.engines.values() for order in engine.parked_orders() if self._is_of(order, parties)]
        return iter(sorted(live, key=lambda order: order.number, reverse=True))

    @property
    def positions(self) -> dict[tuple[str, str], Position]:
        """By party and market id."""
        return self._execution.journal.positions.positions

    @property
    def accounts(self) -> dict[tuple[str, str, str, str], Account]:
        """By owner, market id (or ""), type and asset id."""
        return self._ledger.accounts

    def rejection(self, party_id: str, transaction: dict[str, Any]) -> str:
        """Return the error message with which a network with CometBFT rejects a decoded transaction; empty if it accepts it."""
        return next((error for kind, command in transaction.items() if (error := self._checks.error(party_id, kind, command))), "")

    def submit(
        self, party_id: str, transaction: dict[str, Any], deliver: Callable[[Callable[[], None]], None] = run_now, strict: bool = False
    ) -> str:
        """Queue a transaction (JSON form of the protobuf message) for the next block, and return its hash.

        A transaction that the network rejects gets a hash, as on a null chain, and has no effect. Call `rejection` first to know, or be
        strict.

        Args:
            party_id: the public key that signs the transaction.
            transaction: one of the kinds of `commands.TRANSACTION`.
            deliver: gets the function that queues the transaction, and calls it now, later or never.
            strict: whether to raise an error for a transaction that the network rejects.

        Raises:
            commands.InvalidCommandError: the transaction cannot be decoded; a wallet would not send it.
            RejectedTransactionError: the network rejects the transaction; the text is its error message.
        """
        decoded = commands.decode(transaction)
        rejection = self.rejection(party_id, decoded)
        if not rejection:
            deliver(lambda: self._queue.add(party_id, decoded))
        elif strict:
            raise RejectedTransactionError(rejection)
        return self._next_id("transaction").upper()

    def block(self, wall_time: Optional[int] = None) -> Block:
        """Make one block of all queued transactions.

        Args:
            wall_time: ns; the block's time. Without it, or if it is not after the last block's, chain time advances by one second.
        """
        self.height += 1
        self.time = wall_time if wall_time and wall_time > self.time else self.time + SECOND
        execution = self._execution
        execution.reject_orders = self.reject_orders
        journal = execution.journal
        journal.begin_block(self.time)
        for change in self._governance:
            change()
        execution.begin_block()
        execution.empty_sides(self.emptied_sides)
        for party_id, transaction in self._queue.take():
            self._transactions.execute(party_id, transaction)
        execution.empty_sides(self.emptied_sides)
        execution.end_block()
        self._governance = []
        return Block(
            height=self.height,
            time=self.time,
            orders=[order.copy() for order in journal.changed.values()],
            positions=[replace(position) for position in journal.positions.changed.values()],
            accounts=[replace(account) for account in self._ledger.changed.values()],
            trades=journal.trades,
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

    def update_market(self, market_id: str, terms: Terms) -> None:
        """Change a market's tick size and price decimals by governance at the next block."""
        market = self.markets[market_id]
        if not market.pending_terms:
            engine = self._execution.engines[market_id]
            self._governance.append(lambda: engine.change_terms(market.upcoming_terms))
        market.pending_terms = terms

    def _build_asset(self, symbol: str, terms: Union[int, dict[str, Any]]) -> Asset:
        """Make an asset from its entry in the markets file: its decimals, or those and its quantum."""
        if isinstance(terms, int):
            terms = {"decimals": terms}
        return Asset(self._id(f"asset {symbol}"), symbol, terms["decimals"], int(terms.get("quantum", 1)))

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

    @staticmethod
    def _is_of(order: Order, parties: Sequence[str]) -> bool:
        return not parties or order.party_id in parties

    def _next_id(self, kind: str) -> str:
        return self._id(f"{kind} {next(self._counter)}")

    def _id(self, name: str) -> str:
        """64 hex digits, the same for the same seed and name."""
        return hashlib.sha256(f"{self._seed} {name}".encode()).hexdigest()
