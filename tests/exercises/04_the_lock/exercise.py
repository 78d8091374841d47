"""Exercise 4. Edit this file, then run: .venv/bin/python -m tests.exercises 4"""

from typing import Any

from bot.submission import convert_to_decimals

DECIMALS = 5  # of this market's prices

Frame = dict[str, Any]  # market data of one block: {"bestBidPrice": "9998311", "bestOfferPrice": "10002045", …}
Pair = tuple[float, float]  # bid, offer


class PageStore:
    """The best prices, kept as in the tutorial. Do not change this class."""

    def __init__(self) -> None:
        self.bid = 0.0
        self.offer = 0.0

    def update(self, frame: Frame) -> None:
        self.bid = convert_to_decimals(DECIMALS, int(frame["bestBidPrice"]))
        self.offer = convert_to_decimals(DECIMALS, int(frame["bestOfferPrice"]))

    def prices(self) -> Pair:
        return self.bid, self.offer


def find_torn_read(frames: list[Frame]) -> Pair:
    """Part one: return a pair that PageStore.prices() has returned although it is in no frame."""
    store = PageStore()
    for frame in frames:
        store.update(frame)
    return store.prices()


class SafeStore:
    """Part two: the best prices, always a bid and an offer of the same frame."""

    def __init__(self) -> None:
        self._bid = 0.0
        self._offer = 0.0

    def update(self, frame: Frame) -> None:
        self._bid = convert_to_decimals(DECIMALS, int(frame["bestBidPrice"]))
        self._offer = convert_to_decimals(DECIMALS, int(frame["bestOfferPrice"]))

    def prices(self) -> Pair:
        return self._bid, self._offer
