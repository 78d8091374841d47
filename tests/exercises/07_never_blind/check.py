"""Checks exercise 7: turns on prepared stores, then on a sandbox whose market data is there, silent, and there again.

On the sandbox, the check measures the age of the data itself, before and after each turn. So a slow machine does not change the verdict.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import bot.submission as sub
from bot.models import Market, Order
from bot.vega_store import VegaStore
from tests.exercises.checking import NotSolved, call, expect, report
from tests.exercises.orders import validate_orders
from tests.exercises.sandbox_helpers import (
    FilledStore,
    get_market,
    get_orders,
    make_wallet,
    order_json,
    run_with_store,
    send_transaction,
)
from tests.sandbox import Sandbox
from tests.support.waiting import DEFAULT_TIMEOUT

MAX_AGE = 1.0  # s
STALE = 3.0  # s; an age above MAX_AGE
MAX_READS = 100  # of a store, in one turn
TURN_INTERVAL = 0.05  # s
QUIET_TURNS = 30  # together longer than MAX_AGE
DECIDE = "ask for the age first, then decide: quote, cancel, or do nothing"
QUIET = "a price that does not move means nothing: ask the store for the age of its data"
CANCEL = "old quotes are on the book: self._send([]) cancels them"
AGAIN = "a cancellation can get lost: as long as store.get_orders() has orders on this market, cancel again"
NO_NOISE = "when you have cancelled, and store.get_orders() has no order on this market, send nothing"
IN_FLIGHT = "the store may not show your newest quotes yet: remember that you have sent quotes since the last cancellation"
OTHER_MARKETS = "store.get_orders() returns the orders on all markets: compare market_id"
EVERY_SILENCE = "the second silence is like the first: after new quotes, remember again that they may be on the book"


class Step(NamedTuple):
    """One turn on a prepared store, and what is correct there."""

    age: float  # s
    open_orders: int  # that the store shows on the quoted market
    expected: str  # quotes, a cancellation or nothing
    hint: str
    situation: str


QUOTES, CANCELLATION, NOTHING = "quotes", "a cancellation", "nothing"
STEPS = [
    Step(0.1, 0, QUOTES, DECIDE, "fresh data"),
    Step(MAX_AGE, 2, QUOTES, DECIDE, f"data of exactly {MAX_AGE} s, the limit"),
    Step(1.2, 2, CANCELLATION, CANCEL, "stale data, after quotes; the store shows two open orders"),
    Step(2.2, 2, CANCELLATION, AGAIN, "stale data, after a cancellation that got lost; the store still shows two open orders"),
    Step(3.2, 1, CANCELLATION, AGAIN, "stale data, after two cancellations; the store still shows one open order"),
    Step(4.2, 0, NOTHING, NO_NOISE, "stale data, after the cancellation; the store shows no open order"),
    Step(5.2, 0, NOTHING, NO_NOISE, "stale data, after the cancellation; the store shows no open order"),
    Step(0.2, 0, QUOTES, DECIDE, "fresh data after a silence"),
    Step(
        1.3,
        0,
        CANCELLATION,
        f"{IN_FLIGHT}. {EVERY_SILENCE}",
        "stale data for the second time, after quotes that the store does not show yet",
    ),
    Step(2.3, 0, NOTHING, NO_NOISE, "stale data, after the cancellation; the store shows no open order"),
    Step(3.3, 2, CANCELLATION, AGAIN, "stale data, after the cancellation; the store shows two open orders, which arrived late"),
    Step(4.3, 0, NOTHING, NO_NOISE, "stale data; the store shows no open order"),
    Step(0.1, 0, QUOTES, DECIDE, "fresh data after the second silence"),
    Step(1.4, 2, CANCELLATION, EVERY_SILENCE, "stale data for the third time, after quotes"),
]


class ChangingStore(VegaStore):
    """A store in which a new frame arrives right after the first read, whether that is of the prices or of their age."""

    def __init__(self, old: Market, new: Market) -> None:
        super().__init__(websocket_url="", rest_api_url="")  # never started
        self._states = iter([(old, STALE), *[(new, 0.0)] * MAX_READS])

    def get_market_by_id(self, market_id: str) -> Market:
        return next(self._states)[0]

    def seconds_since_update(self, market_id: str) -> float:
        return next(self._states)[1]


def check(exercise: ModuleType) -> None:
    with Sandbox(block_time=0.1, traders=False, seed=7) as sandbox:
        for side, price in (("BUY", 9_990_000), ("SELL", 10_010_000)):  # these orders stay, and so does the price
            send_transaction(sandbox, "a", orderSubmission=order_json(sandbox.markets["future"], side, 5000, price))
        sandbox.block()
        market = get_market(sandbox)
        check_steps(exercise, market)
        check_start(exercise, market)
        check_frame_in_turn(exercise, market)
        run_with_store(sandbox, lambda store: check_live(LiveTurns(exercise, store, sandbox, market), sandbox))


def check_steps(exercise: ModuleType, market: Market) -> None:
    """Let one Quoter turn on a store that the check changes from turn to turn."""
    store, sent = FilledStore(), list[list[sub.OrderSubmission]]()
    quoter = call(exercise, "Quoter", store, sent.append, market.market_id, MAX_AGE)
    call(quoter, "turn")
    expect(
        not sent,
        saw=f"turn sent {describe(sent)} before the store knew the market",
        expected="nothing",
        hint="get_market_by_id returned None",
    )
    store.markets[market.market_id] = market
    store.orders = [open_order("another market")]
    for number, step in enumerate(STEPS, 1):
        store.age = step.age
        store.orders = [open_order("another market"), *[open_order(market.market_id)] * step.open_orders]
        sent.clear()
        call(quoter, "turn")
        result = describe(sent)
        if result == step.expected:
            continue
        hint = DECIDE if result == QUOTES else OTHER_MARKETS if ignores_markets(exercise, market) else step.hint
        raise NotSolved(
            saw=f"turn {number} sent {result}\nThe situation: {step.situation} (the data is {step.age} s old)",
            expected=step.expected,
            hint=hint,
        )
    report(f"{len(STEPS)} turns on prepared stores, with three silences and a lost cancellation")


def ignores_markets(exercise: ModuleType, market: Market) -> bool:
    """Tell whether a new Quoter cancels on stale data because of an order on another market."""
    store, sent = FilledStore(), list[list[sub.OrderSubmission]]()
    store.markets[market.market_id], store.age = market, STALE
    quoter = call(exercise, "Quoter", store, sent.append, market.market_id, MAX_AGE)
    call(quoter, "turn")
    before = describe(sent)
    store.orders = [open_order("another market")]
    sent.clear()
    call(quoter, "turn")
    return before == NOTHING and describe(sent) == CANCELLATION


def check_start(exercise: ModuleType, market: Market) -> None:
    """Let a new Quoter begin with stale data, and with an open order of an earlier run."""
    store, sent = FilledStore(), list[list[sub.OrderSubmission]]()
    store.markets[market.market_id], store.age = market, STALE
    quoter = call(exercise, "Quoter", store, sent.append, market.market_id, MAX_AGE)
    call(quoter, "turn")
    expect(not sent, saw=f"a new Quoter sent {describe(sent)} on stale data; the store shows no order", expected=NOTHING, hint=NO_NOISE)
    store.orders = [open_order(market.market_id)]
    call(quoter, "turn")
    expect(
        describe(sent) == CANCELLATION,
        saw=f"a new Quoter sent {describe(sent)} on stale data; the store shows an open order of an earlier run",
        expected=CANCELLATION,
        hint="every open order in store.get_orders() counts, whoever sent it",
    )


def check_frame_in_turn(exercise: ModuleType, market: Market) -> None:
    """Let a frame end a silence in the middle of a turn."""
    new = replace(market, best_bid_price=market.best_bid_price + 1, best_offer_price=market.best_offer_price + 1)
    sent: list[sub.OrderSubmission] = []
    quoter = call(exercise, "Quoter", ChangingStore(market, new), sent.extend, market.market_id, MAX_AGE)
    call(quoter, "turn")
    stale = [order.price for order in sent if order.price in (market.best_bid_price, market.best_offer_price)]
    expect(
        not stale,
        saw=f"quotes at {stale}, prices {STALE} s old: you read them, then a frame arrived, then you asked for the age of that frame",
        expected="no quotes, or quotes at the prices of the frame",
        hint="ask for the age first: the prices that you read next are at least this fresh",
    )
    report("a frame that arrives in the middle of a turn does not make old prices fresh")


def describe(sent: list[list[sub.OrderSubmission]]) -> str:
    """Name what one turn has sent."""
    for orders in sent:
        validate_orders(orders, "turn sent")
    if not sent:
        return NOTHING
    if len(sent) > 1:
        return f"{len(sent)} transactions"
    return QUOTES if sent[0] else CANCELLATION


def open_order(market_id: str) -> Order:
    return Order(
        order_id=f"order on {market_id}",
        market_id=market_id,
        size=1,
        remaining_size=1,
        price=99,
        order_type="TYPE_LIMIT",
        time_in_force="TIME_IN_FORCE_GTC",
        status="STATUS_ACTIVE",
        party_id="bot",
        side="SIDE_BUY",
    )


class LiveTurns:
    """Runs the turns of a Quoter on a sandbox, and checks each of them by the age of the data."""

    def __init__(self, exercise: ModuleType, store: VegaStore, sandbox: Sandbox, market: Market) -> None:
        self._store, self._market = store, market
        self._wallet = make_wallet(sandbox)
        self._quoter = call(exercise, "Quoter", store, self._send, market.market_id, MAX_AGE)
        self._has_quoted = False  # in this turn

    def age(self) -> float:
        return self._store.seconds_since_update(self._market.market_id)

    def turn(self) -> None:
        before = self.age()
        self._has_quoted = False
        call(self._quoter, "turn")
        after = self.age()
        if before <= after <= MAX_AGE:
            expect(self._has_quoted, saw=f"no quotes on data {after:.2f} s old", expected=f"quotes up to {MAX_AGE} s", hint=QUIET)
        if MAX_AGE < before <= after:
            expect(not self._has_quoted, saw=f"quotes on data {before:.2f} s old", expected=f"no quotes after {MAX_AGE} s", hint=DECIDE)
        time.sleep(TURN_INTERVAL)  # as the bot's loop waits for its next turn

    def turn_until(self, condition: Callable[[], bool], what: str, hint: str) -> None:
        deadline = time.monotonic() + DEFAULT_TIMEOUT
        while not condition():
            expect(time.monotonic() < deadline, saw=f"not yet {what} after {DEFAULT_TIMEOUT:.0f} s", expected=what, hint=hint)
            self.turn()

    def _send(self, submissions: list[sub.OrderSubmission]) -> None:
        self._has_quoted = self._has_quoted or bool(validate_orders(submissions, "turn sent"))
        batch = sub.BatchMarketInstruction(
            submissions=submissions, cancellations=[sub.OrderCancellation(market_id=self._market.market_id)], amendments=[]
        )
        terms = (self._market.decimal_places, self._market.position_decimal_places, self._market.tick_size)
        self._wallet.submit_transaction(sub.instruction_to_json(batch, *terms))


def check_live(turns: LiveTurns, sandbox: Sandbox) -> None:
    for _ in range(QUIET_TURNS):
        turns.turn()
    turns.turn_until(lambda: len(get_orders(sandbox)) == 2, "your two orders on the book", QUIET)
    report(f"{QUIET_TURNS} turns on a quiet market: it quotes, although the price does not move")

    sandbox.silence_streams("markets/data")
    turns.turn_until(lambda: turns.age() > MAX_AGE + TURN_INTERVAL, f"data older than {MAX_AGE} s", DECIDE)
    turns.turn()
    turns.turn_until(lambda: not get_orders(sandbox), "a book without your orders", CANCEL)
    report(f"market data silent, the connection open: after {MAX_AGE} s it stops and cancels its orders")

    sandbox.silence_streams("markets/data", on=False)
    turns.turn_until(lambda: turns.age() <= MAX_AGE, "fresh data", DECIDE)
    turns.turn()
    turns.turn_until(lambda: len(get_orders(sandbox)) == 2, "your two orders on the book again", "the data is fresh again: quote again")
    report("the stream sends again: it quotes again")
