"""Exposure: what a party holds on a market, and what its open orders could still buy and sell."""

from dataclasses import dataclass

from tests.sandbox.chain.records import BUY, Order


@dataclass
class Exposure:
    """Sizes are padded; the products are sums of asset price * size over the open orders of a side."""

    party_id: str
    size: int = 0  # open volume, below zero is short
    buy: int = 0
    sell: int = 0
    buy_product: int = 0
    sell_product: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.size or self.buy or self.sell)

    def add(self, side: str, asset_price: int, size: int) -> None:
        """Add an open order, or with a negative size remove it."""
        if side == BUY:
            self.buy += size
            self.buy_product += asset_price * size
        else:
            self.sell += size
            self.sell_product += asset_price * size

    def on_side(self, side: str) -> int:
        """Return the total remaining size of the party's open orders on one side."""
        return self.buy if side == BUY else self.sell

    def trade(self, side: str, asset_price: int, size: int) -> None:
        """Turn part of an open order at `asset_price` into open volume."""
        self.add(side, asset_price, -size)
        self.size += size if side == BUY else -size

    def is_reduced_by(self, order: Order) -> bool:
        """Return whether the order, already added, can only reduce the open volume."""
        if not self.size or order.peg or (self.size > 0) == (order.side == BUY):
            return False
        closing = order.remaining if order.type == "TYPE_MARKET" else self.on_side(order.side)
        return abs(self.size) >= closing

    def copy(self) -> "Exposure":
        return Exposure(self.party_id, self.size, self.buy, self.sell, self.buy_product, self.sell_product)
