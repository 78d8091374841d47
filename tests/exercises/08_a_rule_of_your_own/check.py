"""Checks exercise 8: the learner's rule and the tutorial's on the same seeds, scored."""

from pathlib import Path
from typing import Any

import main
from bot.submission import OrderSubmission
from tests.exercises.checking import expect, say
from tests.exercises.child import load
from tests.exercises.simulation import Result, Rule, Simulation

SEEDS = (1, 2, 5)
BLOCKS = 300
MAX_ABS_POSITION = 5.0  # contracts
PENALTY = 0.5  # DAI for each contract of the largest position
MARGIN = 1.0  # DAI by which the learner must beat the tutorial's rule


def check(exercise: Any) -> None:
    scores = []
    for seed in SEEDS:
        rule = load("exercise", Path(exercise.__file__)).quotes  # anew, so that it remembers nothing of the seed before
        own = play(checked(rule), seed)
        tutorial = play(main.quotes, seed)
        say(f"seed {seed}: you {describe(own)}\n{'':12}tutorial {describe(tutorial)}")
        expect(own != tutorial, saw="it plays exactly as the tutorial's rule does", expected="a rule of your own", hint=advice(own))
        scores.append((score(own) - score(tutorial), seed, own))
    least, seed, own = min(scores, key=lambda entry: entry[0])
    expect(
        least >= MARGIN,
        saw=f"on seed {seed} your score is {abs(least):.2f} {'better' if least >= 0 else 'worse'} than that of the tutorial's rule",
        expected=f"{MARGIN:.2f} better, on each of the seeds {', '.join(map(str, SEEDS))}",
        hint=advice(own),
    )


def play(rule: Rule, seed: int) -> Result:
    return Simulation(seed).run(rule, BLOCKS, MAX_ABS_POSITION)


def score(result: Result) -> float:
    return result.pnl - PENALTY * result.largest_position


def describe(result: Result) -> str:
    numbers = f"PnL {result.pnl:6.2f}, largest position {result.largest_position:5.2f}, {result.fills:3} fills"
    return f"{numbers}: score {score(result):6.2f}"


def checked(rule: Any) -> Rule:
    """Look at what a rule returns before it goes anywhere."""

    def quotes(market: Any, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        orders = rule(market, open_volume, max_abs_position)
        expect(
            isinstance(orders, list) and all(isinstance(order, OrderSubmission) for order in orders),
            saw=f"quotes returned {orders!r}",
            expected="a list of OrderSubmission, which may be empty",
            hint="does each way through quotes end in a return?",
        )
        for side, sign in (("SIDE_BUY", 1), ("SIDE_SELL", -1)):
            reach = sign * open_volume + sum(order.size for order in orders if order.side == side)
            expect(
                reach <= max_abs_position + 1e-9 or reach <= sign * open_volume,
                saw=f"at a position of {open_volume}, quotes returned {side} orders that would take it to {sign * reach:g}",
                expected=f"never beyond {max_abs_position:g} either way",
                hint="give `order` the room that is left on its side",
            )
        return orders

    return quotes


def advice(own: Result) -> str:
    """Say where to look, by what was weak."""
    if own.fills == 0:
        return "you never traded: doing nothing costs nothing and earns nothing"
    if own.largest_position > 0.7 * MAX_ABS_POSITION:
        return "your position runs to its bounds. Long? Then both quotes down; short? Up: a cent for each contract is a start"
    if own.fills > BLOCKS / 2:
        return "you trade often and earn little with each. Quote wider: 0.05 on either side of the middle is a start"
    return "try a wider spread, a longer average, a weaker skew: one at a time, and watch both numbers"
