"""Checks exercise 8: the learner's rule and the tutorial's on the same seeds, scored."""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import main
from bot.models import Market
from bot.submission import OrderSubmission
from tests.exercises.checking import expect, say
from tests.exercises.child import load
from tests.exercises.orders import call_for_orders
from tests.exercises.simulation import Result, Rule, Simulation

SEEDS = (1, 2, 5)
BLOCKS = 300
MAX_ABS_POSITION = 5.0  # contracts
MOST_HELD = 4.0  # contracts, at any time
PENALTY = 0.5  # DAI for each contract of the largest position
MARGIN = 0.5  # DAI by which the learner must beat the tutorial's rule
WIDE = 0.045  # price units from the middle to either quote; the maker's best ones are 0.02 to 0.03 away
SKEWED = 0.004  # price units for each contract

SKEW = "Long? Then both quotes down; short? Up: a cent for each contract is a start"
WIDER = "you trade often and earn little with each. Quote wider: 0.05 on either side of the middle is a start"
OWN_MIDDLE = f"a wider or a smaller tutorial is no rule of your own yet. {SKEW}. Or quote around an average of the last few middles"
LESS_STILL = (
    "your position still runs far: skew more; and should you average, over fewer blocks: a long average is late when the price moves"
)
LAST = "one change at a time, and watch both numbers: an average of fewer blocks, half a cent more or less of skew, 0.05 to 0.06 of width"


@dataclass(frozen=True)
class Quotes:
    """A bid and an offer that stand together, and the market that they were made for."""

    market: Market
    bid: float
    offer: float

    @property
    def half_spread(self) -> float:
        return (self.offer - self.bid) / 2

    @property
    def offset(self) -> float:
        """By how much their middle is above the market's."""
        return (self.bid + self.offer - self.market.best_bid_price - self.market.best_offer_price) / 2


@dataclass(frozen=True)
class Play:
    """What the learner's rule made of one seed."""

    seed: int
    own: Result
    lead: float  # of its score over that of the tutorial's rule
    in_the_middle: bool
    hint: str


def check(exercise: Any) -> None:
    file, plays = Path(exercise.__file__), []
    for seed in SEEDS:
        own, made = play_own(file, seed)
        tutorial = play(main.quotes, seed)
        say(f"seed {seed}: you {describe(own)}\n{'':12}tutorial {describe(tutorial)}")
        if own.lost or own.refused:
            say(f"seed {seed}: {fate(own)}")
        expect(own.fills, saw=f"no fills on seed {seed}: {fate(own)}", expected="fills", hint=advice_without_fills(own))
        hint = advice(own, made, file)
        expect(own != tutorial, saw="it plays exactly as the tutorial's rule does", expected="a rule of your own", hint=hint)
        plays.append(Play(seed, own, lead=score(own) - score(tutorial), in_the_middle=stays_in_the_middle(made), hint=hint))
    check_position(plays)
    check_score(plays)
    expect(
        not all(each.in_the_middle for each in plays),
        saw="your bid and your offer stand as far from the market's own middle as each other, whatever you hold and whatever was before",
        expected="quotes around an average, or moved by your position",
        hint=OWN_MIDDLE,
    )


def check_position(plays: list[Play]) -> None:
    worst = max(plays, key=lambda each: each.own.largest_position)
    expect(
        worst.own.largest_position <= MOST_HELD,
        saw=f"on seed {worst.seed} you hold {worst.own.largest_position:.2f} contracts at one time",
        expected=f"{MOST_HELD:g} at most, on each of the seeds {', '.join(map(str, SEEDS))}",
        hint=worst.hint,
    )


def check_score(plays: list[Play]) -> None:
    worst = min(plays, key=lambda each: each.lead)
    expect(
        worst.lead >= MARGIN,
        saw=f"on seed {worst.seed} your score is {abs(worst.lead):.2f} {'better' if worst.lead >= 0 else 'worse'} than the tutorial's",
        expected=f"{MARGIN:.2f} better, on each of the seeds {', '.join(map(str, SEEDS))}",
        hint=worst.hint,
    )


def play_own(file: Path, seed: int) -> tuple[Result, list[Quotes]]:
    """Play the learner's rule, read anew, so that it remembers nothing of the seed before; chance is the same each time, too."""
    random.seed(seed)
    made: list[Quotes] = []
    return play(checked(load("exercise", file), made), seed), made


def play(rule: Rule, seed: int) -> Result:
    return Simulation(seed).run(rule, BLOCKS, MAX_ABS_POSITION)


def score(result: Result) -> float:
    return result.pnl - PENALTY * result.largest_position


def describe(result: Result) -> str:
    numbers = f"PnL {result.pnl:6.2f}, largest position {result.largest_position:5.2f}, {result.fills:3} fills"
    return f"{numbers}: score {score(result):6.2f}"


def checked(exercise: Any, made: list[Quotes]) -> Rule:
    """Look at what a rule returns before it goes anywhere, and note where its quotes stand."""

    def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        orders = call_for_orders(exercise, "quotes", market, open_volume, max_abs_position)
        for side, sign in (("SIDE_BUY", 1), ("SIDE_SELL", -1)):
            reach = sign * open_volume + sum(float(order.size) for order in orders if order.side == side)
            expect(
                reach <= max_abs_position + 1e-9 or reach <= sign * open_volume,
                saw=f"at a position of {open_volume}, quotes returned {side} orders that would take it to {sign * reach:g}",
                expected=f"never beyond {max_abs_position:g} either way",
                hint="give `order` the room that is left on its side",
            )
        prices = {order.side: float(order.price) for order in orders}
        if len(prices) == 2:
            made.append(Quotes(market, bid=prices["SIDE_BUY"], offer=prices["SIDE_SELL"]))
        return orders

    return quotes


def stays_in_the_middle(made: list[Quotes]) -> bool:
    return bool(made) and all(abs(each.offset) < 1e-6 for each in made)


def skew_of(file: Path, market: Market) -> float:
    """Return by how much the quotes of a rule move down for each contract that it holds, all else being equal."""
    made: list[Quotes] = []
    for held in (0.0, 1.0):
        checked(load("exercise", file), made)(market, held, MAX_ABS_POSITION)
    return made[0].offset - made[1].offset if len(made) == 2 else 0.0


def advice(own: Result, made: list[Quotes], file: Path) -> str:
    """Say where to look, by what was weak and what is in already."""
    if own.largest_position > MOST_HELD:
        skewed = bool(made) and skew_of(file, made[-1].market) >= SKEWED
        return LESS_STILL if skewed else f"your position runs to its bounds. {SKEW}"
    if made and sum(each.half_spread for each in made) / len(made) < WIDE:
        return WIDER
    return LAST


def fate(own: Result) -> str:
    """Say what became of the orders."""
    if not own.sent:
        return "you never sent an order"
    parts = [f"the network refused {count}, {reason}" for reason, count in Counter(own.refused).most_common()]
    if own.lost:
        parts.append(f"the network took {own.lost} in and made nothing of them")
    if own.sent > own.lost + len(own.refused):
        parts.append(f"{own.sent - own.lost - len(own.refused)} came to the book")
    return f"of your {own.sent} orders, {'; '.join(parts)}"


def advice_without_fills(own: Result) -> str:
    if not own.sent:
        return "doing nothing costs nothing and earns nothing"
    if own.lost == own.sent:
        return "an order needs this market's id, a price above zero, a size that is not rounded to zero; and a batch has room for 30"
    if own.refused:
        return "look the reason up in bot/enums.py; `order` in the starting point makes orders that are taken"
    return "quote nearer to the middle: 0.05 on either side is a start"
