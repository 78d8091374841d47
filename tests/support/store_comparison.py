"""The content of a store beside the node's REST answers: both in the same form, so that a test can compare them."""

from pathlib import Path
from typing import Any

import requests

from tests.sandbox import Sandbox
from tests.support.processes import StoreProcess
from tests.support.waiting import DEFAULT_TIMEOUT, wait_until

State = dict[str, dict[Any, dict[str, Any]]]  # kind of record -> what tells one from the others -> record


def quiet_store(log: Path, ws_url: str, rest_url: str, market_id: str, party_id: str, reconnect: float) -> StoreProcess:
    """Return a StoreProcess that logs to a file, so that no line of the log falls into one of its long answers."""
    setup = f"import logging; logging.basicConfig(filename={str(log)!r}, level='INFO', format='%(message)s')"
    return StoreProcess(ws_url, rest_url, market_id, party_id, setup=setup, reconnect=reconnect)


def store_state(store: StoreProcess) -> State:
    """Return what a store holds."""
    return {
        "orders": {order["order_id"]: order for order in store.ask("get_orders")},
        "positions": {position["market_id"]: position for position in store.ask("get_positions")},
        "accounts": {(each["market_id"], each["account_type"], each["asset_id"]): each for each in store.ask("get_accounts")},
    }


def wait_for_state(store: StoreProcess, expected: State, context: str = "") -> None:
    """Wait until a store holds just these records; otherwise fail with the records that differ and the context."""

    def differences() -> str:
        found = store_state(store)
        keys = [(kind, key) for kind in expected for key in {**found[kind], **expected[kind]}]
        pairs = [(kind, found[kind].get(key), expected[kind].get(key)) for kind, key in keys]
        return "\n".join(f"{kind}: {one}, expected {other}" for kind, one, other in pairs if one != other)

    wait_until(lambda: store_state(store) == expected, message=lambda: f"{context}\n{differences()}")


class RestState:
    """A sandbox's REST answers about one party, turned into the store's records without the bot's own parsers."""

    def __init__(self, sandbox: Sandbox, party: str) -> None:
        self._url, self._party, self._session = sandbox.node_url, sandbox.parties[party], requests.Session()
        self._markets, self._assets = sandbox.chain.markets, sandbox.chain.assets  # neither changes while it runs

    def close(self) -> None:
        self._session.close()

    def read(self) -> State:
        """Return what the node says now. Raises requests.ConnectionError while it is down."""
        return {
            "orders": {order["id"]: self._order(order) for order in self._get("orders", "&filter.liveOnly=true")},
            "positions": {position["marketId"]: self._position(position) for position in self._get("positions")},
            "accounts": {(each["marketId"], each["type"], each["asset"]): self._account(each) for each in self._get("accounts")},
        }

    def _get(self, name: str, query: str = "") -> list[dict[str, Any]]:
        url = f"{self._url}/{name}?filter.partyIds={self._party}{query}"
        body = self._session.get(url, timeout=DEFAULT_TIMEOUT).json()[name]
        assert not body["pageInfo"]["hasNextPage"]
        return [edge["node"] for edge in body["edges"]]

    def _order(self, node: dict[str, Any]) -> dict[str, Any]:
        market = self._markets[node["marketId"]]
        return {
            "order_id": node["id"],
            "market_id": node["marketId"],
            "size": int(node["size"]) / 10**market.size_decimals,
            "remaining_size": int(node["remaining"]) / 10**market.size_decimals,
            "price": int(node["price"]) / 10**market.price_decimals,
            "order_type": node["type"],
            "time_in_force": node["timeInForce"],
            "status": node["status"],
            "party_id": node["partyId"],
            "side": node["side"],
            "reason": node.get("reason", ""),
            "reference": node["reference"],
            "updated_at": max(int(node["createdAt"]), int(node["updatedAt"])),
        }

    def _position(self, node: dict[str, Any]) -> dict[str, Any]:
        market = self._markets[node["marketId"]]
        money = 10**market.settlement_asset.decimals
        return {
            "party_id": node["partyId"],
            "market_id": node["marketId"],
            "open_volume": int(node["openVolume"]) / 10**market.size_decimals,
            "average_entry_price": int(node["averageEntryPrice"]) / 10**market.price_decimals,
            "unrealised_pnl": int(node["unrealisedPnl"]) / money,
            "realised_pnl": int(node["realisedPnl"]) / money,
            "updated_at": int(node["updatedAt"]),
        }

    def _account(self, node: dict[str, Any]) -> dict[str, Any]:
        return {
            "owner": node["owner"],
            "account_type": node["type"],
            "balance": int(node["balance"]) / 10 ** self._assets[node["asset"]].decimals,
            "asset_id": node["asset"],
            "market_id": node["marketId"],
        }
