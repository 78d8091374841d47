"""The data node's WebSocket streams: subscriptions, snapshots and updates.

Everything here runs on the sandbox's event loop. A snapshot is made and its subscription added without an await in between, so no
block is missed between a snapshot and the first update.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Optional, Union

from aiohttp import web

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.records import Block
from tests.sandbox.faults import Faults
from tests.sandbox.node.responses import ApiError, check_ids, compact, error_without_details, is_id, not_found, query_of
from tests.sandbox.node.serializers import Node, account_node, market_data_node, order_node, position_node, stream_node

MAX_LIST = 50  # records in a frame
MAX_SUBSCRIPTIONS = 250  # open connections per IP address
MAX_BACKLOG = 10_000  # frames; a client with more unread frames is disconnected

PARAMETERS = {  # stream -> names of its market and party filters
    "markets/data": ("marketIds", ""),
    "orders": ("marketIds", "partyIds"),
    "positions": ("marketId", "partyId"),
    "accounts": ("marketId", "partyId"),
}
DISCONNECT_MODES = ("reset", "cut", "1000", "1001", "1011")

Entry = tuple[str, str, str]  # market id, party id, and the node as JSON; made once per block for all subscriptions


class Subscription:
    """One client of one stream: its filters and its unsent frames."""

    def __init__(self, stream: str, request: web.Request, connection: web.WebSocketResponse) -> None:
        market_filter, party_filter = PARAMETERS[stream]
        self.stream = stream
        query = query_of(request)
        self.markets = query.getall(market_filter, [])
        self.parties = query.getall(party_filter, [])
        self.remote = request.remote
        self.awaits_snapshot = stream != "markets/data"
        self.opened_at = time.monotonic()
        self.frames = 0  # sent
        self.sent_at: Optional[float] = None  # when the last frame was sent, on the monotonic clock
        self._connection = connection
        self._closing = False
        self._transport = request.transport
        self._backlog: asyncio.Queue[Union[str, int]] = asyncio.Queue(MAX_BACKLOG)  # frames to send; a number is a close code

    @property
    def waiting(self) -> int:
        """Number of unsent frames."""
        return self._backlog.qsize()

    def matches(self, market_id: str, party_id: str) -> bool:
        """Return whether a record passes the filters. Market data is sent only for markets named in the filter."""
        any_market = not self.markets and self.stream != "markets/data"
        return (any_market or market_id in self.markets) and (not self.parties or party_id in self.parties)

    def send(self, frame: Union[str, int]) -> None:
        """Queue a frame. A client with too many unread frames is disconnected instead."""
        try:
            self._backlog.put_nowait(frame)
        except asyncio.QueueFull:
            self.drop("cut")

    def drop(self, how: str) -> None:
        """Close the connection in one of DISCONNECT_MODES."""
        if how.isdecimal():
            self.send(int(how))
        elif self._transport:
            if how == "reset":  # a linger time of zero makes close() send RST instead of FIN
                linger = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()

    async def run(self) -> None:
        """Serve the connection until either side closes it. Reading answers the client's pings and its close frame."""
        writer = asyncio.create_task(self._write())
        try:
            async for _ in self._connection:
                pass
            if self._closing:  # the writer ended the reading in order to send a close frame
                await writer
        finally:
            writer.cancel()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while isinstance(frame := await self._backlog.get(), str):
                await self._connection.send_str(frame)
                self.frames += 1
                self.sent_at = time.monotonic()
            self._closing = True
            await self._connection.close(code=frame)


class Streams:
    """All subscriptions; sends each block's changes to them."""

    def __init__(self, chain: Chain, switches: Faults) -> None:
        self._chain, self._faults = chain, switches
        self.accepted: Counter[str] = Counter()  # stream -> connections accepted so far
        self._open: set[Subscription] = set()

    @property
    def open(self) -> frozenset[Subscription]:
        """All open subscriptions."""
        return frozenset(self._open)

    def open_connections(self) -> Counter[str]:
        return Counter(subscription.stream for subscription in self._open)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Answer a handshake, and serve the stream until it is closed."""
        if self._faults.stream_status:
            return web.json_response(error_without_details(self._faults.stream_status), status=self._faults.stream_status)
        connection = web.WebSocketResponse(compress=False)  # no heartbeat: a Vega node sends no pings
        if not connection.can_prepare(request):
            return web.json_response(not_found(), status=404)
        await connection.prepare(request)
        stream = request.match_info["stream"]
        if stream not in PARAMETERS:
            return await _reject(request, connection, {"code": 5, "message": "Not Found"})
        self.accepted[stream] += 1
        subscription = Subscription(stream, request, connection)
        if rejection := self._rejection(subscription):
            return await _reject(request, connection, rejection)
        self._open.add(subscription)
        try:
            self._send_snapshot(subscription)
            await subscription.run()
        finally:
            self._open.discard(subscription)
        return connection

    def publish(self, block: Block) -> None:
        """Queue a block's changes to all subscriptions whose filters they pass."""
        changed = self._update_entries(block)
        for subscription in list(self._open):
            if subscription.awaits_snapshot:
                self._send_snapshot(subscription)
            elif subscription.stream not in self._faults.silent_streams:
                entries = changed[subscription.stream]
                chosen = [node for market_id, party_id, node in entries if subscription.matches(market_id, party_id)]
                for frame in _update_frames(subscription.stream, chosen):
                    subscription.send(frame)

    def drop(self, how: str, stream: Optional[str] = None) -> int:
        """Close all connections of one stream, or of all, in one of DISCONNECT_MODES. Return their number."""
        if how not in DISCONNECT_MODES:
            raise ValueError(f"{how!r} is not one of {', '.join(DISCONNECT_MODES)}")
        dropped = {subscription for subscription in self._open if stream in (None, subscription.stream)}
        self._open -= dropped
        for subscription in dropped:
            subscription.drop(how)
        return len(dropped)

    def _rejection(self, subscription: Subscription) -> Optional[dict[str, Any]]:
        if sum(other.remote == subscription.remote for other in self._open) >= MAX_SUBSCRIPTIONS:
            return {"error": {"code": 8, "message": "client reached max subscription allowed"}}
        try:
            _check(subscription, self._chain)
        except ApiError as error:
            return error.stream()
        return None

    def _send_snapshot(self, subscription: Subscription) -> None:
        """Send the snapshot. On a silenced stream it is sent with the first block after the silence."""
        if not subscription.awaits_snapshot or subscription.stream in self._faults.silent_streams:
            return
        subscription.awaits_snapshot = False
        for frame in _snapshot_frames(subscription, [node for _, _, node in self._snapshot_entries(subscription)]):
            subscription.send(frame)

    def _snapshot_entries(self, subscription: Subscription) -> Iterator[Entry]:
        """Return the current records that pass the filters. Others are not serialised: thirty bots may reconnect at the same time."""
        if subscription.stream == "orders":
            live = self._chain.newest_orders(subscription.parties, live_only=True)
            return (_entry(order_node(order)) for order in live if subscription.matches(order.market_id, order.party_id))
        if subscription.stream == "positions":
            positions = (p for p in self._chain.positions.values() if subscription.matches(p.market_id, p.party_id))
            return (_entry(position_node(position)) for position in positions)
        accounts = (a for a in self._chain.accounts.values() if subscription.matches(a.market_id, a.owner))
        return (_entry(account_node(account)) for account in accounts)

    def _update_entries(self, block: Block) -> dict[str, list[Entry]]:
        return {
            "markets/data": [_entry(market_data_node(self._chain, market)) for market in self._chain.markets.values()],
            "orders": [_entry(order_node(order)) for order in block.orders],
            "positions": [_entry(position_node(position)) for position in block.positions],
            "accounts": [_entry({**account_node(account), "parentPartyId": account.owner}) for account in block.accounts],
        }


def _entry(node: Node) -> Entry:
    market_id = node["market"] if "market" in node else node["marketId"]
    party_id = node.get("partyId") or node.get("owner") or ""
    return market_id, party_id, compact(stream_node(node))


def _update_frames(stream: str, nodes: list[str]) -> Iterator[str]:
    for some in _json_lists(nodes):
        yield f'{{"result":{{"marketData":{some}}}}}' if stream == "markets/data" else f'{{"result":{{"updates":{{"{stream}":{some}}}}}}}'


def _snapshot_frames(subscription: Subscription, nodes: list[str]) -> Iterator[str]:
    stream = subscription.stream
    if not nodes and stream == "positions" and subscription.markets and subscription.parties:
        return  # Vega sends nothing, not an empty snapshot, for one party on one market without a position
    pages = [f'"{stream}":{some}' for some in _json_lists(nodes)] or [""]
    last = '"lastPage":true'
    pages[-1] = f"{pages[-1]},{last}" if pages[-1] else last
    for page in pages:
        yield f'{{"result":{{"snapshot":{{{page}}}}}}}'


def _json_lists(nodes: list[str]) -> Iterator[str]:
    """Return JSON lists of at most MAX_LIST nodes."""
    return (f"[{','.join(nodes[start : start + MAX_LIST])}]" for start in range(0, len(nodes), MAX_LIST))


def _check(subscription: Subscription, chain: Chain) -> None:
    """Raise ApiError if Vega would reject the subscription; the message depends on the stream."""
    markets, parties = subscription.markets, subscription.parties
    if subscription.stream == "markets/data":
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


async def _reject(request: web.Request, connection: web.WebSocketResponse, frame: dict[str, Any]) -> web.WebSocketResponse:
    """Send an error frame, then close the connection as Vega does: without a close frame."""
    await connection.send_str(compact(frame))
    if request.transport:
        request.transport.close()
    return connection
