"""The bot, or its store alone, in a process of its own: rel is one global loop, so what dispatches cannot share a process.

with BotProcess(sandbox, market_id) as bot:
    bot.wait_for("quoted")

with StoreProcess(sandbox.ws_url, sandbox.node_url, market_id, party_id) as store:
    store.wait_until(lambda: len(store.ask("get_orders")) == 2)
"""

import dataclasses
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds for what takes milliseconds on a quiet machine


class Process:
    """A child with its output, line by line as it comes."""

    def __init__(self, command: list[str], environment: dict[str, str], **options: Any) -> None:
        self.lines: list[str] = []  # standard output and standard error together
        self._changed = threading.Condition()
        self._child = subprocess.Popen(
            command,
            env={**os.environ, **environment, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            cwd=options.pop("cwd", ROOT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = PATIENCE, after: int = 0) -> int:
        """Wait for a line that matches, from line number `after` on; return the number of the line behind it."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [number for number, line in enumerate(self.lines[after:], after + 1) if re.search(pattern, line)]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(look, seconds):
                raise AssertionError(f"no line matches {pattern!r} within {seconds} s:\n{self.output}")
        return found[0]

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        return self._child.pid

    def finish(self, seconds: float = 2 * PATIENCE) -> int:
        """Wait for the end; return the exit status."""
        status = self._child.wait(seconds)
        self._reader.join(PATIENCE)
        return status

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join(PATIENCE)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


def settings_of(sandbox: Any, market_id: str) -> dict[str, str]:
    """Return a sandbox's settings as environment variables."""
    return {
        "NODE_URL": sandbox.node_url,
        "WS_URL": sandbox.ws_url,
        "WALLET_URL": sandbox.wallet_url,
        "WALLET_TOKEN": sandbox.token,
        "PARTY_ID": sandbox.parties["bot"],
        "MARKET_ID": market_id,
    }


class BotProcess(Process):
    """`python -m main` on a sandbox; `settings` change or add environment variables."""

    def __init__(self, sandbox: Any, market_id: str, command: tuple[str, ...] = ("-m", "main"), **settings: str) -> None:
        super().__init__([sys.executable, *command], {**settings_of(sandbox, market_id), **settings})

    def stop(self, number: int = signal.SIGINT) -> int:
        self.signal(number)
        return self.finish()


class StoreProcess(Process):
    """A VegaStore that dispatches in a child, and answers there what its getters return, as dicts."""

    def __init__(self, ws_url: str, rest_url: str, market_id: str, party_id: str, **options: Any) -> None:
        self._answers: queue.Queue[Any] = queue.Queue()
        super().__init__([sys.executable, "-m", "tests.support.processes", ws_url, rest_url, market_id, party_id, json.dumps(options)], {})

    def ask(self, getter: str, *args: Any) -> Any:
        after = len(self.lines)
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([getter, *args]) + "\n")
        self._child.stdin.flush()
        return json.loads(self.lines[self.wait_for("^ANSWER ", after=after) - 1].removeprefix("ANSWER "))

    def wait_until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s:\n{self.output}")
            time.sleep(0.02)  # between two looks, not instead of one


def _run_store(ws_url: str, rest_url: str, market_id: str, party_id: str, options: str) -> None:
    """In the child: the store as main runs it, with a thread that answers questions."""
    import logging

    import rel

    from bot.vega_store import VegaStore

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    store = VegaStore(websocket_url=ws_url, rest_api_url=rest_url, **json.loads(options))
    store.start(market_id=market_id, party_id=party_id)

    def answer() -> None:
        for line in sys.stdin:
            getter, *args = json.loads(line)
            found = getattr(store, getter)(*args)
            with logging.getLogger().handlers[0].lock or threading.Lock():  # so that no line of the log comes in between
                os.write(1, f"ANSWER {json.dumps(found, default=dataclasses.asdict)}\n".encode())
        store.stop()

    print("READY", flush=True)  # before the thread, whose lines would come in between
    threading.Thread(target=answer, daemon=True).start()
    rel.dispatch()
    print("ENDED", flush=True)


if __name__ == "__main__":
    _run_store(*sys.argv[1:])
