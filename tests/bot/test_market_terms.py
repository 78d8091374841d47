"""bot/market_terms.py: a market's terms over REST, and a market with new terms and its old prices."""

import dataclasses

import pytest

from bot.market_terms import fetch_terms, with_terms
from bot.models import Market, parse_market, parse_market_data, parse_timestamp
from bot.vega_api_client import VegaApiError
from tests.support.http_replay import Answer, Replay, recorded, recorded_answer, streamed

PARAMETER = Answer({"networkParameter": {"key": "a", "value": "100"}})
FACTORS = Answer({"riskFactor": {"market": "a", "short": "0.3", "long": "0.1"}})


def a_market() -> Market:
    market = parse_market(recorded("future-market")["body"]["market"])
    node = streamed("future-market-data")[0]["marketData"][0]
    prices = parse_market_data(node, market.decimal_places, market.position_decimal_places)
    return dataclasses.replace(market, timestamp=parse_timestamp(node), **prices)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_market_data_has_the_time_of_its_block() -> None:
    node = streamed("future-market-data")[0]["marketData"][0]
    assert str(parse_timestamp(node)) == str(node["timestamp"])
    assert parse_timestamp({}) == 0


def test_new_terms_keep_the_prices_of_the_stream() -> None:
    old = a_market()
    new = dataclasses.replace(old, tick_size=5, tick=0.00005, best_bid_price=0, best_offer_price=0, timestamp=0, state="STATE_PENDING")
    market = with_terms(old, new)
    assert (market.tick_size, market.tick) == (5, 0.00005)
    assert (market.best_bid_price, market.best_offer_price) == (old.best_bid_price, old.best_offer_price)
    assert (market.timestamp, market.state) == (old.timestamp, old.state)


def test_prices_of_another_scale_are_not_kept() -> None:
    old = a_market()
    market = with_terms(old, dataclasses.replace(old, decimal_places=old.decimal_places + 1, best_bid_price=0, best_offer_price=0))
    assert (market.best_bid_price, market.best_offer_price) == (0, 0)


def test_the_minimum_order_value_comes_from_the_risk_factors_of_each_side() -> None:
    slippage = a_market().linear_slippage_factor
    with Replay(recorded_answer("future-market"), PARAMETER, FACTORS) as node:
        terms = fetch_terms(node.url, "aa" * 32, quantum=2.0)
    assert terms.market == parse_market(recorded("future-market")["body"]["market"])
    assert terms.minimum_values == pytest.approx({"SIDE_BUY": 200 / (0.1 + slippage), "SIDE_SELL": 200 / (0.3 + slippage)})


def test_a_node_that_does_not_say_leaves_the_minimum_unknown() -> None:
    with Replay(recorded_answer("future-market"), Answer({"code": 5, "message": "Not Found"}, status=404)) as node:
        assert fetch_terms(node.url, "aa" * 32, quantum=2.0).minimum_values == {}


def test_a_market_that_cannot_be_read_is_an_error() -> None:
    with Replay(Answer({"code": 5, "message": "Not Found"}, status=404)) as node, pytest.raises(VegaApiError, match="Not Found"):
        fetch_terms(node.url, "aa" * 32, quantum=2.0)
