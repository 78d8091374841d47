"""Routes instructions to the markets, and drives the markets through a block."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Optional

from tests.sandbox.chain.amendments import to_microseconds
from tests.sandbox.chain.engine import MarketEngine
from tests.sandbox.chain.futures import FuturesEngine
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import ACTIVE, MARKET, REJECTED, Iceberg, Order, Peg
from tests.sandbox.chain.spot import SpotEngine
from tests.sandbox.chain.uint_limits import read_uint


class Execution:
    """All markets at work."""

    def __init__(self, markets: dict[str, Market], ledger: Ledger, new_id: Callable[[str], str], traders: Collection[str]) -> None:
        self.journal = Journal(ledger, new_id)
        self.engines: dict[str, MarketEngine] = {
            market.id: SpotEngine(market, self.journal) if market.is_spot else FuturesEngine(market, self.journal)
            for market in markets.values()
        }
        self.reject_orders: Optional[str] = None  # an OrderError for every new order, except the traders'
        self._traders = frozenset(traders)

    def begin_block(self) -> None:
        for engine in self.engines.values():
            engine.begin_block()

    def end_block(self) -> None:
        self.journal.archive.end_block()
        for engine in self.engines.values():
            engine.end_block()
        self.journal.archive.prune(self.journal.changed.values())

    def submit(self, party_id: str, terms: dict[str, Any]) -> None:
        """Execute a decoded order submission."""
        engine = self.engines.get(terms["marketId"])
        order = self._order(engine.market, party_id, terms) if engine else None
        if engine is None or order is None:
            return
        if self.reject_orders and party_id not in self._traders:
            order.status, order.reason = REJECTED, self.reject_orders
            self.journal.publish(order)
            return
        engine.submit(order)
        engine.trigger_stop_orders()

    def amend(self, party_id: str, terms: dict[str, Any]) -> bool:
        """Execute a decoded order amendment. Return False if it failed, which has no effect."""
        engine = self.engines.get(terms["marketId"])
        if engine is None:
            return False
        amended = engine.amend(party_id, terms)
        engine.trigger_stop_orders()
        return amended

    def cancel(self, party_id: str, terms: dict[str, Any]) -> None:
        """Execute a decoded cancellation: one order, all on a market, or all on every market."""
        market_id, order_id = terms.get("marketId"), terms.get("orderId")
        engines = [self.engines[market_id]] if market_id in self.engines else []
        if not market_id and not order_id:
            engines = list(self.engines.values())
        for engine in engines:
            engine.cancel(party_id, order_id)

    def submit_stop_orders(self, party_id: str, terms: dict[str, Any]) -> None: ...

    def cancel_stop_orders(self, party_id: str, terms: dict[str, Any]) -> None: ...

    def set_state(self, market: Market, state: str, trading_mode: str) -> None:
        self.engines[market.id].set_state(state, trading_mode)

    def empty_sides(self, sides: Iterable[tuple[str, str]]) -> None:
        """Cancel every order on some sides, given by market id and side."""
        for market_id, side in sorted(sides):
            self.engines[market_id].empty_side(side)

    def _order(self, market: Market, party_id: str, terms: dict[str, Any]) -> Optional[Order]:
        """Return a new order; None if its price is beyond the network's range."""
        price = read_uint(terms.get("price", ""))
        peg, iceberg = terms.get("peggedOrder"), terms.get("icebergOpts")
        offset = read_uint(peg.get("offset", "")) if peg else 0
        if price is None or offset is None:
            return None
        return Order(
            id=self.journal.new_id("order"),
            market_id=market.id,
            party_id=party_id,
            side=terms["side"],
            price=price,
            size=terms["size"],
            remaining=terms["size"],
            time_in_force=terms["timeInForce"],
            type=terms["type"],
            status=ACTIVE,
            reference=terms.get("reference", ""),
            created_at=self.journal.now,
            expires_at=to_microseconds(terms.get("expiresAt", 0)),
            post_only=terms.get("postOnly", False),
            reduce_only=terms.get("reduceOnly", False),
            asset_price=0 if terms["type"] == MARKET else market.to_asset_price(price),
            peg=Peg(peg["reference"], offset) if peg else None,
            iceberg=Iceberg(iceberg["peakSize"], iceberg["minimumVisibleSize"]) if iceberg else None,
        )
