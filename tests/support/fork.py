"""The bot as someone has changed it: main.py with lines of their own before it starts, in a process of its own.

with Fork(tmp_path, sandbox, market_id, "def quotes(market, open_volume, max_abs_position): return []") as bot:
    bot.wait_for("quotes.. wants no orders")
"""

import itertools
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT, BotProcess

FAST = "PERIOD = 0.25\n"  # four turns a second, where a test needs many
_START = '\nif __name__ == "__main__":\n'
_numbers = itertools.count()


class Fork(BotProcess):
    """main.py with `changes` before its last block, which starts everything."""

    def __init__(self, folder: Path, sandbox: Any, market_id: str, changes: str, **settings: str) -> None:
        before, start, after = (ROOT / "main.py").read_text().partition(_START)
        assert start, "main.py starts nothing"
        path = folder / f"my_bot_{next(_numbers)}.py"
        path.write_text(f"{before}\n{changes}\n{start}{after}")
        super().__init__(sandbox, market_id, command=(str(path),), PYTHONPATH=str(ROOT), **settings)
