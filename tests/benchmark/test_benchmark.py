"""The benchmark runs end to end in its quick mode. No bound is checked here, because that needs an idle machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.bot import lateness
from tests.benchmark.table import Row, against_bare, as_table, machine

ROOT = Path(__file__).parents[2]
MEASURED = (
    "age at 1,000 frames/s, ws, median",
    "throughput, wss, into the store",
    "CPU at 20 frames/s",
    "CPU with four silent streams",
    "get_market_by_id under load, 99.9th percentile",
    "start to first quote, REST and wallet delayed by 0 ms",
    "share of quotes on the newest frame, frames of the last 10 ms excepted",
    "age on three streams, a fourth under load, 99th percentile",
    "outage: Ctrl+C to the end of rel.dispatch()",
    "backtest of the tutorial's rule on one core",
    "backtest of 86,400 blocks on all cores",
)


@pytest.fixture(scope="module")
def found() -> Any:
    command = [sys.executable, "-m", "tests.benchmark", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "round 1 of 1" in done.stderr  # progress
    return json.loads(done.stdout)


def test_it_measures_everything_and_names_the_machine(found: Any) -> None:
    assert set(MEASURED) <= {row["what"] for row in found["rows"]}
    assert {"processor", "cores", "python", "websocket-client", "rel"} <= found["machine"].keys()


def test_it_compares_the_bot_with_the_bare_client_and_plain_rel(found: Any) -> None:
    row = next(row for row in found["rows"] if row["what"] == MEASURED[0])
    assert set(row["figures"]) == {"bare", "rel", "bot"}
    assert all(figure > 0 for figure in row["figures"].values())
    assert row["ratio"] == pytest.approx(row["figures"]["bot"] / row["figures"]["bare"])


def test_it_measures_the_ages_of_the_plot_for_each_client(found: Any) -> None:
    assert set(found["ages_by_rate"]) == {"bare", "rel", "bot"}
    assert all(found["ages_by_rate"].values())


def test_a_bound_applies_to_the_ratio_or_without_one_to_the_bots_figure() -> None:
    assert against_bare("age", "ms", {"bare": 2.0, "bot": 3.0}, at_most=1.6).met is True
    assert against_bare("rate", "frames/s", {"bare": 100.0, "bot": 80.0}, at_least=0.9).met is False
    assert Row("late", "ms", {"bot": 51.0}, at_most=50).met is False
    assert Row("late", "ms", {"bot": 51.0}).met is None


def test_the_table_shows_which_bound_is_missed() -> None:
    table = as_table([against_bare("age", "ms", {"bare": 0.2, "bot": 0.7}, at_most=1.5)], machine())
    assert "| age | ms   | 0.200" in table
    assert "MISSED" in table


def test_a_quote_is_outdated_since_the_first_newer_frame() -> None:
    frames = [
        (1.0, {"SIDE_BUY": "10", "SIDE_SELL": "12"}),
        (2.0, {"SIDE_BUY": "11", "SIDE_SELL": "13"}),
        (3.0, {"SIDE_BUY": "9", "SIDE_SELL": "14"}),
    ]
    assert lateness((3.5, {"SIDE_BUY": "9"}), frames) == 0
    assert lateness((3.5, {"SIDE_SELL": "13"}), frames) == 0.5
    assert lateness((3.5, {"SIDE_BUY": "10", "SIDE_SELL": "12"}), frames) == 1.5
    assert lateness((2.9, {"SIDE_BUY": "11"}), frames) == 0
