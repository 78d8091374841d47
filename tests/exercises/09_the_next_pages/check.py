"""Checks exercise 9: a commitment that ends in the sandbox's bond account, then quotes around the prices of its reference feed."""

import json
from dataclasses import replace
from typing import Any

import bot.submission as sub
import bot.vega_api_client as api
from bot.models import Account, Market, ReferencePrice
from bot.vega_store import VegaStore
from bot.wallet import WalletError
from tests.exercises.checking import NotYet, call, expect, say
from tests.exercises.interleaving import Race, switched
from tests.exercises.orders import call_for_orders
from tests.exercises.sandbox_helpers import Stream, market_now, order, orders_over_rest, send, wallet_of
from tests.sandbox import Sandbox
from tests.sandbox.node.reference_feed import add_reference_feed

SYMBOL = "SOLDAI"
BLOCKS = 30
# Of the bot's general accounts, in units of the asset. No two alike, the right ones neither the first nor the largest, and quarters
# of them no whole numbers.
BALANCES = {"tDAI": 2_500_000.5, "tUSDC": 1_300_000.5, "tEUR": 700_000.5, "tBTC": 4_100_000.5}
SETTLED_IN = {"future": "tDAI", "perpetual": "tUSDC"}  # assets with different decimal places
ACCOUNT = "the account whose account_type is ACCOUNT_TYPE_GENERAL and whose asset_id is the market's settlement_asset_id"
PLACES = "money has the decimal places of its asset: store.get_asset_by_id(market.settlement_asset_id)"
HALF = "make the whole record first, then put it in place with one assignment, as in exercise 4; a lock protects where both methods take it"
NONE = "look at None first"
MIDDLE = "the middle of the reference, less half of your spread for the bid, plus half of it for the offer"
THROUGH = "min() for the bid, max() for the offer: one tick away from the other side of this market is the limit"


class ShuffledStore(VegaStore):
    """A store with its accounts the other way round: nobody promises an order, and the first is a wrong one."""

    def get_accounts(self) -> list[Account]:
        return super().get_accounts()[::-1]


def check(exercise: Any) -> None:
    check_commitment(exercise)
    check_reference_store(exercise)
    check_threads(exercise)
    check_quotes(exercise)
    check_feed(exercise)


def check_commitment(exercise: Any) -> None:
    with Sandbox(block_time=0, traders=False, seed=9) as sandbox:
        send(sandbox, "bot", orderSubmission=order(sandbox.markets["future"], "BUY", 100, 9_000_000))  # both of them need a margin
        send(sandbox, "bot", orderSubmission=order(sandbox.markets["perpetual"], "BUY", 30, 180_000))
        sandbox.block()
        sandbox.call(set_balances)
        store = ShuffledStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
        store.load_data(party_id=sandbox.parties["bot"])
        for product in SETTLED_IN:
            commit(exercise, sandbox, store, product)


def set_balances(sandbox: Sandbox) -> None:
    chain = sandbox.chain
    for asset in chain.assets.values():
        account = chain.accounts[chain.parties["bot"], "", "ACCOUNT_TYPE_GENERAL", asset.id]
        account.balance = sub.convert_from_decimals(asset.decimals, BALANCES[asset.symbol])


def commit(exercise: Any, sandbox: Sandbox, store: VegaStore, product: str) -> None:
    """Send the learner's commitment to a market, and look into the bond account."""
    market_id, symbol = sandbox.markets[product], SETTLED_IN[product]
    decimals = next(asset.decimal_places for asset in store.get_assets() if asset.symbol == symbol)
    quarter = sub.convert_from_decimals(decimals, BALANCES[symbol] / 4)
    transaction = call(exercise, "commitment", store, market_id, gives=dict)
    try:
        wallet_of(sandbox).submit_transaction(transaction)
    except (WalletError, TypeError) as error:  # the latter: something in it is no JSON
        raise NotYet(saw=f"{transaction}\n{error}", expected="a transaction that the wallet takes", hint=f"{ACCOUNT}; {PLACES}") from error
    sandbox.block()
    nodes = api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)
    bonds = [int(node["balance"]) for node in nodes if node["type"] == "ACCOUNT_TYPE_BOND" and node["marketId"] == market_id]
    expect(
        bonds == [quarter],
        saw=f"bond accounts with {bonds}" if bonds else f"no bond account: the network took {transaction} in and did nothing with it",
        expected=f"on the {product}, one with {quarter}: a quarter of {BALANCES[symbol]} {symbol}, which has {decimals} decimal places",
        hint=f"{ACCOUNT}. And: {PLACES}",
    )
    say(f"the bond account of the {product} holds {quarter}: a quarter of the general account of {symbol}")


def check_reference_store(exercise: Any) -> None:
    store = call(exercise, "ReferenceStore")
    before = call(store, "get", "SOLDAI")
    expect(before is None, saw=f"{before} before any frame", expected="None", hint="dict.get returns None")
    for symbol, bid, ask in (("SOLDAI", "101.25", "101.75"), ("ETHUSDC", "1850.5", "1851.0"), ("SOLDAI", "102.5", "102.75")):
        call(store, "update", frame_of(symbol, bid, ask))
    for symbol, bid, ask in (("SOLDAI", 102.5, 102.75), ("ETHUSDC", 1850.5, 1851.0)):
        price = call(store, "get", symbol)
        expect(
            price == ReferencePrice(symbol=symbol, bid_price=bid, ask_price=ask),
            saw=f"get({symbol!r}) returned {price!r}",
            expected=f"{ReferencePrice(symbol=symbol, bid_price=bid, ask_price=ask)!r}, its newest frame",
            hint="json.loads the frame, float() the two prices, keep the record under its symbol",
        )


def frame_of(symbol: str, bid: str, ask: str) -> str:
    return json.dumps({"symbol": symbol, "bid_price": bid, "ask_price": ask})


def check_threads(exercise: Any) -> None:
    """Stop `update` at each instruction and call `get` there, and the other way round."""
    old = ReferencePrice(symbol=SYMBOL, bid_price=101.25, ask_price=101.75)
    new = ReferencePrice(symbol=SYMBOL, bid_price=102.5, ask_price=102.75)

    def prepare() -> Race:
        store = call(exercise, "ReferenceStore")
        call(store, "update", frame_of(SYMBOL, "101.25", "101.75"))
        return Race(write=lambda: call(store, "update", frame_of(SYMBOL, "102.5", "102.75")), read=lambda: call(store, "get", SYMBOL))

    for stopped, stop_writing in (("update", True), ("get", False)):
        for price, at_end in switched(prepare, stop_writing):
            expect(
                price in (old, new) and at_end == new,
                saw=f"get() gave {price}\nwhere {stopped}() was stopped in its middle, and {at_end} at the end",
                expected=f"{old} or {new}; at the end the latter",
                hint=HALF,
            )
    say("ReferenceStore: wherever update() or get() is interrupted, what it hands out is whole")


def check_quotes(exercise: Any) -> None:
    """Try references inside a market of 99.9 - 100.1, and far outside."""
    with Sandbox(block_time=0, seed=9) as sandbox:
        sandbox.block()
        market = replace(market_now(sandbox), best_bid_price=99.9, best_offer_price=100.1)
    unguided = call_for_orders(exercise, "quotes", market, None, 0, 1, errors=(AttributeError,), hint=NONE)
    expect(unguided == [], saw=f"{unguided} without a reference", expected="[]", hint=NONE)
    for middle in (100.0, 100.02, 99.97):
        bid, offer = both_sides(exercise, market, middle)
        expect(
            bid < middle < offer and abs((bid + offer) / 2 - middle) < 2e-5,
            saw=f"quotes at {bid} and {offer}, around {(bid + offer) / 2:.5f}",
            expected=f"around {middle}, the middle of the reference",
            hint=MIDDLE,
        )
    for middle in (100.4, 99.6):
        bid, offer = both_sides(exercise, market, middle)
        expect(
            bid < market.best_offer_price and offer > market.best_bid_price,
            saw=f"with the reference around {middle}, quotes at {bid} and {offer}: through this market's 99.9 - 100.1",
            expected="a bid below 100.1, and an offer above 99.9",
            hint=THROUGH,
        )
    sides = [each.side for each in call_for_orders(exercise, "quotes", market, around(100.0), 1, 1)]
    expect(sides == ["SIDE_SELL"], saw=f"{sides} at the maximum position", expected="an offer, and no bid", hint="main.quotes knows how")
    say("quotes stand around the reference, and do not run through the market")


def around(middle: float) -> ReferencePrice:
    return ReferencePrice(symbol=SYMBOL, bid_price=middle - 0.003, ask_price=middle + 0.003)


def both_sides(exercise: Any, market: Market, middle: float) -> tuple[float, float]:
    """Return the prices of the bid and the offer."""
    orders = call_for_orders(exercise, "quotes", market, around(middle), 0, 1)
    prices = {order.side: order.price for order in orders}
    expect(
        len(orders) == 2 and prices.keys() == {"SIDE_BUY", "SIDE_SELL"},
        saw=f"{orders} for {around(middle)}",
        expected="a bid and an offer, also where the reference is beside this market",
        hint=f"at a position of 0 there is room on both sides, and neither quote goes: {THROUGH}",
    )
    return prices["SIDE_BUY"], prices["SIDE_SELL"]


def check_feed(exercise: Any) -> None:
    """Quote 30 blocks around the live feed; the book must have the quotes, and the reference must have been ahead."""
    sandbox = Sandbox(block_time=0, seed=9)
    add_reference_feed(sandbox, sandbox.node.app)
    with sandbox:
        sandbox.block()
        store, ahead, behind = call(exercise, "ReferenceStore"), 0.0, 0.0
        with Stream(f"{sandbox.ws_url.removesuffix('/api/v2')}/reference/{SYMBOL}") as feed:
            market = market_now(sandbox)
            for _ in range(BLOCKS):
                call(store, "update", feed.next_text())
                reference = call(store, "get", SYMBOL, gives=ReferencePrice)
                quote_block(exercise, sandbox, market, reference)
                before, market = market, market_now(sandbox)
                ahead += abs((reference.bid_price + reference.ask_price) / 2 - middle_of(market)) / BLOCKS
                behind += abs(middle_of(before) - middle_of(market)) / BLOCKS
    say(f"{BLOCKS} blocks: the reference was {ahead:.4f} from this market's next middle, this market's own middle {behind:.4f}")


def quote_block(exercise: Any, sandbox: Sandbox, market: Market, reference: ReferencePrice) -> None:
    """Send the quotes into the next block, and look that the network accepted each of them at its price."""
    orders = call_for_orders(exercise, "quotes", market, reference, 0, 1)
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
