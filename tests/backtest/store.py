"""The bot's store, fed by a chain in the same process instead of REST and streams. Its getters are the bot's own."""

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Any, Optional

from bot import models
from bot.market_data import MAX_TRADES, Depth, Trade, parse_depth
from bot.market_terms import MINIMUM_MULTIPLE, MarketTerms
from bot.models import Account, Order, parse_account, parse_asset, parse_market
from bot.more_api_calls import MAX_RECENT_ORDERS
from bot.submission import convert_to_decimals
from bot.sync import total_balance
from bot.vega_store import VegaStore
from tests.sandbox.chain import records
from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.margin import LONG_RISK, SHORT_RISK
from tests.sandbox.chain.records import BUY, SELL, Block
from tests.sandbox.node.network_parameters import NETWORK_PARAMETERS
from tests.sandbox.node.serializers import account_node, asset_node, market_node, position_node, trade_node


class BacktestStore(VegaStore):
    """What one party sees of one market, as of the newest block.

    Args:
        chain: whose blocks `add` gets.
        market: whose data the store holds.
        party_id: whose accounts, orders and positions it holds.
    """

    def __init__(self, chain: Chain, market: Market, party_id: str) -> None:
        super().__init__(websocket_url="", rest_api_url="")
        self._chain, self._market = chain, market
        self._party_id = party_id
        self._changed_accounts: dict[tuple[str, str, str], records.Account] = {}  # not parsed yet
        self._new_trades: deque[records.Trade] = deque(maxlen=MAX_TRADES)  # not parsed yet
        self._assets = {asset.id: parse_asset(asset_node(asset)) for asset in chain.assets.values()}
        terms = parse_market(market_node(market, opened=0))
        self._markets = {market.id: terms}
        accounts = [account_node(account) for account in chain.accounts.values() if account.owner == party_id]
        parsed = [parse_account(node, self._assets[node["asset"]].decimal_places) for node in accounts]
        self._update_accounts({"snapshot": {"accounts": accounts, "lastPage": True}})
        self._update_order({"snapshot": {"lastPage": True}})
        self._update_position({"snapshot": {"lastPage": True}})
        self._balances_at_start = {account.asset_id: total_balance(parsed, account.asset_id) for account in parsed}
        if not market.is_spot:
            value = float(NETWORK_PARAMETERS.get(MINIMUM_MULTIPLE, "0")) * self._assets[market.settlement_asset.id].quantum
            factors = {BUY: LONG_RISK, SELL: SHORT_RISK}
            minimum_values = {side: value / (float(factor) + terms.linear_slippage_factor) for side, factor in factors.items()}
            self._update_terms(MarketTerms(terms, minimum_values))

    def add(self, block: Block) -> None:
        """Take over what a block changed, as the streams would send it. The chain must be in the state that the block left."""
        self._update_market_data({"marketData": [self._market]})
        orders = [order for order in block.orders if order.party_id == self._party_id]
        if orders:
            self._update_order({"updates": {"orders": orders}})
        positions = [position_node(position) for position in block.positions if position.party_id == self._party_id]
        if positions:
            self._update_position({"updates": {"positions": positions}})
        self._new_trades.extend(block.trades)
        for account in block.accounts:
            if account.owner == self._party_id:
                self._changed_accounts[account.type, account.market_id, account.asset_id] = account

    # The store's own parsers read JSON, which takes longer than most rules. These make the same records of the chain's.

    def _parse_market_data(self, market: Any) -> models.Market:
        (bid, bid_volume), (offer, offer_volume) = market.best_bid, market.best_offer
        prices, sizes = market.price_decimals, market.size_decimals
        return replace(
            self._markets[market.id],
            timestamp=self._chain.time,
            mark_price=convert_to_decimals(prices, market.mark_price),
            best_bid_price=convert_to_decimals(prices, bid),
            best_bid_volume=convert_to_decimals(sizes, bid_volume),
            best_offer_price=convert_to_decimals(prices, offer),
            best_offer_volume=convert_to_decimals(sizes, offer_volume),
            open_interest=convert_to_decimals(sizes, market.open_interest),
            trading_mode=market.trading_mode,
            state=market.state,
        )

    def _parse_order(self, order: Any) -> Order:
        sizes = self._market.size_decimals
        return Order(
            order_id=order.id,
            market_id=order.market_id,
            size=convert_to_decimals(sizes, order.size),
            remaining_size=convert_to_decimals(sizes, order.remaining),
            price=convert_to_decimals(self._market.price_decimals, order.price),
            order_type=order.type,
            time_in_force=order.time_in_force,
            status=order.status,
            party_id=order.party_id,
            side=order.side,
            reason=order.reason or "",
            reference=order.reference,
            updated_at=max(order.created_at, order.updated_at),
        )

    def fetch_recent_orders(self, deadline: float) -> list[Order]:
        """Return the party's newest orders as REST has them, dead ones too. There is no deadline to miss."""
        return [self._parse_order(order) for order in islice(self._chain.newest_orders([self._party_id]), MAX_RECENT_ORDERS)]

    def get_accounts(self) -> list[Account]:
        """Return the accounts, parsed only now: few rules look at them, and two or three change in each block."""
        if self._changed_accounts:
            accounts = [account_node(account) for account in self._changed_accounts.values()]
            self._changed_accounts = {}
            self._update_accounts({"updates": {"accounts": accounts}})
        return super().get_accounts()

    def get_trades(self) -> list[Trade]:
        """Return the newest trades, parsed only now."""
        if self._new_trades:
            trades = [trade_node(trade) for trade in self._new_trades]
            self._new_trades.clear()
            self._trades_and_depth.update_trades({"trades": trades})
        return super().get_trades()

    def get_depth(self, market_id: str) -> Optional[Depth]:
        """Return the book, built only now."""
        if market_id != self._market.id:
            return None
        sides = {name: self._levels(side) for name, side in (("buy", BUY), ("sell", SELL))}
        node = {"marketId": market_id, "sequenceNumber": str(self._chain.time), **sides}
        terms = self._markets[market_id]
        return parse_depth(node, terms.position_decimal_places, terms.decimal_places)

    def _levels(self, side: str) -> list[dict[str, str]]:
        """Return the levels of one side, best first, as REST shows them."""
        orders: dict[int, list[int]] = {}  # padded price -> volumes
        for order in self._market.book.orders(side):
            orders.setdefault(order.price, []).append(order.total_remaining)
        return [
            {"price": str(price), "numberOfOrders": str(len(volumes)), "volume": str(sum(volumes))} for price, volumes in orders.items()
        ]
