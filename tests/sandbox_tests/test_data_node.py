"""The sandbox's data node compared with recordings of a real one: keys and types, statuses, and error messages.

`shape` turns JSON into the set of its paths and types, such as `.details.decimals: str`. Entries inside lists may be missing, because a
list may be empty, but never differ.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.support.stream_clients import stream_opener

RECORDINGS = Path(__file__).parents[1] / "recordings"
REST = {path.stem: json.loads(path.read_text()) for path in sorted(RECORDINGS.glob("rest-*.json"))}
INFO = json.loads((RECORDINGS / "info.json").read_text())
PRODUCTS = {"future": "BTCDAI Future", "perpetual": "BTCDAI Perp", "spot": "BTCDAI Spot"}
Subscribe = Callable[[str], websocket.WebSocket]
STREAMS = ("markets/data", "orders", "positions", "accounts")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=7, traders=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def subscribe(sandbox: Sandbox) -> Iterator[Subscribe]:
    """Opens streams, and closes them at the end."""
    with stream_opener(sandbox) as open_stream:
        yield open_stream


@pytest.fixture(scope="module")
def frames(sandbox: Sandbox, subscribe: Subscribe) -> dict[str, list[Any]]:
    """All frames by stream of a scenario with everything that the recordings have, on every market. REST is read after it."""
    bot, c = sandbox.parties["bot"], sandbox.parties["c"]
    bot_streams = [f"orders?partyIds={bot}", f"positions?partyId={bot}", f"accounts?partyId={bot}"]
    empty_streams = [f"orders?partyIds={c}", f"positions?partyId={c}", f"accounts?partyId={c}&marketId={sandbox.markets['spot']}"]
    every_market = f"markets/data?{'&'.join(f'marketIds={market_id}' for market_id in sandbox.markets.values())}"
    clients = [(path, subscribe(path)) for path in bot_streams]
    for number, product in enumerate(PRODUCTS):
        play_scenario(sandbox, product, 10 + number)
    clients += [(path, subscribe(path)) for path in (*bot_streams, *empty_streams, every_market)]
    sandbox.block()
    sandbox.suspend("future")
    sandbox.block(5)
    received: dict[str, list[Any]] = {}
    for path, client in clients:
        received.setdefault(path.partition("?")[0], []).extend(frames_so_far(client))
    return received


def frames_so_far(client: websocket.WebSocket) -> Iterator[Any]:
    """Yield the frames sent so far: those received before the pong."""
    client.ping("until here")
    while (frame := client.recv_data(control_frame=True))[0] == websocket.ABNF.OPCODE_TEXT:
        yield json.loads(frame[1])
    assert frame == (websocket.ABNF.OPCODE_PONG, b"until here")


def play_scenario(sandbox: Sandbox, product: str, size: int) -> None:
    """Let the bot quote, trade, and be rejected on a market, in all ways that the recordings show."""
    market = sandbox.call(lambda inside: inside.chain.markets[sandbox.markets[product]])

    def order(side: str, ticks: int, time_in_force: str = "TIME_IN_FORCE_GTC", **more: Any) -> dict[str, Any]:
        price = str(market.mark_price + ticks * market.tick_size)
        terms = {"marketId": market.id, "side": f"SIDE_{side}", "price": price, "size": str(size), "type": "TYPE_LIMIT"}
        return {**terms, "timeInForce": time_in_force, "reference": f"{side} {ticks}", **more}

    def send(party: str, *submissions: dict[str, Any]) -> None:
        sandbox.call(
            lambda inside: inside.chain.submit(sandbox.parties[party], {"batchMarketInstructions": {"submissions": list(submissions)}})
        )

    expires_at = str(sandbox.call(lambda inside: inside.chain.time) + 60 * 10**9)
    send("a", order("BUY", -100), order("SELL", 100), order("SELL", 105))
    sandbox.block()
    send("bot", order("BUY", -200, "TIME_IN_FORCE_IOC"), order("BUY", 100, postOnly=True))
    send("bot", order("BUY", -20, reference=""), order("SELL", 20), order("BUY", -30, "TIME_IN_FORCE_GTT", expiresAt=expires_at))
    sandbox.call(lambda inside: inside.chain.submit(sandbox.parties["bot"], {"orderSubmission": order("BUY", -40)}))
    sandbox.block()
    send("b", order("SELL", -20, size=str(size - 3)))
    sandbox.block()


def shape(value: Any, place: str = "") -> set[str]:
    shapes = {f"{place}: {type(value).__name__}"}
    if isinstance(value, dict):
        return shapes.union(*(shape(item, f"{place}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return shapes.union(*(shape(item, f"{place}[]") for item in value))
    return shapes


def outside_lists(shapes: set[str]) -> set[str]:
    return {entry for entry in shapes if "[]" not in entry}


def product_of(node: Any) -> str:
    """Return the product of a market or of market data, whose keys depend on it; otherwise an empty text."""
    if "tradableInstrument" in node:
        return next(product for product in PRODUCTS if product in node["tradableInstrument"]["instrument"])
    return "spot" if "markPrice" in node and node.get("markPriceState") is None else ""


def nodes(body: Any) -> list[Any]:
    (content,) = body.values()
    return [edge["node"] for edge in content["edges"]] if "edges" in content else [content]


def in_the_sandbox(recorded: Any, sandbox: Sandbox) -> str:
    """Return a recorded path with the ids of the sandbox; party `c` where the recorded party had no records."""
    bot = "c" if '"edges": []' in json.dumps(recorded["body"]) else "bot"
    ids = {INFO["PUB"]["bot"]: sandbox.parties[bot], INFO["PUB"]["mm"]: sandbox.parties["a"]}
    ids |= {INFO["MARKETS"][name]: sandbox.markets[product] for product, name in PRODUCTS.items()}
    path = recorded["path"]
    for theirs, ours in ids.items():
        path = path.replace(theirs, ours)
    return str(path)


@pytest.mark.parametrize("name", REST)
def test_rest_responses_have_the_recorded_status_and_headers(name: str, sandbox: Sandbox, frames: Any) -> None:
    answer = requests.get(f"{sandbox.node_url}/{in_the_sandbox(REST[name], sandbox)}", timeout=30)
    assert answer.status_code == REST[name]["status"]
    chosen = {header: answer.headers[header] for header in ("Content-Type", "Content-Encoding")}
    assert chosen == {header: REST[name]["headers"][header] for header in chosen}
    height, time = sandbox.call(lambda inside: (inside.chain.height, inside.chain.time))
    block = {"X-Block-Height": str(height), "X-Block-Timestamp": str(time)} if "X-Block-Height" in REST[name]["headers"] else {}
    assert {header: value for header, value in answer.headers.items() if header.startswith("X-Block")} == block


@pytest.mark.parametrize("name", [name for name, recorded in REST.items() if recorded["status"] != 200])
def test_rest_errors_equal_the_recorded_ones(name: str, sandbox: Sandbox) -> None:
    assert requests.get(f"{sandbox.node_url}/{REST[name]['path']}", timeout=30).json() == REST[name]["body"]


@pytest.mark.parametrize("name", [name for name, recorded in REST.items() if recorded["status"] == 200])
def test_rest_nodes_have_the_recorded_keys_and_types(name: str, sandbox: Sandbox, frames: Any) -> None:
    recorded = REST[name]["body"]
    answer = requests.get(f"{sandbox.node_url}/{in_the_sandbox(REST[name], sandbox)}", timeout=30).json()
    for ours in nodes(answer):
        theirs = [shape(node) for node in nodes(recorded) if product_of(node) == product_of(ours)]
        assert outside_lists(shape(ours)) - {".reason: str"} == outside_lists(theirs[0])
        assert shape(ours) - {".reason: str"} <= set.union(*theirs)
    assert {product_of(node) for node in nodes(answer)} == {product_of(node) for node in nodes(recorded)}


@pytest.mark.parametrize("name", [name for name, recorded in REST.items() if "edges" in str(recorded["body"])])
def test_rest_pages_have_the_recorded_page_info(name: str, sandbox: Sandbox, frames: Any) -> None:
    (recorded,) = REST[name]["body"].values()
    (ours,) = requests.get(f"{sandbox.node_url}/{in_the_sandbox(REST[name], sandbox)}", timeout=30).json().values()
    assert [edge.keys() for edge in ours["edges"][:1]] == [edge.keys() for edge in recorded["edges"][:1]]
    assert shape(ours["pageInfo"]) == shape(recorded["pageInfo"])
    assert ours["pageInfo"]["hasNextPage"] == recorded["pageInfo"]["hasNextPage"]
    if not recorded["edges"]:
        assert ours == recorded


def test_rest_orders_without_a_reason_leave_the_field_out(sandbox: Sandbox, frames: Any) -> None:
    query = {"filter.partyIds": sandbox.parties["bot"], "filter.marketIds": sandbox.markets["future"]}
    orders = requests.get(f"{sandbox.node_url}/orders", query, timeout=30).json()["orders"]["edges"]
    reasons = {edge["node"]["reference"]: edge["node"].get("reason", "left out") for edge in orders}
    assert set(reasons.values()) == {"left out", "ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE"}
    assert reasons["BUY 100"] == "ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE"


def recorded_frames(stream: str) -> list[Any]:
    pattern = "ws-*-market-data.jsonl" if stream == "markets/data" else f"ws-*-{stream}.jsonl"
    texts = (json.loads(line).get("text") for path in RECORDINGS.glob(pattern) for line in path.read_text().splitlines())
    return [frame for text in texts if text and "result" in (frame := json.loads(text))]


def split(received: list[Any]) -> tuple[set[str], dict[str, list[Any]]]:
    """Return the wrappers of frames, and their entries by kind: snapshots and updates can differ, and so can products."""
    wrappers: set[str] = set()
    kinds: dict[str, list[Any]] = {}
    for frame in received:
        (kind, content), *others = frame["result"].items()
        assert not others
        items = content if isinstance(content, list) else next((item for item in content.values() if isinstance(item, list)), [])
        wrapper = {key: type(item).__name__ for key, item in content.items()} if isinstance(content, dict) else "list"
        wrappers.add(f"{kind}: {wrapper}")
        for item in items:
            kinds.setdefault((kind if "owner" in item else "") + product_of(item), []).append(item)
    return wrappers, kinds


@pytest.mark.parametrize("stream", STREAMS)
def test_stream_frames_have_the_recorded_keys_and_types(stream: str, frames: dict[str, list[Any]]) -> None:
    wrappers, kinds = split(frames[stream])
    recorded_wrappers, recorded_kinds = split(recorded_frames(stream))
    assert wrappers == recorded_wrappers
    assert kinds.keys() == recorded_kinds.keys()
    for kind, items in kinds.items():
        ours, theirs = [shape(item) for item in items], [shape(item) for item in recorded_kinds[kind]]
        # Streams leave out empty lists, so only fields outside lists can be required.
        scalars = {entry for entry in outside_lists(set.union(*theirs)) if not entry.endswith(": list")}
        for one in ours:
            assert one <= set.union(*theirs)
            assert set.intersection(scalars, *theirs) <= one
        assert scalars <= set.union(*ours), "every field of a real node is sent at some time"


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDINGS.glob("ws-*.jsonl") if '"error"' in path.read_text()))
def test_rejected_streams_get_the_recorded_frame_and_no_close_frame(name: str, subscribe: Subscribe) -> None:
    asked = {
        "ws-bad-path": "nope",
        "ws-bad-market": "markets/data?marketIds=xyz",
        "ws-unknown-market": f"markets/data?marketIds={'0' * 64}",
        "ws-bad-orders": "orders?marketIds=xyz&partyIds=abc",
        "ws-bad-positions": "positions?marketId=xyz&partyId=abc",
        "ws-bad-accounts": "accounts?marketId=xyz&partyId=abc",
    }[name]
    recorded = json.loads((RECORDINGS / f"{name}.jsonl").read_text().splitlines()[0])
    client = subscribe(asked)
    assert client.recv() == recorded["text"]
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv_data(control_frame=True)


def test_a_stream_of_no_market_stays_silent(sandbox: Sandbox, subscribe: Subscribe) -> None:
    client = subscribe("markets/data?foo=bar")
    sandbox.block(2)
    assert list(frames_so_far(client)) == []


def test_risk_factors_equal_those_of_the_recorded_markets(sandbox: Sandbox) -> None:
    for product in ("future", "perpetual"):
        market_id = sandbox.markets[product]
        answer = requests.get(f"{sandbox.node_url}/market/{market_id}/risk/factors", timeout=30)
        assert answer.json() == {
            "riskFactor": {"market": market_id, "short": "0.05421518847848006", "long": "0.051531420845347675"},
        }
        assert answer.headers["X-Block-Height"]


@pytest.mark.parametrize("market", ["spot", "unknown", "malformed"])
def test_risk_factors_of_other_markets_are_an_error(sandbox: Sandbox, market: str) -> None:
    """Messages and codes: `GetRiskFactors` in datanode/api/trading_data_v2.go, `formatE` in datanode/api/errors.go."""
    market_id = {"spot": sandbox.markets["spot"], "unknown": "0" * 64, "malformed": "xyz"}[market]
    answer = requests.get(f"{sandbox.node_url}/market/{market_id}/risk/factors", timeout=30)
    (detail,) = answer.json()["details"]
    if market == "malformed":
        assert (answer.status_code, detail["code"], detail["message"]) == (400, 10000, "invalid market ID")
    else:
        assert (answer.status_code, detail["code"], detail["message"]) == (404, 310001, "failed to get risk factor")
        assert detail["inner"] == f"marketID: {market_id}: no resource corresponding to this id"


def test_network_parameters_are_listed_by_key_and_found_one_by_one(sandbox: Sandbox) -> None:
    """`ListNetworkParameters` and `GetNetworkParameter` in datanode/api/trading_data_v2.go."""
    edges = requests.get(f"{sandbox.node_url}/network/parameters", timeout=30).json()["networkParameters"]["edges"]
    parameters = {edge["node"]["key"]: edge["node"]["value"] for edge in edges}
    assert list(parameters) == sorted(parameters)
    assert parameters["spam.protection.max.batchSize"] == "30"
    assert parameters["spam.order.minimumMarginQuantumMultiple"] == "0.01"
    one = requests.get(f"{sandbox.node_url}/network/parameters/spam.protection.max.batchSize", timeout=30).json()
    assert one == {"networkParameter": {"key": "spam.protection.max.batchSize", "value": "30"}}
    unknown = requests.get(f"{sandbox.node_url}/network/parameters/nope", timeout=30)
    assert (unknown.status_code, unknown.json()["details"][0]["message"]) == (404, "failed to get network parameters")
