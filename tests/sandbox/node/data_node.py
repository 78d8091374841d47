"""The data node: REST and streams under `/api/v2`, as a Vega v0.77.6 node answers them.

This module only reads the chain. `serializers` formats its records, `responses` has pages and errors, `streams` the streams.

These query parameters of a real node are ignored, like unknown ones: `pagination.newestFirst`; of orders
`filter.statuses`, `.types`, `.timeInForces`, `.reference`, `.dateRange` and `.excludeLiquidity`; of accounts `filter.assetId` and
`.accountTypes`; of accounts and positions `includeDerivedParties`; of markets `includeSettled`, of assets `assetId`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Optional

from aiohttp import web

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.margin import LONG_RISK, SHORT_RISK
from tests.sandbox.chain.records import Block
from tests.sandbox.faults import Faults
from tests.sandbox.node.depth import Depths
from tests.sandbox.node.network_parameters import NETWORK_PARAMETERS
from tests.sandbox.node.pagination import encoded, page, read_pagination
from tests.sandbox.node.responses import (
    ApiError,
    ParameterError,
    Query,
    bool_parameter,
    check_ids,
    compact,
    error_without_details,
    is_id,
    not_found,
    query_of,
    uint64_parameter,
)
from tests.sandbox.node.serializers import (
    Node,
    account_node,
    asset_node,
    market_data_node,
    market_node,
    order_node,
    position_node,
    trade_node,
)
from tests.sandbox.node.streams import Streams
from tests.sandbox.node.trades import TradeHistory
from tests.sandbox.node.turns import Turns
from tests.sandbox.server import MAX_BODY_SIZE

Body = dict[str, Any]
INVALID_ID = "not a valid hex id (or well known exception)"
MAX_BLOCKING_GZIP = 64 * 1024  # bytes; larger bodies are compressed in another thread
MAX_ATTEMPTS = 3  # to write a page while no block comes
NOT_FOUND = "no resource corresponding to this id"


class DataNode:
    """Serves a chain to v0.77 clients. Chain and node run on one event loop, so every response shows the state of one block."""

    def __init__(self, chain: Chain, faults: Faults) -> None:
        self._chain, self._faults = chain, faults
        self._opened = chain.time - chain.height * 10**9  # chain time advances one second per block
        self.depths, self.trades = Depths(), TradeHistory()
        self._turns = Turns()
        self.streams = Streams(chain, self.depths, faults, self._turns)
        self.app = web.Application(client_max_size=MAX_BODY_SIZE)
        calls: dict[str, Callable[..., Body]] = {
            "assets": self._assets,
            "markets": self._markets,
            "accounts": self._accounts,
            "orders": self._orders,
            "positions": self._positions,
            "market/{market_id}": self._market,
            "market/data/{market_id}/latest": self._market_data,
            "market/{market_id}/risk/factors": self._risk_factors,
            "market/depth/{market_id}/latest": self._market_depth,
            "trades": self._trades,
            "network/parameters": self._network_parameters,
            "network/parameters/{key}": self._network_parameter,
        }
        for path, answer in calls.items():
            self.app.router.add_get(f"/api/v2/{path}", self._rest(answer))
        self.app.router.add_get("/api/v2/stream/{stream:.+}", self.streams.connect)
        self.app.router.add_route("*", "/api/v2/{path:.*}", self._unknown_path)
        self.app.on_shutdown.append(self._close_streams)

    @property
    def connections(self) -> dict[str, int]:
        """Number of stream connections accepted so far, by stream."""
        return dict(self.streams.accepted)

    @property
    def open_connections(self) -> dict[str, int]:
        """Number of open stream connections, by stream."""
        return dict(self.streams.open_connections())

    def publish(self, block: Block) -> None:
        """Send a block to the streams. It never waits for a client: frames are queued per client."""
        self.depths.apply(block)
        self.trades.add(block.trades)
        self.streams.publish(block)

    def disconnect(self, how: str, stream: Optional[str] = None) -> int:
        """Close stream connections: "reset", "cut" (no close frame), or a close code. Return their number."""
        return self.streams.disconnect(how, stream)

    async def _close_streams(self, app: web.Application) -> None:
        self.disconnect("cut")

    def _rest(self, answer: Callable[..., Body]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            await asyncio.sleep(self._faults.rest_delay)
            if self._faults.rest_status:
                body = compact(error_without_details(self._faults.rest_status)).encode()
                return self._response(request, self._faults.rest_status, body)
            query = query_of(request)
            try:
                async with self._turns.take(request.remote or ""):
                    return self._response(request, 200, await self._encode(lambda: answer(query, **request.match_info)))
            except ApiError as error:
                return self._response(request, error.status, compact(error.rest()).encode())
            except ParameterError as error:  # found by the gateway: the node, whose headers are left out, was not called
                return _gateway_response(request, 400, error.rest())

        return handle

    async def _encode(self, answer: Callable[[], Body]) -> bytes:
        """Return a body as JSON. The event loop is free between the parts of a page; if a block changes the records, it begins anew."""
        for _ in range(MAX_ATTEMPTS):
            height, parts = self._chain.height, encoded(answer())
            written = [next(parts)]
            for part in parts:
                written.append(part)
                await asyncio.sleep(0)
                if self._chain.height != height:
                    break
            else:
                return b"".join(written)
        return b"".join(encoded(answer()))

    def _response(self, request: web.Request, status: int, body: bytes) -> web.Response:
        headers = {
            "Content-Type": "application/json" if status == 200 else "application/json, application/grpc",
            "X-Block-Height": str(self._chain.height),
            "X-Block-Timestamp": str(self._chain.time),
        }
        return _compressed(request, web.Response(status=status, body=body, headers=headers, zlib_executor_size=MAX_BLOCKING_GZIP))

    async def _unknown_path(self, request: web.Request) -> web.Response:
        return _gateway_response(request, 404, not_found())

    def _assets(self, query: Query) -> Body:
        try:
            return {"assets": page(enumerate(self._chain.assets.values()), asset_node, query)}
        except ApiError as error:  # `getAllAssets` in datanode/api/trading_data_v2.go hides it in another error
            raise ApiError(500, 200001, "failed to get assets", f"{error.inner}: {error}") from error

    def _markets(self, query: Query) -> Body:
        markets = enumerate(self._chain.markets.values())
        return {"markets": page(markets, lambda market: market_node(market, self._opened), query)}

    def _accounts(self, query: Query) -> Body:
        wanted = _filter(query)
        accounts = enumerate(self._chain.accounts.values())
        return {"accounts": page((row for row in accounts if wanted(row[1].market_id, row[1].owner)), account_node, query)}

    def _orders(self, query: Query) -> Body:
        wanted = _filter(query)
        live_only = bool_parameter(query, "filter.liveOnly")
        if read_pagination(query).backward:
            reason = "'last' pagination is not supported"
            raise ApiError(400, 10000, reason, reason)
        orders = self._chain.newest_orders(query.getall("filter.partyIds", []), live_only)
        rows = ((order.number, order) for order in orders if wanted(order.market_id, order.party_id))
        return {"orders": page(rows, order_node, query, newest_first=True)}

    def _positions(self, query: Query) -> Body:
        wanted = _filter(query)
        positions = enumerate(self._chain.positions.values())
        return {"positions": page((row for row in positions if wanted(row[1].market_id, row[1].party_id)), position_node, query)}

    def _market(self, query: Query, market_id: str) -> Body:
        market = self._chain.markets.get(_require_id(market_id))
        if market is None:
            raise ApiError(404, 30002, "failed to get market for ID", NOT_FOUND)
        return {"market": market_node(market, self._opened)}

    def _market_data(self, query: Query, market_id: str) -> Body:
        market = self._chain.markets.get(_require_id(market_id))
        if market is None:
            raise ApiError(500, 30004, "failed to get market data", f"no market data for market: {market_id}")
        return {"marketData": market_data_node(self._chain, market)}

    def _risk_factors(self, query: Query, market_id: str) -> Body:
        """Vega computes no risk factors for spot markets: there the node has none to return."""
        market = self._chain.markets.get(_require_id(market_id))
        if market is None or market.is_spot:
            raise ApiError(404, 310001, "failed to get risk factor", f"marketID: {market_id}: {NOT_FOUND}")
        return {"riskFactor": {"market": market.id, "short": _decimal_text(SHORT_RISK), "long": _decimal_text(LONG_RISK)}}

    def _market_depth(self, query: Query, market_id: str) -> Body:
        if not is_id(market_id):
            reason = f"decoding '{market_id}': {INVALID_ID}"
            inner = f"failed to get trade by market:querying trades: scany: query multiple result rows: {reason}"
            raise ApiError(400, 40001, "failed to get trades for market", inner)
        depth = self.depths.latest(market_id, uint64_parameter(query, "maxDepth"))
        trade = self.trades.last(market_id)
        sequence_number = depth.pop("sequenceNumber")
        return {**depth, "lastTrade": trade_node(trade) if trade else None, "sequenceNumber": sequence_number}

    def _trades(self, query: Query) -> Body:
        filters = [query.getall(name, []) for name in ("marketIds", "partyIds", "orderIds")]
        for kind, ids in zip(("market", "party", "order"), filters, strict=True):
            for malformed in (text for text in ids if not is_id(text)):
                inner = f"received invalid {kind} ID: decoding '{malformed}': {INVALID_ID}"
                raise ApiError(400, 40005, "failed to list trades", inner)
        return {"trades": page(self.trades.newest_first(*filters), trade_node, query, newest_first=True)}

    def _network_parameters(self, query: Query) -> Body:
        parameters = enumerate(sorted(NETWORK_PARAMETERS))
        return {"networkParameters": page(parameters, _network_parameter_node, query)}

    def _network_parameter(self, query: Query, key: str) -> Body:
        if key not in NETWORK_PARAMETERS:
            raise ApiError(404, 100002, "failed to get network parameters", NOT_FOUND)
        return {"networkParameter": _network_parameter_node(key)}


def _network_parameter_node(key: str) -> Node:
    return {"key": key, "value": NETWORK_PARAMETERS[key]}


def _decimal_text(number: Fraction) -> str:
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"


def _require_id(market_id: str) -> str:
    if not is_id(market_id):
        raise ApiError(400, 10000, "invalid market ID")
    return market_id


def _filter(query: Query) -> Callable[[str, str], bool]:
    """Return a predicate for `filter.marketIds` and `filter.partyIds`; a missing filter matches everything."""
    markets, parties = query.getall("filter.marketIds", []), query.getall("filter.partyIds", [])
    check_ids(markets, parties)
    return lambda market_id, party_id: (not markets or market_id in markets) and (not parties or party_id in parties)


def _gateway_response(request: web.Request, status: int, body: Body) -> web.Response:
    response = web.Response(status=status, body=compact(body).encode(), headers={"Content-Type": "application/json"})
    return _compressed(request, response)


def _compressed(request: web.Request, response: web.Response) -> web.Response:
    if "gzip" in request.headers.get("Accept-Encoding", ""):  # aiohttp would choose deflate
        response.enable_compression(web.ContentCoding.gzip)
    return response
