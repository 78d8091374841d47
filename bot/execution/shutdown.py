"""The bot's beginning and end: signals, a start that does not wait for ever, an end that leaves no order behind.

Not on the page, whose process leaves its orders on the book. All of it runs on the main thread.
"""

import contextlib
import logging
import math
import os
import select
import signal
import threading
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Optional

import bot.submission as sub
import bot.vega_api_client as client
import bot.vega_store as store
from bot.wallet import VegaWallet, WalletError

logger = logging.getLogger(__name__)

LONGEST_START = 30.0  # seconds to reach a node
LONGEST_TURN = 5.5  # seconds, a wallet that hangs included
LONGEST_CHECK = 5.0  # seconds to see at the end that no order is left
LONGEST_END = 8.0  # seconds for all of the end
LONGEST_IN_HAND = 30.0  # seconds that a wallet may take to carry out a call which we gave up
MAY_BE_LEFT = "orders of ours may be left on the market, look and cancel them by hand"


@dataclass
class Life:
    """What the threads tell each other about the end."""

    stop: threading.Event = field(default_factory=threading.Event)  # main -> loop: this turn was the last
    sent: threading.Event = field(default_factory=threading.Event)  # loop -> main: from now on, orders may be ours
    unanswered_at: float = -math.inf  # loop -> main: time.monotonic() when a call to the wallet was last given up
    failed: bool = False  # either -> main: end with status 1
    starting: bool = True  # main thread only, as is the next
    signalled: bool = False  # by the handler: it may interrupt anything, so it takes no lock and logs nothing

    def more_may_come(self) -> bool:
        """Return whether the wallet may still carry out orders that it has not answered for, behind any cancel since."""
        return time.monotonic() - self.unanswered_at < LONGEST_IN_HAND


def install_signal_handlers(life: Life) -> None:
    """Take Ctrl+C and SIGTERM, also where a shell has started us with SIGINT ignored, and a terminal's end."""

    def handle(number: int, frame: Optional[FrameType]) -> None:
        if life.signalled:
            with contextlib.suppress(OSError):
                what = b"orders of ours may be left on the market" if life.sent.is_set() else b"nothing was sent"
                if select.select([], [2], [], 0)[1]:  # a terminal that nobody reads would hold us
                    os.write(2, b"Second signal: ended at once; " + what + b"\n")
            os._exit(1)
        life.signalled = True
        if life.starting:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # a terminal that is closed; nohup has it ignored
        signal.signal(signal.SIGHUP, handle)


def start(vega_store: store.VegaStore, market_id: str, party_id: str) -> None:
    """Seed and subscribe; ask again for half a minute where the node cannot be reached.

    Raises:
        VegaApiError, ParseError: with the call that failed and the node's own words.
    """

    def alarm(number: int, frame: Optional[FrameType]) -> None:
        raise client.OutOfTimeError(f"{LONGEST_START:.0f} s are over")

    # An alarm, since timeouts are for each read: an answer that trickles in byte by byte would never end.
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_START, 1.0)
    problem: Optional[client.VegaApiError] = None
    try:
        while True:
            try:
                vega_store.start(market_id=market_id, party_id=party_id)
                break
            except client.VegaApiError as error:
                if not error.may_pass:
                    raise
                if isinstance(error.__cause__, client.OutOfTimeError):
                    raise problem or error from None
                if problem is None:
                    logger.warning("%s; trying for %.0f s", error, LONGEST_START)
                problem = error
            time.sleep(1)
    except client.OutOfTimeError as error:
        raise problem or client.VegaApiError("…", str(error)) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if not vega_store.get_accounts():
        raise client.VegaApiError(f"accounts?filter.partyIds={party_id}", "party has no accounts: check PARTY_ID, or deposit first")


def clear_market(
    life: Life, run_thread: threading.Thread, wallet: VegaWallet, node_rest_url: str, market_id: str, party_id: str
) -> tuple[str, str]:
    """Stop the loop, cancel what it has left on the market, and look.

    Returns:
        What is left all the same, empty if nothing; and the closing words.
    """
    deadline = time.monotonic() + LONGEST_END
    life.stop.set()
    run_thread.join(LONGEST_TURN)
    if not life.sent.is_set():
        return "", "nothing was sent"
    cancel_all = sub.BatchMarketInstruction(submissions=[], cancellations=[sub.OrderCancellation(market_id=market_id)], amendments=[])
    transaction = sub.instruction_to_json(instruction=cancel_all, price_decimals=0, position_decimals=0)
    left = ""
    for _ in range(3):
        seconds = max(0.5, (deadline - time.monotonic()) / 2)  # half of what is left each time: the first try has the best chance
        try:
            wallet.submit_transaction(transaction, timeouts=(seconds / 4, seconds * 3 / 4))
            left = _wait(node_rest_url, market_id, party_id, min(LONGEST_CHECK, deadline - time.monotonic()))
            if not left and life.more_may_come():  # what comes behind this cancel is for the next one
                left = _wait(node_rest_url, market_id, party_id, (deadline - time.monotonic()) / 2, until_gone=False)
            if not left:
                break
        except WalletError as error:
            logger.error("The market-wide cancel failed: %s", error)
            time.sleep(min(0.5, seconds / 2))
            # Even where none is there now: what the wallet was given before may still be carried out.
            left = _wait(node_rest_url, market_id, party_id, seconds=0) or f"{MAY_BE_LEFT}: the cancel failed"
    if not left and life.more_may_come():
        left = f"{MAY_BE_LEFT}: the wallet has not answered for some of them, and may still send them"
    return left, left or "no order of ours is left on the market"


def _wait(node_rest_url: str, market_id: str, party_id: str, seconds: float, until_gone: bool = True) -> str:
    """Ask REST until no live order of ours is on the market, or until one is; say what is left, at the latest after that time."""
    deadline = time.monotonic() + seconds
    while True:
        within = max(0.5, deadline - time.monotonic())
        try:
            orders = client.get_open_orders(party_id=party_id, node_url=node_rest_url, within=within)
            ids = [order["id"] for order in orders if order["marketId"] == market_id]
            left = f"{len(ids)} orders of ours are left on the market, cancel them by hand: {', '.join(ids)}" if ids else ""
        except (client.VegaApiError, LookupError, TypeError) as error:
            left = f"{MAY_BE_LEFT}: {error}"
        if bool(left) is not until_gone or time.monotonic() > deadline:
            return left
        time.sleep(0.2)
