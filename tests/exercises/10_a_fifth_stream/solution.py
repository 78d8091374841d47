"""Exercise 10, solved by the page's pattern. At the end: a comparison with the bot."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Union

import rel
import websocket

from bot.models import Market
from bot.submission import convert_to_decimals

logger = logging.getLogger(__name__)


class VegaWebSocketClient:
    """The page's client, with a fifth stream."""

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

    def subscribe_trades(self, market_id: str, party_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(
            f"{self._data_node_url}/stream/trades?marketIds={market_id}&partyIds={party_id}",
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
        self._fills: dict[str, Fill] = {}  # by trade id
        self._fills_lock = Lock()
        self._ws_client = VegaWebSocketClient(data_node_url=websocket_url)

    def start(self) -> None:
        """Subscribe to our trades."""
        self._ws_client.subscribe_trades(market_id=self._market.market_id, party_id=self._party_id, callback=self._update_trades)

    def stop(self) -> None:
        self._ws_client.stop()

    def get_fills(self) -> list[Fill]:
        """Return our fills in the order in which they arrived."""
        with self._fills_lock:
            return list(self._fills.values())

    def get_net_volume(self) -> float:
        """Return what we bought minus what we sold, in contracts."""
        volume = sum(fill.size if fill.side == "SIDE_BUY" else -fill.size for fill in self.get_fills())
        return round(volume, self._market.position_decimal_places)

    def _update_trades(self, trade_dict: dict[str, Any]) -> None:
        """Apply one frame's `result`."""
        fills = [self._parse_fill(trade) for trade in trade_dict.get("trades", []) if self._is_ours(trade)]
        with self._fills_lock:
            for fill in fills:
                self._fills[fill.trade_id] = fill

    def _is_ours(self, trade: dict[str, Any]) -> bool:
        return trade["marketId"] == self._market.market_id and self._party_id in (trade["buyer"], trade["seller"])

    def _parse_fill(self, trade: dict[str, Any]) -> Fill:
        return Fill(
            trade_id=trade["id"],
            side="SIDE_BUY" if trade["buyer"] == self._party_id else "SIDE_SELL",
            price=convert_to_decimals(self._market.decimal_places, int(trade["price"])),
            size=convert_to_decimals(self._market.position_decimal_places, int(trade["size"])),
        )


# The page's client beside the bot's (bot/vega_ws_client.py). The subscription is the same few lines. What is below it differs:
#
#   what happens                          this client                              the bot
#   the connection is lost                reconnects every 5 s, without end        waits longer each time, and says so once
#   fills while it is disconnected        missing: there is no snapshot            missing too; REST has them: trades?partyIds=…
#   the stream is silent, but open        nothing                                  notices after 5 s, and reconnects
#   an error frame from the node          KeyError: 'result', every 5 s            the node's message, once
#   1,000 frames a second                 one frame per loop of rel: falls behind  reads all that has arrived: python -m tests.benchmark
#   the connect takes a minute            all streams wait                         a thread of its own, 5 s at most
