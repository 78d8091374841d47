"""The bot's start and end: signals, a start with a deadline, an end that leaves no order behind. Main thread, except where noted.

Not on the page, whose process leaves its orders on the book.
"""

import contextlib
import logging
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import FrameType
from typing import Any, Optional, TypeVar

import rel

import bot.more_api_calls as more_api
import bot.submission as sub
import bot.vega_api_client as client
from bot.models import Market, Position, parse_position
from bot.parsing import ParseError
from bot.vega_store import VegaStore
from bot.wallet import TIMEOUTS, VegaWallet, WalletError

logger = logging.getLogger(__name__)

START_TIMEOUT = 30.0  # seconds to reach a node
START_RETRY_DELAY = 1.0  # seconds
SAME_STOP_INTERVAL = 1.0  # seconds after the first signal in which others mean the same stop
LOOP_JOIN_TIMEOUT = sum(TIMEOUTS) + 0.5  # seconds: a turn whose wallet hangs, and what it does besides
END_TIMEOUT = 9.0  # seconds for the whole end, or …
END_BLOCKS = 2.0  # … so many block intervals, if that is longer
CHECK_TIMEOUT = 2.0  # seconds to ask REST whether there is anything to cancel
UNSEEN_TIMEOUT = 3.0  # seconds after the cancellation, and …
UNSEEN_BLOCKS = 2  # … so many blocks more than usual, until orders that have not appeared count as lost
LAST_CHECK_TIMEOUT = 0.5  # seconds for a request when the time for the end is over
VERIFY_INTERVAL = 0.2  # seconds between two requests
MAX_CANCEL_ERRORS = 3
IN_FLIGHT_TIMEOUT = 30.0  # seconds that a wallet may take to execute a call that timed out
Result = TypeVar("Result")
MAY_BE_LEFT = "orders may be left on the market, check and cancel them by hand"


class Shutdown:
    """The state of the bot's end, which the threads share, and the end itself."""

    def __init__(self) -> None:
        self.requested = threading.Event()  # main -> loop: this turn was the last
        self.orders_sent = threading.Event()  # loop -> main: from now on, orders may be open
        self.timed_out_at = -math.inf  # loop -> main: time.monotonic() of the last wallet call that timed out
        self.failed = False  # either -> main: end with status 1
        self.signal_received = False  # set by the handler, which may interrupt anything: it takes no lock and logs nothing
        # Set by the loop: takes a time.monotonic(), asks REST until then, and returns whether orders were sent that have not appeared.
        self.look_for_unseen_orders: Callable[[float], bool] = lambda deadline: False
        self._signalled_at = 0.0  # time.monotonic() of the first signal
        self._starting = True
        self._stopped_while_starting = False
        self._pnl_at_start = 0.0  # units of the settlement asset

    @property
    def status(self) -> int:
        """The process's exit status."""
        return 1 if self.failed else 0

    def orders_may_be_in_flight(self) -> bool:
        """Return whether the wallet may still execute orders of a call that timed out, after any cancellation. Any thread."""
        return time.monotonic() - self.timed_out_at < IN_FLIGHT_TIMEOUT

    def install_signal_handlers(self) -> None:
        """End on Ctrl+C and SIGTERM, even if a shell started this process with SIGINT ignored, and when the terminal closes."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        if self.signal_received and time.monotonic() - self._signalled_at < SAME_STOP_INTERVAL:
            return  # delivered twice, as by some task runners, or to the whole process group
        if self.signal_received:
            with contextlib.suppress(OSError):
                what = b"orders may be left on the market" if self.orders_sent.is_set() else b"nothing was sent"
                if select.select([], [2], [], 0)[1]:  # a terminal that nobody reads would block
                    os.write(2, b"Second signal: ended at once; " + what + b"\n")
            os._exit(1)
        self.signal_received, self._signalled_at = True, time.monotonic()
        if self._starting:
            raise KeyboardInterrupt
        rel.abort()

    def start(self, vega_store: VegaStore, market_id: str, party_id: str, **streams: bool) -> bool:
        """Seed and subscribe the store, with tries for START_TIMEOUT; log why if it fails.

        Returns whether the caller should go on. That is so, too, if the start failed and an earlier run may have left orders:
        the end then cancels them. `streams` are `depth` and `trades` of `VegaStore.start`.
        """
        try:
            self._start(vega_store, market_id, party_id, **streams)
            self._pnl_at_start = _pnl(vega_store.get_position_by_market_id(market_id))
            self._starting = False  # inside the try: from now on a signal raises nothing
            return True
        except (client.VegaApiError, ParseError) as error:
            self._starting, self.failed = False, True
            logger.error("Cannot start: %s", error)
            if not _open_orders_in(vega_store, market_id):
                return False
        except KeyboardInterrupt:
            self._starting = False
            self._stopped_while_starting = True
        self.requested.set()
        rel.abort()
        return True

    def _start(self, vega_store: VegaStore, market_id: str, party_id: str, **streams: bool) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        first_error: Optional[client.VegaApiError] = None
        while True:
            try:
                vega_store.start(market_id=market_id, party_id=party_id, deadline=deadline, **streams)
                break
            except client.VegaApiError as error:
                if not error.retryable:
                    raise
                if time.monotonic() + START_RETRY_DELAY > deadline:  # no time for another try; this one may have failed for lack of it
                    raise first_error or error from None
                if first_error is None:
                    logger.warning("%s; trying for %.0f s", error, START_TIMEOUT)
                first_error = error
            time.sleep(START_RETRY_DELAY)
        if not vega_store.get_accounts():
            raise client.VegaApiError(f"accounts?filter.partyIds={party_id}", "party has no accounts: check PARTY_ID, or deposit first")

    def run_guarded(self, run: Callable[..., None], **kwargs: Any) -> None:
        """Run the loop. When it ends, for any reason, `rel.dispatch()` ends too. Loop thread.

        Differs from the page, where the process lives on without its loop thread.
        """
        try:
            if not self.requested.is_set():
                run(**kwargs)
        except client.VegaApiError as error:
            self.failed = True
            logger.error("Cannot quote: %s", error)
        except BaseException:  # quotes() may even have called sys.exit
            self.failed = True
            logger.exception("The loop failed")
        finally:
            rel.abort()

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """End in an orderly way when the loop thread cannot start, or when a callback raises inside `rel.dispatch()`."""
        try:
            yield
        except RuntimeError as error:
            self.failed = True
            if "start new thread" in str(error):
                logger.error("Cannot start the loop: %s", error)
            else:
                logger.exception("A stream's callback failed")
            rel.abort()
        except Exception:
            self.failed = True
            logger.exception("A stream's callback failed")
            rel.abort()

    def leave_no_orders(
        self,
        run_thread: threading.Thread,
        wallet: VegaWallet,
        vega_store: VegaStore,
        node_rest_url: str,
        market_id: str,
        party_id: str,
        dry_run: bool = False,
    ) -> None:
        """Stop the loop, cancel all orders on the market, verify over REST that none is left, and log the result.

        A dry run cancels nothing: it logs which open orders there are.
        """
        interval = _unless_it_fails(lambda: vega_store.get_block_interval(market_id), 0.0)
        deadline = time.monotonic() + max(END_TIMEOUT, END_BLOCKS * interval)
        last_seen: list[str] = _unless_it_fails(lambda: _open_orders_in(vega_store, market_id), [])
        end = _End(wallet, node_rest_url, market_id, party_id, deadline, last_seen)
        self.requested.set()
        has_orders = not dry_run and (self.orders_sent.is_set() or bool(last_seen))
        if has_orders:  # at once: the turn under way may take seconds to end
            logger.info("Stopping: cancelling all orders on the market")
        if run_thread.is_alive():
            run_thread.join(LOOP_JOIN_TIMEOUT)
        if dry_run:
            position = self._open_position(vega_store, node_rest_url, market_id, party_id, deadline)
            logger.info("Stopped: dry run, nothing was sent; %s%s", end.describe_open_orders(), position)
            return
        if not self.orders_sent.is_set() and not end.has_open_orders():
            if self._stopped_while_starting:
                logger.info("Stopped while starting; nothing was sent")
            else:
                logger.info("Stopped: nothing was sent%s", self._open_position(vega_store, node_rest_url, market_id, party_id, deadline))
            return
        if not has_orders:
            logger.info("Stopping: cancelling all orders on the market")
        market = _unless_it_fails(lambda: vega_store.get_market_by_id(market_id), None)
        left = self._cancel_and_verify(end, market, interval)
        self.failed = self.failed or bool(left)
        position = self._open_position(vega_store, node_rest_url, market_id, party_id, deadline)
        logger.log(logging.ERROR if left else logging.INFO, "Stopped: %s%s", left or "no open orders left on the market", position)

    def _cancel_and_verify(self, end: "_End", market: Optional[Market], interval: float) -> str:
        """Return which orders are or may be left; empty if none is."""
        in_flight = self.orders_may_be_in_flight()
        blocks = 1 + bool(in_flight or (market is not None and market.reorders_transactions))
        left = end.cancel_and_verify(blocks, interval, lambda until: _unless_it_fails(lambda: self.look_for_unseen_orders(until), True))
        if in_flight:
            unanswered = "the wallet has not answered for some orders, and may still send them"
            left = f"{left}; {unanswered}" if left else f"{MAY_BE_LEFT}: {unanswered}"
        return left

    def _open_position(self, vega_store: VegaStore, node_rest_url: str, market_id: str, party_id: str, deadline: float) -> str:
        """Return the part of the last line about the position; empty if it is flat and the PnL is zero, or if the store has failed."""
        return _unless_it_fails(lambda: self._describe_position(vega_store, node_rest_url, market_id, party_id, deadline), "")

    def _describe_position(self, vega_store: VegaStore, node_rest_url: str, market_id: str, party_id: str, deadline: float) -> str:
        position = vega_store.get_position_by_market_id(market_id=market_id)
        market = vega_store.get_market_by_id(market_id)
        asset = vega_store.get_asset_by_id(market.settlement_asset_id) if market is not None else None
        if market is None or asset is None:
            return ""
        if not market.base_asset_id:
            # Fills may have come since the streams ended.
            with contextlib.suppress(client.VegaApiError, ParseError):
                deadline = min(time.monotonic() + CHECK_TIMEOUT, deadline + LAST_CHECK_TIMEOUT)
                places = (market.position_decimal_places, market.decimal_places, asset.decimal_places)
                for node in client.get_positions(party_id, node_rest_url, market_id, deadline):
                    position = parse_position(node, *places)
        volume = position.open_volume if position is not None else 0.0
        parts = [f"position {Decimal(repr(volume)).normalize():f} stays open"] if volume else []
        pnl = _pnl(position) - self._pnl_at_start
        if not market.base_asset_id and (volume or pnl):
            parts.append(f"PnL since the start: {pnl:.6g} {asset.symbol}")
        return "".join(f"; {part}" for part in parts)


class _End:
    """The last cancellation, and the check that it has worked."""

    def __init__(self, wallet: VegaWallet, node_rest_url: str, market_id: str, party_id: str, deadline: float, last_seen: list[str]):
        self._wallet = wallet
        self._node_rest_url = node_rest_url
        self._market_id = market_id
        self._party_id = party_id
        self._deadline = deadline  # time.monotonic()
        self._last_seen = last_seen  # ids of open orders in the store, which counts where REST does not answer

    def has_open_orders(self) -> bool:
        """Return whether REST shows open orders on the market, or, if it does not answer, whether the store does."""
        try:
            return bool(self._open_orders(time.monotonic() + CHECK_TIMEOUT)[0])
        except client.VegaApiError:
            return bool(self._last_seen)

    def describe_open_orders(self) -> str:
        """Return how many orders REST shows as open on the market, and which."""
        try:
            ids = self._open_orders(time.monotonic() + CHECK_TIMEOUT)[0]
        except client.VegaApiError as error:
            return f"open orders are unknown: {error}"
        return f"{_count(len(ids), 'open order')} on the market{': ' if ids else ''}{', '.join(ids)}"

    def cancel_and_verify(self, blocks: int, interval: float, look_for_unseen_orders: Callable[[float], bool]) -> str:
        """Cancel until REST shows no open order `blocks` after an accepted cancellation; return what is left, empty if nothing.

        Args:
            blocks: how many, since an order may reach the chain after the cancellation.
            interval: seconds between blocks, for a node that does not report its height.
            look_for_unseen_orders: as in Shutdown. Orders that were sent and have not appeared may come later still;
                UNSEEN_TIMEOUT and UNSEEN_BLOCKS after the cancellation they count as lost.
        """
        accepted_at: Optional[tuple[int, float]] = None  # height and time.monotonic() of the first accepted cancellation
        cancelled_height = -1  # of the newest cancellation
        errors, left = 0, f"{MAY_BE_LEFT}: the cancellation failed"
        should_cancel = True
        while True:
            if should_cancel:
                problem = self._cancel()
                should_cancel = bool(problem)
                if problem and errors < MAX_CANCEL_ERRORS:
                    errors += 1
                    logger.error("Cancelling all orders failed: %s", problem)
            # Before the open orders: one that appears after this look is among those.
            are_unseen = accepted_at is not None and look_for_unseen_orders(self._check_deadline())
            try:
                ids, height = self._open_orders(self._check_deadline())
            except client.VegaApiError as error:
                left = f"{MAY_BE_LEFT}: {error}"
                if self._last_seen:
                    left += f"; open when last seen: {', '.join(self._last_seen)}"
            else:
                if not should_cancel and cancelled_height < 0:
                    cancelled_height = height
                    accepted_at = accepted_at or (height, time.monotonic())
                if ids:
                    left = f"{_count(len(ids), 'order')} left on the market, cancel them by hand: {', '.join(ids)}"
                    if not should_cancel and height > cancelled_height:  # still there a block later: it came after the cancellation
                        should_cancel, cancelled_height = True, -1
                elif accepted_at is None:
                    left = f"{MAY_BE_LEFT}: the cancellation failed"
                else:
                    seconds = time.monotonic() - accepted_at[1]
                    passed = height - accepted_at[0] if height else int(seconds / max(interval, 1.0))
                    left = _doubt(seconds, passed, blocks, are_unseen)
                    if not left:
                        return ""
            if time.monotonic() + VERIFY_INTERVAL > self._deadline or (errors >= MAX_CANCEL_ERRORS and should_cancel):
                return left
            time.sleep(VERIFY_INTERVAL)

    def _check_deadline(self) -> float:
        return min(self._deadline, time.monotonic() + CHECK_TIMEOUT)

    def _cancel(self) -> str:
        """Cancel all orders on the market; return why that failed, empty if the wallet accepted it."""
        cancel_all = sub.BatchMarketInstruction(
            submissions=[], cancellations=[sub.OrderCancellation(market_id=self._market_id)], amendments=[]
        )
        transaction = sub.instruction_to_json(instruction=cancel_all, price_decimals=0, position_decimals=0)
        seconds = max(LAST_CHECK_TIMEOUT, (self._deadline - time.monotonic()) / 2)  # half of the remaining time for each try
        try:
            self._wallet.submit_transaction(transaction, timeouts=(seconds / 4, seconds * 3 / 4))
        except WalletError as error:
            return str(error)
        return ""

    def _open_orders(self, deadline: float) -> tuple[list[str], int]:
        """Return the ids of the party's open orders on the market, and the height of the block that they belong to."""
        orders, height = more_api.get_open_orders_at_block(
            self._party_id, self._node_rest_url, max(deadline, time.monotonic() + LAST_CHECK_TIMEOUT)
        )
        try:
            return [order["id"] for order in orders if order["marketId"] == self._market_id], height
        except (LookupError, TypeError) as error:
            raise client.VegaApiError("orders", f"an order without its id or market: {error!r}") from error


def _unless_it_fails(read: Callable[[], Result], default: Result) -> Result:
    """Return what a function returns. A failure of the store may be why the bot ends, and must not keep it from cancelling."""
    try:
        return read()
    except Exception as error:
        logger.debug("%s", error)
        return default


def _open_orders_in(vega_store: VegaStore, market_id: str) -> list[str]:
    return [order.order_id for order in vega_store.get_orders() if order.market_id == market_id]


def _pnl(position: Optional[Position]) -> float:
    return position.realised_pnl + position.unrealised_pnl if position is not None else 0.0


def _doubt(seconds: float, passed: int, blocks: int, are_unseen: bool) -> str:
    """Return why more orders may come although none is open; empty if none can.

    Args:
        seconds: since the cancellation was accepted.
        passed: blocks since then.
        blocks: how many to wait for.
        are_unseen: whether orders were sent that have not appeared.
    """
    if passed < blocks:
        return f"{MAY_BE_LEFT}: the chain has made no {_count(blocks, 'block')} since the cancellation, so more may come"
    are_lost = seconds > UNSEEN_TIMEOUT and passed >= blocks + UNSEEN_BLOCKS
    return f"{MAY_BE_LEFT}: the last ones have not appeared" if are_unseen and not are_lost else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
