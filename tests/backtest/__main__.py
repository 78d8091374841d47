"""`python -m tests.backtest`: how a quoting rule does on the sandbox's market, over hours, in seconds.

The README of this folder says what it measures and what it leaves out.
"""

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bot.settings import SettingsError
from tests.backtest.engine import RuleError, Turn, market_config
from tests.backtest.plot import plot
from tests.backtest.report import Report
from tests.backtest.workers import Job, WorkerError, build, load_rule, play_jobs
from tests.sandbox.chain.traders import KINDS

BLOCKS_PER_HOUR = 3600
PROGRESS_INTERVAL = 0.5  # seconds between two progress messages


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.backtest", description="Play a quoting rule on the sandbox's market.")
    parser.add_argument("--rule", default="main:quotes", metavar="MODULE:FUNCTION", help="the rule (default main:quotes)")
    parser.add_argument("--market", default="future", help="product or name of a market of the sandbox (default future)")
    parser.add_argument("--hours", type=_positive(float), default=1.0, help="hours of chain time for each seed (default 1)")
    parser.add_argument("--blocks", type=_positive(int), help="blocks for each seed, instead of hours; a block is a second")
    parser.add_argument("--seeds", type=_positive(int), default=10, metavar="N", help="play the seeds 1 to N (default 10)")
    parser.add_argument("--seed", type=int, metavar="S", help="play this seed only")
    parser.add_argument("--against", metavar="MODULE:FUNCTION", help="play a second rule on the same seeds, and compare")
    parser.add_argument("--traders", choices=KINDS, default=KINDS[0], help="whether some traders know a hidden value (default informed)")
    parser.add_argument("--max-abs-position", type=_positive(float), default=1.0, metavar="X", help="contracts (default 1)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the first seed block by block, and the PnL of all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--block", type=_positive(int), metavar="N", help="play one seed up to block N, and show that block")
    options = parser.parse_args(arguments)
    options.blocks = options.blocks or max(1, round(options.hours * BLOCKS_PER_HOUR))
    return options


def main(arguments: list[str]) -> int:
    """Run the command, and return the exit status: 0, 1 if a rule failed, 2 for wrong arguments, 130 after Ctrl+C."""
    options = parse_arguments(arguments)
    try:
        market_config(options.market)
        for rule in filter(None, (options.rule, options.against)):
            load_rule(rule)
        return show_block(options) if options.block else show_report(options)
    except RuleError as error:
        print_rule_error(error, options)
        return 1
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    except (ValueError, SettingsError) as error:  # an unknown market or rule, or wrong settings of the rule
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def show_report(options: argparse.Namespace) -> int:
    """Play all seeds, then print the report and draw the plot."""
    seeds = [options.seed] if options.seed is not None else list(range(1, options.seeds + 1))
    jobs = [job_of(options, rule, seed) for rule in filter(None, (options.rule, options.against)) for seed in seeds]
    if options.plot:
        jobs[0] = Job(**{**asdict(jobs[0]), "records": True})
    started_at = time.monotonic()
    played = play_jobs(jobs, Progress(len(jobs) * options.blocks).add)
    results = [one.result for one in played]
    (market,) = build(jobs[0]).chain.markets.values()
    report = Report(
        rule=options.rule,
        market=market.name,
        asset=market.settlement_asset.symbol,
        traders=options.traders,
        max_abs_position=options.max_abs_position,
        results=results[: len(seeds)],
        against=options.against or "",
        other_results=results[len(seeds) :],
        seconds=time.monotonic() - started_at,
    )
    print(json.dumps(report.as_json(), indent=2) if options.json else report.as_table())
    if options.plot:
        try:
            plot(report, played[0].snapshots, options.plot)
        except (ImportError, OSError, ValueError) as error:
            print(f"no plot: {error}", file=sys.stderr)
            return 2
        print(f"plot: {options.plot}", file=sys.stderr)
    return 0


def show_block(options: argparse.Namespace) -> int:
    """Play one seed up to a block, and print what the rule was given there and what was sent."""
    backtest = build(job_of(options, options.rule, 1 if options.seed is None else options.seed))
    backtest.run(options.block)
    assert backtest.turn is not None
    print(describe_turn(backtest.turn))
    return 0


def job_of(options: argparse.Namespace, rule: str, seed: int) -> Job:
    return Job(rule, seed, options.blocks, options.traders, options.market, options.max_abs_position)


def describe_turn(turn: Turn) -> str:
    """Return what the rule was given, and what was sent."""
    lines = [f"block {turn.block}", "market:", *(f"  {name} = {value!r}" for name, value in asdict(turn.market).items())]
    lines += [f"open_volume: {turn.position!r}", f"max_abs_position: {turn.max_abs_position!r}"]
    if turn.transaction is not None:
        lines += ["sent:", json.dumps(turn.transaction, indent=2)]
    if turn.wallet_error:
        lines.append(f"the wallet rejected it: {turn.wallet_error}")
    return "\n".join(lines)


def print_rule_error(error: RuleError, options: argparse.Namespace) -> None:
    """Print the traceback, what the rule was given, and the command that runs the block again."""
    rule = error.rule or options.rule
    command = ["python", "-m", "tests.backtest", "--rule", rule, "--seed", str(error.seed), "--block", str(error.turn.block)]
    for name in ("market", "traders", "max_abs_position"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    print(f"{error.details.rstrip()}\n\n{rule}, seed {error.seed}, {describe_turn(error.turn)}\n", file=sys.stderr)
    print(f"To run this block again: {shlex.join(command)}", file=sys.stderr)


class Progress:
    """Prints the share of the blocks that are played to standard error, from time to time."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._started_at = self._printed_at = time.monotonic()

    def add(self, blocks: int) -> None:
        self._done += blocks
        now = time.monotonic()
        if now - self._printed_at < PROGRESS_INTERVAL and self._done < self._total:
            return
        self._printed_at = now
        speed = self._done / max(1e-9, now - self._started_at)
        left = math.ceil((self._total - self._done) / speed)
        on_terminal = sys.stderr.isatty()
        text = f"{self._done / self._total:4.0%} of {self._total:,} blocks, {speed:,.0f} per second, {left} s left"
        end = "\n" if not on_terminal or self._done >= self._total else ""
        print(f"\r{text}   " if on_terminal else text, end=end, file=sys.stderr, flush=True)


def _positive(kind: type) -> "type":
    def parse(text: str) -> float:
        number: float = kind(text)
        if not 0 < number < math.inf:
            raise ValueError
        return number

    parse.__name__ = "number above zero"
    return parse  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
