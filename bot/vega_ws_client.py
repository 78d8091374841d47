"""One WebSocketApp per stream, all dispatched by rel.

Page: "WebSocket connections". Callbacks run on the main thread, inside `rel.dispatch()`. The connections themselves, how they
are read, watched and reconnected, are in `bot/transport`.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Optional, Union

import websocket

from bot.api_errors import api_error_message
from bot.parsing import ParseError, load_json
from bot.transport.connection import ConnectionHooks, StreamConnection, StreamGroup
from bot.transport.error_text import truncate
from bot.transport.handshake import RedirectError

logger = logging.getLogger(__name__)

RECONNECT = 5  # seconds until a lost stream is reconnected; the delay doubles with each further attempt

Callback = Callable[[dict[str, Any]], Any]
NO_HOOKS = ConnectionHooks()


class VegaWebSocketClient:
    """Subscribes to a data node's streams; `rel.dispatch()` then delivers their frames.

    Args:
        data_node_url: the streams' address up to `/stream`.
        reconnect: seconds until a lost stream is reconnected.
        get_block_height: asked when market data stops; it may block and raise.
    """

    def __init__(self, data_node_url: str, reconnect: int = RECONNECT, get_block_height: Optional[Callable[[], int]] = None):
        scheme, separator, rest = data_node_url.partition("://")
        self._data_node_url = f"{scheme.lower()}{separator}{rest}"  # websocket-client knows no scheme in capitals
        self._reconnect = reconnect
        self._streams = StreamGroup(get_progress=get_block_height)

    def _on_error(self, ws: websocket.WebSocketApp, err: Union[Exception, str]) -> None:
        # Differs from the page, which logs a traceback at each attempt: called once per outage.
        logger.error("stream %s: %s", _stream_name(ws.url), err)

    def _on_message(
        self,
        message: Union[str, bytes],
        callback: Callback,
        report: Optional[Callable[..., None]] = None,
    ) -> None:
        # Differs from the page: a frame without a result is reported with the node's own error message.
        report = report or self._report
        try:
            if isinstance(message, bytes):
                raise ValueError("binary")
            content = load_json(message)
        except (ValueError, RecursionError) as error:
            report(f"not JSON ({truncate(str(error))}): {truncate(repr(message[:200]))}", rejected=True)
            return
        if not isinstance(content, dict) or not isinstance(content.get("result"), dict):
            error_message = ": ".join(filter(None, api_error_message(content)))
            problem = f"error from the node: {error_message}" if error_message else f"a frame of unknown shape: {truncate(content)}"
            report(problem, rejected=True)
            return
        try:
            callback(content["result"])
        except ParseError as error:
            report(str(error))

    def _report(self, problem: str, rejected: bool = False) -> None:
        logger.warning("stream: %s", problem)

    def stop(self) -> None:
        """End `rel.dispatch()`, and the streams. Any thread, and more than once."""
        self._streams.stop()

    def latency(self) -> float:
        """Return for how many seconds the newest market data may have been in flight. Any thread. Not on the page."""
        return self._streams.latency()

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-markets-data
    def subscribe_market_data(self, market_id: str, callback: Callback) -> None:
        """Subscribe to a market's prices, volumes and state. A frame comes with each block."""
        url = f"{self._data_node_url}/stream/markets/data?marketIds={market_id}"
        self.subscribe_endpoint(url, callback=callback, regular_frames="market data")

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-orders
    def subscribe_orders(self, market_id: Optional[str], party_id: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS) -> None:
        """Subscribe to a party's orders.

        Differs from the page, here and in the next two: None is for all markets. `hooks` are those of `subscribe_endpoint`.
        """
        market = f"marketIds={market_id}&" if market_id is not None else ""
        url = f"{self._data_node_url}/stream/orders?{market}partyIds={party_id}"
        self.subscribe_endpoint(url, callback, hooks)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-positions
    def subscribe_positions(self, market_id: Optional[str], party_id: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS) -> None:
        """Subscribe to a party's positions."""
        market = f"marketId={market_id}&" if market_id is not None else ""
        url = f"{self._data_node_url}/stream/positions?{market}partyId={party_id}"
        self.subscribe_endpoint(url, callback, hooks)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-accounts
    def subscribe_accounts(self, market_id: Optional[str], party_id: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS) -> None:
        """Subscribe to a party's accounts. With a market, the general account is left out."""
        market = f"marketId={market_id}&" if market_id is not None else ""
        url = f"{self._data_node_url}/stream/accounts?{market}partyId={party_id}"
        self.subscribe_endpoint(url, callback, hooks)

    # Not on the page: the next two, without a party, so that they bring what everybody does on the market.

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-trades
    def subscribe_trades(self, market_id: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS) -> None:
        """Subscribe to all trades on a market. There is no snapshot."""
        self.subscribe_endpoint(f"{self._data_node_url}/stream/trades?marketIds={market_id}", callback, hooks)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-markets-depth-updates
    def subscribe_market_depth(self, market_id: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS) -> None:
        """Subscribe to the changes of a market's book. They change the one of `get_market_depth`."""
        self.subscribe_endpoint(f"{self._data_node_url}/stream/markets/depth/updates?marketIds={market_id}", callback, hooks)

    def subscribe_endpoint(self, url: str, callback: Callback, hooks: ConnectionHooks = NO_HOOKS, regular_frames: str = "") -> None:
        """Connect a stream, and reconnect it whenever it is lost. Main thread.

        Args:
            url: the stream's address.
            callback: takes the `result` of each frame. ParseError is reported; any other exception ends `rel.dispatch()`.
            hooks: called when a connection opens, is lost, or may be overdue with its snapshot.
            regular_frames: what the node sends all the time, if it does, so that silence means trouble.
        """
        # Differs from the page, where rel itself is the dispatcher: it is slow, and one connection that hangs blocks the others.
        connection = StreamConnection(
            _stream_name(url),
            self._reconnect,
            self._on_error,
            hooks,
            regular_frames=regular_frames,
            hint=_address_hint,
        )
        self._streams.add(connection)
        ws = websocket.WebSocketApp(
            url,
            on_message=lambda _, msg: self._on_message(message=msg, callback=callback, report=connection.report),
            on_error=connection.on_connect_error,
        )
        # skip_utf8_validation: decoding a frame checks it too, in C.
        connection.connect(ws, lambda: ws.run_forever(dispatcher=connection, reconnect=self._reconnect, skip_utf8_validation=True))


def _address_hint(reason: object) -> str:
    """Return what to check if a stream cannot be opened; empty if the address seems to be right."""
    if isinstance(reason, RedirectError):  # Differs from websocket-client, which follows it, to any host.
        base, is_stream, _ = reason.target.partition("/stream/")
        return f"put WS_URL={base} into .env" if is_stream else "check WS_URL"
    if isinstance(reason, websocket.WebSocketBadStatusException) and reason.status_code == HTTPStatus.NOT_FOUND:
        return "check WS_URL: it ends in /api/v2"
    return ""


def _stream_name(url: str) -> str:
    """Return a stream's name: what stands between `/stream/` and the parameters."""
    return url.partition("/stream/")[2].partition("?")[0] or url
