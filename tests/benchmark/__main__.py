"""`python -m tests.benchmark`: the speed of the bot, compared with websocket-client alone, plain rel, and polling.

All figures of a row are of one run. The clients take turns, each in a new process, and a figure is the median of its rounds, so that
other work of the machine affects all of them. CPU per frame varies least on a busy machine. Progress goes to standard error.
The other modules of this package say what is measured and how; this one puts it together.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Optional

from tests.benchmark.backtest import DAY, measure_backtest
from tests.benchmark.bot import measure_loop, measure_start
from tests.benchmark.clients import run_client
from tests.benchmark.dispatch import REGISTRARS, measure_dispatch
from tests.benchmark.server import stream_server
from tests.benchmark.store import measure_store
from tests.benchmark.table import Row, against_bare, as_json, as_table, machine, plot

CLIENTS = ("bare", "rel", "bot")
RATE = 1000  # frames per second: more than plain rel can read


@dataclass(frozen=True)
class Scale:
    """How long to measure; in seconds where nothing else is said."""

    rounds: int = 5
    few_rounds: int = 3
    ages: float = 0.8
    speed: float = 0.8  # for throughput, or …
    frames: int = 20_000  # … until so many frames were received
    idle: float = 6.0
    reads: float = 3.0
    flood: float = 1.5
    store: float = 4.0
    orders: tuple[int, ...] = (10, 100, 1_000, 10_000, 100_000)  # how many the store holds
    streams: tuple[int, ...] = (1, 10, 100)
    delays: tuple[float, ...] = (0.0, 0.1)  # of REST and wallet, for the start
    delay: float = 0.3  # of REST and wallet, for the loop
    loop: float = 30.0
    bots: int = 4  # at the same time: together they quote a hundred times
    dispatch: float = 0.6
    registrars: tuple[str, ...] = REGISTRARS
    blocks: int = 1_500  # of the backtest, per round
    day: int = DAY  # blocks of the backtest on all cores
    rates: tuple[int, ...] = (20, 200, 2_000, 20_000)  # frames per second, for the plot


QUICK = Scale(
    rounds=1,
    few_rounds=1,
    ages=0.2,
    speed=1.0,
    frames=500,
    idle=0.2,
    reads=0.2,
    flood=0.2,
    store=0.5,
    orders=(10, 100),
    streams=(1,),
    delays=(0.0,),
    delay=0.02,
    loop=2.0,
    bots=1,
    dispatch=0.2,
    registrars=("poll",),
    blocks=50,
    day=48,
    rates=(1_000,),
)

Figures = dict[str, Any]  # of one client in one round
Rounds = dict[str, list[Figures]]  # client -> its figures in each round
Clients = dict[str, Callable[[], Figures]]  # client -> runs it
_started = time.monotonic()


def progress(message: str) -> None:
    print(f"{time.monotonic() - _started:6.1f} s  {message}", file=sys.stderr, flush=True)


def take_turns(what: str, rounds: int, clients: Clients) -> Rounds:
    """Run each client once per round: A B C A B C …"""
    found: Rounds = {client: [] for client in clients}
    for number in range(1, rounds + 1):
        progress(f"{what}, round {number} of {rounds}")
        for client, run in clients.items():
            found[client].append(run())
    return found


def medians(found: Rounds, figure: Callable[[Figures], float]) -> dict[str, float]:
    return {client: median(map(figure, rounds)) for client, rounds in found.items()}


def frames_per_second(figures: Figures) -> float:
    return float(figures["frames"] / figures["wall"])


def cpu_per_frame(figures: Figures) -> float:
    return float(figures["cpu"] / figures["frames"] * 1e6)


def worst_age(key: str, figures: Figures) -> float:
    return max(float(stream.get(key, 0.0)) for stream in figures["ages"])


def ages(scheme: str, url: str, scale: Scale) -> Iterator[Row]:
    """The age of a frame in its callback. Server and client share the machine's monotonic clock."""
    what = f"age at {RATE:,} frames/s, {scheme}"
    urls = [f"{url}/{RATE}/stream/markets/data"]
    clients: Clients = {client: partial(run_client, client, urls, scale.ages) for client in CLIENTS}
    found = take_turns(what, scale.rounds, clients)
    yield against_bare(f"{what}, median", "ms", medians(found, partial(worst_age, "median")), at_most=1.5)
    yield against_bare(f"{what}, 99th percentile", "ms", medians(found, partial(worst_age, "p99")), at_most=2)


def speeds(scheme: str, url: str, scale: Scale, how: str = "flood") -> Iterator[Row]:
    """Frames as fast as the server can send: for some seconds from the first one on, or until a number of them was received."""
    urls = [f"{url}/{how}/stream/markets/data"]
    clients: Clients = {client: partial(run_client, client, urls, scale.speed, scale.frames) for client in (*CLIENTS, "store")}
    what = f"throughput, {scheme}"
    found = take_turns(what, scale.rounds, clients)
    store = {"store": found.pop("store")}
    rates, costs = medians(found, frames_per_second), medians(found, cpu_per_frame)
    yield against_bare(what, "frames/s", rates, at_least=0.9)
    rates = {"bare": rates["bare"], "bot": medians(store, frames_per_second)["store"]}
    yield against_bare(f"{what}, into the store", "frames/s", rates, at_least=0.5)
    yield against_bare(f"CPU per frame, {scheme}", "µs", costs)
    costs = {"bare": costs["bare"], "bot": medians(store, cpu_per_frame)["store"]}
    yield against_bare(f"CPU per frame, {scheme}, into the store", "µs", costs)


def idle(url: str, scale: Scale) -> Iterator[Row]:
    """CPU of the process with few frames or none. The threads of the bare client wait in the kernel, which costs nothing."""
    progress("CPU at 20 frames/s, and with four silent streams")
    kinds = {"few": [f"{url}/20/stream/markets/data"], "none": [f"{url}/silent/stream/{number}" for number in range(4)]}
    with ThreadPoolExecutor(2 * len(CLIENTS)) as pool:  # all at the same time, because each measures its own CPU
        runs = {(client, kind): pool.submit(run_client, client, kinds[kind], scale.idle) for client in CLIENTS for kind in kinds}
    percent = {key: run.result()["cpu"] / run.result()["wall"] * 100 for key, run in runs.items()}
    few, none = ({client: percent[client, kind] for client in CLIENTS} for kind in kinds)
    yield against_bare("CPU at 20 frames/s", "% of a core", few, at_most=2)
    note = "the ratio is to the bare client's CPU at 20 frames/s, because without frames it uses none"
    yield Row("CPU with four silent streams", "% of a core", none, none["bot"] / few["bare"], at_most=2, note=note)


def reads(url: str, scale: Scale) -> Iterator[Row]:
    urls = [f"{url}/flood/stream/markets/data"]
    runs: Clients = {"bot": partial(run_client, "store", urls, scale.reads, read=True)}
    found = take_turns("get_market_by_id under load", scale.few_rounds, runs)
    for name, key, bound in (("median", "median", 10), ("99.9th percentile", "p999", 100)):
        figures, again, nothing = (median(one[kind][key] for one in found["bot"]) for kind in ("reads", "again", "nothing"))
        note = f"a function that does nothing takes {nothing:.1f} µs in its place; a second call immediately after it takes {again:.1f} µs"
        yield Row(f"get_market_by_id under load, {name}", "µs", {"bot": figures}, at_most=bound, note=note)


def store(scale: Scale) -> Iterator[Row]:
    progress("the store with few and many orders")
    found = measure_store(list(scale.orders), max(3, scale.rounds), scale.store)
    few = found["update"][str(scale.orders[0])]
    for size in scale.orders:
        update = found["update"][str(size)]
        bound = 1.5 if size == scale.orders[-1] else None
        note = f"they take {found['memory'][str(size)]:.1f} MB"
        yield Row(
            f"update of one order among {size:,}, relative to {scale.orders[0]}",
            "µs",
            {"bot": update},
            update / few,
            at_most=bound,
            note=note,
        )
    held, copy = found["held"], found["copy"]
    yield Row("get_orders: time with the lock held, relative to copying the list", "ms", {"bot": held}, held / copy, at_most=1.5)
    blocked, alone = found["blocked"], found["blocked_by_copy"]
    note = f"{alone:.2f} ms while the other thread copies a list of its own, because Python runs one thread at a time"
    yield Row(
        "longest update during get_orders, relative to copies elsewhere", "ms", {"bot": blocked}, blocked / alone, at_most=2, note=note
    )


def start(scale: Scale) -> Iterator[Row]:
    for delay in scale.delays:
        rounds = take_turns(
            f"start, REST and wallet delayed by {delay * 1e3:.0f} ms", scale.few_rounds, {"bot": partial(measure_start, delay)}
        )
        calls = rounds["bot"][0]["calls"]
        note = f"{len(calls)} REST calls: {', '.join(calls)}"
        what = f"start to first quote, REST and wallet delayed by {delay * 1e3:.0f} ms"
        yield Row(what, "s", medians(rounds, lambda one: one["seconds"]), note=note)
    yield Row("REST connections until then", "", medians(rounds, lambda one: one["connections"]), at_most=1)
    yield Row("REST calls made twice", "", medians(rounds, lambda one: one["repeated"]), at_most=0)


def loop(scale: Scale) -> Iterator[Row]:
    delayed = f"REST and wallet delayed by {scale.delay * 1e3:.0f} ms"
    progress(f"the loop, {delayed}")
    found = measure_loop(scale.delay, scale.loop, scale.bots)
    bot = found["bot"]
    note = f"{bot['quotes']} quotes; the oldest was outdated for {bot['late']:.0f} ms; {bot['told']:.0%} of the frames had new prices"
    intervals, newest = ({client: figures[key] for client, figures in found.items()} for key in ("period", "newest"))
    yield Row(f"interval of the loop, {delayed}", "s", intervals, at_most=1.01, at_least=0.99)
    yield Row("share of quotes on the newest frame, frames of the last 10 ms excepted", "", newest, at_least=0.99, note=note)


def flood(url: str, scale: Scale) -> Iterator[Row]:
    """One stream sends as fast as it can; the age of frames on three others with 20 per second each: the worst of the three."""
    urls = [f"{url}/flood/stream/orders"] + [f"{url}/20/stream/{number}" for number in range(3)]
    clients: Clients = {client: partial(run_client, client, urls, scale.flood) for client in CLIENTS}
    found = take_turns("one stream under load", scale.few_rounds, clients)
    for name, key, bound in (("median", "median", None), ("99th percentile", "p99", 20), ("maximum", "most", None)):
        figures = medians(found, partial(worst_age, key))
        yield Row(f"age on three streams, a fourth under load, {name}", "ms", figures, at_most=bound)


def growth(url: str, scale: Scale) -> Iterator[Row]:
    urls = [f"{url}/flood/stream/markets/data"]
    clients: Clients = {str(count): partial(run_client, "store", urls * count, 5, scale.frames) for count in scale.streams}
    found = take_turns("many streams", min(2, scale.few_rounds), clients)
    times = medians(found, cpu_per_frame)
    memory = medians(found, lambda one: one["growth"])
    for count in times:
        note = f"memory grew by {memory[count]:.2f} MB over {scale.frames:,} frames"
        what = f"CPU per frame into the store, {count} streams, relative to 1"
        yield Row(what, "µs", {"bot": times[count]}, times[count] / times["1"], note=note)


def dispatch(url: str, scale: Scale) -> Iterator[Row]:
    """Timers, Ctrl+C and CPU with four silent streams, and with a node that is down: the worst of rel's registrars."""
    progress("timers and Ctrl+C, idle and in an outage")
    found = measure_dispatch(f"{url}/silent", scale.dispatch, scale.registrars)
    plain = found.pop("rel idle")
    registrars = ", ".join(scale.registrars)
    for situation in ("idle", "outage"):
        ours = [figures for kind, figures in found.items() if kind.endswith(situation)]
        for what, unit, key, bound in (
            ("delay of a 10 ms timer, 99th percentile", "ms", "timer", 50),
            ("Ctrl+C to the end of rel.dispatch()", "ms", "interrupt", 50),
            ("CPU", "% of a core", "cpu", 2),
        ):
            figures = {"bot": max(each[key] for each in ours)}
            if situation == "idle":
                figures["rel"] = plain[key]
            yield Row(f"{situation}: {what}", unit, figures, at_most=bound, note=f"the maximum of {registrars}")


def backtest(scale: Scale) -> Iterator[Row]:
    progress("the backtest, on one core and on all")
    found = measure_backtest(scale.blocks, scale.few_rounds, scale.day)
    note = f"the chain and its traders alone make {found['bare']:,.0f} blocks/s, which the ratio is to; CPU time"
    yield Row(
        "backtest of the tutorial's rule on one core",
        "blocks/s",
        {"bot": found["rule"]},
        found["rule"] / found["bare"],
        at_least=0.6,
        note=note,
    )
    yield Row("time that a rule of 1 ms adds to a block", "ms", {"bot": found["added"]}, at_most=1.2)
    yield Row(f"backtest of {DAY:,} blocks on all cores", "s", {"bot": found["day"]}, at_most=45)


def ages_by_rate(url: str, scale: Scale) -> dict[str, dict[float, float]]:
    """Return for each client the median age at each rate, in ms."""
    points: dict[str, dict[float, float]] = {client: {} for client in CLIENTS}
    for rate in scale.rates:
        progress(f"age at {rate:,} frames/s, for the plot")
        for client, curve in points.items():
            curve[rate] = run_client(client, [f"{url}/{rate}/stream/markets/data"], scale.ages)["ages"][0]["median"]
    return points


def measure(scale: Scale) -> tuple[list[Row], dict[str, dict[float, float]]]:
    with tempfile.TemporaryDirectory() as directory, stream_server(Path(directory)) as urls:
        os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"] = str(Path(directory) / "ca.pem")
        ws, wss = urls["ws"], urls["wss"]
        rows = [
            *ages("ws", ws, scale),
            *speeds("ws", ws, scale),
            *ages("wss", wss, scale),
            *speeds("wss", wss, scale),
            *speeds("wss, a record each", wss, scale, "singles"),  # many frames a record is what a server under load sends
            *idle(ws, scale),
            *flood(ws, scale),
            *reads(ws, scale),
            *store(scale),
            *start(scale),
            *loop(scale),
            *dispatch(ws, scale),
            *growth(ws, scale),
            *backtest(scale),
        ]
        return rows, ages_by_rate(ws, scale)


def main(arguments: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmark", description="Compare the speed of the bot with that of the libraries below it."
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a bound is missed")
    parser.add_argument("--quick", action="store_true", help="run everything once and briefly; the figures mean nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw age against rate")
    options = parser.parse_args(arguments)
    about = machine()
    rows, points = measure(QUICK if options.quick else Scale())
    progress("done")
    if options.json:
        print(json.dumps({**as_json(rows, about), "ages_by_rate": points}, indent=2))
    else:
        print(as_table(rows, about))
    if options.plot:
        plot(points, options.plot)
    return 1 if options.check and any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
