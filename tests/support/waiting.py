"""The one way to wait in tests: until a condition is true, never for a fixed time."""

import time
from collections.abc import Callable
from typing import Any, Union

DEFAULT_TIMEOUT = 30.0  # s; generous, because the time itself is not under test
POLL_INTERVAL = 0.02  # s


def wait_until(condition: Callable[[], Any], timeout: float = DEFAULT_TIMEOUT, message: Union[str, Callable[[], str]] = "") -> None:
    """Wait until a condition is true.

    Args:
        condition: is called again and again until it returns something true.
        timeout: in seconds. Where a promise of N seconds is under test, pass 2 * N.
        message: what the failure says; a function is called when the time is over.

    Raises:
        AssertionError: when the condition is still false after the timeout.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            details = message if isinstance(message, str) else message()
            raise AssertionError(f"not true within {timeout:g} s: {details or condition}")
        time.sleep(POLL_INTERVAL)
