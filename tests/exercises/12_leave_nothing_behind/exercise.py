"""Exercise 12. Edit this file, then run: .venv/bin/python -m tests.exercises 12"""

from dataclasses import dataclass
from typing import Protocol

MAX_SECONDS = 10.0
BLOCKS_IN_FLIGHT = 2  # an order that is in flight appears at most two blocks after the cancellation was sent


class Network(Protocol):
    """The market at the end of the bot."""

    def cancel_all(self) -> None:
        """Send a transaction that cancels all our orders on the market. Raises WalletError."""

    def open_orders(self) -> list[str]:
        """Return the ids of our open orders, as REST shows them. Raises VegaApiError (bot.vega_api_client)."""

    def height(self) -> int:
        """Return the height of the newest block, from REST. Raises VegaApiError."""

    def time(self) -> float:
        """Return the time in seconds, from a clock that only goes forward."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True)
class Ending:
    open_orders: list[str]  # ids
    is_certain: bool  # no other order can appear any more


def leave_nothing_behind(network: Network) -> Ending:
    """Cancel all our orders, and make sure that they are gone."""
    network.cancel_all()
    return Ending(open_orders=network.open_orders(), is_certain=True)
