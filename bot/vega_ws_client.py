"""One WebSocketApp a stream, all dispatched by rel.

Page: "WebSocket connections". Callbacks run on the main thread, inside `rel.dispatch()`; so does everything here but the
dials, which take a short-lived thread each, so that a node that does not answer holds up nothing but its own stream.
"""

import json
import logging
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Optional, Union

import rel
import websocket

from bot.parsing import ParseError
from bot.transport.connection import Stream
from bot.transport.error_text import node_words, shortened, stream_name
from bot.transport.event_loop import MainThread

logger = logging.getLogger(__name__)

# Why not hand rel itself to websocket-client, as the page does? Three things would make it slow: rel sleeps between two
# looks at its sockets (`MainThread` lets it wait in the kernel); one frame is read a look (`Stream` reads all there is, up
# to 64 KB); and the client checks UTF-8 byte by byte in Python (it is told not to: decoding a frame does it, in C).
# `VegaWebSocketClient(…, dispatcher=rel)` goes back to plain rel, to see the difference.

RECONNECT = 5  # seconds until a lost stream is dialled again; doubled at each further try
LONGEST_SILENCE = 5.0  # seconds on a stream that sends each block, and without an answer to a ping on any
LOOK_EACH = 0.5  # seconds


class VegaWebSocketClient:
    """Subscribes to a data node's streams; `rel.dispatch()` then delivers their frames.

    Args:
        data_node_url: the streams' address up to `/stream`.
        reconnect: seconds until a lost stream is dialled again.
        dispatcher: `rel` for plain rel, as the page has it: to see the difference, not to trade with.
    """

    def __init__(self, data_node_url: str, reconnect: int = RECONNECT, dispatcher: Any = None):
        self._data_node_url = data_node_url
        self._reconnect = reconnect
        self._dispatcher = dispatcher
        self._main_thread: Optional[MainThread] = None
        self._streams: list[Stream] = []
        self._looked_at = 0.0  # time.monotonic() when _check_streams last ran

    def _on_error(self, ws: websocket.WebSocketApp, err: Union[Exception, str]) -> None:
        """Report that a stream was lost: once, not for each try to get it back."""
        logger.error("stream %s: %s", stream_name(ws.url), err)

    def _on_message(
        self,
        message: Union[str, bytes],
        callback: Callable[[dict[str, Any]], Any],
        report: Optional[Callable[..., None]] = None,
    ) -> None:
        """Pass a frame's result on. Differs from the page: report what is none, in the server's words."""
        report = report or self._report
        try:
            if isinstance(message, bytes):
                raise ValueError("binary")
            content = json.loads(message)
        except (ValueError, RecursionError) as error:
            report(f"not JSON ({shortened(str(error))}): {shortened(repr(message[:200]))}", refused=True)
            return
        if not isinstance(content, dict) or not isinstance(content.get("result"), dict):
            words = ": ".join(filter(None, node_words(content)))
            report(f"the node says: {words}" if words else f"a frame of unknown shape: {shortened(content)}", refused=True)
            return
        try:
            callback(content["result"])
        except ParseError as error:
            report(str(error))

    def _report(self, complaint: str, refused: bool = False) -> None:
        logger.warning("stream: %s", complaint)

    def stop(self) -> None:
        """End `rel.dispatch()`, and the streams. Any thread, and more than once."""
        # Differs from the page: as it comes, rel.abort() from elsewhere, or from within a callback, races with rel's loop.
        if self._main_thread is None or self._is_over():
            rel.abort()
        else:
            self._main_thread.abort()

    def _is_over(self) -> bool:
        return self._main_thread is not None and self._main_thread.is_ending

    def _close_streams(self) -> None:
        for stream in self._streams:
            stream.close()

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-markets-data
    def subscribe_market_data(self, market_id: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        self.subscribe_endpoint(f"{self._data_node_url}/stream/markets/data?marketIds={market_id}", callback=callback, each_block=True)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-orders
    def subscribe_orders(
        self,
        market_id: Optional[str],
        party_id: str,
        callback: Callable[[dict[str, Any]], Any],
        on_open: Optional[Callable[[], Any]] = None,
        on_lost: Optional[Callable[[float], Any]] = None,
    ) -> None:
        """Subscribe to a party's orders, on one market or, with None, on all; likewise the next two."""
        market = f"marketIds={market_id}&" if market_id is not None else ""
        self.subscribe_endpoint(f"{self._data_node_url}/stream/orders?{market}partyIds={party_id}", callback, on_open, on_lost)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-positions
    def subscribe_positions(
        self,
        market_id: Optional[str],
        party_id: str,
        callback: Callable[[dict[str, Any]], Any],
        on_open: Optional[Callable[[], Any]] = None,
        on_lost: Optional[Callable[[float], Any]] = None,
    ) -> None:
        market = f"marketId={market_id}&" if market_id is not None else ""
        self.subscribe_endpoint(f"{self._data_node_url}/stream/positions?{market}partyId={party_id}", callback, on_open, on_lost)

    # https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-observe-accounts
    def subscribe_accounts(
        self,
        market_id: Optional[str],
        party_id: str,
        callback: Callable[[dict[str, Any]], Any],
        on_open: Optional[Callable[[], Any]] = None,
        on_lost: Optional[Callable[[float], Any]] = None,
    ) -> None:
        market = f"marketId={market_id}&" if market_id is not None else ""
        self.subscribe_endpoint(f"{self._data_node_url}/stream/accounts?{market}partyId={party_id}", callback, on_open, on_lost)

    def subscribe_endpoint(
        self,
        url: str,
        callback: Callable[[dict[str, Any]], Any],
        on_open: Optional[Callable[[], Any]] = None,
        on_lost: Optional[Callable[[float], Any]] = None,
        each_block: bool = False,
    ) -> None:
        """Dial a stream, and again whenever it is lost. Main thread.

        Args:
            url: the stream's address.
            callback: takes the `result` of each frame, on the main thread, inside `rel.dispatch()`. ParseError is
                reported; any other exception ends `rel.dispatch()`.
            on_open: called there too, before the first frame of each new connection.
            on_lost: called there too, when a connection was lost, with the seconds for which it had not kept up.
            each_block: the node sends something each block, so that silence means trouble.
        """
        if self._dispatcher is not None:
            self._subscribe_plainly(url, callback, on_open)
            return
        stream = Stream(self._get_main_thread(), self._reconnect)
        # Differs from the page: no on_error. With `reconnect`, the app calls it for a failed first dial only.
        stream.app = websocket.WebSocketApp(
            url,
            on_message=lambda _, msg: self._on_message(message=msg, callback=callback, report=stream.report),
        )
        stream.on_error, stream.on_open, stream.on_lost, stream.each_block = self._on_error, on_open, on_lost, each_block
        self._streams.append(stream)
        stream.dial(partial(stream.app.run_forever, dispatcher=stream, reconnect=self._reconnect, skip_utf8_validation=True))

    def _subscribe_plainly(self, url: str, callback: Callable[[dict[str, Any]], Any], on_open: Optional[Callable[[], Any]]) -> None:
        """Do as the page does: hand the dispatcher itself to the client."""
        ws = websocket.WebSocketApp(
            url,
            on_message=lambda _, msg: self._on_message(message=msg, callback=callback),
            on_error=self._on_error,
            on_open=lambda _: on_open and on_open(),
        )
        ws.run_forever(dispatcher=self._dispatcher, reconnect=self._reconnect)

    def _get_main_thread(self) -> MainThread:
        if self._main_thread is None or self._is_over():
            self._main_thread = MainThread.get()
            self._main_thread.at_end.append(self._close_streams)
            rel.timeout(LOOK_EACH, self._check_streams)
            logging.getLogger("websocket").setLevel(logging.CRITICAL)  # says at each try what is reported here once
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nobody else wants Ctrl+C
                rel.signal(signal.SIGINT, self.stop)
        return self._main_thread

    def lag(self) -> float:
        """Return how old what the streams that send each block have just brought may be, in seconds. Any thread."""
        return max((stream.pulse.lag() for stream in self._streams if stream.each_block), default=0.0)

    def _check_streams(self) -> bool:
        """Drop what is stuck. Differs from the page, which waits for ever.

        Each stream is pinged. A node that answers no pings is judged by its market data: the other streams are silent when
        nothing happens, so where market data stops that was there, all of them go.
        """
        now = time.monotonic()
        held_up = now - self._looked_at > 2 * LOOK_EACH  # as by Ctrl+Z: what has come meanwhile was not read yet, so nobody is judged
        self._looked_at = now
        for stream in self._streams:
            stream.ping()
            if held_up:
                continue
            stream.drop_if_stuck(LONGEST_SILENCE)
            if stream.each_block and stream.silent_for() > LONGEST_SILENCE:
                for each in self._streams if stream.has_spoken else [stream]:
                    if each.is_open():
                        each.drop(f"the node is silent: no market data for {LONGEST_SILENCE:.0f} s")
        return not self._is_over()  # rel: call me again
