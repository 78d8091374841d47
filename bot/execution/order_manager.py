"""The only code that sends transactions while the loop runs. Loop thread.

Not on the page, which sends the orders of its rule and checks neither the age of its data nor the outcome of the last turn. A turn is:
`begin_turn`, `ask`, which calls the rule, `submit`, `end_turn`. Any problem in a turn becomes its reason not to quote.
"""

import contextlib
import inspect
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Optional, Union

import bot.submission as sub
from bot.execution.order_tracker import OrderTracker
from bot.execution.pre_trade_checks import (
    FINAL_STATES,
    MAX_DATA_AGE,
    MAX_DATA_AGE_BLOCKS,
    MAX_INSTRUCTIONS,
    RETRY_TURNS,
    SIDES,
    Ages,
    cancels_all,
    check_increments,
    check_market,
    check_rejections,
    cut_to_room,
    leave_out_small_orders,
    orders_after,
    room_on_sides,
    validate_orders,
)
from bot.execution.shutdown import Shutdown
from bot.models import Market
from bot.transport import clock
from bot.transport.error_text import truncate
from bot.vega_api_client import LOOKUP_TIMEOUT, VegaApiError
from bot.vega_store import LIVE_STATUSES, VegaStore
from bot.wallet import VegaWallet, WalletError

logger = logging.getLogger(__name__)

LOOP_INTERVAL = 1.0  # seconds from the start of a turn to the start of the next
SNAPSHOT_POLL_INTERVAL = 0.02  # seconds, before the first turn
MAX_FAILURES = 10  # turns in a row in which quotes() raised
CANCEL_TURNS = 10  # accepted cancellations in a row while quoting is not allowed; after that, every tenth turn
MAX_SILENT_TURNS = 10  # turns without a sent order appearing; after that, the log says so
LOST_AFTER_BLOCKS = 2  # after a cancellation: an order that REST does not show by then is lost
WAITING_FOR_ORDERS = "waiting for the last orders"
NEVER_APPEARED = "accepted, but no order has appeared"
RULE_FAILED = "quotes() failed"
NO_ORDERS = "quotes() returned no orders"


@dataclass(frozen=True)
class NoQuote:
    """What a rule may return instead of orders: the turn line shows the reason."""

    reason: str


Rule = Callable[..., Union[list[sub.OrderSubmission], NoQuote]]
AfterTurn = Callable[[Market, float, str, VegaStore], object]


@dataclass
class Turn:
    """The state of the current turn."""

    started_at: float  # clock.now()
    ages: Ages
    market: Optional[Market] = None
    position: float = 0.0  # contracts
    reason: str = ""  # why there are no quotes; empty if there are
    outcome: str = ""  # how the log line ends


class OrderManager:
    """Asks the rule, checks its orders, sends them, and cancels orders that must not stay open.

    Args:
        wallet: sends the transactions.
        vega_store: what the bot knows.
        market_id: the market.
        max_abs_position: the position limit in contracts, for long and short.
        shutdown: the state of the end, which this thread and the main thread share.
        dry_run: send nothing, and log what would be sent.
        loop_interval: seconds from turn to turn.
    """

    def __init__(
        self,
        wallet: VegaWallet,
        vega_store: VegaStore,
        market_id: str,
        max_abs_position: float,
        shutdown: Shutdown,
        dry_run: bool = False,
        loop_interval: float = LOOP_INTERVAL,
    ):
        self._wallet = wallet
        self._vega_store = vega_store
        self._market_id = market_id
        self._max_abs_position = max_abs_position
        self._shutdown = shutdown
        self._dry_run = dry_run
        self._loop_interval = loop_interval
        self._tracker = OrderTracker(vega_store, market_id)
        shutdown.look_for_unseen_orders = self.look_for_unseen_orders
        self._rule: Optional[Rule] = None  # the last one asked
        self._takes_store = False  # whether that rule has a parameter `vega_store`
        self._turn = Turn(0.0, Ages(data=math.inf))
        self._turns = 0
        self._slept = 0.0  # clock.slept() at the start of the last turn
        self._failures = 0  # turns in a row in which quotes() raised
        self._silent_turns = 0  # turns in a row with orders that have not appeared
        self._uncancelled = False  # orders were sent after the last accepted cancellation of all
        self._cancel_turns = 0  # turns in a row in which open orders were to be cancelled
        self._accepted_cancels = 0  # of those turns
        self._overdue_cancelled_at: Optional[int] = None  # block count when overdue orders were cancelled
        self._must_cancel_all = False  # a call timed out: the next batch has to begin with a cancellation of all
        self._learnt_minimum: dict[str, float] = {}  # side -> price times size that the network has rejected as too small

    @property
    def outcome(self) -> str:
        """How the log line of the current turn ends, once `submit` has returned."""
        return self._turn.outcome

    def begin_turn(self) -> None:
        """Read the ages. Call this first: data read later is at least this fresh."""
        self._turns += 1
        if self._turns == 1:
            self._wait_for_snapshots()
            self._slept = clock.slept()
        interval = self._vega_store.get_block_interval(self._market_id)
        slept_before, self._slept = self._slept, clock.slept()
        ages = Ages(
            # After a suspend, what the streams bring first may be from before it.
            data=max(self._slept - slept_before, self._vega_store.seconds_since_update(self._market_id)),
            position=self._vega_store.seconds_since_position(self._market_id),
            orders=self._vega_store.seconds_since_orders(),
            max_data=max(MAX_DATA_AGE, MAX_DATA_AGE_BLOCKS * interval),
        )
        self._turn = Turn(clock.now(), ages)

    def _wait_for_snapshots(self) -> None:
        """Give the streams the time of one turn to deliver what the first quote needs."""
        deadline = clock.now() + self._loop_interval
        while clock.now() < deadline and not self._shutdown.requested.is_set():
            if not (self._vega_store.seconds_since_position(self._market_id) or self._vega_store.seconds_since_orders()):
                return
            self._shutdown.requested.wait(SNAPSHOT_POLL_INTERVAL)

    def has_ended(self, market: Market) -> bool:
        """Return whether the market has ended for good. Differs from the page, which continues without end."""
        if market.state in FINAL_STATES:
            logger.info("Market %s is %s: nothing is left to quote", self._market_id, market.state)
        return market.state in FINAL_STATES

    def ask(self, rule: Rule, market: Market, position: float) -> list[sub.OrderSubmission]:
        """Return the orders that the rule wants, none if there is a reason not to quote.

        Args:
            rule: `quotes(market, open_volume, max_abs_position)`, or with a fourth parameter named `vega_store`.
            market: the newest prices.
            position: contracts.

        Raises:
            Exception: the rule's own, when it has failed MAX_FAILURES times in a row.
        """
        turn = self._turn
        self._check_turn(market, position)
        if turn.reason:
            self._failures = 0
            return []
        try:
            if rule is not self._rule:  # looking at its parameters takes longer than most rules
                self._rule, self._takes_store = rule, "vega_store" in inspect.signature(rule).parameters
            extra = {"vega_store": self._vega_store} if self._takes_store else {}
            wanted = rule(market, position, self._max_abs_position, **extra)
            if isinstance(wanted, NoQuote):
                turn.reason = truncate(wanted.reason or "") or "quotes() returned no reason"
                return []
            submissions = validate_orders(wanted, self._market_id)
        except Exception:  # user code
            if self._on_rule_failed():
                raise
            return []
        if not submissions:
            turn.reason = NO_ORDERS
        return submissions

    def _check_turn(self, market: Market, position: float) -> None:
        """Note in the turn what it is about, and whether there is a reason not to quote."""
        turn = self._turn
        turn.market, turn.position = market, position
        self._follow_orders(market)
        # Differs from the page, which quotes on any data, and sends rejected orders again.
        turn.reason = check_market(market, turn.ages) or turn.reason
        if not turn.reason and self._turns % RETRY_TURNS:
            turn.reason = check_rejections(*self._vega_store.get_consecutive_rejections(self._market_id))

    def _check_without_ask(self) -> None:
        market = self._vega_store.get_market_by_id(self._market_id)
        position = self._vega_store.get_position_by_market_id(self._market_id)
        if market is not None:
            self._check_turn(market, position.open_volume if position is not None else 0.0)

    def submit(self, batch: sub.BatchMarketInstruction, price_decimals: int, position_decimals: int) -> None:
        """Check the batch, and send it if there is anything to send.

        Args:
            batch: the instructions of this turn, in human units. If it does not cancel all orders, those that stay count.
            price_decimals: the market's `decimalPlaces` at the start; if governance has changed them, the store's are used.
            position_decimals: the market's `positionDecimalPlaces`, likewise.
        """
        turn = self._turn
        has_orders = bool(batch.submissions or batch.amendments)
        if turn.market is None:  # `_run` has the lines of a rule itself, as on the page and on the pages that follow it
            self._check_without_ask()
            turn.reason = turn.reason or ("" if has_orders else NO_ORDERS)
        elif turn.reason == NO_ORDERS and has_orders:  # `_run` has added orders to those of the rule
            turn.reason = ""
        market = turn.market
        assert market is not None
        transaction: dict[str, Any] = {}
        if not turn.reason:
            try:
                transaction = self._checked(batch, market)
                self._failures = 0
            except Exception:  # orders that the network would reject together with the whole batch
                if self._on_rule_failed():
                    raise
        if self._shutdown.requested.is_set():  # quotes() ran for longer than main waits: this would come after its cancellation
            turn.outcome = "no quote: the bot is stopping"
        elif self._dry_run:
            turn.outcome = turn.outcome or f"no quote: {turn.reason}"
        elif turn.reason:
            turn.outcome = f"no quote: {turn.reason}"
            if turn.reason not in (WAITING_FOR_ORDERS, RULE_FAILED):
                self._cancel_open_orders()
        elif any(transaction["batchMarketInstructions"].values()):
            self._send(transaction, market)
        else:
            turn.outcome = turn.outcome or "quotes kept"

    def end_turn(self, after_turn: Optional[AfterTurn] = None) -> None:
        """Log the turn, call `after_turn`, and wait for the rest of the interval, or until the bot has to stop."""
        turn, market = self._turn, self._turn.market
        assert market is not None
        live = len(self._tracker.live_orders())
        # Differs from the page, which prints five lines, without the outcome.
        logger.info(
            "Latest prices are %s - %s | Position is %s | %d live order%s | data %.1f s old | %s",
            _price(market.best_bid_price, market),
            _price(market.best_offer_price, market),
            _plain(turn.position),
            live,
            "" if live == 1 else "s",
            turn.ages.data,
            turn.outcome,
        )
        if after_turn is not None:
            try:
                after_turn(market, turn.position, turn.outcome, self._vega_store)
            except Exception:  # user code
                logger.exception("after_turn() failed")
        # Differs from the page, which sleeps for a whole second on top of the wallet's time.
        self._shutdown.requested.wait(max(0.0, turn.started_at + self._loop_interval - clock.now()))

    def _follow_orders(self, market: Market) -> None:
        """Follow the orders that were sent; note in the turn if they are overdue."""
        if self._tracker.read_updates(market):
            self._silent_turns = 0
        elif self._tracker.has_unseen():
            self._silent_turns += 1
        if not (self._tracker.has_unseen() and (self._tracker.is_overdue() or self._overdue_cancelled_at is not None)):
            self._overdue_cancelled_at = None
            return
        is_reportable = self._silent_turns >= MAX_SILENT_TURNS and self._tracker.has_accepted_unseen()
        self._turn.reason = NEVER_APPEARED if is_reportable else "the last orders have not appeared"
        if self._overdue_cancelled_at is None:
            return  # submit cancels, which sets it
        try:
            orders = self._vega_store.fetch_recent_orders(time.monotonic() + LOOKUP_TIMEOUT)
        except VegaApiError as error:
            logger.debug("%s", error)
            return
        self._tracker.take_in(orders, market)
        is_open = any(order.market_id == self._market_id and order.status in LIVE_STATUSES for order in orders)
        blocks = self._vega_store.get_block_count(self._market_id) - self._overdue_cancelled_at
        if not is_open and (blocks >= LOST_AFTER_BLOCKS or not self._tracker.has_unseen()):
            self._tracker.forget_unseen()
            self._overdue_cancelled_at = None
            if not is_reportable:
                self._turn.reason = ""

    def look_for_unseen_orders(self, deadline: float) -> bool:
        """Ask REST what became of the orders that were sent and have not appeared; return whether some still have not.

        Main thread, when the loop has ended. `deadline` is a time.monotonic().
        """
        market = self._vega_store.get_market_by_id(self._market_id)
        if market is not None and self._tracker.has_unseen():
            self._tracker.read_updates(market)
            with contextlib.suppress(VegaApiError):
                self._tracker.take_in(self._vega_store.fetch_recent_orders(deadline), market)
        return self._tracker.has_unseen()

    def _checked(self, batch: sub.BatchMarketInstruction, market: Market) -> dict[str, Any]:
        """Return the JSON of what may be sent of a batch; note in the turn why nothing may be sent."""
        turn = self._turn
        if self._must_cancel_all and not cancels_all(batch, self._market_id):
            batch = replace(batch, cancellations=[sub.OrderCancellation(market_id=self._market_id)], amendments=[])
        if len(batch.submissions) + len(batch.amendments) + len(batch.cancellations) > MAX_INSTRUCTIONS:
            raise ValueError(f"a batch holds at most {MAX_INSTRUCTIONS} instructions")
        wanted = validate_orders(batch.submissions, self._market_id)
        batch, left_out = self._within_limit(batch, wanted, market)
        if turn.reason:
            return {}
        places = (market.decimal_places, market.position_decimal_places, market.tick_size)
        transaction = sub.instruction_to_json(batch, *places)
        check_increments(batch.submissions, transaction)
        submissions, too_small = leave_out_small_orders(batch.submissions, self._minimum_values())
        if too_small:
            batch = replace(batch, submissions=submissions)
            transaction = sub.instruction_to_json(batch, *places)
        if turn.ages.data + clock.now() - turn.started_at > turn.ages.max_data:
            turn.reason = f"data became older than {turn.ages.max_data:.0f} s while quotes() ran"
        elif wanted and not submissions and not batch.amendments:
            turn.reason = "; ".join(too_small or left_out)
        elif self._dry_run:
            described = _describe(batch, market)
            turn.outcome = f"would quote: {described}" if described else "would keep its quotes"
        elif submissions and too_small:
            turn.outcome = f"quoted; left out: {'; '.join(too_small)}"
        return transaction

    def _within_limit(
        self, batch: sub.BatchMarketInstruction, wanted: list[sub.OrderSubmission], market: Market
    ) -> tuple[sub.BatchMarketInstruction, list[str]]:
        """Cut a batch to the position limit. Return it, and why orders are left out; note in the turn if they have to wait."""
        exposure = self._tracker.exposure(market)
        kept_orders = orders_after(batch, self._tracker.live_orders(), self._market_id)
        taken = dict.fromkeys(exposure.unseen, Decimal(0))
        for order in kept_orders:
            taken[order.side] += Decimal(str(order.remaining_size))
        room = room_on_sides(exposure.low, exposure.high, self._max_abs_position, taken)
        submissions, left_out = cut_to_room(wanted, room, market.position_decimal_places)
        if any(exposure.unseen.values()):
            possible, _ = leave_out_small_orders(submissions, self._minimum_values())
            room = {side: left - exposure.unseen[side] for side, left in room.items()}
            submissions, _ = cut_to_room(wanted, room, market.position_decimal_places)
            fitting, _ = leave_out_small_orders(submissions, self._minimum_values())  # a rest of room may be below the minimum
            if {order.side for order in possible} - {order.side for order in fitting}:
                self._turn.reason = WAITING_FOR_ORDERS  # only orders that have not appeared yet take the room
        amendments = batch.amendments
        if any(left < 0 for left in room.values()):  # an amendment may grow an order, but not past the limit
            amendments = [each for each in amendments if each.size_delta <= 0]
        return replace(batch, submissions=submissions, amendments=amendments), left_out

    def _minimum_values(self) -> dict[str, float]:
        """Return the smallest price times size of an order for each side, from the node or learnt from a rejection."""
        known = self._vega_store.get_minimum_order_value
        return {side: max(known(self._market_id, side), self._learnt_minimum.get(side, 0.0)) for side in SIDES}

    def _on_rule_failed(self) -> bool:
        """Log the exception that is being handled, and return whether it should end the bot."""
        self._turn.reason = RULE_FAILED
        self._failures += 1
        if self._failures == MAX_FAILURES:
            logger.error("quotes() failed %d times in a row, so the bot ends", self._failures)
            return True
        logger.exception("quotes() failed, so this turn is skipped")
        return False

    def _send(self, transaction: dict[str, Any], market: Market) -> None:
        turn = self._turn
        sent_before = self._shutdown.orders_sent.is_set()
        self._shutdown.orders_sent.set()  # before sending: main may have to end while the wallet hangs
        self._cancel_turns = self._accepted_cancels = 0
        try:
            self._wallet.submit_transaction(transaction)
        except WalletError as error:
            turn.outcome = f"no quote: {error}"
            if error.may_have_executed:
                self._tracker.on_sent(transaction, market, accepted=False)
                self._uncancelled = self._must_cancel_all = True
            elif not sent_before:
                self._shutdown.orders_sent.clear()
            if error.timed_out:
                self._shutdown.timed_out_at = time.monotonic()
            if error.rejected:  # as a whole, with its cancellations: the old quotes are still there
                self._learn_minimum(str(error), transaction, market)
                self._cancel_open_orders(after=str(error))
            return
        self._tracker.on_sent(transaction, market, accepted=True)
        self._uncancelled, self._must_cancel_all = True, False
        turn.outcome = turn.outcome or "quoted"

    def _cancel_open_orders(self, after: str = "") -> None:
        """Cancel all orders on the market if any may be open; `after` is the error message of a rejected batch."""
        is_overdue = self._tracker.has_unseen() and self._overdue_cancelled_at is None and self._tracker.is_overdue()
        may_be_open = (
            self._tracker.live_orders() or self._uncancelled or self._tracker.has_unseen() or self._shutdown.orders_may_be_in_flight()
        )
        if not may_be_open or self._dry_run:
            self._cancel_turns = self._accepted_cancels = 0
            return
        self._cancel_turns += 1
        if self._accepted_cancels >= CANCEL_TURNS and self._cancel_turns % CANCEL_TURNS:
            return
        self._shutdown.orders_sent.set()  # from now on the end has to verify
        cancel_all = sub.BatchMarketInstruction(
            submissions=[], cancellations=[sub.OrderCancellation(market_id=self._market_id)], amendments=[]
        )
        try:
            self._wallet.submit_transaction(sub.instruction_to_json(cancel_all, price_decimals=0, position_decimals=0))
            self._uncancelled = self._must_cancel_all = False
            self._accepted_cancels += 1
            if is_overdue:
                self._overdue_cancelled_at = self._vega_store.get_block_count(self._market_id)
        except WalletError as error:
            if error.timed_out:
                self._shutdown.timed_out_at = time.monotonic()
            if str(error) != after:
                self._turn.outcome = f"{self._turn.outcome}; cancelling failed: {error}"

    def _learn_minimum(self, message: str, transaction: dict[str, Any], market: Market) -> None:
        """Learn the smallest order value if the node did not give it: the smallest order of the batch was too small."""
        match = re.search(r"order value \(([0-9.]+)\) is less than minimum .*?\(([0-9.]+)\)", message)
        values = [
            sub.convert_to_decimals(market.decimal_places, int(padded["price"]))
            * sub.convert_to_decimals(market.position_decimal_places, int(padded["size"]))
            for padded in transaction["batchMarketInstructions"]["submissions"]
            if "price" in padded
        ]
        if not match or not values:
            return
        value, minimum = float(match[1]), float(match[2])  # in the asset's padded units; only their ratio matters
        smallest = min(values) * (minimum / value if value else 1 + 1e-9)
        self._learnt_minimum = {side: max(self._learnt_minimum.get(side, 0.0), smallest) for side in SIDES}


def _describe(batch: sub.BatchMarketInstruction, market: Market) -> str:
    """Describe a batch for the log, without a cancellation of all orders."""
    orders = [
        f"{order.side.removeprefix('SIDE_').lower()} {_plain(order.size)} at {_price(order.price, market)}" for order in batch.submissions
    ]
    amendments = [f"amend {amendment.order_id} to {_price(amendment.price, market)}" for amendment in batch.amendments]
    cancellations = [f"cancel {cancellation.order_id}" for cancellation in batch.cancellations if cancellation.order_id is not None]
    return ", ".join(cancellations + amendments + orders)


def _price(price: float, market: Market) -> str:
    """Return a price with all of the market's decimals; 0 while a side of the book is empty."""
    return f"{price:.{max(0, market.decimal_places)}f}" if price else "0"


def _plain(number: float) -> str:
    """Return a number as people write it: 0.00001, not 1e-05."""
    return f"{Decimal(repr(number)).normalize():f}"
