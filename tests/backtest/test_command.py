"""The command `python -m tests.backtest`: its report, JSON and plot, and what it says when a rule fails."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, Process

EXAMPLE = "tests.support.example_rule:quotes"
SHORT = ("--blocks", "40", "--seeds", "2")
RULES = """
    from dataclasses import dataclass, replace
    from bot.execution.order_manager import NoQuote
    from tests.support.example_rule import quotes

    calls = 0

    def stateful(market, open_volume, max_abs_position):
        global calls
        calls += 1
        if calls > 30:
            raise ZeroDivisionError("too many calls")
        return []

    def exits(market, open_volume, max_abs_position):
        import os
        os._exit(3)

    @dataclass(frozen=True)
    class RuleSettings:
        skew: float = 0.5

    rule_settings = RuleSettings()

    def fails(market, open_volume, max_abs_position):
        return NoQuote(f"skew {rule_settings.skew}")

    def too_late(market, open_volume, max_abs_position):
        return [replace(order, time_in_force="GTC") for order in quotes(market, open_volume, max_abs_position)]

    def waits(market, open_volume, max_abs_position):
        import time
        print("waiting", flush=True)
        time.sleep(3600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_rules.py").write_text(textwrap.dedent(RULES))
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.backtest", *arguments]


def run(*arguments: str, folder: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(folder), **environment}
    return subprocess.run(command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_the_report_has_a_row_for_each_seed_and_their_mean() -> None:
    done = run("--rule", EXAMPLE, *SHORT)

    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("1", "2", "mean", "±")] == ["1", "2", "mean", "±"]
    assert "SOL/DAI future: 2 seeds of 40 blocks, informed traders" in done.stdout
    assert "100% of 80 blocks" in done.stderr  # progress


def test_a_rule_is_level_with_itself_in_a_paired_comparison() -> None:
    report = json.loads(run("--rule", EXAMPLE, "--against", EXAMPLE, "--json", *SHORT).stdout)

    assert report["rule"]["seeds"] == report["against"]["seeds"]
    assert report["difference"] == {"seeds": [0.0, 0.0], "mean": 0.0, "standard_error": 0.0}


@pytest.mark.parametrize("market", ["perpetual", "BTC/EUR spot"])
def test_other_markets_and_traders_can_be_chosen(market: str) -> None:
    report = json.loads(run("--rule", EXAMPLE, "--market", market, "--traders", "noise", "--json", *SHORT).stdout)

    assert market in (report["market"], "perpetual")
    assert report["traders"] == "noise"
    assert report["rule"]["total"]["fills"]["mean"] > 0


def test_hours_are_blocks_of_one_second() -> None:
    report = json.loads(run("--rule", EXAMPLE, "--hours", "0.01", "--seed", "7", "--json").stdout)

    assert [(result["seed"], result["blocks"]) for result in report["rule"]["seeds"]] == [(7, 36)]
    assert report["rule"]["total"]["pnl"]["standard_error"] is None


def test_the_plot_is_written(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    done = run("--rule", EXAMPLE, "--against", EXAMPLE, "--plot", str(path), *SHORT)

    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_rule_that_fails_is_shown_with_its_input_and_a_command_that_runs_the_block_again(folder: Path) -> None:
    done = run("--rule", "my_rules:stateful", *SHORT, folder=folder)

    assert done.returncode == 1
    assert 'raise ZeroDivisionError("too many calls")' in done.stderr
    assert re.search(r"my_rules:stateful, seed [12], block 31\n", done.stderr)  # each seed starts with a new state
    assert re.search(r"best_bid_price = [0-9.]+\n", done.stderr)
    assert "open_volume: 0" in done.stderr
    again = run(*shlex.split(done.stderr.partition("To run this block again: python -m tests.backtest ")[2]), folder=folder)
    assert again.returncode == 1
    assert "block 31\n" in again.stderr
    assert done.stderr.partition("market:")[2] == again.stderr.partition("market:")[2]


def test_rejections_are_in_table_and_json(folder: Path) -> None:
    reason = 'unknown value "\\"GTC\\"" for enum vega.Order.TimeInForce'
    report = json.loads(run("--rule", "my_rules:too_late", "--json", *SHORT, folder=folder).stdout)
    assert [result["rejected"] for result in report["rule"]["seeds"]] == [{reason: 80}, {reason: 80}]
    assert f"rejected 160 orders: {reason}\n" in run("--rule", "my_rules:too_late", *SHORT, folder=folder).stdout


def test_a_rule_gets_its_own_settings_and_the_report_says_why_it_did_not_quote(folder: Path) -> None:
    (folder / "my.env").write_text("SKEW=0.25\n")
    for expected, environment in (("0.5", {}), ("0.25", {"ENV_FILE": str(folder / "my.env")}), ("0.125", {"SKEW": "0.125"})):
        done = run("--rule", "my_rules:fails", *SHORT, folder=folder, **environment)
        assert f"no quote in 80 blocks: skew {expected}\n" in done.stdout, done.stderr
    done = run("--rule", "my_rules:fails", *SHORT, folder=folder, SKEW="much")
    assert (done.returncode, done.stderr) == (2, "SKEW in the environment must be a number\n")


def test_one_block_is_shown_with_what_was_sent() -> None:
    done = run("--rule", EXAMPLE, "--seed", "3", "--block", "5")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("block 5\nmarket:\n")
    sent: dict[str, Any] = json.loads(done.stdout.partition("sent:\n")[2])
    assert sent["batchMarketInstructions"]["cancellations"]


def test_a_process_that_ends_is_an_error(folder: Path) -> None:
    done = run("--rule", "my_rules:exits", *SHORT, folder=folder)

    assert done.returncode == 1
    assert re.search("my_rules:exits, seed [12]: the process ended with status 3", done.stderr)


def test_ctrl_c_ends_it_while_a_rule_runs(folder: Path) -> None:
    with Process(command("--rule", "my_rules:waits", *SHORT), {"PYTHONPATH": str(folder)}) as process:
        process.wait_for("^waiting")
        process.signal(signal.SIGINT)
        assert process.finish() == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rule", "main"), "a rule is module:function, not 'main'"),
        (("--rule", "main:nothing"), "module 'main' has no function 'nothing'"),
        (("--rule", "nowhere:quotes"), "no module 'nowhere'"),
        (("--market", "nowhere"), "unknown market 'nowhere'; known are future"),
        (("--seeds", "0"), "argument --seeds"),
        (("--hours", "-1"), "argument --hours"),
        (("--hours", "nan"), "argument --hours"),
    ],
)
def test_wrong_arguments_are_rejected_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
