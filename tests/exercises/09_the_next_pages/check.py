"""Checks exercise 9: a commitment that ends in the sandbox's bond account, then quotes around the prices of its reference feed."""

import json
from dataclasses import replace
from typing import Any

import bot.submission as sub
import bot.vega_api_client as api
from bot.models import Account, Market, ReferencePrice
from bot.vega_store import VegaStore
from bot.wallet import WalletError
from tests.exercises.checking import NotYet, expect, say
from tests.exercises.live import Stream, market_now, order, orders_over_rest, send, wallet_of
from tests.sandbox import Sandbox
from tests.sandbox.reference_feed import add_reference_feed

SYMBOL = "SOLDAI"
BLOCKS = 30
QUARTER = 10_000_000 * 10**18 // 4  # padded; the bot begins with ten million of each asset
ACCOUNT = "the account whose account_type is ACCOUNT_TYPE_GENERAL and whose asset_id is the market's settlement_asset_id"
PLACES = "money has the decimal places of its asset: store.get_asset_by_id(market.settlement_asset_id)"
MIDDLE = "the middle of the reference, less half of your spread for the bid, plus half of it for the offer"
THROUGH = "min() for the bid, max() for the offer: one tick away from the other side of this market is the limit"


class ShuffledStore(VegaStore):
    """A store with its accounts the other way round: nobody promises an order, and the first is a wrong one."""

    def get_accounts(self) -> list[Account]:
        return super().get_accounts()[::-1]


def check(exercise: Any) -> None:
    check_commitment(exercise.commitment)
    check_reference_store(exercise.ReferenceStore)
    check_quotes(exercise.quotes)
    check_feed(exercise)


def check_commitment(commitment: Any) -> None:
    with Sandbox(block_time=0, seed=9) as sandbox:
        market_id = sandbox.markets["future"]
        send(sandbox, "bot", orderSubmission=order(market_id, "BUY", 100, 9_000_000))  # leaves an empty margin account behind
        sandbox.block()
        send(sandbox, "bot", orderCancellation={"marketId": market_id})
        sandbox.block()
        store = ShuffledStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
        store.load_data(party_id=sandbox.parties["bot"])
        transaction = commitment(store, market_id)
        try:
            wallet_of(sandbox).submit_transaction(transaction)
        except WalletError as error:
            raise NotYet(
                saw=f"{transaction}\n{error}", expected="a transaction that the wallet takes", hint=f"{ACCOUNT}; {PLACES}"
            ) from error
        sandbox.block()
        bonds = [int(node["balance"]) for node in accounts(sandbox) if node["type"] == "ACCOUNT_TYPE_BOND"]
    expect(
        bonds == [QUARTER],
        saw=f"bond accounts with {bonds}" if bonds else "no bond account: the network took the transaction in and did nothing with it",
        expected=f"one with {QUARTER}, a quarter of ten million with 18 decimal places",
        hint=f"{ACCOUNT}. And: {PLACES}",
    )
    say(f"the bond account holds {QUARTER}: a quarter of the general account")


def accounts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)


def check_reference_store(make: Any) -> None:
    store = make()
    expect(store.get("SOLDAI") is None, saw=f"{store.get('SOLDAI')} before any frame", expected="None", hint="dict.get returns None")
    for symbol, bid, ask in (("SOLDAI", "101.25", "101.75"), ("ETHUSDC", "1850.5", "1851.0"), ("SOLDAI", "102.5", "102.75")):
        store.update(json.dumps({"symbol": symbol, "bid_price": bid, "ask_price": ask}))
    for symbol, bid, ask in (("SOLDAI", 102.5, 102.75), ("ETHUSDC", 1850.5, 1851.0)):
        expect(
            store.get(symbol) == ReferencePrice(symbol=symbol, bid_price=bid, ask_price=ask),
            saw=f"get({symbol!r}) returned {store.get(symbol)!r}",
            expected=f"{ReferencePrice(symbol=symbol, bid_price=bid, ask_price=ask)!r}, its newest frame",
            hint="json.loads the frame, float() the two prices, keep the record under its symbol",
        )


def check_quotes(quotes: Any) -> None:
    """Try references inside a market of 99.9 - 100.1, and far outside."""
    with Sandbox(block_time=0, seed=9) as sandbox:
        sandbox.block()
        market = replace(market_now(sandbox), best_bid_price=99.9, best_offer_price=100.1)
    unguided = quotes(market, None, 0, 1)
    expect(unguided == [], saw=f"{unguided} without a reference", expected="[]", hint="look at None first")
    for middle in (100.0, 100.02, 99.97):
        bid, offer = both_sides(quotes, market, middle)
        expect(
            bid < middle < offer and abs((bid + offer) / 2 - middle) < 2e-5,
            saw=f"quotes at {bid} and {offer}, around {(bid + offer) / 2:.5f}",
            expected=f"around {middle}, the middle of the reference",
            hint=MIDDLE,
        )
    for middle in (100.4, 99.6):
        bid, offer = both_sides(quotes, market, middle)
        expect(
            bid < market.best_offer_price and offer > market.best_bid_price,
            saw=f"with the reference around {middle}, quotes at {bid} and {offer}: through this market's 99.9 - 100.1",
            expected="a bid below 100.1, and an offer above 99.9",
            hint=THROUGH,
        )
    sides = [each.side for each in quotes(market, around(100.0), 1, 1)]
    expect(sides == ["SIDE_SELL"], saw=f"{sides} at the maximum position", expected="an offer, and no bid", hint="main.quotes knows how")
    say("quotes stand around the reference, and do not run through the market")


def around(middle: float) -> ReferencePrice:
    return ReferencePrice(symbol=SYMBOL, bid_price=middle - 0.003, ask_price=middle + 0.003)


def both_sides(quotes: Any, market: Market, middle: float) -> tuple[float, float]:
    """Return the prices of the bid and the offer."""
    orders = quotes(market, around(middle), 0, 1)
    prices = {order.side: order.price for order in orders}
    expect(
        len(orders) == 2 and prices.keys() == {"SIDE_BUY", "SIDE_SELL"},
        saw=f"{orders} for {around(middle)}",
        expected="a bid and an offer",
        hint="at a position of 0 there is room on both sides",
    )
    return prices["SIDE_BUY"], prices["SIDE_SELL"]


def check_feed(exercise: Any) -> None:
    """Quote 30 blocks around the live feed; the book must have the quotes, and the reference must have been ahead."""
    sandbox = Sandbox(block_time=0, seed=9)
    add_reference_feed(sandbox, sandbox.node.app)
    with sandbox:
        sandbox.block()
        store, ahead, behind = exercise.ReferenceStore(), 0.0, 0.0
        with Stream(f"{sandbox.ws_url.removesuffix('/api/v2')}/reference/{SYMBOL}") as feed:
            market = market_now(sandbox)
            for _ in range(BLOCKS):
                store.update(feed.next_text())
                reference = store.get(SYMBOL)
                quote_block(exercise.quotes, sandbox, market, reference)
                before, market = market, market_now(sandbox)
                ahead += abs((reference.bid_price + reference.ask_price) / 2 - middle_of(market)) / BLOCKS
                behind += abs(middle_of(before) - middle_of(market)) / BLOCKS
    say(f"{BLOCKS} blocks: the reference was {ahead:.4f} from this market's next middle, this market's own middle {behind:.4f}")


def quote_block(quotes: Any, sandbox: Sandbox, market: Market, reference: ReferencePrice) -> None:
    """Send the quotes into the next block, and look that the network accepted each of them at its price."""
    orders = quotes(market, reference, 0, 1)
    cancel = [sub.OrderCancellation(market_id=market.market_id)]
    batch = sub.BatchMarketInstruction(submissions=orders, cancellations=cancel, amendments=[])
    terms = (market.decimal_places, market.position_decimal_places, market.tick_size)
    wallet_of(sandbox).submit_transaction(sub.instruction_to_json(batch, *terms))
    sandbox.block()
    newest = orders_over_rest(sandbox, live=False)[: len(orders)]
    wanted = sorted(str(sub.convert_from_decimals(market.decimal_places, each.price, market.tick_size)) for each in orders)
    expect(
        sorted(node["price"] for node in newest) == wanted and all("reason" not in node for node in newest),
        saw=f"the network made of your quotes {[(node['side'], node['price'], node['status'], node.get('reason')) for node in newest]}",
        expected=f"orders at {wanted}, none of them refused",
        hint="prices above zero, sizes above zero, a bid and an offer that do not meet each other",
    )


def middle_of(market: Market) -> float:
    return (market.best_bid_price + market.best_offer_price) / 2
