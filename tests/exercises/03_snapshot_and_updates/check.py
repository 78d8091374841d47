"""Checks exercise 3: frames of a sandbox, recorded frames and frames made by hand must end in what REST says."""

from typing import Any

from tests.exercises.checking import call, expect, say
from tests.exercises.live import Stream, order, orders_over_rest, send, stream_of
from tests.http_replay import recorded_nodes, streamed
from tests.sandbox import Sandbox

LIVE = ("STATUS_ACTIVE", "STATUS_PARKED")
NUMBERS = "streams send statuses as numbers: 1 is ACTIVE, 8 is PARKED, all others are dead. And a frame holds a list of orders"
EMPTY = "streams leave out empty lists: body.get('orders', [])"
PAGES = "collect the pages of a snapshot somewhere else, and put them in place when one says lastPage"
DEAD = "look at each order of an update: is it live? Then keep what came, else forget it"


def check(exercise: Any) -> None:
    check_sandbox(exercise.LiveOrders)
    check_recorded(exercise.LiveOrders)
    check_by_hand(exercise.LiveOrders)


def check_sandbox(make: Any) -> None:
    with Sandbox(block_time=0, traders=False, seed=3) as sandbox:
        market_id = sandbox.markets["future"]
        for first, last in ((0, 30), (30, 55)):  # the network takes 30 instructions in a batch at most
            submissions = [order(market_id, "BUY", 100, 9_000_000 + place) for place in range(first, last)]
            send(sandbox, "bot", batchMarketInstructions={"submissions": submissions})
        sandbox.block()
        live = make()
        with stream_of(sandbox, "orders") as stream:
            check_snapshot(live, sandbox, stream)
            check_updates(live, sandbox, stream)


def check_snapshot(live: Any, sandbox: Sandbox, stream: Stream) -> None:
    call(live.take, stream.next(), hint=EMPTY)
    half = len(live.orders())
    call(live.take, stream.next(), hint=EMPTY)
    compare(live, orders_over_rest(sandbox), "after a snapshot of 55 orders on two pages", NUMBERS)
    expect(half == 0, saw=f"{half} orders after the first page of two", expected="none yet: half a snapshot is no truth", hint=PAGES)
    say("a snapshot of two pages, 55 orders: all there, and none of them before the last page")


def check_updates(live: Any, sandbox: Sandbox, stream: Stream) -> None:
    market_id = sandbox.markets["future"]
    lowest = sorted(orders_over_rest(sandbox), key=lambda node: int(node["price"]))[:3]
    cancellations = [{"marketId": market_id, "orderId": node["id"]} for node in lowest]
    born_dead = order(market_id, "BUY", 100, 9_000_010, timeInForce="TIME_IN_FORCE_IOC")
    new = order(market_id, "SELL", 200, 9_500_000)
    send(sandbox, "bot", batchMarketInstructions={"cancellations": cancellations, "submissions": [born_dead, new]})
    send(sandbox, "a", orderSubmission=order(market_id, "SELL", 150))  # fills one bid and half of the next
    sandbox.block()
    call(live.take, stream.next(), hint=EMPTY)
    compare(live, orders_over_rest(sandbox), "after an update: three cancelled, one filled, one half filled, one new, one born dead", DEAD)
    say("an update of seven orders: the dead ones are gone, the new one is there, one has half of it left")


def check_recorded(make: Any) -> None:
    live = make()
    frames = streamed("all-bot-orders")
    for result in frames:
        call(live.take, result, hint=EMPTY)
    expected = [node for node in recorded_nodes("bot-end-orders", "orders") if node["status"] in LIVE]
    compare(live, expected, f"after the {len(frames)} recorded frames", DEAD)
    say(f"{len(frames)} frames recorded from a real network end in its {len(expected)} live orders")


def check_by_hand(make: Any) -> None:
    live = make()
    call(live.take, {"snapshot": {"lastPage": True}}, hint=EMPTY)
    parked, active = {"id": "a", "status": 8, "remaining": "1"}, {"id": "b", "status": 1, "remaining": "2"}
    call(live.take, {"updates": {"orders": [parked, active]}}, hint=EMPTY)
    compare(live, [parked, active], "after an empty snapshot and an update with a PARKED and an ACTIVE order", NUMBERS)
    call(live.take, {"updates": {"orders": [{"id": "c", "status": 3}, {"id": "b"}]}}, hint="a status of zero is left out: node.get")
    compare(live, [parked], "after an update with an order that was never heard of, cancelled, and one with no status at all", DEAD)
    say("a parked order is live; one without a status (zero, left out) is not")


def compare(live: Any, expected: list[dict[str, Any]], when: str, hint: str) -> None:
    """Compare what the learner has with nodes from REST: which orders, and how much is left of each."""
    held = {order_id: node.get("remaining") for order_id, node in live.orders().items()}
    wanted = {node["id"]: node["remaining"] for node in expected}
    too_many, missing = held.keys() - wanted.keys(), wanted.keys() - held.keys()
    stale = [order_id for order_id in held.keys() & wanted.keys() if held[order_id] != wanted[order_id]]
    details = [f"{len(held)} live orders {when}"]
    details += [f"{len(some)} {what}" for some, what in ((missing, "missing"), (too_many, "dead by now"), (stale, "out of date")) if some]
    expect(held == wanted, saw="; ".join(details), expected=f"the {len(wanted)} live orders that REST has", hint=hint)
