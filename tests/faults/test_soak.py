"""One minute of the soak test. Run `python -m tests.soak --minutes 10` for longer."""

import re
import subprocess
import sys

import pytest

from tests.support.processes import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc")
def test_one_minute_of_faults_causes_no_stale_quote_and_leaves_no_order_thread_or_descriptor() -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", "1", "--seed", "7"]
    soak = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert soak.returncode == 0, soak.stdout + soak.stderr
    rows = dict(re.split(r"\s{2,}|(?<=between turns) |(?<=than 5 s) ", line, maxsplit=1) for line in soak.stdout.splitlines())
    assert int(rows["turns"].split(",")[0]) > 30
    assert int(rows["faults"].split()[0]) > 10
    assert rows["quotes on data older than 5 s"] == "0"
