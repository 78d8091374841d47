"""The streams over real sockets: a store in a process of its own, a node that says what each test wants."""

from collections.abc import Iterator

import pytest

from tests.sandbox import Sandbox
from tests.support.frames import EMPTY_SNAPSHOT, FIRST_FRAMES, MARKET, MARKET_DATA, STREAMS, encode_frame, order_frame
from tests.support.processes import StoreProcess
from tests.support.scripted_node import BOT, Raw, ScriptedNode, recorded_frames, recorded_node


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        running.first_frames = dict(FIRST_FRAMES)
        yield running


@pytest.fixture
def store(node: ScriptedNode) -> Iterator[StoreProcess]:
    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, reconnect=1) as running:
        running.wait_for("READY")
        for stream in STREAMS:
            node.wait_for_connections(stream, 1)
        yield running


def test_accounts_orders_and_positions_are_subscribed_on_every_market() -> None:
    with Sandbox(block_time=0, seed=3, traders=False) as sandbox:
        market, other = sandbox.markets["future"], sandbox.markets["perpetual"]
        with StoreProcess(sandbox.ws_url, sandbox.node_url, market, sandbox.parties["a"], reconnect=1) as store:
            store.wait_for("READY")
            store.wait_until(lambda: sandbox.call(lambda box: sum(box.node.connections.values())) == 4)
            tick, price = next(
                (m.tick_size, m.mark_price) for m in sandbox.call(lambda box: list(box.chain.markets.values())) if m.id == other
            )
            submission = {"marketId": other, "side": "SIDE_BUY", "size": "3", "price": str(price - 7 * tick)}
            order = {**submission, "timeInForce": "TIME_IN_FORCE_GTC", "type": "TYPE_LIMIT"}
            sandbox.call(lambda box: box.chain.submit(box.parties["a"], {"orderSubmission": order}))
            sandbox.block(1)
            store.wait_until(lambda: [each["market_id"] for each in store.ask("get_orders")] == [other])
            store.wait_until(lambda: "ACCOUNT_TYPE_MARGIN" in {each["account_type"] for each in store.ask("get_accounts")})


def test_an_error_frame_is_reported_with_the_nodes_message_and_affects_no_other_stream(node: ScriptedNode, store: StoreProcess) -> None:
    node.send("orders", *recorded_frames("bad-orders"))
    store.wait_for("^stream orders: error from the node: InvalidArgument error: invalid party id: one or more market id is invalid$")
    node.send("markets/data", MARKET_DATA.replace("9990000", "9876543"))
    store.wait_until(lambda: store.ask("get_market_by_id", MARKET)["best_bid_price"] == 98.76543)


def test_prices_are_there_before_the_first_frame(node: ScriptedNode) -> None:
    node.first_frames["markets/data"] = []
    node.block = (372, int(node.rest[f"market/data/{MARKET}/latest"][1]["marketData"]["timestamp"]))
    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, reconnect=1) as store:
        store.wait_for("READY")
        latest = node.rest[f"market/data/{MARKET}/latest"][1]["marketData"]
        assert store.ask("get_market_by_id", MARKET)["best_bid_price"] == int(latest["bestBidPrice"]) / 10**5 > 0
        assert store.ask("seconds_since_update", MARKET) < 60


def test_a_fragmented_message_that_never_ends_is_a_reason_to_reconnect(node: ScriptedNode, store: StoreProcess) -> None:
    def is_lost() -> bool:
        node.send("markets/data", MARKET_DATA)  # otherwise the silence of the market data would be noticed first
        return "stream orders: connection lost" in store.output

    node.send("orders", Raw(b"\x01\x01{"))
    store.wait_until(is_lost, timeout=2 * (5 + 1))
    store.wait_for(r"^stream orders: connection lost \(incomplete frame for 5 s\)")
    node.wait_for_connections("orders", 2)


@pytest.mark.parametrize("head", [b"\x81\x7f" + (2**40).to_bytes(8, "big"), b"\x01\x01{\x00\x7f" + (2**26).to_bytes(8, "big")])
def test_a_frame_that_is_too_large_is_a_reason_to_reconnect_at_once(node: ScriptedNode, store: StoreProcess, head: bytes) -> None:
    node.send("orders", Raw(head))
    store.wait_for(r"^stream orders: connection lost \(a frame of \d+ bytes is too large\)")  # not an incomplete frame
    node.wait_for_connections("orders", 2)


def test_market_data_that_the_node_rejects_is_reconnected_alone(node: ScriptedNode) -> None:
    node.first_frames["markets/data"] = [recorded_frames("bad-market")[0]]
    with StoreProcess(node.ws_url, node.rest_url, MARKET, BOT, reconnect=1):
        node.wait_for_connections("markets/data", 3, timeout=2 * (5 + 1 + 5 + 2))
        assert {stream: node.connections[stream] for stream in ("accounts", "orders", "positions")} == dict.fromkeys(
            ("accounts", "orders", "positions"), 1
        )


def test_an_unknown_path_is_reported_with_the_nodes_message(node: ScriptedNode, store: StoreProcess) -> None:
    node.send("positions", *recorded_frames("bad-path"))
    store.wait_for("^stream positions: error from the node: Not Found$")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("{oops", "not JSON .*oops"),
        (b"\x01\x02", "not JSON .binary"),
        ("[" * 10_000, r"not JSON .*\[\[\["),
        ("[]", r"a frame of unknown shape: \[\]"),
        ('{"result": 7}', 'a frame of unknown shape: {"result": 7}'),
        ('{"result": {"updates": {"orders": 7}}}', "orders is not a list"),
        (order_frame(price="1e400"), "left out 1 of 1: parse_order"),
        (order_frame(price=None), "left out 1 of 1: parse_order"),
    ],
    ids=["truncated", "binary", "deep", "list", "number", "not a list", "1e400", "null"],
)
def test_a_bad_frame_is_reported_once_and_the_stream_continues(node: ScriptedNode, store: StoreProcess, frame: str, message: str) -> None:
    node.send("orders", frame, frame, order_frame(id="c" * 64))
    store.wait_for(f"^stream orders: {message}")
    store.wait_until(lambda: store.order_ids() == {"c" * 64})
    assert sum(line.startswith("stream orders") for line in store.lines) == 1
    assert node.connections["orders"] == 1


@pytest.mark.parametrize("behind", ["nothing", "a ping", "itself", "a good frame"])
@pytest.mark.parametrize(
    "raw",
    [b"\x81\x02\xff\xfe", b"\x83\x01x", b"\xf1\x01x", b"\x80\x01x", b"\x88\x02\x03\xe8"],
    ids=["bad UTF-8", "unknown opcode", "reserved bits", "continuation without a start", "close"],
)
def test_a_broken_websocket_frame_reconnects_that_stream_once(node: ScriptedNode, store: StoreProcess, raw: bytes, behind: str) -> None:
    frame = b"\x81%c" % len(EMPTY_SNAPSHOT) + EMPTY_SNAPSHOT.encode()
    node.send("orders", Raw(raw + {"nothing": b"", "a ping": b"\x89\x01x", "itself": raw, "a good frame": frame}[behind]))
    store.wait_for(r"^stream orders: connection lost \(")
    node.wait_for_connections("orders", 2)
    store.wait_for("^stream orders: reconnected$")
    assert dict(node.connections) == {"markets/data": 1, "accounts": 1, "orders": 2, "positions": 1}


@pytest.mark.parametrize("how", ["reset", "cut", "1000", "1001", "1011"])
def test_a_dropped_stream_is_reconnected_once(how: str) -> None:
    with Sandbox(block_time=0, seed=5, traders=False) as sandbox:
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        with StoreProcess(sandbox.ws_url, sandbox.node_url, market, party, reconnect=1) as store:
            store.wait_until(lambda: sandbox.call(lambda box: sum(box.node.connections.values())) == 4)
            sandbox.block(1)
            sandbox.drop_streams(how)
            for _ in STREAMS:
                store.wait_until(lambda: sandbox.call(lambda box: sum(box.node.connections.values())) == 8)
            sandbox.block(1)
            for stream in STREAMS:
                store.wait_for(f"^stream {stream}: reconnected$")
            assert set(sandbox.call(lambda box: box.node.connections).values()) == {2}


def test_a_connection_lost_between_two_pages_leaves_nothing_of_the_snapshot(node: ScriptedNode, store: StoreProcess) -> None:
    node.first_frames["orders"] = [order_frame("snapshot", id="1" * 64)]
    node.disconnect_after_first_frames.add("orders")
    node.send("orders", Raw(b"\x88\x02\x03\xe8"))
    node.wait_for_connections("orders", 2)
    store.wait_for(r"^stream orders: connection lost \(closed without a close frame\)")
    node.disconnect_after_first_frames.clear()
    node.first_frames["orders"] = [order_frame("snapshot", last=True, id="2" * 64)]
    found: set[str] = set()

    def has_orders() -> bool:
        found.update(store.order_ids())
        return bool(found)

    store.wait_until(has_orders)
    assert found == {"2" * 64}  # the first ones, because a later reconnect would repair the store


def test_an_incomplete_frame_does_not_block_the_other_streams(node: ScriptedNode, store: StoreProcess) -> None:
    frame = encode_frame(order_frame(id="f" * 64))
    node.send("orders", Raw(frame[:100]))
    node.send("markets/data", MARKET_DATA.replace("9990000", "9876543"))
    store.wait_until(lambda: store.ask("get_market_by_id", MARKET)["best_bid_price"] == 98.76543)
    node.send("orders", Raw(frame[100:]))
    store.wait_until(lambda: store.order_ids() == {"f" * 64})


def test_stop_ends_the_dispatch_from_another_thread(store: StoreProcess) -> None:
    store.stop_from_another_thread()
    store.wait_for("^ENDED$")
    assert store.finish() == 0
