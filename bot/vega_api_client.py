"""REST reads from a data node, page by page. Any thread: it keeps no state but pooled connections.

Page: "Getting started". Each function is one call of the API and returns the API's own nodes, not parsed. Each takes a
`deadline`, a time.monotonic(), for all its tries and pages together, and raises VegaApiError.
"""

import contextlib
import functools
import time
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

import requests

from bot.api_errors import api_error_message
from bot.parsing import MAX_DIGITS, load_json
from bot.transport.error_text import root_cause, truncate
from bot.transport.http import CALL_FAILED, build_session, call_with_deadline
from bot.transport.proxies import via_proxy

TIMEOUTS = (2.0, 5.0)  # seconds to connect, and of silence while an answer arrives
CALL_TIMEOUT = 30.0  # seconds for a call without a deadline
LOOKUP_TIMEOUT = 0.9  # seconds for a look-up between two frames
MAX_TRIES = 3
MIN_RETRY_TIME = 2.0  # seconds; a call with less makes one try, so that it reports the node's error and not a timeout


class Block(NamedTuple):
    """The block of a REST answer; 0 where the node does not say."""

    height: int
    timestamp: int  # ns of chain time


class VegaApiError(Exception):
    """A REST call that failed. The message has the call, and the node's own error message if there is one."""

    def __init__(self, path: str, problem: str, status: Optional[int] = None):
        super().__init__(f"GET {path}: {problem}")
        # No answer, or a busy or broken node: another try may help. A node that understood and rejected the call will do it again.
        self.retryable = status is None or status == requests.codes.too_many or status >= 500


@functools.cache  # one for all calls: its connections stay open from one call to the next
def _session() -> requests.Session:
    return build_session()


def _error_message(response: requests.Response) -> str:
    message, details = "", ""
    with contextlib.suppress(ValueError, RecursionError):
        message, details = api_error_message(load_json(response.text))
    hint = ""
    if response.status_code == requests.codes.not_found and not details:  # the path is unknown, not the item
        hint = " (check NODE_URL: it ends in /api/v2)"
    return f"HTTP {response.status_code}, {details or message or truncate(response.text or response.reason)}{hint}{via_proxy(response.url)}"


def execute_get_request(path: str, key: str, node_url: str, deadline: Optional[float] = None) -> Any:
    """Make one call and return what the answer holds under `key`.

    Differs from the page, whose calls have no timeout and fail with `KeyError`. Temporary failures (429, 502, 503, 504, a lost
    connection) are retried, up to MAX_TRIES tries in all.

    Raises:
        VegaApiError: with the node's own error message.
    """
    return get_with_block(path, key, node_url, deadline)[0]


def get_with_block(path: str, key: str, node_url: str, deadline: Optional[float] = None) -> tuple[Any, Block]:
    """Make one call; return what the answer holds under `key`, all of it if that is empty, and the block that it belongs to."""
    seconds = CALL_TIMEOUT if deadline is None else max(0.01, deadline - time.monotonic())
    tries = MAX_TRIES if seconds > MIN_RETRY_TIME else 1
    try:
        response = call_with_deadline(seconds, lambda: _session().get(f"{node_url}/{path}", timeout=TIMEOUTS), tries)
    except CALL_FAILED as error:
        problem = VegaApiError(path, f"no answer from {node_url}: {root_cause(error)}{via_proxy(node_url)}")
        # A bad certificate, or a certificate file that does not exist, stays so.
        cause = error.__cause__ or error
        problem.retryable = isinstance(cause, requests.RequestException) and not isinstance(cause, requests.exceptions.SSLError)
        raise problem from error
    if response.status_code != requests.codes.ok:
        raise VegaApiError(path, _error_message(response), response.status_code)
    try:
        content = load_json(response.text)
        return content[key] if key else content, _block_of(response)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise VegaApiError(path, f"not the expected JSON, but {truncate(response.text)}{via_proxy(response.url)}") from error


def _block_of(response: requests.Response) -> Block:
    numbers = [response.headers.get(name, "") for name in ("X-Block-Height", "X-Block-Timestamp")]
    return Block(*(int(number) if number.isascii() and number.isdigit() and len(number) < MAX_DIGITS else 0 for number in numbers))


def execute_unrollable_get_request(path: str, key: str, node_url: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Follow the pages and return all nodes.

    Raises:
        VegaApiError: with the node's own error message, or because a page names itself as the next one.
    """
    return get_all_with_block(path, key, node_url, deadline)[0]


def get_all_with_block(path: str, key: str, node_url: str, deadline: Optional[float] = None) -> tuple[list[dict[str, Any]], Block]:
    """Follow the pages; return all nodes, and the block of the first page."""
    if deadline is None:
        deadline = time.monotonic() + CALL_TIMEOUT
    nodes: list[dict[str, Any]] = []
    cursors: set[str] = set()
    next_page, first_block = path, None
    while True:
        page, block = get_with_block(next_page, key, node_url, deadline)
        first_block = first_block or block
        try:
            nodes.extend(edge["node"] for edge in page["edges"])
            if not page["pageInfo"]["hasNextPage"]:
                return nodes, first_block
            cursor = page["pageInfo"]["endCursor"]
            # Differs from the page, which always continues with `&`: `markets` and `assets` have no `?` yet.
            next_page = f"{path}{'&' if '?' in path else '?'}pagination.after={quote(cursor, safe='')}"
        except (LookupError, TypeError) as error:
            raise VegaApiError(path, f"not a page of {key}, but {truncate(page)}") from error
        if cursor in cursors:
            raise VegaApiError(path, f"the page after cursor {truncate(cursor)} names itself as the next one")
        cursors.add(cursor)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-markets
def get_markets(node_url: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of all markets; `parse_market` reads one."""
    return execute_unrollable_get_request(path="markets", key="markets", node_url=node_url, deadline=deadline)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-get-market
def get_market(node_url: str, market_id: str, deadline: Optional[float] = None) -> dict[str, Any]:
    """Return one market's node. VegaApiError 404 if the network has none with this id."""
    market: dict[str, Any] = execute_get_request(path=f"market/{market_id}", key="market", node_url=node_url, deadline=deadline)
    return market


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-get-latest-market-data
def get_market_data(node_url: str, market_id: str, deadline: Optional[float] = None) -> dict[str, Any]:
    """Return a market's prices, volumes and state, as of the newest block; `parse_market_data` reads them."""
    path = f"market/data/{market_id}/latest"
    market_data: dict[str, Any] = execute_get_request(path=path, key="marketData", node_url=node_url, deadline=deadline)
    return market_data


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-assets
def get_assets(node_url: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of all assets; `parse_asset` reads one."""
    return execute_unrollable_get_request(path="assets", key="assets", node_url=node_url, deadline=deadline)


def get_asset(node_url: str, asset_id: str, deadline: Optional[float] = None) -> dict[str, Any]:
    """Return one asset; KeyError if the node has none with this id. Not on the page."""
    return {node["id"]: node for node in get_assets(node_url=node_url, deadline=deadline)}[asset_id]


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-accounts
def get_accounts(party_id: str, node_url: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of a party's accounts, on all markets; `parse_account` reads one."""
    path = f"accounts?filter.partyIds={party_id}"
    return execute_unrollable_get_request(path=path, key="accounts", node_url=node_url, deadline=deadline)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-orders
def get_open_orders(party_id: str, node_url: str, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of a party's live orders, parked ones too, on all markets, newest first; `parse_order` reads one."""
    path = f"orders?filter.partyIds={party_id}&filter.liveOnly=true"
    return execute_unrollable_get_request(path=path, key="orders", node_url=node_url, deadline=deadline)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-positions
def get_positions(party_id: str, node_url: str, market_id: Optional[str] = None, deadline: Optional[float] = None) -> list[dict[str, Any]]:
    """Return the nodes of a party's positions, on one market or on all; `parse_position` reads one. Spot markets have none."""
    path = f"positions?filter.partyIds={party_id}"
    if market_id is not None:
        path += f"&filter.marketIds={market_id}"
    return execute_unrollable_get_request(path=path, key="positions", node_url=node_url, deadline=deadline)
