"""bot/models.py: REST nodes and stream nodes of a real network become the same records."""

from typing import Any

import pytest

from bot import models
from bot.models import Account, Asset, Market, Order, Position
from bot.parsing import ParseError
from tests.support.http_replay import recorded, recorded_nodes, streamed, streamed_nodes

BOT = "43f1a2d95c6776b8926b689b9da55ecfad39f00a735f4f353e2ac912a3f0c24e"
FUTURE = "cbe5d71234d0177ddf258bf7c0488dc91f6ca25c367423730f22dea28f562cf2"
PERPETUAL = "14fb094f20a7aeb3e4e1d192558b6c4a9469529941431f04b7e9ac2483d7e658"
SPOT = "8ba87ac01323a6f56b8e7e6cf414552410734a852ae4bd4ed6d2b97524da2581"
DAI = "001eeef746496f66af378f13c1f9bedbca4e6d57804e701810dbaf682a87706c"
BTC = "acd64d3e32eaa6b82562e4d53088a3c27aa494beb6b1b3d5a0a2c53e7db44625"
PRICE, SIZE, ASSET = 5, 3, 18  # the recorded network's decimals

SELL_ORDER = Order(
    order_id="db4be35281ad472b6cbdcd4f2bdaa889918c5decebd92c78b903331fcdd7d07a",
    market_id=PERPETUAL,
    size=1.0,
    remaining_size=0.961,
    price=99.68701,
    order_type="TYPE_LIMIT",
    time_in_force="TIME_IN_FORCE_GTC",
    status="STATUS_ACTIVE",
    party_id=BOT,
    side="SIDE_SELL",
    reason="",
)
LONG_POSITION = Position(
    party_id=BOT,
    market_id=PERPETUAL,
    open_volume=1.393,
    average_entry_price=99.86736,
    unrealised_pnl=-0.353453760566108913,
    realised_pnl=0.004660330566108913,
)
MARGIN_ACCOUNT = Account(owner=BOT, account_type="ACCOUNT_TYPE_MARGIN", balance=10.85471777319414709, asset_id=DAI, market_id=PERPETUAL)


def an_order(node: Any) -> Order:
    return models.parse_order(node, position_decimal_places=SIZE, price_decimal_places=PRICE)


def a_position(node: Any) -> Position:
    return models.parse_position(node, position_decimal_places=SIZE, price_decimal_places=PRICE, asset_decimal_places=ASSET)


def an_account(node: Any) -> Account:
    return models.parse_account(node, asset_decimal_places=ASSET)


def market_data(node: Any) -> dict[str, Any]:
    return models.parse_market_data(node, price_decimal_places=PRICE, position_decimal_places=SIZE)


def streamed_order(**changes: Any) -> dict[str, Any]:
    return {**streamed_nodes("all-bot-orders", "orders")[-1], **changes}


def a_market_node(product: str = "future", **changes: Any) -> dict[str, Any]:
    return {**recorded(f"{product}-market")["body"]["market"], **changes}


###########################################################
#            The same thing over REST and stream          #
###########################################################


def test_orders_are_the_same_over_rest_and_stream() -> None:
    on_stream = {node["id"]: an_order(node) for node in streamed_nodes("all-bot-orders", "orders")}
    over_rest = {node["id"]: an_order(node) for node in recorded_nodes("bot-end-orders", "orders")}
    assert len(over_rest) == 5
    assert over_rest == {order_id: on_stream[order_id] for order_id in over_rest}


def test_positions_are_the_same_over_rest_and_stream() -> None:
    on_stream = {node["marketId"]: a_position(node) for node in streamed_nodes("all-bot-positions", "positions")}
    over_rest = {node["marketId"]: a_position(node) for node in recorded_nodes("bot-end-positions", "positions")}
    assert len(over_rest) == 2
    assert on_stream == over_rest


def test_accounts_are_the_same_over_rest_and_stream() -> None:
    on_stream = {account.get_id(): account for account in map(an_account, streamed_nodes("all-bot-accounts", "accounts"))}
    over_rest = {account.get_id(): account for account in map(an_account, recorded_nodes("bot-end-accounts", "accounts"))}
    assert len(over_rest) == 4
    assert on_stream == over_rest


@pytest.mark.parametrize("product", ["future", "perp", "spot"])
def test_market_data_is_the_same_over_rest_and_stream(product: str) -> None:
    over_rest = recorded(f"{product}-market-data-latest")["body"]["marketData"]
    assert market_data(streamed(f"{product}-market-data")[0]["marketData"][0]) == market_data(over_rest)


def test_every_recorded_order_has_names_for_all_its_numbers() -> None:
    orders = map(an_order, streamed_nodes("all-bot-orders", "orders"))
    names = {name for order in orders for name in (order.order_type, order.time_in_force, order.status, order.side, order.reason)}
    assert not [name for name in names if name and not name.isupper()]


###########################################################
#                  Every field, in its unit               #
###########################################################


def test_an_order_has_prices_and_sizes_in_human_units() -> None:
    assert an_order(streamed_order()) == SELL_ORDER


def test_an_order_without_remaining_is_filled() -> None:
    node = streamed_order(status=5)
    del node["remaining"]
    assert an_order(node).remaining_size == 0


def test_an_order_without_size_has_none() -> None:
    node = streamed_order()
    del node["size"]
    assert an_order(node).size == 0


def test_a_rejected_order_says_why() -> None:
    (rejected,) = (node for node in streamed_nodes("spot-bot-orders", "orders") if node["status"] == 6)
    assert an_order(rejected).reason == "ORDER_ERROR_INSUFFICIENT_ASSET_BALANCE"


def test_a_reason_over_rest_keeps_its_name() -> None:
    assert an_order(streamed_order(reason="ORDER_ERROR_MARGIN_CHECK_FAILED")).reason == "ORDER_ERROR_MARGIN_CHECK_FAILED"


def test_a_position_has_volume_price_and_money_each_in_its_own_decimals() -> None:
    (node,) = (node for node in recorded_nodes("bot-end-positions", "positions") if node["marketId"] == PERPETUAL)
    assert a_position(node) == LONG_POSITION


def test_a_short_position_is_below_zero() -> None:
    (node,) = (node for node in recorded_nodes("bot-end-positions", "positions") if node["marketId"] == PERPETUAL)
    assert a_position({**node, "openVolume": "-251"}).open_volume == -0.251


def test_a_position_without_open_volume_is_flat() -> None:
    node = next(node for node in streamed_nodes("all-bot-positions", "positions") if "openVolume" not in node)
    assert a_position(node).open_volume == 0


def test_an_account_has_its_balance_in_units_of_the_asset() -> None:
    (node,) = (node for node in recorded_nodes("bot-end-accounts", "accounts") if node["marketId"] == PERPETUAL)
    assert an_account(node) == MARGIN_ACCOUNT


def test_a_general_account_is_on_no_market() -> None:
    node = next(node for node in streamed_nodes("all-bot-accounts", "accounts") if node["type"] == 4)
    assert an_account(node).market_id == ""


def test_a_balance_of_eighteen_decimals_is_exact() -> None:
    (node,) = (node for node in recorded_nodes("bot-end-accounts", "accounts") if node["type"] == "ACCOUNT_TYPE_GENERAL")
    assert an_account(node).balance == 2264566.533348769036389927


def test_an_account_is_told_apart_by_owner_market_type_and_asset() -> None:
    assert MARGIN_ACCOUNT.get_id() == f"{BOT}-{PERPETUAL}-ACCOUNT_TYPE_MARGIN-{DAI}"


def test_market_data_has_prices_in_price_decimals_and_volumes_in_size_decimals() -> None:
    node = {
        "markPrice": "10018000",
        "bestBidPrice": "10015385",
        "bestOfferPrice": "10021167",
        "bestBidVolume": "7500",
        "bestOfferVolume": "8250",
        "openInterest": "31125",
        "marketTradingMode": 6,
        "marketState": 10,
    }
    assert market_data(node) == {
        "mark_price": 100.18,
        "best_bid_price": 100.15385,
        "best_offer_price": 100.21167,
        "best_bid_volume": 7.5,
        "best_offer_volume": 8.25,
        "open_interest": 31.125,
        "trading_mode": "TRADING_MODE_SUSPENDED_VIA_GOVERNANCE",
        "state": "STATE_SUSPENDED_VIA_GOVERNANCE",
    }


@pytest.mark.parametrize("field", ["bestBidVolume", "bestOfferVolume", "openInterest"])
def test_volumes_that_a_stream_leaves_out_are_zero(field: str) -> None:
    node = {key: value for key, value in streamed("future-market-data")[0]["marketData"][0].items() if key != field}
    assert market_data(node)[{"bestBidVolume": "best_bid_volume", "bestOfferVolume": "best_offer_volume"}.get(field, "open_interest")] == 0


def test_an_asset_has_its_decimals_as_a_number() -> None:
    (node,) = (node for node in recorded_nodes("assets", "assets") if node["id"] == BTC)
    node["details"]["name"] = "Test Bitcoin"  # recorded: the same as the symbol
    assert models.parse_asset(node) == Asset(asset_id=BTC, status="STATUS_ENABLED", name="Test Bitcoin", symbol="tBTC", decimal_places=8)


def test_a_perpetual_parses_with_its_tick_size() -> None:
    node = a_market_node("perp", tickSize="25")
    node["tradableInstrument"]["instrument"]["code"] = "BTCDAI.PERP"
    assert models.parse_market(node) == Market(
        market_id=PERPETUAL,
        state="STATE_ACTIVE",
        trading_mode="TRADING_MODE_CONTINUOUS",
        decimal_places=5,
        position_decimal_places=3,
        code="BTCDAI.PERP",
        name="BTCDAI Perp",
        settlement_asset_id=DAI,
        tick_size=25,
    )


def test_a_spot_market_settles_in_its_quote_asset() -> None:
    market = models.parse_market(a_market_node("spot"))
    assert (market.market_id, market.settlement_asset_id, market.base_asset_id) == (SPOT, DAI, BTC)


def test_a_future_has_no_base_asset() -> None:
    market = models.parse_market(a_market_node("future"))
    assert (market.market_id, market.settlement_asset_id, market.base_asset_id) == (FUTURE, DAI, "")


def test_all_recorded_markets_parse() -> None:
    assert {models.parse_market(node).market_id for node in recorded_nodes("markets", "markets")} == {FUTURE, PERPETUAL, SPOT}


def test_a_market_from_a_stream_has_names_too() -> None:
    market = models.parse_market(a_market_node(state=6, tradingMode=4))
    assert (market.state, market.trading_mode) == ("STATE_SUSPENDED", "TRADING_MODE_MONITORING_AUCTION")


@pytest.mark.parametrize("absent", ["0", "", None, 0])
def test_a_market_without_tick_size_takes_every_price(absent: Any) -> None:
    assert models.parse_market(a_market_node(tickSize=absent)).tick_size == 1


###########################################################
#                  What is newer than the bot             #
###########################################################


@pytest.mark.parametrize(
    ("field", "place"),
    [("status", "status"), ("type", "order_type"), ("timeInForce", "time_in_force"), ("side", "side"), ("reason", "reason")],
)
def test_an_unknown_number_of_an_order_comes_out_as_text_that_shows_it(field: str, place: str) -> None:
    assert "97" in getattr(an_order(streamed_order(**{field: 97})), place)


def test_an_unknown_account_type_comes_out_as_text_that_shows_it() -> None:
    node = {**recorded_nodes("bot-end-accounts", "accounts")[0], "type": 97}
    assert an_account(node).account_type == "AccountType(97)"


def test_an_unknown_asset_status_comes_out_as_text_that_shows_it() -> None:
    assert models.parse_asset({**recorded_nodes("assets", "assets")[0], "status": 97}).status == "AssetStatus(97)"


@pytest.mark.parametrize(("field", "place"), [("marketState", "state"), ("marketTradingMode", "trading_mode")])
def test_an_unknown_number_of_market_data_comes_out_as_text_that_shows_it(field: str, place: str) -> None:
    node = {**streamed("future-market-data")[0]["marketData"][0], field: 97}
    assert "97" in market_data(node)[place]


def test_an_unknown_product_is_a_parse_error_that_names_the_market() -> None:
    node = a_market_node()
    instrument = node["tradableInstrument"]["instrument"]
    instrument["option"] = instrument.pop("future")
    with pytest.raises(ParseError, match="unknown product of BTCDAI Future"):
        models.parse_market(node)


def test_a_parse_error_names_the_parser_and_the_missing_key() -> None:
    node = streamed_order()
    del node["price"]
    with pytest.raises(ParseError, match="parse_order: 'price' is missing in "):
        an_order(node)
