"""bot/vega_api_client.py against a real HTTP server: recorded answers, pages, and errors with the node's error message."""

import itertools
import socket
import time
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit

import pytest

import bot.vega_api_client as client
from tests.support.http_replay import Answer, Replay, recorded, recorded_answer, recorded_nodes

MARKET = "cbe5d71234d0177ddf258bf7c0488dc91f6ca25c367423730f22dea28f562cf2"
PARTY = "43f1a2d95c6776b8926b689b9da55ecfad39f00a735f4f353e2ac912a3f0c24e"
NOTHING_THERE = "0" * 64


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_page(*ids: str, cursor: str = "", more: bool = False, key: str = "markets") -> Answer:
    edges = [{"node": {"id": node_id}, "cursor": f"cursor of {node_id}"} for node_id in ids]
    page_info = {"hasNextPage": more, "hasPreviousPage": False, "startCursor": "", "endCursor": cursor}
    return Answer({key: {"edges": edges, "pageInfo": page_info}})


def problem_with(*answers: Answer, path: str = "markets", seconds: Optional[float] = None) -> str:
    """Ask a node that answers so, and return what the error says."""
    with Replay(*answers) as node, pytest.raises(client.VegaApiError) as caught:
        client.execute_get_request(path, "markets", node.url, None if seconds is None else time.monotonic() + seconds)
    return str(caught.value).replace(node.url, "http://node")


###########################################################
#                  Each call of the API                   #
###########################################################


def test_markets_are_the_nodes_of_the_recorded_list() -> None:
    with Replay(recorded_answer("markets")) as node:
        assert client.get_markets(node_url=f"{node.url}/api/v2") == recorded_nodes("markets", "markets")
    assert node.paths == ["/api/v2/markets"]


def test_assets_are_the_nodes_of_the_recorded_list() -> None:
    with Replay(recorded_answer("assets")) as node:
        assert client.get_assets(node_url=node.url) == recorded_nodes("assets", "assets")
    assert node.paths == ["/assets"]


def test_a_market_is_what_stands_under_its_key() -> None:
    with Replay(recorded_answer("future-market")) as node:
        assert client.get_market(node.url, MARKET) == recorded("future-market")["body"]["market"]
    assert node.paths == [f"/market/{MARKET}"]


def test_market_data_is_what_stands_under_its_key() -> None:
    with Replay(recorded_answer("future-market-data-latest")) as node:
        assert client.get_market_data(node.url, MARKET) == recorded("future-market-data-latest")["body"]["marketData"]
    assert node.paths == [f"/market/data/{MARKET}/latest"]


def test_accounts_are_those_of_the_party() -> None:
    with Replay(recorded_answer("bot-end-accounts")) as node:
        assert client.get_accounts(PARTY, node.url) == recorded_nodes("bot-end-accounts", "accounts")
    assert node.paths == [f"/accounts?filter.partyIds={PARTY}"]


def test_open_orders_are_the_live_ones_of_the_party() -> None:
    with Replay(recorded_answer("bot-end-orders")) as node:
        assert client.get_open_orders(PARTY, node.url) == recorded_nodes("bot-end-orders", "orders")
    assert node.paths == [f"/orders?filter.partyIds={PARTY}&filter.liveOnly=true"]


def test_positions_are_those_of_the_party() -> None:
    with Replay(recorded_answer("bot-end-positions")) as node:
        assert client.get_positions(PARTY, node.url) == recorded_nodes("bot-end-positions", "positions")
    assert node.paths == [f"/positions?filter.partyIds={PARTY}"]


def test_positions_may_be_asked_for_one_market() -> None:
    with Replay(recorded_answer("bot-positions")) as node:
        assert client.get_positions(PARTY, node.url, market_id=MARKET) == []
    assert node.paths == [f"/positions?filter.partyIds={PARTY}&filter.marketIds={MARKET}"]


###########################################################
#                          Pages                          #
###########################################################


def test_the_second_page_of_a_path_without_query_is_asked_for_with_a_question_mark() -> None:
    with Replay(a_page("a", cursor="YQ", more=True), a_page("b")) as node:
        assert client.get_markets(node.url) == [{"id": "a"}, {"id": "b"}]
    assert node.paths == ["/markets", "/markets?pagination.after=YQ"]


def test_the_second_page_of_a_path_with_query_is_asked_for_with_an_ampersand() -> None:
    with Replay(a_page("a", cursor="YQ", more=True, key="accounts"), a_page("b", key="accounts")) as node:
        assert client.get_accounts("p", node.url) == [{"id": "a"}, {"id": "b"}]
    assert node.paths == ["/accounts?filter.partyIds=p", "/accounts?filter.partyIds=p&pagination.after=YQ"]


def test_each_page_is_asked_for_after_the_one_before() -> None:
    with Replay(a_page("a", cursor="YQ", more=True), a_page(cursor="Yg", more=True), a_page("c")) as node:
        assert client.get_markets(node.url) == [{"id": "a"}, {"id": "c"}]
    assert node.paths[1:] == ["/markets?pagination.after=YQ", "/markets?pagination.after=Yg"]


def test_a_cursor_arrives_as_it_was_given() -> None:
    cursor = "a+b/c=&d e%20?"
    with Replay(a_page(cursor=cursor, more=True), a_page()) as node:
        client.get_markets(node.url)
    assert parse_qs(urlsplit(node.paths[1]).query) == {"pagination.after": [cursor]}


def test_a_recorded_cursor_arrives_as_it_was_given() -> None:
    with Replay(recorded_answer("markets-page1"), a_page()) as node:
        client.get_markets(node.url)
    cursor = recorded("markets-page1")["body"]["markets"]["pageInfo"]["endCursor"]
    assert parse_qs(urlsplit(node.paths[1]).query) == {"pagination.after": [cursor]}


def test_pages_that_go_round_in_circles_are_an_error() -> None:
    circle = [a_page("a", cursor="YQ", more=True), a_page("b", cursor="Yg", more=True)]
    with Replay(*circle * 3) as node, pytest.raises(client.VegaApiError, match="GET markets: the page after cursor YQ "):
        client.get_markets(node.url)
    assert len(node.requests) == 3


def test_an_error_on_a_later_page_is_an_error_of_the_call() -> None:
    answers = a_page("a", cursor="YQ", more=True), recorded_answer("bad-cursor")
    with Replay(*answers) as node, pytest.raises(client.VegaApiError, match="failed to decode after cursor"):
        client.get_markets(node.url)


@pytest.mark.parametrize(
    "page",
    [
        *([], {}, None, "text", {"edges": None}, {"edges": [{}]}, {"edges": []}),
        {"edges": [], "pageInfo": {"hasNextPage": True}},
        {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}},
        {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": 7}},
        {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": []}},
    ],
    ids=repr,
)
def test_a_list_of_another_shape_is_an_error_that_shows_it(page: Any) -> None:
    with Replay(*[Answer({"markets": page})] * 3) as node, pytest.raises(client.VegaApiError, match="GET markets: "):
        client.get_markets(node.url)
    assert len(node.requests) == 1


###########################################################
#          Errors with the node's error message          #
###########################################################


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "bad-cursor",
            "HTTP 400, invalid pagination: failed to decode after cursor: failed to decode cursor: illegal base64 data at input byte 0",
        ),
        ("bad-market-data", f"HTTP 500, failed to get market data: no market data for market: {NOTHING_THERE}"),
        ("bad-market-id", "HTTP 400, invalid market ID"),
        ("bad-market", "HTTP 404, failed to get market for ID: no resource corresponding to this id"),
        ("bad-page", "HTTP 400, invalid pagination: pagination limit must be in range 0-5000"),
        ("bad-party", "HTTP 400, invalid party id: one or more party id is invalid"),
        ("bad-path", "HTTP 404, Not Found (check NODE_URL: it ends in /api/v2)"),
    ],
)
def test_a_recorded_error_is_raised_with_the_nodes_error_message(name: str, message: str) -> None:
    path = recorded(name)["path"]
    assert problem_with(recorded_answer(name), path=path) == f"GET {path}: {message}"


def test_an_unknown_parameter_is_ignored() -> None:
    with Replay(recorded_answer("bad-param")) as node:
        assert len(client.execute_unrollable_get_request("markets?foo=1", "markets", node.url)) == 3


def test_an_error_page_in_html_is_shown_on_one_line() -> None:
    html = Answer("<html>\n<h1>Forbidden</h1>\n</html>", status=403, headers={"Content-Type": "text/html"})
    assert problem_with(html) == "GET markets: HTTP 403, <html> <h1>Forbidden</h1> </html>"


def test_a_long_error_page_is_shortened() -> None:
    assert len(problem_with(Answer("<p>" * 100_000, status=403))) < 300


def test_an_error_without_a_message_has_the_reason_of_its_status() -> None:
    assert problem_with(Answer("", status=404)) == "GET markets: HTTP 404, Not Found (check NODE_URL: it ends in /api/v2)"


@pytest.mark.parametrize("details", [None, {}, "text", [None], [{}], [{"message": 7}], [[]]], ids=repr)
def test_an_error_of_another_shape_is_shown_as_it_came(details: Any) -> None:
    problem = problem_with(Answer({"code": 3, "message": "InvalidArgument error", "details": details}, status=400))
    assert problem.startswith("GET markets: HTTP 400, ")
    assert "InvalidArgument error" in problem


@pytest.mark.parametrize(
    "body", ["<html>hello</html>", "", "[]", "null", '"markets"', '{"other": 1}', "[" * 100_000, b"\xff\xfe{"], ids=lambda b: repr(b)[:20]
)
def test_a_good_answer_that_is_not_the_expected_json_is_an_error(body: Any) -> None:
    assert problem_with(Answer(body)).startswith("GET markets: not the expected JSON, but ")


def test_a_body_that_is_cut_is_an_error() -> None:
    assert problem_with(*[Answer({"markets": {}}, cut=3)] * 9).startswith("GET markets: no answer from http://node: ")


def test_a_gzipped_body_that_is_cut_is_an_error() -> None:
    assert problem_with(*[Answer({"markets": {}}, zipped=True, cut=3)] * 9).startswith("GET markets: no answer from http://node: ")


def test_a_redirect_loop_is_an_error() -> None:
    loop = itertools.repeat(Answer(status=302, headers={"Location": "/markets"}))
    with Replay(then=loop) as node, pytest.raises(client.VegaApiError, match=r"GET markets: no answer from .*redirects"):
        client.get_markets(node.url)


def test_a_connection_refused_is_an_error_that_names_the_address() -> None:
    with socket.socket() as unused:  # bound, but it does not listen
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(client.VegaApiError, match=f"^GET markets: no answer from {url}: .*refused"):
            client.execute_get_request("markets", "markets", url, deadline=time.monotonic() + 1.9)


def test_a_bad_address_is_an_error() -> None:
    with pytest.raises(client.VegaApiError, match="GET markets: no answer from no-address: "):
        client.get_markets("no-address")
