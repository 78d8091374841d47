"""Exercise 6, solved with what the bot has."""

from typing import Any

from bot.parsing import body_of, nodes_of
from bot.sync import SnapshotAssembler

Node = dict[str, Any]
LIVE = (1, 8)  # order statuses ACTIVE and PARKED, as streams send them


def identity(kind: str, node: Node) -> str:
    """Return what tells this record from all others of its kind."""
    if kind == "orders":
        return str(node["id"])
    if kind == "positions":
        return str(node["marketId"])
    return f"{node['owner']}-{node.get('marketId', '')}-{node['type']}-{node['asset']}"


class Mirror:
    """One stream's records, as far as its frames say. A snapshot replaces all of them once its last page is in."""

    def __init__(self, kind: str) -> None:
        self._kind = kind  # orders, positions or accounts
        self._records: dict[str, Node] = {}
        self._snapshot: SnapshotAssembler[Node] = SnapshotAssembler()

    def opened(self) -> None:
        self._snapshot.on_connect()  # forgets the pages of a connection that broke before its last one

    def take(self, result: dict[str, Any]) -> None:
        nodes = {identity(self._kind, node): node for node in nodes_of(body_of(result), self._kind)}
        whole = self._snapshot.add(result, nodes)
        if whole is not None:
            self._records = whole
        elif "updates" in result:
            self._records.update(nodes)
        if self._kind == "orders":
            self._records = {key: node for key, node in self._records.items() if node.get("status") in LIVE}

    def records(self) -> dict[str, Node]:
        return dict(self._records)
