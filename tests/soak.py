"""`python -m tests.soak --minutes N`: the bot in the sandbox with a fault every few seconds. Linux only: it reads /proc.

Prints a table at the end. The exit status is 1 where a quote went out on stale data, the bot ended by itself, orders are left, or
threads or file descriptors keep growing.
"""

import argparse
import itertools
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.sandbox import Sandbox
from tests.support.processes import BotProcess

BLOCK_TIME = 0.05  # seconds
PAUSES = (1.0, 5.0)  # seconds from one fault to the next
DURATIONS = (0.5, 7.0)  # seconds
SILENCES = (6.0, 9.0)  # seconds: longer than quotes may go on
LONGEST_AGE = 5.0  # seconds
LONGEST_RECOVERY = 30.0  # seconds until a bot on a healthy network must quote again; a redial takes ten
MOST_GROWTH = 3  # of threads and of descriptors: idle HTTP connections come and go
TURN = re.compile(r"^(\S+ \S+) Latest prices are .* \| data ([0-9.]+|inf) s old \| (.*)$")

Switch = Callable[[Sandbox, random.Random], Any]


def _nothing(sandbox: Sandbox, chance: random.Random) -> None:
    """End a fault that is over at once."""


def _refuse_handshakes(sandbox: Sandbox, chance: random.Random) -> None:
    sandbox.fail_handshakes(chance.choice((429, 502, 503)))
    sandbox.drop_streams("cut")


FAULTS: dict[str, tuple[Switch, Switch]] = {  # name -> begin, end
    "streams dropped": (lambda box, chance: box.drop_streams(chance.choice(("reset", "cut", "1000", "1001", "1011"))), _nothing),
    "a stream dropped": (lambda box, chance: box.drop_streams("reset", chance.choice(("markets/data", "orders", "accounts"))), _nothing),
    "streams silent": (lambda box, _: box.silence_streams(), lambda box, _: box.silence_streams(on=False)),
    "handshakes refused": (_refuse_handshakes, lambda box, _: box.fail_handshakes()),
    "node restarted": (lambda box, chance: box.restart(down=chance.uniform(0.0, 3.0)), _nothing),
    "REST fails": (lambda box, _: box.fail_rest(500), lambda box, _: box.fail_rest()),
    "REST late": (lambda box, _: box.delay_rest(4.0), lambda box, _: box.delay_rest()),
    "wallet fails": (lambda box, chance: box.fail_wallet(chance.choice((401, 500))), lambda box, _: box.fail_wallet()),
    "wallet late": (lambda box, chance: box.delay_wallet(chance.uniform(1.0, 6.0)), lambda box, _: box.delay_wallet()),
    "market suspended": (lambda box, _: box.suspend("future"), lambda box, _: box.resume("future")),
    "side empty": (lambda box, _: box.empty_side("future", "SIDE_SELL"), lambda box, _: box.refill_side("future", "SIDE_SELL")),
    "orders rejected": (lambda box, _: box.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED"), lambda box, _: box.reject_orders()),
}


class Footprint(NamedTuple):
    """What a process takes."""

    memory: float  # MB of resident memory
    threads: int
    descriptors: int


class Bot(BotProcess):
    """The bot, and what it takes."""

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def footprint(self) -> Footprint:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return Footprint(int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(list(Path(f"/proc/{self.pid}/fd").iterdir())))


@dataclass(frozen=True)
class Result:
    """What a soak has found."""

    turns: list[tuple[datetime, float, str]]  # when, seconds since the data came, outcome
    faults: Counter[str]
    before: Footprint
    after: Footprint
    orders_left: int
    crashed: bool

    @property
    def longest_gap(self) -> float:
        times = [when for when, _, _ in self.turns]
        return max((after - before).total_seconds() for before, after in itertools.pairwise(times))

    @property
    def stale_quotes(self) -> int:
        return sum(age > LONGEST_AGE and outcome == "quoted" for _, age, outcome in self.turns)

    @property
    def problems(self) -> list[str]:
        found = {
            "quotes went out on stale data": self.stale_quotes > 0,
            "the bot crashed": self.crashed,
            "orders are left": self.orders_left > 0,
            "threads keep growing": self.after.threads - self.before.threads > MOST_GROWTH,
            "file descriptors keep growing": self.after.descriptors - self.before.descriptors > MOST_GROWTH,
        }
        return [problem for problem, is_so in found.items() if is_so]

    def table(self) -> str:
        before, after = self.before, self.after
        rows = {
            "turns": f"{len(self.turns)}, {sum(outcome == 'quoted' for _, _, outcome in self.turns)} of them with quotes",
            "faults": f"{self.faults.total()} of {len(self.faults)} kinds",
            "longest gap between turns": f"{self.longest_gap:.1f} s",
            "quotes on data older than 5 s": str(self.stale_quotes),
            "memory": f"{after.memory:.1f} MB, {after.memory - before.memory:+.1f} MB since the first tenth",
            "threads": f"{after.threads}, {after.threads - before.threads:+d}",
            "file descriptors": f"{after.descriptors}, {after.descriptors - before.descriptors:+d}",
            "orders left": str(self.orders_left),
        }
        return "\n".join(f"{name:<30} {value}" for name, value in rows.items())


class BotEndedError(Exception):
    """The bot has ended by itself; the text is its last lines."""


def soak(minutes: float, seed: int) -> Result:
    """Run the bot among faults for so many minutes, and a moment of health after the first tenth of them and at the end.

    Raises:
        BotEndedError: before it was told to.
    """
    chance, faults = random.Random(seed), Counter[str]()
    with Sandbox(block_time=BLOCK_TIME, seed=seed) as sandbox, Bot(sandbox, sandbox.markets["future"]) as bot:
        bot.wait_for(r"\| quoted$")
        break_things(sandbox, bot, chance, minutes * 6, faults)
        before = recover(sandbox, bot)
        break_things(sandbox, bot, chance, minutes * 54, faults)
        after = recover(sandbox, bot)
        sandbox.call(lambda box: setattr(box, "traders", None))  # so that nobody takes what the bot leaves
        crashed = bot.stop() not in (0, 1) or "Traceback" in bot.output  # 1: a late wallet may yet carry something out
        found = [match.groups() for match in map(TURN.match, bot.lines) if match]
        turns = [(datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f"), float(age), outcome) for when, age, outcome in found]
        return Result(turns, faults, before, after, orders_left(sandbox), crashed)


def break_things(sandbox: Sandbox, bot: Bot, chance: random.Random, seconds: float, faults: "Counter[str]") -> None:
    """Begin a fault every few seconds, and end each after a while; some go on together."""
    began = time.monotonic()
    deadline = began + seconds
    going_on: dict[str, float] = {}  # fault -> when it ends
    while (now := time.monotonic()) < deadline:
        for name in [name for name, ends in going_on.items() if ends <= now]:
            FAULTS[name][1](sandbox, chance)
            del going_on[name]
        name = chance.choice([name for name in FAULTS if name not in going_on])
        print(f"{now - began:.0f} s: {name}", file=sys.stderr)
        FAULTS[name][0](sandbox, chance)
        going_on[name] = now + chance.uniform(*(SILENCES if name == "streams silent" else DURATIONS))
        faults[name] += 1
        time.sleep(max(0.0, min(chance.uniform(*PAUSES), deadline - time.monotonic())))
        if bot.has_ended:
            raise BotEndedError("\n".join(bot.lines[-20:]))


def recover(sandbox: Sandbox, bot: Bot) -> Footprint:
    """End all faults; return what the bot takes once it quotes again over four streams, the least of a few looks."""
    sandbox.reset()
    deadline = time.monotonic() + LONGEST_RECOVERY
    while sandbox.call(lambda box: sum(box.node.open_connections.values())) != 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    if bot.has_ended:
        raise BotEndedError("\n".join(bot.lines[-20:]))
    line = bot.wait_for(r"\| quoted$", LONGEST_RECOVERY, after=len(bot.lines))
    looks = []
    for _ in range(3):
        line = bot.wait_for(r"\| quoted$", LONGEST_RECOVERY, after=line)
        looks.append(bot.footprint())
    return Footprint(*map(min, zip(*looks, strict=True)))


def orders_left(sandbox: Sandbox) -> int:
    def count(box: Sandbox) -> int:
        return sum(order.party_id == box.parties["bot"] and order.status == "STATUS_ACTIVE" for order in box.chain.orders.values())

    return int(sandbox.call(count))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The bot in the sandbox, with a fault every few seconds.")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (default 10)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the faults and the sandbox (default: another each time)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"soak: {options.minutes:g} minutes, seed {seed}", file=sys.stderr)
    try:
        result = soak(options.minutes, seed)
    except BotEndedError as error:
        print(f"FAILED: the bot ended by itself:\n{error}", file=sys.stderr)
        return 1
    print(result.table())
    for problem in result.problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if result.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
