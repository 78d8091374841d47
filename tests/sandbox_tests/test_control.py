"""The sandbox's controls, from Python and over HTTP."""

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.control import STREAMS
from tests.support.waiting import wait_until


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=21) as running:
        yield running


def post(sandbox: Sandbox, name: str, **parameters: Any) -> requests.Response:
    return requests.post(f"{sandbox.control_url}/{name}", params=parameters, timeout=30)


def overview(sandbox: Sandbox) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(sandbox.control_url, timeout=30).json()
    return answer


def market_data(sandbox: Sandbox, product: str = "future") -> dict[str, Any]:
    url = f"{sandbox.node_url}/market/data/{sandbox.markets[product]}/latest"
    data: dict[str, Any] = requests.get(url, timeout=30).json()["marketData"]
    return data


def rest_status(sandbox: Sandbox) -> int:
    return requests.get(f"{sandbox.node_url}/assets", timeout=30).status_code


def wallet_status(sandbox: Sandbox) -> int:
    return requests.get(f"{sandbox.wallet_url}/api/v2/health", timeout=30).status_code


def test_blocks_are_visible_over_rest_when_the_call_returns(sandbox: Sandbox) -> None:
    sandbox.block()
    first = int(market_data(sandbox)["timestamp"])

    assert post(sandbox, "block", count=3).json() == {"height": 4}
    assert int(market_data(sandbox)["timestamp"]) - first == 3 * 10**9


def test_the_overview_lists_controls_with_parameters_and_active_faults(sandbox: Sandbox) -> None:
    sandbox.delay_rest(0.001)
    sandbox.silence_streams("orders")
    seen = overview(sandbox)

    assert (seen["height"], seen["rest_delay"], seen["silent_streams"], seen["rest_status"]) == (0, 0.001, ["orders"], None)
    assert "POST /control/block?[count=COUNT]" in seen["controls"]
    assert "POST /control/set_state?market=MARKET&state=STATE&trading_mode=TRADING_MODE" in seen["controls"]
    assert all(seen["controls"].values())


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("block", {"count": "0"}, "block: count must be 1 to 100000, not 0"),
        ("block", {"count": "many"}, "block: count must be a whole number, not 'many'"),
        ("block", {"number": "1"}, "block: unknown parameter number; it takes count"),
        ("suspend", {}, "suspend: missing parameter market"),
        ("suspend", {"market": "xyz"}, "suspend: there is no market 'xyz': give an id, or future, perpetual or spot"),
        ("empty_side", {"market": "spot", "side": "BUY"}, "empty_side: side must be one of SIDE_BUY, SIDE_SELL, not 'BUY'"),
        ("drop_streams", {"how": "1002"}, "drop_streams: how must be one of reset, cut, 1000, 1001, 1011, not '1002'"),
        ("hold_blocks", {"on": "maybe"}, "hold_blocks: on must be one of true, false, not 'maybe'"),
        ("delay_rest", {"seconds": "nan"}, "delay_rest: seconds must be zero or more, not nan"),
        ("fail_wallet", {"status": "200"}, "fail_wallet: status must be 400 to 599, not 200"),
    ],
)
def test_wrong_arguments_are_answered_with_one_line(sandbox: Sandbox, name: str, parameters: dict[str, str], line: str) -> None:
    response = post(sandbox, name, **parameters)

    assert (response.status_code, response.text) == (400, line + "\n")


def test_wrong_names_are_answered_with_one_line(sandbox: Sandbox) -> None:
    assert post(sandbox, "nope").status_code == 404
    assert post(sandbox, "reject_orders", reason="BECAUSE").text.startswith("reject_orders: reason must be one of ORDER_ERROR_")
    assert post(sandbox, "set_state", market="spot", state="ENDED", trading_mode="X").text.startswith(
        "set_state: state must be one of STATE_"
    )


def test_get_on_a_control_is_not_allowed(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.control_url}/block", params={"count": 2}, timeout=30)

    assert (answer.status_code, answer.headers["Allow"], answer.text) == (405, "POST", "block: use POST, as in curl -X POST\n")
    assert overview(sandbox)["height"] == 0
    assert requests.get(f"{sandbox.control_url}/nope", timeout=30).status_code == 404


def test_python_gets_the_same_message(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="there is no market 'xyz'"):
        sandbox.suspend("xyz")


def test_a_market_is_suspended_and_resumed(sandbox: Sandbox) -> None:
    sandbox.suspend("perpetual")
    sandbox.block()
    assert market_data(sandbox, "perpetual")["marketState"] == "STATE_SUSPENDED_VIA_GOVERNANCE"
    assert market_data(sandbox, "future")["marketState"] == "STATE_ACTIVE"
    post(sandbox, "resume", market=sandbox.markets["perpetual"])
    sandbox.block()
    assert market_data(sandbox, "perpetual")["marketState"] == "STATE_ACTIVE"


def test_a_market_can_be_set_to_any_state(sandbox: Sandbox) -> None:
    sandbox.set_state("spot", "STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")
    sandbox.block()

    seen = market_data(sandbox, "spot")
    assert (seen["marketState"], seen["marketTradingMode"]) == ("STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")


def test_an_emptied_side_stays_empty_until_it_is_refilled(sandbox: Sandbox) -> None:
    sandbox.block()
    sandbox.empty_side("future", SELL)
    for _ in range(3):
        sandbox.block()
        seen = market_data(sandbox)
        assert (seen["bestOfferPrice"], seen["bestBidPrice"] != "0") == ("0", True)
    sandbox.refill_side("future", SELL)
    sandbox.block()
    assert market_data(sandbox)["bestOfferPrice"] != "0"


@pytest.mark.parametrize("traders", [True, False], ids=["with traders", "without"])
def test_an_emptied_side_stays_empty_although_a_bot_quotes_in_every_block(traders: bool) -> None:
    with Sandbox(block_time=0, seed=25, traders=traders) as sandbox:
        bids = {"marketId": sandbox.markets["spot"], "price": "80000", "size": "5", "side": BUY, "reference": "again"}
        orders = [{**bids, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}, {**bids, "side": SELL, "price": "300000000"}]
        orders[1] |= {"type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
        batch = {"batchMarketInstructions": {"cancellations": [{"marketId": sandbox.markets["spot"]}], "submissions": orders}}

        def quote_again() -> tuple[str, bool]:
            sandbox.call(lambda running: running.chain.submit(running.parties["bot"], batch))
            sandbox.block()
            return market_data(sandbox, "spot")["bestBidPrice"], market_data(sandbox, "spot")["bestOfferPrice"] != "0"

        sandbox.empty_side("spot", BUY)
        assert [quote_again() for _ in range(3)] == [("0", True)] * 3
        assert overview(sandbox)["emptied_sides"] == [[sandbox.markets["spot"], BUY]]
        sandbox.reset()
        assert quote_again()[0] != "0"


def test_orders_are_rejected_with_the_given_reason(sandbox: Sandbox) -> None:
    order = {"marketId": sandbox.markets["future"], "price": "8100000", "size": "50", "side": BUY}
    transaction = {"orderSubmission": {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC", "reference": "mine"}}

    def outcome() -> Any:
        sandbox.call(lambda running: running.chain.submit(running.parties["a"], transaction))
        sandbox.block()
        return sandbox.call(lambda running: [(o.status, o.reason) for o in running.chain.orders.values() if o.reference == "mine"][-1])

    sandbox.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED")
    assert outcome() == ("STATUS_REJECTED", "ORDER_ERROR_MARGIN_CHECK_FAILED")
    sandbox.reject_orders()
    assert outcome() == ("STATUS_ACTIVE", None)


def test_the_traders_orders_are_not_rejected(sandbox: Sandbox) -> None:
    sandbox.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED")
    prices = []
    for _ in range(3):
        sandbox.block()
        data = market_data(sandbox)
        prices.append((data["bestBidPrice"], data["bestOfferPrice"]))
    assert "0" not in {price for both in prices for price in both}
    assert len(set(prices)) == 3  # they quote again in each block


def test_the_request_of_a_disconnected_client_is_cancelled_at_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(block_time=0, seed=21) as sandbox:
        sandbox.delay_rest(20)
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{sandbox.node_url}/assets", timeout=0.2)
    gc.collect()
    assert "Task was destroyed" not in caplog.text


def test_held_blocks_continue_from_the_same_height() -> None:
    with Sandbox(block_time=0.01) as sandbox:
        sandbox.hold_blocks()
        height = overview(sandbox)["height"]
        assert post(sandbox, "block", count=2).json() == {"height": height + 2}
        time.sleep(0.1)  # the time of ten blocks
        assert overview(sandbox)["height"] == height + 2
        sandbox.hold_blocks(False)
        wait_until(lambda: overview(sandbox)["height"] > height + 2)


def test_a_paused_chain_makes_no_blocks_while_rest_pings_and_wallet_answer() -> None:
    with Sandbox(block_time=0.01, traders=False) as sandbox:
        stream = websocket.create_connection(f"{sandbox.ws_url}/stream/markets/data?marketIds={sandbox.markets['future']}", timeout=20)
        sandbox.pause_chain(600)
        height = overview(sandbox)["height"]
        assert requests.get(f"{sandbox.node_url}/assets", timeout=20).headers["X-Block-Height"] == str(height)
        stream.ping("ping")
        while (frame := stream.recv_data(control_frame=True))[0] == websocket.ABNF.OPCODE_TEXT:
            pass
        assert frame == (websocket.ABNF.OPCODE_PONG, b"ping")
        assert send_order(sandbox, "sent in the pause").status_code == 200
        time.sleep(0.2)  # the time of twenty blocks
        assert (overview(sandbox)["height"], statuses(sandbox, "sent in the pause")) == (height, [])
        assert 500 < overview(sandbox)["pause_left"] <= 600
        sandbox.pause_chain(0.1)  # replaces the longer one
        wait_until(lambda: statuses(sandbox, "sent in the pause") == ["STATUS_ACTIVE"])
        assert overview(sandbox)["pause_left"] == 0
        stream.shutdown()  # type: ignore[no-untyped-call]


def send_order(sandbox: Sandbox, reference: str) -> requests.Response:
    order = {"marketId": sandbox.markets["future"], "price": "8300000", "size": "70", "side": BUY, "reference": reference}
    transaction = {"orderSubmission": {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}}
    params = {"publicKey": sandbox.parties["c"], "sendingMode": "TYPE_SYNC", "transaction": transaction}
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": params}
    headers = {"Origin": "test", "Authorization": f"VWT {sandbox.token}"}
    return requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=call, headers=headers, timeout=20)


def statuses(sandbox: Sandbox, reference: str) -> list[str]:
    query = {"filter.partyIds": sandbox.parties["c"]}
    edges = requests.get(f"{sandbox.node_url}/orders", params=query, timeout=20).json()["orders"]["edges"]
    return [edge["node"]["status"] for edge in edges if edge["node"]["reference"] == reference]


def test_lost_transactions_get_a_hash_and_never_reach_the_chain(sandbox: Sandbox) -> None:
    assert post(sandbox, "lose_transactions", count=2).status_code == 200
    hashes = [send_order(sandbox, f"order {number}").json()["result"]["transactionHash"] for number in range(3)]
    sandbox.block(2)

    assert len(set(hashes)) == 3
    assert [statuses(sandbox, f"order {number}") for number in range(3)] == [[], [], ["STATUS_ACTIVE"]]
    assert overview(sandbox)["transactions_to_lose"] == 0


def test_a_delayed_transaction_gets_its_hash_at_once_and_reaches_the_chain_later(sandbox: Sandbox) -> None:
    sandbox.delay_transactions(600)
    assert send_order(sandbox, "much later").status_code == 200  # within the timeout of the call
    sandbox.delay_transactions(0.5)
    began = time.monotonic()
    assert send_order(sandbox, "a little later").status_code == 200
    sandbox.delay_transactions()

    def is_executed() -> bool:
        sandbox.block()
        return statuses(sandbox, "a little later") == ["STATUS_ACTIVE"]

    wait_until(is_executed)
    assert time.monotonic() - began >= 0.5
    assert statuses(sandbox, "much later") == []


def test_rest_and_wallet_fail_and_recover(sandbox: Sandbox) -> None:
    sandbox.fail_rest(503)
    sandbox.fail_wallet(401)
    assert (rest_status(sandbox), wallet_status(sandbox)) == (503, 401)
    sandbox.fail_rest()
    assert (rest_status(sandbox), wallet_status(sandbox)) == (200, 401)
    sandbox.fail_wallet()
    assert (rest_status(sandbox), wallet_status(sandbox)) == (200, 200)


def test_rest_and_wallet_are_delayed(sandbox: Sandbox) -> None:
    for delay, ask in ((sandbox.delay_rest, rest_status), (sandbox.delay_wallet, wallet_status)):
        delay(0.2)
        begin = time.monotonic()
        assert ask(sandbox) == 200
        assert time.monotonic() - begin >= 0.2


def test_a_transaction_is_executed_although_its_sender_has_disconnected(sandbox: Sandbox) -> None:
    sandbox.delay_wallet(0.3)
    order = {"marketId": sandbox.markets["future"], "price": "8200000", "size": "60", "side": "SIDE_BUY"}
    transaction = {"orderSubmission": {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}}
    params = {"publicKey": sandbox.parties["b"], "sendingMode": "TYPE_SYNC", "transaction": transaction}
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": params}
    headers = {"Origin": "test", "Authorization": f"VWT {sandbox.token}"}
    with pytest.raises(requests.Timeout):
        requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=call, headers=headers, timeout=0.1)

    def is_executed() -> bool:
        sandbox.block()
        query = {"filter.partyIds": sandbox.parties["b"]}
        return bool(requests.get(f"{sandbox.node_url}/orders", params=query, timeout=30).json()["orders"]["edges"])

    wait_until(is_executed)


async def connect(sandbox: Sandbox, path: str) -> Any:
    async with aiohttp.ClientSession() as session:
        try:
            connection = await session.ws_connect(f"{sandbox.ws_url}/stream/{path}")
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        await asyncio.to_thread(sandbox.drop_streams, "1001")
        while (message := await connection.receive(timeout=5)).type != aiohttp.WSMsgType.CLOSE:
            assert message.type == aiohttp.WSMsgType.TEXT
        return message.data


def test_streams_are_disconnected_and_handshakes_rejected(sandbox: Sandbox) -> None:
    path = f"orders?partyIds={sandbox.parties['bot']}"

    assert asyncio.run(connect(sandbox, path)) == 1001
    sandbox.fail_handshakes(429)
    assert asyncio.run(connect(sandbox, path)) == 429


def test_one_stream_or_all_can_be_silenced(sandbox: Sandbox) -> None:
    post(sandbox, "silence_streams")
    assert overview(sandbox)["silent_streams"] == sorted(STREAMS)
    post(sandbox, "silence_streams", stream="orders", on="false")
    assert overview(sandbox)["silent_streams"] == sorted({*STREAMS} - {"orders"})


def test_reset_ends_all_faults(sandbox: Sandbox) -> None:
    healthy = {key: value for key, value in overview(sandbox).items() if key != "height"}
    faults: dict[str, dict[str, Any]] = {
        "hold_blocks": {},
        "suspend": {"market": "spot"},
        "empty_side": {"market": "future", "side": "SIDE_BUY"},
        "reject_orders": {"reason": "ORDER_ERROR_MARKET_CLOSED"},
        "silence_streams": {},
        "fail_handshakes": {"status": 502},
        "delay_rest": {"seconds": 0.1},
        "fail_rest": {"status": 500},
        "delay_wallet": {"seconds": 0.2},
        "fail_wallet": {"status": 403},
        "pause_chain": {"seconds": 600},
        "update_market": {"market": "perpetual", "tick_size": 10, "price_decimals": 3},
        "lose_transactions": {"count": 3},
        "delay_transactions": {"seconds": 0.3},
    }
    for name, parameters in faults.items():
        assert post(sandbox, name, **parameters).status_code == 200
    sandbox.block()
    sandbox.reset()
    sandbox.block()

    assert json.dumps({**overview(sandbox), "height": 0}) == json.dumps({"height": 0, **healthy})
    assert market_data(sandbox, "spot")["marketState"] == "STATE_ACTIVE"
    assert market_data(sandbox, "future")["bestBidPrice"] != "0"
