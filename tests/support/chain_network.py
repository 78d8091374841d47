"""A small chain with helpers for tests.

Price, size and asset decimals all differ, so that a test fails when two of them are swapped.
"""

from typing import Any, Optional

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import Block, Order
from tests.sandbox.markets import read_markets

SECOND = 10**9
NO_FEES = {"maker": "0", "infrastructure": "0", "liquidity": "0"}
CONFIG: dict[str, Any] = {
    "assets": {"tUSD": 9, "tEUR": 12, "tBTC": 8},
    "markets": [
        {
            "name": "Future",
            "product": "future",
            "price_decimals": 4,
            "size_decimals": 2,
            "tick_size": 5,
            "settlement_asset": "tUSD",
            "first_price": "100",
            "fees": NO_FEES,
        },
        {
            "name": "Spot",
            "product": "spot",
            "price_decimals": 3,
            "size_decimals": 1,
            "tick_size": 10,
            "quote_asset": "tEUR",
            "base_asset": "tBTC",
            "first_price": "20",
            "fees": NO_FEES,
        },
    ],
}
MONEY = 10_000_000  # of every asset, for each party


class Network:
    """A chain with helpers to send transactions on one market."""

    def __init__(self, config: Optional[dict[str, Any]] = None) -> None:
        self.chain = Chain(config or CONFIG, seed=3)
        self.market = next(iter(self.chain.markets.values()))

    def trade_on(self, name: str) -> "Network":
        self.market = next(market for market in self.chain.markets.values() if market.name == name)
        return self

    def send(self, party: str, blocks: int = 1, **transaction: Any) -> Block:
        self.chain.submit(self.chain.parties[party], transaction)
        return [self.chain.block() for _ in range(blocks)][-1]

    def order(self, side: str, size: int, price: Optional[int] = None, **terms: Any) -> dict[str, Any]:
        order = {"marketId": self.market.id, "side": f"SIDE_{side}", "size": str(size), "timeInForce": "TIME_IN_FORCE_GTC"}
        order |= (
            {"type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"} if price is None else {"type": "TYPE_LIMIT", "price": str(price)}
        )
        if "tif" in terms:
            order["timeInForce"] = "TIME_IN_FORCE_" + terms.pop("tif")
        return order | terms

    def place(self, party: str, side: str, size: int, price: Optional[int] = None, **terms: Any) -> Order:
        """Send one order, make one block, and return the order."""
        before = len(self.chain.orders)
        self.send(party, orderSubmission=self.order(side, size, price, **terms))
        orders = list(self.chain.orders.values())[before:]
        assert len(orders) == 1, "expected exactly one new order"
        return orders[0]

    def amend(self, party: str, order: Order, **changes: Any) -> Order:
        self.send(party, orderAmendment={"orderId": order.id, "marketId": order.market_id, **changes})
        return order

    def cancel(self, party: str, order: Optional[Order] = None) -> None:
        self.send(party, orderCancellation={"marketId": self.market.id, **({"orderId": order.id} if order else {})})

    def balance(self, party: str, kind: str, symbol: str, market: Optional[Market] = None) -> int:
        asset_id = next(asset.id for asset in self.chain.assets.values() if asset.symbol == symbol)
        account = self.chain.accounts.get((self.chain.parties[party], market.id if market else "", f"ACCOUNT_TYPE_{kind}", asset_id))
        return account.balance if account else 0

    def open_volume(self, party: str) -> int:
        return self.chain.positions[self.chain.parties[party], self.market.id].open_volume


def outcome(order: Order) -> tuple[str, Optional[str], int]:
    return order.status.removeprefix("STATUS_"), order.reason and order.reason.removeprefix("ORDER_ERROR_"), order.remaining


def markets_without_minimum() -> dict[str, Any]:
    """Return the default markets with assets of quantum 1, so that orders of the smallest size have the minimum order value."""
    config = read_markets()
    assets = {symbol: terms["decimals"] if isinstance(terms, dict) else terms for symbol, terms in config["assets"].items()}
    return {**config, "assets": assets}
