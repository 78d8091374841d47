"""What the network rejects before it accepts it: error messages as recorded, and no effect at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.chain import commands
from tests.sandbox.chain.command_validation import problems
from tests.support.chain_network import CONFIG, Network, outcome

RECORDED = json.loads((Path(__file__).parents[1] / "recordings" / "second_network" / "wallet-network.json").read_text(encoding="utf-8"))
RECORDED_PARTY = "014a2669d49029605f3066e9cfce27901ab8c528c6942d9d5fce1fea1f56e503"
PREFIX, SUFFIX = "the network could not process the transaction: ", " (ABCI code 70)"
MARKET = {
    "name": "M",
    "product": "future",
    "price_decimals": 3,
    "size_decimals": 2,
    "tick_size": 1,
    "settlement_asset": "tUSD",
    "first_price": "100",
}
QUANTUM = {"assets": {"tUSD": {"decimals": 18, "quantum": "1000000000000000000"}}, "markets": [MARKET]}


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.mark.parametrize("recorded", RECORDED, ids=[case["name"] for case in RECORDED])
def test_wallet_and_network_answer_as_recorded(recorded: dict[str, Any]) -> None:
    network = Network(QUANTUM)
    party = network.chain.parties["a"] if recorded["name"] != "party without account" else "f" * 64
    market_id = "69346b0d45a7afe38fd1c587e1e9e2d7de37676f918ffed047032562c600bca0"
    text = json.dumps(recorded["transaction"]).replace(market_id, network.market.id)
    decoded = commands.decode(json.loads(text))
    ((kind, command),) = decoded.items()
    expected = recorded["body"].get("error", {"code": None, "data": ""})
    expected_text = (
        expected["data"]
        .replace(market_id, network.market.id)
        .replace("014a2669d49029605f3066e9cfce27901ab8c528c6942d9d5fce1fea1f56e503", party)
    )
    if expected["code"] == -32602:
        assert problems(kind, command) == expected_text
        return
    assert problems(kind, command) == ""
    rejection = network.chain.rejection(party, decoded)
    assert (PREFIX + rejection + SUFFIX if rejection else "") == expected_text


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"price": "0"}, "order value (0) is less than minimum maintenance margin for spam (0.01)"),
        ({"price": ""}, "order value (0) is less than minimum maintenance margin for spam (0.01)"),
        ({"size": "0"}, "order value (0) is less than minimum maintenance margin for spam (0.01)"),
        ({"price": "-5"}, "invalid price"),
        ({"price": "99.9"}, "invalid price"),
        ({"price": "9" * 5000}, "invalid price"),
        ({"price": str(2**256)}, "invalid price"),
        ({"marketId": "xyz"}, "market does not exist"),
        ({"marketId": "0" * 64}, "market does not exist"),
    ],
)
def test_one_invalid_submission_makes_a_batch_void(network: Network, wrong: dict[str, Any], error: str) -> None:
    resting = network.place("a", "BUY", 2, 990_000)
    submissions = [network.order("BUY", 8, 998_000), network.order("BUY", 6, 999_000) | wrong]
    batch: dict[str, Any] = {"batchMarketInstructions": {"submissions": submissions, "cancellations": [{"marketId": network.market.id}]}}
    assert network.chain.rejection(network.chain.parties["a"], commands.decode(batch)) == error
    network.send("a", batchMarketInstructions=batch["batchMarketInstructions"])
    assert [order.size for order in network.chain.orders.values()] == [2]
    assert resting.status == "STATUS_ACTIVE"


def test_a_market_that_has_ended_does_not_exist_any_more(network: Network) -> None:
    network.chain.set_state(network.market.id, "STATE_SETTLED", "TRADING_MODE_NO_TRADING")
    network.chain.block()
    order = commands.decode({"orderSubmission": network.order("BUY", 6, 999_000)})
    assert network.chain.rejection(network.chain.parties["a"], order) == "market does not exist"


def test_the_value_of_a_market_order_is_that_at_the_mark_price() -> None:
    """From core/execution/future/market.go, checkOrderForSpam: the mark price is 100, and the quantum 500 units."""
    network = Network({"assets": {"tUSD": {"decimals": 18, "quantum": str(500 * 10**18)}}, "markets": [MARKET]})
    for size, error in (
        (90, "order value (4969366963063205400) is less than minimum maintenance margin for spam (5000000000000000000)"),
        (100, ""),
    ):
        order = commands.decode({"orderSubmission": network.order("SELL", size)})
        assert network.chain.rejection(network.chain.parties["a"], order) == error


def test_spot_orders_need_a_value_of_a_hundredth_of_the_quantum_squared() -> None:
    """From core/execution/spot/market.go, checkOrderForSpam: the quantum is multiplied twice."""
    spot = CONFIG["markets"][1]
    network = Network({"assets": CONFIG["assets"] | {"tEUR": {"decimals": 12, "quantum": "1000000"}}, "markets": [spot]})
    order = commands.decode({"orderSubmission": network.order("BUY", 1, 0)})
    error = "order value (0) is less than minimum holding requirement for spam (10000000000)"
    assert network.chain.rejection(network.chain.parties["a"], order) == error


def test_an_amendment_to_size_zero_has_no_effect(network: Network) -> None:
    """As recorded in `scenarios-future-auction.json`, steps 1 and 3; one beyond zero cancels."""
    order = network.place("a", "BUY", 6, 999_000)
    for changes in ({"size": "0"}, {"sizeDelta": "-6"}):
        network.amend("a", order, **changes)
        assert (outcome(order), order.version) == (("ACTIVE", None, 6), 1)
    network.amend("a", order, sizeDelta="-7")
    assert (outcome(order), order.size) == (("CANCELLED", None, 6), 6)
