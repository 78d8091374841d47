"""Accounts, orders, positions, assets and markets in memory: seeded over REST, kept up to date by the streams.

Page: "Storing/caching the data stream". The main thread is the only writer: it seeds in `start`, and later runs the
`_update_*` callbacks inside `rel.dispatch()`. Every other thread reads through the getters.
"""

import dataclasses
import logging
import time
from threading import Lock
from typing import Any, Optional

import bot.models as parsers
import bot.more_api_calls as more_api
import bot.vega_api_client as api
from bot.market_data import TradesAndDepth
from bot.market_terms import MarketTerms, TermsRefresh, with_terms
from bot.models import Account, Asset, Market, Order, Position
from bot.parsing import ParseError, body_of, nodes_of, parse_list, parse_list_or_warn
from bot.store_facts import StoreFacts
from bot.sync import DataAge, MissingItemLookup, OrderHistory, SnapshotAssembler, is_rejected, spot_position, total_balance
from bot.transport.connection import ConnectionHooks
from bot.transport.error_text import truncate
from bot.vega_ws_client import RECONNECT, VegaWebSocketClient

logger = logging.getLogger(__name__)

LIVE_STATUSES = ("STATUS_ACTIVE", "STATUS_PARKED")  # Differs from the page: a pegged order that waits is live, as for REST.
HEIGHT_TIMEOUT = 3.0  # seconds for a node to report its height when market data has stopped


class VegaStore(StoreFacts):
    """Accounts, orders, positions, assets and markets as of the newest frame.

    Each lock guards the dict of its name and is held for one dict operation only. Nothing is parsed, logged, requested or
    sent under a lock, and no code takes two. Records are frozen and replaced whole, so what a getter returns belongs to one
    block and never changes. Differs from the page: every getter takes its lock, and assets have one.

    The age of data is published with the data, under the same lock. Read an age before the data: the data can only be
    fresher than that. The getters that the page lacks, such as those of ages, are in StoreFacts.
    """

    def __init__(self, websocket_url: str, rest_api_url: str, reconnect: int = RECONNECT):
        self._accounts: dict[str, Account] = {}  # Account.get_id() -> account
        self._orders: dict[str, Order] = {}  # order id -> live order
        self._assets: dict[str, Asset] = {}  # asset id -> asset
        self._positions: dict[str, Position] = {}  # market id -> position
        self._markets: dict[str, Market] = {}  # market id -> market

        self._accounts_lock = Lock()
        self._orders_lock = Lock()
        self._assets_lock = Lock()
        self._positions_lock = Lock()
        self._markets_lock = Lock()

        self._ages: dict[str, DataAge] = {}  # market id -> age of its data; with _markets
        self._minimum_values: dict[str, dict[str, float]] = {}  # market id -> side -> smallest price times size; with _markets
        self._order_history = OrderHistory()  # with _orders
        self._account_snapshot: SnapshotAssembler[Account] = SnapshotAssembler()  # with _accounts
        self._order_snapshot: SnapshotAssembler[Order] = SnapshotAssembler()  # with _orders
        self._position_snapshot: SnapshotAssembler[Position] = SnapshotAssembler()  # with _positions
        self._balances_at_start: dict[str, float] = {}  # asset id -> balance when this process started; set once

        self._trades_and_depth = TradesAndDepth(rest_api_url, self._known_market, self._known_asset)  # with locks of its own

        # Main thread only, so without locks.
        self._lookup = MissingItemLookup()
        self._market_id = ""
        self._party_id = ""

        self._rest_api_url = rest_api_url
        self._terms = TermsRefresh(rest_api_url, self._update_terms)
        self._ws_client = VegaWebSocketClient(websocket_url, reconnect, get_block_height=self._get_block_height)

    def start(self, market_id: str, party_id: str, depth: bool = False, trades: bool = False, deadline: Optional[float] = None) -> None:
        """Seed the store over REST, then subscribe; updates come once the caller runs `rel.dispatch()`.

        Args:
            market_id: whose market data to stream.
            party_id: whose accounts, orders and positions to stream, on all markets.
            depth: stream the market's book too; not on the page, likewise the next.
            trades: stream all trades on the market too.
            deadline: a time.monotonic() for all REST calls together.

        Raises:
            VegaApiError: the node did not answer, or rejected a call.
            ParseError: the market's product is unknown to this version.
        """
        self._market_id = market_id
        self.load_data(party_id=party_id, deadline=deadline)
        if self.get_market_by_id(market_id) is None:  # unknown or left out: a call for it alone says why
            market = parsers.parse_market(api.get_market(self._rest_api_url, market_id, deadline))
            with self._markets_lock:
                self._markets[market_id] = market
        self._load_market_data(market_id=market_id, deadline=deadline)

        self._ws_client.subscribe_market_data(market_id=market_id, callback=self._update_market_data)

        # Differs from the page, which names the market here too. The general account is on no market, so its balance would
        # never change, and orders and positions on other markets would stay as they were at the start.
        hooks = self._hooks(self._account_snapshot, self._accounts_lock)
        self._ws_client.subscribe_accounts(party_id=party_id, market_id=None, callback=self._update_accounts, hooks=hooks)

        hooks = self._hooks(self._order_snapshot, self._orders_lock)
        self._ws_client.subscribe_orders(market_id=None, party_id=party_id, callback=self._update_order, hooks=hooks)

        hooks = self._hooks(self._position_snapshot, self._positions_lock)
        self._ws_client.subscribe_positions(market_id=None, party_id=party_id, callback=self._update_position, hooks=hooks)

        public = self._trades_and_depth
        if trades:
            self._ws_client.subscribe_trades(market_id, public.update_trades, public.hooks_of_trades(market_id))
        if depth:
            self._ws_client.subscribe_market_depth(market_id, public.update_depth, public.hooks_of_depth(market_id))

        self._start_terms(market_id, deadline)

    def stop(self) -> None:
        """End `rel.dispatch()` and the streams. Any thread."""
        self._ws_client.stop()

    ###########################################################
    #                     All item loaders                    #
    ###########################################################

    def get_markets(self) -> list[Market]:
        """Return all markets of the network; only the market of `start` has prices."""
        with self._markets_lock:
            return list(self._markets.values())

    def get_accounts(self) -> list[Account]:
        """Return the party's accounts, on all markets. Balances are in units of their asset."""
        with self._accounts_lock:
            return list(self._accounts.values())

    def get_assets(self) -> list[Asset]:
        """Return all assets of the network."""
        with self._assets_lock:
            return list(self._assets.values())

    def get_positions(self) -> list[Position]:
        """Return the party's positions, on all markets but spot markets, as REST does."""
        with self._positions_lock:
            return list(self._positions.values())

    def get_orders(self) -> list[Order]:
        """Return the party's live orders, on all markets."""
        with self._orders_lock:
            return list(self._orders.values())

    ###########################################################
    #                 Individual item loaders                 #
    ###########################################################

    def get_market_by_id(self, market_id: str) -> Optional[Market]:
        """Return a market; None if the store does not know it."""
        with self._markets_lock:
            return self._markets.get(market_id)

    def get_order_by_id(self, order_id: str) -> Optional[Order]:
        """Return one of the party's live orders; None if it is not live."""
        with self._orders_lock:
            return self._orders.get(order_id)

    def get_position_by_market_id(self, market_id: str) -> Optional[Position]:
        """Return the party's position on a market; None if it never traded there.

        Differs from the page: on a spot market it is the change of the base balance since the start, with entry price and PnL 0.
        """
        market = self.get_market_by_id(market_id)
        if market is not None and market.base_asset_id:
            return spot_position(market, self._party_id, self.get_accounts(), self._balances_at_start)
        with self._positions_lock:
            return self._positions.get(market_id)

    def get_asset_by_id(self, asset_id: str) -> Optional[Asset]:
        """Return an asset; None if the store does not know it."""
        with self._assets_lock:
            return self._assets.get(asset_id)

    ###########################################################
    #                     Update functions                    #
    ###########################################################
    # Main thread, inside rel.dispatch(). Each takes the `result` of one frame, and has the page's steps: take the list out
    # of it, parse without the lock, replace under the lock. Differs from the page: all entries of a list count, not only
    # the first. An entry that cannot be parsed is left out, and ParseError says what the stream's client should report.

    def _update_market_data(self, market_dict: dict[str, Any]) -> None:
        nodes = nodes_of(market_dict, "marketData")

        markets, problem = parse_list(self._parse_market_data, nodes)
        latency = self._ws_client.latency()

        with self._markets_lock:
            for market in markets:
                self._markets[market.market_id] = market
                self._age_of(market.market_id).on_block(market.timestamp, latency)
        if problem:
            raise ParseError(problem)

    def _update_order(self, order_dict: dict[str, Any]) -> None:
        nodes = nodes_of(body_of(order_dict), "orders")

        orders, problem = parse_list(self._parse_order, nodes)
        # Differs from the page: a snapshot replaces what the store held, once its last page has arrived.
        snapshot = self._order_snapshot.add(order_dict, {order.order_id: order for order in orders})

        with self._orders_lock:
            if snapshot is not None:
                self._orders = {order_id: order for order_id, order in snapshot.items() if order.status in LIVE_STATUSES}
                self._order_snapshot.mark_fresh()
            elif "updates" in order_dict or self._order_snapshot.is_complete:
                for order in orders:
                    if order.status in LIVE_STATUSES:
                        self._orders[order.order_id] = order
                    else:
                        self._orders.pop(order.order_id, None)
            for order in orders:
                self._order_history.add(order)
        self._on_rejected([order for order in orders if order.status in ("STATUS_REJECTED", "STATUS_STOPPED")])
        if problem:
            raise ParseError(problem)

    def _update_position(self, position_dict: dict[str, Any]) -> None:
        nodes = nodes_of(body_of(position_dict), "positions")

        positions, problem = parse_list(self._parse_position, nodes)
        by_market = {position.market_id: position for position in positions}
        snapshot = self._position_snapshot.add(position_dict, by_market)

        with self._positions_lock:
            if snapshot is not None:
                self._positions = snapshot
                self._position_snapshot.mark_fresh()
            elif "updates" in position_dict or self._position_snapshot.is_complete:
                self._positions.update(by_market)
        if problem:
            raise ParseError(problem)

    def _update_accounts(self, account_dict: dict[str, Any]) -> None:
        nodes = nodes_of(body_of(account_dict), "accounts")

        accounts, problem = parse_list(self._parse_account, nodes)
        by_id = {account.get_id(): account for account in accounts}
        snapshot = self._account_snapshot.add(account_dict, by_id)

        with self._accounts_lock:
            if snapshot is not None:
                self._accounts = snapshot
                self._account_snapshot.mark_fresh()
            elif "updates" in account_dict or self._account_snapshot.is_complete:
                self._accounts.update(by_id)
        if problem:
            raise ParseError(problem)

    def _on_rejected(self, orders: list[Order]) -> None:
        for order in orders:  # Differs from the page, which never says so.
            logger.warning("order %s: %s, %s", order.order_id, order.status, order.reason or "no reason given")
        if any(order.market_id == self._market_id and is_rejected(order) for order in orders):
            self._terms.refresh()  # they may have changed

    # Parsing with the decimals that the store holds. Differs from the page: an unknown id is looked up over REST.

    def _parse_market_data(self, node: dict[str, Any]) -> Market:
        market = self._known_market(node["market"])
        prices = parsers.parse_market_data(node, market.decimal_places, market.position_decimal_places)
        return dataclasses.replace(market, timestamp=parsers.parse_timestamp(node), **prices)

    def _require_own(self, party_id: str) -> None:
        if self._party_id and party_id != self._party_id:
            raise ParseError(f"a record of another party, {truncate(party_id)}")

    def _parse_order(self, node: dict[str, Any]) -> Order:
        market = self._known_market(node["marketId"])
        order = parsers.parse_order(
            node, position_decimal_places=market.position_decimal_places, price_decimal_places=market.decimal_places
        )
        self._require_own(order.party_id)
        return order

    def _parse_position(self, node: dict[str, Any]) -> Position:
        market = self._known_market(node["marketId"])
        asset = self._known_asset(market.settlement_asset_id)
        position = parsers.parse_position(
            node,
            position_decimal_places=market.position_decimal_places,
            price_decimal_places=market.decimal_places,
            asset_decimal_places=asset.decimal_places,
        )
        self._require_own(position.party_id)
        return position

    def _parse_account(self, node: dict[str, Any]) -> Account:
        account = parsers.parse_account(node, asset_decimal_places=self._known_asset(node["asset"]).decimal_places)
        self._require_own(account.owner)
        return account

    def _known_market(self, market_id: str) -> Market:
        market = self.get_market_by_id(market_id)
        if market is None:  # created after the start
            deadline = time.monotonic() + api.LOOKUP_TIMEOUT
            market = self._lookup.fetch(market_id, lambda: parsers.parse_market(api.get_market(self._rest_api_url, market_id, deadline)))
            with self._markets_lock:
                self._markets[market_id] = market
        return market

    def _known_asset(self, asset_id: str) -> Asset:
        asset = self.get_asset_by_id(asset_id)
        if asset is None:
            deadline = time.monotonic() + api.LOOKUP_TIMEOUT
            asset = self._lookup.fetch(asset_id, lambda: parsers.parse_asset(api.get_asset(self._rest_api_url, asset_id, deadline)))
            with self._assets_lock:
                self._assets[asset_id] = asset
        return asset

    def load_data(self, party_id: str, deadline: Optional[float] = None) -> None:
        """Replace all records by those of REST. Prices are 0 until market data arrives.

        Raises:
            VegaApiError: the node did not answer, or rejected a call.
        """
        self._party_id = party_id
        assets = parse_list_or_warn(parsers.parse_asset, api.get_assets(node_url=self._rest_api_url, deadline=deadline))
        with self._assets_lock:
            self._assets = {asset.asset_id: asset for asset in assets}

        markets = parse_list_or_warn(parsers.parse_market, api.get_markets(node_url=self._rest_api_url, deadline=deadline))
        with self._markets_lock:
            self._markets = {market.market_id: market for market in markets}
            self._ages = {}

        nodes = api.get_accounts(node_url=self._rest_api_url, party_id=party_id, deadline=deadline)
        accounts = parse_list_or_warn(self._parse_account, nodes)
        with self._accounts_lock:
            self._accounts = {account.get_id(): account for account in accounts}
            self._account_snapshot.mark_seeded()
        if not self._balances_at_start:
            self._balances_at_start = {account.asset_id: total_balance(accounts, account.asset_id) for account in accounts}

        # Differs from the page, which swaps the two numbers of decimals here.
        nodes = api.get_open_orders(party_id=party_id, node_url=self._rest_api_url, deadline=deadline)
        orders = parse_list_or_warn(self._parse_order, nodes)
        with self._orders_lock:
            self._orders = {order.order_id: order for order in orders}

        nodes = api.get_positions(party_id=party_id, node_url=self._rest_api_url, deadline=deadline)
        positions = parse_list_or_warn(self._parse_position, nodes)
        with self._positions_lock:
            self._positions = {position.market_id: position for position in positions}
            self._position_snapshot.mark_seeded()

    def _load_market_data(self, market_id: str, deadline: Optional[float] = None) -> None:
        """Seed one market's prices, so that the first quote need not wait for a frame. Not on the page."""
        try:
            node, is_newest = more_api.get_latest_market_data(self._rest_api_url, market_id, deadline)
            market = self._parse_market_data(node)
        except (api.VegaApiError, ParseError, LookupError, TypeError) as error:  # the stream sends them within a block
            logger.warning("no prices yet: %s", error)
            return
        with self._markets_lock:
            self._markets[market_id] = market
            if is_newest:  # otherwise its age is unknown
                self._age_of(market_id).on_seed()

    ###########################################################
    #              Streams lost, terms, the node              #
    ###########################################################
    # Not on the page. Main thread, except where noted.

    def _hooks(self, snapshot: SnapshotAssembler[Any], lock: Lock) -> ConnectionHooks:
        """Return what the connection of a stream with a snapshot calls."""

        def on_disconnect(latency: float) -> None:
            with lock:
                snapshot.mark_stale(latency)

        return ConnectionHooks(on_open=snapshot.on_connect, on_disconnect=on_disconnect, is_overdue=snapshot.is_overdue)

    def _start_terms(self, market_id: str, deadline: Optional[float]) -> None:
        market = self._markets[market_id]
        asset = self.get_asset_by_id(market.settlement_asset_id)
        self._terms.start(market, asset.quantum if asset is not None else 0.0, deadline)

    def _update_terms(self, terms: MarketTerms) -> None:
        market_id = terms.market.market_id
        with self._markets_lock:
            self._markets[market_id] = with_terms(self._markets[market_id], terms.market)
            self._minimum_values[market_id] = terms.minimum_values

    def fetch_recent_orders(self, deadline: float) -> list[Order]:
        """Return the party's newest orders as REST has them, dead ones too. Any thread.

        Raises:
            VegaApiError: the node did not answer, or rejected the call.
        """
        nodes, _ = more_api.get_recent_orders(self._party_id, self._rest_api_url, deadline)
        return parse_list(self._parse_known_order, nodes)[0]

    def _parse_known_order(self, node: dict[str, Any]) -> Order:
        """Parse without look-ups, which belong to the main thread; LookupError for an unknown market."""
        market = self.get_market_by_id(node["marketId"])
        if market is None:
            raise LookupError(node["marketId"])
        return parsers.parse_order(node, position_decimal_places=market.position_decimal_places, price_decimal_places=market.decimal_places)

    def _get_block_height(self) -> int:
        """On a thread of its own."""
        return more_api.get_block_height(self._rest_api_url, self._market_id, time.monotonic() + HEIGHT_TIMEOUT)
