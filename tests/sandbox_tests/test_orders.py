"""The chain: new orders, batches and cancellations."""

import re
from typing import Any

import pytest

from tests.sandbox.chain.futures import FuturesEngine
from tests.sandbox.chain.records import BUY
from tests.support.chain_network import SECOND, Network, outcome


@pytest.fixture
def network() -> Network:
    return Network()


def test_a_resting_order_defines_best_price_and_volume(network: Network) -> None:
    order = network.place("a", "BUY", 30, 999_500, reference="mine")
    assert outcome(order) == ("ACTIVE", None, 30)
    assert (order.reference, order.version, order.batch_id, order.created_at, order.updated_at) == ("mine", 1, 1, network.chain.time, 0)
    assert (network.market.best_bid, network.market.best_offer) == ((999_500, 30), (0, 0))


def test_orders_trade_in_price_time_priority(network: Network) -> None:
    dear, first, second = (
        network.place(*terms) for terms in (("a", "SELL", 7, 1_000_100), ("a", "SELL", 4, 1_000_000), ("b", "SELL", 5, 1_000_000))
    )
    network.place("c", "BUY", 6, 1_000_100)
    assert [order.remaining for order in (dear, first, second)] == [7, 0, 3]
    assert (first.status, second.status, second.updated_at) == ("STATUS_FILLED", "STATUS_ACTIVE", network.chain.time)


def test_a_trade_has_the_resting_orders_price_and_the_remainder_of_the_incoming_order_rests(network: Network) -> None:
    network.place("a", "SELL", 4, 1_000_000)
    network.chain.submit(network.chain.parties["c"], {"orderSubmission": network.order("BUY", 9, 1_000_250)})
    block = network.chain.block()
    assert [(trade.price, trade.size, trade.aggressor) for trade in block.trades] == [(1_000_000, 4, BUY)]
    assert network.market.best_bid == (1_000_250, 5)
    assert network.market.last_traded_price == 1_000_000


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"size": 9, "price": 1_000_000, "tif": "IOC"}, ("PARTIALLY_FILLED", None, 5)),
        ({"size": 9, "price": 999_995, "tif": "IOC"}, ("STOPPED", None, 9)),
        ({"size": 9, "price": 1_000_000, "tif": "FOK"}, ("STOPPED", None, 9)),
        ({"size": 3, "price": 1_000_000, "tif": "FOK"}, ("FILLED", None, 0)),
        ({"size": 9}, ("PARTIALLY_FILLED", None, 5)),
        ({"size": 9, "tif": "FOK"}, ("STOPPED", None, 9)),
        ({"size": 9, "price": 1_000_000, "tif": "GFN"}, ("ACTIVE", None, 5)),
        ({"size": 9, "price": 1_000_000, "postOnly": True}, ("STOPPED", "POST_ONLY_ORDER_WOULD_TRADE", 9)),
        ({"size": 9, "price": 999_995, "postOnly": True}, ("ACTIVE", None, 9)),
        ({"size": 9, "price": 1_000_000, "tif": "GFA"}, ("REJECTED", "CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING", 9)),
        ({"size": 9, "price": 999_997}, ("REJECTED", None, 9)),  # off the tick size: Vega gives no reason
        ({"size": 9, "price": 999_995, "tif": "GTT", "expiresAt": "5"}, ("REJECTED", "INVALID_EXPIRATION_DATETIME", 9)),
        ({"size": 9, "price": 1_000_000, "tif": "IOC", "reduceOnly": True}, ("STOPPED", "REDUCE_ONLY_ORDER_WOULD_NOT_REDUCE_POSITION", 9)),
        ({"size": 10**12, "price": 999_995}, ("REJECTED", "MARGIN_CHECK_FAILED", 10**12)),
    ],
)
def test_outcome_of_a_buy_order_against_an_offer_of_four_at_a_hundred(network: Network, terms: dict[str, Any], expected: Any) -> None:
    network.place("a", "SELL", 4, 1_000_000)
    assert outcome(network.place("b", "BUY", **terms)) == expected


def test_a_market_order_is_stopped_if_the_book_is_empty(network: Network) -> None:
    order = network.place("a", "SELL", 8)
    assert (outcome(order), order.price) == (("STOPPED", None, 8), 0)


def test_only_orders_that_reached_the_book_have_a_batch_id(network: Network) -> None:
    network.place("a", "SELL", 4, 1_000_000)
    assert network.place("b", "BUY", 4, 999_000, tif="IOC").batch_id == 1
    assert network.place("b", "BUY", 4, 1_000_000, postOnly=True).batch_id == 0
    assert network.place("b", "BUY", 4, 999_001).batch_id == 0


def test_an_order_stops_before_an_order_of_its_own_party_and_keeps_its_fills(network: Network) -> None:
    network.place("a", "SELL", 3, 1_000_000)
    network.place("b", "SELL", 5, 1_000_050)
    assert outcome(network.place("b", "BUY", 7, 1_000_050)) == ("PARTIALLY_FILLED", "SELF_TRADING", 4)
    assert outcome(network.place("b", "BUY", 7, 1_000_050)) == ("STOPPED", "SELF_TRADING", 7)
    assert network.market.best_offer == (1_000_050, 5)


def test_a_fill_or_kill_order_that_would_match_its_own_party_does_not_trade(network: Network) -> None:
    network.place("a", "SELL", 3, 1_000_000)
    network.place("b", "SELL", 5, 1_000_050)
    assert outcome(network.place("b", "BUY", 7, 1_000_050, tif="FOK")) == ("STOPPED", "SELF_TRADING", 7)
    assert outcome(network.place("b", "BUY", 3, 1_000_050, tif="FOK")) == ("FILLED", None, 0)


def test_the_reason_of_a_stopped_post_only_order_depends_on_the_first_order_it_would_match(network: Network) -> None:
    network.place("b", "SELL", 5, 1_000_000)
    network.place("a", "SELL", 3, 1_000_050)
    assert outcome(network.place("b", "BUY", 7, 1_000_050, postOnly=True)) == ("STOPPED", "SELF_TRADING", 7)
    assert outcome(network.place("a", "BUY", 7, 1_000_050, postOnly=True)) == ("STOPPED", "POST_ONLY_ORDER_WOULD_TRADE", 7)


def test_a_gtt_order_expires_in_the_first_block_at_or_after_its_expiry(network: Network) -> None:
    order = network.place("a", "BUY", 6, 999_000, tif="GTT", expiresAt=str(network.chain.time + 3 * SECOND))
    network.chain.block()
    assert order.status == "STATUS_ACTIVE"
    assert [changed.status for changed in network.chain.block().orders] == ["STATUS_EXPIRED"]
    assert (order.remaining, order.updated_at, network.market.best_bid) == (6, order.expires_at, (0, 0))


def test_a_reduce_only_order_stops_when_the_position_is_flat(network: Network) -> None:
    network.place("a", "SELL", 9, 1_000_000)
    network.place("b", "BUY", 4, 1_000_000)
    network.place("c", "BUY", 20, 999_000)
    assert outcome(network.place("b", "SELL", 6, 999_000, tif="FOK", reduceOnly=True))[:2] == (
        "STOPPED",
        "REDUCE_ONLY_ORDER_WOULD_NOT_REDUCE_POSITION",
    )
    assert outcome(network.place("b", "SELL", 6, 999_000, tif="IOC", reduceOnly=True)) == ("STOPPED", None, 2)
    assert network.open_volume("b") == 0


def test_new_orders_are_rejected_with_a_chosen_error(network: Network) -> None:
    network.chain.reject_orders = "ORDER_ERROR_MARGIN_CHECK_FAILED"
    assert outcome(network.place("a", "BUY", 6, 999_000)) == ("REJECTED", "MARGIN_CHECK_FAILED", 6)
    network.chain.reject_orders = None
    assert network.place("a", "BUY", 6, 999_000).status == "STATUS_ACTIVE"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": str(2**62)},
        {"size": str(2**64 - 1), "type": "TYPE_MARKET", "price": "", "timeInForce": "TIME_IN_FORCE_IOC"},
        {"side": "SIDE_UNSPECIFIED"},
        {"type": "TYPE_NETWORK"},
        {"type": "TYPE_MARKET"},
        {"timeInForce": "TIME_IN_FORCE_UNSPECIFIED"},
        {"timeInForce": "TIME_IN_FORCE_GTT"},
        {"timeInForce": 99},
        {"expiresAt": "1"},
        {"postOnly": True, "reduceOnly": True},
        {"postOnly": True, "timeInForce": "TIME_IN_FORCE_FOK"},
        {"reduceOnly": True},
        {"reference": "x" * 101},
        {"peggedOrder": {"reference": "PEGGED_REFERENCE_BEST_ASK", "offset": "5"}},
        {"icebergOpts": {"peakSize": "1", "minimumVisibleSize": "2"}},
    ],
)
def test_an_invalid_instruction_has_no_effect_and_the_rest_of_its_batch_is_executed(network: Network, wrong: dict[str, Any]) -> None:
    submissions = [network.order("BUY", 6, 999_000) | wrong, network.order("BUY", 8, 998_000)]
    network.send("a", batchMarketInstructions={"submissions": submissions})
    assert [order.size for order in network.chain.orders.values()] == [8]


def test_numbers_just_inside_the_networks_ranges_get_an_outcome(network: Network) -> None:
    expensive = (2**256 - 1) // 10**5  # an asset price has five decimals more than this market's prices
    assert outcome(network.place("a", "SELL", 5, expensive - expensive % 5)) == ("ACTIVE", None, 5)
    assert outcome(network.place("a", "BUY", 2**62 - 1, 999_000)) == ("REJECTED", "MARGIN_CHECK_FAILED", 2**62 - 1)


def test_a_price_beyond_256_bits_wraps_around_in_the_best_price_but_not_in_the_order(network: Network) -> None:
    """As recorded in `scenarios-future-2.json`, steps 74 to 76."""
    price = 10**77
    assert network.place("a", "SELL", 5, price).price == price
    assert network.market.best_offer == (price * 10**5 % 2**256 // 10**5, 5)


def test_an_order_that_would_take_the_potential_position_beyond_63_bits_has_no_effect(network: Network) -> None:
    for party in "bc":
        network.place(party, "BUY", 1, 990_000)
    half = 2**62 - 1
    engine = network.chain._execution.engines[network.market.id]
    assert isinstance(engine, FuturesEngine)
    engine.exposures[network.chain.parties["b"]].sell = 2**63 - 6
    for size, orders in ((6, 2), (5, 3)):
        network.send("b", orderSubmission=network.order("SELL", size, 1_000_000))
        assert len(network.chain.orders) == orders
    assert outcome(network.place("c", "SELL", half, 1_000_000)) == ("REJECTED", "MARGIN_CHECK_FAILED", half)


def test_an_invalid_price_is_reported_before_a_size_beyond_the_balance(network: Network) -> None:
    assert outcome(network.place("a", "SELL", 2**61, 1_000_001)) == ("REJECTED", None, 2**61)


def test_a_batch_of_31_has_no_effect_and_one_of_30_has(network: Network) -> None:
    for count, live in ((31, 0), (30, 30)):
        network.send("a", batchMarketInstructions={"submissions": [network.order("BUY", 2, 999_000)] * count})
        assert len(network.chain.orders) == live


@pytest.mark.parametrize(
    "transaction",
    [
        {"voteSubmission": {"proposalId": "1"}},
        {"stopOrdersSubmission": {}},
        {"orderCancellation": {"marketId": "0" * 64}},
        {"orderCancellation": {"marketId": "0" * 64, "orderId": "1" * 64}},
        {"orderAmendment": {"marketId": "0" * 64, "orderId": "1" * 64, "sizeDelta": "1"}},
        {"liquidityProvisionSubmission": {"marketId": "0" * 64, "commitmentAmount": "5"}},
        {"liquidityProvisionSubmission": {"commitmentAmount": "much"}},
        {},
    ],
)
def test_a_transaction_without_effect_is_accepted(network: Network, transaction: dict[str, Any]) -> None:
    assert re.fullmatch("[0-9A-F]{64}", network.chain.submit(network.chain.parties["a"], transaction))
    block = network.chain.block()
    assert (block.orders, block.accounts, block.positions) == ([], [], [])


def test_numbers_enums_and_field_names_are_accepted_in_both_protobuf_json_forms(network: Network) -> None:
    order = {"market_id": network.market.id, "side": 1, "size": 6, "price": "999000", "time_in_force": 1, "type": 1, "post_only": True}
    network.send("a", orderSubmission=order)
    assert [(o.side, o.size, o.post_only) for o in network.chain.orders.values()] == [(BUY, 6, True)]


def test_a_cancellation_cancels_one_order_all_of_a_market_or_all(network: Network) -> None:
    on_spot = network.trade_on("Spot").place("a", "BUY", 2, 15_000)
    orders = [network.trade_on("Future").place("a", "BUY", size, 999_000) for size in (3, 4, 5)]
    others = network.place("b", "BUY", 6, 999_000)
    network.cancel("a", orders[1])
    assert [order.status for order in orders] == ["STATUS_ACTIVE", "STATUS_CANCELLED", "STATUS_ACTIVE"]
    network.cancel("a")
    assert (orders[0].status, orders[2].status, on_spot.status) == ("STATUS_CANCELLED", "STATUS_CANCELLED", "STATUS_ACTIVE")
    network.send("a", orderCancellation={})
    assert (on_spot.status, on_spot.updated_at, others.status) == ("STATUS_CANCELLED", network.chain.time, "STATUS_ACTIVE")


def test_an_order_of_another_party_cannot_be_cancelled_or_amended(network: Network) -> None:
    order = network.place("a", "BUY", 6, 999_000)
    network.cancel("b", order)
    network.amend("b", order, sizeDelta="-1")
    assert (order.status, order.size, order.version) == ("STATUS_ACTIVE", 6, 1)


def test_a_batch_cancels_then_amends_then_submits(network: Network) -> None:
    network.place("a", "SELL", 3, 1_000_000)
    kept = network.place("a", "BUY", 6, 999_000)
    block = network.send(
        "a",
        batchMarketInstructions={
            "submissions": [network.order("BUY", 8, 1_000_000)],
            "amendments": [
                {"marketId": network.market.id, "orderId": kept.id, "sizeDelta": "1"},
                {"marketId": network.market.id, "orderId": kept.id, "sizeDelta": "1"},  # an order is amended at most once per batch
            ],
            "cancellations": [{"marketId": network.market.id, "orderId": next(iter(network.chain.orders))}],
        },
    )
    assert [outcome(order) for order in block.orders] == [("CANCELLED", None, 3), ("ACTIVE", None, 7), ("ACTIVE", None, 8)]


def test_an_order_created_and_cancelled_in_one_block_appears_once_as_cancelled(network: Network) -> None:
    bot = network.chain.parties["bot"]
    network.chain.submit(bot, {"orderSubmission": network.order("BUY", 6, 999_000)})
    network.chain.submit(bot, {"orderCancellation": {"marketId": network.market.id}})
    assert [order.status for order in network.chain.block().orders] == ["STATUS_CANCELLED"]
