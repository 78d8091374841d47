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
from tests.sandbox.node.subscription import TUTORIAL_STREAMS
from tests.sandbox.room.room import Room

MAX_LEVELS = 10  # price levels shown of each side of the book
MAX_TRADES = 60  # in the list of trades
BOT, *SPARE_PARTIES = DEFAULT_PARTIES

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
        self._room: Room = sandbox.room
        self.rounds = sandbox.rounds
        self.names = {key: name for name, key in [*self._chain.parties.items(), *self._chain.traders.items()]}

    @property
    def has_participants(self) -> bool:
        return len(self._chain.parties) > len(DEFAULT_PARTIES)

    @property
    def version(self) -> tuple[int, int]:
        """The newest block and the newest request. It changes whenever there is something new to show."""
        return self._chain.height, self._requests.last_number

    def view(self, party: str, market: str) -> View:
        """Return the view of a party, given by name, on a market, given by id or product.

        The first market replaces an unknown one. The first party that quotes there, or has traded, replaces an unknown party.
        """
        keys = {**self._chain.parties, **self._chain.traders}
        markets = self._chain.markets.values()
        found = next((known for known in markets if market in (known.id, known.product)), next(iter(markets)))
        return View(keys.get(party) or self._first_active_party(found), found.id)

    def _first_active_party(self, market: Market) -> str:
        candidates = [self._chain.parties[name] for name in self._listed_parties]
        quoting = (key for key in candidates if market.book.by_party.get(key))
        active = (key for key in candidates if key in self._history.party_snapshots(market))
        return next(quoting, None) or next(active, None) or candidates[0]

    @property
    def _listed_parties(self) -> list[str]:
        """The parties that the page offers, by name. In a room, the spare parties are left out."""
        return [*self._room.participants, BOT] if self.has_participants else list(DEFAULT_PARTIES)

    def _party_groups(self) -> list[tuple[str, list[str]]]:
        """Return the list of parties under headings."""
        house = (
            [("Bot of the teacher", [BOT])]
            if self.has_participants
            else [("Bot", [BOT]), ("Spare parties for your own tests", SPARE_PARTIES)]
        )
        groups = [("Participants", list(self._room.participants)), *house, ("Built-in traders", list(self._chain.traders))]
        return [(title, names) for title, names in groups if names]

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
                "partyGroups": self._party_groups(),
                "expected": list(self._room.participants) or [BOT],  # who should trade
                "streams": list(TUTORIAL_STREAMS),
                "controls": control_table(self._room.participants),
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
                "names": self._chosen_names(),
                "round": self._round(),
                "finishedRounds": len(self.rounds.finished),
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
        """Return a row for each party that trades on the market, best score first. The built-in traders are left out."""
        parties = self._history.party_snapshots(market)
        keys = self._chain.parties
        return [
            {
                "party": result.party,
                "score": result.score,
                "pnl": result.pnl,
                "largestPosition": result.largest_position,
                "position": size_in_units(market, parties[keys[result.party]].position),
                "fills": result.fills,
                "orders": len(market.book.by_party.get(keys[result.party], ())),
            }
            for result in self.rounds.results(market)
        ]

    def _chosen_names(self) -> dict[str, str]:
        """Return names to show beside those of the keys: what participants call themselves, and what the spare parties are."""
        chosen = {one.name: one.display_name for one in self._room.participants.values() if one.display_name}
        return {**dict.fromkeys(SPARE_PARTIES, "spare party"), **chosen}

    def _round(self) -> Optional[dict[str, Any]]:
        """Return the running round, or else the last one."""
        rounds = self.rounds
        shown = rounds.running or (rounds.finished[-1] if rounds.finished else None)
        if shown is None:
            return None
        return {"number": shown.number, "begin": shown.begin, "end": shown.end, "running": shown is rounds.running}

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
