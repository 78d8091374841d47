"""Checks exercise 3: frames of a sandbox, recorded frames and frames made by hand must end in what REST says."""

from typing import Any

from tests.exercises.checking import call, expect, say, shown
from tests.exercises.sandbox_helpers import Stream, order, orders_over_rest, send, stream_of
from tests.sandbox import Sandbox
from tests.support.http_replay import recorded_nodes, streamed

LIVE = ("STATUS_ACTIVE", "STATUS_PARKED")
NUMBERS = "streams send statuses as numbers: 1 is ACTIVE, 8 is PARKED, all others are dead. And a frame holds a list of orders"
LISTS = "a frame holds a list of orders: look at each of them"
LEFT_OUT = {
    "orders": "streams leave out empty lists: body.get('orders', [])",
    "lastPage": "streams leave out what is false: only the last page says lastPage. body.get('lastPage')",
    "status": "a status of zero is left out: node.get",
}
UNHEARD = "an update may tell of an order that you never heard of, dead already: self._orders.pop(order_id, None) takes that"
PAGES = "collect the pages of a snapshot somewhere else, and put them in place when one says lastPage"
DEAD = "look at each order of an update: is it live? Then keep what came, else forget it"


def check(exercise: Any) -> None:
    check_sandbox(exercise)
    check_recorded(exercise)
    check_by_hand(exercise)


def check_sandbox(exercise: Any) -> None:
    with Sandbox(block_time=0, traders=False, seed=3) as sandbox:
        market_id = sandbox.markets["future"]
        for first, last in ((0, 30), (30, 55)):  # the network takes 30 instructions in a batch at most
            submissions = [order(market_id, "BUY", 100, 9_000_000 + place) for place in range(first, last)]
            send(sandbox, "bot", batchMarketInstructions={"submissions": submissions})
        sandbox.block()
        live = call(exercise, "LiveOrders")
        with stream_of(sandbox, "orders") as stream:
            check_snapshot(live, sandbox, stream)
            check_updates(live, sandbox, stream)


def check_snapshot(live: Any, sandbox: Sandbox, stream: Stream) -> None:
    take(live, stream.next())
    half = len(held_by(live))
    take(live, stream.next())
    hint = NUMBERS if not held_by(live) else LISTS if len(held_by(live)) <= 2 else PAGES
    compare(live, orders_over_rest(sandbox), "after a snapshot of 55 orders on two pages", hint)
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
    take(live, stream.next())
    compare(live, orders_over_rest(sandbox), "after an update: three cancelled, one filled, one half filled, one new, one born dead", DEAD)
    say("an update of seven orders: the dead ones are gone, the new one is there, one has half of it left")


def check_recorded(exercise: Any) -> None:
    live = call(exercise, "LiveOrders")
    frames = streamed("all-bot-orders")
    for result in frames:
        take(live, result)
    expected = [node for node in recorded_nodes("bot-end-orders", "orders") if node["status"] in LIVE]
    compare(live, expected, f"after the {len(frames)} recorded frames", DEAD)
    say(f"{len(frames)} frames recorded from a real network end in its {len(expected)} live orders")


def check_by_hand(exercise: Any) -> None:
    live = call(exercise, "LiveOrders")
    take(live, {"snapshot": {"lastPage": True}})
    parked, active = {"id": "a", "status": 8, "remaining": "1"}, {"id": "b", "status": 1, "remaining": "2"}
    take(live, {"updates": {"orders": [parked, active]}})
    compare(live, [parked, active], "after an empty snapshot and an update with a PARKED and an ACTIVE order", NUMBERS)
    take(live, {"updates": {"orders": [{"id": "c", "status": 3}, {"id": "b"}]}})
    compare(live, [parked], "after an update with an order that was never heard of, cancelled, and one with no status at all", DEAD)
    say("a parked order is live; one without a status (zero, left out) is not")


def take(live: Any, result: dict[str, Any]) -> None:
    call(live, "take", result, errors=(KeyError,), hint=lambda error: LEFT_OUT.get(error.args[0], UNHEARD))


def held_by(live: Any) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = call(live, "orders", gives=dict)
    return held


def compare(live: Any, expected: list[dict[str, Any]], when: str, hint: str) -> None:
    """Compare what the learner has with nodes from REST: which orders, and how much is left of each."""
    nodes = held_by(live)
    expect(
        all(isinstance(node, dict) for node in nodes.values()),
        saw=f"orders returned {shown(nodes)}",
        expected="a dict of order id -> the stream's node, a dict itself",
        hint="keep each order as it came",
    )
    held = {order_id: node.get("remaining") for order_id, node in nodes.items()}
    wanted = {node["id"]: node["remaining"] for node in expected}
    too_many, missing = held.keys() - wanted.keys(), wanted.keys() - held.keys()
    stale = [order_id for order_id in held.keys() & wanted.keys() if held[order_id] != wanted[order_id]]
    details = [f"{len(held)} live orders {when}"]
    details += [f"{len(some)} {what}" for some, what in ((missing, "missing"), (too_many, "dead by now"), (stale, "out of date")) if some]
    expect(held == wanted, saw="; ".join(details), expected=f"the {len(wanted)} live orders that REST has", hint=hint)
