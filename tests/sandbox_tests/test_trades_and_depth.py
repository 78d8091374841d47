"""Trades and market depth, over REST and on streams, compared with the recordings of the second network."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.support.stream_clients import stream_opener

RECORDINGS = Path(__file__).parents[1] / "recordings" / "second_network"
Subscribe = Callable[[str], websocket.WebSocket]
TRADES, DEPTH, UPDATES = "trades", "markets/depth", "markets/depth/updates"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=81) as running:
        yield running


@pytest.fixture
def subscribe(sandbox: Sandbox) -> Iterator[Subscribe]:
    with stream_opener(sandbox) as open_stream:
        yield open_stream


def frames_so_far(client: websocket.WebSocket) -> list[Any]:
    """Return the frames sent so far: those received before the pong."""
    client.ping("until here")
    frames = []
    while (frame := client.recv_data(control_frame=True))[0] == websocket.ABNF.OPCODE_TEXT:
        frames.append(json.loads(frame[1])["result"])
    return frames


def get(sandbox: Sandbox, path: str) -> Any:
    answer = requests.get(f"{sandbox.node_url}/{path}", timeout=30)
    assert answer.status_code == 200
    return answer.json()


def trades_of(sandbox: Sandbox, query: str) -> list[Any]:
    return [edge["node"] for edge in get(sandbox, f"trades?{query}")["trades"]["edges"]]


def recorded_rest(name: str) -> Any:
    return json.loads((RECORDINGS / f"rest-{name}.json").read_text(encoding="utf-8"))


def recorded_frames(name: str) -> list[Any]:
    lines = (RECORDINGS / f"ws-{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["result"] for line in lines]


def shape(value: Any) -> Any:
    """Reduce to keys, in order, and types; a list to its first entry."""
    if isinstance(value, dict):
        return [(key, shape(entry)) for key, entry in value.items()]
    return [shape(entry) for entry in value[:1]] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("name", ["future-trades", "spot-trades", "taker-trades"])
def test_rest_trades_have_the_recorded_form(sandbox: Sandbox, name: str) -> None:
    sandbox.block(20)
    market, taker = sandbox.markets["spot" if "spot" in name else "future"], sandbox.call(lambda inside: inside.chain.traders["taker"])
    query = f"marketIds={market}&pagination.first=3" + (f"&partyIds={taker}" if "taker" in name else "")
    assert shape(get(sandbox, f"trades?{query}")) == shape(recorded_rest(name)["body"])


@pytest.mark.parametrize("name", ["future-depth", "spot-depth"])
def test_rest_depth_has_the_recorded_form(sandbox: Sandbox, name: str) -> None:
    sandbox.block(20)
    market = sandbox.markets[name.partition("-")[0]]
    assert shape(get(sandbox, f"market/depth/{market}/latest")) == shape(recorded_rest(name)["body"])


@pytest.mark.parametrize("name", ["bad-trades", "no-trades", "bad-depth", "unknown-depth"])
def test_rest_errors_and_empty_responses_are_the_recorded_ones(sandbox: Sandbox, name: str) -> None:
    recorded = recorded_rest(name)
    answer = requests.get(f"{sandbox.node_url}/{recorded['path']}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (recorded["status"], recorded["content_type"])
    assert answer.json() == recorded["body"]


def test_an_unknown_market_is_rejected_by_the_streams_of_depth(subscribe: Subscribe) -> None:
    recorded = (RECORDINGS / "ws-bad-depth.jsonl").read_text(encoding="utf-8").strip()
    for stream in (DEPTH, UPDATES):
        assert subscribe(f"{stream}?marketIds=abc").recv() == recorded


@pytest.mark.parametrize(
    ("stream", "name"),
    [(TRADES, "future-trades"), (TRADES, "spot-trades"), (DEPTH, "future-depth"), (UPDATES, "future-depth-updates")],
)
def test_frames_have_the_recorded_form(sandbox: Sandbox, subscribe: Subscribe, stream: str, name: str) -> None:
    client = subscribe(f"{stream}?marketIds={sandbox.markets[name.partition('-')[0]]}")
    sandbox.block(30)
    recorded, sent = recorded_frames(name), frames_so_far(client)

    def keys(frames: list[Any]) -> set[str]:
        return {json.dumps(shape(entry)) for frame in frames for entries in frame.values() for entry in entries}

    assert {tuple(frame) for frame in sent} == {tuple(frame) for frame in recorded}
    assert keys(recorded) & keys(sent)
    fields = {field for frame in recorded for entries in frame.values() for entry in entries for field in entry}
    assert {field for frame in sent for entries in frame.values() for entry in entries for field in entry} == fields


def test_streams_have_no_snapshot_and_depth_needs_a_market(sandbox: Sandbox, subscribe: Subscribe) -> None:
    sandbox.block(3)
    clients = [subscribe(TRADES), subscribe(DEPTH), subscribe(UPDATES), subscribe(f"{DEPTH}?marketIds={sandbox.markets['future']}")]
    assert [frames_so_far(client) for client in clients] == [[], [], [], []]
    sandbox.block(10)
    frames = [frames_so_far(client) for client in clients]
    assert [bool(some) for some in frames] == [True, False, False, True]


def test_updates_add_up_to_the_depth_and_to_the_book_of_rest(sandbox: Sandbox, subscribe: Subscribe) -> None:
    market = sandbox.markets["perpetual"]
    updates, depths = subscribe(f"{UPDATES}?marketIds={market}"), subscribe(f"{DEPTH}?marketIds={market}")
    sandbox.block(40)
    book: dict[str, dict[str, Any]] = {"buy": {}, "sell": {}}
    sequence = "0"
    pairs = list(zip(frames_so_far(updates), frames_so_far(depths), strict=True))
    for update_frame, depth_frame in pairs:
        (update,), (depth,) = update_frame["update"], depth_frame["marketDepth"]
        assert (update.get("previousSequenceNumber", "0"), update["sequenceNumber"]) == (sequence, depth["sequenceNumber"])
        sequence = update["sequenceNumber"]
        for side, levels in book.items():
            for level in update.get(side, []):
                levels[level["price"]] = level
                if "volume" not in level:
                    del levels[level["price"]]
            best_first = sorted(levels.values(), key=lambda level: int(level["price"]), reverse=side == "buy")
            assert depth.get(side, []) == best_first
    latest = get(sandbox, f"market/depth/{market}/latest")
    assert len(pairs) > 30
    assert latest["sequenceNumber"] == sequence
    for side, levels in book.items():
        shown = {level["price"]: (level["numberOfOrders"], level["volume"]) for level in latest[side]}
        assert shown == {price: (level["numberOfOrders"], level["volume"]) for price, level in levels.items()}
    data = get(sandbox, f"market/data/{market}/latest")["marketData"]
    assert (latest["buy"][0]["price"], latest["buy"][0]["volume"]) == (data["bestBidPrice"], data["bestBidVolume"])
    assert (latest["sell"][0]["price"], latest["sell"][0]["volume"]) == (data["bestOfferPrice"], data["bestOfferVolume"])
    assert len(get(sandbox, f"market/depth/{market}/latest?maxDepth=1")["buy"]) == 1


def test_trades_are_newest_first_and_the_same_on_stream_and_rest(sandbox: Sandbox, subscribe: Subscribe) -> None:
    taker = sandbox.call(lambda inside: inside.chain.traders["taker"])
    everything, of_taker, of_nobody = subscribe(TRADES), subscribe(f"{TRADES}?partyIds={taker}"), subscribe(f"{TRADES}?partyIds={'0' * 64}")
    sandbox.block(15)
    streamed = [trade["id"] for frame in frames_so_far(everything) for trade in frame["trades"]]
    assert len(streamed) > 10
    assert [trade["id"] for trade in trades_of(sandbox, "")] == streamed[::-1]
    assert [trade["id"] for frame in frames_so_far(of_taker) for trade in frame["trades"]] == streamed
    assert frames_so_far(of_nobody) == []
    assert trades_of(sandbox, f"partyIds={'0' * 64}") == []
    first = get(sandbox, "trades?pagination.first=4")["trades"]
    second = get(sandbox, f"trades?pagination.first=4&pagination.after={first['pageInfo']['endCursor']}")["trades"]
    assert [edge["node"]["id"] for page in (first, second) for edge in page["edges"]] == streamed[::-1][:8]
    trade = trades_of(sandbox, "pagination.first=1")[0]
    assert trades_of(sandbox, f"orderIds={trade['buyOrder']}")[0] == trade
    latest = get(sandbox, f"market/depth/{trade['marketId']}/latest")["lastTrade"]
    assert latest["id"] == trades_of(sandbox, f"marketIds={trade['marketId']}&pagination.first=1")[0]["id"]
