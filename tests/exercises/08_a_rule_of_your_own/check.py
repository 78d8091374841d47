"""Checks exercise 8: the learner's rule and the tutorial's rule on the same seeds, with a score."""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tests.support.example_rule as example_rule
from bot.models import Market
from bot.submission import OrderSubmission
from tests.exercises.checking import expect, report
from tests.exercises.child import load
from tests.exercises.orders import call_for_orders
from tests.exercises.simulation import Result, Rule, Simulation

SEEDS = (1, 2, 5)
BLOCKS = 300
MAX_ABS_POSITION = 5.0  # contracts
MAX_HELD = 4.0  # contracts, at any time
PENALTY = 0.5  # DAI for each contract of the largest position
MARGIN = 0.5  # DAI by which the learner must beat the tutorial's rule
WIDE = 0.045  # price units from the middle to each quote; the maker's best quotes are 0.02 to 0.03 away
SKEWED = 0.004  # price units for each contract

SKEW = "if you are long, move both quotes down; if you are short, move both up; the more you hold, the further"
WIDER = "you trade often and earn little with each trade: quote wider"
OWN_MIDDLE = f"a wider or smaller copy of the tutorial's rule is not enough. {SKEW}. Or quote around an average of the last few middles"
MORE_SKEW = (
    "the position still becomes large: use more skew; if you use an average, use fewer blocks, because a long one follows a move too late"
)
TUNE = "change one number at a time, and look at PnL and position: the blocks of the average, the skew, the width"
NOT_SEEN = "an order needs this market's id, a price above zero and a size that does not round to zero; a batch holds up to 29 orders"


@dataclass(frozen=True)
class QuotePair:
    """A bid and an offer of the same block, and the market for which they were made."""

    market: Market
    bid: float
    offer: float

    @property
    def half_spread(self) -> float:
        return (self.offer - self.bid) / 2

    @property
    def offset(self) -> float:
        """How far their middle is above the market's middle, in price units."""
        return (self.bid + self.offer - self.market.best_bid_price - self.market.best_offer_price) / 2


@dataclass(frozen=True)
class SeedResult:
    """The result of the learner's rule on one seed."""

    seed: int
    own: Result
    lead: float  # of its score over that of the tutorial's rule
    is_centred: bool  # all quotes were around the market's middle
    hint: str


def check(exercise: ModuleType) -> None:
    file, results = Path(str(exercise.__file__)), []
    for seed in SEEDS:
        own, pairs = play_file(file, seed)
        tutorial = play(example_rule.quotes, seed)
        report(f"seed {seed}: you {describe(own)}\n{'':12}tutorial {describe(tutorial)}")
        if own.ignored or own.rejected:
            report(f"seed {seed}: {describe_orders(own)}")
        expect(own.fills, saw=f"no fills on seed {seed}: {describe_orders(own)}", expected="fills", hint=hint_without_fills(own))
        hint = hint_for(own, pairs, file)
        expect(own != tutorial, saw="the same trades as the tutorial's rule", expected="a rule of your own", hint=hint)
        results.append(SeedResult(seed, own, lead=score(own) - score(tutorial), is_centred=is_centred(pairs), hint=hint))
    check_position(results)
    check_score(results)
    expect(
        not all(result.is_centred for result in results),
        saw="your bid and your offer are always equally far from the market's middle, whatever you hold and whatever the last blocks were",
        expected="quotes around an average, or with a skew",
        hint=OWN_MIDDLE,
    )


def check_position(results: list[SeedResult]) -> None:
    worst = max(results, key=lambda result: result.own.largest_position)
    expect(
        worst.own.largest_position <= MAX_HELD,
        saw=f"a position of {worst.own.largest_position:.2f} contracts on seed {worst.seed}",
        expected=f"up to {MAX_HELD:g}, on each of the seeds {', '.join(map(str, SEEDS))}",
        hint=worst.hint,
    )


def check_score(results: list[SeedResult]) -> None:
    worst = min(results, key=lambda result: result.lead)
    expect(
        worst.lead >= MARGIN,
        saw=f"on seed {worst.seed} your score is {abs(worst.lead):.2f} {'better' if worst.lead >= 0 else 'worse'} than the tutorial's",
        expected=f"{MARGIN:.2f} better, on each of the seeds {', '.join(map(str, SEEDS))}",
        hint=worst.hint,
    )


def play_file(file: Path, seed: int) -> tuple[Result, list[QuotePair]]:
    """Play the learner's rule. Load its file again, so that nothing is left of the seed before, and seed `random`."""
    random.seed(seed)
    pairs: list[QuotePair] = []
    return play(validated(load("exercise", file), pairs), seed), pairs


def play(rule: Rule, seed: int) -> Result:
    return Simulation(seed).run(rule, BLOCKS, MAX_ABS_POSITION)


def score(result: Result) -> float:
    return result.pnl - PENALTY * result.largest_position


def describe(result: Result) -> str:
    numbers = f"PnL {result.pnl:6.2f}, largest position {result.largest_position:5.2f}, {result.fills:3} fills"
    return f"{numbers}: score {score(result):6.2f}"


def validated(exercise: ModuleType, pairs: list[QuotePair]) -> Rule:
    """Return the learner's rule. Its orders are validated, and its pairs of quotes are added to `pairs`."""

    def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        orders = call_for_orders(exercise, "quotes", market, open_volume, max_abs_position)
        prices = {order.side: float(order.price) for order in orders}
        if len(prices) == 2:
            pairs.append(QuotePair(market, bid=prices["SIDE_BUY"], offer=prices["SIDE_SELL"]))
        return orders

    return quotes


def is_centred(pairs: list[QuotePair]) -> bool:
    return bool(pairs) and all(abs(pair.offset) < 1e-6 for pair in pairs)


def skew_of(file: Path, market: Market) -> float:
    """Return how far a rule moves its quotes down for one contract, in price units."""
    pairs: list[QuotePair] = []
    for position in (0.0, 1.0):
        validated(load("exercise", file), pairs)(market, position, MAX_ABS_POSITION)
    return pairs[0].offset - pairs[1].offset if len(pairs) == 2 else 0.0


def hint_for(own: Result, pairs: list[QuotePair], file: Path) -> str:
    """Return a hint for the weakest part of the rule."""
    if own.largest_position > MAX_HELD:
        has_skew = bool(pairs) and skew_of(file, pairs[-1].market) >= SKEWED
        return MORE_SKEW if has_skew else f"your position reaches its limits. {SKEW[0].upper()}{SKEW[1:]}"
    if pairs and sum(pair.half_spread for pair in pairs) / len(pairs) < WIDE:
        return WIDER
    return TUNE


def describe_orders(own: Result) -> str:
    """Say what happened to the orders."""
    if not own.sent:
        return "you sent no order"
    parts = [f"the network rejected {count}, {reason}" for reason, count in Counter(own.rejected).most_common()]
    if own.ignored:
        parts.append(f"the network ignored {own.ignored}")
    if own.sent > own.ignored + len(own.rejected):
        parts.append(f"{own.sent - own.ignored - len(own.rejected)} reached the book")
    return f"of your {own.sent} orders, {'; '.join(parts)}"


def hint_without_fills(own: Result) -> str:
    if not own.sent:
        return "a rule without orders costs nothing and earns nothing"
    if own.ignored == own.sent:
        return NOT_SEEN
    if own.rejected:
        return "look up the reason in bot/enums.py; `order` in the starting point makes orders that are accepted"
    return "quote nearer to the middle"
