"""What checks do with a sandbox: send transactions, read streams frame by frame, and run the bot's store beside a function.

Sandboxes of checks make blocks on demand, so that nothing happens between two looks, however slow the machine.
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
from bot.models import Market
from bot.vega_store import VegaStore
from bot.wallet import VegaWallet
from tests.sandbox import Sandbox

PATIENCE = 5.0  # seconds for what takes milliseconds on a quiet machine
Result = TypeVar("Result")


class Stream:
    """One connection to a stream; `next` waits for a frame and returns its `result`."""

    def __init__(self, url: str) -> None:
        self._connection = websocket.create_connection(url, timeout=PATIENCE)

    def next(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.next_text())["result"]
        return result

    def next_text(self) -> str:
        return str(self._connection.recv())

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._connection.close()


def stream_of(sandbox: Sandbox, kind: str, party: str = "bot") -> Stream:
    """Connect to a party's stream of orders, positions or accounts on every market, or to the future's market data."""
    parameter = {"orders": "partyIds", "positions": "partyId", "accounts": "partyId"}.get(kind)
    filters = f"{parameter}={sandbox.parties[party]}" if parameter else f"marketIds={sandbox.markets['future']}"
    return Stream(f"{sandbox.ws_url}/stream/{kind}?{filters}")


def send(sandbox: Sandbox, party: str, **transaction: Any) -> None:
    """Put a transaction into the next block."""
    sandbox.call(lambda box: box.chain.submit(box.parties[party], transaction))


def order(market_id: str, side: str, size: int, price: Optional[int] = None, **terms: Any) -> dict[str, Any]:
    """Build an order as transactions have it, padded: a limit order that rests, or without a price a market order."""
    terms = {"marketId": market_id, "side": f"SIDE_{side}", "size": str(size), **terms}
    if price is None:
        return {"type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC", **terms}
    return {"type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC", "price": str(price), **terms}


def orders_over_rest(sandbox: Sandbox, party: str = "bot", live: bool = True) -> list[dict[str, Any]]:
    """Return a party's orders on every market as REST shows them: the live ones, or all, newest first."""
    party_id = sandbox.parties[party]
    if live:
        return api.get_open_orders(party_id=party_id, node_url=sandbox.node_url)
    return api.execute_unrollable_get_request(path=f"orders?filter.partyIds={party_id}", key="orders", node_url=sandbox.node_url)


def market_now(sandbox: Sandbox, product: str = "future") -> Market:
    """Return a market with its prices of the newest block, as the bot's store would hold it."""
    market_id = sandbox.markets[product]
    market = parsers.parse_market(api.get_market(node_url=sandbox.node_url, market_id=market_id))
    node = api.get_market_data(node_url=sandbox.node_url, market_id=market_id)
    return Market(**{**vars(market), **parsers.parse_market_data(node, market.decimal_places, market.position_decimal_places)})


def wallet_of(sandbox: Sandbox) -> VegaWallet:
    return VegaWallet(token=sandbox.token, wallet_url=sandbox.wallet_url, pub_key=sandbox.parties["bot"])


def with_store(sandbox: Sandbox, use: Callable[[VegaStore], Result], product: str = "future") -> Result:
    """Run `use(store)` on a thread of its own while the streams feed the store on this one: the bot's two threads.

    Once a process: rel, which waits for the streams' frames, is one global loop.
    """
    store = VegaStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
    store.start(market_id=sandbox.markets[product], party_id=sandbox.parties["bot"])
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(use(store))
        except BaseException as error:  # raised again on the main thread
            errors.append(error)
        finally:
            store.stop()

    thread = threading.Thread(target=run)
    thread.start()
    rel.dispatch()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
