"""Exercise 6, solved. The bot does the same with `SnapshotAssembler` (bot/sync.py)."""

from typing import Any

Node = dict[str, Any]
OPEN = (1, 8)  # order statuses ACTIVE and PARKED, as streams send them


def identity(kind: str, node: Node) -> str:
    """Return the key that identifies a record among those of its kind."""
    if kind == "orders":
        return str(node["id"])
    if kind == "positions":
        return str(node["marketId"])
    return f"{node['owner']}-{node.get('marketId', '')}-{node['type']}-{node['asset']}"


class StreamCopy:
    """The records of one stream, also after its connection broke."""

    def __init__(self, kind: str) -> None:
        self._kind = kind  # orders, positions or accounts
        self._records: dict[str, Node] = {}
        self._pages: dict[str, Node] = {}  # of a snapshot whose last page has not arrived

    def on_connect(self) -> None:
        """A new connection is open. Its frames follow."""
        self._pages = {}  # the last connection may have broken in the middle of its snapshot

    def on_frame(self, result: dict[str, Any]) -> None:
        """Apply one frame: a page of a snapshot, or updates."""
        body = result["snapshot"] if "snapshot" in result else result["updates"]
        nodes = {identity(self._kind, node): node for node in body.get(self._kind, [])}
        if "snapshot" in result:
            self._pages.update(nodes)
            if body.get("lastPage"):
                self._records, self._pages = self._pages, {}  # replace, not update: what is not in a snapshot is gone
        else:
            self._records.update(nodes)
        if self._kind == "orders":
            self._records = {key: node for key, node in self._records.items() if node.get("status") in OPEN}

    def records(self) -> dict[str, Node]:
        return dict(self._records)
