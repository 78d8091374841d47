"""A rule on the sandbox's chain and traders, block after block, as fast as blocks can be made: no clock, no sockets.

The rule's orders pass through the bot's `OrderManager`, so the same checks and the same JSON as in the live bot. A block executes the
rule's orders first, which it made from the prices of the block before, then the traders', as in the sandbox.
"""

import logging
import random
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Optional

import bot.submission as sub
from bot.execution import order_manager
from bot.execution.shutdown import Shutdown
from bot.models import Market
from bot.transport import clock
from bot.wallet import WalletError
from tests.backtest.figures import Figures, Result, Snapshot
from tests.backtest.store import BacktestStore
from tests.sandbox.chain import commands
from tests.sandbox.chain.chain import SECOND, Chain, RejectedTransactionError
from tests.sandbox.chain.traders import Traders
from tests.sandbox.markets import read_markets

__all__ = ["Backtest", "Result", "RuleError", "Turn", "play"]

Rule = Callable[..., Any]  # like main.quotes; with a fourth parameter `vega_store` if it wants one
PARTY = "bot"  # name of the rule's key


@dataclass(frozen=True)
class Turn:
    """One turn: what the rule was given, and what became of it."""

    block: int  # 1 for the first turn
    market: Market
    position: float  # contracts
    max_abs_position: float  # contracts
    transaction: Optional[dict[str, Any]]  # what was sent to the chain, None if nothing was
    wallet_error: str = ""  # why the transaction was rejected


class RuleError(Exception):
    """A rule raised, or returned something that cannot be sent.

    Attributes:
        seed, block: where.
        turn: what the rule was given.
        details: the traceback, without the frames of the backtest.
        rule: its name, empty if it has none.
    """

    rule = ""

    def __init__(self, seed: int, turn: Turn, details: str) -> None:
        super().__init__(f"seed {seed}, block {turn.block}: {details.strip().splitlines()[-1]}")
        self.seed, self.turn, self.details = seed, turn, details

    def __reduce__(self) -> tuple[Any, ...]:  # so that it can be sent to another process
        return RuleError, (self.seed, self.turn, self.details)


def play(
    rule: Rule,
    seeds: Iterable[int],
    blocks: int,
    traders: str = "informed",
    market: str = "future",
    max_abs_position: float = 1.0,
) -> list[Result]:
    """Play a rule once for each seed, in this process, and return one result for each.

    A rule that keeps state between calls keeps it from seed to seed as well. Load it again for each seed to avoid that.

    Args:
        rule: like `main.quotes`.
        seeds: of the chain, the traders and Python's own random numbers. The same seed gives the same result.
        blocks: how often the rule is asked.
        traders: "informed" or "noise", as in `tests.sandbox.chain.traders`.
        market: product ("future") or name ("SOL/DAI future") of a market of the sandbox's default file.
        max_abs_position: the limit that the rule is given, in contracts.

    Raises:
        RuleError: the rule raised, or returned something that cannot be sent.
        ValueError: there is no such market.
    """
    return [Backtest(rule, seed, traders, market, max_abs_position).run(blocks) for seed in seeds]


class Backtest:
    """One rule on one market with one seed; the arguments are those of `play`.

    Attributes:
        chain, market: the chain and the only market on it.
        turn: the newest turn.
    """

    def __init__(self, rule: Rule, seed: int, traders: str = "informed", market: str = "future", max_abs_position: float = 1.0) -> None:
        random.seed(seed)
        self._rule, self._seed, self._max_abs_position = rule, seed, max_abs_position
        self.chain = Chain(market_config(market), seed=seed)
        self._traders = Traders(self.chain, seed, traders)
        (self.market,) = self.chain.markets.values()
        party_id = self.chain.parties[PARTY]
        self._figures = Figures(self.chain, self.market, party_id, max_abs_position)
        self._store = BacktestStore(self.chain, self.market, party_id)
        self._wallet = _ChainWallet(self.chain, party_id)
        self._order_manager = order_manager.OrderManager(self._wallet, self._store, self.market.id, max_abs_position, Shutdown())  # type: ignore[arg-type]
        self._blocks = 0
        self.turn: Optional[Turn] = None

    def run(
        self, blocks: int, observe: Optional[Callable[[Snapshot], None]] = None, progress: Callable[[int], None] = lambda _: None
    ) -> Result:
        """Play a number of blocks and return the figures. A Backtest runs once.

        Args:
            blocks: how often the rule is asked.
            observe: gets every block; this takes time.
            progress: gets the number of blocks played since its last call, about every hundred blocks.
        """
        with _rule_errors() as errors, _clock(lambda: self.chain.time / SECOND):
            self._make_block()  # without the rule: it finds prices
            for number in range(1, blocks + 1):
                self._play_block(errors, observe)
                if number % 100 == 0 or number == blocks:
                    progress(number % 100 or 100)
        return self._figures.result(self._seed)

    def _play_block(self, errors: list[str], observe: Optional[Callable[[Snapshot], None]]) -> None:
        self._blocks += 1
        self._figures.begin_turn()
        bid, offer = self._figures.bid, self._figures.offer
        self._take_turn(errors)
        orders = self._wallet.orders
        bought, sold = self._figures.add(self._make_block(), len(orders), self._order_manager.outcome, self._wallet.error_message)
        if observe:
            own = {
                side: [order["price"] for order in orders if order["side"] == side and "price" in order]
                for side in ("SIDE_BUY", "SIDE_SELL")
            }
            unit = 10**self.market.price_decimals
            own_bid = max((int(price) / unit for price in own["SIDE_BUY"]), default=None)
            own_offer = min((int(price) / unit for price in own["SIDE_SELL"]), default=None)
            pnl = self._figures.pnl()
            observe(Snapshot(self._blocks, bid, offer, own_bid, own_offer, bought, sold, self._figures.position, pnl))

    def _take_turn(self, errors: list[str]) -> None:
        """Do what `main._run` does in a turn."""
        self._wallet.begin_turn()
        self._order_manager.begin_turn()
        latest_data = self._store.get_market_by_id(self.market.id)
        assert latest_data is not None
        held = self._store.get_position_by_market_id(self.market.id)
        position = held.open_volume if held is not None else 0
        try:
            submissions = self._order_manager.ask(self._rule, latest_data, position)
        except SystemExit as error:  # it would end the process, and nobody would know the block
            errors.append(_traceback_of_rule(error))
        else:
            batch = sub.BatchMarketInstruction(submissions, [sub.OrderCancellation(market_id=self.market.id)], amendments=[])
            self._order_manager.submit(batch, latest_data.decimal_places, latest_data.position_decimal_places)
        self.turn = Turn(self._blocks, latest_data, position, self._max_abs_position, self._wallet.transaction, self._wallet.error_message)
        if errors:
            raise RuleError(self._seed, self.turn, errors[0])

    def _make_block(self) -> Any:
        for party_id, transaction in self._traders.transactions():
            self.chain.submit(party_id, transaction)
        block = self.chain.block()
        self._store.add(block)
        return block


def market_config(market: str) -> dict[str, Any]:
    """Return the sandbox's default markets without all but one, given by product or by name: blocks are three times as fast.

    Raises:
        ValueError: there is no such market.
    """
    config = read_markets()
    chosen = [entry for entry in config["markets"] if market in (entry["product"], entry["name"])]
    if not chosen:
        known = ", ".join(f"{entry['product']} ({entry['name']})" for entry in config["markets"])
        raise ValueError(f"unknown market {market!r}; known are {known}")
    return {**config, "markets": chosen[:1]}


class _ChainWallet:
    """Stands in for VegaWallet: hands each transaction to the chain, after the checks of the sandbox's wallet."""

    def __init__(self, chain: Chain, party_id: str) -> None:
        self._chain, self._party_id = chain, party_id
        self.begin_turn()

    def begin_turn(self) -> None:
        self.transaction: Optional[dict[str, Any]] = None  # of this turn
        self.error_message = ""

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The orders sent in this turn, as JSON."""
        return self.transaction["batchMarketInstructions"]["submissions"] if self.transaction else []

    def submit_transaction(self, transaction: dict[str, Any], timeouts: Optional[tuple[float, float]] = None) -> str:
        is_first = self.transaction is None  # after a rejection, the order manager sends a cancellation alone
        if is_first:
            self.transaction = transaction
        try:
            return self._chain.submit(self._party_id, transaction, strict=True)
        except (commands.InvalidCommandError, RejectedTransactionError) as error:
            if is_first:
                self.error_message = str(error)
            rejection = WalletError(f"wallet: {error}")
            rejection.rejected = True
            raise rejection from error


@contextmanager
def _clock(now: Callable[[], float]) -> Iterator[None]:
    """Replace the bot's clock, by which it knows how old its data are: a rule may take its time, or stop in a debugger."""
    before = clock.now
    clock.now = now
    try:
        yield
    finally:
        clock.now = before


@contextmanager
def _rule_errors() -> Iterator[list[str]]:
    """Collect the tracebacks that the order manager logs for a rule, and log nothing else of the bot meanwhile."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                found.append(_traceback_of_rule(record.exc_info[1]))

    log = logging.getLogger("bot")
    before = (log.level, log.propagate, log.handlers)
    log.level, log.propagate, log.handlers = logging.ERROR, False, [Collector()]
    try:
        yield found
    finally:
        log.level, log.propagate, log.handlers = before


def _traceback_of_rule(error: BaseException) -> str:
    """Return the traceback from the rule's own frame on. An error that the order manager raised has none; then that of the whole."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename in (__file__, order_manager.__file__):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
