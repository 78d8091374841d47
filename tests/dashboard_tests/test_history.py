"""What the page's charts are drawn from: the last five minutes, and no more."""

import pytest

from tests.sandbox.chain.records import Block
from tests.sandbox.dashboard.history import SPAN, History, newer
from tests.support.chain_network import Network


class Watched(Network):
    """A chain whose blocks are recorded."""

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
        """The newest: best bid, best offer, own bid, own offer, position, profit."""
        return self.history.rows(self.market, self.chain.parties[party])[-1][2:]


def test_rows_have_prices_own_quotes_position_and_profit_in_units() -> None:
    network = Watched()
    network.place("a", "BUY", 300, 999_000)
    network.place("a", "BUY", 100, 998_000)
    network.place("b", "SELL", 200, 1_010_000)
    assert network.row("a") == (99.9, 101.0, 99.9, None, 0.0, 0.0)
    network.place("b", "SELL", 100, 999_000)
    network.place("c", "SELL", 50, 998_500)
    assert network.row("a") == (99.9, 101.0, 99.9, None, 1.5, 0.0)
    assert network.row("b") == (99.9, 101.0, None, 101.0, -1.0, 0.0)


def test_on_a_spot_market_what_was_bought_counts_at_the_last_price() -> None:
    network = Watched().trade_on("Spot")
    network.place("a", "SELL", 30, 20_000)
    network.place("b", "BUY", 30, 20_000)
    network.place("a", "SELL", 10, 21_000)
    network.place("c", "BUY", 10, 21_000)
    assert network.row("b")[-2:] == (3.0, pytest.approx(3 * (21 - 20)))
    assert network.row("a")[-2:] == (-4.0, pytest.approx(-3 * (21 - 20)))


def test_five_minutes_are_kept_and_nothing_older() -> None:
    network = Watched()
    network.place("a", "BUY", 300, 999_000)
    network.place("b", "SELL", 100, 999_000)
    assert len(network.history.deals[network.market.id]) == 1
    network.send("a", blocks=SPAN + 50, voteSubmission={})
    assert len(network.history.moments[network.market.id]) == SPAN
    assert not network.history.deals[network.market.id]
    assert network.row("a")[4] == 1.0  # the position is older, and is there


def test_what_is_newer_than_a_block_comes_in_order() -> None:
    network = Watched()
    network.send("a", blocks=9, voteSubmission={})
    assert [moment.height for moment in newer(network.history.moments[network.market.id], 6)] == [7, 8, 9]
    assert newer(network.history.moments[network.market.id], 9) == []


def test_a_party_that_meets_itself_at_the_end_of_an_auction_has_bought_nothing() -> None:
    network = Watched()
    network.chain.suspend(network.market.id)
    network.place("a", "BUY", 100, 999_000)
    network.place("a", "SELL", 100, 999_000)
    network.chain.resume(network.market.id)
    network.send("b", voteSubmission={})
    key = (network.chain.parties["a"], network.market.id)
    assert network.history.fills[key] == 2  # on both sides
    assert network.history.bought[key] == 0
