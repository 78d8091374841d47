"""The bot as a reader has changed it: main.py with lines added before it starts, in a process of its own.

with Fork(tmp_path, sandbox, market_id, "def quotes(market, open_volume, max_abs_position): return []") as bot:
    bot.wait_for("quotes.. returned no orders")
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import ROOT, BotProcess

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

FAST = 0.25  # s from turn to turn, where a test needs many turns
# Code for a bot that a test stops with SIGSTOP: time.monotonic() stands still meanwhile, as Linux' does in a suspend.
STOPPED_CLOCK = """
import time
slept, last, real_monotonic = 0.0, time.monotonic(), time.monotonic

def monotonic():
    global slept, last
    now = real_monotonic()
    if now - last > 4:
        slept += now - last
    last = now
    return now - slept

time.monotonic = monotonic
"""
_START = '\nif __name__ == "__main__":\n'
_numbers = itertools.count()


class Fork(BotProcess):
    """A bot with changes in its main.py.

    Args:
        folder: where to write the changed file.
        sandbox, market_id: as for BotProcess.
        code: the lines to add before the last block of main.py, which starts everything.
        loop_interval: seconds from turn to turn.
        changes: environment variables to replace or to add.
    """

    def __init__(
        self, folder: Path, sandbox: "Sandbox", market_id: str, code: str = "", loop_interval: float = FAST, **changes: str
    ) -> None:
        before, start, after = (ROOT / "main.py").read_text().partition(_START)
        assert start, "main.py has no last block that starts everything"
        path = folder / f"my_bot_{next(_numbers)}.py"
        rule = "from tests.support.example_rule import quotes"  # not the reader's own, unless `code` has one
        path.write_text(f"{before}\n{rule}\n{code}\n{start}{after}")
        settings = {"PYTHONPATH": str(ROOT), "LOOP_INTERVAL": str(loop_interval), **changes}
        super().__init__(sandbox, market_id, command=(str(path),), **settings)
