"""What a test checks where a bot runs on a sandbox: its turns, its orders on the chain and over REST, its end."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Optional

import requests

from tests.sandbox import Sandbox
from tests.support.processes import Process
from tests.support.waiting import wait_until

SHUTDOWN_TIMEOUT = 10  # s, promised; tested with twice the time
TURN = re.compile(
    r"^\S+ \S+ Latest prices are (?P<bid>[0-9.]+) - (?P<offer>[0-9.]+) \| Position is (?P<position>-?[0-9.]+)"
    r" \| (?P<live>\d+) live orders? \| data (?P<age>[0-9.]+|inf) s old \| (?P<outcome>.+)$"
)


def live_on(sandbox: Sandbox, market_id: str, party: str = "bot") -> list[dict[str, Any]]:
    """Return a party's live orders on a market, as the node's REST gives them."""
    path = f"{sandbox.node_url}/orders?filter.partyIds={sandbox.parties[party]}&filter.liveOnly=true"
    edges = requests.get(path, timeout=30).json()["orders"]["edges"]
    return [edge["node"] for edge in edges if edge["node"]["marketId"] == market_id]


def orders_on_chain(sandbox: Sandbox, status: Optional[str] = "STATUS_ACTIVE", market_id: Optional[str] = None) -> list[str]:
    """Return the ids of the bot's orders, as the chain has them.

    Args:
        status: which orders; None for all.
        market_id: on which market; None for all.
    """

    def ids(box: Sandbox) -> list[str]:
        own = [order for order in box.chain.orders.values() if order.party_id == box.parties["bot"]]
        return [order.id for order in own if status in (None, order.status) and market_id in (None, order.market_id)]

    found: list[str] = sandbox.call(ids)
    return found


@contextlib.contextmanager
def node_down(sandbox: Sandbox) -> Iterator[None]:
    """Close the node's port and all connections to it, and listen again at the end of the block. The chain goes on."""
    sandbox.call(lambda box: box._node_server.pause())
    try:
        yield
    finally:
        sandbox.call(lambda box: box._node_server.listen())


def end_with(bot: Process, *signals: int) -> int:
    """Send signals to a bot, wait for its end, and return the exit status."""
    for number in signals:
        bot.signal(number)
    status = bot.finish(timeout=2 * SHUTDOWN_TIMEOUT)
    assert "Traceback" not in bot.output
    return status


def repeat_signal(bot: Process, number: int) -> int:
    """Send a signal again and again until the bot has ended, because those of the first second count as one; return the exit status."""

    def has_ended() -> bool:
        bot.signal(number)
        return bot.has_ended

    wait_until(has_ended)
    return bot.finish()


def fills(sandbox: Sandbox, market_id: str) -> int:
    count: int = sandbox.call(lambda box: box.fills[box.parties["bot"], market_id])
    return count


def turns(bot: Process) -> list[dict[str, str]]:
    return [match.groupdict() for match in map(TURN.match, bot.lines) if match]


# For `python -c`: the bot with something in it broken.
CRASH = """
import sys
import main
from tests.support.example_rule import quotes
main.quotes = quotes
{sabotage}
settings, _ = main.load_settings(main.RuleSettings)
main.logging.basicConfig(level=settings.log_level)
urls = settings.node_rest_url, settings.node_ws_url
sys.exit(main.main(*urls, settings.market_id, settings.party_id, settings.token, settings.wallet_url))
"""
