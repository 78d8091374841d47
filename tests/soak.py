"""`python -m tests.soak --minutes N`: the bot in the sandbox, with a fault every few seconds. Linux only: it reads /proc.

It prints a table at the end. The exit status is 1 when a quote went out on stale data, the bot ended by itself, orders are left, or
the number of threads or file descriptors keeps growing.
"""

import argparse
import itertools
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.sandbox import Sandbox
from tests.sandbox.markets import DEFAULT_FILE
from tests.support.fork import STOPPED_CLOCK, Fork
from tests.support.live_sandbox import orders_on_chain
from tests.support.process_usage import Usage, usage_of
from tests.support.processes import BotProcess
from tests.support.waiting import wait_until

BLOCK_TIME = 0.05  # s
FAULT_INTERVAL = (1.0, 5.0)  # s from one fault to the next
FAULT_DURATION = (0.5, 7.0)  # s
SILENCE_DURATION = (6.0, 9.0)  # s; longer than the bot may go on quoting
MAX_DATA_AGE = 5.0  # s
RECOVERY_TIMEOUT = 60.0  # s until a bot on a healthy network quotes again; reconnecting alone takes up to ten
MAX_GROWTH = 3  # threads or descriptors: idle HTTP connections are opened and closed all the time
TURN = re.compile(r"^(\S+ \S+) Latest prices are .* \| data ([0-9.]+|inf) s old \| (.*)$")

MACHINE_SUSPENDED = "machine suspended"  # the bot is stopped, and its monotonic clock with it
DUST = """
def quotes(market, open_volume, max_abs_position, right=quotes):
    orders = right(market, open_volume, max_abs_position)
    if random.random() < 0.1:  # a value that the network rejects, with the whole batch
        orders.append(dataclasses.replace(orders[0], size=0.001, price=market.tick))
    return orders
"""

Action = Callable[[Sandbox, random.Random], Any]


def _do_nothing(sandbox: Sandbox, rng: random.Random) -> None:
    """End a fault that has no duration."""


def _reject_handshakes(sandbox: Sandbox, rng: random.Random) -> None:
    sandbox.fail_handshakes(rng.choice((429, 502, 503)))
    sandbox.drop_streams("cut")


FAULTS: dict[str, tuple[Action, Action]] = {  # name -> begin, end
    "all streams disconnected": (lambda box, rng: box.drop_streams(rng.choice(("reset", "cut", "1000", "1001", "1011"))), _do_nothing),
    "one stream disconnected": (
        lambda box, rng: box.drop_streams("reset", rng.choice(("markets/data", "orders", "accounts"))),
        _do_nothing,
    ),
    "streams silent": (lambda box, _: box.silence_streams(), lambda box, _: box.silence_streams(on=False)),
    "handshakes rejected": (_reject_handshakes, lambda box, _: box.fail_handshakes()),
    "node restarted": (lambda box, rng: box.restart(down=rng.uniform(0.0, 3.0)), _do_nothing),
    "REST fails": (lambda box, _: box.fail_rest(500), lambda box, _: box.fail_rest()),
    "REST late": (lambda box, _: box.delay_rest(4.0), lambda box, _: box.delay_rest()),
    "wallet fails": (lambda box, rng: box.fail_wallet(rng.choice((401, 500))), lambda box, _: box.fail_wallet()),
    "wallet late": (lambda box, rng: box.delay_wallet(rng.uniform(1.0, 6.0)), lambda box, _: box.delay_wallet()),
    "market suspended": (lambda box, _: box.suspend("future"), lambda box, _: box.resume("future")),
    "side empty": (lambda box, _: box.empty_side("future", "SIDE_SELL"), lambda box, _: box.refill_side("future", "SIDE_SELL")),
    "transactions lost": (lambda box, rng: box.lose_transactions(rng.randint(1, 3)), _do_nothing),
    "transactions late": (lambda box, rng: box.delay_transactions(rng.uniform(0.2, 1.5)), lambda box, _: box.delay_transactions()),
    "chain paused": (lambda box, rng: box.pause_chain(rng.uniform(1.0, 7.0)), _do_nothing),
    MACHINE_SUSPENDED: (_do_nothing, _do_nothing),
    "orders rejected": (lambda box, _: box.reject_orders("ORDER_ERROR_MARGIN_CHECK_FAILED"), lambda box, _: box.reject_orders()),
}


@dataclass(frozen=True)
class Result:
    """What a soak has measured."""

    turns: list[tuple[datetime, float, str]]  # time, age of the data in seconds, outcome
    faults: Counter[str]
    before: Usage  # after a tenth of the time
    after: Usage
    orders_left: int
    crashed: bool

    @property
    def longest_gap(self) -> float:
        times = [when for when, _, _ in self.turns]
        return max((after - before).total_seconds() for before, after in itertools.pairwise(times))

    @property
    def stale_quotes(self) -> int:
        return sum(age > MAX_DATA_AGE and outcome == "quoted" for _, age, outcome in self.turns)

    @property
    def problems(self) -> list[str]:
        found = {
            "quotes went out on stale data": self.stale_quotes > 0,
            "the bot crashed": self.crashed,
            "orders are left": self.orders_left > 0,
            "threads keep growing": self.after.threads - self.before.threads > MAX_GROWTH,
            "file descriptors keep growing": self.after.descriptors - self.before.descriptors > MAX_GROWTH,
        }
        return [problem for problem, is_present in found.items() if is_present]

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
    """The bot has ended by itself. The message has its last log lines."""


def soak(minutes: float, seed: int) -> Result:
    """Run the bot among faults. After a tenth of the time and at the end, let it recover and measure what it takes from the system.

    Args:
        minutes: how long.
        seed: of the faults and of the sandbox.

    Raises:
        BotEndedError: the bot ended before it got a signal.
    """
    rng, faults = random.Random(seed), Counter[str]()
    markets = json.loads(DEFAULT_FILE.read_text())
    markets["markets"][0]["reorders_transactions"] = True
    code = "import dataclasses, random\n" + STOPPED_CLOCK + DUST
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(block_time=BLOCK_TIME, seed=seed, markets=markets) as sandbox,
        Fork(Path(folder), sandbox, sandbox.markets["future"], code, loop_interval=1) as bot,
    ):
        bot.wait_for(r"\| quoted$")
        run_faults(sandbox, bot, rng, minutes * 6, faults)
        before = recover(sandbox, bot)
        run_faults(sandbox, bot, rng, minutes * 54, faults)
        after = recover(sandbox, bot)
        sandbox.call(lambda box: setattr(box, "traders", None))  # so that nobody fills the orders that the bot leaves
        crashed = bot.stop() not in (0, 1) or "Traceback" in bot.output  # 1: a late wallet may still execute orders
        matches = [match.groups() for match in map(TURN.match, bot.lines) if match]
        turns = [(datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f"), float(age), outcome) for when, age, outcome in matches]
        return Result(turns, faults, before, after, len(orders_on_chain(sandbox)), crashed)


def run_faults(sandbox: Sandbox, bot: BotProcess, rng: random.Random, seconds: float, faults: "Counter[str]") -> None:
    """Begin a fault every few seconds and end it after its duration; faults may overlap."""
    began = time.monotonic()
    deadline = began + seconds
    active: dict[str, float] = {}  # fault -> time of its end
    while (now := time.monotonic()) < deadline:
        for name in [name for name, ends in active.items() if ends <= now]:
            FAULTS[name][1](sandbox, rng)
            if name == MACHINE_SUSPENDED:
                bot.signal(signal.SIGCONT)
            del active[name]
        name = rng.choice([name for name in FAULTS if name not in active])
        print(f"{now - began:.0f} s: {name}", file=sys.stderr)
        FAULTS[name][0](sandbox, rng)
        if name == MACHINE_SUSPENDED:
            bot.signal(signal.SIGSTOP)
        active[name] = now + rng.uniform(*(SILENCE_DURATION if name == "streams silent" else FAULT_DURATION))
        faults[name] += 1
        time.sleep(max(0.0, min(rng.uniform(*FAULT_INTERVAL), deadline - time.monotonic())))
        if bot.has_ended:
            raise BotEndedError("\n".join(bot.lines[-20:]))


def recover(sandbox: Sandbox, bot: BotProcess) -> Usage:
    """End all faults; return what the bot takes once it quotes again over four streams: the minimum of three measurements."""
    bot.signal(signal.SIGCONT)  # it may still be stopped
    sandbox.reset()
    wait_until(lambda: bot.has_ended or sandbox.call(lambda box: sum(box.node.open_connections.values())) == 4, RECOVERY_TIMEOUT)
    if bot.has_ended:
        raise BotEndedError("\n".join(bot.lines[-20:]))
    line = bot.wait_for(r"\| quoted$", RECOVERY_TIMEOUT, after=len(bot.lines))
    measured = []
    for _ in range(3):
        line = bot.wait_for(r"\| quoted$", RECOVERY_TIMEOUT, after=line)
        measured.append(usage_of(bot))
    return Usage(*map(min, zip(*measured, strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The bot in the sandbox, with a fault every few seconds.")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (default 10)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the faults and the sandbox (default: a random one)")
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
