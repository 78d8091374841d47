"""Checks exercise 6: connections to a sandbox break, one of them in the middle of its snapshot, and orders die meanwhile."""

from typing import Any

import bot.vega_api_client as api
from tests.exercises.checking import call, expect, say
from tests.exercises.sandbox_helpers import order, orders_over_rest, send, stream_of
from tests.sandbox import Sandbox

REPLACE = "what is not in a snapshot is gone: the last page replaces the records, it does not add to them"
HALF = "half a snapshot that never came to its end belongs to a connection that is no more: opened() is where to forget it"
KEYS = ("orders", "positions", "accounts", "lastPage", "status", "marketId")
LEFT_OUT = "streams leave out empty lists, and what is zero or false: body.get(self._kind, []), body.get('lastPage')"
GONE = "what dies may be unknown to you: dict.pop(key, None) removes what may not be there"
EMPTIED = "the last page puts in place what all pages brought: is that very dict emptied afterwards?"
OLD = "until the last page is in, go on showing what was known: old is better than half, or nothing"


def check(exercise: Any) -> None:
    with Sandbox(block_time=0, traders=False, seed=6) as sandbox:
        mirror = call(exercise, "Mirror", "orders")
        check_first_connection(mirror, sandbox)
        check_broken_snapshot(mirror, sandbox)
        check_third_connection(mirror, sandbox)
        check_accounts(exercise, sandbox)
    check_by_hand(exercise)


def check_first_connection(mirror: Any, sandbox: Sandbox) -> None:
    """All goes well, until the stream is dropped; then three orders die, unheard."""
    for first, last in ((0, 30), (30, 55)):  # the network takes 30 instructions in a batch at most
        submissions = [order(sandbox.markets["future"], "BUY", 100, 9_000_000 + place) for place in range(first, last)]
        send(sandbox, "bot", batchMarketInstructions={"submissions": submissions})
    sandbox.block()
    with stream_of(sandbox, "orders") as stream:
        call(mirror, "opened")
        take(mirror, stream.next())
        take(mirror, stream.next())
        compare(mirror, sandbox, "a first connection with a snapshot of two pages", REPLACE)
        cancel(sandbox, 2)
        take(mirror, stream.next())
        compare(mirror, sandbox, "an update with two cancelled orders", REPLACE)
        sandbox.drop_streams("cut")
    say("the first connection: 55 orders in a snapshot, two of them cancelled; then the stream is cut")


def check_broken_snapshot(mirror: Any, sandbox: Sandbox) -> None:
    cancel(sandbox, 1)
    known = set(records_of(mirror))
    with stream_of(sandbox, "orders") as stream:
        call(mirror, "opened")
        take(mirror, stream.next())  # 50 of 52, and the connection is lost
    expect(
        set(records_of(mirror)) == known,
        saw=f"{len(records_of(mirror))} orders after the first page of a new snapshot",
        expected=f"the {len(known)} that were known before",
        hint=OLD,
    )
    say("the second connection breaks after the first page of its snapshot: what was known stays")


def check_third_connection(mirror: Any, sandbox: Sandbox) -> None:
    cancel(sandbox, 10)
    with stream_of(sandbox, "orders") as stream:
        call(mirror, "opened")
        take(mirror, stream.next())
        compare(
            mirror, sandbox, "a third connection; 11 had died unheard, 10 of them since a snapshot that broke off", f"{REPLACE}; and {HALF}"
        )
        sandbox.drop_streams("reset")
        cancel(sandbox, 1)
    with stream_of(sandbox, "orders") as stream:
        call(mirror, "opened")
        take(mirror, stream.next())
        compare(mirror, sandbox, "a fourth connection; one more order had died", f"{REPLACE}; the pages of a finished snapshot go, too")
    say("the third and the fourth connection: what died while nobody listened is forgotten")


def cancel(sandbox: Sandbox, count: int) -> None:
    """Let the newest orders of the bot die."""
    market_id = sandbox.markets["future"]
    ids = [node["id"] for node in orders_over_rest(sandbox)][:count]
    cancellations = [{"marketId": market_id, "orderId": order_id} for order_id in ids]
    send(sandbox, "bot", batchMarketInstructions={"cancellations": cancellations})
    sandbox.block()


def check_accounts(exercise: Any, sandbox: Sandbox) -> None:
    mirror = call(exercise, "Mirror", "accounts")
    for _ in range(2):
        with stream_of(sandbox, "accounts") as stream:
            call(mirror, "opened")
            take(mirror, stream.next())
            cancel(sandbox, 5)
            send(sandbox, "bot", orderSubmission=order(sandbox.markets["perpetual"], "BUY", 3, 180_000))
            sandbox.block()
            take(mirror, stream.next())
    nodes = api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)
    held = sorted(int(node["balance"]) for node in records_of(mirror).values())
    expect(
        held == sorted(int(node["balance"]) for node in nodes),
        saw=f"accounts with {held}",
        expected=f"{sorted(int(node['balance']) for node in nodes)}, as REST says",
        hint="updates change single records and leave all others alone",
    )
    say(f"{len(held)} accounts over two connections: every balance is REST's")


def check_by_hand(exercise: Any) -> None:
    mirror = call(exercise, "Mirror", "positions")
    expect(records_of(mirror) == {}, saw=f"{records_of(mirror)} before any frame", expected="nothing", hint="each Mirror has its own dict")
    call(mirror, "opened")
    take(mirror, {"snapshot": {"positions": [{"marketId": "m1", "openVolume": "5"}, {"marketId": "m2"}], "lastPage": True}})
    take(mirror, {"updates": {"positions": [{"marketId": "m3", "openVolume": "-7"}]}})
    call(mirror, "opened")
    before = set(records_of(mirror))
    take(mirror, {"snapshot": {"lastPage": True}})
    expect(before == {"m1", "m2", "m3"}, saw=f"positions on {sorted(before)} after opened()", expected="on m1, m2, m3, as before", hint=OLD)
    expect(records_of(mirror) == {}, saw=f"{records_of(mirror)} after an empty snapshot", expected="nothing", hint=REPLACE)
    say("an empty snapshot means that there is nothing")


def take(mirror: Any, result: dict[str, Any]) -> None:
    call(mirror, "take", result, errors=(KeyError,), hint=lambda error: LEFT_OUT if error.args[0] in KEYS else GONE)


def records_of(mirror: Any) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = call(mirror, "records", gives=dict)
    return records


def compare(mirror: Any, sandbox: Sandbox, when: str, hint: str) -> None:
    held, live = set(records_of(mirror)), {node["id"] for node in orders_over_rest(sandbox)}
    expect(
        held == live,
        saw=f"{len(held)} orders after {when}: {len(held - live)} that are dead, {len(live - held)} missing",
        expected=f"the {len(live)} that REST has",
        hint=hint if held - live else EMPTIED,
    )
