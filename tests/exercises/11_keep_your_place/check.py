"""Checks exercise 11: the learner's batches on a sandbox, block by block: who is filled first, and how large the position becomes.

The sandbox makes blocks on demand. In each turn, the check sends the transactions of the other parties, then the learner's batch.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, Optional

import bot.models as parsers
import bot.submission as sub
import bot.vega_api_client as api
from bot.models import Market, Order
from bot.wallet import WalletError
from tests.exercises.checking import NotSolved, call, expect, get_required, report
from tests.exercises.orders import validate_orders
from tests.exercises.sandbox_helpers import get_market, get_orders, make_wallet, order_json, send_transaction
from tests.sandbox import Sandbox

MAX_ABS_POSITION = 1.0  # contracts
BID, OFFER = 99.9, 100.1
TICK = 0.1  # price units by which the wanted prices move
QUEUE_BLOCKS = 6  # with constant prices
FILLS = 8  # of each kind
PAUSED_TURNS = 6
TRADERS = ("a", "b", "c")

KEEP = "an order at the wanted price is correct already: send nothing for it, and the queue position stays"
AMEND = "an order at another price: OrderAmendment with its order_id, size_delta=0, the new price and market_id"
QUOTE_AGAIN = "a side without an order, and without one in flight, gets a new order: also after a fill"
NO_CANCEL = "a cancellation gives the place away; between your look and the next block, the order may also be filled"
IN_FLIGHT = (
    "the store is behind: remember the block of the state at which you sent an order,"
    " and send no other on this side until the state's block is two higher"
)
ROOM = (
    "the room of the bid is max_abs_position - open_volume, that of the offer max_abs_position + open_volume; without room, send no order"
)


class Game:
    """One market of a sandbox, the learner's Quoter, and the other parties."""

    def __init__(self, exercise: ModuleType, sandbox: Sandbox, lag: int = 0) -> None:
        self.sandbox, self.market = sandbox, get_market(sandbox)
        self.bid_price, self.offer_price = BID, OFFER
        self._state_class = get_required(exercise, "State")
        self._quoter = call(exercise, "Quoter", self.market.market_id, MAX_ABS_POSITION)
        self._lag = lag  # blocks that the learner's state is behind
        self._states: list[Any] = []
        self.largest_position = 0.0  # contracts, long or short
        self.instructions = 0  # of all batches

    def turn(self, before: Sequence[tuple[str, dict[str, Any]]] = (), blocks: int = 1) -> sub.BatchMarketInstruction:
        """Let the learner look at the state, then make a block of the transactions `before` and the learner's batch.

        With `blocks=0`, no block is made: what has been sent waits for the next one.
        """
        self._states.append(self._state())
        shown = self._states[max(0, len(self._states) - 1 - self._lag)]
        shown = replace(shown, bid_price=self.bid_price, offer_price=self.offer_price)
        batch = call(self._quoter, "turn", shown, returns=sub.BatchMarketInstruction)
        for party, order in before:
            send_transaction(self.sandbox, party, orderSubmission=order)
        self._send(batch)
        if blocks:
            self.sandbox.block(blocks)
        self.largest_position = max(self.largest_position, abs(self.position()))
        return batch

    def open_orders(self, side: Optional[str] = None) -> list[Order]:
        nodes = [node for node in get_orders(self.sandbox) if node["marketId"] == self.market.market_id]
        orders = [parsers.parse_order(node, self.market.position_decimal_places, self.market.decimal_places) for node in nodes]
        return [order for order in orders if side in (None, order.side)]

    def position(self) -> float:
        nodes = api.get_positions(party_id=self.sandbox.parties["bot"], node_url=self.sandbox.node_url, market_id=self.market.market_id)
        return sub.convert_to_decimals(self.market.position_decimal_places, int(nodes[0]["openVolume"])) if nodes else 0.0

    def order_of(self, side: str, size: float, price: Optional[float] = None) -> dict[str, Any]:
        """Return an order of another party; a market order if there is no price."""
        padded_price = None if price is None else sub.convert_from_decimals(self.market.decimal_places, price)
        return order_json(self.market.market_id, side, sub.convert_from_decimals(self.market.position_decimal_places, size), padded_price)

    def _state(self) -> Any:
        return self._state_class(
            block=self.sandbox.call(lambda box: box.chain.height),
            orders=self.open_orders(),
            open_volume=self.position(),
            bid_price=self.bid_price,
            offer_price=self.offer_price,
        )

    def _send(self, batch: sub.BatchMarketInstruction) -> None:
        validate_orders(batch.submissions, "turn returned a batch with")
        count = len(batch.submissions) + len(batch.cancellations) + len(batch.amendments)
        self.instructions += count
        if not count:
            return
        market: Market = self.market
        try:
            transaction = sub.instruction_to_json(batch, market.decimal_places, market.position_decimal_places, market.tick_size)
            make_wallet(self.sandbox).submit_transaction(transaction)
        except (WalletError, AttributeError, TypeError, ValueError) as error:
            raise NotSolved(
                saw=f"{batch}\n{type(error).__name__}: {error}",
                expected="a batch that the wallet accepts",
                hint="submissions, cancellations and amendments are three lists, each of its own kind of record",
            ) from error


def check(exercise: ModuleType) -> None:
    check_place(exercise)
    check_prices(exercise)
    check_other_orders(exercise)
    check_limit(exercise, lag=0)
    check_limit(exercise, lag=1)
    check_pause(exercise)


def check_place(exercise: ModuleType) -> None:
    """Keep the prices. Others join the queue behind the learner's orders; then somebody sells into it."""
    with Sandbox(block_time=0, traders=False, seed=11) as sandbox:
        game = start(exercise, sandbox)
        ids = {order.order_id for order in game.open_orders()}
        game.turn([("a", game.order_of("BUY", 1, BID)), ("a", game.order_of("SELL", 1, OFFER))])
        for _ in range(QUEUE_BLOCKS):
            game.turn()
        kept = {order.order_id for order in game.open_orders()}
        game.turn([("b", game.order_of("SELL", 0.5))])
        filled = game.position() == 0.5
        expect(
            filled,
            saw=f"somebody sold 0.5 at {BID}, and a bid was filled that had arrived later than your first one",
            expected="your bid is the oldest at this price, so it is filled first",
            hint=KEEP if kept != ids else NO_CANCEL,
        )
        expect(
            kept == ids,
            saw=f"other orders after {QUEUE_BLOCKS} blocks without a change of the prices",
            expected="the same two orders",
            hint=KEEP,
        )
    report(f"{QUEUE_BLOCKS} blocks with constant prices: your orders stay, and your bid is filled before a younger one")


def check_prices(exercise: ModuleType) -> None:
    """Move the wanted prices. The orders must follow, by amendments."""
    with Sandbox(block_time=0, traders=False, seed=11) as sandbox:
        game = start(exercise, sandbox)
        ids = {order.order_id for order in game.open_orders()}
        for step in (1, 2, 1, -1, -2, 0):
            game.bid_price, game.offer_price = round(BID + step * TICK / 2, 5), round(OFFER + step * TICK / 2, 5)
            for _ in range(3):
                game.turn()
            prices = {order.side: order.price for order in game.open_orders()}
            expect(
                prices == {"SIDE_BUY": game.bid_price, "SIDE_SELL": game.offer_price} and len(game.open_orders()) == 2,
                saw=f"open orders {describe(game.open_orders())}, three blocks after the wanted prices changed",
                expected=f"a bid at {game.bid_price} and an offer at {game.offer_price}",
                hint=AMEND,
            )
        expect(
            {order.order_id for order in game.open_orders()} == ids,
            saw="new orders after the prices moved",
            expected="the same two orders, amended",
            hint=f"{AMEND}. {NO_CANCEL}",
        )
        before = game.instructions
        game.turn()
        expect(
            game.instructions == before,
            saw=f"{game.instructions - before} instructions in a turn in which nothing changed",
            expected="an empty batch",
            hint=KEEP,
        )
    report("the prices move, and your two orders follow")


def check_other_orders(exercise: ModuleType) -> None:
    """Fill each side several times. New orders must follow, and the room must be used."""
    with Sandbox(block_time=0, traders=False, seed=11) as sandbox:
        game = start(exercise, sandbox)
        for number in range(FILLS):
            side = ("SELL", "BUY")[number % 2]
            game.turn([("b", game.order_of(side, 1))])
            for _ in range(4):
                game.turn()
            sides = sorted(order.side for order in game.open_orders())
            position = game.position()
            expected = ["SIDE_SELL"] if position >= MAX_ABS_POSITION else ["SIDE_BUY", "SIDE_SELL"]
            expect(
                sides == expected,
                saw=f"four blocks after a fill, at a position of {position:g}, open orders {describe(game.open_orders())}",
                expected=f"an order on {' and '.join(expected)}",
                hint=QUOTE_AGAIN if len(sides) < len(expected) else ROOM,
            )
    report(f"{FILLS} fills: a new order follows each of them, if there is room")


def check_limit(exercise: ModuleType, lag: int) -> None:
    """Fill orders just before the learner's batch arrives, wholly and in parts, while prices move and the state is behind."""
    with Sandbox(block_time=0, traders=False, seed=11) as sandbox:
        game = start(exercise, sandbox, lag)
        for number in range(4 * FILLS):
            step = (0, 1, 2, 1, 0, -1)[number % 6]
            game.bid_price, game.offer_price = round(BID + step * TICK / 2, 5), round(OFFER + step * TICK / 2, 5)
            side = ("SELL", "SELL", "SELL", "BUY", "BUY", "BUY", "BUY")[number % 7]
            size = (1, 0.4, 0.7)[number % 3]
            batch = game.turn([("b", {**game.order_of(side, size), "timeInForce": "TIME_IN_FORCE_IOC"})])
            late = f", and a state that is {lag} block behind" if lag else ""
            expect(
                game.largest_position <= MAX_ABS_POSITION,
                saw=f"a position of {game.largest_position:g}, after a fill just before your batch arrived{late}",
                expected=f"never more than {MAX_ABS_POSITION:g}",
                hint=NO_CANCEL if batch.cancellations else IN_FLIGHT if lag else ROOM,
            )
    behind = "one block behind" if lag else "up to date"
    report(
        f"{4 * FILLS} blocks with fills just before your batch, a state that is {behind}: the position never passes {MAX_ABS_POSITION:g}"
    )


def check_pause(exercise: ModuleType) -> None:
    """Let the chain pause while new orders are in flight: several turns see the same block."""
    with Sandbox(block_time=0, traders=False, seed=11) as sandbox:
        game = start(exercise, sandbox)
        game.turn([("b", game.order_of("SELL", 0.3)), ("b", game.order_of("BUY", 0.3))])
        game.turn([("b", game.order_of("SELL", 0.7)), ("b", game.order_of("BUY", 0.7))])
        for _ in range(PAUSED_TURNS):
            game.turn(blocks=0)
        game.sandbox.block(2)
        sides = sorted(order.side for order in game.open_orders())
        expect(
            max(sides.count(side) for side in ("SIDE_BUY", "SIDE_SELL")) <= 1,
            saw=f"open orders {describe(game.open_orders())}, after {PAUSED_TURNS} turns in which the chain made no block",
            expected="at most one bid and one offer",
            hint=f"count blocks, not turns: {IN_FLIGHT}",
        )
    report(f"{PAUSED_TURNS} turns without a new block: one order on each side is in flight, not more")


def start(exercise: ModuleType, sandbox: Sandbox, lag: int = 0) -> Game:
    """Open the market around the wanted prices, and let the learner quote."""
    game = Game(exercise, sandbox, lag)
    for party, side, price in (("c", "BUY", BID - 1), ("c", "SELL", OFFER + 1)):
        send_transaction(sandbox, party, orderSubmission=game.order_of(side, 100, price))
    sandbox.block()
    for _ in range(4):
        game.turn()
    sides = sorted(order.side for order in game.open_orders())
    expect(
        sides == ["SIDE_BUY", "SIDE_SELL"],
        saw=f"open orders {describe(game.open_orders())}, after the first four blocks",
        expected="one bid and one offer",
        hint=QUOTE_AGAIN if len(sides) < 2 else IN_FLIGHT,
    )
    return game


def describe(orders: list[Order]) -> str:
    return ", ".join(f"{order.side} {order.remaining_size:g} at {order.price:g}" for order in orders) or "none"
