"""The delay of rel's timers and of Ctrl+C, and the CPU of waiting: idle and in an outage, with each registrar of rel.

The client makes rel block in its poll, which could delay both. There are four streams: all silent, or all without a connection.
kqueue is not measured, because it exists on macOS and BSD only.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.processes import Process
from tests.support.waiting import DEFAULT_TIMEOUT

REGISTRARS = ("epoll", "poll", "select")
NOBODY = "ws://127.0.0.1:9"  # the discard port, where nobody listens
TIMER = 0.01  # s
SETTLE_TIME = 0.7  # s for the handshakes, or the first failures
HANDLERS = ("own", "abort")  # who handles Ctrl+C: the client, or its caller with `rel.signal(SIGINT, rel.abort)`


def measure_dispatch(silent_url: str, seconds: float, registrars: tuple[str, ...] = REGISTRARS) -> dict[str, dict[str, float]]:
    """Return for each registrar and state, such as `poll outage`, the figures of `run_one`: the worse of both handlers."""
    kinds = {
        f"{registrar} {state}": ("bot", registrar, url)
        for registrar in registrars
        for state, url in (("idle", silent_url), ("outage", NOBODY))
    }
    kinds["rel idle"] = ("rel", "epoll", silent_url)  # without the client, for comparison
    figures: dict[str, dict[str, float]] = {}
    with ThreadPoolExecutor(3) as pool:  # they only wait, so a few at the same time hardly disturb each other
        runs = [(kind, pool.submit(run_one, *kinds[kind], handler, seconds)) for handler in HANDLERS for kind in kinds]
        for kind, run in runs:
            new = run.result()
            old = figures.setdefault(kind, new)
            figures[kind] = {name: max(value, old[name]) for name, value in new.items()}
    return figures


def run_one(client: str, registrar: str, url: str, handler: str, seconds: float) -> dict[str, float]:
    """Dispatch four streams in a process, and interrupt it.

    - `cpu`: percent of a core while nothing happens.
    - `timer`: 99th percentile of the delay of a 10 ms timer, in ms.
    - `interrupt`: ms from SIGINT to the return of rel.dispatch().
    """
    with Process([sys.executable, "-m", "tests.benchmark.dispatch", client, registrar, url, handler, str(seconds)], {}) as process:
        line = process.lines[process.wait_for("^READY ", seconds + DEFAULT_TIMEOUT) - 1]
        figures: dict[str, float] = json.loads(line.removeprefix("READY "))
        time.sleep(0.1)
        sent = time.monotonic()
        process.signal(signal.SIGINT)
        ended = process.lines[process.wait_for("^ENDED ") - 1]
    figures["interrupt"] = (float(ended.removeprefix("ENDED ")) - sent) * 1e3
    return figures


def main(client: str, registrar: str, url: str, handler: str, seconds: float) -> None:
    import rel

    rel.initialize([registrar], options=("strict",))
    if handler == "abort":
        rel.signal(signal.SIGINT, rel.abort)
    urls = [f"{url}/stream/{number}" for number in range(4)]
    if client == "bot":
        from bot.vega_ws_client import VegaWebSocketClient

        streams = VegaWebSocketClient("")
        for each in urls:
            streams.subscribe_endpoint(each, callback=lambda result: None)
    else:
        import websocket

        for each in urls:
            websocket.WebSocketApp(each).run_forever(dispatcher=rel, reconnect=5)

    late: list[float] = []
    due = [0.0]

    def tick() -> bool:
        now = time.monotonic()
        late.append(now - due[0])
        due[0] = now + TIMER
        return len(late) < 100 * seconds

    def measure() -> None:
        time.sleep(SETTLE_TIME)
        began = time.process_time()
        time.sleep(seconds)
        cpu = (time.process_time() - began) / seconds * 100
        timing.set()
        while len(late) < 20 * seconds:
            time.sleep(0.05)
        figures = {"cpu": cpu, "timer": sorted(late[1:])[int(len(late) * 0.99) - 1] * 1e3}
        print("READY", json.dumps(figures), flush=True)

    timing = threading.Event()

    def start_timer() -> bool:
        if not timing.is_set():
            return True
        due[0] = time.monotonic() + TIMER
        rel.timeout(TIMER, tick)
        return False

    rel.timeout(0.25, start_timer)
    threading.Thread(target=measure, daemon=True).start()
    rel.dispatch()
    print("ENDED", time.monotonic(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5]))
