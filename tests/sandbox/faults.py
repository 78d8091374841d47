"""The faults that are on: set by the controls, applied by the data node, the wallet and the block clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Optional


@dataclass
class Faults:
    """The defaults are a healthy network. Delays are in seconds, statuses are HTTP status codes."""

    hold_blocks: bool = False  # the block clock makes no blocks; POST /control/block still does
    paused_until: float = 0.0  # the same until this moment of the monotonic clock
    silent_streams: set[str] = field(default_factory=set)  # markets/data, orders, positions, accounts: no frames are sent
    stream_status: Optional[int] = None  # WebSocket handshakes are answered with this status
    rest_delay: float = 0.0
    rest_status: Optional[int] = None  # every REST call fails with this status
    wallet_delay: float = 0.0
    wallet_status: Optional[int] = None  # every wallet call fails with this status
    transactions_to_lose: int = 0  # the next transactions that the wallet accepts never reach the chain
    transaction_delay: float = 0.0  # between the wallet's answer and the arrival at the chain

    @property
    def pause_left(self) -> float:
        """Seconds until the end of a pause; 0 outside pauses."""
        return max(0.0, self.paused_until - time.monotonic())

    @property
    def blocks_stopped(self) -> bool:
        return self.hold_blocks or self.pause_left > 0

    def reset(self) -> None:
        healthy = Faults()
        for each in fields(Faults):
            setattr(self, each.name, getattr(healthy, each.name))

    def overview(self) -> dict[str, Any]:
        """Return all faults as JSON can show them."""
        values = {**vars(self), "silent_streams": sorted(self.silent_streams), "pause_left": round(self.pause_left, 1)}
        del values["paused_until"]  # a moment of the monotonic clock says nothing to a reader
        return values

    def deliver(self, enqueue: Callable[[], None], call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Bring a transaction from the wallet to the chain: at once, late, or never."""
        if self.transactions_to_lose:
            self.transactions_to_lose -= 1
        elif self.transaction_delay:
            call_later(self.transaction_delay, enqueue)
        else:
            enqueue()
