"""main.quotes: from what the bot knows to the orders it wants."""

import dataclasses
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bot.submission as sub
import main
from bot.execution.pre_trade_checks import as_orders
from bot.execution.shutdown import Life
from bot.models import Market
from bot.vega_store import VegaStore
from main import quotes
from tests.support.http_replay import Replay, recorded_answer, streamed


def a_market(position_decimal_places: int = 3, best_bid_price: float = 100.15385, best_offer_price: float = 100.21167) -> Market:
    return Market(
        market_id="aa" * 32,
        state="STATE_ACTIVE",
        trading_mode="TRADING_MODE_CONTINUOUS",
        decimal_places=5,
        position_decimal_places=position_decimal_places,
        code="BTCDAI.FUT",
        name="BTCDAI Future",
        settlement_asset_id="dd" * 32,
        mark_price=100.18,
        best_bid_price=best_bid_price,
        best_offer_price=best_offer_price,
        best_bid_volume=7.5,
        best_offer_volume=8.25,
        open_interest=31.125,
    )


def sizes(open_volume: float, max_abs_position: float, position_decimal_places: int = 3) -> dict[str, float]:
    return {order.side: order.size for order in quotes(a_market(position_decimal_places), open_volume, max_abs_position)}


def test_a_flat_bot_quotes_size_one_on_both_sides_at_the_best_prices() -> None:
    assert quotes(a_market(), open_volume=0, max_abs_position=1) == [
        sub.OrderSubmission(
            market_id="aa" * 32, size=1.0, price=100.15385, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_BUY"
        ),
        sub.OrderSubmission(
            market_id="aa" * 32, size=1.0, price=100.21167, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_SELL"
        ),
    ]


def test_at_the_maximum_it_only_sells() -> None:
    assert sizes(open_volume=1, max_abs_position=1) == {"SIDE_SELL": 1.0}


def test_at_the_minimum_it_only_buys() -> None:
    assert sizes(open_volume=-1, max_abs_position=1) == {"SIDE_BUY": 1.0}


def test_beyond_the_maximum_it_only_sells() -> None:
    assert sizes(open_volume=2.186, max_abs_position=1) == {"SIDE_SELL": 1.0}


def test_beyond_the_minimum_it_only_buys() -> None:
    assert sizes(open_volume=-2.186, max_abs_position=1) == {"SIDE_BUY": 1.0}


def test_a_long_position_leaves_room_for_less_than_one_more() -> None:
    assert sizes(open_volume=0.251, max_abs_position=1) == {"SIDE_BUY": 0.749, "SIDE_SELL": 1.0}


def test_a_short_position_leaves_room_for_less_than_one_less() -> None:
    assert sizes(open_volume=-0.251, max_abs_position=1) == {"SIDE_BUY": 1.0, "SIDE_SELL": 0.749}


def test_a_maximum_below_one_cuts_both_sides() -> None:
    assert sizes(open_volume=0.1, max_abs_position=0.5) == {"SIDE_BUY": 0.4, "SIDE_SELL": 0.6}


def test_room_below_the_size_step_is_no_room() -> None:
    assert sizes(open_volume=0.25, max_abs_position=0.2504) == {"SIDE_SELL": 0.5}


def test_a_maximum_of_nothing_quotes_nothing() -> None:
    assert sizes(open_volume=0, max_abs_position=0) == {}


def test_a_market_without_size_decimals_gets_whole_contracts() -> None:
    assert sizes(open_volume=1, max_abs_position=1.5, position_decimal_places=0) == {"SIDE_SELL": 1.0}


def test_a_market_that_trades_in_tens_gets_no_single_contract() -> None:
    assert sizes(open_volume=0, max_abs_position=100, position_decimal_places=-1) == {}


SIDES = {"SIDE_BUY": 1, "SIDE_SELL": -1}


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=st.integers(-3, 6), data=st.data())
def test_a_side_has_the_largest_size_whose_filling_does_not_pass_the_maximum(decimals: int, data: st.DataObject) -> None:
    step = Fraction(10) ** -decimals
    maximum = data.draw(st.decimals(0, 5000, places=data.draw(st.integers(0, 7))), label="maximum")
    near = round(Fraction(maximum) / step)
    steps = data.draw(st.one_of(st.integers(-near - 3, near + 3), st.integers(-(10**9), 10**9)), label="position in steps")
    open_volume = sub.convert_to_decimals(decimals, steps)

    submissions = quotes(a_market(decimals), open_volume, float(maximum))

    sent = {order.side: sub.convert_from_decimals(decimals, order.size) for order in submissions}
    for side, sign in SIDES.items():
        room = min(Fraction(1), Fraction(maximum) - sign * steps * step)
        assert sent.get(side, 0) == max(0, room // step)


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=st.integers(0, 6), data=st.data())
def test_a_position_kept_as_a_sum_of_fills_never_passes_the_maximum(decimals: int, data: st.DataObject) -> None:
    maximum = data.draw(st.sampled_from([Decimal("1"), Decimal("0.3"), Decimal("2.5")]))
    steps = 0
    for side in data.draw(st.lists(st.sampled_from(list(SIDES)), max_size=8)):
        orders = quotes(a_market(decimals), sub.convert_to_decimals(decimals, steps), float(maximum))
        steps += SIDES[side] * sum(sub.convert_from_decimals(decimals, order.size) for order in orders if order.side == side)
        assert abs(Fraction(steps, 10**decimals)) <= Fraction(maximum)


PRICES = st.floats(min_value=1e-9, max_value=1e9)


@settings(deadline=None)  # a busy machine is no fault of the code
@given(bid=PRICES, offer=PRICES)
def test_prices_go_out_untouched(bid: float, offer: float) -> None:
    submissions = quotes(a_market(best_bid_price=bid, best_offer_price=offer), open_volume=0.5, max_abs_position=2)
    assert [order.price for order in submissions] == [bid, offer]


def test_a_first_turn_whose_quotes_fail_is_skipped_and_the_next_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    life = Life()
    turns = []

    def a_newcomers_quotes(market: Market, open_volume: float, max_abs_position: float) -> list[sub.OrderSubmission]:
        turns.append(market.market_id)
        if len(turns) == 1:
            raise ZeroDivisionError("a newcomer's first try")
        life.stop.set()
        return []

    monkeypatch.setattr(main, "quotes", a_newcomers_quotes)
    names = ("assets", "markets", "bot-accounts", "bot-orders", "bot-positions", "future-market")
    with Replay(*map(recorded_answer, names)) as node:
        store = VegaStore(websocket_url="ws://127.0.0.1:1", rest_api_url=node.url)
        store.load_data(party_id="bb" * 32)
        data = streamed("future-market-data")[0]
        store._update_market_data(data)
        market_id = data["marketData"][0]["market"]
        main._run(node.url, market_id, "bb" * 32, "token", "http://127.0.0.1:1", store, life=life)
    assert turns == [market_id, market_id]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "must return a list of sub.OrderSubmission, not None"),
        ({"market_id": "another"}, "must be for market.market_id"),
        ({"time_in_force": "TIME_IN_FORCE_GTT"}, "not GTT"),
        ({"size": 30}, "wants 30 orders, but a batch holds at most 29"),
    ],
    ids=["forgotten return", "another market", "GTT", "too many"],
)
def test_orders_that_this_bot_cannot_send_are_an_error_in_words(changes: Optional[dict[str, Any]], words: str) -> None:
    order = sub.OrderSubmission(market_id="m", size=2, price=3, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_BUY")
    wanted = None if changes is None else [dataclasses.replace(order, **changes)] * int(changes.get("size", 1))
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        as_orders(wanted, "m")
    assert as_orders((order,), "m") == [order]
