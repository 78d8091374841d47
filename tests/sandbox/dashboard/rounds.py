"""Rounds of a workshop: a round starts, ends after some minutes, and its results are kept until the sandbox stops.

The start of a round marks every position to the market and sets every PnL to zero. Positions and money stay. The clock of a round is
chain time, so a round does not run out while the chain stands still.
"""

import csv
import datetime
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.dashboard.history import History, size_in_units

POSITION_PENALTY = 0.5  # of the settlement asset, for each unit of the largest position
COLUMNS = ("round", "started", "ended", "market", "rank", "name", "party", "score", "pnl", "asset", "largest_position", "fills")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would take such a name for a formula


class Result(NamedTuple):
    """What one party did on one market in a round."""

    party: str  # name of the key: bot, p01, …
    name: str  # that its owner has chosen, or the party
    score: float
    pnl: float  # in the settlement asset
    largest_position: float  # in units, long or short, after any block of the round
    fills: int


@dataclass
class Round:
    """Times are chain time in seconds since 1970."""

    number: int  # 1, 2, …
    begin: float
    end: float  # planned while the round is running, then when it ended
    results: dict[str, list[Result]] = field(default_factory=dict)  # by market id, best score first; empty while running


class Rounds:
    """The running round and the finished ones.

    Args:
        names: returns the chosen name of a party, given the name of its key.
    """

    def __init__(self, chain: Chain, history: History, names: Callable[[str], str]) -> None:
        self._chain, self._history, self._names = chain, history, names
        self.finished: list[Round] = []
        self.running: Optional[Round] = None

    @property
    def now(self) -> float:
        """Chain time in seconds."""
        return self._chain.time / 10**9

    def start(self, minutes: float) -> None:
        """Start a round. Raises ValueError while another one is running."""
        if self.running:
            raise ValueError(f"round {self.running.number} is running: end it first")
        self._history.start_round()
        self.running = Round(len(self.finished) + 1, self.now, self.now + 60 * minutes)

    def end(self) -> None:
        """End the running round now, and keep its results. Raises ValueError where no round is running."""
        if not self.running:
            raise ValueError("no round is running")
        self.running.end = self.now
        self.running.results = {market.id: self.results(market) for market in self._chain.markets.values()}
        self.finished.append(self.running)
        self.running = None

    def update(self) -> None:
        """End the round when its time is over. Call it after each block."""
        if self.running and self.now >= self.running.end:
            self.end()

    def results(self, market: Market) -> list[Result]:
        """Return a result for each party that trades on a market, best score first. The built-in traders are left out."""
        parties = self._history.party_snapshots(market)
        results = []
        for party, key in self._chain.parties.items():
            if key in parties:
                pnl, largest = parties[key].pnl, size_in_units(market, self._history.largest_positions[key, market.id])
                fills = self._history.round_fills[key, market.id]
                results.append(Result(party, self._names(party), pnl - POSITION_PENALTY * largest, pnl, largest, fills))
        return sorted(results, key=lambda result: (-result.score, result.party))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the finished rounds."""
        return [
            {
                "number": one.number,
                "begin": one.begin,
                "end": one.end,
                "results": {market_id: [result._asdict() for result in results] for market_id, results in one.results.items()},
            }
            for one in self.finished
        ]

    def as_csv(self) -> str:
        """Return the finished rounds as a table, one line for each party, market and round."""
        output = io.StringIO()
        writer = csv.writer(output)
        writer.writerow(COLUMNS)
        for one in self.finished:
            for market_id, results in one.results.items():
                market = self._chain.markets[market_id]
                for rank, result in enumerate(results, 1):
                    times, figures = (_utc(one.begin), _utc(one.end)), (f"{result.score:.6f}", f"{result.pnl:.6f}")
                    name = f"'{result.name}" if result.name.startswith(FORMULA_STARTS) else result.name
                    asset, size = market.settlement_asset.symbol, f"{result.largest_position:g}"
                    writer.writerow([one.number, *times, market.name, rank, name, result.party, *figures, asset, size, result.fills])
        return output.getvalue()


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
