"""Conformance of the chain to the transactions recorded on the second network: orders, wallet answers, positions and money."""

from collections import Counter

import pytest

from tests.support.recorded_steps import Replay

# The blocks in which the recorded network marked to market, found by trying all five phases.
PHASES = {
    "chain-future-2": 2,
    "scenarios-future-1": 0,
    "scenarios-future-2": 2,
    "scenarios-future-auction": 3,
    "scenarios-future-same-block": 3,
    "scenarios-spot-auction": 3,
    "scenarios-spot-same-block": 3,
}


@pytest.mark.parametrize("name", [name for name in PHASES if name != "chain-future-2"])
def test_every_step_has_the_recorded_outcome(name: str) -> None:
    assert list(Replay(name, PHASES[name]).differences()) == []


def test_the_random_transactions_of_the_second_network_have_the_recorded_outcome() -> None:
    """At step 10 the data node was read while it processed a block: b's money had moved, its unrealised PnL had not."""
    differences = list(Replay("chain-future-2", PHASES["chain-future-2"]).differences())
    assert [(difference.kind, difference.step) for difference in differences] == [("positions", 10)]


def test_the_opening_auction_has_the_recorded_outcome() -> None:
    """The parties traded on other markets meanwhile, so of the money only margins are compared."""
    differences = Replay("scenarios-future-pending").differences()
    assert [difference for difference in differences if difference.kind != "money" or " MARGIN " in difference.text] == []


@pytest.mark.parametrize("phase", range(5))
def test_orders_and_wallet_answers_do_not_depend_on_when_the_chain_marks_to_market(phase: int) -> None:
    for name in PHASES:
        kinds = Counter(difference.kind for difference in Replay(name, phase).differences())
        assert (kinds["orders"], kinds["wallet"]) == (0, 0), name
