"""Checks exercise 7: the learner's Quoter turns while the sandbox's market data are there, silent, and there again.

What is right at a turn hangs on the age of the data then, which the check measures itself: a slow machine cannot spoil it.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import bot.submission as sub
from bot.models import Market
from bot.vega_store import VegaStore
from tests.exercises.checking import call, expect, say
from tests.exercises.orders import look_over
from tests.exercises.sandbox_helpers import PATIENCE, market_now, order, orders_over_rest, send, wallet_of, with_store
from tests.sandbox import Sandbox

LONGEST_AGE = 1.0  # seconds
OLD_AGE = 3.0  # seconds
MOST_READS = 100  # of a store, in one turn
PERIOD = 0.05  # seconds from turn to turn
QUIET_TURNS = 30  # enough to be longer than LONGEST_AGE
ORDER = "ask for the age first, then decide: quote, or pull what rests, or do nothing"
QUIET = "a price that does not move is no sign: ask the store how old its data is"


class Turns:
    """Turns a Quoter, and keeps what it sends."""

    def __init__(self, exercise: Any, store: VegaStore, sandbox: Sandbox, market: Market) -> None:
        self._store, self._market = store, market
        self._wallet = wallet_of(sandbox)
        self._quoter = call(exercise, "Quoter", store, self._send, market.market_id, LONGEST_AGE)
        self._sent: list[int] = []
        self.pulls = 0  # since the last quotes

    def age(self) -> float:
        return self._store.seconds_since_update(self._market.market_id)

    def turn(self) -> None:
        """Let the quoter turn once, and look whether that was right at the age that the data had before and after."""
        before = self.age()
        self._sent = []
        call(self._quoter, "turn")
        after = self.age()
        quoted = any(self._sent)
        if before <= after <= LONGEST_AGE:
            expect(quoted, saw=f"no quotes on data {after:.2f} s old", expected=f"quotes: up to {LONGEST_AGE} s are fine", hint=QUIET)
        if LONGEST_AGE < before <= after:
            expect(not quoted, saw=f"quotes on data {before:.2f} s old", expected=f"none: {LONGEST_AGE} s is the limit", hint=ORDER)
        self.pulls = 0 if quoted else self.pulls + len(self._sent)
        time.sleep(PERIOD)  # as the bot's loop waits for its next turn

    def until(self, done: Callable[[], bool], what: str, hint: str) -> None:
        """Turn until something is the case."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            expect(time.monotonic() < deadline, saw=f"after {PATIENCE:.0f} s still not {what}", expected=what, hint=hint)
            self.turn()

    def _send(self, submissions: list[sub.OrderSubmission]) -> None:
        self._sent.append(len(look_over(submissions, "turn sent")))
        batch = sub.BatchMarketInstruction(
            submissions=submissions, cancellations=[sub.OrderCancellation(market_id=self._market.market_id)], amendments=[]
        )
        terms = (self._market.decimal_places, self._market.position_decimal_places, self._market.tick_size)
        self._wallet.submit_transaction(sub.instruction_to_json(batch, *terms))


class LateStore(VegaStore):
    """A store in which a new frame arrives right after the first thing that is read, be it the prices or their age."""

    def __init__(self, old: Market, new: Market) -> None:
        super().__init__(websocket_url="", rest_api_url="")  # never started
        self._states = iter([(old, OLD_AGE), *[(new, 0.0)] * MOST_READS])

    def get_market_by_id(self, market_id: str) -> Market:
        return next(self._states)[0]

    def seconds_since_update(self, market_id: str) -> float:
        return next(self._states)[1]


def check(exercise: Any) -> None:
    with Sandbox(block_time=0.1, traders=False, seed=7) as sandbox:
        for side, price in (("BUY", 9_990_000), ("SELL", 10_010_000)):  # these rest, and so does the price
            send(sandbox, "a", orderSubmission=order(sandbox.markets["future"], side, 5000, price))
        sandbox.block()
        market = market_now(sandbox)
        with_store(sandbox, lambda store: watch(Turns(exercise, store, sandbox, market), sandbox))
    check_late_frame(exercise, market)


def watch(turns: Turns, sandbox: Sandbox) -> None:
    for _ in range(QUIET_TURNS):
        turns.turn()
    turns.until(lambda: len(orders_over_rest(sandbox)) == 2, "two orders of yours in the book", QUIET)
    say(f"{QUIET_TURNS} turns on a quiet market: it quotes, although the price does not move")

    sandbox.silence_streams("markets/data")
    turns.until(lambda: turns.age() > LONGEST_AGE + PERIOD, f"data older than {LONGEST_AGE} s", ORDER)
    turns.turn()
    turns.until(lambda: not orders_over_rest(sandbox), "a book without orders of yours", "what rests must go: self._send([])")
    say(f"market data silenced, the connection open: after {LONGEST_AGE} s it stops, and pulls what rests")
    for _ in range(10):
        turns.turn()
    expect(
        turns.pulls == 1,
        saw=f"{turns.pulls} cancellations during one silence",
        expected="one: afterwards nothing of yours is in the book",
        hint="remember whether orders of yours may rest there: true after quoting, false after pulling",
    )
    say("it pulled once, and then was quiet")

    sandbox.silence_streams("markets/data", on=False)
    turns.until(lambda: turns.age() <= LONGEST_AGE, "fresh data", ORDER)
    turns.turn()
    turns.until(lambda: len(orders_over_rest(sandbox)) == 2, "your two orders in the book again", "fresh data is back: quote again")
    say("the stream speaks again: it quotes again")


def check_late_frame(exercise: Any, market: Market) -> None:
    """Let one turn meet a frame that ends a silence."""
    new = replace(market, best_bid_price=market.best_bid_price + 1, best_offer_price=market.best_offer_price + 1)
    sent: list[sub.OrderSubmission] = []
    quoter = call(exercise, "Quoter", LateStore(market, new), sent.extend, market.market_id, LONGEST_AGE)
    call(quoter, "turn")
    stale = [order.price for order in sent if order.price in (market.best_bid_price, market.best_offer_price)]
    expect(
        not stale,
        saw=f"quotes at {stale}, prices {OLD_AGE} s old: you read them, a frame came, you asked for the age, and that was the frame's",
        expected="no quotes, or quotes at the prices of the frame",
        hint="ask for the age first: what is read after it is no older",
    )
    say("a frame that arrives in the middle of a turn does not make old prices young")
