"""Checks exercise 2: orders of every fate from a sandbox's REST and stream, then recorded ones, field by field."""

from typing import Any

from bot.models import Order
from tests.exercises.checking import call, expect, say
from tests.exercises.sandbox_helpers import order, orders_over_rest, send, stream_of
from tests.sandbox import Sandbox
from tests.support.http_replay import recorded_nodes, streamed_nodes

PRICE_DECIMALS, SIZE_DECIMALS = 5, 3  # of the sandbox's future and of the recorded markets
AMOUNTS = ("price", "size", "remaining_size")
TEXTS = {  # field of an Order -> what REST calls it
    "order_id": "id",
    "market_id": "marketId",
    "party_id": "partyId",
    "order_type": "type",
    "time_in_force": "timeInForce",
    "status": "status",
    "side": "side",
    "reason": "reason",
}
ZEROS = {  # what REST writes where a stream leaves the field out
    "size": "0",
    "remaining": "0",
    "type": "TYPE_UNSPECIFIED",
    "timeInForce": "TIME_IN_FORCE_UNSPECIFIED",
    "status": "STATUS_UNSPECIFIED",
    "side": "SIDE_UNSPECIFIED",
}
MISSING = "streams leave out what is zero, false or empty, and REST leaves out a reason where there is none: node.get(field, …)"
DIFFERS = f"turn numbers into names, names stay: bot/enums.py knows them. {MISSING}"
UNSPECIFIED = "what is left out is zero, and zero has a name too: enum_name(Side, 0) in bot/enums.py says which"
UNKNOWN = "an enum's class raises ValueError for a number it does not know: catch that, or see enum_name in bot/enums.py"

Nodes = dict[str, dict[str, Any]]  # by order id


def check(exercise: Any) -> None:
    from_rest, from_stream = sandbox_orders()
    compare(exercise, from_rest, from_stream, "the sandbox's")
    recorded = {node["id"]: node for node in recorded_nodes("bot-end-orders", "orders")}
    compare(exercise, recorded, {node["id"]: node for node in streamed_nodes("all-bot-orders", "orders")}, "the recorded")
    check_human_numbers(exercise, next(iter(from_rest.values())))
    check_zeros(exercise, next(iter(from_rest.values())))
    check_unknown_number(exercise, next(iter(from_stream.values())))


def sandbox_orders() -> tuple[Nodes, Nodes]:
    """Make orders that rest, are partly filled, filled, cancelled, stopped and rejected; return them from both sides."""
    with Sandbox(block_time=0, traders=False, seed=2) as sandbox, stream_of(sandbox, "orders") as stream:
        stream.next()  # the snapshot: there are none yet
        market_id = sandbox.markets["future"]
        send(sandbox, "a", orderSubmission=order(market_id, "SELL", 1500, 10_100_000))
        sell = order(market_id, "SELL", 2000, 10_200_000)
        cancelled = order(market_id, "SELL", 300, 10_300_000)
        stopped = order(market_id, "BUY", 400, 10_100_000, postOnly=True)
        too_large = order(market_id, "BUY", 10**15, 9_000_000)
        batch = {"submissions": [order(market_id, "BUY", 700, 9_900_000), sell, cancelled, stopped, too_large]}
        send(sandbox, "bot", batchMarketInstructions=batch)
        sandbox.block()
        first = stream.next()["updates"]["orders"]
        dead = next(node["id"] for node in orders_over_rest(sandbox) if node["size"] == "300")
        send(sandbox, "bot", orderCancellation={"marketId": market_id, "orderId": dead})
        send(sandbox, "bot", orderSubmission=order(market_id, "BUY", 500))  # at any price: filled at once
        send(sandbox, "b", orderSubmission=order(market_id, "BUY", 1800))  # takes the last of a's, and some of the bot's
        sandbox.block()
        second = stream.next()["updates"]["orders"]
        rest = {node["id"]: node for node in orders_over_rest(sandbox, live=False)}
    return rest, {node["id"]: node for node in [*first, *second]}


def compare(exercise: Any, from_rest: Nodes, from_stream: Nodes, whose: str) -> None:
    common = [order_id for order_id in from_rest if order_id in from_stream]
    for order_id in common:
        compare_order(exercise, from_rest[order_id], from_stream[order_id])
    fates = ", ".join(sorted({from_rest[order_id]["status"].removeprefix("STATUS_").lower() for order_id in common}))
    say(f"{len(common)} of {whose} orders are the same from both sides: {fates}")


def compare_order(exercise: Any, from_rest: dict[str, Any], from_stream: dict[str, Any], hint: str = DIFFERS) -> None:
    """Compare what was read of an order from both sides, and with what REST says."""
    rest, streamed = read_order(exercise, from_rest), read_order(exercise, from_stream)
    for field in (*TEXTS, *AMOUNTS):
        expect(
            getattr(rest, field) == getattr(streamed, field),
            saw=f"{field} is {getattr(rest, field)!r} from REST and {getattr(streamed, field)!r} from the stream, which shows the order as"
            f"\n{from_stream}",
            expected="the same from both",
            hint=hint,
        )
    for field, key in TEXTS.items():
        value = getattr(rest, field)
        expect(
            isinstance(value, str) and value == from_rest.get(key, ""),
            saw=f"{field} is {value!r} for the order that REST shows as\n{from_rest}",
            expected=f"{from_rest.get(key, '')!r}, as REST has it",
            hint=f"{field} is node[{key!r}]; the rest of the bot compares with names, such as 'STATUS_ACTIVE'",
        )


def read_order(exercise: Any, node: dict[str, Any], price_decimals: int = PRICE_DECIMALS, size_decimals: int = SIZE_DECIMALS) -> Order:
    made: Order = call(
        exercise, "read_order", node, price_decimals, size_decimals, gives=Order, errors=(KeyError, ValueError), hint=hint_for_error
    )
    return made


def hint_for_error(error: Exception) -> str:
    return MISSING if isinstance(error, KeyError) else UNKNOWN


def check_human_numbers(exercise: Any, node: dict[str, Any]) -> None:
    made = read_order(exercise, {**node, "price": "1234567", "size": "2500", "remaining": "1250"}, 5, 3)
    expect(
        (made.price, made.size, made.remaining_size) == (12.34567, 2.5, 1.25),
        saw=f"price 1234567 (5 places), size 2500 and remaining 1250 (3 places) became {made.price}, {made.size}, {made.remaining_size}",
        expected="12.34567, 2.5, 1.25",
        hint="sizes and prices have different decimal places: is a pair of arguments swapped?",
    )


def check_zeros(exercise: Any, node: dict[str, Any]) -> None:
    """Compare an order in which all is zero that can be, so that a stream says nothing but whose it is."""
    rest = {**{key: value for key, value in node.items() if key != "reason"}, **ZEROS}
    compare_order(exercise, rest, {key: value for key, value in rest.items() if value and key not in ZEROS}, UNSPECIFIED)
    say("what a stream leaves out is zero, and has the name that zero has")


def check_unknown_number(exercise: Any, node: dict[str, Any]) -> None:
    made = read_order(exercise, {**node, "status": 99})
    expect(
        isinstance(made.status, str) and "99" in made.status,
        saw=f"status 99, which no version of today knows, became {made.status!r}",
        expected="text that shows the number, for example 'OrderStatus(99)'",
        hint=UNKNOWN,
    )
    say(f"a status from the future is shown as {made.status!r}")
