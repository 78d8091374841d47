"""Conformance of the chain to the transactions recorded on a real network."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.chain.records import Order
from tests.sandbox.node.serializers import rounded
from tests.support.chain_network import NO_FEES, Network
from tests.support.recorded_steps import order_as_recorded

RECORDINGS = Path(__file__).parents[1] / "recordings"


def recorded_network(product: str) -> Network:
    market = {"name": "M", "product": product, "price_decimals": 5, "size_decimals": 3, "tick_size": 1}
    market |= {"first_price": "100", "fees": NO_FEES}
    market |= {"quote_asset": "tDAI", "base_asset": "tBTC"} if product == "spot" else {"settlement_asset": "tDAI"}
    return Network({"assets": {"tDAI": 18, "tBTC": 8}, "markets": [market]})


def with_ids(network: Network, transaction: dict[str, Any]) -> dict[str, Any]:
    """Set the market id, and replace "@REF" by the id of the order with that reference."""
    ids = {order.reference: order.id for order in network.chain.orders.values()}
    text = re.sub(r'"@([^"]+)"', lambda match: json.dumps(ids[match[1]]), json.dumps(transaction))
    filled: dict[str, Any] = json.loads(text)
    for kind, command in filled.items():
        lists = command.values() if kind == "batchMarketInstructions" else [[command]]
        for instruction in (instruction for instructions in lists for instruction in instructions):
            instruction["marketId"] = network.market.id
    return filled


def market_as_recorded(network: Network, begin: dict[str, str]) -> dict[str, str]:
    (bid, bid_volume), (offer, offer_volume) = network.market.best_bid, network.market.best_offer
    return {
        "bestBidPrice": str(bid),
        "bestBidVolume": str(bid_volume),
        "bestOfferPrice": str(offer),
        "bestOfferVolume": str(offer_volume),
        "markPrice": str(network.market.mark_price),
        "lastTradedPrice": str(network.market.last_traded_price),
        "openInterest": str(network.market.open_interest + int(begin["openInterest"])),
        "marketTradingMode": network.market.trading_mode,
        "marketState": network.market.state,
    }


def waits_a_block(transaction: dict[str, Any]) -> bool:
    """The recorded markets reorder transactions: only cancellations and post-only orders are executed in the first block."""
    batch = transaction.get("batchMarketInstructions", transaction)
    orders = [*batch.get("submissions", []), *filter(None, [batch.get("orderSubmission")])]
    return "orderAmendment" in transaction or not all(order.get("postOnly") for order in orders)


def differences(product: str, network_timing: bool, blocks_before: int) -> Iterator[str]:
    recording = json.loads((RECORDINGS / f"chain-{product}.json").read_text(encoding="utf-8"))
    network = recorded_network(product)
    chain = network.chain
    for _ in range(blocks_before):
        chain.block()
    for step in recording["steps"]:
        late = network_timing and waits_a_block(step["transaction"])
        changed: dict[str, Order] = {}
        for number in range(3):
            if number == late:
                chain.submit(chain.parties[step["party"]], with_ids(network, step["transaction"]))
            changed |= {order.reference: order for order in chain.block().orders}
        found = {reference: order_as_recorded(network, order) for reference, order in changed.items()}
        found_market = market_as_recorded(network, recording["begin"])
        expected_market = dict(step["market"])
        if not network_timing:  # The recording does not give the phase of marking to market.
            found_market["markPrice"] = expected_market["markPrice"]
        if found != step["changed"]:
            yield f"step {step['step']}: orders are {found}, not {step['changed']}"
        if found_market != expected_market:
            yield f"step {step['step']}: the market is {found_market}, not {expected_market}"
        for party, expected in step["positions"].items():
            position = chain.positions[chain.parties[party], network.market.id]
            if position.open_volume != int(expected["openVolume"]):
                yield f"step {step['step']}: {party} holds {position.open_volume}, not {expected}"
            shown = rounded(position.average_entry_price), rounded(position.realised_pnl)
            if shown != (int(expected["averageEntryPrice"]), int(expected["realisedPnl"])):
                yield f"step {step['step']}: {party}'s entry price and realised PnL are {shown}, not {expected}"
            if network_timing and rounded(position.unrealised_pnl) != int(expected["unrealisedPnl"]):
                yield f"step {step['step']}: {party}'s unrealised PnL is {rounded(position.unrealised_pnl)}, not {expected}"


@pytest.mark.parametrize("product", ["future", "spot"])
def test_every_recorded_transaction_has_the_recorded_outcome(product: str) -> None:
    assert list(differences(product, network_timing=False, blocks_before=0)) == []


@pytest.mark.parametrize(("product", "blocks_before"), [("future", 1), ("spot", 4)])
def test_with_the_networks_timing_mark_prices_and_unrealised_pnl_match_too(product: str, blocks_before: int) -> None:
    assert list(differences(product, network_timing=True, blocks_before=blocks_before)) == []


def test_the_margin_of_the_recorded_million_contracts_matches_to_the_last_digit() -> None:
    network = recorded_network("future")
    network.place("a", "SELL", 100, 10_007_312)
    network.place("b", "BUY", 100, 10_007_312)
    while network.market.mark_price != 10_007_312:
        network.chain.block()
    network.place("bot", "BUY", 1_000_000_000, 9_900_000)
    network.place("bot", "BUY", 500, 9_910_000)
    network.place("bot", "BUY", 500, 9_000_000, tif="IOC")
    assert network.balance("bot", "MARGIN", "tDAI", network.market) == 7735372828405562023462983
