"""bot/enums.py holds the names and numbers that a v0.77.6 network uses."""

import inspect
import json
from enum import IntEnum
from pathlib import Path

import pytest

from bot import enums

API = json.loads((Path(__file__).parents[1] / "sandbox" / "chain" / "enums.json").read_text())
NAMES_HERE = {
    "Order.Status": "OrderStatus",
    "Order.Type": "OrderType",
    "Order.TimeInForce": "TimeInForce",
    "Market.State": "MarketState",
    "Market.TradingMode": "TradingMode",
    "Asset.Status": "AssetStatus",
}
KINDS = {name: kind for name, kind in vars(enums).items() if inspect.isclass(kind) and issubclass(kind, IntEnum) and kind is not IntEnum}


NAMES_IN_API = {here: api_name for api_name, here in NAMES_HERE.items()}


@pytest.mark.parametrize("name", KINDS)
def test_an_enum_has_the_names_and_numbers_of_the_api(name: str) -> None:
    published = API[NAMES_IN_API.get(name, name)]
    assert {member: int(number) for member, number in KINDS[name].__members__.items()} == published


def test_a_number_becomes_its_name() -> None:
    assert enums.enum_name(enums.OrderError, 49) == "ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE"


def test_a_name_stays_unchanged() -> None:
    assert enums.enum_name(enums.OrderStatus, "STATUS_FILLED") == "STATUS_FILLED"


def test_an_unknown_name_stays_unchanged() -> None:
    assert enums.enum_name(enums.OrderStatus, "STATUS_BRAND_NEW") == "STATUS_BRAND_NEW"


@pytest.mark.parametrize("number", [42, -1, 2**31])
def test_an_unknown_number_becomes_text_that_shows_it(number: int) -> None:
    assert enums.enum_name(enums.OrderStatus, number) == f"OrderStatus({number})"
