"""Frames that a healthy node never sends, over real sockets. Broken WebSocket frames are in tests/bot/test_vega_ws_client.py."""

import contextlib
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.frames import FIRST_FRAMES, MARKET, STREAMS, market_data_frame, order_frame
from tests.support.processes import StoreProcess
from tests.support.scripted_node import BOT, ScriptedNode, recorded_frames, recorded_node

MANY = 10_000  # entries of a list, 2.5 MB
MAX_DELAY = 4  # s; a lookup may take one, without that limit it takes more than twenty
CANCELLED = 3  # number of STATUS_CANCELLED
UNKNOWN = "7" * 64
ACCOUNT = {"owner": BOT, "balance": "23", "asset": UNKNOWN, "type": 4}
ORDER = json.loads(order_frame())["result"]["updates"]["orders"][0]
TOO_MANY = '{"error":{"code":8,"message":"client reached max subscription allowed"}}'


@contextlib.contextmanager
def ticking_node() -> Iterator[ScriptedNode]:
    """A node that sends market data twice a second, so that the stream is never silent."""
    done = threading.Event()
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)

        def tick() -> None:
            while not done.wait(0.5):
                with contextlib.suppress(KeyError, ConnectionError):  # no stream is connected
                    running.send("markets/data", market_data_frame(time.time_ns()))

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield running
        finally:
            done.set()
            thread.join()


@pytest.fixture(scope="module")
def node() -> Iterator[ScriptedNode]:
    with ticking_node() as running:
        yield running


@pytest.fixture
def own_node() -> Iterator[ScriptedNode]:
    with ticking_node() as running:
        yield running


@pytest.fixture(scope="module")
def store(node: ScriptedNode) -> Iterator[StoreProcess]:
    """One store for all frames that do not change its state."""
    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, reconnect=0.5) as running:
        running.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
        yield running


def list_frame(nodes: list[Any]) -> str:
    return json.dumps({"result": {"updates": {"orders": nodes}}})


def order(number: int, **changes: Any) -> dict[str, Any]:
    return {**ORDER, "id": f"{number:064x}", **changes}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("x" * 4_000_000, r"not JSON \(.*\): 'xxx"),
        ('{"result": {"updates": {"orders": ["' + "y" * 4_000_000 + '"]}}}', "left out 1 of 1: .*yyy"),
        ('{"result": ' * 10_000 + "7" + "}" * 10_000, "not JSON|a frame of unknown shape|neither a snapshot nor updates"),
        (list_frame([7] * MANY), f"left out {MANY} of {MANY}: "),
        (list_frame([{"marketId": MARKET, "partyId": BOT}]), "left out 1 of 1: parse_order: 'id' is missing"),
        (order_frame(size=[1]), r"left out 1 of 1: parse_order: \[1\] is not an integer"),
        (order_frame().replace('"9990001"', "NaN"), "left out 1 of 1: parse_order: NaN is not an integer"),
        (order_frame().replace('"9990001"', "1e400"), "left out 1 of 1: parse_order: Infinity is not an integer"),
        (order_frame(status=True), "left out 1 of 1: parse_order: true is not a value of OrderStatus"),
        ('{"result": {"snapshot": 7}}', "neither a snapshot nor updates"),
        ("null", "a frame of unknown shape: null"),
    ],
    ids=["4 MB", "4 MB in a list", "nested dicts", "numbers", "keys", "type", "NaN", "1e400", "bool", "no snapshot", "null"],
)
def test_a_bad_frame_is_logged_in_one_short_line_and_changes_nothing(
    node: ScriptedNode, store: StoreProcess, frame: str, message: str
) -> None:
    line, connections = len(store.lines), dict(node.connections)
    held, next_id = store.order_ids(), secrets.token_hex(32)
    node.send("orders", frame, frame, order_frame(id=next_id))
    store.wait_for(f"^stream orders: {message}", after=line)
    store.wait_until(lambda: store.order_ids() == held | {next_id})
    logged = [text for text in store.lines[line:] if text.startswith("stream ")]
    assert len(logged) == 1
    assert len(logged[0]) < 600
    assert dict(node.connections) == connections


def test_a_bad_entry_does_not_affect_the_other_entries_of_its_list(node: ScriptedNode, store: StoreProcess) -> None:
    node.send("orders", list_frame([*(order(number) for number in range(1, MANY)), order(MANY, price="1e400")]))
    store.wait_for(f"^stream orders: left out 1 of {MANY}: ")
    store.wait_until(lambda: store.ask("get_order_by_id", f"{MANY - 1:064x}") is not None)
    assert store.ask("get_order_by_id", f"{1:064x}") is not None
    assert store.ask("get_order_by_id", f"{MANY:064x}") is None
    node.send("orders", list_frame([order(number, status=CANCELLED) for number in range(1, MANY)]))
    store.wait_until(lambda: store.ask("get_order_by_id", f"{MANY - 1:064x}") is None)


def count_market_lookups(node: ScriptedNode) -> int:
    """Count look-ups only: the store's other requests, for the market's terms, come when it has time."""
    return sum(count for path, count in node.rest_calls.items() if path.startswith("market/") and not path.startswith(f"market/{MARKET}"))


def test_a_list_of_unknown_markets_causes_one_lookup_in_two_seconds(node: ScriptedNode, store: StoreProcess) -> None:
    line, began, lookups = len(store.lines), time.monotonic(), count_market_lookups(node)
    frame = list_frame([order(number, marketId=f"{number % 500:064x}") for number in range(MANY)])
    held = store.order_ids()
    node.send("orders", frame, order_frame(id="c" * 64))
    store.wait_for(f"^stream orders: left out {MANY} of {MANY}: 0{{64}} is unknown: GET market/0{{64}}: HTTP 404", after=line)
    store.wait_until(lambda: store.order_ids() == held | {"c" * 64})
    assert count_market_lookups(node) - lookups <= 1 + (time.monotonic() - began) / 2


def test_an_order_with_a_status_that_only_a_newer_node_knows_is_not_live(node: ScriptedNode, store: StoreProcess) -> None:
    line, held = len(store.lines), store.order_ids()
    node.send("orders", *[list_frame([order(1), order(2, status=42)])] * 2, list_frame([order(3, side=9)]))
    store.wait_until(lambda: f"{3:064x}" in store.order_ids())
    assert store.order_ids() - held == {f"{number:064x}" for number in (1, 3)}
    assert store.ask("get_order_by_id", f"{3:064x}")["side"] == "Side(9)"
    logged = [text for text in store.lines[line:] if not text.startswith("ANSWER ")]
    assert logged == [f"the node sent {value}, which this version does not know" for value in ("OrderStatus(42)", "Side(9)")]  # once


def test_repeated_errors_are_logged_once_and_retried_with_backoff_while_the_other_streams_go_on(own_node: ScriptedNode) -> None:
    own_node.first_frames["orders"] = list(recorded_frames("bad-orders"))
    own_node.first_frames["positions"] = [TOO_MANY]
    own_node.disconnect_after_first_frames = {"orders", "positions"}
    with FaultProxy(own_node.rest_url) as proxy, StoreProcess(proxy.ws_url, own_node.rest_url, MARKET, BOT, reconnect=0.5) as store:
        for stream in ("orders", "positions"):
            times = proxy.wait_for_connections(stream, 5)
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            for gap, expected in zip(gaps, (0.5, 1, 2, 4), strict=True):
                assert expected <= gap < 2 * expected + 2  # the child shares its cores with others
        assert [proxy.connection_counts()[stream] for stream in ("markets/data", "accounts")] == [1, 1]
        assert store.ask("seconds_since_update", MARKET) < 5
        logged = [line for line in store.lines if "error from the node" in line]
        assert sorted(logged) == [
            "stream orders: error from the node: InvalidArgument error: invalid party id: one or more market id is invalid",
            "stream positions: error from the node: client reached max subscription allowed",
        ]
        assert sum(line.startswith("stream ") for line in store.lines) == 4  # per stream: the error, and the lost connection


@pytest.mark.parametrize("fault", ["freeze", "trickle"])
def test_an_unknown_asset_delays_the_streams_by_a_second_at_most_when_rest_hangs(own_node: ScriptedNode, fault: str) -> None:
    with FaultProxy(own_node.rest_url) as proxy, StoreProcess(own_node.ws_url, proxy.rest_url, MARKET, BOT) as store:
        store.wait_for("READY")
        store.wait_until(lambda: store.ask("get_accounts") == [])  # the stream's snapshot is empty
        proxy.set_mode(fault, "rest")
        assert seconds_of_delay(own_node, store) < MAX_DELAY
        store.wait_for(f"^stream accounts: left out 1 of 1: {UNKNOWN} is unknown: ")


class EndlessPages(dict[str, Any]):
    """REST responses where the list of assets never ends: each page has a new cursor."""

    cursors = itertools.count()

    def get(self, path: str, default: Any = None) -> Any:
        if not path.startswith("assets"):
            return super().get(path, default)
        time.sleep(0.05)
        page = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": str(next(self.cursors))}}
        return 200, {"assets": page}


def test_an_unknown_asset_delays_the_streams_by_a_second_at_most_when_the_pages_never_end(own_node: ScriptedNode) -> None:
    with StoreProcess(own_node.ws_url, own_node.rest_url, MARKET, BOT) as store:
        store.wait_until(lambda: store.ask("get_accounts") == [])
        own_node.rest = EndlessPages(own_node.rest)
        assert seconds_of_delay(own_node, store) < MAX_DELAY


def seconds_of_delay(node: ScriptedNode, store: StoreProcess) -> float:
    """Send a frame that needs a lookup and one after it; return the seconds until the second one is processed."""
    began = time.monotonic()
    node.send("accounts", json.dumps({"result": {"updates": {"accounts": [ACCOUNT]}}}))
    node.send("accounts", json.dumps({"result": {"updates": {"accounts": [{**ACCOUNT, "asset": "no id"}]}}}))
    store.wait_for("^stream accounts: left out 1 of 1: .*no id")
    return time.monotonic() - began
