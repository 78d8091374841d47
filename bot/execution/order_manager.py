"""The only code that sends transactions while the loop runs. Loop thread.

Not on the page, which sends what the rule wants, whatever it holds and whatever became of the turn before. A turn here is:
`begin_turn`, the rule through `ask`, `submit`, `end_turn`. What is wrong with a turn becomes its reason not to quote.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Optional

import bot.submission as sub
from bot.execution.pre_trade_checks import (
    FINAL_STATES,
    MAX_DATA_AGE,
    RETRY_TURNS,
    check_increments,
    check_market,
    check_rejections,
    limit_to_position,
    validate_orders,
)
from bot.execution.shutdown import Shutdown
from bot.models import Market
from bot.vega_store import VegaStore
from bot.wallet import VegaWallet, WalletError

logger = logging.getLogger(__name__)

LOOP_INTERVAL = 1.0  # seconds from the start of a turn to the start of the next
MAX_FAILURES = 10  # turns in a row in which quotes() raised

Rule = Callable[[Market, float, float], list[sub.OrderSubmission]]


@dataclass
class Turn:
    """What is known of the turn that runs."""

    started_at: float  # time.monotonic()
    data_age: float  # seconds, as the next
    position_age: float
    market: Optional[Market] = None
    position: float = 0.0  # contracts
    reason: str = ""  # why there are no quotes; empty if there are
    should_cancel: bool = False  # open orders must go although there are no quotes
    outcome: str = ""  # how the log line ends


class OrderManager:
    """Asks the rule, checks its orders, sends them, and knows what may be open: from the store, and from what it sent."""

    def __init__(self, wallet: VegaWallet, vega_store: VegaStore, market_id: str, max_abs_position: float, shutdown: Shutdown):
        self._wallet = wallet
        self._vega_store = vega_store
        self._market_id = market_id
        self._max_abs_position = max_abs_position
        self._shutdown = shutdown
        self._orders_may_be_open = False  # of those that this object sent
        self._failures = 0  # turns in a row in which quotes() raised
        self._turns = 0
        self._turn = Turn(0.0, 0.0, 0.0)

    def begin_turn(self) -> None:
        """Read the ages. Call this first: data read later is at least this fresh."""
        self._turns += 1
        self._turn = Turn(
            started_at=time.monotonic(),
            data_age=self._vega_store.seconds_since_update(self._market_id),
            position_age=self._vega_store.seconds_since_position(self._market_id),
        )

    def has_ended(self, market: Market) -> bool:
        """Return whether the market has ended for good. Differs from the page, which continues without end."""
        if market.state in FINAL_STATES:
            logger.info("Market %s is %s: nothing is left to quote", self._market_id, market.state)
        return market.state in FINAL_STATES

    def ask(self, rule: Rule, market: Market, position: float) -> list[sub.OrderSubmission]:
        """Return the orders that the rule wants, none if there is a reason not to quote.

        Raises:
            Exception: the rule's own, when it has failed MAX_FAILURES times in a row.
        """
        turn = self._turn
        turn.market, turn.position = market, position
        # Differs from the page, which quotes whatever it holds, and sends again what the network has rejected.
        turn.reason, turn.should_cancel = check_market(market, turn.data_age, turn.position_age)
        if not turn.reason and self._turns % RETRY_TURNS:
            turn.reason = check_rejections(*self._vega_store.get_consecutive_rejections(self._market_id))
        if turn.reason:
            self._failures = 0
            return []
        try:
            submissions = validate_orders(rule(market, position, self._max_abs_position), self._market_id)
        except Exception:  # the rule is where newcomers write
            if self._on_rule_failed():
                raise
            return []
        if not submissions:
            turn.reason, turn.should_cancel = "quotes() returned no orders", True
        return submissions

    def submit(self, batch: sub.BatchMarketInstruction, price_decimals: int, position_decimals: int) -> None:
        """Check whatever is in the batch, and send it if there is anything to send.

        Args:
            batch: the instructions of this turn, in human units.
            price_decimals: the market's `decimalPlaces`.
            position_decimals: the market's `positionDecimalPlaces`.
        """
        turn = self._turn
        if not turn.reason:
            try:
                batch, transaction = self._check(batch, price_decimals, position_decimals)
                self._failures = 0
            except Exception:  # orders that the network would drop without an error message
                if self._on_rule_failed():
                    raise
        if turn.reason:
            cancel_all = sub.OrderCancellation(market_id=self._market_id)
            batch = sub.BatchMarketInstruction(submissions=[], cancellations=[cancel_all], amendments=[])
            transaction = sub.instruction_to_json(batch, price_decimals, position_decimals)
        if self._shutdown.requested.is_set():  # quotes() ran for longer than main waits: this would come after its cancellation
            turn.outcome = "no quote: the bot is stopping"
            return
        turn.outcome = f"no quote: {turn.reason}" if turn.reason else "quoted"
        is_cancellation_due = turn.should_cancel and (self._orders_may_be_open or self._shutdown.orders_may_be_in_flight())
        if not turn.reason or is_cancellation_due:
            self._send(transaction, has_orders=not turn.reason)

    def end_turn(self) -> None:
        """Log the turn, and wait for the rest of LOOP_INTERVAL, or until the bot is told to stop."""
        turn, market = self._turn, self._turn.market
        assert market is not None
        # Differs from the page, which prints five lines and does not know what came of its orders.
        logger.info(
            "Latest prices are %s - %s | Position is %s | %d live orders | data %.1f s old | %s",
            _plain(market.best_bid_price),
            _plain(market.best_offer_price),
            _plain(turn.position),
            sum(order.market_id == self._market_id for order in self._vega_store.get_orders()),
            turn.data_age,
            turn.outcome,
        )
        # Differs from the page, which sleeps for a whole second on top of the wallet's time.
        self._shutdown.requested.wait(max(0.0, turn.started_at + LOOP_INTERVAL - time.monotonic()))

    def _check(
        self, batch: sub.BatchMarketInstruction, price_decimals: int, position_decimals: int
    ) -> tuple[sub.BatchMarketInstruction, dict[str, Any]]:
        """Return the batch that may be sent, and its JSON; note in the turn why nothing may be sent."""
        turn = self._turn
        assert turn.market is not None
        wanted = validate_orders(batch.submissions, self._market_id)
        submissions, left_out = limit_to_position(wanted, turn.position, self._max_abs_position, position_decimals)
        for reason in left_out:
            logger.debug("left out %s", reason)
        batch = sub.BatchMarketInstruction(submissions=submissions, cancellations=batch.cancellations, amendments=batch.amendments)
        transaction = sub.instruction_to_json(batch, price_decimals, position_decimals, turn.market.tick_size)
        check_increments(submissions, transaction)
        if turn.data_age + time.monotonic() - turn.started_at > MAX_DATA_AGE:
            turn.reason = f"data became older than {MAX_DATA_AGE:.0f} s while quotes() ran"
        elif not submissions and not batch.amendments:
            turn.reason, turn.should_cancel = "position limit reached", True
        return batch, transaction

    def _on_rule_failed(self) -> bool:
        """Log the exception that is being handled, and return whether it should end the bot."""
        self._turn.reason, self._turn.should_cancel = "quotes() failed", False
        self._failures += 1
        if self._failures == MAX_FAILURES:
            logger.error("quotes() failed %d times in a row, so the bot ends", self._failures)
            return True
        logger.exception("quotes() failed, so this turn is skipped")
        return False

    def _send(self, transaction: dict[str, Any], has_orders: bool) -> None:
        sent_before = self._shutdown.orders_sent.is_set()
        self._shutdown.orders_sent.set()  # before sending: main may have to end while the wallet hangs
        try:
            self._wallet.submit_transaction(transaction)
            self._orders_may_be_open = has_orders
        except WalletError as error:
            self._orders_may_be_open = self._orders_may_be_open or error.may_have_executed
            if error.timed_out:
                self._shutdown.timed_out_at = time.monotonic()
            if not sent_before and not error.may_have_executed:
                self._shutdown.orders_sent.clear()
            self._turn.outcome = f"{self._turn.outcome}; cancelling failed: {error}" if not has_orders else f"no quote: {error}"


def _plain(number: float) -> str:
    """Return a number as people write it: 0.00001, not 1e-05."""
    return f"{Decimal(repr(number)).normalize():f}"
