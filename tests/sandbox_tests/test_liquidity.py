"""Liquidity commitments over epochs. The auction recordings show a commitment that is not kept; the rest is from Vega's source.

The functions are those of core/execution/common/liquidity_provision.go, liquidity_provision_fees.go and core/liquidity/v2/sla.go at
v0.77.6: `SubmitLiquidityProvision`, `AmendLiquidityProvision`, `CancelLiquidityProvision`, `applyPendingProvisions`,
`CalculateSLAPenalties`, `distributeFeesAndCalculateBonuses`.
"""

from typing import Any

import pytest

from tests.support.chain_network import MONEY, SECOND, Network

UNIT = 10**9
EPOCH = 10  # s; with the two blocks that it takes to end, 12 blocks pass from one epoch to the next
MARKET: dict[str, Any] = {
    "name": "Future",
    "product": "future",
    "price_decimals": 4,
    "size_decimals": 2,
    "tick_size": 1,
    "settlement_asset": "tUSD",
    "first_price": "100",
    "fees": {"maker": "0", "infrastructure": "0", "liquidity": "0"},
    "epoch_length": EPOCH,
}


@pytest.fixture
def network() -> Network:
    return Network({"assets": {"tUSD": 9}, "markets": [MARKET]})


def commit(network: Network, party: str, amount: int, fee: str = "0.001") -> None:
    terms = {"marketId": network.market.id, "commitmentAmount": str(amount * UNIT), "fee": fee}
    network.send(party, liquidityProvisionSubmission=terms)


def amend(network: Network, party: str, amount: int) -> None:
    network.send(party, liquidityProvisionAmendment={"marketId": network.market.id, "commitmentAmount": str(amount * UNIT)})


def cancel(network: Network, party: str) -> None:
    network.send(party, liquidityProvisionCancellation={"marketId": network.market.id})


def next_epoch(network: Network) -> None:
    start = network.market.epoch_start
    while network.market.epoch_start == start:
        network.chain.block()


def quote(network: Network, party: str, value: int) -> None:
    """Rest orders of a value on both sides, close to the middle."""
    network.place(party, "BUY", value, 990_000)
    network.place(party, "SELL", value, 1_010_000)


def bond(network: Network, party: str) -> int:
    return network.balance(party, "BOND", "tUSD", network.market) // UNIT


def general(network: Network, party: str) -> int:
    return network.balance(party, "GENERAL", "tUSD") // UNIT


def earned(network: Network, party: str) -> int:
    return network.balance(party, "LP_LIQUIDITY_FEES", "tUSD", network.market)


def test_an_epoch_ends_two_blocks_after_its_length(network: Network) -> None:
    first = network.market.epoch_start
    next_epoch(network)
    assert network.market.epoch_start - first == (EPOCH + 2) * SECOND


def test_a_commitment_costs_traders_a_fee_from_the_next_epoch_on(network: Network) -> None:
    commit(network, "a", 1000)
    assert network.market.fees.liquidity == 0
    next_epoch(network)
    assert str(float(network.market.fees.liquidity)) == "0.001"


def test_a_commitment_that_is_not_kept_loses_half_of_the_bond_each_epoch(network: Network) -> None:
    commit(network, "a", 1000)
    bonds = []
    for _ in range(3):
        next_epoch(network)
        bonds.append(bond(network, "a"))
    assert bonds == [1000, 500, 250]


def test_a_commitment_that_is_kept_earns_the_fees_and_keeps_the_bond(network: Network) -> None:
    commit(network, "a", 1000)
    quote(network, "a", 1500)
    next_epoch(network)
    network.place("b", "BUY", 100, 1_010_000)  # 1 contract at 101
    network.chain.block()
    network.chain.block()
    assert earned(network, "a") == 101 * UNIT // 1000
    before = network.balance("a", "GENERAL", "tUSD") + network.balance("a", "MARGIN", "tUSD", network.market)
    next_epoch(network)
    assert bond(network, "a") == 1000
    assert earned(network, "a") == 0
    after = network.balance("a", "GENERAL", "tUSD") + network.balance("a", "MARGIN", "tUSD", network.market)
    assert after - before == 101 * UNIT // 1000


def test_the_fees_of_a_provider_that_fails_go_to_the_one_that_does_not(network: Network) -> None:
    commit(network, "a", 1000)
    commit(network, "c", 1000)
    quote(network, "a", 1500)
    next_epoch(network)
    network.place("b", "BUY", 100, 1_010_000)
    network.chain.block()
    network.chain.block()
    assert earned(network, "a") + earned(network, "c") == 101 * UNIT // 1000
    next_epoch(network)
    assert (earned(network, "a"), earned(network, "c")) == (0, 0)
    assert network.balance("c", "GENERAL", "tUSD") == (MONEY - 1000) * UNIT
    assert (bond(network, "a"), bond(network, "c")) == (1000, 500)


def test_a_larger_commitment_moves_money_at_once(network: Network) -> None:
    commit(network, "a", 1000)
    next_epoch(network)
    amend(network, "a", 3000)
    assert (bond(network, "a"), general(network, "a")) == (3000, MONEY - 3000)


def test_a_smaller_commitment_is_released_with_the_next_epoch(network: Network) -> None:
    commit(network, "a", 1000)
    quote(network, "a", 1500)
    next_epoch(network)
    amend(network, "a", 400)
    assert bond(network, "a") == 1000
    next_epoch(network)
    assert bond(network, "a") == 400


def test_what_is_not_active_yet_is_released_at_once(network: Network) -> None:
    commit(network, "a", 1000)
    amend(network, "a", 400)
    assert bond(network, "a") == 400
    cancel(network, "a")
    assert (bond(network, "a"), general(network, "a")) == (0, MONEY)


def test_a_cancelled_commitment_ends_with_the_next_epoch(network: Network) -> None:
    commit(network, "a", 1000)
    quote(network, "a", 1500)
    next_epoch(network)
    cancel(network, "a")
    assert bond(network, "a") == 1000
    next_epoch(network)
    assert bond(network, "a") == 0
    network.chain.block()
    assert network.market.fees.liquidity == 0


@pytest.mark.parametrize("act", [lambda network: amend(network, "b", 10), lambda network: cancel(network, "b")])
def test_a_party_without_commitment_cannot_change_it(network: Network, act: Any) -> None:
    act(network)
    assert (bond(network, "b"), general(network, "b")) == (0, MONEY)


def test_an_amendment_beyond_the_balance_has_no_effect(network: Network) -> None:
    commit(network, "a", 1000)
    amend(network, "a", 2 * MONEY)
    assert bond(network, "a") == 1000


def test_the_market_takes_the_fee_of_the_provider_that_completes_its_target_stake(network: Network) -> None:
    """`feeForTarget` of core/liquidity/v2/types.go."""
    commit(network, "a", 1, "0.001")
    commit(network, "c", 1000, "0.002")
    network.place("a", "SELL", 1000, 1_000_000)
    network.place("b", "BUY", 1000, 1_000_000)  # 10 contracts at 100: a target of 1000 * 0.054 * 0.05 = 2.7
    next_epoch(network)
    assert str(float(network.market.fees.liquidity)) == "0.002"


def test_a_bond_that_paid_for_margin_is_filled_up_with_the_next_block(network: Network) -> None:
    """`checkBondBalance` of core/execution/future/bond_topup.go, in each block outside auctions."""
    commit(network, "a", 1000)
    next_epoch(network)
    general = network.chain.accounts[network.chain.parties["a"], "", "ACCOUNT_TYPE_GENERAL", network.market.settlement_asset.id]
    general.balance = 1
    order = network.place("a", "BUY", 1000, 990_000)  # worth 1,000 at the mark price
    assert (order.status, bond(network, "a")) == ("STATUS_ACTIVE", 1000 - 78)
    network.cancel("a", order)
    assert general.balance // UNIT == 77
    network.chain.block()
    assert (general.balance, bond(network, "a")) == (1, 1000)
