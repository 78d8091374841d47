"""Clients that do not read their streams: memory and log stay bounded, and other clients get every frame."""

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from tests.sandbox import Sandbox
from tests.sandbox.limited_log import LimitedLog
from tests.sandbox.node.streams import MAX_WAITING, MAX_WAITING_PER_ADDRESS
from tests.support.chain_network import markets_without_minimum
from tests.support.room_calls import crowd, port_of
from tests.support.waiting import wait_until

ORDERS_PER_BLOCK = 1500  # of a participant who sends 50 batches of 30
HANDSHAKE = (
    "GET /api/v2/stream/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=61, traders=False, markets=markets_without_minimum()) as running:
        yield running


def busy_block(sandbox: Sandbox, count: int = ORDERS_PER_BLOCK) -> None:
    """Make a block in which party a cancels all orders and submits new ones."""
    market_id = sandbox.markets["future"]
    order = {"marketId": market_id, "price": "9000000", "size": "1", "side": "SIDE_BUY", "type": "TYPE_LIMIT"}
    batch = {"batchMarketInstructions": {"submissions": [{**order, "timeInForce": "TIME_IN_FORCE_GTC"}] * 30}}

    def submit(inside: Any) -> None:
        inside.chain.submit(inside.parties["a"], {"orderCancellation": {"marketId": market_id}})
        for _ in range(count // 30):
            inside.chain.submit(inside.parties["a"], batch)

    sandbox.call(submit)
    sandbox.block()


def open_streams(sandbox: Sandbox) -> int:
    return int(sandbox.call(lambda inside: sum(inside.node.open_connections.values())))


def waiting(sandbox: Sandbox) -> list[int]:
    """Return the unread bytes of each connection."""
    unread: list[int] = sandbox.call(lambda inside: [each.waiting_bytes for each in inside.node.streams.open])
    return unread


def test_248_streams_that_nobody_reads_are_bounded_and_a_reader_elsewhere_gets_every_frame(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("tests.sandbox.node.streams.log", LimitedLog("streams"))  # earlier tests may have written the line
    url = f"{sandbox.ws_url}/stream/orders?partyIds={sandbox.parties['a']}"
    reader = websocket.create_connection(url, timeout=30)
    assert "snapshot" in reader.recv()
    with contextlib.ExitStack() as stack:
        crowd(stack, port_of(sandbox.url()), 248, "127.0.0.2", HANDSHAKE.format("orders").encode())
        wait_until(lambda: open_streams(sandbox) == 249)
        for block in range(4):
            busy_block(sandbox)
            unread = waiting(sandbox)
            assert max(unread) <= MAX_WAITING
            assert sum(unread) <= MAX_WAITING_PER_ADDRESS + MAX_WAITING  # of both addresses
            cancelled = ORDERS_PER_BLOCK if block else 0
            assert orders_in_updates(reader, ORDERS_PER_BLOCK + cancelled) == ORDERS_PER_BLOCK + cancelled
        wait_until(lambda: open_streams(sandbox) < 60)
    lines = [record.getMessage() for record in caplog.records if "does not read" in record.getMessage()]
    assert lines == ["sandbox: 127.0.0.2 does not read its stream orders, so it was disconnected"]
    reader.shutdown()  # type: ignore[no-untyped-call]


def orders_in_updates(reader: websocket.WebSocket, count: int) -> int:
    received = 0
    while received < count:
        received += len(json.loads(reader.recv())["result"]["updates"]["orders"])
    return received


def test_a_large_snapshot_is_sent_whole_to_a_client_that_reads(sandbox: Sandbox) -> None:
    for _ in range(6):
        order = {"marketId": sandbox.markets["future"], "price": "9000000", "size": "1", "side": "SIDE_BUY", "type": "TYPE_LIMIT"}
        batch = {"batchMarketInstructions": {"submissions": [{**order, "timeInForce": "TIME_IN_FORCE_GTC"}] * 30}}
        sandbox.call(lambda inside, batch=batch: [inside.chain.submit(inside.parties["a"], batch) for _ in range(50)])  # type: ignore[misc]
    sandbox.block()
    url, small_buffer = f"{sandbox.ws_url}/stream/orders?partyIds={sandbox.parties['a']}", (socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    reader = websocket.create_connection(url, timeout=30, sockopt=(small_buffer,))
    wait_until(lambda: open_streams(sandbox) == 1)
    assert waiting(sandbox)[0] > MAX_WAITING  # before anything is read
    sandbox.block()
    orders, is_last = 0, False
    while not is_last:
        snapshot = json.loads(reader.recv())["result"]["snapshot"]
        orders += len(snapshot["orders"])
        is_last = snapshot.get("lastPage", False)
    assert orders == 9000
    reader.shutdown()  # type: ignore[no-untyped-call]


def test_a_client_that_leaves_does_not_write_to_the_log(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    ping = b"\x89\x80\x00\x00\x00\x00"
    with contextlib.ExitStack() as stack:
        clients = crowd(stack, port_of(sandbox.url()), 20, request=HANDSHAKE.format("orders").encode())
        wait_until(lambda: open_streams(sandbox) == 20)
        for client in clients:
            client.sendall(ping * 500)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
    wait_until(lambda: open_streams(sandbox) == 0)
    assert caplog.text == ""
