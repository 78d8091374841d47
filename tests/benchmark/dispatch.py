"""Whether rel's timers and Ctrl+C stay prompt, idle and in an outage, whichever way to poll rel has; and what waiting costs.

The client makes rel wait in its poll; these measurements are for what that could break. Four streams, all silent, or all
refused. kqueue is not measured: it exists on macOS and BSD only.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.processes import Process

REGISTRARS = ("epoll", "poll", "select")
NOBODY = "ws://127.0.0.1:9"  # the discard port, where nobody listens
TIMER = 0.01  # seconds
SETTLE = 0.7  # seconds for handshakes, or the first refusals
HANDLERS = ("own", "abort")  # who takes Ctrl+C: the client, or its caller by `rel.signal(SIGINT, rel.abort)`


def measure_dispatch(silent_url: str, seconds: float, registrars: tuple[str, ...] = REGISTRARS) -> dict[str, dict[str, float]]:
    """Return for each registrar and state, say `poll outage`, the figures of `run_one`, the worse of both handlers."""
    kinds = {
        f"{registrar} {state}": ("bot", registrar, url)
        for registrar in registrars
        for state, url in (("idle", silent_url), ("outage", NOBODY))
    }
    kinds["rel idle"] = ("rel", "epoll", silent_url)  # without the client, for comparison
    figures: dict[str, dict[str, float]] = {}
    with ThreadPoolExecutor(3) as pool:  # they do nothing but wait, so a few at a time disturb each other little
        runs = [(kind, pool.submit(run_one, *kinds[kind], handler, seconds)) for handler in HANDLERS for kind in kinds]
        for kind, run in runs:
            new = run.result()
            old = figures.setdefault(kind, new)
            figures[kind] = {name: max(value, old[name]) for name, value in new.items()}
    return figures


def run_one(client: str, registrar: str, url: str, handler: str, seconds: float) -> dict[str, float]:
    """Dispatch four streams in a process, and interrupt it.

    - `cpu`: per cent of a core while nothing happens.
    - `timer`: 99th percentile of how late a timer of 10 ms is, in ms.
    - `interrupt`: from SIGINT to the return of rel.dispatch(), in ms.
    """
    with Process([sys.executable, "-m", "tests.benchmark.dispatch", client, registrar, url, handler, str(seconds)], {}) as process:
        line = process.lines[process.wait_for("^READY ", seconds + 20) - 1]
        figures: dict[str, float] = json.loads(line.removeprefix("READY "))
        time.sleep(0.1)
        sent = time.monotonic()
        process.signal(signal.SIGINT)
        ended = process.lines[process.wait_for("^ENDED ") - 1]
    figures["interrupt"] = (float(ended.removeprefix("ENDED ")) - sent) * 1e3
    return figures


def main(client: str, registrar: str, url: str, handler: str, seconds: float) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
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
        time.sleep(SETTLE)
        begun = time.process_time()
        time.sleep(seconds)
        cpu = (time.process_time() - begun) / seconds * 100
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
