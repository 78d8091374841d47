"""REST reads from a data node, page by page. Any thread: it keeps no state but pooled connections.

Page: "Getting started". Each function is one call of the API; what comes back are the API's own nodes, not yet parsed.
"""

import contextlib
import functools
import math
import re
import time
from collections.abc import Callable
from typing import Any, Optional, TypeVar
from urllib.parse import quote

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from bot.parsing import ParseError
from bot.transport.error_text import node_words, root_cause, shortened
from bot.transport.http import CALL_FAILED, DeadlineAdapter, in_time

Found = TypeVar("Found")

TIMEOUTS = (2.0, 5.0)  # seconds to connect, and of silence while an answer comes
LONGEST_CALL = 30.0  # seconds, all tries together
LONGEST_LOOK_UP = 0.9  # seconds, between two frames
ASK_AGAIN = 60.0  # seconds until an id that was looked up in vain is looked up again
PAUSE_AFTER_FAILURE = 2.0  # seconds without look-ups after one in vain: a list can hold many unknown ids
LONGEST_RETRY_AFTER = 10.0  # seconds that we wait where a node asks us to


class VegaApiError(Exception):
    """A REST call that failed: names the call, and has the node's own words where it sent any."""

    def __init__(self, path: str, problem: str, status: Optional[int] = None):
        super().__init__(f"GET {path}: {problem}")
        # Worth another try: no answer, or a node that is busy or broken; not one that understood and said no.
        self.may_pass = status is None or status == requests.codes.too_many or status >= 500


class OutOfTimeError(Exception):
    """For a signal handler to raise into a call that has taken too long; the call says it with its name."""


class _Retry(Retry):
    """urllib3's Retry, which waits as long as Retry-After says; a node that says an hour must not hold the bot."""

    def get_retry_after(self, response: Any) -> Optional[float]:
        try:
            seconds = super().get_retry_after(response)
        except InvalidHeader:  # neither seconds nor a date; raised, it would stand for the node's own words
            return None
        return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)


@functools.cache  # one session for all calls: its connections stay open from one call to the next
def _session(tries: int) -> requests.Session:
    retry = _Retry(
        total=tries - 1,
        backoff_factor=0.5,  # seconds before the second try again, doubled for the third
        status_forcelist=(429, 502, 503, 504),
        raise_on_status=False,  # the last answer has the node's words
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter(max_retries=retry))
    return session


def _words(response: requests.Response) -> str:
    message, details = "", ""
    with contextlib.suppress(ValueError, RecursionError):
        message, details = node_words(response.json())
    hint = ""
    if response.status_code == requests.codes.not_found and not details:  # the path is unknown, not what was asked for
        hint = " (check NODE_URL: it ends in /api/v2)"
    return f"HTTP {response.status_code}, {details or message or shortened(response.text) or response.reason}{hint}"


def execute_get_request(path: str, key: str, node_url: str, within: Optional[float] = None) -> Any:
    """Ask once and return what the answer holds under `key`.

    Differs from the page, whose calls wait for ever and fail with `KeyError`: what may pass (429, 502, 503, 504, a lost
    connection) is tried again, three times in all; with `within`, there is one try, of so many seconds at most.

    Raises:
        VegaApiError: with the node's own words.
    """
    session, timeouts = (_session(3), TIMEOUTS) if within is None else (_session(1), (within, within))
    try:
        response = in_time(within or LONGEST_CALL, lambda: session.get(f"{node_url}/{path}", timeout=timeouts))
    except OutOfTimeError as error:
        raise VegaApiError(path, f"no answer from {node_url}: {error}") from error
    except CALL_FAILED as error:
        problem = VegaApiError(path, f"no answer from {node_url}: {root_cause(error)}")
        may_pass = isinstance(error, requests.RequestException) and not isinstance(error, requests.exceptions.SSLError)
        problem.may_pass = may_pass  # a wrong certificate, or none, stays so
        raise problem from error
    if response.status_code != requests.codes.ok:
        raise VegaApiError(path, _words(response), response.status_code)
    try:
        return response.json()[key]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise VegaApiError(path, f"not the JSON we know, but {shortened(response.text)}") from error


def execute_unrollable_get_request(path: str, key: str, node_url: str, within: Optional[float] = None) -> list[dict[str, Any]]:
    """Ask page after page and return all nodes; `within` is for all pages together.

    Raises:
        VegaApiError: with the node's own words, or where the pages go round in circles.
    """
    ends_at = None if within is None else time.monotonic() + within
    nodes: list[dict[str, Any]] = []
    cursors: set[str] = set()
    next_page = path
    while True:
        left = None if ends_at is None else max(0.01, ends_at - time.monotonic())
        page = execute_get_request(next_page, key, node_url, left)
        try:
            nodes.extend(edge["node"] for edge in page["edges"])
            if not page["pageInfo"]["hasNextPage"]:
                return nodes
            cursor = page["pageInfo"]["endCursor"]
            # Differs from the page, which always goes on with `&`: `markets` and `assets` have no `?` yet.
            next_page = f"{path}{'&' if '?' in path else '?'}pagination.after={quote(cursor, safe='')}"
        except (LookupError, TypeError) as error:
            raise VegaApiError(path, f"not a page of {key}, but {shortened(page)}") from error
        if cursor in cursors:
            raise VegaApiError(path, f"the page after cursor {shortened(cursor)} names itself as the next")
        cursors.add(cursor)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-markets
def get_markets(node_url: str) -> list[dict[str, Any]]:
    return execute_unrollable_get_request(path="markets", key="markets", node_url=node_url)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-get-market
def get_market(node_url: str, market_id: str, within: Optional[float] = None) -> dict[str, Any]:
    market: dict[str, Any] = execute_get_request(path=f"market/{market_id}", key="market", node_url=node_url, within=within)
    return market


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-get-latest-market-data
def get_market_data(node_url: str, market_id: str) -> dict[str, Any]:
    market_data: dict[str, Any] = execute_get_request(path=f"market/data/{market_id}/latest", key="marketData", node_url=node_url)
    return market_data


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-assets
def get_assets(node_url: str, within: Optional[float] = None) -> list[dict[str, Any]]:
    return execute_unrollable_get_request(path="assets", key="assets", node_url=node_url, within=within)


def get_asset(node_url: str, asset_id: str) -> dict[str, Any]:
    """Return one asset, looked up; KeyError where the node has none of that id. Not on the page."""
    return {node["id"]: node for node in get_assets(node_url=node_url, within=LONGEST_LOOK_UP)}[asset_id]


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-accounts
def get_accounts(party_id: str, node_url: str) -> list[dict[str, Any]]:
    return execute_unrollable_get_request(path=f"accounts?filter.partyIds={party_id}", key="accounts", node_url=node_url)


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-orders
def get_open_orders(party_id: str, node_url: str, within: Optional[float] = None) -> list[dict[str, Any]]:
    return execute_unrollable_get_request(
        path=f"orders?filter.partyIds={party_id}&filter.liveOnly=true", key="orders", node_url=node_url, within=within
    )


# https://docs.vega.xyz/release/api/rest/data-v2/trading-data-service-list-positions
def get_positions(party_id: str, node_url: str, market_id: Optional[str] = None) -> list[dict[str, Any]]:
    path = f"positions?filter.partyIds={party_id}"
    if market_id is not None:
        path += f"&filter.marketIds={market_id}"
    return execute_unrollable_get_request(path=path, key="positions", node_url=node_url)


class LookUps:
    """Asks REST for what a frame names and the store has not met: sparingly, since frames wait meanwhile. Main thread."""

    def __init__(self) -> None:
        self._asked_at: dict[str, float] = {}  # id -> time.monotonic()
        self._pause_until = 0.0  # time.monotonic()

    def ask(self, item_id: str, find: Callable[[], Found]) -> Found:
        """Return what `find` finds under an id.

        Raises:
            ParseError: it is no id, nothing was found, or asking has to wait.
        """
        if not (isinstance(item_id, str) and re.fullmatch("[0-9a-f]{64}", item_id)):
            raise ParseError(f"{shortened(item_id)} is no id")
        now = time.monotonic()
        if now < max(self._asked_at.get(item_id, -math.inf) + ASK_AGAIN, self._pause_until):
            raise ParseError(f"{item_id} is unknown")
        self._asked_at[item_id] = now
        self._pause_until = now + PAUSE_AFTER_FAILURE
        try:
            found = find()
        except (VegaApiError, LookupError, TypeError) as error:
            raise ParseError(f"{item_id} is unknown: {error}") from error
        self._pause_until = 0.0
        return found
