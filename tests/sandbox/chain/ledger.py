"""Money: every party's accounts, what moves between them, and how a spot trade is paid.

Amounts are padded integers of one asset. Nothing is made or lost here except by `deposit`: each movement takes from one account
what it gives to another, and what rounding leaves over stays in the network's settlement account. There are no fees.
"""

from fractions import Fraction
from typing import Union

from tests.sandbox.chain.book import Fills
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import BUY, SELL, Account, Order, Trade

GENERAL, MARGIN, BOND = "ACCOUNT_TYPE_GENERAL", "ACCOUNT_TYPE_MARGIN", "ACCOUNT_TYPE_BOND"
HOLDING, SETTLEMENT = "ACCOUNT_TYPE_HOLDING", "ACCOUNT_TYPE_SETTLEMENT"
NETWORK = "network"  # owner of the settlement accounts

Key = tuple[str, str, str, str]  # owner, market id or "", type, asset id


class Ledger:
    """All accounts, and which of them changed since the last block."""

    def __init__(self) -> None:
        self.accounts: dict[Key, Account] = {}
        self.changed: dict[Key, Account] = {}
        self._held: dict[str, int] = {}  # spot: order id -> what its party has in the holding account for it

    def account(self, owner: str, kind: str, asset_id: str, market_id: str = "") -> Account:
        """Return that account; one nobody has used yet is opened, with nothing in it."""
        key = (owner, market_id, kind, asset_id)
        if key not in self.accounts:
            self.accounts[key] = self.changed[key] = Account(owner=owner, asset_id=asset_id, market_id=market_id, type=kind)
        return self.accounts[key]

    def deposit(self, owner: str, asset_id: str, amount: int) -> None:
        self.account(owner, GENERAL, asset_id).balance += amount

    def move(self, source: Account, target: Account, amount: int) -> None:
        if amount and source is not target:
            for account, change in ((source, -amount), (target, amount)):
                account.balance += change
                self.changed[account.owner, account.market_id, account.type, account.asset_id] = account

    def commit(self, party_id: str, market: Market, amount: int) -> None:
        """Move a liquidity commitment to the party's bond account; a second one, or one beyond its balance, has no effect."""
        general = self.account(party_id, GENERAL, market.settlement_asset.id)
        bond = self.accounts.get((party_id, market.id, BOND, market.settlement_asset.id))
        if amount <= general.balance and not (bond and bond.balance):
            self.move(general, self.account(party_id, BOND, market.settlement_asset.id, market.id), amount)

    def can_pay(self, market: Market, order: Order, price: int, size: int) -> bool:
        """Say whether a spot order's party could pay for that much more of it: buyers with quote, sellers with base."""
        general = self.account(order.party_id, GENERAL, _asset_id(market, order.side))
        return _amount(market, order.side, price, size) - self._held.get(order.id, 0) <= general.balance

    def can_buy(self, market: Market, order: Order, fills: Fills) -> bool:
        """Say whether a spot buyer could pay for what the order meets; only a market order has come this far without a price."""
        cost = sum(resting.price * size for resting, size in fills)
        return order.side == SELL or self.can_pay(market, order, cost, 1)

    def hold(self, market: Market, order: Order, size: int) -> None:
        """Let the holding account have what ``size`` of a resting spot order would cost, and no more."""
        needed = _amount(market, order.side, order.price, size)
        asset_id = _asset_id(market, order.side)
        general, holding = (self.account(order.party_id, kind, asset_id) for kind in (GENERAL, HOLDING))
        self.move(general, holding, needed - self._held.pop(order.id, 0))
        if needed:
            self._held[order.id] = needed

    def pay_spot_trade(self, market: Market, trade: Trade) -> None:
        for side, payer, payee in ((BUY, trade.buyer, trade.seller), (SELL, trade.seller, trade.buyer)):
            asset_id = _asset_id(market, side)
            general = [self.account(party_id, GENERAL, asset_id) for party_id in (payer, payee)]
            self.move(general[0], general[1], _amount(market, side, trade.exact_price, trade.size))


def _asset_id(market: Market, side: str) -> str:
    asset = market.settlement_asset if side == BUY else market.base_asset
    assert asset is not None  # spot markets have both
    return asset.id


def _amount(market: Market, side: str, price: Union[int, Fraction], size: int) -> int:
    """What a spot buyer (quote) or seller (base) gives for a size; rounded down, as Vega does."""
    if side == BUY:
        return int(price * size * market.scale)
    assert market.base_asset is not None
    return int(size * Fraction(10) ** (market.base_asset.decimals - market.size_decimals))
