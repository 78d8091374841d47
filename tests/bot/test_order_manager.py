"""bot/execution/order_manager.py: turns of the loop, without a network where none is needed."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import bot.submission as sub
import main
from bot.execution import order_manager
from bot.execution.shutdown import Shutdown
from bot.models import Market
from bot.vega_store import VegaStore
from bot.wallet import VegaWallet
from tests.support.http_replay import Replay, recorded_answer, streamed


def test_a_first_turn_whose_rule_fails_is_skipped_and_the_next_one_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shutdown = Shutdown()
    turns = []

    def first_try(market: Market, open_volume: float, max_abs_position: float) -> list[sub.OrderSubmission]:
        turns.append(market.market_id)
        if len(turns) == 1:
            raise ZeroDivisionError("a newcomer's first try")
        shutdown.requested.set()
        return []

    monkeypatch.setattr(main, "quotes", first_try)
    names = ("assets", "markets", "bot-accounts", "bot-orders", "bot-positions", "future-market")
    with Replay(*map(recorded_answer, names)) as node:
        store = VegaStore(websocket_url="ws://127.0.0.1:1", rest_api_url=node.url)
        store.load_data(party_id="bb" * 32)
        data = streamed("future-market-data")[0]
        store._update_market_data(data)
        for update in (store._update_accounts, store._update_order, store._update_position):
            update({"snapshot": {"lastPage": True}})
        market_id = data["marketData"][0]["market"]
        main._run(node.url, market_id, "bb" * 32, "token", "http://127.0.0.1:1", store, shutdown=shutdown)
    assert turns == [market_id, market_id]


def positional(market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore) -> list[Any]:
    return [vega_store]


def keyword_only(market: Market, open_volume: float, max_abs_position: float, *, vega_store: VegaStore) -> list[Any]:
    return [vega_store]


def with_default(market: Market, open_volume: float, max_abs_position: float, levels: int = 3) -> list[Any]:
    return [levels]


def with_levels(levels: int, market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore) -> list[Any]:
    return [vega_store]


@dataclass
class UnhashableRule:
    levels: int = 3

    def __call__(self, market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore) -> list[Any]:
        return [vega_store]


@pytest.mark.parametrize(
    ("rule", "takes_store"),
    [
        (positional, True),
        (keyword_only, True),
        (with_default, False),
        (functools.partial(with_levels, 3), True),
        (UnhashableRule(), True),
        (UnhashableRule().__call__, True),
    ],
    ids=["positional", "keyword only", "default", "partial", "unhashable object", "method"],
)
def test_a_rule_gets_the_store_if_it_has_a_parameter_of_that_name(
    rule: Callable[..., list[Any]], takes_store: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VegaStore(websocket_url="ws://127.0.0.1:1", rest_api_url="http://127.0.0.1:1")
    monkeypatch.setattr(order_manager, "check_market", lambda market, ages: "")
    monkeypatch.setattr(order_manager, "validate_orders", lambda orders, market_id: orders)
    wallet = VegaWallet(token="", wallet_url="http://127.0.0.1:1", pub_key="")
    manager = order_manager.OrderManager(wallet, store, "aa" * 32, 1.0, Shutdown())
    market = Market("aa" * 32, "STATE_ACTIVE", "TRADING_MODE_CONTINUOUS", 5, 3, "", "", "")
    for _ in range(2):
        returned: list[Any] = manager.ask(rule, market, 0.0)
        assert returned == ([store] if takes_store else [3])
