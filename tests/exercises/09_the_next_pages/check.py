"""Checks exercise 9: commitments that arrive in the sandbox's bond accounts, then quotes around the prices of its reference feed."""

import json
from dataclasses import replace
from types import ModuleType

import bot.submission as sub
import bot.vega_api_client as api
from bot.execution.pre_trade_checks import limit_to_position
from bot.models import Market, ReferencePrice
from bot.wallet import WalletError
from tests.exercises.checking import NotSolved, call, expect, report
from tests.exercises.interleaving import Race, double_interleavings, interleavings
from tests.exercises.orders import call_for_orders
from tests.exercises.sandbox_helpers import (
    FilledStore,
    StreamClient,
    get_market,
    get_orders,
    make_wallet,
    order_json,
    send_transaction,
)
from tests.sandbox import Sandbox
from tests.sandbox.node.reference_feed import add_reference_feed

SYMBOL = "SOLDAI"
BLOCKS = 30
MAX_ABS_POSITION = 5.0  # contracts
# Of the bot's general accounts, in units of the asset. They all differ, the correct ones are neither first nor largest, and no quarter is
# a whole number.
BALANCES = {"tDAI": 2_500_000.5, "tUSDC": 1_300_000.5, "tEUR": 700_000.5, "tBTC": 4_100_000.5}
SETTLEMENT_ASSETS = {"future": "tDAI", "perpetual": "tUSDC"}  # assets with different decimal places
ACCOUNT = "the account whose account_type is ACCOUNT_TYPE_GENERAL and whose asset_id is the market's settlement_asset_id"
PLACES = "money has the decimal places of its asset: store.get_asset_by_id(market.settlement_asset_id)"
WHOLE = "make the whole record first, then store it with one assignment, as in exercise 4; a lock works only if both methods take it"
NONE = "test for None first"
MIDDLE = "the middle of the reference, minus half of your spread for the bid, plus half of it for the offer"
LIMIT = "min() for the bid, max() for the offer: the limit is one tick from the other side of this market"
TICK = "a price is rounded to the nearest tick before it is sent: one tick is market.tick_size, a padded price, not one price decimal"


def check(exercise: ModuleType) -> None:
    check_commitment(exercise)
    check_reference_store(exercise)
    check_threads(exercise)
    check_quotes(exercise)
    check_feed(exercise)


def check_commitment(exercise: ModuleType) -> None:
    with Sandbox(block_time=0, traders=False, seed=9) as sandbox:
        # Orders on both markets, so that there are margin accounts too.
        send_transaction(sandbox, "bot", orderSubmission=order_json(sandbox.markets["future"], "BUY", 100, 9_000_000))
        send_transaction(sandbox, "bot", orderSubmission=order_json(sandbox.markets["perpetual"], "BUY", 30, 180_000))
        sandbox.block()
        sandbox.call(set_balances)
        store = FilledStore(sandbox.node_url)
        store.fill(sandbox)
        store.accounts.reverse()  # their order is not specified, and now the first is a wrong one
        for product in SETTLEMENT_ASSETS:
            check_bond(exercise, sandbox, store, product)


def set_balances(sandbox: Sandbox) -> None:
    chain = sandbox.chain
    for asset in chain.assets.values():
        account = chain.accounts[chain.parties["bot"], "", "ACCOUNT_TYPE_GENERAL", asset.id]
        account.balance = sub.convert_from_decimals(asset.decimals, BALANCES[asset.symbol])


def check_bond(exercise: ModuleType, sandbox: Sandbox, store: FilledStore, product: str) -> None:
    """Send the learner's commitment to a market, and compare the bond account."""
    market_id, symbol = sandbox.markets[product], SETTLEMENT_ASSETS[product]
    decimals = next(asset.decimal_places for asset in store.get_assets() if asset.symbol == symbol)
    quarter = sub.convert_from_decimals(decimals, BALANCES[symbol] / 4)
    transaction = call(exercise, "commitment", store, market_id, returns=dict)
    try:
        make_wallet(sandbox).submit_transaction(transaction)
    except (WalletError, TypeError) as error:  # TypeError: a value is not JSON
        raise NotSolved(
            saw=f"{transaction}\n{error}", expected="a transaction that the wallet accepts", hint=f"{ACCOUNT}; {PLACES}"
        ) from error
    sandbox.block()
    nodes = api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)
    bonds = [int(node["balance"]) for node in nodes if node["type"] == "ACCOUNT_TYPE_BOND" and node["marketId"] == market_id]
    expect(
        bonds == [quarter],
        saw=f"bond accounts with {bonds}" if bonds else f"no bond account: the network ignored {transaction}",
        expected=f"on the {product}, one with {quarter}: a quarter of {BALANCES[symbol]} {symbol}, which has {decimals} decimal places",
        hint=f"{ACCOUNT}. And: {PLACES}",
    )
    report(f"the bond account of the {product} holds {quarter}: a quarter of the general account of {symbol}")


def check_reference_store(exercise: ModuleType) -> None:
    store = call(exercise, "ReferenceStore")
    before = call(store, "get", "SOLDAI", errors=(KeyError,), hint="dict.get returns None for a missing key")
    expect(before is None, saw=f"{before} before any frame", expected="None", hint="dict.get returns None for a missing key")
    for symbol, bid, ask in (("SOLDAI", "101.25", "101.75"), ("ETHUSDC", "1850.5", "1851.0"), ("SOLDAI", "102.5", "102.75")):
        call(store, "update", make_frame(symbol, bid, ask))
    for expected in (ReferencePrice("SOLDAI", 102.5, 102.75), ReferencePrice("ETHUSDC", 1850.5, 1851.0)):
        price = call(store, "get", expected.symbol)
        expect(
            price == expected,
            saw=f"get({expected.symbol!r}) returned {price!r}",
            expected=f"{expected!r}, from its newest frame",
            hint="json.loads the frame, float() the two prices, keep the record under its symbol",
        )


def make_frame(symbol: str, bid: str, ask: str) -> str:
    return json.dumps({"symbol": symbol, "bid_price": bid, "ask_price": ask})


def check_threads(exercise: ModuleType) -> None:
    """Pause `update` at each instruction and call `get` meanwhile, and the other way round."""
    old = ReferencePrice(symbol=SYMBOL, bid_price=101.25, ask_price=101.75)
    new = ReferencePrice(symbol=SYMBOL, bid_price=102.5, ask_price=102.75)

    def prepare() -> Race[object]:
        store = call(exercise, "ReferenceStore")
        call(store, "update", make_frame(SYMBOL, "101.25", "101.75"))
        return Race(write=lambda: call(store, "update", make_frame(SYMBOL, "102.5", "102.75")), read=lambda: call(store, "get", SYMBOL))

    for paused, pause_write in (("update", True), ("get", False)):
        for price, final in interleavings(prepare, pause_write, files=[str(exercise.__file__)]):
            expect(
                price in (old, new) and final == new,
                saw=f"get() returned {price}\nwhile {paused}() was paused, and {final} at the end",
                expected=f"{old} or {new}; at the end the latter",
                hint=WHOLE,
            )
    for price, final in double_interleavings(prepare, files=[str(exercise.__file__)]):
        expect(
            price in (old, new) and final == new,
            saw=f"get() returned {price}\nwhile both methods were paused, and {final} at the end",
            expected=f"{old} or {new}; at the end the latter",
            hint=f"{WHOLE}; and only until the lock is released",
        )
    report("ReferenceStore: wherever update() or get() is paused, get() returns a complete record")


def check_quotes(exercise: ModuleType) -> None:
    """Try references inside and outside a market's spread, on a market with a tick size of 1 and on one with 5."""
    with Sandbox(block_time=0, seed=9) as sandbox:
        sandbox.block()
        future = replace(get_market(sandbox, "future"), best_bid_price=99.9, best_offer_price=100.1)
        perpetual = replace(get_market(sandbox, "perpetual"), best_bid_price=1849.9, best_offer_price=1850.1)
    orders = call_for_orders(exercise, "quotes", future, None, 0, 1, errors=(AttributeError,), hint=NONE)
    expect(orders == [], saw=f"{orders} without a reference", expected="[]", hint=NONE)
    for middle in (100.0, 100.02, 99.97):
        check_middle(exercise, future, middle)
    for market, middles in ((future, (100.4, 99.6)), (perpetual, (1850.6, 1849.4, 1850.06, 1849.94))):
        for middle in middles:
            check_limits(exercise, market, middle)
    report("the quotes are around the reference, and neither of them trades at once")


def check_middle(exercise: ModuleType, market: Market, middle: float) -> None:
    prices = {order.side: float(order.price) for order in both_sides(exercise, market, middle)}
    bid, offer = prices["SIDE_BUY"], prices["SIDE_SELL"]
    expect(
        bid < middle < offer and abs((bid + offer) / 2 - middle) < 2e-5,
        saw=f"quotes at {bid} and {offer}, around {(bid + offer) / 2:.5f}",
        expected=f"around {middle}, the middle of the reference",
        hint=MIDDLE,
    )


def check_limits(exercise: ModuleType, market: Market, middle: float) -> None:
    """Compare the prices as they are sent: rounded to the tick size."""
    orders = both_sides(exercise, market, middle)
    sent = {order.side: sent_price(market, order) for order in orders}
    exact = {order.side: sub.convert_from_decimals(market.decimal_places, order.price) for order in orders}
    best_bid = sub.convert_from_decimals(market.decimal_places, market.best_bid_price)
    best_offer = sub.convert_from_decimals(market.decimal_places, market.best_offer_price)
    expect(
        sent["SIDE_BUY"] < best_offer and sent["SIDE_SELL"] > best_bid,
        saw=f"with the reference around {middle}, and a tick size of {market.tick_size}, quotes that are sent as {sent['SIDE_BUY']} and"
        f" {sent['SIDE_SELL']}: one of them trades at once with this market's {best_bid} - {best_offer}",
        expected=f"a bid below {best_offer} and an offer above {best_bid}",
        hint=TICK if exact["SIDE_BUY"] < best_offer and exact["SIDE_SELL"] > best_bid else LIMIT,
    )


def sent_price(market: Market, order: sub.OrderSubmission) -> int:
    """Return the padded price that is sent for an order."""
    return sub.convert_from_decimals(market.decimal_places, order.price, market.tick_size)


def reference_around(middle: float) -> ReferencePrice:
    return ReferencePrice(symbol=SYMBOL, bid_price=middle - 0.003, ask_price=middle + 0.003)


def both_sides(exercise: ModuleType, market: Market, middle: float) -> list[sub.OrderSubmission]:
    """Return the bid and the offer."""
    orders = call_for_orders(exercise, "quotes", market, reference_around(middle), 0, 1)
    expect(
        sorted(order.side for order in orders) == ["SIDE_BUY", "SIDE_SELL"],
        saw=f"{orders} for {reference_around(middle)}",
        expected="a bid and an offer, also if the reference is outside this market's spread",
        hint=f"at a position of 0, both sides have room: {LIMIT}",
    )
    return orders


def check_feed(exercise: ModuleType) -> None:
    """Quote for 30 blocks around the live feed. Compare how far the reference and this market are from the next block's middle."""
    sandbox = Sandbox(block_time=0, seed=9)
    add_reference_feed(sandbox, sandbox.node.app)
    with sandbox:
        sandbox.block()
        store, reference_error, market_error = call(exercise, "ReferenceStore"), 0.0, 0.0
        with StreamClient(f"{sandbox.ws_url.removesuffix('/api/v2')}/reference/{SYMBOL}") as feed:
            market = get_market(sandbox)
            for _ in range(BLOCKS):
                call(store, "update", feed.receive_text())
                reference = call(store, "get", SYMBOL, returns=ReferencePrice)
                quote_block(exercise, sandbox, market, reference)
                before, market = market, get_market(sandbox)
                reference_error += abs((reference.bid_price + reference.ask_price) / 2 - middle_of(market)) / BLOCKS
                market_error += abs(middle_of(before) - middle_of(market)) / BLOCKS
    report(
        f"{BLOCKS} blocks: on average the next middle was {reference_error:.4f} away from the reference,"
        f" and {market_error:.4f} away from the middle before"
    )


def quote_block(exercise: ModuleType, sandbox: Sandbox, market: Market, reference: ReferencePrice) -> None:
    """Send the quotes into the next block. The network must accept each of them at its price."""
    positions = api.get_positions(party_id=sandbox.parties["bot"], node_url=sandbox.node_url, market_id=market.market_id)
    open_volume = sub.convert_to_decimals(market.position_decimal_places, int(positions[0]["openVolume"])) if positions else 0.0
    wanted = call_for_orders(exercise, "quotes", market, reference, open_volume, MAX_ABS_POSITION)
    orders, _ = limit_to_position(wanted, open_volume, MAX_ABS_POSITION, market.position_decimal_places)
    cancel = [sub.OrderCancellation(market_id=market.market_id)]
    batch = sub.BatchMarketInstruction(submissions=orders, cancellations=cancel, amendments=[])
    terms = (market.decimal_places, market.position_decimal_places, market.tick_size)
    make_wallet(sandbox).submit_transaction(sub.instruction_to_json(batch, *terms))
    sandbox.block()
    newest = get_orders(sandbox, open_only=False)[: len(orders)]
    expected = sorted(str(sent_price(market, order)) for order in orders)
    expect(
        sorted(node["price"] for node in newest) == expected and all("reason" not in node for node in newest),
        saw=f"the network has these orders: {[(node['side'], node['price'], node['status'], node.get('reason')) for node in newest]}",
        expected=f"orders at {expected}, none of them rejected",
        hint="prices above zero, sizes above zero, and a bid below the offer",
    )


def middle_of(market: Market) -> float:
    return (market.best_bid_price + market.best_offer_price) / 2
