"""The faults that are on: set by `control`, obeyed by the data node, the wallet and the block clock."""

from dataclasses import dataclass, field
from typing import Optional


@dataclass
class Faults:
    """Everything off is a healthy network. Delays are seconds, statuses HTTP status codes."""

    hold_blocks: bool = False  # the block clock makes none; POST /control/block still does
    silent_streams: set[str] = field(default_factory=set)  # markets/data, orders, positions, accounts: no frames go out
    stream_status: Optional[int] = None  # handshakes are answered with this
    rest_delay: float = 0.0
    rest_status: Optional[int] = None  # every REST call fails with this
    wallet_delay: float = 0.0
    wallet_status: Optional[int] = None  # every wallet call fails with this
