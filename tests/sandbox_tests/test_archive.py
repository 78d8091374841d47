"""The order archive: lookup by party, live orders, and paging."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from multidict import MultiDict

from tests.sandbox.node.pagination import encoded, page
from tests.support.chain_network import Network


@pytest.fixture
def network() -> Network:
    """A chain with six orders: one of a is filled, one of b is cancelled, and c's rests on another market."""
    network = Network()
    network.place("a", "BUY", 3, 999_000)
    network.place("b", "SELL", 3, 999_000)
    cancelled = network.place("b", "BUY", 4, 998_000)
    network.place("a", "BUY", 5, 997_000)
    network.cancel("b", cancelled)
    network.place("b", "BUY", 6, 996_000)
    network.trade_on("Spot").place("c", "BUY", 7, 20_000)
    return network


@pytest.mark.parametrize(
    ("parties", "ever", "live"),
    [
        ("", [7, 6, 5, 4, 3, 3], [7, 6, 5]),
        ("a", [5, 3], [5]),
        ("ab", [6, 5, 4, 3, 3], [6, 5]),
        ("ba", [6, 5, 4, 3, 3], [6, 5]),
        ("cac", [7, 5, 3], [7, 5]),
        ("bot", [], []),
    ],
)
def test_orders_are_returned_newest_first_and_each_once(network: Network, parties: str, ever: list[int], live: list[int]) -> None:
    names = ["bot"] if parties == "bot" else parties
    keys = [network.chain.parties[name] for name in names]
    assert [order.size for order in network.chain.newest_orders(keys)] == ever
    assert [order.size for order in network.chain.newest_orders(keys, live_only=True)] == live


def test_orders_of_one_block_are_sorted_by_id(network: Network) -> None:
    """As recorded: `rest-mm-orders.json` and `rest-bot-end-orders.json`."""
    submissions = [network.order("BUY", size, 15_000) for size in (21, 22, 23, 24)]
    network.send("c", batchMarketInstructions={"submissions": submissions})
    latest = network.place("c", "BUY", 25, 15_000)
    for live_only in (False, True):
        ids = [order.id for order in network.chain.newest_orders([network.chain.parties["c"]], live_only)]
        assert (ids[0], ids[1:5]) == (latest.id, sorted(ids[1:5]))
    assert [network.chain.orders[order_id].size for order_id in ids[1:5]] != [24, 23, 22, 21]  # the order is not a coincidence


def test_an_amended_order_keeps_its_number(network: Network) -> None:
    oldest = next(network.chain.newest_orders([network.chain.parties["a"]], live_only=True))
    network.amend("a", oldest, price="999500")
    assert [order.number for order in network.chain.newest_orders()] == [5, 4, 3, 2, 1, 0]
    assert oldest.number == 3


def edges_of(shown: dict[str, Any]) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = json.loads(b"".join(encoded({"records": shown})))["records"]["edges"]
    return edges


def test_a_page_reads_only_its_records_and_one_more() -> None:
    read: list[int] = []

    def endless() -> Iterator[tuple[int, int]]:
        for place in count():
            read.append(place)
            yield place, place

    shown = page(endless(), lambda place: {"place": place}, MultiDict({"pagination.first": "3"}))
    assert [edge["node"]["place"] for edge in edges_of(shown)] == [0, 1, 2]
    assert (shown["pageInfo"]["hasNextPage"], read) == (True, [0, 1, 2, 3])


def test_the_newest_dead_orders_are_kept_and_pages_end_with_them(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.chain.archive.MAX_DEAD_ORDERS", 5)
    resting = network.place("c", "BUY", 8, 15_000)
    for size in range(10, 20):
        network.cancel("c", network.place("c", "BUY", size, 15_000))
    c = network.chain.parties["c"]
    rows = [(order.number, order) for order in network.chain.newest_orders([c])]
    assert [order.size for _, order in rows] == [19, 18, 17, 16, 15, resting.size, 7]  # live orders stay, whatever their age
    assert set(network.chain.orders) == {order.id for order in network.chain.newest_orders()}
    first = page(rows, lambda order: {"size": order.size}, MultiDict({"pagination.first": "5"}), newest_first=True)
    network.cancel("c", network.place("c", "BUY", 20, 15_000))
    rows = [(order.number, order) for order in network.chain.newest_orders([c])]
    query = MultiDict({"pagination.after": first["pageInfo"]["endCursor"]})
    second = page(rows, lambda order: {"size": order.size}, query, newest_first=True)
    assert [edge["node"]["size"] for edge in edges_of(second)] == [8, 7]
    assert not second["pageInfo"]["hasNextPage"]
