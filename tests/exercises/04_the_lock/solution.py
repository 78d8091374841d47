"""Exercise 4, solved as in the bot: a frozen record that is replaced as a whole, under a lock that readers take too."""

import threading
from typing import Any

from bot.models import ReferencePrice
from bot.submission import convert_to_decimals

DECIMALS = 5  # of this market's prices

Frame = dict[str, Any]  # market data of one block: {"bestBidPrice": "9998311", "bestOfferPrice": "10002045", …}
Pair = tuple[float, float]  # bid, offer


class PageStore:
    """The best prices, kept as in the tutorial."""

    def __init__(self) -> None:
        self.bid = 0.0
        self.offer = 0.0

    def update(self, frame: Frame) -> None:
        self.bid = convert_to_decimals(DECIMALS, int(frame["bestBidPrice"]))
        self.offer = convert_to_decimals(DECIMALS, int(frame["bestOfferPrice"]))

    def prices(self) -> Pair:
        return self.bid, self.offer


def pair_of(frame: Frame) -> Pair:
    return convert_to_decimals(DECIMALS, int(frame["bestBidPrice"])), convert_to_decimals(DECIMALS, int(frame["bestOfferPrice"]))


def find_torn_read(frames: list[Frame]) -> Pair:
    """One thread writes until it is stopped. This one reads until it gets a pair that is in no frame."""
    store = PageStore()
    valid = {(0.0, 0.0), *map(pair_of, frames)}
    found = threading.Event()

    def write() -> None:
        while not found.is_set():
            for frame in frames:
                store.update(frame)

    writer = threading.Thread(target=write)
    writer.start()
    while (pair := store.prices()) in valid:
        pass
    found.set()
    writer.join()
    return pair


class SafeStore:
    """The best prices, always a bid and an offer of the same frame."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _price
        self._price = ReferencePrice(symbol="", bid_price=0.0, ask_price=0.0)  # any frozen record will do

    def update(self, frame: Frame) -> None:
        bid, offer = pair_of(frame)  # parse first: readers do not have to wait for it
        price = ReferencePrice(symbol="", bid_price=bid, ask_price=offer)
        with self._lock:
            self._price = price

    def prices(self) -> Pair:
        with self._lock:
            price = self._price
        return price.bid_price, price.ask_price
