"""What keeps the store equal to the node: the pages of a snapshot, and look-ups of ids that the store does not know.

Not on the page, which merges snapshots into what it holds, and fails at an unknown id.
"""

import math
import re
import time
from collections.abc import Callable
from typing import Any, Generic, Optional, TypeVar

from bot.parsing import ParseError
from bot.transport.error_text import truncate
from bot.vega_api_client import VegaApiError

Record = TypeVar("Record")
Item = TypeVar("Item")

RELOOKUP_INTERVAL = 60.0  # seconds until an id that was not found is looked up again
LOOKUP_FAILURE_DELAY = 2.0  # seconds without look-ups after a failed one: a list can hold many unknown ids


class SnapshotAssembler(Generic[Record]):
    """Collects the pages of one stream's snapshot, apart from the store, until the last page has arrived.

    It also knows how old the store's records of that stream may be. Main thread. `mark_*` and `age` are called under the
    lock of those records, so that no reader sees new records with an old age, or the other way round.
    """

    def __init__(self) -> None:
        self._pages: Optional[dict[str, Record]] = None  # None while no snapshot is arriving
        self._updated_ids: set[str] = set()  # of updates that came between the pages, which are newer than the pages
        self._fresh_until: Optional[float] = -math.inf  # time.monotonic(); None while the stream keeps the records fresh

    def age(self) -> float:
        """Return the age of the store's records in seconds: 0 while their stream is connected, infinite before any."""
        fresh_until = self._fresh_until  # read once: the main thread may set it meanwhile
        return 0.0 if fresh_until is None else time.monotonic() - fresh_until

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Return what the stream's connection calls when it opens and when it is lost."""
        return {"on_open": self.on_connect, "on_disconnect": self.on_disconnect}

    def mark_seeded(self) -> None:
        """Note that the store holds what REST has just answered."""
        self._fresh_until = time.monotonic()

    def mark_fresh(self) -> None:
        """Note that the store holds a whole snapshot of the stream, which keeps it fresh from now on."""
        self._fresh_until = None

    def on_connect(self) -> None:
        """Forget the pages of a connection that was lost before the last one: a new connection starts a new snapshot."""
        self._pages, self._updated_ids = {}, set()

    def on_disconnect(self, latency: float) -> None:
        """Note that the stream was lost, and for how many seconds before that its data may have been late."""
        if self._fresh_until is None:
            self._fresh_until = time.monotonic() - latency

    def add(self, message: dict[str, Any], records: dict[str, Record]) -> Optional[dict[str, Record]]:
        """Add the records of one message. Return the whole snapshot with its last page, None otherwise."""
        is_page = "snapshot" in message
        if self._pages is None:
            if not is_page:
                return None
            self.on_connect()
        pages = self._pages = self._pages or {}
        if is_page:
            pages.update({key: record for key, record in records.items() if key not in self._updated_ids})
        else:
            pages.update(records)
            self._updated_ids.update(records)
        if not (is_page and message["snapshot"].get("lastPage")):
            return None
        self._pages = None
        return pages


class MissingItemLookup:
    """Fetches over REST what a frame names and the store does not know. Rarely: frames wait meanwhile. Main thread."""

    def __init__(self) -> None:
        self._fetched_at: dict[str, float] = {}  # id -> time.monotonic()
        self._paused_until = 0.0  # time.monotonic()

    def fetch(self, item_id: str, fetch: Callable[[], Item]) -> Item:
        """Return what `fetch` returns for an id.

        Raises:
            ParseError: it is not an id, nothing was found, or it is too early to look again.
        """
        if not (isinstance(item_id, str) and re.fullmatch("[0-9a-f]{64}", item_id)):
            raise ParseError(f"{truncate(item_id)} is not an id")
        now = time.monotonic()
        if now < max(self._fetched_at.get(item_id, -math.inf) + RELOOKUP_INTERVAL, self._paused_until):
            raise ParseError(f"{item_id} is unknown")
        self._fetched_at[item_id] = now
        self._paused_until = now + LOOKUP_FAILURE_DELAY
        try:
            item = fetch()
        except (VegaApiError, LookupError, TypeError) as error:
            raise ParseError(f"{item_id} is unknown: {error}") from error
        self._paused_until = 0.0
        return item
