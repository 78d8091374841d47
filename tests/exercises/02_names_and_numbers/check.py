"""Checks exercise 2: orders with every status from REST and from a stream, of a sandbox and recorded, field by field."""

import sys
from types import FrameType, ModuleType
from typing import Any

import bot.models
from bot.models import Order
from tests.exercises.checking import call, expect, report
from tests.exercises.sandbox_helpers import get_orders, open_stream, order_json, send_transaction
from tests.sandbox import Sandbox
from tests.support.http_replay import recorded_nodes, streamed_nodes

PRICE_DECIMALS, SIZE_DECIMALS = 5, 3  # of the sandbox's future and of the recorded markets
AMOUNTS = ("price", "size", "remaining_size")
TEXTS = {  # field of an Order -> its name in REST
    "order_id": "id",
    "market_id": "marketId",
    "party_id": "partyId",
    "order_type": "type",
    "time_in_force": "timeInForce",
    "status": "status",
    "side": "side",
    "reason": "reason",
}
ZEROS = {  # what REST sends where a stream leaves the field out
    "size": "0",
    "remaining": "0",
    "type": "TYPE_UNSPECIFIED",
    "timeInForce": "TIME_IN_FORCE_UNSPECIFIED",
    "status": "STATUS_UNSPECIFIED",
    "side": "SIDE_UNSPECIFIED",
}
MISSING = "streams leave out what is zero, false or empty, and REST leaves out an empty reason: node.get(field, …)"
DIFFERS = f"turn the stream's numbers into names, with the enums of bot/enums.py; leave REST's names as they are. {MISSING}"
UNSPECIFIED = "a missing field is zero, and zero has a name too: see enum_name(Side, 0) in bot/enums.py"
UNKNOWN = "an enum raises ValueError for an unknown number: catch it, or see enum_name in bot/enums.py"

Nodes = dict[str, dict[str, Any]]  # by order id


def check(exercise: ModuleType) -> None:
    from_rest, from_stream = sandbox_orders()
    check_own_work(exercise, next(iter(from_rest.values())))
    compare(exercise, from_rest, from_stream, "of the sandbox's")
    recorded = {node["id"]: node for node in recorded_nodes("bot-end-orders", "orders")}
    compare(exercise, recorded, {node["id"]: node for node in streamed_nodes("all-bot-orders", "orders")}, "of the recorded")
    check_human_numbers(exercise, next(iter(from_rest.values())))
    check_zeros(exercise, next(iter(from_rest.values())))
    check_unknown_number(exercise, next(iter(from_stream.values())))


def sandbox_orders() -> tuple[Nodes, Nodes]:
    """Make orders that are open, partly filled, filled, cancelled, stopped and rejected. Return them from REST and from the stream."""
    with Sandbox(block_time=0, traders=False, seed=2) as sandbox, open_stream(sandbox, "orders") as stream:
        stream.receive()  # the snapshot, which is empty
        market_id = sandbox.markets["future"]
        send_transaction(sandbox, "a", orderSubmission=order_json(market_id, "SELL", 1500, 10_100_000))
        sell = order_json(market_id, "SELL", 2000, 10_200_000)
        cancelled = order_json(market_id, "SELL", 300, 10_300_000)
        stopped = order_json(market_id, "BUY", 400, 10_100_000, postOnly=True)
        too_large = order_json(market_id, "BUY", 10**15, 9_000_000)
        batch = {"submissions": [order_json(market_id, "BUY", 700, 9_900_000), sell, cancelled, stopped, too_large]}
        send_transaction(sandbox, "bot", batchMarketInstructions=batch)
        sandbox.block()
        first = stream.receive()["updates"]["orders"]
        order_id = next(node["id"] for node in get_orders(sandbox) if node["size"] == "300")
        send_transaction(sandbox, "bot", orderCancellation={"marketId": market_id, "orderId": order_id})
        send_transaction(sandbox, "bot", orderSubmission=order_json(market_id, "BUY", 500))  # a market order: filled at once
        send_transaction(sandbox, "b", orderSubmission=order_json(market_id, "BUY", 1800))  # fills a's order, and part of the bot's
        sandbox.block()
        second = stream.receive()["updates"]["orders"]
        from_rest = {node["id"]: node for node in get_orders(sandbox, open_only=False)}
    return from_rest, {node["id"]: node for node in [*first, *second]}


def check_own_work(exercise: ModuleType, node: dict[str, Any]) -> None:
    """Reject an answer that calls the bot's parser, under whatever name."""
    called = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == bot.models.__file__ and frame.f_code.co_name == "parse_order":
            called.append(frame)

    sys.setprofile(profile)
    try:
        read_order(exercise, node)
    finally:
        sys.setprofile(None)
    expect(
        not called,
        saw="read_order calls parse_order of bot/models.py",
        expected="code of your own",
        hint="parse_order is the bot's solution of this exercise: read it, close it, and write the function yourself",
    )


def compare(exercise: ModuleType, from_rest: Nodes, from_stream: Nodes, source: str) -> None:
    common = [order_id for order_id in from_rest if order_id in from_stream]
    for order_id in common:
        compare_order(exercise, from_rest[order_id], from_stream[order_id])
    statuses = ", ".join(sorted({from_rest[order_id]["status"].removeprefix("STATUS_").lower() for order_id in common}))
    report(f"{len(common)} {source} orders are the same from both sources: {statuses}")


def compare_order(exercise: ModuleType, from_rest: dict[str, Any], from_stream: dict[str, Any], hint: str = DIFFERS) -> None:
    """Compare the orders that were read from both sources with each other, and with REST."""
    rest, streamed = read_order(exercise, from_rest), read_order(exercise, from_stream)
    for field in (*TEXTS, *AMOUNTS):
        expect(
            getattr(rest, field) == getattr(streamed, field),
            saw=f"{field} is {getattr(rest, field)!r} from REST and {getattr(streamed, field)!r} from the stream:\n{from_stream}",
            expected="the same value from both",
            hint=hint,
        )
    for field, key in TEXTS.items():
        value = getattr(rest, field)
        expect(
            isinstance(value, str) and value == from_rest.get(key, ""),
            saw=f"{field} is {value!r} for the order that REST sends as\n{from_rest}",
            expected=f"{from_rest.get(key, '')!r}, as in REST",
            hint=f"{field} is node[{key!r}]; the rest of the bot compares with names, such as 'STATUS_ACTIVE'",
        )


def read_order(
    exercise: ModuleType, node: dict[str, Any], price_decimals: int = PRICE_DECIMALS, size_decimals: int = SIZE_DECIMALS
) -> Order:
    return call(
        exercise, "read_order", node, price_decimals, size_decimals, returns=Order, errors=(KeyError, ValueError), hint=hint_for_error
    )


def hint_for_error(error: Exception) -> str:
    return MISSING if isinstance(error, KeyError) else UNKNOWN


def check_human_numbers(exercise: ModuleType, node: dict[str, Any]) -> None:
    made = read_order(exercise, {**node, "price": "1234567", "size": "2500", "remaining": "1250"}, 5, 3)
    expect(
        (made.price, made.size, made.remaining_size) == (12.34567, 2.5, 1.25),
        saw=f"price 1234567 (5 places), size 2500 and remaining 1250 (3 places) became {made.price}, {made.size}, {made.remaining_size}",
        expected="12.34567, 2.5, 1.25",
        hint="prices and sizes have different decimal places: did you swap two of them?",
    )


def check_zeros(exercise: ModuleType, node: dict[str, Any]) -> None:
    """Compare an order in which every field that can be zero is zero, so that the stream sends little more than its id."""
    rest = {**{key: value for key, value in node.items() if key != "reason"}, **ZEROS}
    compare_order(exercise, rest, {key: value for key, value in rest.items() if value and key not in ZEROS}, UNSPECIFIED)
    report("a field that a stream leaves out is zero, and has the name of zero")


def check_unknown_number(exercise: ModuleType, node: dict[str, Any]) -> None:
    made = read_order(exercise, {**node, "status": 99})
    expect(
        isinstance(made.status, str) and "99" in made.status,
        saw=f"status 99, which this version does not know, became {made.status!r}",
        expected="text that contains the number, for example 'OrderStatus(99)'",
        hint=UNKNOWN,
    )
    report(f"an unknown status is shown as {made.status!r}")
