"""Exercise 6. Edit this file, then: .venv/bin/python -m tests.exercises 6"""

from typing import Any

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
    """One stream's records, as far as its frames say. It works until the first connection breaks."""

    def __init__(self, kind: str) -> None:
        self._kind = kind  # orders, positions or accounts
        self._records: dict[str, Node] = {}
        self._pages: dict[str, Node] = {}  # of the snapshot that is coming in

    def opened(self) -> None:
        """A new connection has been made; its frames follow."""

    def take(self, result: dict[str, Any]) -> None:
        """Apply one frame: a page of a snapshot, or updates."""
        body = result.get("snapshot", result.get("updates"))
        nodes = {identity(self._kind, node): node for node in body.get(self._kind, [])}
        if "snapshot" in result:
            self._pages.update(nodes)
            if body.get("lastPage"):
                self._records.update(self._pages)
        else:
            self._records.update(nodes)
        if self._kind == "orders":
            self._records = {key: node for key, node in self._records.items() if node.get("status") in LIVE}

    def records(self) -> dict[str, Node]:
        return dict(self._records)
