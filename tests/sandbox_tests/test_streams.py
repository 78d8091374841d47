"""Guarantees of the sandbox's data node beyond the format of messages: order, completeness, paging, and the end of connections."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.support.chain_network import markets_without_minimum
from tests.support.stream_clients import stream_opener
from tests.support.waiting import wait_until

ENUMS = {"SIDE_BUY": 1, "STATUS_ACTIVE": 1, "STATUS_CANCELLED": 3, "TIME_IN_FORCE_GTC": 1, "TYPE_LIMIT": 1}

Subscribe = Callable[..., websocket.WebSocket]
MARKET_ORDER = {"size": "1", "side": "SIDE_SELL", "timeInForce": "TIME_IN_FORCE_IOC", "type": "TYPE_MARKET"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=11, traders=False, markets=markets_without_minimum()) as sandbox:
        yield sandbox


@pytest.fixture
def subscribe(sandbox: Sandbox) -> Iterator[Subscribe]:
    """Opens streams, with parameters by name, and closes them at the end of the test."""
    with stream_opener(sandbox) as open_stream:

        def open_with(stream: str, **parameters: str) -> websocket.WebSocket:
            query = "&".join(f"{name}={value}" for name, value in parameters.items())
            return open_stream(f"{stream}?{query}")

        yield open_with


def bids(sandbox: Sandbox, count: int, product: str = "future") -> None:
    """Queue resting orders of party a, far below the market, in batches of at most 30, for the next block."""
    market = sandbox.call(lambda inside: inside.chain.markets[sandbox.markets[product]])
    orders = [
        {
            "marketId": market.id,
            "price": str(market.mark_price - (count + 500) * market.tick_size),
            "size": str(number + 1),
            "side": "SIDE_BUY",
            "timeInForce": "TIME_IN_FORCE_GTC",
            "type": "TYPE_LIMIT",
        }
        for number in range(count)
    ]
    for start in range(0, count, 30):
        submit(sandbox, {"batchMarketInstructions": {"submissions": orders[start : start + 30]}})


def submit(sandbox: Sandbox, transaction: dict[str, Any], party: str = "a") -> None:
    sandbox.call(lambda inside: inside.chain.submit(sandbox.parties[party], transaction))


def raw_socket(client: websocket.WebSocket) -> socket.socket:
    assert client.sock
    return client.sock


def frames_so_far(client: websocket.WebSocket) -> list[Any]:
    """Return the frames sent so far: those received before the pong."""
    client.ping("until here")
    frames = []
    while (frame := client.recv_data(control_frame=True))[0] == websocket.ABNF.OPCODE_TEXT:
        frames.append(json.loads(frame[1])["result"])
    assert frame == (websocket.ABNF.OPCODE_PONG, b"until here")
    return frames


def get_orders(sandbox: Sandbox, **parameters: Any) -> tuple[list[str], dict[str, Any]]:
    query = {"filter.partyIds": sandbox.parties["a"], **{name.replace("_", "."): value for name, value in parameters.items()}}
    orders = requests.get(f"{sandbox.node_url}/orders", params=query, timeout=30).json()["orders"]
    return [edge["node"]["size"] for edge in orders["edges"]], orders["pageInfo"]


def test_pages_neither_miss_nor_repeat_orders_while_new_ones_arrive(sandbox: Sandbox) -> None:
    bids(sandbox, 7)
    sandbox.block()
    seen, page = get_orders(sandbox, pagination_first=3)
    assert not page["hasPreviousPage"]
    while page["hasNextPage"]:
        bids(sandbox, 2)
        sandbox.block()
        more, page = get_orders(sandbox, pagination_first=3, pagination_after=page["endCursor"])
        assert page["hasPreviousPage"]
        seen += more
    assert sorted(seen) == ["1", "2", "3", "4", "5", "6", "7"]


def test_a_page_has_a_thousand_records_by_default(sandbox: Sandbox) -> None:
    bids(sandbox, 1001)
    sandbox.block()
    sizes, page = get_orders(sandbox)
    assert (len(sizes), page["hasNextPage"]) == (1000, True)
    sizes, page = get_orders(sandbox, pagination_first=5000)
    assert (len(sizes), page["hasNextPage"]) == (1001, False)


@pytest.mark.parametrize("size", ["5001", "-1"])
def test_other_page_sizes_are_rejected(sandbox: Sandbox, size: str) -> None:
    answer = requests.get(f"{sandbox.node_url}/markets", params={"pagination.first": size}, timeout=30)
    assert (answer.status_code, answer.json()["details"][0]["inner"]) == (400, "pagination limit must be in range 0-5000")


def test_filters_select_by_market_and_party(sandbox: Sandbox) -> None:
    bids(sandbox, 2)
    bids(sandbox, 3, "perpetual")
    sandbox.block()
    submit(sandbox, {"batchMarketInstructions": {"cancellations": [{"marketId": sandbox.markets["future"]}]}})
    sandbox.block()
    assert sorted(get_orders(sandbox)[0]) == ["1", "1", "2", "2", "3"]
    assert sorted(get_orders(sandbox, filter_liveOnly="true")[0]) == ["1", "2", "3"]
    assert sorted(get_orders(sandbox, filter_marketIds=sandbox.markets["future"])[0]) == ["1", "2"]
    assert get_orders(sandbox, filter_partyIds=sandbox.parties["b"])[0] == []


def test_parameters_may_have_protobuf_names(sandbox: Sandbox, subscribe: Subscribe) -> None:
    bids(sandbox, 2)
    sandbox.block()
    query = {"filter.party_ids": sandbox.parties["b"], "filter.live_only": "true"}
    assert requests.get(f"{sandbox.node_url}/orders", query, timeout=30).json()["orders"]["edges"] == []
    assert frames_so_far(subscribe("orders", party_ids=sandbox.parties["b"])) == [{"snapshot": {"lastPage": True}}]


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, deflate", "gzip"), ("identity", None)])
def test_bodies_are_compressed_for_clients_that_accept_gzip(sandbox: Sandbox, accepted: str, encoding: str) -> None:
    with requests.get(f"{sandbox.node_url}/assets", headers={"Accept-Encoding": accepted}, stream=True, timeout=30) as answer:
        body = answer.raw.read()
    assert answer.headers.get("Content-Encoding") == encoding
    text = gzip.decompress(body) if encoding else body
    assert json.loads(text).keys() == {"assets"}


def test_snapshots_have_pages_of_fifty_and_only_the_last_has_last_page(sandbox: Sandbox, subscribe: Subscribe) -> None:
    bids(sandbox, 120)
    sandbox.block()
    snapshots = [frame["snapshot"] for frame in frames_so_far(subscribe("orders", partyIds=sandbox.parties["a"]))]
    assert [len(snapshot["orders"]) for snapshot in snapshots] == [50, 50, 20]
    assert [snapshot.get("lastPage") for snapshot in snapshots] == [None, None, True]
    assert len({order["id"] for snapshot in snapshots for order in snapshot["orders"]}) == 120


def test_a_block_that_changes_more_than_fifty_orders_spans_several_frames(sandbox: Sandbox, subscribe: Subscribe) -> None:
    client = subscribe("orders", partyIds=sandbox.parties["a"])
    assert frames_so_far(client) == [{"snapshot": {"lastPage": True}}]
    bids(sandbox, 70)
    sandbox.block()
    assert [len(frame["updates"]["orders"]) for frame in frames_so_far(client)] == [50, 20]


def test_a_snapshot_and_the_following_updates_are_consistent(sandbox: Sandbox, subscribe: Subscribe) -> None:
    bids(sandbox, 1)
    sandbox.block()
    bids(sandbox, 2)
    client = subscribe("orders", partyIds=sandbox.parties["a"])
    sandbox.block()
    snapshot, updates = frames_so_far(client)
    assert [order["size"] for order in snapshot["snapshot"]["orders"]] == ["1"]
    assert [order["size"] for order in updates["updates"]["orders"]] == ["1", "2"]


def test_streams_send_numbers_for_enums_and_leave_out_zeros(sandbox: Sandbox, subscribe: Subscribe) -> None:
    client = subscribe("orders", partyIds=sandbox.parties["a"])
    bids(sandbox, 1)
    sandbox.block()
    submit(sandbox, {"batchMarketInstructions": {"cancellations": [{"marketId": sandbox.markets["future"]}]}})
    sandbox.block()
    (edge,) = requests.get(f"{sandbox.node_url}/orders", timeout=30).json()["orders"]["edges"]
    rest = edge["node"]
    _, placed, cancelled = [frame.get("updates", {}).get("orders") for frame in frames_so_far(client)]
    assert (placed[0]["status"], "updatedAt" in placed[0]) == (ENUMS["STATUS_ACTIVE"], False)
    zeros = {"expiresAt": "0", "reference": "", "peggedOrder": None, "liquidityProvisionId": "", "postOnly": False, "reduceOnly": False}
    assert {field: rest[field] for field in zeros} == zeros
    assert cancelled == [{field: ENUMS.get(value, value) for field, value in rest.items() if field not in zeros}]


def test_zero_decimal_amounts_are_sent_and_zero_integers_are_not(sandbox: Sandbox, subscribe: Subscribe) -> None:
    client = subscribe("markets/data", marketIds=sandbox.markets["perpetual"])
    sandbox.block()
    ((data,),) = [frame["marketData"] for frame in frames_so_far(client)]
    assert {data[price] for price in ("bestBidPrice", "bestOfferPrice", "midPrice", "indicativePrice", "suppliedStake")} == {"0"}
    assert not {"bestBidVolume", "bestOfferVolume", "openInterest", "auctionStart", "trigger", "priceMonitoringBounds"} & data.keys()


def test_market_data_has_one_frame_per_block_with_every_requested_market(sandbox: Sandbox, subscribe: Subscribe) -> None:
    markets = [sandbox.markets["future"], sandbox.markets["spot"]]
    client = subscribe("markets/data", marketIds="&marketIds=".join(markets))
    sandbox.block(2)
    frames = [[data["market"] for data in frame["marketData"]] for frame in frames_so_far(client)]
    assert frames == [markets, markets]


def test_positions_of_one_market_have_no_snapshot_before_the_party_had_one(sandbox: Sandbox, subscribe: Subscribe) -> None:
    future = subscribe("positions", partyId=sandbox.parties["a"], marketId=sandbox.markets["future"])
    all_markets = subscribe("positions", partyId=sandbox.parties["a"])
    assert frames_so_far(future) == []
    assert frames_so_far(all_markets) == [{"snapshot": {"lastPage": True}}]
    bids(sandbox, 1)
    submit(sandbox, {"orderSubmission": {**MARKET_ORDER, "marketId": sandbox.markets["future"]}}, party="b")
    sandbox.block(5)
    (first, *_) = frames_so_far(future)
    assert first["updates"]["positions"][0]["openVolume"] == "1"
    again = subscribe("positions", partyId=sandbox.parties["a"], marketId=sandbox.markets["future"])
    (snapshot,) = frames_so_far(again)
    assert snapshot["snapshot"]["lastPage"]
    assert [position["marketId"] for position in snapshot["snapshot"]["positions"]] == [sandbox.markets["future"]]


def test_accounts_of_one_market_leave_out_the_general_account(sandbox: Sandbox, subscribe: Subscribe) -> None:
    future = subscribe("accounts", partyId=sandbox.parties["a"], marketId=sandbox.markets["future"])
    all_markets = subscribe("accounts", partyId=sandbox.parties["a"])
    bids(sandbox, 1)
    sandbox.block()
    empty, moved = frames_so_far(future)
    assert empty == {"snapshot": {"lastPage": True}}
    assert {(account["type"], account["parentPartyId"]) for account in moved["updates"]["accounts"]} == {(3, sandbox.parties["a"])}
    snapshot, moved = frames_so_far(all_markets)
    assert {(account["type"], "parentPartyId" in account) for account in snapshot["snapshot"]["accounts"]} == {(4, False)}
    assert {(account["type"], "marketId" in account) for account in moved["updates"]["accounts"]} == {(3, True), (4, False)}


@pytest.mark.parametrize("code", ["1000", "1001", "1011"])
def test_a_disconnect_can_send_a_close_frame(sandbox: Sandbox, subscribe: Subscribe, code: str) -> None:
    client = subscribe("markets/data", marketIds=sandbox.markets["future"])
    assert sandbox.drop_streams(code) == 1
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_CLOSE, int(code).to_bytes(2, "big"))


def test_a_cut_closes_one_stream_without_a_close_frame(sandbox: Sandbox, subscribe: Subscribe) -> None:
    orders = subscribe("orders", partyIds=sandbox.parties["a"])
    data = subscribe("markets/data", marketIds=sandbox.markets["future"])
    assert sandbox.drop_streams("cut", "markets/data") == 1
    assert raw_socket(data).recv(1) == b""
    assert frames_so_far(orders) == [{"snapshot": {"lastPage": True}}]
    assert sandbox.call(lambda inside: inside.node.open_connections) == {"orders": 1}
    assert sandbox.call(lambda inside: inside.node.connections) == {"orders": 1, "markets/data": 1}


def test_a_reset_sends_rst(sandbox: Sandbox, subscribe: Subscribe) -> None:
    data = subscribe("markets/data", marketIds=sandbox.markets["future"])
    assert sandbox.drop_streams("reset") == 1
    with pytest.raises(ConnectionResetError):
        raw_socket(data).recv(1)


def test_a_close_frame_is_not_answered_and_frames_are_still_sent(sandbox: Sandbox, subscribe: Subscribe) -> None:
    client = subscribe("markets/data", marketIds=sandbox.markets["future"])
    client.send_close(1000)
    for _ in range(3):
        sandbox.block()
        assert client.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_TEXT
    client.shutdown()  # type: ignore[no-untyped-call]
    wait_until(lambda: not sandbox.call(lambda inside: inside.node.open_connections))


def test_a_plain_get_streams_the_same_frames_as_lines(sandbox: Sandbox, subscribe: Subscribe) -> None:
    bids(sandbox, 60)
    sandbox.block()
    party = sandbox.parties["a"]
    client = subscribe("orders", partyIds=party)
    with requests.get(f"{sandbox.node_url}/stream/orders", params={"partyIds": party}, stream=True, timeout=20) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        lines = answer.iter_lines()
        assert [next(lines).decode(), next(lines).decode()] == [client.recv(), client.recv()]
        submit(sandbox, {"orderCancellation": {"marketId": sandbox.markets["future"]}})
        sandbox.block()
        assert [next(lines).decode(), next(lines).decode()] == [client.recv(), client.recv()]
        assert sandbox.call(lambda inside: inside.node.open_connections) == {"orders": 2}
    wait_until(lambda: sandbox.call(lambda inside: inside.node.open_connections) == {"orders": 1})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [("markets/data?marketIds=xyz", 500, "Internal error"), ("positions?partyId=abc", 400, "InvalidArgument error")],
)
def test_a_plain_get_is_rejected_like_a_websocket_but_with_a_status(
    sandbox: Sandbox, subscribe: Subscribe, path: str, status: int, message: str
) -> None:
    answer = requests.get(f"{sandbox.node_url}/stream/{path}", timeout=20)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)
    stream, _, query = path.partition("?")
    name, _, value = query.partition("=")
    assert answer.text == f"{subscribe(stream, **{name: value}).recv()!s}\n"
    unknown = requests.get(f"{sandbox.node_url}/stream/nope", timeout=20)
    assert (unknown.status_code, unknown.json()) == (404, {"code": 5, "message": "Not Found", "details": []})


def test_an_address_has_at_most_250_subscriptions(sandbox: Sandbox, subscribe: Subscribe) -> None:
    clients = [subscribe("markets/data", marketIds=sandbox.markets["future"]) for _ in range(250)]
    rejected = subscribe("markets/data", marketIds=sandbox.markets["future"])
    assert json.loads(rejected.recv()) == {"error": {"code": 8, "message": "client reached max subscription allowed"}}
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        rejected.recv_data(control_frame=True)
    sandbox.block()
    assert all(len(frames_so_far(client)) == 1 for client in clients)


def test_a_client_that_does_not_read_delays_no_other_client(sandbox: Sandbox, subscribe: Subscribe) -> None:
    sleeper = subscribe("markets/data", marketIds=sandbox.markets["spot"])
    reader = subscribe("markets/data", marketIds=sandbox.markets["future"])
    sandbox.block(300)
    assert len(frames_so_far(reader)) == 300
    assert len(frames_so_far(sleeper)) == 300


def test_a_silenced_stream_stays_open_and_sends_later(sandbox: Sandbox, subscribe: Subscribe) -> None:
    orders = subscribe("orders", partyIds=sandbox.parties["a"])
    assert frames_so_far(orders) == [{"snapshot": {"lastPage": True}}]
    sandbox.silence_streams("orders")
    late = subscribe("orders", partyIds=sandbox.parties["a"])
    bids(sandbox, 1)
    sandbox.block()
    assert frames_so_far(orders) == frames_so_far(late) == []
    sandbox.silence_streams("orders", on=False)
    bids(sandbox, 2)
    sandbox.block()
    assert [[order["size"] for order in frame["updates"]["orders"]] for frame in frames_so_far(orders)] == [["1", "2"]]
    assert [[order["size"] for order in frame["snapshot"]["orders"]] for frame in frames_so_far(late)] == [["2", "1", "1"]]


def test_rest_and_handshakes_fail_with_the_given_status(sandbox: Sandbox, subscribe: Subscribe) -> None:
    sandbox.fail_rest(429)
    answer = requests.get(f"{sandbox.node_url}/assets", timeout=30)
    assert (answer.status_code, answer.json()) == (429, {"code": 8, "message": "Too Many Requests", "details": []})
    sandbox.fail_handshakes(502)
    with pytest.raises(websocket.WebSocketBadStatusException, match="502"):
        subscribe("orders")


def test_a_snapshot_shows_orders_as_the_blocks_before_have_left_them(sandbox: Sandbox, subscribe: Subscribe) -> None:
    """Orders are kept as they were sent last. The second client's filters are new, so its snapshot is made, not kept."""
    party = sandbox.parties["a"]
    subscribe("orders", partyIds=party)
    bids(sandbox, 4)
    sandbox.block()
    first, second, third, _ = (order.id for order in sandbox.call(lambda inside: list(inside.chain.orders.values())))
    market = sandbox.markets["future"]
    submit(sandbox, {"orderAmendment": {"orderId": first, "marketId": market, "size": "9"}})
    submit(sandbox, {"orderCancellation": {"orderId": second, "marketId": market}})
    sandbox.block()
    sandbox.silence_streams("orders")
    submit(sandbox, {"orderAmendment": {"orderId": third, "marketId": market, "size": "8"}})
    sandbox.block()
    sandbox.reset()
    sandbox.block()
    frames = frames_so_far(subscribe("orders", partyIds=f"{party}&partyIds={sandbox.parties['b']}"))
    shown = sorted(order["size"] for frame in frames for order in frame["snapshot"]["orders"])
    assert shown == sorted(get_orders(sandbox, filter_liveOnly="true")[0]) == ["4", "8", "9"]
