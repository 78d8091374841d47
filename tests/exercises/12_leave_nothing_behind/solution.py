"""Exercise 12, solved. The bot does the same in `Shutdown.leave_no_orders` (bot/execution/shutdown.py)."""

from dataclasses import dataclass
from typing import Optional, Protocol

from bot.vega_api_client import VegaApiError
from bot.wallet import WalletError

MAX_SECONDS = 10.0
BLOCKS_IN_FLIGHT = 2  # an order that is in flight appears at most two blocks after the cancellation was sent
LOOK_INTERVAL = 0.2  # seconds


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
    """Cancel until REST has shown no order for long enough after the last cancellation."""
    deadline = network.time() + MAX_SECONDS
    cancelled_at: Optional[int] = None  # height right after the last cancellation
    orders: list[str] = []
    while network.time() < deadline:
        try:
            height = network.height()  # before the orders: they are at least as new
            orders = network.open_orders()
            if cancelled_at is None or (orders and height > cancelled_at):
                network.cancel_all()
                cancelled_at = network.height()  # after the cancellation: a block may have been made meanwhile
            elif not orders and height >= cancelled_at + BLOCKS_IN_FLIGHT:
                return Ending(open_orders=[], is_certain=True)
        except (VegaApiError, WalletError):
            pass  # tried again below, until the deadline
        network.sleep(LOOK_INTERVAL)
    return Ending(open_orders=orders, is_certain=False)
