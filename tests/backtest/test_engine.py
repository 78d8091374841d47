"""The backtest's engine: the same each time, through the live bot's checks, with figures that add up."""

import sys
import time
from dataclasses import asdict, replace
from typing import Union

import pytest

from bot.execution.order_manager import NoQuote
from bot.models import Market, parse_market_data, parse_order
from bot.submission import OrderSubmission
from bot.transport import clock
from bot.vega_store import VegaStore
from tests.backtest.engine import Backtest, RuleError, play
from tests.backtest.figures import Snapshot
from tests.sandbox.chain.traders import KINDS
from tests.sandbox.node.serializers import market_data_node, order_node
from tests.support.example_rule import quotes

BLOCKS = 150
PRODUCTS = ("future", "perpetual", "spot")


def order(market: Market, side: str, price: float, size: float = 1.0) -> OrderSubmission:
    return OrderSubmission(market.market_id, size, price, "TIME_IN_FORCE_GTC", "TYPE_LIMIT", side)


@pytest.mark.parametrize("traders", KINDS)
def test_the_same_seed_gives_the_same_result(traders: str) -> None:
    first, second, other = (play(quotes, [seed], BLOCKS, traders)[0] for seed in (3, 3, 4))

    assert first == second
    assert first != replace(other, seed=3)


@pytest.mark.parametrize("product", PRODUCTS)
def test_pnl_is_the_sum_of_its_parts(product: str) -> None:
    backtest = Backtest(quotes, seed=1, market=product)
    result = backtest.run(BLOCKS)

    assert result.fills > 0
    parts = result.spread_earned + result.price_moves + result.later_moves + result.fees_received - result.fees_paid
    assert result.pnl == pytest.approx(parts)


def test_pnl_is_the_change_of_the_balance_when_the_market_has_settled() -> None:
    backtest = Backtest(quotes, seed=2)
    result = backtest.run(BLOCKS)
    backtest.chain.set_state(backtest.market.id, "STATE_SETTLED", "TRADING_MODE_NO_TRADING")
    backtest.chain.block()

    asset = backtest.market.settlement_asset
    balance = sum(
        account.balance
        for account in backtest.chain.accounts.values()
        if (account.owner, account.asset_id) == (backtest.chain.parties["bot"], asset.id)
    )
    change = balance / 10**asset.decimals - 10_000_000
    assert change == pytest.approx(result.pnl, abs=0.2)  # at most one contract was valued at a price of some blocks before


def test_sizes_beyond_the_position_limit_are_cut_as_in_the_live_bot() -> None:
    def buys(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        return [order(market, "SIDE_BUY", market.best_offer_price + 1, size=3)]

    result = play(buys, [1], BLOCKS, max_abs_position=2.5)[0]

    assert result.largest_position == 2.5
    assert result.time_at_limit > 0.9
    assert result.fees_paid >= 0


def test_orders_that_the_network_rejects_are_counted_with_their_reason() -> None:
    def too_large(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        return [order(market, "SIDE_BUY", market.best_bid_price, size=10_000_000)]

    result = play(too_large, [1], 20, max_abs_position=20_000_000)[0]

    assert result.fills == 0
    assert set(result.rejected) == {"ORDER_ERROR_MARGIN_CHECK_FAILED"}
    assert sum(result.rejected.values()) == result.sent
    assert result.sent < 20  # after ten in a row, every tenth turn only, as in the live bot


def test_orders_below_the_networks_minimum_are_not_sent_as_by_the_live_bot() -> None:
    def too_small(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        return [order(market, "SIDE_BUY", market.best_bid_price, size=0.001)]

    result = play(too_small, [1], 20)[0]

    assert result.fills == 0
    assert result.vanished == result.sent == 0


def test_a_slow_rule_changes_nothing() -> None:
    def slow(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        turns.append(market)
        if len(turns) == 3:
            clock_before = clock.now()
            time.sleep(0.1)
            assert clock.now() == clock_before  # so the age of the data does not depend on the rule's speed
        return quotes(market, open_volume, max_abs_position)

    turns: list[Market] = []
    assert play(slow, [1], 20) == play(quotes, [1], 20)


def test_a_rule_with_a_fourth_parameter_gets_the_store_of_the_same_block() -> None:
    def skewed(market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore) -> list[OrderSubmission]:
        assert vega_store.get_market_by_id(market.market_id) == market
        assert vega_store.seconds_since_update(market.market_id) == 0
        orders.update(own.side for own in vega_store.get_orders())
        balances.add(sum(account.balance for account in vega_store.get_accounts()))
        return quotes(market, open_volume, max_abs_position)

    orders: set[str] = set()
    balances: set[float] = set()
    play(skewed, [1], 30)

    assert orders == {"SIDE_BUY", "SIDE_SELL"}
    assert len(balances) > 1


def test_a_rule_gets_trades_and_best_prices_without_its_own_orders() -> None:
    def one_tick_better(
        market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore
    ) -> Union[list[OrderSubmission], NoQuote]:
        best = vega_store.get_best_prices_without_us(market.market_id)
        assert best is not None
        bid, offer = best
        if not (bid and offer):
            return NoQuote("nobody else")
        own = {(order.side, order.price) for order in vega_store.get_orders()}
        assert bid <= market.best_bid_price
        assert bid == market.best_bid_price or ("SIDE_BUY", market.best_bid_price) in own
        assert offer == market.best_offer_price or ("SIDE_SELL", market.best_offer_price) in own
        better.append(bid < market.best_bid_price)
        trades.append(len(vega_store.get_trades()))
        prices = {"SIDE_BUY": bid + market.tick, "SIDE_SELL": offer - market.tick}
        return [OrderSubmission(market.market_id, 0.5, prices[side], "TIME_IN_FORCE_GTC", "TYPE_LIMIT", side) for side in prices]

    better: list[bool] = []
    trades: list[int] = []
    play(one_tick_better, [1], 60)

    assert sum(better) > 3
    assert trades == sorted(trades)
    assert trades[-1] > 10


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_records_are_those_that_the_live_bot_parses(product: str) -> None:
    def compares(market: Market, open_volume: float, max_abs_position: float, vega_store: VegaStore) -> list[OrderSubmission]:
        node = market_data_node(backtest.chain, backtest.market)
        places = (market.position_decimal_places, market.decimal_places)
        prices = parse_market_data(node, market.decimal_places, market.position_decimal_places)
        assert {name: getattr(market, name) for name in prices} == prices
        assert market.timestamp == int(node["timestamp"])
        _, updates = vega_store.get_order_updates(0)
        for update in {update.order_id: update for update in updates}.values():  # the newest of each order
            parsed = parse_order(order_node(backtest.chain.orders[update.order_id]), *places)
            assert asdict(update) == asdict(parsed)
            statuses.add(update.status)
        crossing = replace(order(market, "SIDE_BUY", market.best_offer_price), post_only=True)  # is stopped
        return [*quotes(market, open_volume, max_abs_position), crossing]

    statuses: set[str] = set()
    backtest = Backtest(compares, seed=1, market=product, max_abs_position=3)
    assert backtest.run(40).sent > 0
    assert statuses >= {"STATUS_ACTIVE", "STATUS_CANCELLED", "STATUS_FILLED", "STATUS_STOPPED"}


def test_a_rule_may_return_no_quote() -> None:
    result = play(lambda market, open_volume, max_abs_position: NoQuote("too quiet"), [1], 20)[0]

    assert (result.sent, result.fills, result.pnl) == (0, 0, 0)
    assert result.no_quotes == {"too quiet": 20}


def test_orders_that_the_wallet_rejects_are_counted_with_its_error_message() -> None:
    def misspelt(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        return [replace(one, time_in_force="GTC") for one in quotes(market, open_volume, max_abs_position)]

    result = play(misspelt, [1], 20)[0]

    assert (result.sent, result.vanished, result.no_quotes) == (40, 0, {})
    assert [(reason.partition(" ")[0], count) for reason, count in result.rejected.items()] == [("unknown", 40)]


def test_orders_without_a_trace_are_sent_again_as_by_the_live_bot() -> None:
    def reduce_only(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        return [replace(one, reduce_only=True) for one in quotes(market, open_volume, max_abs_position)]  # needs IOC or FOK

    result = play(reduce_only, [1], 60)[0]

    assert result.vanished == result.sent > 4


def test_a_rule_that_raises_ends_the_backtest_with_what_it_was_given() -> None:
    def fails(market: Market, open_volume: float, max_abs_position: float) -> list[OrderSubmission]:
        calls.append(market)
        if len(calls) == 7:
            raise KeyError("my settings")
        return []

    calls: list[Market] = []
    with pytest.raises(RuleError, match="seed 5, block 7: KeyError") as caught:
        play(fails, [5], BLOCKS)

    error = caught.value
    assert (error.turn.block, error.turn.market, error.turn.position, error.turn.max_abs_position) == (7, calls[-1], 0, 1.0)
    assert "in fails" in error.details
    assert 'raise KeyError("my settings")' in error.details
    assert "order_manager.py" not in error.details


def test_a_rule_that_exits_ends_the_backtest_with_what_it_was_given() -> None:
    with pytest.raises(RuleError, match="seed 1, block 1: SystemExit: enough") as caught:
        play(lambda market, open_volume, max_abs_position: sys.exit("enough"), [1], BLOCKS)

    assert caught.value.turn.transaction is None


def test_orders_that_the_live_bot_would_not_send_end_the_backtest() -> None:
    with pytest.raises(RuleError, match="must return a list"):
        play(lambda market, open_volume, max_abs_position: None, [1], BLOCKS)


def test_the_rule_sees_the_block_before_and_is_filled_in_the_next() -> None:
    snapshots: list[Snapshot] = []
    Backtest(quotes, seed=1).run(BLOCKS, observe=snapshots.append)

    assert [snapshot.block for snapshot in snapshots] == list(range(1, BLOCKS + 1))
    for snapshot in snapshots:
        assert snapshot.bid < snapshot.offer
        assert all(price == snapshot.own_bid for price in snapshot.bought)
        assert all(price == snapshot.own_offer for price in snapshot.sold)
    assert any(snapshot.bought for snapshot in snapshots)


def test_an_unknown_market_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown market 'futures'; known are future"):
        play(quotes, [1], 1, market="futures")
