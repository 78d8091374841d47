"""A clock for ages. Any thread.

time.monotonic() stands still on Linux while the machine sleeps, so data from before a suspend would look fresh after it.
"""

import sys
import time

# Both count the time in sleep. Elsewhere, time.monotonic() is the best there is.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None) or (time.CLOCK_MONOTONIC if sys.platform == "darwin" else None)


def now() -> float:
    """Return seconds since an arbitrary start, including the time in sleep. Setting the wall clock does not change it."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def slept() -> float:
    """Return for how many seconds the machine has slept, relative to an arbitrary start."""
    return now() - time.monotonic()
