"""REST reads that the page does not make: with the block that an answer belongs to, and what orders have to respect.

Not on the page. Any thread. `deadline` and errors are those of `bot/vega_api_client.py`.
"""

from typing import Any, Optional

from bot.transport.error_text import truncate
from bot.vega_api_client import VegaApiError, execute_get_request, get_all_with_block, get_with_block

MAX_RECENT_ORDERS = 200  # in one answer
MAX_RECENT_TRADES = 1000  # in one answer


def get_latest_market_data(node_url: str, market_id: str, deadline: Optional[float] = None) -> tuple[dict[str, Any], bool]:
    """Return a market's data, and whether it belongs to the newest block that the node knows."""
    node, block = get_with_block(f"market/data/{market_id}/latest", "marketData", node_url, deadline)
    return node, isinstance(node, dict) and bool(block.timestamp) and node.get("timestamp") == str(block.timestamp)


def get_open_orders_at_block(party_id: str, node_url: str, deadline: Optional[float] = None) -> tuple[list[dict[str, Any]], int]:
    """Return a party's live orders, and the height of the block that they belong to."""
    nodes, block = get_all_with_block(f"orders?filter.partyIds={party_id}&filter.liveOnly=true", "orders", node_url, deadline)
    return nodes, block.height


def get_recent_orders(party_id: str, node_url: str, deadline: Optional[float] = None) -> tuple[list[dict[str, Any]], int]:
    """Return a party's newest MAX_RECENT_ORDERS orders, dead ones too, and the height of the block that they belong to."""
    path = f"orders?filter.partyIds={party_id}&pagination.first={MAX_RECENT_ORDERS}"
    page, block = get_with_block(path, "orders", node_url, deadline)
    try:
        return [edge["node"] for edge in page["edges"]], block.height
    except (LookupError, TypeError) as error:
        raise VegaApiError(path, f"not a page of orders, but {truncate(page)}") from error


def get_block_height(node_url: str, market_id: str, deadline: Optional[float] = None) -> int:
    """Return the height of the newest block that the node knows; 0 where it does not say."""
    return get_with_block(f"market/data/{market_id}/latest", "marketData", node_url, deadline)[1].height


def get_market_depth(node_url: str, market_id: str, deadline: Optional[float] = None) -> dict[str, Any]:
    """Return a market's whole book, which `parse_depth` reads; an unknown id has an empty one."""
    depth: dict[str, Any] = get_with_block(f"market/depth/{market_id}/latest", "", node_url, deadline)[0]
    return depth


def get_newest_trades(node_url: str, market_id: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of a market's newest MAX_RECENT_TRADES trades, newest first; `parse_trade` reads one."""
    path = f"trades?marketIds={market_id}&pagination.first={MAX_RECENT_TRADES}"
    page = execute_get_request(path, "trades", node_url, deadline)
    try:
        return [edge["node"] for edge in page["edges"]]
    except (LookupError, TypeError) as error:
        raise VegaApiError(path, f"not a page of trades, but {truncate(page)}") from error


def get_risk_factors(node_url: str, market_id: str, deadline: Optional[float] = None) -> dict[str, Any]:
    """Return a future's or perpetual's risk factors, `long` and `short`; VegaApiError for spot markets."""
    factors: dict[str, Any] = execute_get_request(f"market/{market_id}/risk/factors", "riskFactor", node_url, deadline)
    return factors


def get_network_parameter(node_url: str, name: str, deadline: Optional[float] = None) -> str:
    """Return the value of one of the network's parameters, as text; empty if the answer has none."""
    parameter = execute_get_request(f"network/parameters/{name}", "networkParameter", node_url, deadline)
    return str(parameter["value"]) if isinstance(parameter, dict) and "value" in parameter else ""
