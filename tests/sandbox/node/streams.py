"""The data node's WebSocket streams: subscriptions, snapshots and updates.

Everything here runs on the sandbox's event loop. A snapshot is made and its subscription added without an await in between, so no
block is missed between a snapshot and the first update.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Optional, Union

from aiohttp import web

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.records import Block, Order
from tests.sandbox.faults import Faults
from tests.sandbox.limited_log import LimitedLog
from tests.sandbox.node.depth import Depths
from tests.sandbox.node.responses import ApiError, check_ids, compact, error_without_details, is_id, not_found
from tests.sandbox.node.serializers import Node, account_node, market_data_node, order_node, position_node, stream_node, trade_node
from tests.sandbox.node.subscription import (
    DISCONNECT_MODES,
    MARKET_STREAMS,
    MAX_CLIENT_MESSAGE,
    PARAMETERS,
    Channel,
    LinesChannel,
    Subscription,
    WebSocketChannel,
)
from tests.sandbox.node.turns import Turns

LIST_KEYS = {"markets/data": "marketData", "trades": "trades"}  # streams whose frames are lists -> the key of the list
DEPTH_KEYS = {"markets/depth": "marketDepth", "markets/depth/updates": "update"}
MAX_LIST = 50  # records in a frame
MAX_SUBSCRIPTIONS = 250  # open connections per IP address
MAX_WAITING = 2 * 2**20  # bytes that one connection may leave unread
MAX_WAITING_PER_ADDRESS = 20 * 2**20  # bytes that all connections of one address may leave unread

Group = tuple[str, tuple[str, ...]]  # market id and parties of a record; filters depend on nothing else
Entry = tuple[Group, str]  # with the node as JSON

log = LimitedLog(__name__)


class Streams:
    """All subscriptions; sends each block's changes to them."""

    def __init__(self, chain: Chain, depths: Depths, faults: Faults, turns: Turns) -> None:
        self._chain, self._depths, self._faults, self._turns = chain, depths, faults, turns
        self.accepted: Counter[str] = Counter()  # stream -> connections accepted so far
        self._open: set[Subscription] = set()
        self._waiting: Counter[str] = Counter()  # address -> accepted connections that wait for their turn
        self._snapshots: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[bytes]] = {}  # of this block, by filters
        # Live orders as they are sent, by id: a snapshot of many thousand orders, asked for with ever new filters, must delay no block.
        self._orders: dict[str, Entry] = {}

    @property
    def open(self) -> frozenset[Subscription]:
        """All open subscriptions."""
        return frozenset(self._open)

    def open_connections(self) -> Counter[str]:
        return Counter(subscription.stream for subscription in self._open)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Answer a WebSocket handshake or a plain GET, and serve the stream until it is closed."""
        if self._faults.stream_status:
            return web.json_response(error_without_details(self._faults.stream_status), status=self._faults.stream_status)
        stream = request.match_info["stream"]
        connection = web.WebSocketResponse(compress=False, autoclose=False, max_msg_size=MAX_CLIENT_MESSAGE)
        if not connection.can_prepare(request):
            return await self._serve_lines(stream, request)
        await connection.prepare(request)
        subscription = self._subscribe(stream, request, WebSocketChannel(connection, request.transport))
        if isinstance(subscription, Subscription):
            await self._serve(subscription)
        else:
            await _reject(request, connection, subscription[1])
        return connection

    async def _serve_lines(self, stream: str, request: web.Request) -> web.StreamResponse:
        channel = LinesChannel(request)
        subscription = self._subscribe(stream, request, channel)
        if isinstance(subscription, Subscription):
            await self._serve(subscription)
            return channel.response
        status, body = subscription
        if stream not in PARAMETERS:
            body = not_found()
        return web.Response(status=status, body=f"{compact(body)}\n".encode(), headers={"Content-Type": "application/json"})

    def _subscribe(self, stream: str, request: web.Request, channel: Channel) -> Union[Subscription, tuple[int, dict[str, Any]]]:
        """Return a new subscription, or the HTTP status and the frame of the error."""
        if stream not in PARAMETERS:
            return 404, {"code": 5, "message": "Not Found"}
        self.accepted[stream] += 1
        subscription = Subscription(stream, request, channel)
        present = sum(other.remote == subscription.remote for other in self._open) + self._waiting[subscription.remote]
        if present >= MAX_SUBSCRIPTIONS:
            return 429, {"error": {"code": 8, "message": "client reached max subscription allowed"}}
        try:
            _check(subscription, self._chain)
        except ApiError as error:
            return error.status, error.stream()
        return subscription

    async def _serve(self, subscription: Subscription) -> None:
        self._waiting[subscription.remote] += 1
        async with self._turns.take(subscription.remote):
            self._waiting[subscription.remote] -= 1
            self._open.add(subscription)
            self._send_snapshot(subscription)
        try:
            await subscription.run()
        finally:
            self._open.discard(subscription)

    def publish(self, block: Block) -> None:
        """Queue a block's changes to all subscriptions whose filters they pass."""
        self._snapshots.clear()
        budget = _Budget(self._open)
        changes = _Changes(self._chain, self._depths, block)
        for subscription in list(self._open):
            if subscription.awaits_snapshot:
                self._send_snapshot(subscription)
            elif subscription.stream not in self._faults.silent_streams and not subscription.is_disconnected:
                frames = changes.frames(subscription)
                subscription.send(frames)
                budget.spend(subscription, sum(map(len, frames)))
        self._open -= budget.disconnected
        for order in block.orders:
            entry = changes.orders.get(order.id)
            if entry and not order.is_finished:
                self._orders[order.id] = entry
            else:
                self._orders.pop(order.id, None)

    def disconnect(self, how: str, stream: Optional[str] = None) -> int:
        """Close all connections of one stream, or of all, in one of DISCONNECT_MODES. Return their number."""
        if how not in DISCONNECT_MODES:
            raise ValueError(f"{how!r} is not one of {', '.join(DISCONNECT_MODES)}")
        disconnected = {subscription for subscription in self._open if stream in (None, subscription.stream)}
        self._open -= disconnected
        for subscription in disconnected:
            subscription.disconnect(how)
        return len(disconnected)

    def _send_snapshot(self, subscription: Subscription) -> None:
        """Send the snapshot. On a silenced stream it is sent with the first block after the silence."""
        if not subscription.awaits_snapshot or subscription.stream in self._faults.silent_streams:
            return
        subscription.awaits_snapshot = False
        frames = self._snapshots.get(subscription.filters)
        if frames is None:
            nodes = [node for _, node in self._snapshot_entries(subscription)]
            frames = self._snapshots[subscription.filters] = list(_snapshot_frames(subscription, nodes))
        subscription.send(frames, snapshot=True)

    def _snapshot_entries(self, subscription: Subscription) -> Iterator[Entry]:
        """Return the current records that pass the filters. Others are not serialised: thirty bots may reconnect at the same time."""
        if subscription.stream == "orders":
            live = self._chain.newest_orders(subscription.parties, live_only=True)
            return (self._order(order) for order in live if subscription.matches(order.market_id, [order.party_id]))
        if subscription.stream == "positions":
            positions = (p for p in self._chain.positions.values() if subscription.matches(p.market_id, [p.party_id]))
            return (_entry(position_node(position)) for position in positions)
        accounts = (a for a in self._chain.accounts.values() if subscription.matches(a.market_id, [a.owner]))
        return (_entry(account_node(account)) for account in accounts)

    def _order(self, order: Order) -> Entry:
        if order.id not in self._orders:
            self._orders[order.id] = _entry(order_node(order))
        return self._orders[order.id]


class _Changes:
    """The changes of one block as frames. A frame is made once, however many subscriptions get it."""

    def __init__(self, chain: Chain, depths: Depths, block: Block) -> None:
        self._nodes: dict[str, Callable[[], list[Node]]] = {
            "markets/data": lambda: [market_data_node(chain, market) for market in chain.markets.values()],
            "orders": lambda: [order_node(order) for order in block.orders],
            "positions": lambda: [position_node(position) for position in block.positions],
            "accounts": lambda: [{**account_node(account), "parentPartyId": account.owner} for account in block.accounts],
            "trades": lambda: [trade_node(trade) for trade in block.trades],
            "markets/depth": depths.snapshots,
            "markets/depth/updates": depths.updates,
        }
        self._block = block
        self.orders: dict[str, Entry] = {}  # by id, once a subscription to orders has asked for them
        self._groups: dict[str, dict[Group, list[tuple[int, str]]]] = {}  # stream -> group -> numbered nodes
        self._frames: dict[tuple[str, tuple[Group, ...]], list[bytes]] = {}  # (stream, groups) -> frames

    def frames(self, subscription: Subscription) -> list[bytes]:
        stream = subscription.stream
        groups = self._groups.get(stream)
        if groups is None:
            groups = self._groups[stream] = self._group(stream)
        chosen = tuple(group for group in groups if subscription.matches(*group))
        if (stream, chosen) not in self._frames:
            numbered = sorted(node for group in chosen for node in groups[group])
            self._frames[stream, chosen] = list(_update_frames(stream, [node for _, node in numbered]))
        return self._frames[stream, chosen]

    def _group(self, stream: str) -> dict[Group, list[tuple[int, str]]]:
        groups: dict[Group, list[tuple[int, str]]] = defaultdict(list)
        entries = [_entry(node) for node in self._nodes[stream]()]
        if stream == "orders":
            self.orders = {order.id: entry for order, entry in zip(self._block.orders, entries, strict=True)}
        for number, (group, node) in enumerate(entries):
            groups[group].append((number, node))
        return groups


class _Budget:
    """Disconnects clients that read too slowly: those of the connection limit, and the slowest of an address over its limit."""

    def __init__(self, subscriptions: set[Subscription]) -> None:
        self.disconnected: set[Subscription] = set()
        self._by_address: dict[str, list[Subscription]] = defaultdict(list)
        for subscription in subscriptions:
            self._by_address[subscription.remote].append(subscription)
        self._waiting = {address: sum(each.waiting_bytes for each in own) for address, own in self._by_address.items()}

    def spend(self, subscription: Subscription, size: int) -> None:
        """Note that so many bytes were queued for a subscription."""
        address = subscription.remote
        self._waiting[address] += size
        has_unread = subscription.overdue_bytes > size  # before this block: a client has had no time to read what was queued now
        if has_unread and subscription.overdue_bytes > MAX_WAITING:
            self._disconnect(subscription)
        while self._waiting[address] > MAX_WAITING_PER_ADDRESS and self._by_address[address]:
            self._disconnect(max(self._by_address[address], key=lambda each: each.waiting_bytes))

    def _disconnect(self, slow: Subscription) -> None:
        self._waiting[slow.remote] -= slow.waiting_bytes
        self._by_address[slow.remote].remove(slow)
        self.disconnected.add(slow)
        log.warning("slow reader", slow.remote, f"{slow.remote} does not read its stream {slow.stream}, so it was disconnected")
        slow.disconnect("cut")


def _entry(node: Node) -> Entry:
    market_id = node["market"] if "market" in node else node["marketId"]
    parties = (node["buyer"], node["seller"]) if "buyer" in node else (node.get("partyId") or node.get("owner") or "",)
    return (market_id, parties), compact(stream_node(node))


def _update_frames(stream: str, nodes: list[str]) -> Iterator[bytes]:
    if stream in DEPTH_KEYS:  # one frame per market
        yield from (f'{{"result":{{"{DEPTH_KEYS[stream]}":[{node}]}}}}'.encode() for node in nodes)
        return
    for some in _json_lists(nodes):
        content = f'"{LIST_KEYS[stream]}":{some}' if stream in LIST_KEYS else f'"updates":{{"{stream}":{some}}}'
        yield f'{{"result":{{{content}}}}}'.encode()


def _snapshot_frames(subscription: Subscription, nodes: list[str]) -> Iterator[bytes]:
    stream = subscription.stream
    if not nodes and stream == "positions" and subscription.markets and subscription.parties:
        return  # Vega sends nothing, not an empty snapshot, for one party on one market without a position
    pages = [f'"{stream}":{some}' for some in _json_lists(nodes)] or [""]
    last = '"lastPage":true'
    pages[-1] = f"{pages[-1]},{last}" if pages[-1] else last
    for page in pages:
        yield f'{{"result":{{"snapshot":{{{page}}}}}}}'.encode()


def _json_lists(nodes: list[str]) -> Iterator[str]:
    """Return JSON lists of at most MAX_LIST nodes."""
    return (f"[{','.join(nodes[start : start + MAX_LIST])}]" for start in range(0, len(nodes), MAX_LIST))


def _check(subscription: Subscription, chain: Chain) -> None:
    """Raise ApiError if Vega would reject the subscription; the message depends on the stream."""
    markets, parties = list(subscription.markets), list(subscription.parties)
    if subscription.stream in MARKET_STREAMS:
        for unknown in (market_id for market_id in markets if market_id not in chain.markets):
            raise ApiError(500, 10000, f"no market found for id: {unknown}: malformed request")
    elif subscription.stream == "orders":
        check_ids(markets, parties)
    elif subscription.stream == "positions" and not all(map(is_id, markets + parties)):
        filters = "+".join(name for name, ids in (("market", markets), ("party", parties)) if ids)
        inner = f"getting initial positions by {filters}: not a valid hex id (or well known exception)"
        raise ApiError(400, 160002, "failed to send positions snapshot", inner)
    elif subscription.stream == "accounts":
        for name, malformed in [("party", p) for p in parties if not is_id(p)] + [("market", m) for m in markets if not is_id(m)]:
            inner = f"could not decode {name} ID: decoding '{malformed}': not a valid hex id (or well known exception)"
            inner = f"fetching account balance initial image: querying account balances: {inner}"
            raise ApiError(400, 80008, "failed to send accounts snapshot", inner)


async def _reject(request: web.Request, connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    """Send an error frame, then close the connection as Vega does: without a close frame."""
    await connection.send_str(compact(frame))
    if request.transport:
        request.transport.close()
