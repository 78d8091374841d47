"""Checks exercise 12: the learner's end on prepared networks, with a clock of their own, then on a sandbox that loses a cancellation."""

import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import requests

import bot.submission as sub
import tests.sandbox
from bot.vega_api_client import VegaApiError
from bot.wallet import WalletError
from tests.exercises.checking import NotSolved, call, expect, get_required, report
from tests.exercises.sandbox_helpers import get_orders, make_wallet, order_json
from tests.sandbox import Sandbox
from tests.support.waiting import DEFAULT_TIMEOUT, wait_until

MAX_SECONDS = 10.0
ALLOWED_SECONDS = 12.0  # the last loop may take a little longer
ENDLESS_SECONDS = 60.0
CALL_DURATION = 0.01  # s of the prepared clock
BLOCK_INTERVAL = 1.0  # s of the prepared clock
LATER_BLOCKS = 5
MAX_CANCELLATIONS = 2  # per block; one more than necessary, because a height that is not known cannot be compared

LOOK = "one look is not enough: look again until the height is two blocks above that of your last cancellation"
AGAIN = "if REST still shows an order in a later block, cancel again"
HEIGHT_FIRST = "a block was made between your two questions: ask for the height first, then for the orders"
HEIGHT_AFTER = "a block was made while you cancelled: the height that counts is the one after cancel_all has returned"
ONE_PER_BLOCK = "a cancellation needs a block: cancel again only if the height has grown since the last one"
RETRY = "catch WalletError and VegaApiError (from bot.wallet and bot.vega_api_client) inside the loop, and go on after a short sleep"
UNKNOWN = "an error is not an empty list: an order may be there that you cannot see"
DEADLINE = "compare network.time() with a deadline in the condition of the loop"
CERTAIN = "is_certain=True needs two blocks after the last cancellation, without an order; if the time is up before, it is False"
LEFT = "return the ids that REST showed last"


class EndlessError(BaseException):
    """The learner's function has not ended. Not an Exception, so that no `except Exception` catches it."""


@dataclass
class PreparedNetwork:
    """A market whose blocks, orders and faults are prepared. Time passes only in `sleep`, and a little in each call."""

    situation: str
    hint: str
    orders: list[str] = field(default_factory=lambda: ["bid", "offer"])  # open now
    in_flight: dict[int, str] = field(default_factory=dict)  # blocks after the first cancellation was sent -> order executed there
    lost: int = 0  # cancellations that the network drops
    wallet_errors: int = 0  # calls of cancel_all that fail
    orders_errors: int = 0  # calls of open_orders that fail, after the first cancellation
    height_errors: int = 0  # calls of height that fail, after the first cancellation
    stopped_at: float = ENDLESS_SECONDS  # s after which the chain makes no more blocks
    uncancellable: tuple[str, ...] = ()
    block_after: str = ""  # open_orders: a block after each call, and none else; cancel_all: one more block during the first call
    is_certain: bool = True  # what the learner can know at the end

    def __post_init__(self) -> None:
        self.cancellations: list[int] = []  # heights at which they were sent
        self._now = 0.0
        self._height = 100
        self._start = self._height
        self._next_block = math.inf if self.block_after == "open_orders" else BLOCK_INTERVAL / 2
        self._cancels_next_block = False

    def cancel_all(self) -> None:
        self._pass_time(CALL_DURATION)
        if self.wallet_errors:
            self.wallet_errors -= 1
            raise WalletError("wallet: HTTP 503")
        if self.block_after == "cancel_all" and not self.cancellations:
            self._make_block()
        self.cancellations.append(self._height)
        if self.lost:
            self.lost -= 1
        else:
            self._cancels_next_block = True

    def open_orders(self) -> list[str]:
        self._pass_time(CALL_DURATION)
        if self.orders_errors and self.cancellations:
            self.orders_errors -= 1
            raise VegaApiError("orders", "HTTP 503")
        orders = list(self.orders)
        if self.block_after == "open_orders":
            self._make_block()
        return orders

    def height(self) -> int:
        self._pass_time(CALL_DURATION)
        if self.height_errors and self.cancellations:
            self.height_errors -= 1
            raise VegaApiError("assets", "HTTP 503")
        return self._height

    def time(self) -> float:
        self._pass_time(CALL_DURATION)
        return self._now

    def sleep(self, seconds: float) -> None:
        self._pass_time(max(CALL_DURATION, seconds))

    def make_blocks(self, count: int) -> None:
        for _ in range(count):
            self._make_block()

    @property
    def is_stopped(self) -> bool:
        return self._now >= self.stopped_at

    def _pass_time(self, seconds: float) -> None:
        self._now += seconds
        if self._now > ENDLESS_SECONDS:
            raise EndlessError
        while self._next_block <= self._now:
            self._next_block += BLOCK_INTERVAL
            if not self.is_stopped:
                self._make_block()

    def _make_block(self) -> None:
        self._height += 1
        if self._cancels_next_block:
            self._cancels_next_block = False
            self.orders = [order for order in self.orders if order in self.uncancellable]
        blocks = self._height - (self.cancellations[0] if self.cancellations else self._start)
        if blocks in self.in_flight:
            self.orders.append(self.in_flight.pop(blocks))  # after any cancellation in this block


def prepared_networks() -> list[PreparedNetwork]:
    return [
        PreparedNetwork("two open orders, and nothing goes wrong", LOOK),
        PreparedNetwork("no open order, and nothing goes wrong", LOOK, orders=[]),
        PreparedNetwork("the first cancellation is lost", AGAIN, lost=1),
        PreparedNetwork("the first three cancellations are lost", AGAIN, lost=3),
        PreparedNetwork("an order is in flight, and appears one block after the cancellation", LOOK, orders=[], in_flight={2: "late bid"}),
        PreparedNetwork(
            "two orders are open, and one is in flight that appears one block after the cancellation", LOOK, in_flight={2: "late bid"}
        ),
        PreparedNetwork(
            "the first cancellation is lost, and an order appears two blocks after it",
            AGAIN,
            in_flight={1: "late bid", 2: "later bid"},
            lost=1,
        ),
        PreparedNetwork("the wallet fails twice", RETRY, wallet_errors=2),
        PreparedNetwork("REST does not show the orders for two seconds", f"{RETRY}. {UNKNOWN}", orders_errors=10, lost=1),
        PreparedNetwork("REST does not show the height three times", RETRY, height_errors=3),
        PreparedNetwork("a block is made while you cancel", HEIGHT_AFTER, orders=[], in_flight={2: "late bid"}, block_after="cancel_all"),
        PreparedNetwork(
            "a block is made right after you have looked at the orders",
            HEIGHT_FIRST,
            orders=[],
            in_flight={2: "late bid"},
            block_after="open_orders",
        ),
        PreparedNetwork("the chain makes no blocks; two orders are open", CERTAIN, stopped_at=0, is_certain=False),
        PreparedNetwork("the chain makes no blocks; no order is open", CERTAIN, orders=[], stopped_at=0, is_certain=False),
        PreparedNetwork("the chain stops after one block", CERTAIN, stopped_at=1, is_certain=False),
        PreparedNetwork("the network cannot cancel one of the orders", DEADLINE, uncancellable=("offer",), is_certain=False),
    ]


def check(exercise: ModuleType) -> None:
    networks = prepared_networks()
    for network in networks:
        check_prepared(exercise, network)
    report(f"{len(networks)} prepared networks: nothing is left, or you say that you do not know")
    check_sandbox(exercise)


def check_prepared(exercise: ModuleType, network: PreparedNetwork) -> None:
    start = network.time()
    try:
        ending = call(
            exercise,
            "leave_nothing_behind",
            network,
            returns=get_required(exercise, "Ending"),
            errors=(WalletError, VegaApiError),
            hint=RETRY,
        )
    except EndlessError:
        raise NotSolved(
            saw=f"no end after {ENDLESS_SECONDS:.0f} s\nThe situation: {network.situation}",
            expected=f"an end after {MAX_SECONDS:.0f} s at the latest",
            hint=DEADLINE,
        ) from None
    seconds = network.time() - start
    situation = f"\nThe situation: {network.situation}"
    shown = list(network.orders)
    if not network.is_stopped:
        network.make_blocks(LATER_BLOCKS)
    expect(
        not (ending.is_certain and (ending.open_orders or shown)),
        saw=f"{ending}\nAt that moment, these orders are open: {', '.join(shown) or 'none'}{situation}",
        expected="is_certain=True only if no order is open",
        hint=network.hint,
    )
    expect(
        not (ending.is_certain and network.orders),
        saw=f"{ending}\nLater, these orders are open: {', '.join(network.orders)}{situation}",
        expected="is_certain=True only if no order is open and none can appear any more",
        hint=network.hint,
    )
    expect(
        ending.is_certain == network.is_certain,
        saw=f"{ending} after {seconds:.1f} s{situation}",
        expected=f"is_certain={network.is_certain}",
        hint=network.hint,
    )
    expect(ending.open_orders == shown, saw=f"{ending}{situation}", expected=f"open_orders={shown}, as REST shows", hint=LEFT)
    expect(
        seconds <= ALLOWED_SECONDS,
        saw=f"an end after {seconds:.1f} s{situation}",
        expected=f"an end after {MAX_SECONDS:.0f} s at the latest",
        hint=DEADLINE,
    )
    most = max(Counter(network.cancellations).values(), default=0)
    expect(most <= MAX_CANCELLATIONS, saw=f"{most} cancellations for one block{situation}", expected="one", hint=ONE_PER_BLOCK)


class SandboxNetwork:
    """The same for a sandbox, over its wallet and REST."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._wallet, self._market_id = sandbox, make_wallet(sandbox), sandbox.markets["future"]

    def cancel_all(self) -> None:
        cancellation = sub.OrderCancellation(market_id=self._market_id)
        batch = sub.BatchMarketInstruction(submissions=[], cancellations=[cancellation], amendments=[])
        self._wallet.submit_transaction(sub.instruction_to_json(batch, 0, 0))

    def submit(self, side: str, price: int) -> None:
        self._wallet.submit_transaction({"orderSubmission": order_json(self._market_id, side, 500, price)})

    def open_orders(self) -> list[str]:
        return [node["id"] for node in get_orders(self._sandbox) if node["marketId"] == self._market_id]

    def has_two_orders(self) -> bool:
        return len(self.open_orders()) == 2

    def wait_for_blocks(self, count: int) -> None:
        last = self.height() + count
        wait_until(lambda: self.height() >= last, message="the sandbox made no blocks")

    def height(self) -> int:
        return int(requests.get(f"{self._sandbox.node_url}/assets", timeout=DEFAULT_TIMEOUT).headers["X-Block-Height"])

    def time(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def check_sandbox(exercise: ModuleType) -> None:
    """End a bot on a market that runs cancellations first. An order is in flight, and the first cancellation is lost."""
    config: dict[str, Any] = json.loads(Path(tests.sandbox.__file__).with_name("markets.json").read_text(encoding="utf-8"))
    markets = [{**config["markets"][0], "reorders_transactions": True}]
    with Sandbox(block_time=0.2, traders=False, seed=12, markets={**config, "markets": markets}) as sandbox:
        for lost in (0, 1):
            network = SandboxNetwork(sandbox)
            network.submit("BUY", 9_000_000)
            network.submit("SELL", 11_000_000)
            wait_until(network.has_two_orders, message="the orders did not appear")
            network.submit("BUY", 9_100_000)  # in flight: the cancellation that follows runs before it
            sandbox.lose_transactions(lost)
            ending = call(exercise, "leave_nothing_behind", network)
            network.wait_for_blocks(LATER_BLOCKS)
            left = network.open_orders()
            expect(
                not left and ending.is_certain,
                saw=f"{ending}, and {len(left)} open orders on the sandbox {LATER_BLOCKS} blocks later"
                f"\nThe situation: an order is in flight, and {lost} cancellations are lost",
                expected="no open orders, and is_certain=True",
                hint=f"{AGAIN}. {LOOK[0].upper()}{LOOK[1:]}",
            )
    report("on a sandbox that runs cancellations first, and that lost one: nothing is left")
