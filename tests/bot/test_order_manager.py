"""bot/execution/order_manager.py: turns of the loop, without a network where none is needed."""

import pytest

import bot.submission as sub
import main
from bot.execution.shutdown import Shutdown
from bot.models import Market
from bot.vega_store import VegaStore
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
