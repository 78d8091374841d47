"""The bot, or its store alone, in a process of its own: rel is one global loop, so what dispatches cannot share a process.

with BotProcess(sandbox, market_id) as bot:
    bot.wait_for("quoted")

with StoreProcess(sandbox.ws_url, sandbox.node_url, market_id, party_id) as store:
    store.wait_until(lambda: len(store.ask("get_orders")) == 2)
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from tests.support.settings import sandbox_settings
from tests.support.waiting import DEFAULT_TIMEOUT, wait_until

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

Running = TypeVar("Running", bound="Process")
ROOT = Path(__file__).parents[2]


def use_default_signals_in_children() -> None:
    """Make sure that children start with default signals, also where this process has inherited them as ignored.

    An ignored signal stays ignored in a child, a handled one becomes the default there. So an inherited SIG_IGN becomes a handler that does
    nothing: this process still ignores the signal, and its children do not. Without this, no child could be ended by a signal under
    `trap '' INT HUP`, `nohup`, or in a background job of a shell.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


use_default_signals_in_children()  # at import: on the main thread, the only one that may set handlers


class Process:
    """A child process, and its output line by line.

    Args:
        command: the program and its arguments.
        environment: variables to add to this process's own.
        options: for subprocess.Popen; `cwd` is the repository unless given.
    """

    def __init__(self, command: list[str], environment: dict[str, str], **options: Any) -> None:
        self.lines: list[str] = []  # standard output and standard error together
        self._changed = threading.Condition()  # guards lines and _is_output_over
        self._is_output_over = False
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
        with self._changed:
            self._is_output_over = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, timeout: float = DEFAULT_TIMEOUT, after: int = 0) -> int:
        """Wait for a line that matches a regular expression.

        Args:
            pattern: the regular expression.
            timeout: in seconds.
            after: how many lines to skip.

        Returns:
            The number of the line, counted from 1. Passed as `after`, it continues the search behind that line.

        Raises:
            AssertionError: when no line matches in time, or the output ends without one.
        """
        found: list[int] = []

        def has_matched() -> bool:
            found[:] = [number for number, line in enumerate(self.lines[after:], after + 1) if re.search(pattern, line)]
            return bool(found) or self._is_output_over

        with self._changed:
            self._changed.wait_for(has_matched, timeout)
        if not found:
            when = "before the output ended" if self._is_output_over else f"within {timeout:g} s"
            raise AssertionError(f"no line matches {pattern!r} {when}:\n{self.output}")
        return found[0]

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def finish(self, timeout: float = DEFAULT_TIMEOUT) -> int:
        """Wait for the end; return the exit status. Raises subprocess.TimeoutExpired when it does not end in time."""
        status = self._child.wait(timeout)
        self._reader.join(DEFAULT_TIMEOUT)
        return status

    def __enter__(self: Running) -> Running:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join(DEFAULT_TIMEOUT)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


# `python -m main` with the frozen rule instead of the reader's: a new rule in main.py turns no test red.
BOT_WITH_FROZEN_RULE = """
from pathlib import Path
before, start, after = Path("main.py").read_text().partition('\\nif __name__ == "__main__":\\n')
exec(compile(before + "\\nfrom tests.support.example_rule import quotes\\n" + start + after, "main.py", "exec"))
"""


class BotProcess(Process):
    """The bot on a sandbox, with the frozen rule; `changes` replace or add environment variables."""

    def __init__(self, sandbox: "Sandbox", market_id: str, command: tuple[str, ...] = ("-c", BOT_WITH_FROZEN_RULE), **changes: str) -> None:
        super().__init__([sys.executable, *command], sandbox_settings(sandbox, market_id, **changes))

    def stop(self, number: int = signal.SIGINT) -> int:
        """End the bot with a signal; return the exit status."""
        self.signal(number)
        return self.finish()


class StoreProcess(Process):
    """A VegaStore that dispatches in a child process. Tests call its getters with `ask`.

    Args:
        ws_url, rest_url: of the node.
        market_id, party_id: as `VegaStore.start` takes them.
        setup: code that the child runs before anything else.
        options: further arguments of VegaStore.
    """

    def __init__(self, ws_url: str, rest_url: str, market_id: str, party_id: str, setup: str = "", **options: Any) -> None:
        run = f"{setup}\nimport runpy\nrunpy.run_module('tests.support.processes', run_name='__main__')"
        command = ["-c", run] if setup else ["-m", "tests.support.processes"]
        super().__init__([sys.executable, *command, ws_url, rest_url, market_id, party_id, json.dumps(options)], {})

    def ask(self, getter: str, *args: Any) -> Any:
        """Return what one of the store's getters returns, records as dicts."""
        after = len(self.lines)
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([getter, *args]) + "\n")
        self._child.stdin.flush()
        return json.loads(self.lines[self.wait_for("^ANSWER ", after=after) - 1].removeprefix("ANSWER "))

    def order_ids(self) -> set[str]:
        """Return the ids of the orders that the store holds."""
        return {order["order_id"] for order in self.ask("get_orders")}

    def stop_from_another_thread(self) -> None:
        """Have a thread of the child call `stop()`; ENDED is printed when `rel.dispatch()` has returned."""
        assert self._child.stdin is not None
        self._child.stdin.close()  # which ends the thread's loop

    def wait_until(self, condition: Callable[[], Any], timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait until a condition is true; where it stays false, the failure shows the child's output."""
        wait_until(condition, timeout, lambda: f"{condition}\n{self.output}")


def _run_store(ws_url: str, rest_url: str, market_id: str, party_id: str, options: str) -> None:
    """Run in the child: the store as main.py runs it, and a thread that answers `ask`."""
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
            with logging.getLogger().handlers[0].lock or threading.Lock():  # so that no line of the log falls into the answer
                os.write(1, f"ANSWER {json.dumps(found, default=dataclasses.asdict)}\n".encode())
        store.stop()

    print("READY", flush=True)  # before the thread starts, whose lines would fall into this one
    threading.Thread(target=answer, daemon=True).start()
    rel.dispatch()
    print("ENDED", flush=True)


if __name__ == "__main__":
    _run_store(*sys.argv[1:])
