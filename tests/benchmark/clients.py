"""The clients that the benchmark compares, each in a process of its own, and what it measures in them.

- `bare`: websocket-client alone, one thread per stream with a loop of `json.loads(connection.recv())`. Without the library's UTF-8
  validation, which is pure Python and would take thirty times as long as everything else; `json.loads` validates anyway.
- `rel`: plain rel, as the tutorial's published code uses it.
- `bot`: this project's client.
- `store`: the same, with `VegaStore._update_market_data` as the callback.

All of them call the same function with the `result` of each frame. A thread beside them measures and ends the process.
"""

import functools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import rel
import websocket

from tests.benchmark.server import market_of_the_frames
from tests.support.processes import Process
from tests.support.waiting import DEFAULT_TIMEOUT

Callbacks = list[Callable[[dict[str, Any]], Any]]
WARM_UP = 0.3  # s from the first frame of each stream until ages and CPU are measured


def run_client(client: str, urls: list[str], seconds: float, frames: int = 0, read: bool = False) -> dict[str, Any]:
    """Run a client on one stream per url, for some seconds or until it has received so many frames; return its figures.

    - `frames`: of all streams. Where a number is given, frames are counted and their ages are not measured.
    - `cpu`: seconds of CPU of the process, after the warm-up or from the first frame on.
    - `wall`, `growth`: seconds of wall time, and growth of memory in MB, over the same time.
    - `ages`: for each stream median, 99th percentile and maximum, in ms, from sending a frame to its callback.
    - `reads`: median and 99.9th percentile, in µs, of get_market_by_id, which another thread calls every millisecond;
      `again` of a second call immediately after it; `nothing` of a function that does nothing, for comparison.
    """
    arguments = json.dumps({"client": client, "urls": urls, "seconds": seconds, "frames": frames, "read": read})
    with Process([sys.executable, "-m", "tests.benchmark.clients", arguments], {}) as process:
        line = process.lines[process.wait_for("^RESULT ", seconds + DEFAULT_TIMEOUT) - 1]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def start_watch(urls: list[str], seconds: float, frames: int) -> Callbacks:
    """Return the callback of each stream, and start the thread that measures and ends the process."""
    ages: list[list[int]] = [[] for _ in urls]
    sending = sum("/silent/" not in url for url in urls)
    count = [0]
    began: list[float] = []  # time.monotonic(), time.process_time(), resident_memory()
    report = threading.Lock()

    def finish() -> None:
        if not report.acquire(blocking=False):  # both threads may call this; the first one reports
            return
        wall, cpu = time.monotonic() - began[0], time.process_time() - began[1]
        result = {
            "frames": count[0] or sum(map(len, ages)),
            "wall": wall,
            "cpu": cpu,
            "growth": resident_memory() - began[2],
            "ages": [age_figures(stream) for stream in ages],
            **read_figures(),
        }
        print("RESULT", json.dumps(result), flush=True)
        os._exit(0)

    def begin() -> None:
        for stream in ages:
            stream.clear()
        began[:] = time.monotonic(), time.process_time(), resident_memory()

    def count_frame(result: dict[str, Any]) -> None:
        if count[0] == 0:
            begin()
        count[0] += 1
        if count[0] == frames:
            finish()

    def note_age(stream: list[int], result: dict[str, Any]) -> None:
        stream.append(time.monotonic_ns() - int(result["marketData"][0]["timestamp"]))

    def watch() -> None:
        deadline = time.monotonic() + DEFAULT_TIMEOUT
        while not began if frames else sum(map(bool, ages)) < sending:
            if time.monotonic() > deadline:
                print("NO FRAME", flush=True)
                os._exit(1)
            time.sleep(0.01)
        if not frames:
            time.sleep(WARM_UP)
            begin()
        time.sleep(seconds)
        finish()

    threading.Thread(target=watch, daemon=True).start()
    return [count_frame if frames else functools.partial(note_age, stream) for stream in ages]


def resident_memory() -> float:
    """Return the resident memory of this process in MB; NaN where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return math.nan
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def age_figures(ages: list[int]) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in ms."""
    if len(ages) < 2 or ages[0] < 0:  # no frames, or frames under load, which carry no timestamp
        return {}
    cuts = quantiles(ages, n=100, method="inclusive")  # otherwise the 99th percentile of few ages is above the maximum
    return {"median": cuts[49] / 1e6, "p99": cuts[98] / 1e6, "most": max(ages) / 1e6, "count": len(ages)}


def run_bare(urls: list[str], callbacks: Callbacks) -> None:
    def receive(url: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        connection = websocket.create_connection(url, skip_utf8_validation=True)
        while True:
            callback(json.loads(connection.recv())["result"])

    for url, callback in zip(urls[1:], callbacks[1:], strict=True):
        threading.Thread(target=receive, args=(url, callback), daemon=True).start()
    receive(urls[0], callbacks[0])


def run_rel(urls: list[str], callbacks: Callbacks) -> None:
    def on_message(callback: Callable[[dict[str, Any]], Any], app: websocket.WebSocketApp, message: str) -> None:
        callback(json.loads(message)["result"])

    for url, callback in zip(urls, callbacks, strict=True):
        app = websocket.WebSocketApp(url, on_message=functools.partial(on_message, callback))
        app.run_forever(dispatcher=rel, reconnect=5)
    rel.dispatch()


def run_bot(urls: list[str], callbacks: Callbacks) -> None:
    from bot.vega_ws_client import VegaWebSocketClient

    client = VegaWebSocketClient("")
    for url, callback in zip(urls, callbacks, strict=True):
        client.subscribe_endpoint(url, callback)
    rel.dispatch()


def seeded_store() -> Any:
    """Return a store that knows the market of the frames. It makes no calls and no connections."""
    from bot.models import Market
    from bot.vega_store import VegaStore

    store = VegaStore(websocket_url="", rest_api_url="")
    market_id = market_of_the_frames()
    store._markets[market_id] = Market(
        market_id=market_id,
        state="STATE_ACTIVE",
        trading_mode="TRADING_MODE_CONTINUOUS",
        decimal_places=5,
        position_decimal_places=3,
        code="BTC",
        name="Bitcoin",
        settlement_asset_id="",
    )
    return store


_read_times: dict[str, list[int]] = {"reads": [], "again": [], "nothing": []}  # nanoseconds


def read_figures() -> dict[str, Any]:
    """Return median and 99.9th percentile of the calls made every millisecond, in µs."""
    figures = {}
    for kind, times in _read_times.items():
        if len(times) < 2:
            return {}
        cuts = quantiles(times, n=1000, method="inclusive")
        figures[kind] = {"median": cuts[499] / 1e3, "p999": cuts[998] / 1e3, "count": len(times)}
    return figures


def run_store(urls: list[str], callbacks: Callbacks, read: bool) -> None:
    store = seeded_store()

    def into_store(result: dict[str, Any], callback: Callable[[dict[str, Any]], Any]) -> None:
        store._update_market_data(result)
        callback(result)

    def read_every_millisecond() -> None:
        market_id = market_of_the_frames()
        while True:
            for call, kinds in ((store.get_market_by_id, ("reads", "again")), (lambda market_id: None, ("nothing",))):
                time.sleep(0.001)
                for kind in kinds:
                    began = time.perf_counter_ns()
                    call(market_id)
                    _read_times[kind].append(time.perf_counter_ns() - began)

    if read:
        threading.Thread(target=read_every_millisecond, daemon=True).start()
    for url, callback in zip(urls, callbacks, strict=True):
        store._ws_client.subscribe_endpoint(url, functools.partial(into_store, callback=callback))
    rel.dispatch()


def main(client: str, urls: list[str], seconds: float, frames: int, read: bool) -> None:
    if client in ("bot", "store"):
        import bot.vega_store  # noqa: F401 - import before the measurement begins
    store = functools.partial(run_store, read=read)
    runs: dict[str, Callable[[list[str], Callbacks], None]] = {"bare": run_bare, "rel": run_rel, "bot": run_bot, "store": store}
    runs[client](urls, start_watch(urls, seconds, frames))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
