"""The one way to make the settings of a bot that a test starts as a child process."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a child that needs no sandbox starts faster without this import
    from tests.sandbox import Sandbox


def sandbox_settings(sandbox: "Sandbox", market_id: str, **changes: str) -> dict[str, str]:
    """Return the environment variables with which a bot trades on a sandbox as its party "bot".

    Args:
        sandbox: a running one.
        market_id: the market to trade on.
        changes: variables to replace or to add, for example WALLET_URL or LOG_LEVEL.
    """
    return {
        "NODE_URL": sandbox.node_url,
        "WS_URL": sandbox.ws_url,
        "WALLET_URL": sandbox.wallet_url,
        "WALLET_TOKEN": sandbox.token,
        "PARTY_ID": sandbox.parties["bot"],
        "MARKET_ID": market_id,
        **changes,
    }
