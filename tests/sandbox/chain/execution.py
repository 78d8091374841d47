"""Routes instructions to the markets, and drives the markets through a block."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Optional

from tests.sandbox.chain.engine import MarketEngine
from tests.sandbox.chain.futures import FuturesEngine
from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.ledger import Ledger
from tests.sandbox.chain.market import Market
from tests.sandbox.chain.records import REJECTED
from tests.sandbox.chain.spot import SpotEngine


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
        order = engine.new_order(party_id, terms) if engine else None
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

    def submit_stop_orders(self, party_id: str, terms: dict[str, Any]) -> None:
        """Take in stop orders; the wallet has made sure that both are for one market."""
        setup = terms.get("fallsBelow") or terms["risesAbove"]
        engine = self.engines.get(setup["orderSubmission"]["marketId"])
        if engine:
            engine.submit_stop_orders(party_id, terms)

    def cancel_stop_orders(self, party_id: str, terms: dict[str, Any]) -> None:
        """Cancel one stop order, all on a market, or all on every market."""
        market_id = terms.get("marketId")
        for engine in [self.engines[market_id]] if market_id in self.engines else [] if market_id else self.engines.values():
            engine.stop_orders.cancel(party_id, terms.get("stopOrderId", ""))

    def set_state(self, market: Market, state: str, trading_mode: str) -> None:
        self.engines[market.id].set_state(state, trading_mode)

    def empty_sides(self, sides: Iterable[tuple[str, str]]) -> None:
        """Cancel every order on some sides, given by market id and side."""
        for market_id, side in sorted(sides):
            self.engines[market_id].empty_side(side)
