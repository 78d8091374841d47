"""Rounds of a workshop: what they set to zero, when they end, and their results."""

import csv
import io
from collections.abc import Iterator

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.control import WrongArgumentError
from tests.support.page_driver import send_market_order


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=3) as running:
        running.block(3)
        yield running


def results(sandbox: Sandbox) -> dict[str, tuple[float, float, int]]:
    """Return PnL, largest position and fills of each party on the future."""
    market = sandbox.chain.markets[sandbox.markets["future"]]
    found = sandbox.call(lambda inside: inside.rounds.results(market))
    return {result.party: (result.pnl, result.largest_position, result.fills) for result in found}


def test_a_round_sets_the_pnl_to_zero_and_keeps_the_position(sandbox: Sandbox) -> None:
    send_market_order(sandbox, "p01")
    send_market_order(sandbox, "p01")
    sandbox.block(5)
    assert results(sandbox)["p01"][0] != 0
    balances = sandbox.call(lambda inside: {key: account.balance for key, account in inside.chain.accounts.items()})
    sandbox.start_round(minutes=1)
    assert results(sandbox)["p01"] == (0.0, 0.2, 0)
    assert sandbox.call(lambda inside: {key: account.balance for key, account in inside.chain.accounts.items()}) == balances
    before = sandbox.call(lambda inside: inside.chain.positions[inside.parties["p01"], inside.markets["future"]].unrealised_pnl)
    sandbox.block(5)
    after = sandbox.call(lambda inside: inside.chain.positions[inside.parties["p01"], inside.markets["future"]].unrealised_pnl)
    decimals = sandbox.chain.markets[sandbox.markets["future"]].settlement_asset.decimals
    assert after != before
    assert results(sandbox)["p01"][0] == pytest.approx(float(after - before) / 10**decimals)


def test_a_round_counts_its_own_fills_and_largest_position(sandbox: Sandbox) -> None:
    for side in ("SIDE_BUY", "SIDE_BUY", "SIDE_BUY", "SIDE_SELL", "SIDE_SELL", "SIDE_SELL"):
        send_market_order(sandbox, "p02", side)
    fills = results(sandbox)["p02"][2]
    assert fills >= 6
    assert results(sandbox)["p02"][1] == 0.3
    sandbox.start_round()
    assert results(sandbox)["p02"][1:] == (0.0, 0)
    send_market_order(sandbox, "p02", "SIDE_SELL")
    assert results(sandbox)["p02"][1:] == (0.1, 1)
    assert sandbox.fills[sandbox.parties["p02"], sandbox.markets["future"]] == fills + 1


def test_the_score_is_the_pnl_minus_half_the_largest_position_and_the_best_comes_first(sandbox: Sandbox) -> None:
    for party, count in (("p01", 3), ("p02", 1), ("p03", 2)):
        for _ in range(count):
            send_market_order(sandbox, party)
    market = sandbox.chain.markets[sandbox.markets["future"]]
    found = sandbox.call(lambda inside: inside.rounds.results(market))
    assert [result.score for result in found] == pytest.approx([one.pnl - 0.5 * one.largest_position for one in found])
    assert [result.score for result in found] == sorted((result.score for result in found), reverse=True)
    assert {result.party for result in found} == {"p01", "p02", "p03"}


def test_a_round_ends_after_its_minutes_of_chain_time(sandbox: Sandbox) -> None:
    sandbox.start_round(minutes=0.5)
    sandbox.block(29)
    assert sandbox.rounds.running
    sandbox.block(1)
    assert sandbox.rounds.running is None
    assert [one.end - one.begin for one in sandbox.rounds.finished] == [30.0]
    sandbox.start_round()
    assert sandbox.rounds.running.number == 2


def test_results_of_a_finished_round_do_not_change(sandbox: Sandbox) -> None:
    market = sandbox.markets["future"]
    sandbox.start_round()
    send_market_order(sandbox, "p01")
    sandbox.end_round()
    kept = sandbox.rounds.finished[0].results[market]
    assert [(result.party, result.fills) for result in kept] == [("p01", 1)]
    send_market_order(sandbox, "p01")
    sandbox.room.participants["p01"].display_name = "Ada"
    assert sandbox.rounds.finished[0].results[market] == kept


def test_one_round_at_a_time(sandbox: Sandbox) -> None:
    with pytest.raises(WrongArgumentError, match="no round is running"):
        sandbox.end_round()
    with pytest.raises(WrongArgumentError, match="minutes must be more than 0"):
        sandbox.start_round(minutes=0)
    sandbox.start_round()
    with pytest.raises(WrongArgumentError, match="round 1 is running"):
        sandbox.start_round()


def test_reset_keeps_round_positions_and_money(sandbox: Sandbox) -> None:
    sandbox.start_round()
    send_market_order(sandbox, "p01")
    before = results(sandbox)
    sandbox.fail_rest(500)
    sandbox.reset()
    assert sandbox.rounds.running
    assert results(sandbox) == before
    listing = requests.get(sandbox.control_url, timeout=30).json()["controls"]
    assert "Positions, orders, money and rounds stay" in listing["POST /control/reset"]


def test_results_are_a_csv_file_with_the_chosen_names(sandbox: Sandbox) -> None:
    people = sandbox.room.participants
    people["p01"].display_name, people["p02"].display_name = 'Ada "Countess", L.', "=1+1"
    sandbox.start_round()
    send_market_order(sandbox, "p01")
    send_market_order(sandbox, "p02", "SIDE_SELL")
    sandbox.end_round()
    sandbox.start_round()
    send_market_order(sandbox, "p03", product="spot")
    sandbox.end_round()
    response = requests.get(sandbox.url(path="/rounds.csv"), timeout=30)
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    future = [row for row in rows if row["round"] == "1" and row["market"] == "SOL/DAI future"]
    assert {row["party"]: row["name"] for row in future} == {"p01": 'Ada "Countess", L.', "p02": "'=1+1"}
    assert [row["rank"] for row in future] == ["1", "2"]
    for row in rows:
        assert float(row["score"]) == pytest.approx(float(row["pnl"]) - 0.5 * float(row["largest_position"]), abs=1e-5)
    assert {row["name"] for row in rows if row["round"] == "2" and row["fills"] == "1"} == {"p03"}
