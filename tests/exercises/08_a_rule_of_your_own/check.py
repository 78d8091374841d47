"""Checks exercise 8: the backtest plays the learner's rule and the tutorial's rule on the same seeds, against informed traders."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Optional

import tests.support.example_rule as example_rule
from bot.models import Market
from bot.submission import OrderSubmission
from tests.backtest.engine import Result, Rule, RuleError, play
from tests.exercises.checking import NotSolved, expect, report
from tests.exercises.child import load
from tests.exercises.orders import call_for_orders

SEEDS = (2, 3, 4)
BLOCKS = 300
MAX_ABS_POSITION = 5.0  # contracts
PENALTY = 0.5  # DAI for each contract of the largest position
MIN_FILLED_BLOCKS = 0.05  # share of the blocks in which the rule must be filled

# How a rule is described, for the hints. Prices are in units.
AVERAGED_BLOCKS = 5  # of the average with which a rule's prices are compared
MIN_LEAN = 0.3  # how far the quotes move with the trend, as a multiple of the price's distance from its average
MIN_SKEW = 0.004  # for each contract
LARGE_POSITION = 4.0  # contracts
NARROW = 0.035  # from the middle to each quote

SKEW = "if you are long, move both quotes down; if you are short, move both up; the more you hold, the further"
MORE_SKEW = "the position still becomes large: move the quotes further for each contract, or use an average of fewer blocks"
LATE = "your quotes follow the price too late: when it rises, those who know buy from you. Move them with the trend, not against it"
TREND = (
    "your quotes do not use the trend: compare the newest middle with the average of the last few, and move both quotes in that direction"
)
WIDER = "you are filled often, and lose more in the blocks after a fill than the spread that you earn: quote wider"
NARROWER = "quote nearer to the middle"
TUNE = "change one number at a time, and look at PnL and position: the blocks of the average, the skew, the width"
NOT_SEEN = "an order needs this market's id, a price above zero and a size that does not round to zero"


@dataclass(frozen=True)
class Decision:
    """What a rule saw in one block, and where it quoted."""

    market: Market
    trend: float  # newest middle minus the average of the last middles, in price units
    position: float  # contracts
    offset: float  # middle of the rule's quotes minus the market's middle, in price units
    half_spread: float  # price units


@dataclass
class Recorder:
    """The learner's rule, with its orders validated and its decisions recorded."""

    exercise: ModuleType
    decisions: list[Decision] = field(default_factory=list)
    error: Optional[Exception] = None  # raised by the rule
    middles: deque[float] = field(default_factory=lambda: deque(maxlen=AVERAGED_BLOCKS))

    def quotes(self, market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        try:
            orders = call_for_orders(self.exercise, "quotes", market, open_volume, max_abs_position)
        except Exception as error:
            self.error = error
            raise
        middle = (market.best_bid_price + market.best_offer_price) / 2
        self.middles.append(middle)
        prices = {order.side: float(order.price) for order in orders}
        if len(prices) == 2:
            bid, offer = prices["SIDE_BUY"], prices["SIDE_SELL"]
            trend = middle - fmean(self.middles)
            self.decisions.append(Decision(market, trend, open_volume, (bid + offer) / 2 - middle, (offer - bid) / 2))
        return orders


def check(exercise: ModuleType) -> None:
    file = Path(str(exercise.__file__))
    results: list[tuple[Result, Recorder]] = []
    for seed in SEEDS:
        own, recorder = play_file(file, seed)
        tutorial = play_rule(example_rule.quotes, seed)
        report(f"seed {seed}: you {describe(own)}\n{'':12}tutorial {describe(tutorial)}")
        check_orders(own, recorder)
        expect(own.pnl != tutorial.pnl, saw="the same trades as the tutorial's rule", expected="a rule of your own", hint=SKEW)
        results.append((own, recorder))
    check_score(results)


def play_file(file: Path, seed: int) -> tuple[Result, Recorder]:
    """Play the learner's rule. Load its file again, so that nothing is left of the seed before, and seed `random`.

    Raises:
        Exception: the rule's own.
    """
    random.seed(seed)
    recorder = Recorder(load("exercise", file))
    try:
        return play_rule(recorder.quotes, seed), recorder
    except RuleError as error:
        if recorder.error:
            raise recorder.error from None
        raise NotSolved(
            saw=f"the bot cannot send what quotes returned: {error}", expected="orders that the bot accepts", hint=NOT_SEEN
        ) from error


def play_rule(rule: Rule, seed: int) -> Result:
    (result,) = play(rule, [seed], BLOCKS, max_abs_position=MAX_ABS_POSITION)
    return result


def check_orders(own: Result, recorder: Recorder) -> None:
    """Check that the rule trades."""
    share = own.blocks_with_fills / own.blocks
    if own.rejected or own.vanished:
        report(f"seed {own.seed}: {describe_orders(own)}")
    hint = hint_for(own, recorder) if own.largest_position > LARGE_POSITION else NARROWER
    if not own.sent:
        hint = "a rule without orders costs nothing and earns nothing"
    elif own.vanished == own.sent:
        hint = NOT_SEEN
    elif own.rejected:
        hint = "look up the reason in bot/enums.py; `order` in the starting point makes orders that are accepted"
    expect(
        share >= MIN_FILLED_BLOCKS,
        saw=f"fills in {share:.0%} of the blocks of seed {own.seed}: {describe_orders(own)}",
        expected=f"fills in at least {MIN_FILLED_BLOCKS:.0%} of the blocks",
        hint=hint,
    )


def check_score(results: list[tuple[Result, Recorder]]) -> None:
    worst, recorder = min(results, key=lambda result: score(result[0]))
    average = fmean(score(own) for own, _ in results)
    expect(
        average > 0,
        saw=f"an average score of {average:.2f}; the worst is seed {worst.seed} with {score(worst):.2f}",
        expected="an average above 0, the score of a rule that never trades",
        hint=hint_for(worst, recorder),
    )
    report(f"your average score is {average:.2f}")


def score(result: Result) -> float:
    return result.pnl - PENALTY * result.largest_position


def describe(result: Result) -> str:
    pnl = f"PnL {result.pnl:6.2f} (spread {result.spread_earned:5.2f}, moves after fills {result.price_moves:6.2f})"
    return f"{pnl}, largest position {result.largest_position:4.2f}, {result.fills:3} fills: score {score(result):6.2f}"


def describe_orders(own: Result) -> str:
    """Say what happened to the orders."""
    if not own.sent:
        return "you sent no order"
    rejected = sum(own.rejected.values())
    parts = [f"the network rejected {count}, {reason}" for reason, count in Counter(own.rejected).most_common()]
    if own.vanished:
        parts.append(f"the network ignored {own.vanished}")
    if own.sent > own.vanished + rejected:
        parts.append(f"{own.sent - own.vanished - rejected} reached the book")
    return f"of your {own.sent} orders, {'; '.join(parts)}"


def hint_for(own: Result, recorder: Recorder) -> str:
    """Return a hint for the weakest part of a rule."""
    decisions = recorder.decisions
    skew = skew_of(Path(str(recorder.exercise.__file__)), decisions[-1].market) if decisions else 0.0
    lean = lean_of(decisions, skew)
    if own.largest_position > LARGE_POSITION and skew < MIN_SKEW:
        return f"your position reaches its limits: {SKEW}"
    if lean < MIN_LEAN:
        return LATE if lean < -MIN_LEAN else TREND
    if own.largest_position > LARGE_POSITION:
        return MORE_SKEW
    if decisions and fmean(decision.half_spread for decision in decisions) < NARROW:
        return WIDER
    return TUNE


def lean_of(decisions: list[Decision], skew: float) -> float:
    """Return how far a rule moves its quotes with the trend, as a multiple of it, by least squares."""
    trends = sum(decision.trend**2 for decision in decisions)
    moves = sum((decision.offset + skew * decision.position) * decision.trend for decision in decisions)
    return moves / trends if trends else 0.0


def skew_of(file: Path, market: Market) -> float:
    """Return how far a rule moves its quotes down for one contract, in price units, all else being equal."""
    offsets: list[float] = []
    for position in (0.0, 1.0):
        recorder = Recorder(load("exercise", file))
        recorder.quotes(market, position, MAX_ABS_POSITION)
        offsets += [decision.offset for decision in recorder.decisions]
    return offsets[0] - offsets[1] if len(offsets) == 2 else 0.0
