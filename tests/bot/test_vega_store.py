"""The store against recorded traffic and a scripted node: what it holds is what REST says, whatever way it came."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

import bot.models as models
from bot.parsing import ParseError
from bot.vega_store import LIVE_STATUSES, VegaStore
from tests.support.scripted_node import BOT, KINDS, MARKETS, ScriptedNode, recorded_node
from tests.support.seeded_store import DAI, order_node, rest_at_the_end, results, seeded_store


@pytest.fixture(scope="module")
def node() -> Iterator[ScriptedNode]:
    with recorded_node() as running:
        yield running


@pytest.fixture
def store(node: ScriptedNode) -> VegaStore:
    return seeded_store(node)


###########################################################
#                         Replay                          #
###########################################################


def test_replayed_order_frames_end_in_the_orders_that_rest_calls_live(store: VegaStore) -> None:
    for result in results("all-bot-orders"):
        store._update_order(result)
    expected = [models.parse_order(order, position_decimal_places=3, price_decimal_places=5) for order in rest_at_the_end("orders")]
    assert {order.order_id: order for order in store.get_orders()} == {
        order.order_id: order for order in expected if order.status in LIVE_STATUSES
    }
    assert len(store.get_orders()) == 5


def test_replayed_account_frames_end_in_the_balances_that_rest_gives(store: VegaStore) -> None:
    for result in results("all-bot-accounts"):
        store._update_accounts(result)
    expected = [models.parse_account(account, asset_decimal_places=18) for account in rest_at_the_end("accounts")]
    assert {account.get_id(): account for account in store.get_accounts()} == {account.get_id(): account for account in expected}
    assert len({account.account_type for account in expected}) == 3


def test_replayed_position_frames_end_in_the_positions_that_rest_gives(store: VegaStore) -> None:
    for result in results("all-bot-positions"):
        store._update_position(result)
    expected = [models.parse_position(each, 3, 5, 18) for each in rest_at_the_end("positions")]
    assert {each.market_id: each for each in store.get_positions()} == {each.market_id: each for each in expected}


@pytest.mark.parametrize("kind", KINDS)
def test_replayed_market_data_ends_in_its_last_frame(store: VegaStore, kind: str) -> None:
    frames = results(f"{kind}-market-data")
    for result in frames:
        store._update_market_data(result)
    market, last = store.get_market_by_id(MARKETS[kind]), frames[-1]["marketData"][-1]
    assert market is not None
    assert market.best_bid_price == int(last["bestBidPrice"]) / 10**5
    assert market.best_offer_volume == int(last["bestOfferVolume"]) / 10**3
    assert market.open_interest == int(last.get("openInterest", 0)) / 10**3
    assert (market.state, market.trading_mode) == ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS")


def test_market_data_shows_the_suspension_that_was_recorded(store: VegaStore) -> None:
    states = set()
    for result in results("future-market-data"):
        store._update_market_data(result)
        market = store.get_market_by_id(MARKETS["future"])
        assert market is not None
        states.add((market.state, market.trading_mode))
    assert ("STATE_SUSPENDED_VIA_GOVERNANCE", "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE") in states


###########################################################
#                         Seeding                         #
###########################################################


def test_a_market_of_a_product_unknown_today_is_skipped_with_a_warning(node: ScriptedNode, caplog: pytest.LogCaptureFixture) -> None:
    healthy = node.rest["markets"]
    try:
        body = json.loads(json.dumps(healthy[1]))
        instrument = body["markets"]["edges"][0]["node"]["tradableInstrument"]["instrument"]
        instrument["option"] = instrument.pop("future")
        node.rest["markets"] = (200, body)
        store = VegaStore(websocket_url=node.ws_url, rest_api_url=node.rest_url)
        store.load_data(party_id=BOT)
    finally:
        node.rest["markets"] = healthy
    assert len(store.get_markets()) == 2
    assert "unknown product" in caplog.text


def test_orders_from_rest_are_scaled_by_their_own_decimals(node: ScriptedNode) -> None:
    path = f"orders?filter.partyIds={BOT}&filter.liveOnly=true"
    healthy = node.rest[path]
    try:
        page = {"edges": [{"node": rest_at_the_end("orders")[0], "cursor": "x"}], "pageInfo": {"hasNextPage": False, "endCursor": "x"}}
        node.rest[path] = (200, {"orders": page})
        store = VegaStore(websocket_url=node.ws_url, rest_api_url=node.rest_url)
        store.load_data(party_id=BOT)
    finally:
        node.rest[path] = healthy
    (order,) = store.get_orders()
    assert (order.price, order.size, order.remaining_size, order.side) == (99.68701, 1.0, 0.961, "SIDE_SELL")


def test_data_is_infinitely_old_before_any(store: VegaStore) -> None:
    assert store.seconds_since_update(MARKETS["spot"]) == float("inf")


@pytest.mark.parametrize("lag", [0, 3_600_000_000_000])
def test_prices_from_rest_are_fresh_if_they_belong_to_the_nodes_newest_block(store: VegaStore, node: ScriptedNode, lag: int) -> None:
    latest = node.rest[f"market/data/{MARKETS['perp']}/latest"][1]["marketData"]
    node.block = (372, int(latest["timestamp"]) + lag)
    store._load_market_data(MARKETS["perp"])
    node.block = None
    assert (store.seconds_since_update(MARKETS["perp"]) < 60) is (lag == 0)
    market = store.get_market_by_id(MARKETS["perp"])
    assert market is not None
    assert (market.best_bid_price, market.best_offer_price) == (99.9, 100.1)


###########################################################
#                   Snapshots and updates                 #
###########################################################


def test_a_snapshot_replaces_only_after_its_last_page(store: VegaStore) -> None:
    store._update_order({"updates": {"orders": [order_node(id="1" * 64)]}})
    store._update_order({"snapshot": {"orders": [order_node(id="2" * 64)]}})
    assert [order.order_id for order in store.get_orders()] == ["1" * 64]
    store._update_order({"snapshot": {"orders": [order_node(id="3" * 64)], "lastPage": True}})
    assert {order.order_id for order in store.get_orders()} == {"2" * 64, "3" * 64}


def test_a_snapshot_of_positions_or_accounts_replaces_too(store: VegaStore) -> None:
    gone = {
        "marketId": MARKETS["spot"],
        "partyId": BOT,
        "openVolume": "5",
        "realisedPnl": "1",
        "unrealisedPnl": "2",
        "averageEntryPrice": "3",
    }
    held = {**gone, "marketId": MARKETS["perp"], "openVolume": "7"}
    store._update_position({"updates": {"positions": [gone]}})
    store._update_position({"snapshot": {"positions": [held], "lastPage": True}})
    assert {each.market_id: each.open_volume for each in store.get_positions()} == {MARKETS["perp"]: 0.007}
    general = {"owner": BOT, "balance": "7", "asset": DAI, "type": 4}
    store._update_accounts({"updates": {"accounts": [{**general, "type": 3, "marketId": MARKETS["future"]}]}})
    store._update_accounts({"snapshot": {"accounts": [general], "lastPage": True}})
    assert [account.account_type for account in store.get_accounts()] == ["ACCOUNT_TYPE_GENERAL"]


def test_a_dead_order_in_a_snapshot_is_not_held(store: VegaStore) -> None:
    store._update_order({"snapshot": {"orders": [order_node(status=8), order_node(id="b" * 64, status=5)], "lastPage": True}})
    assert [order.status for order in store.get_orders()] == ["STATUS_PARKED"]


def test_an_update_between_two_pages_wins_over_both(store: VegaStore) -> None:
    store._update_order({"snapshot": {"orders": [order_node(id="1" * 64, size="413")]}})
    store._update_order({"updates": {"orders": [order_node(id="1" * 64, size="414"), order_node(id="2" * 64, status=3)]}})
    store._update_order({"snapshot": {"orders": [order_node(id="2" * 64)], "lastPage": True}})
    assert [(order.order_id, order.size) for order in store.get_orders()] == [("1" * 64, 0.414)]


def test_an_empty_snapshot_empties(store: VegaStore) -> None:
    store._update_order({"updates": {"orders": [order_node()]}})
    store._update_order({"snapshot": {"lastPage": True}})
    assert store.get_orders() == []


def test_nothing_of_a_torn_snapshot_stays(store: VegaStore) -> None:
    store._update_order({"snapshot": {"orders": [order_node(id="2" * 64)]}})
    store._order_snapshot.on_connect()  # called for each new connection
    store._update_order({"snapshot": {"orders": [order_node(id="3" * 64)], "lastPage": True}})
    assert [order.order_id for order in store.get_orders()] == ["3" * 64]


def test_an_order_that_dies_leaves(store: VegaStore) -> None:
    store._update_order({"updates": {"orders": [order_node()]}})
    store._update_order({"updates": {"orders": [order_node(status=3)]}})
    assert store.get_orders() == []


def test_a_parked_order_is_live(store: VegaStore) -> None:
    store._update_order({"updates": {"orders": [order_node(status=8)]}})
    assert store.get_orders()[0].status == "STATUS_PARKED"


def test_every_item_of_a_list_counts(store: VegaStore) -> None:
    general = {"owner": BOT, "balance": "7000000000000000001", "asset": DAI, "type": 4}
    margin = {"owner": BOT, "balance": "3000000000000000002", "asset": DAI, "type": 3, "marketId": MARKETS["future"]}
    store._update_accounts({"updates": {"accounts": [general, margin]}})
    balances = {account.account_type: account.balance for account in store.get_accounts()}
    assert balances == {"ACCOUNT_TYPE_GENERAL": 7.000000000000000001, "ACCOUNT_TYPE_MARGIN": 3.000000000000000002}


def test_every_position_and_every_market_of_a_list_counts(store: VegaStore) -> None:
    position = {"partyId": BOT, "realisedPnl": "11", "unrealisedPnl": "12", "averageEntryPrice": "13"}
    both = [{**position, "marketId": MARKETS["future"], "openVolume": "14"}, {**position, "marketId": MARKETS["perp"], "openVolume": "15"}]
    store._update_position({"updates": {"positions": both}})
    assert {each.open_volume for each in store.get_positions()} == {0.014, 0.015}
    store._update_market_data(
        {"marketData": [results("future-market-data")[0]["marketData"][0], results("perp-market-data")[0]["marketData"][0]]}
    )
    assert {market.market_id for market in store.get_markets() if market.mark_price} == {MARKETS["future"], MARKETS["perp"]}


def test_each_position_has_the_decimals_of_its_own_market_and_asset(store: VegaStore) -> None:
    store._assets["f" * 64] = models.Asset(asset_id="f" * 64, status="STATUS_ENABLED", name="six", symbol="SIX", decimal_places=6)
    market = store.get_market_by_id(MARKETS["future"])
    assert market is not None
    other = dataclasses.replace(market, market_id="e" * 64, settlement_asset_id="f" * 64, decimal_places=2, position_decimal_places=1)
    store._markets["e" * 64] = other
    position = {"partyId": BOT, "marketId": "e" * 64, "openVolume": "-21", "averageEntryPrice": "12345", "realisedPnl": "1500000"}
    store._update_position({"updates": {"positions": [{**position, "unrealisedPnl": "-2500000"}]}})
    (held,) = store.get_positions()
    assert (held.open_volume, held.average_entry_price, held.realised_pnl, held.unrealised_pnl) == (-2.1, 123.45, 1.5, -2.5)


def test_a_position_ages_until_its_stream_has_given_a_snapshot_and_after_it_is_lost(store: VegaStore) -> None:
    assert VegaStore("ws://unused", "http://unused").seconds_since_position(MARKETS["perp"]) == float("inf")
    assert 0 < store.seconds_since_position(MARKETS["perp"]) < 60  # REST's answer
    store._update_position({"snapshot": {"lastPage": True}})
    assert store.seconds_since_position(MARKETS["perp"]) == 0
    assert store.seconds_since_position(MARKETS["spot"]) > 0  # there the balance is the position
    store._position_snapshot.mark_stale(300.0)
    assert 300 < store.seconds_since_position(MARKETS["perp"]) < 360


def test_seeding_again_forgets_prices_and_their_age(store: VegaStore) -> None:
    store._load_market_data(MARKETS["perp"])
    store.load_data(party_id=BOT)
    assert store.seconds_since_update(MARKETS["perp"]) == float("inf")


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [(6, 14, "STATUS_REJECTED, ORDER_ERROR_MARGIN_CHECK_FAILED"), (4, 49, "STATUS_STOPPED, ORDER_ERROR_POST_ONLY_ORDER_WOULD_TRADE")],
)
def test_a_rejected_order_is_logged_with_the_name_of_its_reason(
    store: VegaStore, caplog: pytest.LogCaptureFixture, status: int, reason: int, message: str
) -> None:
    store._update_order({"updates": {"orders": [order_node(status=status, reason=reason)]}})
    assert f"order {'a' * 64}: {message}" in caplog.text


def test_a_bad_entry_is_left_out_and_the_rest_kept(store: VegaStore) -> None:
    bad = order_node(id="b" * 64, price=float("nan"))
    with pytest.raises(ParseError, match="left out 1 of 3: parse_order: NaN is not an integer"):
        store._update_order({"updates": {"orders": [order_node(id="1" * 64), bad, order_node(id="2" * 64)]}})
    assert {order.order_id for order in store.get_orders()} == {"1" * 64, "2" * 64}


@pytest.mark.parametrize("message", [{}, {"updates": None}, {"updates": {"orders": {}}}, {"snapshot": [1]}])
def test_a_message_of_another_shape_changes_nothing(store: VegaStore, message: dict[str, Any]) -> None:
    store._update_order({"updates": {"orders": [order_node()]}})
    with pytest.raises(ParseError, match=r"neither a snapshot nor updates|orders is not a list"):
        store._update_order(message)
    assert len(store.get_orders()) == 1
