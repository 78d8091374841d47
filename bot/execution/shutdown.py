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
from types import FrameType
from typing import Any, Optional

import rel

import bot.submission as sub
import bot.vega_api_client as client
from bot.parsing import ParseError
from bot.transport.http import ABANDONED_CALL_TIMEOUT
from bot.vega_store import VegaStore
from bot.wallet import TIMEOUTS, VegaWallet, WalletError

logger = logging.getLogger(__name__)

START_TIMEOUT = 30.0  # seconds to reach a node
START_RETRY_DELAY = 1.0  # seconds
LOOP_JOIN_TIMEOUT = sum(TIMEOUTS) + ABANDONED_CALL_TIMEOUT  # seconds: a turn whose wallet hangs
VERIFY_TIMEOUT = 5.0  # seconds to see at the end that no order is left
END_TIMEOUT = 8.0  # seconds for the whole end
VERIFY_INTERVAL = 0.2  # seconds between two looks
MAX_CANCEL_TRIES = 3
IN_FLIGHT_TIMEOUT = 30.0  # seconds that a wallet may take to execute a call that timed out
MAY_BE_LEFT = "orders may be left on the market, check and cancel them by hand"


class Shutdown:
    """What the threads tell each other about the end, and the end itself."""

    def __init__(self) -> None:
        self.requested = threading.Event()  # main -> loop: this turn was the last
        self.orders_sent = threading.Event()  # loop -> main: from now on, orders may be open
        self.timed_out_at = -math.inf  # loop -> main: time.monotonic() of the last wallet call that timed out
        self.failed = False  # either -> main: end with status 1
        self.signal_received = False  # set by the handler, which may interrupt anything: it takes no lock and logs nothing
        self._starting = True

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
        if self.signal_received:
            with contextlib.suppress(OSError):
                what = b"orders may be left on the market" if self.orders_sent.is_set() else b"nothing was sent"
                if select.select([], [2], [], 0)[1]:  # a terminal that nobody reads would block
                    os.write(2, b"Second signal: ended at once; " + what + b"\n")
            os._exit(1)
        self.signal_received = True
        if self._starting:
            raise KeyboardInterrupt
        rel.abort()

    def start(self, vega_store: VegaStore, market_id: str, party_id: str) -> bool:
        """Seed and subscribe the store, with tries for START_TIMEOUT; log why if it fails, and return whether it started."""
        try:
            self._start(vega_store, market_id, party_id)
            self._starting = False  # inside the try: from now on a signal raises nothing
        except (client.VegaApiError, ParseError) as error:
            self.failed = True
            logger.error("Cannot start: %s", error)
        except KeyboardInterrupt:
            logger.info("Stopped while starting; nothing was sent")
        return not self._starting

    def _start(self, vega_store: VegaStore, market_id: str, party_id: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        first_error: Optional[client.VegaApiError] = None
        while True:
            try:
                vega_store.start(market_id=market_id, party_id=party_id, deadline=deadline)
                break
            except client.VegaApiError as error:
                if not error.retryable:
                    raise
                if time.monotonic() + START_RETRY_DELAY > deadline:  # this call may have failed only for lack of time
                    raise first_error or error from None
                if first_error is None:
                    logger.warning("%s; trying for %.0f s", error, START_TIMEOUT)
                first_error = error
            time.sleep(START_RETRY_DELAY)
        if not vega_store.get_accounts():
            raise client.VegaApiError(f"accounts?filter.partyIds={party_id}", "party has no accounts: check PARTY_ID, or deposit first")

    def run_guarded(self, run: Callable[..., None], **kwargs: Any) -> None:
        """Run the loop; whatever ends it ends `rel.dispatch()` too. Loop thread.

        Differs from the page, where the process lives on without its loop thread.
        """
        try:
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
    def guard_callbacks(self) -> Iterator[None]:
        """End in an orderly way when a stream's callback raises inside `rel.dispatch()`."""
        try:
            yield
        except Exception:
            self.failed = True
            logger.exception("A stream's callback failed")
            rel.abort()

    def leave_no_orders(
        self, run_thread: threading.Thread, wallet: VegaWallet, vega_store: VegaStore, node_rest_url: str, market_id: str, party_id: str
    ) -> None:
        """Stop the loop, cancel its orders, verify over REST that none is left, and log what is."""
        deadline = time.monotonic() + END_TIMEOUT
        self.requested.set()
        run_thread.join(LOOP_JOIN_TIMEOUT)
        if not self.orders_sent.is_set():
            logger.info("Stopped: nothing was sent")
            return
        left = self._cancel_and_verify(wallet, node_rest_url, market_id, party_id, deadline)
        position = vega_store.get_position_by_market_id(market_id=market_id)
        stays_open = f"; position {position.open_volume:g} stays open" if position is not None and position.open_volume else ""
        if left:
            self.failed = True
        logger.log(logging.ERROR if left else logging.INFO, "Stopped: %s%s", left or "no open orders left on the market", stays_open)

    def _cancel_and_verify(self, wallet: VegaWallet, node_rest_url: str, market_id: str, party_id: str, deadline: float) -> str:
        """Return what is left in spite of the cancellations; empty if nothing."""
        cancel_all = sub.BatchMarketInstruction(submissions=[], cancellations=[sub.OrderCancellation(market_id=market_id)], amendments=[])
        transaction = sub.instruction_to_json(instruction=cancel_all, price_decimals=0, position_decimals=0)
        left = ""
        for _ in range(MAX_CANCEL_TRIES):
            seconds = max(0.5, (deadline - time.monotonic()) / 2)  # half of the rest each time: the first try has the best chance
            try:
                wallet.submit_transaction(transaction, timeouts=(seconds / 4, seconds * 3 / 4))
                left = _wait_for_orders(node_rest_url, market_id, party_id, min(VERIFY_TIMEOUT, deadline - time.monotonic()))
                if not left and self.orders_may_be_in_flight():  # an order that comes after this cancellation is for the next one
                    seconds = (deadline - time.monotonic()) / 2
                    left = _wait_for_orders(node_rest_url, market_id, party_id, seconds, until_gone=False)
                if not left:
                    break
            except WalletError as error:
                logger.error("Cancelling all orders failed: %s", error)
                time.sleep(min(0.5, seconds / 2))
                # Even if there is none now: the wallet may still execute what it got before.
                left = _wait_for_orders(node_rest_url, market_id, party_id, seconds=0) or f"{MAY_BE_LEFT}: the cancellation failed"
        if not left and self.orders_may_be_in_flight():
            left = f"{MAY_BE_LEFT}: the wallet has not answered for some of them, and may still send them"
        return left


def _wait_for_orders(node_rest_url: str, market_id: str, party_id: str, seconds: float, until_gone: bool = True) -> str:
    """Ask REST until the party has no live order on the market, or until it has one; return what is left when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            orders = client.get_open_orders(party_id=party_id, node_url=node_rest_url, deadline=max(deadline, time.monotonic() + 0.5))
            ids = [order["id"] for order in orders if order["marketId"] == market_id]
            left = f"{len(ids)} orders left on the market, cancel them by hand: {', '.join(ids)}" if ids else ""
        except (client.VegaApiError, LookupError, TypeError) as error:
            left = f"{MAY_BE_LEFT}: {error}"
        if bool(left) is not until_gone or time.monotonic() > deadline:
            return left
        time.sleep(VERIFY_INTERVAL)
