"""The node's four streams, and frames for them."""

import json
from collections.abc import Sequence
from typing import Any

from tests.support.scripted_node import BOT, MARKETS, Frame, recorded_frames

STREAMS = ("markets/data", "accounts", "orders", "positions")
MARKET = MARKETS["future"]
EMPTY_SNAPSHOT = '{"result":{"snapshot":{"lastPage":true}}}'
MARKET_DATA = recorded_frames("future-market-data")[0]
FIRST_FRAMES: dict[str, Sequence[Frame]] = {  # stream -> what a node without orders, positions and accounts sends first
    "markets/data": [MARKET_DATA],
    "accounts": [EMPTY_SNAPSHOT],
    "orders": [EMPTY_SNAPSHOT],
    "positions": [EMPTY_SNAPSHOT],
}


def market_data_frame(timestamp: int) -> str:
    """Return a frame of market data that the node made at a time, in nanoseconds."""
    content = json.loads(MARKET_DATA)
    content["result"]["marketData"][0]["timestamp"] = str(timestamp)
    return json.dumps(content)


def order_frame(kind: str = "updates", last: bool = False, **changes: Any) -> str:
    """Return a frame of the orders stream with one order.

    Args:
        kind: "updates" or "snapshot".
        last: whether it is the last page of a snapshot.
        changes: replace or add fields of the order, named as the node names them.
    """
    node = {"id": "a" * 64, "marketId": MARKET, "partyId": BOT, "side": 1, "price": "9990001", "size": "413", "remaining": "107"}
    body = {"orders": [{**node, "timeInForce": 1, "type": 1, "status": 1, **changes}]}
    return json.dumps({"result": {kind: {**body, "lastPage": True} if last else body}})


def encode_frame(text: str) -> bytes:
    """Return a text frame of 126 to 65,535 bytes as it is on the wire."""
    payload = text.encode()
    assert 126 <= len(payload) < 2**16
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
