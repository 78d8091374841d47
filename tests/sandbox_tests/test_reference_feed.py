"""The sandbox's reference feed: one frame per block, one block ahead of the maker, without effect on the traders."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.sandbox.node.reference_feed import add_reference_feed


@pytest.fixture(params=[True, False], ids=["with_traders", "without_traders"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    yield from running(traders=request.param)


def running(**options: Any) -> Iterator[Sandbox]:
    sandbox = Sandbox(block_time=0, seed=31, **options)
    add_reference_feed(sandbox, sandbox.node.app)
    with sandbox:
        yield sandbox


def connect(sandbox: Sandbox, symbol: str) -> websocket.WebSocket:
    return websocket.create_connection(f"{sandbox.ws_url.removesuffix('/api/v2')}/reference/{symbol}", timeout=30)


def middle(frame: dict[str, str]) -> float:
    return (float(frame["bid_price"]) + float(frame["ask_price"])) / 2


def market_middle(sandbox: Sandbox) -> float:
    market = sandbox.call(lambda box: box.chain.markets[box.markets["future"]])
    return float((market.best_bid[0] + market.best_offer[0]) / 2 / 10**market.price_decimals)


def test_each_block_sends_a_frame_with_prices_as_text(sandbox: Sandbox) -> None:
    connection = connect(sandbox, "SOLDAI")
    sandbox.block(20)
    frames = [json.loads(connection.recv()) for _ in range(20)]
    connection.close()
    assert all(set(frame) == {"symbol", "bid_price", "ask_price"} and frame["symbol"] == "SOLDAI" for frame in frames)
    assert all(90 < float(frame["bid_price"]) < float(frame["ask_price"]) < 110 for frame in frames)
    assert all(isinstance(frame["bid_price"], str) for frame in frames)
    assert len({middle(frame) for frame in frames}) > 10


def test_a_new_client_gets_the_newest_frame_at_once(sandbox: Sandbox) -> None:
    sandbox.block(3)
    first, second = connect(sandbox, "ETHUSDC"), connect(sandbox, "ethusdc")
    assert first.recv() == second.recv()
    first.close()
    second.close()


def test_it_is_one_block_ahead_of_the_market() -> None:
    for sandbox in running():
        connection = connect(sandbox, "SOLDAI")
        ahead = behind = 0.0
        sandbox.block()
        for _ in range(100):
            before, reference = market_middle(sandbox), middle(json.loads(connection.recv()))
            sandbox.block()
            ahead += abs(market_middle(sandbox) - reference)
            behind += abs(market_middle(sandbox) - before)
        connection.close()
        assert ahead < 0.7 * behind


def test_the_traders_trade_the_same_with_and_without_it() -> None:
    alone = Sandbox(block_time=0, seed=31)
    for _ in range(30):
        alone.make_block()
    for sandbox in running():
        sandbox.block(30)
        assert sandbox.call(lambda box: list(box.chain.orders)) == list(alone.chain.orders)


def test_an_unknown_symbol_is_rejected_with_a_list_of_known_symbols(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.node_url.removesuffix('/api/v2')}/reference/NOPE", timeout=30)
    assert answer.status_code == 404
    assert "BTCEUR, ETHUSDC, SOLDAI" in answer.text


def test_a_restart_of_the_node_closes_its_connections(sandbox: Sandbox) -> None:
    connection = connect(sandbox, "SOLDAI")
    sandbox.restart()
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        connection.recv()
