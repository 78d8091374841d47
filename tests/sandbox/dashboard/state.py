"""What the page is told, as JSON: the same for everyone who looks, and what only those see who look at one party on one market.

Prices, sizes and money are in units here, as floats: they are for looking at.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.sandbox.chain.chain import DEFAULT_PARTIES, Chain, Market
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.control import Controls
from tests.sandbox.dashboard.history import SPAN, Deal, History, newer, price_of, size_of
from tests.sandbox.dashboard.panel import faults, table
from tests.sandbox.dashboard.request_log import Calls
from tests.sandbox.dashboard.stream_monitor import Followers
from tests.sandbox.node.responses import compact
from tests.sandbox.node.streams import PARAMETERS

DEPTH = 10  # levels shown of each side
MOST_DEALS = 60  # trades shown


class View(NamedTuple):
    """What one page looks at."""

    party: str  # key
    market: str  # id


class Picture:
    def __init__(self, sandbox: Controls, history: History, calls: Calls, followers: Followers) -> None:
        self._sandbox, self._history, self._calls, self._followers = sandbox, history, calls, followers
        self._chain: Chain = sandbox.chain
        self.names = {key: name for name, key in [*self._chain.parties.items(), *self._chain.traders.items()]}

    @property
    def has_participants(self) -> bool:
        return len(self._chain.parties) > len(DEFAULT_PARTIES)

    @property
    def newest(self) -> tuple[int, int]:
        """The newest block and the newest call."""
        return self._chain.height, self._calls.last

    def view(self, party: str, market: str) -> View:
        """Return the view of a party, by name, and a market, by id or product; of the first ones where they are not known."""
        keys = {**self._chain.parties, **self._chain.traders}
        markets = self._chain.markets.values()
        found = next((known for known in markets if market in (known.id, known.product)), next(iter(markets)))
        return View(keys.get(party) or next(iter(keys.values())), found.id)

    def setting(self, view: View, may_switch: bool) -> str:
        """Return what does not change: markets, parties and switches; and what this page looks at."""
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
                "controls": table(),
                "span": SPAN,
                "maySwitch": may_switch,
            }
        )

    def common(self, calls_since: int) -> str:
        """Return what every page shows, with the calls after that number."""
        markets = {
            market.id: {
                "bid": price_of(market, market.best_bid[0] or None),
                "offer": price_of(market, market.best_offer[0] or None),
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
                "streams": self._followers.table(),
                "calls": [call for call in self._calls.log if call.number > calls_since],
                "faults": faults(self._sandbox),
            }
        )

    def own(self, view: View, since: int = -1) -> str:
        """Return what is shown of one party on one market, with the past after block `since`."""
        market = self._chain.markets[view.market]
        deals = newer(self._history.deals[market.id], since)
        position = self._chain.positions.get((view.party, market.id))
        return compact(
            {
                "rows": self._history.rows(market, view.party, since),
                "fills": [self._deal(market, deal) for deal in deals if view.party in (deal.trade.buyer, deal.trade.seller)],
                "deals": [self._deal(market, deal) for deal in deals[-MOST_DEALS:]],
                "book": {"bids": _levels(market, BUY, view.party), "offers": _levels(market, SELL, view.party)},
                "entry": price_of(market, round(position.average_entry_price)) if position and position.open_volume else None,
            }
        )

    def _ranking(self, market: Market) -> list[dict[str, Any]]:
        """Return everyone who trades there, best profit first. The built-in traders are not in the race."""
        moments = self._history.moments[market.id]
        standings = moments[-1].standings if moments else {}
        rows = [
            {
                "party": name,
                "profit": standings[key].profit,
                "position": size_of(market, standings[key].position),
                "fills": self._history.fills[key, market.id],
                "orders": len(market.book.by_party.get(key, ())),
            }
            for name, key in self._chain.parties.items()
            if key in standings
        ]
        return sorted(rows, key=lambda row: (-row["profit"], row["party"]))  # type: ignore[operator]

    def _deal(self, market: Market, deal: Deal) -> dict[str, Any]:
        trade = deal.trade
        return {
            "height": deal.height,
            "time": deal.time,
            "price": price_of(market, trade.price),
            "size": size_of(market, trade.size),
            "buyer": self.names.get(trade.buyer, "?"),
            "seller": self.names.get(trade.seller, "?"),
            "side": trade.aggressor.removeprefix("SIDE_").lower(),
        }


def _levels(market: Market, side: str, party: str) -> list[Iterable[Any]]:
    """Return price, size, and how much of it is the party's, of the best levels."""
    own: dict[int, int] = {}
    for order in market.book.by_party.get(party, {}).values():
        if order.side == side:
            own[order.price] = own.get(order.price, 0) + order.remaining
    depth = market.depth(side)[:DEPTH]
    return [(price_of(market, price), size_of(market, volume), size_of(market, own.get(price, 0))) for price, volume in depth]
