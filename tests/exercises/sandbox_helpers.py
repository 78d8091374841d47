"""What checks do with a sandbox: send transactions, read streams frame by frame, and run the bot's store beside a function.

Most checks use a sandbox that makes blocks on demand. Nothing changes between two steps of the check, however slow the machine is.
"""

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Optional, TypeVar

import rel
import websocket

import bot.models as parsers
import bot.vega_api_client as api
from bot.models import Account, Asset, Market, Order, Position
from bot.vega_store import VegaStore
from bot.wallet import VegaWallet
from tests.exercises.checking import NotSolved
from tests.sandbox import Sandbox
from tests.support.waiting import DEFAULT_TIMEOUT

STOP_TIMEOUT = 4.0  # s until rel.dispatch() returns after stop()
STOP = "stop() of the store calls stop() of the client, which calls rel.abort(), as in the starting point"

Result = TypeVar("Result")


class StreamClient:
    """One connection to a stream, for the length of a `with` block."""

    def __init__(self, url: str) -> None:
        self._connection = websocket.create_connection(url, timeout=DEFAULT_TIMEOUT)

    def receive(self) -> dict[str, Any]:
        """Wait for a frame and return its `result`."""
        result: dict[str, Any] = json.loads(self.receive_text())["result"]
        return result

    def receive_text(self) -> str:
        """Wait for a frame and return its text."""
        return str(self._connection.recv())

    def __enter__(self) -> "StreamClient":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._connection.shutdown()  # type: ignore[no-untyped-call]


def open_stream(sandbox: Sandbox, kind: str, party: str = "bot") -> StreamClient:
    """Connect to a party's stream of orders, positions or accounts on every market, or to the market data of the future."""
    parameter = {"orders": "partyIds", "positions": "partyId", "accounts": "partyId"}.get(kind)
    filters = f"{parameter}={sandbox.parties[party]}" if parameter else f"marketIds={sandbox.markets['future']}"
    return StreamClient(f"{sandbox.ws_url}/stream/{kind}?{filters}")


def send_transaction(sandbox: Sandbox, party: str, **transaction: Any) -> None:
    """Put a transaction of a party (bot, a, b, c) into the next block."""
    sandbox.call(lambda box: box.chain.submit(box.parties[party], transaction))


def order_json(market_id: str, side: str, size: int, price: Optional[int] = None, **terms: Any) -> dict[str, Any]:
    """Return a submission as transactions have it: a limit order GTC, or a market order if there is no price.

    Args:
        side: BUY or SELL.
        size: a padded integer.
        price: a padded integer.
        terms: other fields of the submission, with the names of the API.
    """
    terms = {"marketId": market_id, "side": f"SIDE_{side}", "size": str(size), **terms}
    if price is None:
        return {"type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC", **terms}
    return {"type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC", "price": str(price), **terms}


def get_orders(sandbox: Sandbox, party: str = "bot", open_only: bool = True) -> list[dict[str, Any]]:
    """Return a party's orders on every market as REST shows them: only the open ones, or all, newest first."""
    party_id = sandbox.parties[party]
    if open_only:
        return api.get_open_orders(party_id=party_id, node_url=sandbox.node_url)
    return api.execute_unrollable_get_request(path=f"orders?filter.partyIds={party_id}", key="orders", node_url=sandbox.node_url)


def get_market(sandbox: Sandbox, product: str = "future") -> Market:
    """Return a market with the prices of the newest block, as the bot's store would hold it."""
    market_id = sandbox.markets[product]
    market = parsers.parse_market(api.get_market(node_url=sandbox.node_url, market_id=market_id))
    node = api.get_market_data(node_url=sandbox.node_url, market_id=market_id)
    return Market(**{**vars(market), **parsers.parse_market_data(node, market.decimal_places, market.position_decimal_places)})


def make_wallet(sandbox: Sandbox) -> VegaWallet:
    return VegaWallet(token=sandbox.token, wallet_url=sandbox.wallet_url, pub_key=sandbox.parties["bot"])


class FilledStore(VegaStore):
    """A store without connections. Its getters return what a check has put into the attributes."""

    def __init__(self, rest_api_url: str = "") -> None:
        super().__init__(websocket_url="", rest_api_url=rest_api_url)  # never started
        self.markets: dict[str, Market] = {}
        self.positions: dict[str, Position] = {}  # by market id
        self.orders: list[Order] = []
        self.accounts: list[Account] = []
        self.assets: list[Asset] = []
        self.age = 0.0  # s; of all market data

    def get_markets(self) -> list[Market]:
        return list(self.markets.values())

    def get_positions(self) -> list[Position]:
        return list(self.positions.values())

    def get_orders(self) -> list[Order]:
        return list(self.orders)

    def get_accounts(self) -> list[Account]:
        return list(self.accounts)

    def get_assets(self) -> list[Asset]:
        return list(self.assets)

    def get_market_by_id(self, market_id: str) -> Optional[Market]:
        return self.markets.get(market_id)

    def get_position_by_market_id(self, market_id: str) -> Optional[Position]:
        return self.positions.get(market_id)

    def get_order_by_id(self, order_id: str) -> Optional[Order]:
        return next((order for order in self.orders if order.order_id == order_id), None)

    def get_asset_by_id(self, asset_id: str) -> Optional[Asset]:
        return next((asset for asset in self.assets if asset.asset_id == asset_id), None)

    def seconds_since_update(self, market_id: str) -> float:
        return self.age

    def fill(self, sandbox: Sandbox) -> None:
        """Put everything into the store that REST shows now."""
        loaded = VegaStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
        loaded.load_data(party_id=sandbox.parties["bot"])
        markets = [get_market(sandbox, product) for product in ("future", "perpetual", "spot")]
        self.markets = {market.market_id: market for market in markets}
        self.positions = {position.market_id: position for position in loaded.get_positions()}
        self.orders, self.accounts, self.assets = loaded.get_orders(), loaded.get_accounts(), loaded.get_assets()


def run_with_store(sandbox: Sandbox, function: Callable[[VegaStore], Result], product: str = "future") -> Result:
    """Run `function(store)` on a second thread while the streams update the store on this thread, as in the bot.

    Only once in a process: rel, which waits for the frames, has one global event loop.
    """
    store = VegaStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
    store.start(market_id=sandbox.markets[product], party_id=sandbox.parties["bot"])
    return dispatch_until_done(lambda: function(store), stop=store.stop)


def dispatch_until_done(function: Callable[[], Result], stop: Callable[[], object]) -> Result:
    """Run `function` on a second thread and `rel.dispatch()` on this one, until `function` has returned and `stop` has ended rel.

    Raises:
        NotSolved: `stop` has not ended rel. Other exceptions are those of `function`.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    has_returned = threading.Event()

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # raised again on the main thread
            errors.append(error)
        finally:
            stop()
            if not has_returned.wait(STOP_TIMEOUT):
                errors.append(NotSolved(saw="rel.dispatch() still runs after stop()", expected="an end", hint=STOP))
                rel.abort()

    thread = threading.Thread(target=run)
    thread.start()
    rel.dispatch()
    has_returned.set()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
