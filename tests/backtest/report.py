"""The report of a backtest: a table for people, and JSON."""

import math
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any, Optional

from tests.backtest.figures import MOVE_BLOCKS, Result

COLUMNS: dict[str, tuple[Callable[[Result], float], str]] = {  # heading -> figure and format
    "PnL": (lambda result: result.pnl, ".2f"),
    "spread": (lambda result: result.spread_earned, ".2f"),
    f"{MOVE_BLOCKS}-block moves": (lambda result: result.price_moves, ".2f"),
    "later moves": (lambda result: result.later_moves, ".2f"),
    "fees received": (lambda result: result.fees_received, ".2f"),
    "fees paid": (lambda result: result.fees_paid, ".2f"),
    "fills": (lambda result: result.fills, ".0f"),
    "largest position": (lambda result: result.largest_position, ".3g"),
    "% at limit": (lambda result: 100 * result.time_at_limit, ".0f"),
    "orders sent": (lambda result: result.sent, ".0f"),
    "rejected": (lambda result: sum(result.rejected.values()) + result.vanished, ".0f"),
}
MAX_REASONS = 5  # for blocks without quotes
VANISHED = "no trace on the chain"


@dataclass(frozen=True)
class Report:
    """The results of a rule, and of another one on the same seeds if there is one."""

    rule: str
    market: str
    asset: str  # symbol of the settlement asset
    traders: str
    max_abs_position: float
    results: list[Result]
    against: str
    other_results: list[Result]  # empty if there is no other rule
    seconds: float  # of wall time

    @property
    def differences(self) -> list[float]:
        """The PnL minus that of the other rule, by seed."""
        return [own.pnl - other.pnl for own, other in zip(self.results, self.other_results, strict=False)]

    @property
    def blocks_per_second(self) -> float:
        return sum(result.blocks for result in [*self.results, *self.other_results]) / self.seconds

    def as_table(self) -> str:
        """Return the report as text."""
        blocks = self.results[0].blocks
        head = f"{self.rule} on {self.market}: {_count(len(self.results), 'seed')} of {blocks:,} blocks, {self.traders} traders"
        lines = [f"{head}, position limit {self.max_abs_position:g}. Amounts in {self.asset}.", "", *self._rows(self.results)]
        lines += [*_rejections(self.results), *_no_quotes(self.results)]
        if self.other_results:
            lines += ["", f"{self.against}, on the same seeds:", "", *self._rows(self.other_results)]
            lines += [*_rejections(self.other_results), *_no_quotes(self.other_results)]
            average, error = mean_and_error(self.differences)
            behind_or_ahead = "ahead of" if average >= 0 else "behind"
            of_errors = f", which is {abs(average) / error:.1f} standard errors" if error else ""
            spread = f" ± {error:.2f}" if error is not None else ""
            lines += [
                "",
                f"{self.rule} is {behind_or_ahead} {self.against} by {abs(average):.2f}{spread} {self.asset} per seed{of_errors}.",
            ]
        lines += ["", f"{self.blocks_per_second:,.0f} blocks per second"]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs. Standard errors are None if there is only one seed."""
        rules = {"rule": (self.rule, self.results)}
        if self.other_results:
            rules["against"] = (self.against, self.other_results)
        figures = {
            key: {"name": name, "seeds": [asdict(result) for result in results], "total": _totals(results)}
            for key, (name, results) in rules.items()
        }
        average, error = mean_and_error(self.differences) if self.other_results else (None, None)
        difference = {"seeds": self.differences, "mean": average, "standard_error": error} if self.other_results else None
        about = {"market": self.market, "asset": self.asset, "traders": self.traders, "max_abs_position": self.max_abs_position}
        speed = {"seconds": self.seconds, "blocks_per_second": self.blocks_per_second, "python": platform.python_version()}
        return {**about, **figures, "difference": difference, **speed}

    def _rows(self, results: Sequence[Result]) -> list[str]:
        """Return a row for each seed, and their mean with its standard error."""
        rows = [["seed", *COLUMNS]]
        rows += [[str(result.seed), *(format(figure(result), form) for figure, form in COLUMNS.values())] for result in results]
        if len(results) > 1:
            summary = [(mean_and_error([figure(result) for result in results]), form) for figure, form in COLUMNS.values()]
            rows.append(["mean", *(format(average, ".1f" if form == ".0f" else form) for (average, _), form in summary)])
            rows.append(["± s.e.", *(format(error or 0.0, ".1f" if form == ".0f" else form) for (_, error), form in summary)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def mean_and_error(numbers: Sequence[float]) -> tuple[float, Optional[float]]:
    """Return the mean and its standard error, None for a single number."""
    return mean(numbers), stdev(numbers) / math.sqrt(len(numbers)) if len(numbers) > 1 else None


def _totals(results: Sequence[Result]) -> dict[str, Any]:
    names = [name for name, value in asdict(results[0]).items() if isinstance(value, (int, float)) and name not in ("seed", "blocks")]
    totals = {}
    for name in names:
        average, error = mean_and_error([getattr(result, name) for result in results])
        totals[name] = {"mean": average, "standard_error": error}
    return totals


def _rejections(results: Sequence[Result]) -> list[str]:
    """Return why orders were rejected, most frequent first."""
    reasons = sum((Counter(result.rejected) for result in results), Counter())
    reasons[VANISHED] += sum(result.vanished for result in results)
    return [f"rejected {_count(count, 'order')}: {reason}" for reason, count in reasons.most_common() if count]


def _no_quotes(results: Sequence[Result]) -> list[str]:
    """Return why blocks had no new orders, the most frequent reasons first."""
    reasons = sum((Counter(result.no_quotes) for result in results), Counter())
    lines = [f"no quote in {_count(count, 'block')}: {reason}" for reason, count in reasons.most_common(MAX_REASONS)]
    rest = reasons.total() - sum(count for _, count in reasons.most_common(MAX_REASONS))
    return lines + ([f"no quote in {_count(rest, 'block')}: other reasons"] if rest else [])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
