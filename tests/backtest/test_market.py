"""The market does not flatter: the tutorial's rule loses to traders who know more, and a better rule loses less."""

from statistics import mean

import pytest

from tests.backtest.figures import Result
from tests.backtest.report import mean_and_error
from tests.backtest.workers import Job, play_jobs
from tests.sandbox.chain.traders import KINDS

SEEDS, FEW_SEEDS = range(1, 31), range(1, 11)
BLOCKS = 1000
EXAMPLE, SKEWED = "tests.support.example_rule:quotes", "tests.backtest.skewed_rule:quotes"


def played(rule: str, traders: str, seeds: range, blocks: int = BLOCKS) -> list[Result]:
    jobs = [Job(rule, seed, blocks, traders, "future", max_abs_position=1.0) for seed in seeds]
    return [one.result for one in play_jobs(jobs, lambda _: None)]


def test_among_informed_traders_the_tutorials_rule_loses_and_a_skewed_rule_loses_less() -> None:
    tutorial, skewed = played(EXAMPLE, "informed", SEEDS), played(SKEWED, "informed", FEW_SEEDS)

    average, error = mean_and_error([result.pnl for result in tutorial])
    assert error is not None
    assert -10 < average < -2 * error
    assert mean(result.spread_earned for result in tutorial) > 0
    assert mean(result.price_moves for result in tutorial) < -mean(result.spread_earned for result in tutorial)
    lead, error = mean_and_error([better.pnl - usual.pnl for better, usual in zip(skewed, tutorial, strict=False)])
    assert error is not None
    assert lead > 2 * error


def test_among_traders_who_know_nothing_the_tutorials_rule_earns() -> None:
    results = played(EXAMPLE, "noise", FEW_SEEDS, BLOCKS // 4)

    average, error = mean_and_error([result.pnl for result in results])
    assert error is not None
    assert average > 2 * error


@pytest.mark.parametrize("traders", KINDS)
def test_the_tutorials_rule_is_filled_in_at_least_one_block_of_ten(traders: str) -> None:
    for result in played(EXAMPLE, traders, FEW_SEEDS, blocks=200):
        assert result.blocks_with_fills >= result.blocks / 10
