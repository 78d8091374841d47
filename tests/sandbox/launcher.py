"""Runs a module inside a sandbox, as a child process: the `-m` of `python -m tests.sandbox -m main`."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
from decimal import Decimal
from typing import Any, Optional
from urllib.parse import urlsplit

from tests.sandbox import HOST, Sandbox
from tests.sandbox.dashboard import observer

GC_INTERVAL = 30.0  # seconds
WATCHER_TIMEOUT = 2.0  # seconds; for a shell that ends at once


async def freeze_garbage() -> None:
    """Exclude old objects from garbage collection, so that no collection delays a block.

    Dead orders are kept for REST. After an hour with thirty bots a full collection would take half a second; at the start it takes 40 ms.
    """
    while True:
        gc.collect()  # only objects made since the last freeze
        gc.freeze()
        await asyncio.sleep(GC_INTERVAL)


def signals() -> list[signal.Signals]:
    """Return the signals that end a run, without SIGHUP where `nohup` has set it to be ignored."""
    hang_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hang_up]


def settings(sandbox: Sandbox, market_id: str) -> dict[str, str]:
    """Return the `.env` settings with which the bot trades on a market of the sandbox."""
    return {
        "MARKET_ID": market_id,
        "PARTY_ID": sandbox.parties["bot"],
        "NODE_URL": sandbox.node_url,
        "WS_URL": sandbox.ws_url,
        "WALLET_URL": sandbox.wallet_url,
        "WALLET_TOKEN": sandbox.token,
    }


class Child:
    """A module that runs as a child process in its own session.

    A terminal sends Ctrl+C to every process of its foreground group. The child is not in that group: it gets the signal once, forwarded.
    """

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._pending_signal: Optional[int] = None  # received before the process was started

    def start(self, arguments: list[str], environment: dict[str, str], output: Any = None, observe: bool = False) -> None:
        """Start `python -m *arguments`, or the same under the observer. Raises OSError if the process cannot be started."""
        environment = bypass_proxy({**os.environ, **environment}, urlsplit(environment["NODE_URL"]).hostname or HOST)
        self._watcher = Watcher()
        command = [sys.executable, *([observer.__file__] if observe else ["-m"]), *arguments]
        try:
            # Not asyncio's: it returns to the event loop before the watcher can be told about the process.
            self._process = subprocess.Popen(command, env=environment, stdout=output, start_new_session=True)
        except OSError:
            self._watcher.stop()
            raise
        self._watcher.watch(self._process.pid)
        if self._pending_signal is not None:
            self.forward_signal(self._pending_signal)

    async def wait(self) -> int:
        """Wait until the module ends, and return its exit status as a shell reports it (128 + signal)."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait)
        self._watcher.stop()
        return status if status >= 0 else 128 - status

    def forward_signal(self, number: int) -> None:
        """Send a signal to the child and its own children."""
        if self._process is None:
            self._pending_signal = number
        elif self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, number)


class Watcher:
    """Sends SIGTERM to a process group if this process dies, even by SIGKILL.

    It is a shell that reads from a pipe. Only this process has the other end of the pipe, so its death ends the shell's read without a
    line. Linux has PR_SET_PDEATHSIG for this purpose, but macOS has not.
    """

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r group && { read -r line || kill -s TERM -- "-$group"; }'],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a signal to this process's group must not end the watcher
        )

    def watch(self, group: int) -> None:
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.write(b"%d\n" % group)
            self._shell.stdin.flush()

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._shell.communicate(b"done\n", timeout=WATCHER_TIMEOUT)


def bypass_proxy(environment: dict[str, str], host: str) -> dict[str, str]:
    """Return the environment with the sandbox's host added to NO_PROXY and no_proxy."""
    either = environment.get("no_proxy") or environment.get("NO_PROXY")
    kept = {name: environment.get(name) or either for name in ("no_proxy", "NO_PROXY")}
    return {**environment, **{name: f"{hosts},{host}" if hosts else host for name, hosts in kept.items() if hosts != "*"}}


def run_summary(sandbox: Sandbox, market_id: str) -> str:
    """Return one line about the bot: its fills and position on a market, and its live orders on all markets."""
    chain, bot = sandbox.chain, sandbox.parties["bot"]
    market = chain.markets[market_id]
    bought = sandbox.bought[bot, market_id]
    position = Decimal(bought).scaleb(-market.size_decimals).normalize() if bought else Decimal(0)
    left = sum(1 for _ in chain.newest_orders([bot], live_only=True))
    orders = "live order" if left == 1 else "live orders"
    return f"{sandbox.fills[bot, market_id]} fills | position {position:f} on {market.name} | {left} {orders} left"
