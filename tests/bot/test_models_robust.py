"""bot/models.py: whatever a node holds, a parser returns a record or raises ParseError."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import models
from bot.parsing import ParseError
from tests.support.http_replay import recorded, recorded_nodes, streamed, streamed_nodes

PARSERS: dict[str, Callable[[Any], Any]] = {
    "asset": models.parse_asset,
    "account": lambda node: models.parse_account(node, 18),
    "order": lambda node: models.parse_order(node, 3, 5),
    "position": lambda node: models.parse_position(node, 3, 5, 18),
    "market": models.parse_market,
    "market data": lambda node: models.parse_market_data(node, 5, 3),
}
NODES = {
    "asset": recorded_nodes("assets", "assets"),
    "account": recorded_nodes("bot-end-accounts", "accounts") + streamed_nodes("all-bot-accounts", "accounts")[:4],
    "order": recorded_nodes("bot-end-orders", "orders") + streamed_nodes("spot-bot-orders", "orders"),
    "position": recorded_nodes("bot-end-positions", "positions") + streamed_nodes("all-bot-positions", "positions")[:4],
    "market": recorded_nodes("markets", "markets"),
    "market data": [
        *(recorded(f"{product}-market-data-latest")["body"]["marketData"] for product in ("future", "perp", "spot")),
        *(streamed(f"{product}-market-data")[0]["marketData"][0] for product in ("future", "perp", "spot")),
    ],
}


class Deep(list):  # type: ignore[type-arg]
    """A list in a list in a list, …: too deep for json and for repr."""

    def __init__(self) -> None:
        inner: Any = "bottom"
        for _ in range(2000):
            inner = [inner]
        super().__init__([inner])

    def __repr__(self) -> str:
        return "Deep()"


DEEP = Deep()
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.integers().map(str),
    st.sampled_from([10**400, -(10**4000), "9" * 5000, "1e5", "1.5", "0x10", " 7", "7\n", "٣", "-0", "--1", "NaN", "", "\ud800", [], {}]),
    st.just(DEEP),
)
KEYS = st.sampled_from(
    [
        "id",
        "details",
        "name",
        "symbol",
        "decimals",
        "status",
        "owner",
        "type",
        "balance",
        "asset",
        "marketId",
        "partyId",
        "side",
        "price",
        "size",
        "remaining",
        "timeInForce",
        "reason",
        "openVolume",
        "averageEntryPrice",
        "unrealisedPnl",
        "realisedPnl",
        "tradableInstrument",
        "instrument",
        "future",
        "perpetual",
        "spot",
        "code",
        "tickSize",
        "settlementAsset",
        "quoteAsset",
        "baseAsset",
        "decimalPlaces",
        "positionDecimalPlaces",
        "state",
        "tradingMode",
        "markPrice",
        "bestBidPrice",
    ]
)
ANY_JSON = st.recursive(VALUES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=12)))


def assert_record_or_parse_error(kind: str, node: Any) -> None:
    record, problem = None, ""
    try:
        record = PARSERS[kind](node)
    except ParseError as error:
        problem = str(error)
    assert len(problem) < 500, "evidence is shortened"
    assert "\n" not in problem, "a log line is one line"
    if dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            assert_is_a(field.type, getattr(record, field.name), field.name)
    for name, value in record.items() if isinstance(record, dict) else ():
        assert_is_a(str if name in ("state", "trading_mode") else float, value, name)


def assert_is_a(kind: Any, value: Any, name: str) -> None:
    if kind is int:
        assert type(value) is int, name
    elif kind is bool:
        assert type(value) is bool, name
    elif kind is float and value != 0:  # a default of 0 is an int, as on the page
        assert type(value) is float, name
        assert math.isfinite(value), name
    elif kind is not float:
        assert type(value) is kind, name


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each value inside a node."""
    if path:
        yield path
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield from places(node[key], (*path, key))


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=40, deadline=None)
@given(node=ANY_JSON)
@example(node=DEEP)
@example(node=None)
@example(node=[])
def test_any_json_gives_a_record_or_a_parse_error(kind: str, node: Any) -> None:
    assert_record_or_parse_error(kind, node)


# The fields that a parser reads are drawn as often as all others together: real nodes hold mostly what the bot ignores.
MUTATED = [(kind, index, path) for kind, nodes in NODES.items() for index, node in enumerate(nodes) for path in places(node)]
READ = [(kind, index, path) for kind, index, path in MUTATED if len(path) <= (1 if kind not in ("market", "asset") else 4)]


def changed(kind: str, index: int, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    node = copy.deepcopy(NODES[kind][index])
    parent = node
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return node


@settings(max_examples=200, deadline=None)
@given(place=st.one_of(st.sampled_from(READ), st.sampled_from(MUTATED)), value=st.one_of(VALUES, ANY_JSON))
def test_a_real_node_with_one_value_replaced_gives_a_record_or_a_parse_error(place: tuple[str, int, tuple[Any, ...]], value: Any) -> None:
    def replace(parent: Any, key: Any) -> None:
        parent[key] = value

    assert_record_or_parse_error(place[0], changed(*place, replace))


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "value", [None, True, 1.5, math.nan, math.inf, -1, 10**400, "1e5", "text", "9" * 5000, [], {}, DEEP], ids=lambda value: repr(value)[:9]
)
def test_each_value_of_a_real_node_may_be_of_any_type(kind: str, value: Any) -> None:
    def replace(parent: Any, key: Any) -> None:
        parent[key] = value

    for place in (place for place in READ if place[0] == kind):
        assert_record_or_parse_error(kind, changed(*place, replace))


@pytest.mark.parametrize("kind", PARSERS)
def test_each_key_of_a_real_node_may_be_missing(kind: str) -> None:
    def remove(parent: Any, key: Any) -> None:
        del parent[key]

    for place in (place for place in READ if place[0] == kind):
        assert_record_or_parse_error(kind, changed(*place, remove))


@pytest.mark.parametrize("kind", PARSERS)
def test_the_real_nodes_themselves_give_records(kind: str) -> None:
    for node in NODES[kind]:
        PARSERS[kind](node)


NOT_AMOUNTS: list[Any] = [None, True, 1.5, math.nan, "1e5", "1.5", "0x10", " 7", "7\n", "٣", "--1", "", [], {}]


@pytest.mark.parametrize("value", NOT_AMOUNTS, ids=repr)
@pytest.mark.parametrize("field", ["size", "remaining", "price"])
def test_an_amount_that_is_not_a_padded_integer_is_a_parse_error(field: str, value: Any) -> None:
    with pytest.raises(ParseError):
        PARSERS["order"]({**NODES["order"][0], field: value})


@pytest.mark.parametrize("field", ["id", "marketId", "partyId"])
@pytest.mark.parametrize("value", [None, 7, True, [], {}], ids=repr)
def test_an_id_that_is_not_text_is_a_parse_error(field: str, value: Any) -> None:
    with pytest.raises(ParseError):
        PARSERS["order"]({**NODES["order"][0], field: value})


@pytest.mark.parametrize("field", ["price", "id", "marketId", "partyId"])
def test_fields_that_streams_never_leave_out_are_required(field: str) -> None:
    with pytest.raises(ParseError, match=f"'{field}' is missing"):
        PARSERS["order"]({key: value for key, value in NODES["order"][0].items() if key != field})


@pytest.mark.parametrize("field", ["decimalPlaces", "positionDecimalPlaces"])
def test_decimals_that_no_market_can_have_are_a_parse_error(field: str) -> None:
    with pytest.raises(ParseError):  # 10 to this power would keep the bot busy without end
        PARSERS["market"]({**NODES["market"][0], field: "1000000000"})
