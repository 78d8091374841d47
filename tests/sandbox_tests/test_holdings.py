"""What a spot market holds of its parties' money, where no recording shows it: as in core/execution/spot at v0.77.6."""

import pytest

from tests.sandbox.chain.records import Order
from tests.support.chain_network import CONFIG, Network

FEES = {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0"}
EUR = 10**12  # tEUR
VALUE = 10 * EUR  # of size 10 (1.0) at a price of 10,000 (10)


@pytest.fixture
def network() -> Network:
    """A spot market with fees, without orders; the price is 20."""
    return Network({**CONFIG, "markets": [CONFIG["markets"][1] | {"fees": FEES}]})


def held(network: Network, party: str, symbol: str = "tEUR") -> int:
    return network.balance(party, "HOLDING", symbol)


def govern(network: Network, name: str) -> None:
    getattr(network.chain, name)(network.market.id)
    network.chain.block()


def set_general(network: Network, party: str, amount: int) -> None:
    assets = {asset.symbol: asset.id for asset in network.chain.assets.values()}
    network.chain.accounts[network.chain.parties[party], "", "ACCOUNT_TYPE_GENERAL", assets["tEUR"]].balance = amount


def place_pegged(network: Network, party: str, offset: int) -> Order:
    order = network.order("BUY", 10, 0) | {"peggedOrder": {"reference": "PEGGED_REFERENCE_BEST_BID", "offset": str(offset)}}
    del order["price"]
    network.send(party, orderSubmission=order)
    return list(network.chain.orders.values())[-1]


def test_a_buyer_who_pays_less_at_the_end_of_an_auction_keeps_the_rest_on_hold(network: Network) -> None:
    """`handleTrade` of market.go releases the value at the auction's price; the rest is released when the order ends."""
    govern(network, "suspend")
    order = network.place("a", "BUY", 30, 20_000)
    network.place("b", "SELL", 10, 10_000)
    govern(network, "resume")
    assert (order.remaining, network.market.last_traded_price) == (20, 15_000)
    assert held(network, "a") == 60 * EUR - 15 * EUR
    network.cancel("a")
    assert held(network, "a") == 0


def test_an_amendment_that_would_trade_and_must_not_releases_what_was_held(network: Network) -> None:
    """`orderCancelReplace` of market.go releases it before it looks at the book, and the order stays."""
    network.place("b", "SELL", 10, 20_000)
    order = network.place("a", "BUY", 10, 10_000, postOnly=True)
    assert held(network, "a") == VALUE
    network.amend("a", order, price="20000")
    assert (order.status, order.price, order.version, held(network, "a")) == ("STATUS_ACTIVE", 10_000, 1, 0)
    network.cancel("a", order)
    assert (order.status, held(network, "a")) == ("STATUS_CANCELLED", 0)


def test_a_seller_who_amends_in_an_auction_must_hold_fees_in_the_wrong_asset(network: Network) -> None:
    """`amendOrder` of market.go adds the fee, counted in the quote asset, to the base asset that it holds; too much of it holds nothing."""
    govern(network, "suspend")
    order = network.place("a", "SELL", 20, 20_000)
    assert held(network, "a", "tBTC") == 2 * 10**8
    network.amend("a", order, size="10")
    assert (order.size, held(network, "a", "tBTC")) == (10, 10**8 + VALUE * 2 // 4000)
    rich = network.place("b", "SELL", 2_000_000, 20_000_000)
    network.amend("b", rich, size="1900000")
    assert (rich.size, held(network, "b", "tBTC")) == (1_900_000, 0)


def test_a_party_that_cannot_pay_the_fees_of_an_auction_loses_the_order_with_the_largest_id(network: Network) -> None:
    """`processFeesTransfersOnEnterAuction` of market.go serves each party's orders by id, and cancels at the end."""
    orders = [network.place("a", "BUY", 10, price) for price in (10_000, 11_000, 12_000)]
    first, *others = sorted(orders, key=lambda order: order.id)
    set_general(network, "a", first.price * EUR // 1000 // 4000)
    govern(network, "suspend")
    assert [order.status for order in (first, *others)] == ["STATUS_ACTIVE", "STATUS_CANCELLED", "STATUS_CANCELLED"]


def test_the_end_of_a_suspension_takes_full_fees_on_hold_before_it_trades(network: Network) -> None:
    """`UpdateMarketState` ends the auction first, so `checkFeeTransfersWhileInAuction` counts the fees of continuous trading."""
    govern(network, "suspend")
    set_general(network, "a", VALUE + VALUE // 4000)
    order = network.place("a", "BUY", 10, 10_000)
    assert order.status == "STATUS_ACTIVE"
    network.place("b", "SELL", 10, 10_000)
    govern(network, "resume")
    assert order.status == "STATUS_CANCELLED"


def test_a_repriced_order_that_its_party_cannot_pay_for_is_stopped(network: Network) -> None:
    """`reSubmitPeggedOrders` of special_orders.go."""
    network.place("b", "BUY", 10, 10_000)
    order = place_pegged(network, "a", 1000)
    assert (order.status, order.price, held(network, "a")) == ("STATUS_ACTIVE", 9_000, 9 * EUR)
    set_general(network, "a", 0)
    network.place("c", "BUY", 10, 15_000)
    assert (order.status, held(network, "a")) == ("STATUS_STOPPED", 0)
