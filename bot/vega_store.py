"""The bot's live copy of the network: seeded over REST, then kept by four streams.

Page: "Storing/caching the data stream". The main thread is the only writer: it seeds in `start`, and later runs the
`_update_*` callbacks inside `rel.dispatch()`. Every other thread reads through the getters.
"""

import logging
import math
import time
from threading import Lock
from typing import Any, Optional

import bot.models as parsers
import bot.vega_api_client as api
from bot.models import Account, Asset, Market, Order, Position
from bot.parsing import ParseError, Snapshot, body_of, nodes_of, parse_all, parse_or_warn
from bot.vega_ws_client import RECONNECT, VegaWebSocketClient

logger = logging.getLogger(__name__)

LIVE = ("STATUS_ACTIVE", "STATUS_PARKED")  # Differs from the page: pegged orders that wait are live, as for REST.
REFUSED = ("STATUS_REJECTED", "STATUS_STOPPED")
WITHDRAWN = ("STATUS_CANCELLED", "STATUS_EXPIRED")  # says nothing of whether the network takes new orders


class VegaStore:
    """Accounts, orders, positions, assets and markets as of the newest frame.

    Each lock guards the dict of its name and is held for one dict operation only: nothing is parsed, logged, asked or
    sent under a lock, and no code takes two. Records are frozen and replaced whole, so what a getter returns is of one
    block and never changes afterwards. Differs from the page: every getter takes its lock, and assets have one.
    """

    def __init__(self, websocket_url: str, rest_api_url: str, reconnect: int = RECONNECT):
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

        self._refusals: dict[str, tuple[str, int]] = {}  # market id -> reason, and orders in a row refused for it; with _orders

        # Main thread only, so without locks.
        self._account_snapshot: Snapshot[Account] = Snapshot()
        self._order_snapshot: Snapshot[Order] = Snapshot()
        self._position_snapshot: Snapshot[Position] = Snapshot()
        self._look_ups = api.LookUps()

        self._rest_api_url = rest_api_url
        self._ws_client = VegaWebSocketClient(data_node_url=websocket_url, reconnect=reconnect)

    def start(self, market_id: str, party_id: str) -> None:
        """Seed the store over REST, then subscribe; updates come once the caller runs `rel.dispatch()`.

        Raises:
            VegaApiError: the node could not be asked, or refused.
            ParseError: the market's product is unknown to this version.
        """
        self.load_data(party_id=party_id)
        if self.get_market_by_id(market_id) is None:  # none, or skipped: asked for alone, the node says why
            market = parsers.parse_market(api.get_market(self._rest_api_url, market_id))
            with self._markets_lock:
                self._markets[market_id] = market
        self._load_market_data(market_id=market_id)

        self._ws_client.subscribe_market_data(market_id=market_id, callback=self._update_market_data)

        # Differs from the page, which names the market here too: the general account is on none, so its balance would
        # stand still, and orders and positions on other markets would stay as they were at the start.
        self._ws_client.subscribe_accounts(None, party_id, callback=self._update_accounts, **self._account_snapshot.hooks())

        self._ws_client.subscribe_orders(None, party_id, callback=self._update_order, **self._order_snapshot.hooks())

        self._ws_client.subscribe_positions(None, party_id, callback=self._update_position, **self._position_snapshot.hooks())

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
        self._markets_lock.acquire()  # as `with`, in three quarters of its time where this core's caches are cold: in a loop that sleeps
        try:
            return self._markets.get(market_id)
        finally:
            self._markets_lock.release()

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

    def get_refusals(self, market_id: str) -> tuple[str, int]:
        """Return how many of our newest orders on a market were refused in a row for one reason, and that reason."""
        with self._orders_lock:
            return self._refusals.get(market_id, ("", 0))

    def seconds_since_update(self, market_id: str) -> float:
        """Return how old a market's data is, in seconds since the node sent it, as far as we know; infinite before any."""
        with self._markets_lock:
            updated_at = self._updated_at.get(market_id, -math.inf)
        return time.monotonic() - updated_at  # not time.time(): a clock that is set must not make data young or old

    def seconds_since_position(self, market_id: str) -> float:
        """Return how old our position on a market may be: 0 while its stream keeps it, infinite before any."""
        market = self.get_market_by_id(market_id)
        return (self._account_snapshot if market and market.base_asset_id else self._position_snapshot).age()

    ###########################################################
    #                     Update functions                    #
    ###########################################################
    # Main thread, inside rel.dispatch(). Each takes the `result` of one frame. An entry that cannot be parsed is left
    # out and the rest of its list kept; ParseError then tells the stream's client what to report. Differs from the page:
    # all entries of a list count, not only the first, and a snapshot replaces what was held once its last page is in.

    def _update_market_data(self, market_dict: dict[str, Any]) -> None:
        markets, problem = parse_all(self._parse_market_data, nodes_of(market_dict, "marketData"))
        sent_at = time.monotonic() - self._ws_client.lag()
        for market in markets:
            with self._markets_lock:  # two assignments: no reader can take the one for newer than it is, age comes last
                self._markets[market.market_id] = market
                self._updated_at[market.market_id] = sent_at
        if problem:
            raise ParseError(problem)

    def _update_order(self, order_dict: dict[str, Any]) -> None:
        orders, problem = parse_all(self._parse_order, nodes_of(body_of(order_dict), "orders"))
        snapshot = self._order_snapshot.add(order_dict, {order.order_id: order for order in orders})
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
                    self._count_refusals(order)
            for order in orders:
                if order.status in REFUSED:  # Differs from the page, which never says so.
                    logger.warning("order %s: %s, %s", order.order_id, order.status, order.reason or "no reason given")
        if problem:
            raise ParseError(problem)

    def _count_refusals(self, order: Order) -> None:
        """Count an order that was refused, or forget those before one that was not. Under the orders' lock."""
        if order.status in REFUSED:
            reason, count = self._refusals.get(order.market_id, ("", 0))
            self._refusals[order.market_id] = (order.reason, count + 1 if order.reason == reason else 1)
        elif order.status not in WITHDRAWN:
            self._refusals.pop(order.market_id, None)

    def _update_position(self, position_dict: dict[str, Any]) -> None:
        positions, problem = parse_all(self._parse_position, nodes_of(body_of(position_dict), "positions"))
        by_market = {position.market_id: position for position in positions}
        snapshot = self._position_snapshot.add(position_dict, by_market)
        with self._positions_lock:
            if snapshot is not None:
                self._positions = snapshot
            elif "updates" in position_dict:
                self._positions.update(by_market)
        if problem:
            raise ParseError(problem)

    def _update_accounts(self, account_dict: dict[str, Any]) -> None:
        accounts, problem = parse_all(self._parse_account, nodes_of(body_of(account_dict), "accounts"))
        by_id = {account.get_id(): account for account in accounts}
        snapshot = self._account_snapshot.add(account_dict, by_id)
        with self._accounts_lock:
            if snapshot is not None:
                self._accounts = snapshot
            elif "updates" in account_dict:
                self._accounts.update(by_id)
        if problem:
            raise ParseError(problem)

    # Parsing, with the decimals that we hold. Differs from the page: an id that we have not met is looked up.

    def _parse_market_data(self, node: dict[str, Any]) -> Market:
        market = self._known_market(node["market"])
        prices = parsers.parse_market_data(node, market.decimal_places, market.position_decimal_places)
        return parsers.with_prices(market, prices)

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
        market = self.get_market_by_id(market_id)
        if market is None:  # made after we started
            market = self._look_ups.ask(
                market_id, lambda: parsers.parse_market(api.get_market(self._rest_api_url, market_id, api.LONGEST_LOOK_UP))
            )
            with self._markets_lock:
                self._markets[market_id] = market
        return market

    def _known_asset(self, asset_id: str) -> Asset:
        asset = self.get_asset_by_id(asset_id)
        if asset is None:
            asset = self._look_ups.ask(asset_id, lambda: parsers.parse_asset(api.get_asset(self._rest_api_url, asset_id)))
            with self._assets_lock:
                self._assets[asset_id] = asset
        return asset

    def load_data(self, party_id: str) -> None:
        """Replace everything by what REST knows now; prices are gone until market data comes.

        Raises:
            VegaApiError: the node could not be asked, or refused.
        """
        assets = parse_or_warn(parsers.parse_asset, api.get_assets(node_url=self._rest_api_url))
        with self._assets_lock:
            self._assets = {asset.asset_id: asset for asset in assets}

        markets = parse_or_warn(parsers.parse_market, api.get_markets(node_url=self._rest_api_url))
        with self._markets_lock:
            self._markets = {market.market_id: market for market in markets}
            self._updated_at = {}

        accounts = parse_or_warn(self._parse_account, api.get_accounts(node_url=self._rest_api_url, party_id=party_id))
        with self._accounts_lock:
            self._accounts = {account.get_id(): account for account in accounts}
        self._account_snapshot.seed()

        # Differs from the page, which swaps the two numbers of decimals here.
        orders = parse_or_warn(self._parse_order, api.get_open_orders(party_id=party_id, node_url=self._rest_api_url))
        with self._orders_lock:
            self._orders = {order.order_id: order for order in orders}

        positions = parse_or_warn(self._parse_position, api.get_positions(party_id=party_id, node_url=self._rest_api_url))
        with self._positions_lock:
            self._positions = {position.market_id: position for position in positions}
        self._position_snapshot.seed()

    def _load_market_data(self, market_id: str) -> None:
        """Seed one market's prices, so that the first quote need not wait for a frame. Not on the page."""
        try:
            node = api.get_market_data(node_url=self._rest_api_url, market_id=market_id)
            self._update_market_data({"marketData": [node]})
        except (api.VegaApiError, ParseError) as error:  # the stream brings them within a block
            logger.warning("no prices yet: %s", error)
