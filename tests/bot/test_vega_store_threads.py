"""The store: what it looks up, and what other threads see meanwhile."""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bot import models, submission
from bot.parsing import ParseError
from bot.vega_store import VegaStore
from tests.support.scripted_node import ScriptedNode, recorded, recorded_node
from tests.support.seeded_store import order_node, results, seeded_store
from tests.support.waiting import DEFAULT_TIMEOUT


@pytest.fixture(scope="module")
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        yield running


@pytest.fixture
def store(node: ScriptedNode) -> VegaStore:
    return seeded_store(node)


###########################################################
#                        Look-ups                         #
###########################################################


def test_a_market_made_after_the_start_is_looked_up_once(store: VegaStore, node: ScriptedNode) -> None:
    new = "c" * 64
    answer = recorded("future-market")["body"]
    market = {**answer["market"], "id": new, "decimalPlaces": "4", "positionDecimalPlaces": "1"}
    node.rest[f"market/{new}"] = (200, {"market": market})
    for size in ("413", "414"):
        store._update_order({"updates": {"orders": [order_node(marketId=new, size=size)]}})
    assert (store.get_orders()[0].price, store.get_orders()[0].size) == (999.0001, 41.4)
    assert node.rest_calls[f"market/{new}"] == 1


def test_a_market_unknown_to_the_node_is_not_asked_for_at_every_frame(store: VegaStore, node: ScriptedNode) -> None:
    unknown = "d" * 64
    for _ in range(3):
        with pytest.raises(ParseError, match=f"{unknown} is unknown"):
            store._update_order({"updates": {"orders": [order_node(marketId=unknown)]}})
    assert node.rest_calls[f"market/{unknown}"] == 1


def test_a_list_of_unknown_markets_costs_one_look_up_in_two_seconds(store: VegaStore, node: ScriptedNode) -> None:
    before, began = node.rest_calls.total(), time.monotonic()
    nodes = [order_node(marketId=f"{number:064x}") for number in range(50_000)]
    with pytest.raises(ParseError, match="left out 50000 of 50000"):
        store._update_order({"updates": {"orders": nodes}})
    assert node.rest_calls.total() - before <= 1 + (time.monotonic() - began) // 2


def test_a_value_that_is_not_an_id_is_not_looked_up(store: VegaStore, node: ScriptedNode) -> None:
    before = node.rest_calls.total()
    with pytest.raises(ParseError, match="is not an id"):
        store._update_order({"updates": {"orders": [order_node(marketId="../assets")]}})
    assert node.rest_calls.total() == before


###########################################################
#                     Other threads                       #
###########################################################


def test_records_cannot_be_edited() -> None:
    names = [each for module in (models, submission) for each in vars(module).values()]
    records = [each for each in names if isinstance(each, type) and dataclasses.is_dataclass(each)]
    assert len(records) == 11
    for record in records:
        blank = object.__new__(record)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(blank, dataclasses.fields(record)[0].name, "another")


@pytest.mark.parametrize(
    ("lock", "getter", "args"),
    [
        ("_markets_lock", "get_markets", ()),
        ("_markets_lock", "get_market_by_id", ("x",)),
        ("_markets_lock", "seconds_since_update", ("x",)),
        ("_accounts_lock", "get_accounts", ()),
        ("_assets_lock", "get_assets", ()),
        ("_assets_lock", "get_asset_by_id", ("x",)),
        ("_positions_lock", "get_positions", ()),
        ("_positions_lock", "get_position_by_market_id", ("x",)),
        ("_orders_lock", "get_orders", ()),
        ("_orders_lock", "get_order_by_id", ("x",)),
        ("_orders_lock", "get_consecutive_rejections", ("x",)),
    ],
)
def test_every_getter_takes_its_lock(store: VegaStore, lock: str, getter: str, args: tuple[str, ...]) -> None:
    reader = threading.Thread(target=getattr(store, getter), args=args)
    with getattr(store, lock):
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()  # it waits for the lock
    reader.join(DEFAULT_TIMEOUT)
    assert not reader.is_alive()


def test_a_look_up_blocks_no_reader(store: VegaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node does not answer; meanwhile every getter does."""
    monkeypatch.setattr("bot.vega_api_client.LOOKUP_TIMEOUT", DEFAULT_TIMEOUT)
    getters = (store.get_orders, store.get_markets, store.get_assets, store.get_positions, store.get_accounts)
    answers: list[Any] = []

    def update() -> None:
        with contextlib.suppress(ParseError):
            store._update_order({"updates": {"orders": [order_node(marketId="e" * 64)]}})
        answers.append("of the look-up")

    writer = threading.Thread(target=update)
    reader = threading.Thread(target=lambda: answers.extend(getter() for getter in getters))
    with SilentServer() as silent:
        store._rest_api_url = silent.url
        writer.start()
        assert silent.asked.wait(DEFAULT_TIMEOUT)
        reader.start()
        reader.join(DEFAULT_TIMEOUT)
    writer.join(DEFAULT_TIMEOUT)  # the server has closed the connection
    assert answers[len(getters) :] == ["of the look-up"]


class SilentServer:
    """Takes connections and says nothing."""

    def __init__(self) -> None:
        import socket

        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked = threading.Event()
        self._taken: list[Any] = []

    def _accept(self) -> None:
        connection, _ = self._socket.accept()
        self._taken.append(connection)
        connection.recv(1000)
        self.asked.set()

    def __enter__(self) -> "SilentServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._socket, *self._taken):
            each.close()


def test_the_log_is_quiet_while_all_is_well(store: VegaStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for result in results("perp-bot-orders"):
            store._update_order(result)
    assert caplog.text == ""
