"""The state that the page shows, as JSON: a part that is the same for all pages, and a part for one party on one market.

Prices, sizes and money are floats in units, because the page only displays them.
"""

from typing import Any, NamedTuple, Optional

from tests.sandbox.chain.chain import DEFAULT_PARTIES, Chain, Market
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.control import Controls
from tests.sandbox.dashboard.history import HISTORY_LENGTH, History, RecordedTrade, newer_than, price_in_units, size_in_units
from tests.sandbox.dashboard.panel import active_faults, control_table
from tests.sandbox.dashboard.request_log import RequestLog
from tests.sandbox.dashboard.stream_monitor import StreamMonitor
from tests.sandbox.node.responses import compact
from tests.sandbox.node.streams import PARAMETERS

MAX_LEVELS = 10  # price levels shown of each side of the book
MAX_TRADES = 60  # in the list of trades

Level = tuple[Optional[float], float, float]  # price, size, and the size that belongs to the selected party


class View(NamedTuple):
    """What a page has selected."""

    party: str  # public key
    market: str  # id


class DashboardState:
    """Reads chain, history, requests and streams; every method returns compact JSON."""

    def __init__(self, sandbox: Controls, history: History, requests: RequestLog, streams: StreamMonitor) -> None:
        self._sandbox, self._history, self._requests, self._streams = sandbox, history, requests, streams
        self._chain: Chain = sandbox.chain
        self.names = {key: name for name, key in [*self._chain.parties.items(), *self._chain.traders.items()]}

    @property
    def has_participants(self) -> bool:
        return len(self._chain.parties) > len(DEFAULT_PARTIES)

    @property
    def version(self) -> tuple[int, int]:
        """The newest block and the newest request. It changes whenever there is something new to show."""
        return self._chain.height, self._requests.last_number

    def view(self, party: str, market: str) -> View:
        """Return the view of a party, given by name, on a market, given by id or product. The first ones replace unknown names."""
        keys = {**self._chain.parties, **self._chain.traders}
        markets = self._chain.markets.values()
        found = next((known for known in markets if market in (known.id, known.product)), next(iter(markets)))
        return View(keys.get(party) or next(iter(keys.values())), found.id)

    def config(self, view: View, may_control: bool) -> str:
        """Return what does not change while the sandbox runs (markets, parties, controls), and the view itself."""
        markets = [
            {
                "id": market.id,
                "name": market.name,
                "product": market.product,
                "priceDecimals": market.price_decimals,
                "sizeDecimals": max(0, market.size_decimals),
                "asset": market.settlement_asset.symbol,
            }
            for market in self._chain.markets.values()
        ]
        return compact(
            {
                "market": view.market,
                "party": self.names[view.party],
                "markets": markets,
                "parties": list(self._chain.parties),
                "traders": list(self._chain.traders),
                "streams": list(PARAMETERS),
                "controls": control_table(),
                "historyLength": HISTORY_LENGTH,
                "mayControl": may_control,
            }
        )

    def shared(self, since_request: int) -> str:
        """Return what every page shows, with the requests after that number."""
        markets = {
            market.id: {
                "bid": price_in_units(market, market.best_bid[0] or None),
                "offer": price_in_units(market, market.best_offer[0] or None),
                "state": market.state.removeprefix("STATE_"),
                "mode": market.trading_mode.removeprefix("TRADING_MODE_"),
                "ranking": self._ranking(market),
            }
            for market in self._chain.markets.values()
        }
        return compact(
            {
                "height": self._chain.height,
                "time": self._chain.time / 10**9,
                "markets": markets,
                "streams": self._streams.table(),
                "requests": [entry for entry in self._requests.entries if entry.number > since_request],
                "faults": active_faults(self._sandbox),
            }
        )

    def own(self, view: View, since_height: int = -1) -> str:
        """Return what is shown of one party on one market, with the history after that block."""
        market = self._chain.markets[view.market]
        trades = newer_than(self._history.trades[market.id], since_height)
        fills = [recorded for recorded in trades if view.party in (recorded.trade.buyer, recorded.trade.seller)]
        position = self._chain.positions.get((view.party, market.id))
        has_position = position is not None and position.open_volume != 0
        return compact(
            {
                "rows": self._history.rows(market, view.party, since_height),
                "fills": [self._trade(market, recorded) for recorded in fills],
                "trades": [self._trade(market, recorded) for recorded in trades[-MAX_TRADES:]],
                "book": {"bids": _levels(market, BUY, view.party), "offers": _levels(market, SELL, view.party)},
                "entryPrice": price_in_units(market, round(position.average_entry_price)) if position and has_position else None,
            }
        )

    def _ranking(self, market: Market) -> list[dict[str, Any]]:
        """Return a row for each party that trades on the market, highest PnL first. The built-in traders are left out."""
        snapshots = self._history.snapshots[market.id]
        parties = snapshots[-1].parties if snapshots else {}
        ranked = sorted(
            ((name, key) for name, key in self._chain.parties.items() if key in parties),
            key=lambda entry: (-parties[entry[1]].pnl, entry[0]),
        )
        return [
            {
                "party": name,
                "pnl": parties[key].pnl,
                "position": size_in_units(market, parties[key].position),
                "fills": self._history.fills[key, market.id],
                "orders": len(market.book.by_party.get(key, ())),
            }
            for name, key in ranked
        ]

    def _trade(self, market: Market, recorded: RecordedTrade) -> dict[str, Any]:
        trade = recorded.trade
        return {
            "height": recorded.height,
            "time": recorded.time,
            "price": price_in_units(market, trade.price),
            "size": size_in_units(market, trade.size),
            "buyer": self.names.get(trade.buyer, "?"),
            "seller": self.names.get(trade.seller, "?"),
            "side": trade.aggressor.removeprefix("SIDE_").lower(),
        }


def _levels(market: Market, side: str, party: str) -> list[Level]:
    """Return the best price levels of a side, best first."""
    own: dict[int, int] = {}
    for order in market.book.by_party.get(party, {}).values():
        if order.side == side:
            own[order.price] = own.get(order.price, 0) + order.remaining
    levels = market.depth(side)[:MAX_LEVELS]
    return [
        (price_in_units(market, price), size_in_units(market, volume), size_in_units(market, own.get(price, 0))) for price, volume in levels
    ]
