"""A market's terms, read again while the bot runs: governance may change them. Not on the page, which reads them once.

After the start, the calls run on a thread of their own. The store takes the result on the main thread.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from typing import NamedTuple, Optional

import rel

import bot.more_api_calls as more_api
import bot.vega_api_client as api
from bot.models import Market, parse_market
from bot.parsing import ParseError, parse_decimal
from bot.transport.event_loop import EventLoop

REFRESH_INTERVAL = 60.0  # seconds
REFRESH_TIMEOUT = 10.0  # seconds for all calls of a refresh
START_TIMEOUT = 2.0  # seconds for the calls of the start
MIN_REFRESH_DELAY = 5.0  # seconds between two refreshes, however many orders are rejected
MINIMUM_MULTIPLE = "spam.order.minimumMarginQuantumMultiple"


class MarketTerms(NamedTuple):
    """A market's terms, and the smallest price times size of an order, by side; 0 if there is none or the node does not say."""

    market: Market
    minimum_values: dict[str, float]  # Side name -> price units times contracts


class TermsRefresh:
    """Reads one market's terms again, each minute and when an order was rejected. Main thread."""

    def __init__(self, node_url: str, on_terms: Callable[[MarketTerms], None]):
        self._node_url = node_url
        self._on_terms = on_terms
        self._market_id = ""
        self._quantum = 0.0
        self._refreshed_at = -math.inf  # time.monotonic()

    def start(self, market: Market, quantum: float, deadline: Optional[float] = None) -> None:
        """Read the minimum order values now, since the first order has to respect them, and all terms from now on.

        Args:
            market: as REST has just given it.
            quantum: of its settlement asset, in units of that asset.
            deadline: a time.monotonic().
        """
        self._market_id, self._quantum = market.market_id, quantum
        self._refreshed_at = time.monotonic()
        deadline = min(deadline or math.inf, self._refreshed_at + START_TIMEOUT)
        self._on_terms(MarketTerms(market, fetch_minimum_values(self._node_url, market, quantum, deadline)))
        rel.timeout(REFRESH_INTERVAL, self.refresh)

    def refresh(self) -> bool:
        """Read the terms on a thread of its own, unless that has just been done."""
        if self._market_id and time.monotonic() - self._refreshed_at >= MIN_REFRESH_DELAY:
            self._refreshed_at = time.monotonic()
            EventLoop.get().run_in_thread(lambda: fetch_terms(self._node_url, self._market_id, self._quantum), self._on_done)
        return True  # rel: call again

    def _on_done(self, terms: Optional[MarketTerms]) -> None:
        if terms is not None:  # otherwise the next refresh may succeed
            self._on_terms(terms)


def fetch_terms(node_url: str, market_id: str, quantum: float) -> MarketTerms:
    """Read the terms over REST.

    Args:
        node_url: the node's REST address.
        market_id: the market.
        quantum: of its settlement asset, in units of that asset.

    Raises:
        VegaApiError, ParseError: the market cannot be read.
    """
    deadline = time.monotonic() + REFRESH_TIMEOUT
    market = parse_market(api.get_market(node_url, market_id, deadline))
    return MarketTerms(market, fetch_minimum_values(node_url, market, quantum, deadline))


def fetch_minimum_values(node_url: str, market: Market, quantum: float, deadline: float) -> dict[str, float]:
    """Return the `minimum_values` of a market's terms.

    A node that does not answer these calls leaves a minimum unknown; it is then learnt from rejected batches.
    """
    minimum_values: dict[str, float] = {}
    if not market.base_asset_id:  # spot markets have no minimum
        with contextlib.suppress(api.VegaApiError, ParseError, ValueError, LookupError, TypeError, ArithmeticError):
            multiple = parse_decimal(more_api.get_network_parameter(node_url, MINIMUM_MULTIPLE, deadline))
            factors = more_api.get_risk_factors(node_url, market.market_id, deadline)
            # The network wants price * size * (risk factor + slippage factor) of at least the multiple of the quantum.
            for side, factor in (("SIDE_BUY", factors["long"]), ("SIDE_SELL", factors["short"])):
                minimum_values[side] = multiple * quantum / (parse_decimal(factor) + market.linear_slippage_factor)
    return minimum_values


def with_terms(market: Market, terms: Market) -> Market:
    """Return a market with new terms and its old prices, which the stream keeps; without prices if their scale has changed."""
    is_same_scale = (market.decimal_places, market.position_decimal_places) == (terms.decimal_places, terms.position_decimal_places)
    prices = ("mark_price", "best_bid_price", "best_offer_price", "best_bid_volume", "best_offer_volume", "open_interest")
    kept = ("state", "trading_mode", "timestamp", *(prices if is_same_scale else ()))
    return dataclasses.replace(terms, **{name: getattr(market, name) for name in kept})
