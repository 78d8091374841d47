"""What a child process takes from the system. Linux only: it reads /proc."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import Process
from tests.support.waiting import wait_until

MAX_IDLE = 2  # idle HTTP connections and their threads come and go; a leak would be one per stream


class Usage(NamedTuple):
    """What a process takes at one moment."""

    memory: float  # MB, resident
    threads: int
    descriptors: int  # open files, sockets included
    sockets: int


def usage_of(process: Process) -> Usage:
    """Return what a process takes now. Raises OSError when it has ended."""
    folder = Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    links = []
    for descriptor in (folder / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            links.append(os.readlink(descriptor))
    sockets = sum(link.startswith("socket:") for link in links)
    return Usage(int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(links), sockets)


def wait_for_no_leak(process: Process, before: Usage) -> None:
    """Wait until a process has no more threads and sockets than before, but for MAX_IDLE."""

    def has_none() -> bool:
        now = usage_of(process)
        return now.threads <= before.threads + MAX_IDLE and now.sockets <= before.sockets + MAX_IDLE

    wait_until(has_none, message=lambda: f"{usage_of(process)} now, {before} before:\n{process.output}")
