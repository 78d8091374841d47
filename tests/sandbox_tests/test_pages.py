"""REST's pages and query parameters, in the cases that the recordings of the first network do not have."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.support.chain_network import markets_without_minimum


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=51, traders=False, markets=markets_without_minimum()) as running:
        yield running


def get(sandbox: Sandbox, path: str) -> requests.Response:
    return requests.get(f"{sandbox.node_url}/{path}", timeout=20)


def symbols(sandbox: Sandbox, query: str = "") -> tuple[list[str], dict[str, Any]]:
    assets = get(sandbox, f"assets?{query}").json()["assets"]
    return [edge["node"]["details"]["symbol"] for edge in assets["edges"]], assets["pageInfo"]


def error_of(response: requests.Response) -> tuple[int, int, list[tuple[int, str, str]]]:
    body = response.json()
    return response.status_code, body["code"], [(entry["code"], entry["message"], entry["inner"]) for entry in body["details"]]


OUT_OF_RANGE = "pagination limit must be in range 0-5000"


@pytest.mark.parametrize("path", ["markets", "accounts", "orders", "positions", "network/parameters"])
@pytest.mark.parametrize("size", ["first=0", "first=-1", "first=5001", "last=0"])
def test_page_sizes_out_of_range_are_rejected(sandbox: Sandbox, path: str, size: str) -> None:
    assert error_of(get(sandbox, f"{path}?pagination.{size}")) == (400, 3, [(10028, "invalid pagination", OUT_OF_RANGE)])


def test_invalid_pages_of_assets_are_an_internal_error(sandbox: Sandbox) -> None:
    found = error_of(get(sandbox, "assets?pagination.first=0"))
    assert found == (500, 13, [(200001, "failed to get assets", f"{OUT_OF_RANGE}: invalid pagination")])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("assets?pagination.first=abc", 'parsing field "first": strconv.ParseInt: parsing "abc": invalid syntax'),
        ("orders?pagination.last=4294967296", 'parsing field "last": strconv.ParseInt: parsing "4294967296": value out of range'),
        ("orders?filter.liveOnly=maybe", 'parsing field "live_only": strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("orders?filter.live_only=yes", 'parsing field "live_only": strconv.ParseBool: parsing "yes": invalid syntax'),
    ],
)
def test_parameters_that_cannot_be_parsed_are_rejected_without_details(sandbox: Sandbox, path: str, message: str) -> None:
    answer = get(sandbox, path)
    assert (answer.status_code, answer.json()) == (400, {"code": 3, "message": message, "details": []})
    assert "X-Block-Height" not in answer.headers


def test_the_last_records_and_those_before_a_cursor(sandbox: Sandbox) -> None:
    everything, _ = symbols(sandbox)
    last_two, page = symbols(sandbox, "pagination.last=2")
    assert (last_two, page["hasNextPage"], page["hasPreviousPage"]) == (everything[-2:], False, True)
    before, page = symbols(sandbox, f"pagination.last=1&pagination.before={page['startCursor']}")
    assert (before, page["hasNextPage"], page["hasPreviousPage"]) == (everything[-3:-2], True, True)
    before, page = symbols(sandbox, f"pagination.before={page['startCursor']}")
    assert (before, page["hasNextPage"], page["hasPreviousPage"]) == (everything[:-3], True, False)


def test_the_last_orders_cannot_be_asked_for(sandbox: Sandbox) -> None:
    """`queryOrdersWithCursorPagination` in datanode/sqlstore/orders.go."""
    reason = "'last' pagination is not supported"
    assert error_of(get(sandbox, "orders?pagination.last=2")) == (400, 3, [(10000, reason, reason)])


def test_two_cursors_are_rejected(sandbox: Sandbox) -> None:
    reason = "cannot set both a before and after cursor"
    found = error_of(get(sandbox, "markets?pagination.after=e30=&pagination.before=e30="))
    assert found == (400, 3, [(10028, "invalid pagination", reason)])


def test_the_cursor_without_fields_is_before_all_records(sandbox: Sandbox) -> None:
    everything, page = symbols(sandbox)
    assert symbols(sandbox, "pagination.after=e30=") == (everything, page)
    order = {"marketId": sandbox.markets["future"], "price": "9000000", "size": "10", "side": "SIDE_BUY"}
    transaction = {"orderSubmission": {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties["a"], transaction))
    sandbox.block()
    assert len(get(sandbox, "orders").json()["orders"]["edges"]) == 1
    assert get(sandbox, "orders?pagination.after=e30=").json()["orders"]["edges"] == []  # newest first: nothing is older
