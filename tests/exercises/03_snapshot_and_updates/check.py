"""Checks exercise 3: after the frames of a sandbox, recorded frames and hand-made frames, the open orders must be those of REST."""

from types import ModuleType
from typing import Any

from tests.exercises.checking import call, expect, format_values, report
from tests.exercises.sandbox_helpers import StreamClient, get_orders, open_stream, order_json, send_transaction
from tests.sandbox import Sandbox
from tests.support.http_replay import recorded_nodes, streamed

PAGE_SIZE = 50  # the most orders in a frame
OPEN = ("STATUS_ACTIVE", "STATUS_PARKED")
NUMBERS = "streams send statuses as numbers: 1 is ACTIVE, 8 is PARKED, all others are closed. And a frame holds a list of orders"
LISTS = "a frame holds a list of orders: read all of them"
LEFT_OUT = {
    "orders": "streams leave out empty lists: body.get('orders', [])",
    "lastPage": "streams leave out what is false: only the last page has lastPage. body.get('lastPage')",
    "status": "streams leave out a status of zero: order.get('status')",
}
UNKNOWN = "an update may close an order that you have never seen: self._orders.pop(order_id, None) accepts that"
LAST_PAGE = "only lastPage says that a page is the last one: a full page can be the last, and a node may send a page that is not full"
PAGES = "collect the pages of a snapshot in a second dict, and use it when a page has lastPage"
CLOSED = "look at every order of an update: keep it if it is open, remove it if it is closed"


def check(exercise: ModuleType) -> None:
    check_sandbox(exercise)
    check_recorded(exercise)
    check_by_hand(exercise)


def check_sandbox(exercise: ModuleType) -> None:
    with Sandbox(block_time=0, traders=False, seed=3) as sandbox:
        market_id = sandbox.markets["future"]
        for first, last in ((0, 30), (30, 55)):  # the network accepts up to 30 instructions in a batch
            submissions = [order_json(market_id, "BUY", 100, 9_000_000 + number) for number in range(first, last)]
            send_transaction(sandbox, "bot", batchMarketInstructions={"submissions": submissions})
        sandbox.block()
        open_orders = call(exercise, "OpenOrders")
        with open_stream(sandbox, "orders") as stream:
            check_snapshot(open_orders, sandbox, stream)
            check_updates(open_orders, sandbox, stream)


def check_snapshot(open_orders: object, sandbox: Sandbox, stream: StreamClient) -> None:
    send_frame(open_orders, stream.receive())
    after_first_page = len(orders_of(open_orders))
    send_frame(open_orders, stream.receive())
    count = len(orders_of(open_orders))
    hint = NUMBERS if not count else LISTS if count <= 2 else PAGES
    compare(open_orders, get_orders(sandbox), "after a snapshot of 55 orders on two pages", hint)
    expect(
        after_first_page == 0,
        saw=f"{after_first_page} orders after the first of two pages",
        expected="none: half a snapshot is not a valid state",
        hint=PAGES,
    )
    report("a snapshot of two pages: all 55 orders, and none of them before the last page")


def check_updates(open_orders: object, sandbox: Sandbox, stream: StreamClient) -> None:
    market_id = sandbox.markets["future"]
    lowest = sorted(get_orders(sandbox), key=lambda node: int(node["price"]))[:3]
    cancellations = [{"marketId": market_id, "orderId": node["id"]} for node in lowest]
    closed_at_once = order_json(market_id, "BUY", 100, 9_000_010, timeInForce="TIME_IN_FORCE_IOC")
    new = order_json(market_id, "SELL", 200, 9_500_000)
    send_transaction(sandbox, "bot", batchMarketInstructions={"cancellations": cancellations, "submissions": [closed_at_once, new]})
    send_transaction(sandbox, "a", orderSubmission=order_json(market_id, "SELL", 150))  # fills one bid and half of the next
    sandbox.block()
    send_frame(open_orders, stream.receive())
    compare(
        open_orders,
        get_orders(sandbox),
        "after an update: three orders cancelled, one filled, one half filled, one new, one new and closed at once",
        CLOSED,
    )
    report("an update of seven orders: the closed ones are gone, the new one is there, one has half of its size left")


def check_recorded(exercise: ModuleType) -> None:
    open_orders = call(exercise, "OpenOrders")
    frames = streamed("all-bot-orders")
    for result in frames:
        send_frame(open_orders, result)
    expected = [node for node in recorded_nodes("bot-end-orders", "orders") if node["status"] in OPEN]
    compare(open_orders, expected, f"after the {len(frames)} recorded frames", CLOSED)
    report(f"after {len(frames)} frames of a real network: the {len(expected)} open orders that its REST showed")


def check_by_hand(exercise: ModuleType) -> None:
    open_orders = call(exercise, "OpenOrders")
    send_frame(open_orders, {"snapshot": {"lastPage": True}})
    parked, active = {"id": "a", "status": 8, "remaining": "1"}, {"id": "b", "status": 1, "remaining": "2"}
    send_frame(open_orders, {"updates": {"orders": [parked, active]}})
    compare(open_orders, [parked, active], "after an empty snapshot and an update with a PARKED and an ACTIVE order", NUMBERS)
    send_frame(open_orders, {"updates": {"orders": [{"id": "c", "status": 3}, {"id": "b"}]}})
    compare(open_orders, [parked], "after an update with an unknown order that is cancelled, and an order without a status", CLOSED)
    report("a parked order is open; an order without a status (zero, left out) is not")
    check_statuses(open_orders, parked)
    check_page_sizes(exercise)


def check_statuses(open_orders: object, parked: dict[str, Any]) -> None:
    """Send an order with each status. The starting state is one parked order."""
    orders = [{"id": f"status {number}", "status": number, "remaining": "1"} for number in range(1, 9)]
    send_frame(open_orders, {"updates": {"orders": orders}})
    expected = [parked, *(order for order in orders if order["status"] in (1, 8))]
    compare(open_orders, expected, "after an update with eight orders, one of each status from 1 to 8", NUMBERS)
    report("of all statuses, 1 and 8 are open")


def check_page_sizes(exercise: ModuleType) -> None:
    """Send a snapshot whose pages are not what their sizes suggest: the last one is full, the first one is not."""
    nodes = [{"id": str(number), "status": 1, "remaining": "1"} for number in range(PAGE_SIZE + 3)]
    for sizes in ((PAGE_SIZE,), (3, PAGE_SIZE)):
        open_orders = call(exercise, "OpenOrders")
        begin = 0
        for size in sizes:
            is_last = begin + size == sum(sizes)
            page = {"orders": nodes[begin : begin + size], **({"lastPage": True} if is_last else {})}
            send_frame(open_orders, {"snapshot": page})
            begin += size
            shown = nodes[:begin] if is_last else []
            compare(open_orders, shown, f"after a page of {size} orders{' with lastPage' if is_last else ' without lastPage'}", LAST_PAGE)
    report("a page is the last one if it has lastPage, however many orders it holds")


def send_frame(open_orders: object, result: dict[str, Any]) -> None:
    call(open_orders, "on_frame", result, errors=(KeyError,), hint=lambda error: LEFT_OUT.get(error.args[0], UNKNOWN))


def orders_of(open_orders: object) -> dict[str, dict[str, Any]]:
    return call(open_orders, "orders", returns=dict)


def compare(open_orders: object, expected: list[dict[str, Any]], when: str, hint: str) -> None:
    """Compare the learner's orders with nodes from REST: their ids, and the remaining size of each."""
    nodes = orders_of(open_orders)
    expect(
        all(isinstance(node, dict) for node in nodes.values()),
        saw=f"orders returned {format_values(nodes)}",
        expected="a dict of order id -> the stream's node, which is a dict too",
        hint="keep each node as you get it",
    )
    remaining = {order_id: node.get("remaining") for order_id, node in nodes.items()}
    wanted = {node["id"]: node["remaining"] for node in expected}
    closed, missing = remaining.keys() - wanted.keys(), wanted.keys() - remaining.keys()
    outdated = [order_id for order_id in remaining.keys() & wanted.keys() if remaining[order_id] != wanted[order_id]]
    details = [f"{len(remaining)} open orders {when}"]
    details += [f"{len(ids)} {what}" for ids, what in ((missing, "missing"), (closed, "closed by now"), (outdated, "out of date")) if ids]
    expect(remaining == wanted, saw="; ".join(details), expected=f"the {len(wanted)} open orders that REST shows", hint=hint)
