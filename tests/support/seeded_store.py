"""A VegaStore in the test's own process, seeded by a scripted node, and what the recordings hold for it."""

import json
from typing import Any

from bot.vega_store import VegaStore
from tests.support.scripted_node import BOT, MARKETS, ScriptedNode, recorded, recorded_frames

DAI = "001eeef746496f66af378f13c1f9bedbca4e6d57804e701810dbaf682a87706c"


def seeded_store(node: ScriptedNode) -> VegaStore:
    """Return a store with what a node's REST knows. No stream updates it."""
    store = VegaStore(websocket_url=node.ws_url, rest_api_url=node.rest_url)
    store.load_data(party_id=BOT)
    return store


def results(name: str) -> list[dict[str, Any]]:
    """Return the `result` of each frame of a recording."""
    return [json.loads(text)["result"] for text in recorded_frames(name)]


def rest_at_the_end(name: str) -> list[dict[str, Any]]:
    """Return the nodes that REST gave when the recorded streams ended."""
    return [edge["node"] for edge in recorded(f"bot-end-{name}")["body"][name]["edges"]]


def order_node(**changes: Any) -> dict[str, Any]:
    """Return an order as a stream sends it."""
    node = {"id": "a" * 64, "marketId": MARKETS["future"], "partyId": BOT, "side": 1, "price": "9990001", "size": "413"}
    return {**node, "remaining": "107", "timeInForce": 1, "type": 1, "status": 1, "version": "1", **changes}
