"""The data of the page's charts: the last five minutes."""

import pytest

from tests.sandbox.chain.records import Block
from tests.sandbox.dashboard.history import HISTORY_LENGTH, History, newer_than
from tests.support.chain_network import Network


class RecordedNetwork(Network):
    """A chain with its history."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History(self.chain)

    def send(self, party: str, blocks: int = 1, **transaction: object) -> Block:
        self.chain.submit(self.chain.parties[party], transaction)
        for _ in range(blocks):
            block = self.chain.block()
            self.history.record(block)
        return block

    def row(self, party: str) -> tuple[object, ...]:
        """The newest: best bid, best offer, own bid, own offer, position, PnL."""
        return self.history.rows(self.market, self.chain.parties[party])[-1][2:]


def test_rows_have_prices_own_quotes_position_and_pnl_in_units() -> None:
    network = RecordedNetwork()
    network.place("a", "BUY", 300, 999_000)
    network.place("a", "BUY", 100, 998_000)
    network.place("b", "SELL", 200, 1_010_000)
    assert network.row("a") == (99.9, 101.0, 99.9, None, 0.0, 0.0)
    network.place("b", "SELL", 100, 999_000)
    network.place("c", "SELL", 50, 998_500)
    assert network.row("a") == (99.9, 101.0, 99.9, None, 1.5, 0.0)
    assert network.row("b") == (99.9, 101.0, None, 101.0, -1.0, 0.0)


def test_on_a_spot_market_the_net_size_bought_is_valued_at_the_last_price() -> None:
    network = RecordedNetwork()
    network.trade_on("Spot")
    network.place("a", "SELL", 30, 20_000)
    network.place("b", "BUY", 30, 20_000)
    network.place("a", "SELL", 10, 21_000)
    network.place("c", "BUY", 10, 21_000)
    assert network.row("b")[-2:] == (3.0, pytest.approx(3 * (21 - 20)))
    assert network.row("a")[-2:] == (-4.0, pytest.approx(-3 * (21 - 20)))


def test_data_older_than_five_minutes_is_discarded() -> None:
    network = RecordedNetwork()
    network.place("a", "BUY", 300, 999_000)
    network.place("b", "SELL", 100, 999_000)
    assert len(network.history.trades[network.market.id]) == 1
    network.send("a", blocks=HISTORY_LENGTH + 50, voteSubmission={})
    assert len(network.history.snapshots[network.market.id]) == HISTORY_LENGTH
    assert not network.history.trades[network.market.id]
    assert network.row("a")[4] == 1.0  # the position stays


def test_newer_than_returns_records_oldest_first() -> None:
    network = RecordedNetwork()
    network.send("a", blocks=9, voteSubmission={})
    assert [snapshot.height for snapshot in newer_than(network.history.snapshots[network.market.id], 6)] == [7, 8, 9]
    assert newer_than(network.history.snapshots[network.market.id], 9) == []


def test_a_party_that_trades_with_itself_at_the_end_of_an_auction_has_bought_nothing() -> None:
    network = RecordedNetwork()
    network.chain.suspend(network.market.id)
    network.place("a", "BUY", 100, 999_000)
    network.place("a", "SELL", 100, 999_000)
    network.chain.resume(network.market.id)
    network.send("b", voteSubmission={})
    key = (network.chain.parties["a"], network.market.id)
    assert network.history.fills[key] == 2  # on both sides
    assert network.history.net_bought[key] == 0
