"""Plays a rule on the sandbox's chain and traders as fast as blocks can be made: no clock, no network, the same result each time.

In each block, the rule's orders come first, made from the prices of the block before. Then come the maker's, then the taker's, as in the
sandbox.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bot.models as models
import bot.submission as sub
import tests.sandbox
from bot.execution.pre_trade_checks import limit_to_position
from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.traders import Traders
from tests.sandbox.node.serializers import market_data_node, market_node

REJECTED = ("STATUS_REJECTED", "STATUS_STOPPED")
Rule = Callable[[models.Market, float, float], list[sub.OrderSubmission]]  # as main.quotes


@dataclass(frozen=True)
class Result:
    """The result of a rule on one market."""

    pnl: float  # settlement asset; the position at the end is valued at the last price
    largest_position: float  # contracts, long or short
    fills: int
    sent: int = 0  # orders
    ignored: int = 0  # orders that the network accepted and did nothing with
    rejected: tuple[str, ...] = ()  # the reason of each rejected order


class Simulation:
    """One future, a maker, a taker, and the party of the rule, `bot`."""

    def __init__(self, seed: int) -> None:
        self._chain = Chain(_one_future(), seed=seed)
        self._traders = Traders(self._chain, seed, "noise")
        self._market: Market = next(iter(self._chain.markets.values()))
        self._party = self._chain.parties["bot"]
        self._fills = 0
        self._largest = Fraction(0)
        self._sent = 0
        self._orders: dict[str, str] = {}  # order id -> why it was rejected; empty if it was not

    def run(self, rule: Rule, blocks: int, max_abs_position: float) -> Result:
        """Play a rule.

        Args:
            max_abs_position: contracts; orders that could exceed it are cut or left out, as in the bot.
        """
        terms = models.parse_market(market_node(self._market, opened=0))
        self._make_block()  # so that there are prices
        for _ in range(blocks):
            market = self._with_prices(terms)
            position = float(self._position())
            both_sides = market.best_bid_price and market.best_offer_price
            wanted = rule(market, position, max_abs_position) if both_sides else []
            self._send(limit_to_position(wanted, position, max_abs_position, market.position_decimal_places)[0], market)
            self._make_block()
            self._largest = max(self._largest, abs(self._position()))
        return Result(
            pnl=self._pnl(),
            largest_position=float(self._largest),
            fills=self._fills,
            sent=self._sent,
            ignored=self._sent - len(self._orders),
            rejected=tuple(reason for reason in self._orders.values() if reason),
        )

    def _with_prices(self, terms: models.Market) -> models.Market:
        node = market_data_node(self._chain, self._market)
        return replace(terms, **models.parse_market_data(node, terms.decimal_places, terms.position_decimal_places))

    def _send(self, submissions: list[sub.OrderSubmission], market: models.Market) -> None:
        """Replace all open orders, as the bot does in each turn."""
        batch = sub.BatchMarketInstruction(submissions, [sub.OrderCancellation(market_id=market.market_id)], amendments=[])
        transaction = sub.instruction_to_json(batch, market.decimal_places, market.position_decimal_places, market.tick_size)
        self._chain.submit(self._party, transaction)
        self._sent += len(submissions)

    def _make_block(self) -> None:
        for party_id, transaction in self._traders.transactions():
            self._chain.submit(party_id, transaction)
        block = self._chain.block()
        self._fills += sum(self._party in (trade.buyer, trade.seller) for trade in block.trades)
        for order in block.orders:
            if order.party_id == self._party:
                self._orders[order.id] = (order.reason or order.status) if order.status in REJECTED else ""

    def _position(self) -> Fraction:
        position = self._chain.positions.get((self._party, self._market.id))
        return Fraction(position.open_volume if position else 0, 10**self._market.size_decimals)

    def _pnl(self) -> float:
        position = self._chain.positions.get((self._party, self._market.id))
        return float((position.realised_pnl + position.unrealised_pnl) / 10**self._market.settlement_asset.decimals) if position else 0.0


def _one_future() -> dict[str, Any]:
    """Return the sandbox's default markets without all but the first, which is three times as fast."""
    config: dict[str, Any] = json.loads(Path(tests.sandbox.__file__).with_name("markets.json").read_text(encoding="utf-8"))
    return {**config, "markets": config["markets"][:1]}
