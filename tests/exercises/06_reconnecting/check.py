"""Checks exercise 6: connections to a sandbox break, one of them in the middle of its snapshot, and orders are closed meanwhile."""

from types import ModuleType
from typing import Any

import bot.vega_api_client as api
from tests.exercises.checking import call, expect, report
from tests.exercises.sandbox_helpers import get_orders, open_stream, order_json, send_transaction
from tests.sandbox import Sandbox

REPLACE = "a record that is not in a snapshot is gone: the last page replaces the records, it does not add to them"
HALF = "a snapshot that did not reach its last page belongs to a broken connection: forget its pages in on_connect()"
KEYS = ("orders", "positions", "accounts", "lastPage", "status", "marketId")
LEFT_OUT = "streams leave out empty lists, and what is zero or false: body.get(self._kind, []), body.get('lastPage')"
UNKNOWN = "you may not know the record that is closed: dict.pop(key, None) removes a key that may be missing"
EMPTIED = "the last page makes all collected pages the records: do you empty that same dict afterwards?"
OLD = "until the last page has arrived, return the old records: they are better than half of the new ones, or none"


def check(exercise: ModuleType) -> None:
    with Sandbox(block_time=0, traders=False, seed=6) as sandbox:
        copy = call(exercise, "StreamCopy", "orders")
        check_first_connection(copy, sandbox)
        check_broken_snapshot(copy, sandbox)
        check_third_connection(copy, sandbox)
        check_accounts(exercise, sandbox)
    check_by_hand(exercise)


def check_first_connection(copy: object, sandbox: Sandbox) -> None:
    """Everything works until the stream is dropped."""
    for first, last in ((0, 30), (30, 55)):  # the network accepts up to 30 instructions in a batch
        submissions = [order_json(sandbox.markets["future"], "BUY", 100, 9_000_000 + number) for number in range(first, last)]
        send_transaction(sandbox, "bot", batchMarketInstructions={"submissions": submissions})
    sandbox.block()
    with open_stream(sandbox, "orders") as stream:
        call(copy, "on_connect")
        send_frame(copy, stream.receive())
        count = len(records_of(copy))
        expect(count == 0, saw=f"{count} orders after the first of two pages", expected="none, as before", hint=OLD)
        send_frame(copy, stream.receive())
        compare(copy, sandbox, "a first connection with a snapshot of two pages", REPLACE)
        cancel(sandbox, 2)
        send_frame(copy, stream.receive())
        compare(copy, sandbox, "an update with two cancelled orders", REPLACE)
        sandbox.drop_streams("cut")
    report("first connection: a snapshot of 55 orders, then two of them cancelled; then the connection is lost")


def check_broken_snapshot(copy: object, sandbox: Sandbox) -> None:
    cancel(sandbox, 1)
    known = set(records_of(copy))
    with open_stream(sandbox, "orders") as stream:
        call(copy, "on_connect")
        send_frame(copy, stream.receive())  # 50 orders of 52, then the connection ends
    expect(
        set(records_of(copy)) == known,
        saw=f"{len(records_of(copy))} orders after the first page of a new snapshot",
        expected=f"the {len(known)} that were known before",
        hint=OLD,
    )
    report("second connection: lost after the first page of its snapshot; the old records stay")


def check_third_connection(copy: object, sandbox: Sandbox) -> None:
    cancel(sandbox, 10)
    with open_stream(sandbox, "orders") as stream:
        call(copy, "on_connect")
        send_frame(copy, stream.receive())
        closed = "11 orders were closed while disconnected, 10 of them after the broken snapshot"
        compare(copy, sandbox, f"a third connection; {closed}", f"{REPLACE}; and {HALF}")
        sandbox.drop_streams("reset")
        cancel(sandbox, 1)
    with open_stream(sandbox, "orders") as stream:
        call(copy, "on_connect")
        send_frame(copy, stream.receive())
        hint = f"{REPLACE}; forget the pages of a complete snapshot, too"
        compare(copy, sandbox, "a fourth connection; one more order was closed while disconnected", hint)
    report("third and fourth connection: orders that were closed while disconnected are gone")


def cancel(sandbox: Sandbox, count: int) -> None:
    """Cancel the bot's newest orders."""
    market_id = sandbox.markets["future"]
    ids = [node["id"] for node in get_orders(sandbox)][:count]
    cancellations = [{"marketId": market_id, "orderId": order_id} for order_id in ids]
    send_transaction(sandbox, "bot", batchMarketInstructions={"cancellations": cancellations})
    sandbox.block()


def check_accounts(exercise: ModuleType, sandbox: Sandbox) -> None:
    copy = call(exercise, "StreamCopy", "accounts")
    for _ in range(2):
        with open_stream(sandbox, "accounts") as stream:
            call(copy, "on_connect")
            send_frame(copy, stream.receive())
            cancel(sandbox, 5)
            send_transaction(sandbox, "bot", orderSubmission=order_json(sandbox.markets["perpetual"], "BUY", 3, 180_000))
            sandbox.block()
            send_frame(copy, stream.receive())
    nodes = api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)
    expected = sorted(int(node["balance"]) for node in nodes)
    balances = sorted(int(node["balance"]) for node in records_of(copy).values())
    expect(
        balances == expected,
        saw=f"accounts with {balances}",
        expected=f"{expected}, as in REST",
        hint="an update changes single records and leaves all others as they are",
    )
    report(f"{len(balances)} accounts over two connections: every balance is that of REST")


def check_by_hand(exercise: ModuleType) -> None:
    copy = call(exercise, "StreamCopy", "positions")
    first = records_of(copy)
    expect(first == {}, saw=f"{first} before any frame", expected="no records", hint="each StreamCopy needs a dict of its own")
    call(copy, "on_connect")
    send_frame(copy, {"snapshot": {"positions": [{"marketId": "m1", "openVolume": "5"}, {"marketId": "m2"}], "lastPage": True}})
    send_frame(copy, {"updates": {"positions": [{"marketId": "m3", "openVolume": "-7"}]}})
    call(copy, "on_connect")
    before = set(records_of(copy))
    send_frame(copy, {"snapshot": {"lastPage": True}})
    after = records_of(copy)
    expect(
        before == {"m1", "m2", "m3"}, saw=f"positions on {sorted(before)} after on_connect()", expected="on m1, m2, m3, as before", hint=OLD
    )
    expect(after == {}, saw=f"{after} after an empty snapshot", expected="no records", hint=REPLACE)
    report("an empty snapshot means that there are no records")


def send_frame(copy: object, result: dict[str, Any]) -> None:
    call(copy, "on_frame", result, errors=(KeyError,), hint=lambda error: LEFT_OUT if error.args[0] in KEYS else UNKNOWN)


def records_of(copy: object) -> dict[str, dict[str, Any]]:
    return call(copy, "records", returns=dict)


def compare(copy: object, sandbox: Sandbox, when: str, hint: str) -> None:
    known, expected = set(records_of(copy)), {node["id"] for node in get_orders(sandbox)}
    closed, missing = len(known - expected), len(expected - known)
    expect(
        known == expected,
        saw=f"{len(known)} orders after {when}: {closed} of them are closed, {missing} are missing",
        expected=f"the {len(expected)} open orders that REST shows",
        hint=hint if closed else EMPTIED,
    )
