"""Price monitoring: the recorded auction, and what else a price outside of the bounds causes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.node.serializers import market_data_node
from tests.support.chain_network import SECOND, Network, outcome

RECORDINGS = Path(__file__).parents[1] / "recordings" / "second_network"
MARKET = {
    "name": "Perpetual",
    "product": "perpetual",
    "price_decimals": 4,
    "size_decimals": 1,
    "tick_size": 1,
    "settlement_asset": "tUSD",
    "first_price": "100",
    "price_monitoring": [{"horizon": 86400, "probability": "0.9999999", "auction_extension": 5}],
}
COMPARED = ("marketTradingMode", "marketState", "trigger", "extensionTrigger", "markPrice", "lastTradedPrice", "indicativePrice")


def recorded(when: str) -> dict[str, Any]:
    body = json.loads((RECORDINGS / f"rest-price-auction-{when}.json").read_text(encoding="utf-8"))["body"]
    return dict(body["marketData"])


@pytest.fixture
def network() -> Network:
    """The recorded market in front of its auction: the mark price is 999664, the last trade was at 1001429."""
    network = Network({"assets": {"tUSD": 6}, "markets": [MARKET]})
    network.place("a", "SELL", 10, 999_664)
    network.place("b", "BUY", 10, 999_664)
    network.place("a", "SELL", 94, 1_001_429)
    network.place("a", "SELL", 10, 1_401_254)
    while network.market.mark_price != 999_664:
        network.chain.block()
    network.place("b", "BUY", 10, 1_001_429)
    return network


def shown(network: Network) -> dict[str, Any]:
    return market_data_node(network.chain, network.market)


def test_the_bounds_are_as_recorded(network: Network) -> None:
    assert shown(network)["priceMonitoringBounds"] == recorded("before")["priceMonitoringBounds"]


def test_an_order_that_would_trade_far_away_causes_the_recorded_auction(network: Network) -> None:
    order = network.place("b", "BUY", 3000, 1_401_254)
    start = network.chain.time
    assert outcome(order) == ("ACTIVE", None, 3000)
    network.place("a", "SELL", 36, 1_000_708)
    during, expected = shown(network), recorded("during")
    assert {key: during[key] for key in COMPARED} == {key: expected[key] for key in COMPARED}
    for key in ("indicativeVolume", "bestBidPrice", "bestBidVolume", "bestOfferPrice", "midPrice", "priceMonitoringBounds"):
        assert during[key] == expected[key]
    assert int(during["auctionStart"]) == start
    assert int(during["auctionEnd"]) - start == int(expected["auctionEnd"]) - int(expected["auctionStart"])


def test_the_auction_ends_with_the_first_block_after_its_end(network: Network) -> None:
    order = network.place("b", "BUY", 3000, 1_401_254)
    start = network.chain.time
    while network.market.in_auction:
        last, block = network.chain.time, network.chain.block()
    assert (last - start, block.time - start) == (5 * SECOND, 6 * SECOND)
    assert [(trade.price, trade.size, trade.aggressor) for trade in block.trades] == [
        (1_401_254, 84, "SIDE_UNSPECIFIED"),
        (1_401_254, 10, "SIDE_UNSPECIFIED"),
    ]
    assert order.remaining == 3000 - 94
    after, expected = shown(network), recorded("after")
    for key in (*COMPARED, "auctionStart", "auctionEnd", "priceMonitoringBounds", "bestOfferPrice"):
        assert after[key] == expected[key]


def test_buyer_and_seller_share_the_fees_of_the_auction() -> None:
    """`CalculateForAuctionMode` of core/fee/engine.go at v0.77.6: each pays half of infrastructure and liquidity fees, no maker fee."""
    fees = {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0"}
    network = Network({"assets": {"tUSD": 6}, "markets": [MARKET | {"fees": fees}]})
    network.place("a", "SELL", 100, 1_401_254)
    network.place("b", "BUY", 100, 1_401_254)
    trades = [trade for _ in range(7) for trade in network.chain.block().trades]
    (trade,) = trades
    for side in (trade.buyer_fees, trade.seller_fees):
        assert (side.maker, side.infrastructure) == (0, 350_314)  # 10 x 140.1254 x 0.0005 / 2, in millionths, rounded up


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_an_order_that_does_not_persist_is_stopped_and_causes_no_auction(network: Network, tif: str) -> None:
    """`CheckPrice` of core/monitor/price/pricemonitoring.go at v0.77.6."""
    order = network.place("b", "BUY", 90, 1_401_254, tif=tif)
    assert outcome(order) == ("STOPPED", "NON_PERSISTENT_ORDER_OUT_OF_PRICE_BOUNDS", 90)
    assert not network.market.in_auction


def test_a_good_for_normal_trading_order_is_cancelled_when_an_auction_starts(network: Network) -> None:
    normal = network.place("c", "BUY", 1, 900_000, tif="GFN")
    network.place("b", "BUY", 1, 1_000_000)
    network.place("a", "SELL", 1, 1_500_000)
    network.place("b", "BUY", 1000, 1_500_000)
    assert network.market.in_auction
    assert outcome(normal) == ("CANCELLED", None, 1)


def test_without_triggers_every_price_may_trade() -> None:
    network = Network({"assets": {"tUSD": 6}, "markets": [MARKET | {"price_monitoring": []}]})
    network.place("a", "SELL", 1, 5_000_000)
    assert network.place("b", "BUY", 1, 5_000_000).status == "STATUS_FILLED"
