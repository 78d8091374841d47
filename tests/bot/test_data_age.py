"""bot/sync.py, DataAge: how old market data is at the node, by its blocks' times and the local clock."""

import math

import pytest

from bot.sync import DataAge
from bot.transport import clock

CHAIN_START = 1_700_000_000 * 10**9  # ns


class Clock:
    """The local clock, which a test sets."""

    def __init__(self) -> None:
        self.seconds = 5000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(clock, "now", fake.now)
    return fake


def feed(age: DataAge, local: Clock, blocks: int, pace: float = 1.0, first: int = 0) -> None:
    """Let so many blocks of a second of chain time arrive, one each `pace` seconds."""
    for block in range(first, first + blocks):
        age.on_block(CHAIN_START + block * 10**9, latency=0.0)
        local.seconds += pace


def test_data_is_infinitely_old_before_any(local: Clock) -> None:
    assert DataAge().seconds() == math.inf


def test_data_of_a_node_that_keeps_up_is_as_old_as_its_arrival(local: Clock) -> None:
    age = DataAge()
    feed(age, local, 10)
    assert age.seconds() == pytest.approx(1.0)
    assert age.block_interval() == pytest.approx(1.0)


def test_a_node_that_falls_behind_has_old_data_although_its_frames_keep_coming(local: Clock) -> None:
    age = DataAge()
    feed(age, local, 10)
    local.seconds += 20.0  # the node stands still, and then goes on at the pace of the chain, 20 s behind
    feed(age, local, 3, first=10)
    assert age.seconds() > 20.0


def test_time_in_flight_counts(local: Clock) -> None:
    age = DataAge()
    age.on_block(CHAIN_START, latency=7.0)
    assert age.seconds() == pytest.approx(7.0)
