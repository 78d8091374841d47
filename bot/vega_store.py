"""The bot's live copy of the network: seeded over REST, then kept by four streams.

Page: "Storing/caching the data stream". The main thread is the only writer: it seeds in `start`, and later runs the
`_update_*` callbacks inside `rel.dispatch()`. Every other thread reads through the getters.
"""

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any, Optional, TypeVar

import bot.models as parsers
import bot.vega_api_client as api
from bot.models import Account, Asset, Market, Order, ParseError, Position
from bot.vega_api_client import VegaApiError
from bot.vega_ws_client import VegaWebSocketClient

logger = logging.getLogger(__name__)

LIVE = ("STATUS_ACTIVE", "STATUS_PARKED")  # what REST calls live: resting, or pegged and waiting
ASK_AGAIN = 60.0  # seconds until an id that REST did not know is looked up again
PAUSE_AFTER_FAILURE = 2.0  # seconds without look-ups after one that failed: a list can hold many unknown ids

Record = TypeVar("Record")
Node = dict[str, Any]


class VegaStore:
    """Accounts, orders, positions, assets and markets as of the newest frame.

    Each lock guards the dict of its name and is held for one dict operation only: nothing is parsed, logged, asked or
    sent under a lock, and no code takes two. Records are frozen and replaced whole, so what a getter returns is of one
    block and never changes afterwards.
    """

    def __init__(self, websocket_url: str, rest_api_url: str):
        self._accounts: dict[str, Account] = {}  # Account.get_id() -> account
        self._orders: dict[str, Order] = {}  # order id -> live order
        self._assets: dict[str, Asset] = {}  # asset id -> asset
        self._positions: dict[str, Position] = {}  # market id -> our position
        self._markets: dict[str, Market] = {}  # market id -> market
        self._updated_at: dict[str, float] = {}  # market id -> time.monotonic() of its newest data; guarded with _markets

        self._accounts_lock = Lock()
        self._orders_lock = Lock()
        self._assets_lock = Lock()
        self._positions_lock = Lock()
        self._markets_lock = Lock()

        # Main thread only, so without locks.
        self._snapshots: dict[str, Optional[dict[str, Any]]] = {}  # stream -> pages so far; None when the last is in
        self._looked_up_at: dict[str, float] = {}  # unknown id -> time.monotonic() of its look-up
        self._no_look_up_before = 0.0  # time.monotonic()

        self._rest_api_url = rest_api_url
        self._ws_client = VegaWebSocketClient(data_node_url=websocket_url)

    def start(self, market_id: str, party_id: str) -> None:
        """Seed the store over REST, then subscribe; updates come once the caller runs `rel.dispatch()`.

        Raises:
            VegaApiError: the node could not be asked, or refused.
            ParseError: the market's product is unknown to this version.
        """
        self.load_data(party_id=party_id)
        if self.get_market_by_id(market_id) is None:  # skipped, or none: ask for it alone, for the reason
            parsers.parse_market(api.get_market(node_url=self._rest_api_url, market_id=market_id))
        self._load_market_data(market_id=market_id)

        self._ws_client.subscribe_market_data(market_id=market_id, callback=self._update_market_data)

        # Differs from the page, which names the market here too: the general account is on none, so its balance would
        # stand still, and orders and positions on other markets would stay as they were at the start.
        self._ws_client.subscribe_accounts(
            party_id=party_id, market_id=None, callback=self._update_accounts, on_open=lambda: self._expect_snapshot("accounts")
        )

        self._ws_client.subscribe_orders(
            market_id=None, party_id=party_id, callback=self._update_order, on_open=lambda: self._expect_snapshot("orders")
        )

        self._ws_client.subscribe_positions(
            market_id=None, party_id=party_id, callback=self._update_position, on_open=lambda: self._expect_snapshot("positions")
        )

    def stop(self) -> None:
        self._ws_client.stop()

    ###########################################################
    #                     All item loaders                    #
    ###########################################################

    def get_markets(self) -> list[Market]:
        with self._markets_lock:
            return list(self._markets.values())

    def get_accounts(self) -> list[Account]:
        with self._accounts_lock:
            return list(self._accounts.values())

    def get_assets(self) -> list[Asset]:
        with self._assets_lock:
            return list(self._assets.values())

    def get_positions(self) -> list[Position]:
        with self._positions_lock:
            return list(self._positions.values())

    def get_orders(self) -> list[Order]:
        """Return our live orders, on all markets."""
        with self._orders_lock:
            return list(self._orders.values())

    ###########################################################
    #                 Individual item loaders                 #
    ###########################################################

    def get_market_by_id(self, market_id: str) -> Optional[Market]:
        with self._markets_lock:
            return self._markets.get(market_id)

    def get_order_by_id(self, order_id: str) -> Optional[Order]:
        with self._orders_lock:
            return self._orders.get(order_id)

    def get_position_by_market_id(self, market_id: str) -> Optional[Position]:
        """Return our position on a market; None where we never traded."""
        with self._positions_lock:
            return self._positions.get(market_id)

    def get_asset_by_id(self, asset_id: str) -> Optional[Asset]:
        with self._assets_lock:
            return self._assets.get(asset_id)

    def seconds_since_update(self, market_id: str) -> float:
        """Return how old a market's data is, in seconds since it reached us; infinite before any."""
        with self._markets_lock:
            updated_at = self._updated_at.get(market_id, -math.inf)
        return time.monotonic() - updated_at  # not time.time(): a clock that is set must not make data young or old

    ###########################################################
    #                     Update functions                    #
    ###########################################################
    # Main thread, inside rel.dispatch(). Each takes the `result` of one frame. An entry that cannot be parsed is left
    # out and the rest of its list kept; ParseError then tells the stream's client what to report.

    def _update_market_data(self, market_dict: dict[str, Any]) -> None:
        markets, problems = _parse_all(self._parse_market_data, _entries(market_dict, "marketData"))
        now = time.monotonic()
        with self._markets_lock:
            for market in markets:
                self._markets[market.market_id] = market
                self._updated_at[market.market_id] = now
        _raise_first(problems)

    def _update_order(self, order_dict: dict[str, Any]) -> None:
        body = _body(order_dict)
        orders, problems = _parse_all(self._parse_order, _entries(body, "orders"))
        snapshot = self._collect("orders", order_dict, {order.order_id: order for order in orders})
        if snapshot is not None:
            live = {order_id: order for order_id, order in snapshot.items() if order.status in LIVE}
            with self._orders_lock:
                self._orders = live
        elif "updates" in order_dict:
            with self._orders_lock:
                for order in orders:
                    if order.status in LIVE:
                        self._orders[order.order_id] = order
                    else:
                        self._orders.pop(order.order_id, None)
            for order in orders:
                if order.status in ("STATUS_REJECTED", "STATUS_STOPPED"):
                    logger.warning("order %s: %s, %s", order.order_id, order.status, order.reason or "no reason given")
        _raise_first(problems)

    def _update_position(self, position_dict: dict[str, Any]) -> None:
        body = _body(position_dict)
        parsed, problems = _parse_all(self._parse_position, _entries(body, "positions"))
        positions = {position.market_id: position for position in parsed}
        snapshot = self._collect("positions", position_dict, positions)
        with self._positions_lock:
            if snapshot is not None:
                self._positions = snapshot
            elif "updates" in position_dict:
                self._positions.update(positions)
        _raise_first(problems)

    def _update_accounts(self, account_dict: dict[str, Any]) -> None:
        body = _body(account_dict)
        parsed, problems = _parse_all(self._parse_account, _entries(body, "accounts"))
        accounts = {account.get_id(): account for account in parsed}
        snapshot = self._collect("accounts", account_dict, accounts)
        with self._accounts_lock:
            if snapshot is not None:
                self._accounts = snapshot
            elif "updates" in account_dict:
                self._accounts.update(accounts)
        _raise_first(problems)

    def _expect_snapshot(self, stream: str) -> None:
        """Forget the pages of a connection that was lost before its last one: a new one begins with a new snapshot."""
        self._snapshots[stream] = {}

    def _collect(self, stream: str, message: dict[str, Any], records: dict[str, Record]) -> Optional[dict[str, Record]]:
        """Add records to the snapshot that is coming in, if one is; return the whole once its last page is in."""
        pages = self._snapshots.get(stream)
        if pages is None:
            pages = {}
            if "snapshot" not in message:
                return None
        pages.update(records)  # an update between two pages is newer than both
        last = "snapshot" in message and bool(message["snapshot"].get("lastPage"))
        self._snapshots[stream] = None if last else pages
        return pages if last else None

    ###########################################################
    #               Parsing with what we hold                 #
    ###########################################################

    def _parse_market_data(self, node: dict[str, Any]) -> Market:
        market = self._known_market(node["market"])
        return replace(market, **parsers.parse_market_data(node, market.decimal_places, market.position_decimal_places))

    def _parse_order(self, node: dict[str, Any]) -> Order:
        market = self._known_market(node["marketId"])
        return parsers.parse_order(node, position_decimal_places=market.position_decimal_places, price_decimal_places=market.decimal_places)

    def _parse_position(self, node: dict[str, Any]) -> Position:
        market = self._known_market(node["marketId"])
        asset = self._known_asset(market.settlement_asset_id)
        return parsers.parse_position(
            node,
            position_decimal_places=market.position_decimal_places,
            price_decimal_places=market.decimal_places,
            asset_decimal_places=asset.decimal_places,
        )

    def _parse_account(self, node: dict[str, Any]) -> Account:
        return parsers.parse_account(node, asset_decimal_places=self._known_asset(node["asset"]).decimal_places)

    def _known_market(self, market_id: str) -> Market:
        """Return a market, looked up over REST where the store has not met it: markets are made at any time."""
        market = self.get_market_by_id(market_id)
        if market is None:
            self._allow_look_up("market", market_id)
            market = parsers.parse_market(api.get_market(node_url=self._rest_api_url, market_id=market_id, one_try=True))
            with self._markets_lock:
                self._markets[market_id] = market
            self._no_look_up_before = 0.0
        return market

    def _known_asset(self, asset_id: str) -> Asset:
        """Return an asset, looked up over REST where the store has not met it."""
        asset = self.get_asset_by_id(asset_id)
        if asset is None:
            self._allow_look_up("asset", asset_id)
            nodes = api.get_assets(node_url=self._rest_api_url, one_try=True)
            assets = {asset.asset_id: asset for asset in _parse_all(parsers.parse_asset, nodes)[0]}
            if asset_id not in assets:
                raise ParseError(f"asset {asset_id} is unknown to the node too")
            with self._assets_lock:
                self._assets.update(assets)
            self._no_look_up_before = 0.0
            asset = assets[asset_id]
        return asset

    def _allow_look_up(self, kind: str, item_id: str) -> None:
        """Raise ParseError where a look-up has no hope, or one has failed just now: frames wait for it meanwhile."""
        if not (isinstance(item_id, str) and re.fullmatch("[0-9a-f]{64}", item_id)):
            raise ParseError(f"{parsers.shortened(item_id)} is no id of a {kind}")
        now = time.monotonic()
        asked_again_at = self._looked_up_at.get(item_id, -math.inf) + ASK_AGAIN
        if now < max(asked_again_at, self._no_look_up_before):
            raise ParseError(f"{kind} {item_id} is unknown")
        self._looked_up_at[item_id] = now
        self._no_look_up_before = now + PAUSE_AFTER_FAILURE  # taken back where it succeeds

    ###########################################################
    #                    Seeding over REST                    #
    ###########################################################

    def load_data(self, party_id: str) -> None:
        """Replace everything by what REST knows now, prices excepted.

        Raises:
            VegaApiError: the node could not be asked, or refused.
        """
        assets = self._load(parsers.parse_asset, api.get_assets(node_url=self._rest_api_url))
        with self._assets_lock:
            self._assets = {asset.asset_id: asset for asset in assets}

        markets = self._load(parsers.parse_market, api.get_markets(node_url=self._rest_api_url))
        with self._markets_lock:
            self._markets = {market.market_id: market for market in markets}

        accounts = self._load(self._parse_account, api.get_accounts(node_url=self._rest_api_url, party_id=party_id))
        with self._accounts_lock:
            self._accounts = {account.get_id(): account for account in accounts}

        # Differs from the page, which swaps the two numbers of decimals here.
        orders = self._load(self._parse_order, api.get_open_orders(party_id=party_id, node_url=self._rest_api_url))
        with self._orders_lock:
            self._orders = {order.order_id: order for order in orders}

        positions = self._load(self._parse_position, api.get_positions(party_id=party_id, node_url=self._rest_api_url))
        with self._positions_lock:
            self._positions = {position.market_id: position for position in positions}

    def _load_market_data(self, market_id: str) -> None:
        """Seed one market's prices, so that the first quote need not wait for a frame. Not on the page."""
        try:
            node = api.get_market_data(node_url=self._rest_api_url, market_id=market_id)
            self._update_market_data({"marketData": [node]})
        except (VegaApiError, ParseError) as error:  # the stream brings them within a block
            logger.warning("no prices yet: %s", error)

    def _load(self, parse: Callable[[Node], Record], nodes: list[Node]) -> list[Record]:
        records, problems = _parse_all(parse, nodes)
        if problems:
            logger.warning("%s", _summary(problems))
        return records


def _body(message: Node) -> Node:
    """Return what a stream's message holds, be it a page of the snapshot or updates."""
    body = message.get("snapshot", message.get("updates"))
    if not isinstance(body, dict):
        raise ParseError(f"neither snapshot nor updates: {parsers.shortened(message)}")
    return body


def _entries(body: Node, key: str) -> list[Node]:
    """Return a list of nodes; streams leave empty ones out."""
    nodes = body.get(key, [])
    if not isinstance(nodes, list):
        raise ParseError(f"{key} is no list: {parsers.shortened(body)}")
    return nodes


def _parse_all(parse: Callable[[Node], Record], nodes: list[Node]) -> tuple[list[Record], list[Exception]]:
    """Parse each node; return the records, and what was wrong with the others."""
    records: list[Record] = []
    problems: list[Exception] = []
    for node in nodes:
        try:
            records.append(parse(node))
        except (ParseError, VegaApiError) as error:
            problems.append(error)
        except (LookupError, TypeError) as error:  # no dict, or one without the ids that the decimals hang on
            problems.append(ParseError(f"{error!r} in {parsers.shortened(node)}"))
    return records, problems


def _summary(problems: list[Exception]) -> str:
    return f"{len(problems)} left out, the first because: {problems[0]}" if len(problems) > 1 else f"left out: {problems[0]}"


def _raise_first(problems: list[Exception]) -> None:
    if problems:
        raise ParseError(_summary(problems))
