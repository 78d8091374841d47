"""What to look at where a bot runs on a sandbox: helpers of test_main and test_main_end."""

import re
from typing import Any

import requests

from tests.sandbox import Sandbox
from tests.support.processes import Process

TURN = re.compile(
    r"^\S+ \S+ Latest prices are (?P<bid>[0-9.]+) - (?P<offer>[0-9.]+) \| Position is (?P<position>-?[0-9.]+)"
    r" \| (?P<live>\d+) live orders \| data (?P<age>[0-9.]+|inf) s old \| (?P<outcome>.+)$"
)


def live_on(sandbox: Sandbox, market_id: str, party: str = "bot") -> list[dict[str, Any]]:
    """Return a party's live orders on a market, as the node's REST gives them."""
    path = f"{sandbox.node_url}/orders?filter.partyIds={sandbox.parties[party]}&filter.liveOnly=true"
    edges = requests.get(path, timeout=5).json()["orders"]["edges"]
    return [edge["node"] for edge in edges if edge["node"]["marketId"] == market_id]


def fills(sandbox: Sandbox, market_id: str) -> int:
    count: int = sandbox.call(lambda box: box.fills[box.parties["bot"], market_id])
    return count


def turns(bot: Process) -> list[dict[str, str]]:
    return [match.groupdict() for match in map(TURN.match, bot.lines) if match]


# For `python -c`: the bot with something in it broken.
CRASH = """
import sys
import main
{sabotage}
settings = main.load_settings()
main.logging.basicConfig(level=settings.log_level)
urls = settings.node_rest_url, settings.node_ws_url
sys.exit(main.main(*urls, settings.market_id, settings.party_id, settings.token, settings.wallet_url))
"""
