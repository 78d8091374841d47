"""Helpers of the store: snapshots, the age of data, look-ups of unknown ids, and the history of orders.

Not on the page, which merges snapshots into its old records, fails at an unknown id, and does not know the age of its data.
"""

import itertools
import math
import re
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, Optional, TypeVar

from bot.models import Account, Market, Order, Position
from bot.parsing import ParseError
from bot.transport import clock
from bot.transport.error_text import truncate
from bot.vega_api_client import VegaApiError

Record = TypeVar("Record")
Item = TypeVar("Item")

RELOOKUP_INTERVAL = 60.0  # seconds until an id that was not found is looked up again
SNAPSHOT_TIMEOUT = 10.0  # seconds from a connection to the last page of its snapshot
MAX_ORDER_UPDATES = 2000  # the newest updates, which are kept for readers
BLOCK_INTERVALS = 20  # the newest ones, for their median
BASELINE_DRIFT = 0.01  # seconds per second by which the chain's clock may be slower than the local one
LOOKUP_FAILURE_DELAY = 2.0  # seconds without look-ups after a failed one: a list can hold many unknown ids


class SnapshotAssembler(Generic[Record]):
    """Collects the pages of one stream's snapshot, apart from the store, until the last page has arrived.

    It also knows how old the store's records of that stream may be. Main thread. `mark_*` and `age` are called under the
    lock of those records, so that no reader sees new records with an old age, or the other way round.
    """

    def __init__(self) -> None:
        self.is_complete = False  # the last page of this connection's snapshot has arrived
        self.count = 0  # of whole snapshots so far
        self._pages: Optional[dict[str, Record]] = None  # None while no snapshot is arriving
        self._updated_ids: set[str] = set()  # of updates that came between the pages, which are newer than the pages
        self._fresh_until: Optional[float] = -math.inf  # clock.now(); None while the stream keeps the records fresh
        self._connected_at = math.inf  # clock.now()

    def age(self) -> float:
        """Return the age of the store's records in seconds: 0 while their stream keeps them, infinite before any."""
        fresh_until = self._fresh_until  # read once: the main thread may set it meanwhile
        return 0.0 if fresh_until is None else max(1e-9, clock.now() - fresh_until)  # never 0 without the stream

    def mark_seeded(self) -> None:
        """Note that the store holds the records that REST has just returned."""
        self._fresh_until = clock.now()

    def mark_fresh(self) -> None:
        """Note that the store holds a whole snapshot of the stream, which keeps it fresh from now on."""
        self._fresh_until = None

    def mark_stale(self, latency: float) -> None:
        """Note that the stream was lost, and for how many seconds before that its data may have been late."""
        if self._fresh_until is None:
            self._fresh_until = clock.now() - latency

    def on_connect(self) -> None:
        """Forget the pages of a connection that was lost before the last one: a new connection starts a new snapshot."""
        self.is_complete = False
        self._pages, self._updated_ids = {}, set()
        self._connected_at = clock.now()

    def is_overdue(self) -> bool:
        """Return whether the connection has not delivered its snapshot in time."""
        return not self.is_complete and clock.now() - self._connected_at > SNAPSHOT_TIMEOUT

    def add(self, message: dict[str, Any], records: dict[str, Record]) -> Optional[dict[str, Record]]:
        """Add the records of one message. Return the whole snapshot with its last page, None otherwise.

        A page that comes again after the last one returns None too; with `is_complete`, its records count like updates.
        """
        is_page = "snapshot" in message
        if self._pages is None:
            if self.is_complete or not is_page:
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
        self.is_complete = True
        self.count += 1
        return pages


class DataAge:
    """How old one market's data is at the node. Called under the markets' lock.

    A node that falls behind sends old blocks at the usual pace, so the time of arrival says little. The age of a block is the
    local clock less the block's time, less a baseline: the smallest such difference seen, since the two clocks differ. The
    baseline survives reconnects, and may rise slowly, so that a chain with a slow clock does not look late. A node that was
    behind from the start looks the same as one whose clock is behind.
    """

    def __init__(self) -> None:
        self.blocks = 0  # seen on the stream
        self._timestamp = 0  # ns of chain time, of the newest block; 0 if unknown
        self._sent_at = -math.inf  # clock.now() when the node sent it, at the latest
        self._baseline = math.inf  # seconds
        self._baseline_at = 0.0  # clock.now()
        self._arrived_at = math.nan  # clock.now()
        self._intervals: deque[float] = deque(maxlen=BLOCK_INTERVALS)  # seconds between two arrivals

    def on_seed(self) -> None:
        """Note that REST has just answered with the newest block's data."""
        self._sent_at = clock.now()

    def on_block(self, timestamp: int, latency: float) -> None:
        """Note a frame of the stream: its block's time in ns, and for how many seconds it may have been in flight."""
        arrived_at = clock.now()
        self._sent_at = arrived_at - latency
        if timestamp and timestamp != self._timestamp:
            difference = arrived_at - timestamp / 1e9
            self._baseline = min(difference, self._baseline + BASELINE_DRIFT * (arrived_at - self._baseline_at))
            self._baseline_at = arrived_at
        if timestamp == 0 or timestamp != self._timestamp:
            self.blocks += 1
            if not math.isnan(self._arrived_at):
                self._intervals.append(arrived_at - self._arrived_at)
            self._arrived_at = arrived_at
        self._timestamp = timestamp

    def seconds(self) -> float:
        """Return the age in seconds; infinite before any data."""
        now = clock.now()
        age = now - self._sent_at
        return max(age, now - self._timestamp / 1e9 - self._baseline) if self._timestamp else age

    def block_interval(self) -> float:
        """Return the median time between two blocks in seconds; 0 before two."""
        return statistics.median(self._intervals) if self._intervals else 0.0


class OrderHistory:
    """The newest updates of the party's orders, for readers that must not miss one. Called under the orders' lock."""

    def __init__(self) -> None:
        self._updates: deque[Order] = deque(maxlen=MAX_ORDER_UPDATES)
        self._count = 0  # of all updates ever
        self._rejections: dict[str, tuple[str, int]] = {}  # market id -> reason, and rejections in a row for it

    def add(self, order: Order) -> None:
        """Note one order of a frame, dead or alive."""
        self._updates.append(order)
        self._count += 1
        if is_rejected(order):
            reason, count = self._rejections.get(order.market_id, ("", 0))
            self._rejections[order.market_id] = (order.reason, count + 1 if order.reason == reason else 1)
        elif order.status not in ("STATUS_CANCELLED", "STATUS_EXPIRED"):  # these do not say whether the network takes new orders
            self._rejections.pop(order.market_id, None)

    def since(self, position: int) -> tuple[int, list[Order]]:
        """Return the position to ask with next time, and the updates since `position`, oldest first."""
        new = max(0, min(self._count - position, len(self._updates)))
        return self._count, list(itertools.islice(reversed(self._updates), new))[::-1]

    def rejections(self, market_id: str) -> tuple[str, int]:
        """Return the reason of the newest rejection on a market, and how many orders in a row were rejected for it."""
        return self._rejections.get(market_id, ("", 0))


def is_rejected(order: Order) -> bool:
    """Return whether the network did not want an order. An IOC order that finds nothing is stopped without a reason."""
    return order.status == "STATUS_REJECTED" or (order.status == "STATUS_STOPPED" and bool(order.reason))


def spot_position(market: Market, party_id: str, accounts: list[Account], balances_at_start: Mapping[str, float]) -> Position:
    """Return the change of the base balance since the start, in contracts: spot markets have no positions."""
    change = total_balance(accounts, market.base_asset_id) - balances_at_start.get(market.base_asset_id, 0.0)
    return Position(
        party_id=party_id,
        market_id=market.market_id,
        open_volume=round(change, market.position_decimal_places) + 0.0,  # never -0.0
        average_entry_price=0.0,
        unrealised_pnl=0.0,
        realised_pnl=0.0,
    )


def total_balance(accounts: list[Account], asset_id: str) -> float:
    """Return all that a party has of an asset, including what resting orders hold."""
    return math.fsum(account.balance for account in accounts if account.asset_id == asset_id)


class MissingItemLookup:
    """Fetches items over REST that a frame names and the store does not have. Rarely, because frames wait for it. Main thread."""

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
