"""Exercise 10. Edit this file, then run: .venv/bin/python -m tests.exercises 10"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

import rel
import websocket

from bot.models import Market

logger = logging.getLogger(__name__)


class VegaWebSocketClient:
    """The page's client, with four streams."""

    def __init__(self, data_node_url: str) -> None:
        self._data_node_url = data_node_url

    def _on_error(self, ws: websocket.WebSocketApp, err: Union[Exception, str]) -> None:
        logger.exception(err)

    def _on_message(self, message: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        callback(json.loads(message)["result"])

    def stop(self) -> None:
        rel.abort()

    def subscribe_market_data(self, market_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(
            f"{self._data_node_url}/stream/markets/data?marketIds={market_id}",
            callback=callback,
        )

    def subscribe_orders(self, market_id: str, party_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(
            f"{self._data_node_url}/stream/orders?marketIds={market_id}&partyIds={party_id}",
            callback=callback,
        )

    def subscribe_positions(self, market_id: str, party_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(
            f"{self._data_node_url}/stream/positions?marketId={market_id}&partyId={party_id}",
            callback=callback,
        )

    def subscribe_accounts(self, market_id: str, party_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(
            f"{self._data_node_url}/stream/accounts?marketId={market_id}&partyId={party_id}",
            callback=callback,
        )

    def subscribe_endpoint(self, url: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        ws = websocket.WebSocketApp(
            url,
            on_message=lambda _, msg: self._on_message(message=msg, callback=callback),
            on_error=self._on_error,
        )
        ws.run_forever(dispatcher=rel, reconnect=5)


@dataclass(frozen=True)
class Fill:
    """One of our trades."""

    trade_id: str
    side: str  # our side: SIDE_BUY or SIDE_SELL
    price: float  # price units of the market
    size: float  # contracts


class FillStore:
    """Our fills on one market. Frames arrive on one thread, getters are called on another."""

    def __init__(self, websocket_url: str, market: Market, party_id: str) -> None:
        self._market = market
        self._party_id = party_id
        self._ws_client = VegaWebSocketClient(data_node_url=websocket_url)

    def start(self) -> None:
        """Subscribe to our trades."""

    def stop(self) -> None:
        self._ws_client.stop()

    def get_fills(self) -> list[Fill]:
        """Return our fills in the order in which they arrived."""
        return []

    def get_net_volume(self) -> float:
        """Return what we bought minus what we sold, in contracts."""
        return 0.0

    def _update_trades(self, trade_dict: dict[str, Any]) -> None:
        """Apply one frame's `result`."""
