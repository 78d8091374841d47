"""The order in which a block executes its transactions, with and without transaction reordering."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.chain_network import SECOND, Network

RECORDINGS = Path(__file__).parents[1] / "recordings" / "second_network"
TRIES = [json.loads(line) for line in (RECORDINGS / "reordering.jsonl").read_text(encoding="utf-8").splitlines()]
BLOCK_TIME = 910_000_000  # ns, of the recorded network
MARKET: dict[str, Any] = {
    "name": "Future",
    "product": "future",
    "price_decimals": 4,
    "size_decimals": 2,
    "tick_size": 1,
    "settlement_asset": "tUSD",
    "first_price": "100",
    "reorders_transactions": True,
}


def network_with(*markets: dict[str, Any]) -> Network:
    return Network({"assets": {"tUSD": 9}, "markets": list(markets)})


def send(network: Network, **transaction: Any) -> None:
    network.chain.submit(network.chain.parties["a"], transaction)


@pytest.mark.parametrize("recorded", TRIES, ids=[f"{number}: {line['name']}" for number, line in enumerate(TRIES)])
def test_the_order_gets_the_recorded_status_in_the_recorded_block(recorded: dict[str, Any]) -> None:
    network, name = network_with(MARKET), recorded["name"]
    order = network.order("BUY", 100, 900_000, postOnly="post-only" in name)
    send(network, **({"batchMarketInstructions": {"submissions": [order]}} if name.startswith("batch") else {"orderSubmission": order}))
    if "then a batch of cancel-all" in name:
        send(network, batchMarketInstructions={"cancellations": [{"marketId": network.market.id}]})
    elif "then cancel-all" in name:
        send(network, orderCancellation={"marketId": network.market.id})
    start = network.chain.time
    changed = [order for _ in range(4) for order in network.chain.block().orders]
    blocks = round((int(recorded["rest"][0]["createdAt"]) - int(recorded["block_time"])) / BLOCK_TIME)
    assert [order.status for order in changed] == [node["status"] for node in recorded["rest"]]
    assert [(order.created_at - start) // SECOND for order in changed] == [blocks]


def test_without_reordering_a_cancellation_runs_behind_the_order() -> None:
    network = network_with(MARKET | {"reorders_transactions": False})
    send(network, orderSubmission=network.order("BUY", 100, 900_000))
    send(network, orderCancellation={"marketId": network.market.id})
    assert [order.status for order in network.chain.block().orders] == ["STATUS_CANCELLED"]


@pytest.mark.parametrize("reorders", [True, False])
def test_post_only_orders_run_before_other_orders_of_the_block(reorders: bool) -> None:
    """`prepareProposal` of core/processor/abci.go at v0.77.6."""
    network = network_with(MARKET | {"reorders_transactions": reorders})
    for post_only in (False, True):
        send(network, orderSubmission=network.order("BUY", 100, 900_000 + post_only, postOnly=post_only))
    orders = [order for _ in range(2) for order in network.chain.block().orders]
    assert [order.price for order in sorted(orders, key=lambda order: order.number)] == [900_001, 900_000]


def test_amendments_wait_for_the_next_block_on_a_market_with_reordering() -> None:
    network = network_with(MARKET)
    order = network.place("a", "BUY", 100, 900_000, postOnly=True)
    send(network, orderAmendment={"orderId": order.id, "marketId": order.market_id, "price": "900001"})
    assert [len(network.chain.block().orders) for _ in range(3)] == [0, 1, 0]


def test_a_market_with_reordering_does_not_delay_another_market() -> None:
    network = network_with(MARKET, MARKET | {"name": "Second", "reorders_transactions": False}).trade_on("Second")
    send(network, orderSubmission=network.order("BUY", 100, 900_000))
    assert len(network.chain.block().orders) == 1


def test_a_cancellation_of_all_markets_runs_first_if_any_market_has_reordering() -> None:
    network = network_with(MARKET, MARKET | {"name": "Second", "reorders_transactions": False}).trade_on("Second")
    send(network, orderSubmission=network.order("BUY", 100, 900_000))
    send(network, orderCancellation={})
    assert [order.status for order in network.chain.block().orders] == ["STATUS_ACTIVE"]
