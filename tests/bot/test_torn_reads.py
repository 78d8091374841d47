"""No reader ever sees the bid of one block beside the offer of another. `TORN_SECONDS=3` for a hasty look.

The same check finds torn pairs in a store that edits its market in place, as the published code does: so it can find them.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest

from bot.models import Market
from bot.vega_store import VegaStore
from tests.support.scripted_node import MARKETS, recorded_frames

TORN_SECONDS = float(os.environ.get("TORN_SECONDS", "10"))
READERS = 8
SPREAD = 7_000  # padded: bid and offer of one block are always so far apart
PRICE_DECIMALS, SIZE_DECIMALS = 5, 3
MARKET = MARKETS["future"]
NODE = json.loads(recorded_frames("future-market-data")[0])["result"]["marketData"][0]
TERMS: dict[str, Any] = {
    "market_id": MARKET,
    "state": "STATE_ACTIVE",
    "trading_mode": "TRADING_MODE_CONTINUOUS",
    "decimal_places": PRICE_DECIMALS,
    "position_decimal_places": SIZE_DECIMALS,
    "code": "code",
    "name": "name",
    "settlement_asset_id": "asset",
}


class InPlaceStore:
    """The counter-example: the published code's way to update a market, and to hand it out."""

    def __init__(self) -> None:
        self._markets = {MARKET: SimpleNamespace(**TERMS, best_bid_price=0.0, best_offer_price=SPREAD / 10**PRICE_DECIMALS)}
        self._markets_lock = Lock()

    def get_market_by_id(self, market_id: str) -> Any:
        with self._markets_lock:
            return self._markets.get(market_id)

    def _update_market_data(self, market_dict: dict[str, Any]) -> None:
        market_data = market_dict["marketData"][0]
        with self._markets_lock:
            market = self._markets[market_data["market"]]
            market.mark_price = _published_conversion(market.decimal_places, float(market_data["markPrice"]))
            market.best_bid_price = _published_conversion(market.decimal_places, float(market_data["bestBidPrice"]))
            market.best_offer_price = _published_conversion(market.decimal_places, float(market_data["bestOfferPrice"]))
            market.best_bid_volume = _published_conversion(market.decimal_places, float(market_data["bestBidVolume"]))
            market.best_offer_volume = _published_conversion(market.decimal_places, float(market_data["bestOfferVolume"]))


def _published_conversion(decimal_places: int, number: float) -> float:
    return number / float(10**decimal_places)


@pytest.fixture(autouse=True)
def threads_that_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # seconds; the 5 ms of a Python left alone would hide most tears
    yield
    sys.setswitchinterval(before)


def torn_pairs(store: Any, seconds: float, is_enough: Callable[[int], bool]) -> tuple[int, int]:
    """Let one thread replace a market while eight check it; return how many checks failed, and of how many."""
    over = threading.Event()
    torn, checks = [0] * READERS, [0] * READERS  # of each reader its own: no lock to bring the threads into step

    def read(number: int) -> None:
        while not over.is_set():
            market = store.get_market_by_id(MARKET)
            spread = -padded(market.best_bid_price) + padded(market.best_offer_price)  # as a bot reads them: one, some work, the other
            checks[number] += 1
            torn[number] += spread != SPREAD

    readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    deadline = time.monotonic() + seconds
    block = 0
    store._update_market_data(market_data(block))
    for reader in readers:
        reader.start()
    try:
        while time.monotonic() < deadline and not is_enough(sum(torn)):
            block += 1
            store._update_market_data(market_data(block))
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert block > 100 or any(torn)
    assert min(checks) > 0
    return sum(torn), sum(checks)


def padded(price: float) -> int:
    return round(price * float(10**PRICE_DECIMALS))


def market_data(block: int) -> dict[str, Any]:
    bid = 1_000_000 + 10_000 * (block % 50)
    return {"marketData": [{**NODE, "bestBidPrice": str(bid), "bestOfferPrice": str(bid + SPREAD)}]}


def test_no_reader_sees_a_torn_pair_of_prices() -> None:
    store = VegaStore(websocket_url="ws://nowhere", rest_api_url="http://nowhere")
    store._markets = {MARKET: Market(**TERMS)}
    torn, checks = torn_pairs(store, TORN_SECONDS, is_enough=bool)
    assert torn == 0
    assert checks > 1000 * TORN_SECONDS


def test_the_same_check_finds_torn_pairs_in_a_store_that_edits_in_place() -> None:
    torn, _ = torn_pairs(InPlaceStore(), 3 * TORN_SECONDS, is_enough=bool)
    assert torn > 0
