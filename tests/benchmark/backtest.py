"""How fast the backtest is: blocks per second on one core with and without a rule, and a day on all cores."""

import json
import sys
import time
from statistics import median
from typing import Any

from tests.backtest.engine import Backtest, market_config
from tests.backtest.workers import Job, play_jobs
from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.traders import Traders
from tests.support import example_rule
from tests.support.processes import Process

RULE = "tests.support.example_rule:quotes"
DAY = 86_400  # blocks
SEEDS = 24  # for a day on all cores: an hour each
SLOW_RULE = 1e-3  # seconds


def measure_backtest(blocks: int, rounds: int, day: int) -> dict[str, Any]:
    """Measure in a process of its own; return its figures, the median of the rounds.

    Args:
        blocks: per round, for the figures of one core.
        rounds: in which the three take turns.
        day: blocks to play on all cores.

    Returns:
        `bare`, `rule`: blocks per second of CPU time on one core, of chain and traders alone, and with the tutorial's rule.
        `added`: ms that a rule of 1 ms adds to a block.
        `day`: seconds for 86,400 blocks on all cores, from so many as were played.
    """
    with Process([sys.executable, "-m", "tests.benchmark.backtest", json.dumps([blocks, rounds, day])], {}) as process:
        line = process.lines[process.wait_for("^RESULT ", 600) - 1]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def play_bare(blocks: int) -> float:
    """Return the CPU time of chain and traders alone, in seconds."""
    chain = Chain(market_config("future"), seed=1)
    traders = Traders(chain, seed=1)
    began = time.process_time()
    for _ in range(blocks):
        for party_id, transaction in traders.transactions():
            chain.submit(party_id, transaction)
        chain.block()
    return time.process_time() - began


def play_rule(rule: Any, blocks: int) -> float:
    """Return the CPU time of a backtest, in seconds."""
    backtest = Backtest(rule, seed=1)
    began = time.process_time()
    backtest.run(blocks)
    return time.process_time() - began


def slow_quotes(*arguments: Any) -> Any:
    """Return what the tutorial's rule does, after 1 ms of CPU time."""
    end = time.process_time() + SLOW_RULE
    while time.process_time() < end:
        pass
    return example_rule.quotes(*arguments)


def main(blocks: int, rounds: int, day: int) -> None:
    bare, rule, slow = [], [], []
    for _ in range(rounds):
        bare.append(play_bare(blocks))
        rule.append(play_rule(example_rule.quotes, blocks))
        slow.append(play_rule(slow_quotes, blocks))
    began = time.perf_counter()
    jobs = [Job(RULE, seed, day // SEEDS, "informed", "future", max_abs_position=1.0) for seed in range(1, SEEDS + 1)]
    play_jobs(jobs, lambda _: None)
    result = {
        "bare": blocks / median(bare),
        "rule": blocks / median(rule),
        "added": (median(slow) - median(rule)) / blocks * 1e3,
        "day": (time.perf_counter() - began) * DAY / day,
    }
    print("RESULT", json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
