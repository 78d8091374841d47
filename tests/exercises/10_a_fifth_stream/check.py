"""Checks exercise 10: frames for the learner's store, its lock, then its stream on a sandbox, compared with REST."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import bot.vega_api_client as api
from bot.models import Market
from bot.submission import convert_to_decimals
from tests.exercises.checking import call, expect, get_required, report
from tests.exercises.interleaving import Race, double_interleavings, interleavings
from tests.exercises.sandbox_helpers import dispatch_until_done, get_market, order_json, send_transaction
from tests.sandbox import Sandbox
from tests.support.waiting import wait_until

TRADES = 12  # on the sandbox
WRITE_STEP = 4  # instructions; storing a fill takes more
OTHER_PARTY, THIRD_PARTY, OTHER_MARKET = "b" * 64, "c" * 64, "d" * 64

ALL_TRADES = "a frame holds a list of trades: read all of them"
OWN_SIDE = "you have bought if the buyer is your party id, and sold if the seller is"
OWN_TRADES = "keep a trade only if you are its buyer or its seller"
ONE_MARKET = "keep a trade only if its marketId is that of your market"
ONCE = "keep fills in a dict, with the trade's id as key, as the page does with orders"
NUMBERS = "prices have market.decimal_places, sizes have market.position_decimal_places"
COPY = "return a new list: whoever gets it may change it"
ATOMIC = "parse all trades first, then take the lock once, around the whole loop; the getters take the same lock"
COPY_UNDER_LOCK = "make the list, or the sum, under the lock: the dict itself changes later"
SUBSCRIBE = "start() must call subscribe_trades with the path stream/trades, and with self._update_trades as callback"
NET = "add the sizes of what you bought, subtract those of what you sold"
LEFT_OUT = "streams leave out empty lists: trade_dict.get('trades', [])"


def check(exercise: ModuleType) -> None:
    with Sandbox(block_time=0, traders=False, seed=10) as sandbox:
        market = get_market(sandbox)
        make_store = StoreFactory(exercise, sandbox, market)
        check_frames(make_store, market)
        check_threads(exercise, make_store, market)
        check_stream(make_store, sandbox, market)


class StoreFactory:
    """Makes the learner's stores for one market and the bot's party."""

    def __init__(self, exercise: ModuleType, sandbox: Sandbox, market: Market) -> None:
        self._exercise, self._url, self._market, self.party_id = exercise, sandbox.ws_url, market, sandbox.parties["bot"]
        self.fill_class = get_required(exercise, "Fill")

    def __call__(self) -> Any:
        return call(self._exercise, "FillStore", self._url, self._market, self.party_id)


def trade(market: Market, number: int, price: int, size: int, buyer: str, seller: str, market_id: str = "") -> dict[str, Any]:
    """Return a trade as streams send it."""
    return {
        "id": f"{number:064x}",
        "marketId": market_id or market.market_id,
        "price": str(price),
        "size": str(size),
        "buyer": buyer,
        "seller": seller,
        "aggressor": 2,
        "type": 1,
        "timestamp": "1795641083000000000",
    }


def check_frames(make_store: StoreFactory, market: Market) -> None:
    own = make_store.party_id
    fill = make_store.fill_class
    store = make_store()
    expect(fills_of(store) == [], saw=f"{fills_of(store)} before any frame", expected="no fills", hint=ONCE)
    bought, sold = trade(market, 1, 9_998_500, 1500, own, OTHER_PARTY), trade(market, 2, 10_001_250, 400, OTHER_PARTY, own)
    first = [
        fill(trade_id=bought["id"], side="SIDE_BUY", price=99.985, size=1.5),
        fill(trade_id=sold["id"], side="SIDE_SELL", price=100.0125, size=0.4),
    ]
    send_frame(store, {"trades": [bought, sold]})
    fills = fills_of(store)
    expect(len(fills) == 2, saw=f"{len(fills)} fills after a frame with two trades", expected="2", hint=ALL_TRADES)
    expect([each.side for each in fills] == ["SIDE_BUY", "SIDE_SELL"], saw=f"{fills}", expected="first a buy, then a sell", hint=OWN_SIDE)
    expect(fills == first, saw=f"{fills}", expected=f"{first}", hint=NUMBERS)
    send_frame(store, {"trades": [trade(market, 3, 9_990_000, 100, OTHER_PARTY, THIRD_PARTY)]})
    expect(fills_of(store) == first, saw="a fill that is a trade of two other parties", expected="no such fill", hint=OWN_TRADES)
    send_frame(store, {"trades": [trade(market, 4, 9_990_000, 100, own, OTHER_PARTY, OTHER_MARKET)]})
    expect(fills_of(store) == first, saw="a fill on another market", expected="no such fill", hint=ONE_MARKET)
    send_frame(store, {"trades": [sold]})
    expect(fills_of(store) == first, saw="a trade that arrived twice is two fills", expected="one fill", hint=ONCE)
    send_frame(store, {})
    net = net_volume_of(store)
    expect(abs(net - 1.1) < 1e-9, saw=f"a net volume of {net!r}, after 1.5 bought and 0.4 sold", expected="1.1", hint=NET)
    fills_of(store).clear()
    expect(fills_of(store) == first, saw="no fills after the caller has cleared the list that get_fills returned", expected="2", hint=COPY)
    expect(fills_of(make_store()) == [], saw="fills in a new store", expected="none: each store has a dict of its own", hint=ONCE)
    report("six frames: your fills with your side, in human numbers, each of them once")


def check_threads(exercise: ModuleType, make_store: StoreFactory, market: Market) -> None:
    """Pause `_update_trades` at each instruction and call a getter meanwhile, and the other way round."""
    own = make_store.party_id
    frame = {"trades": [trade(market, number, 10_000_000, 1000, own, OTHER_PARTY) for number in (1, 2)]}

    def race(read: Callable[[Any], float]) -> Callable[[], Race[float]]:
        def prepare() -> Race[float]:
            store = make_store()
            return Race(write=lambda: send_frame(store, frame), read=lambda: read(store))

        return prepare

    for name, read in (
        ("get_fills", lambda store: float(len(fills_of(store)))),
        ("get_net_volume", net_volume_of),
    ):
        for pause_write in (True, False):
            paused = "_update_trades" if pause_write else name
            for value, final in interleavings(race(read), pause_write, files=[str(exercise.__file__)]):
                expect(
                    value in (0, 2) and final == 2,
                    saw=f"{name} saw {value:g} of 2 trades of a frame while {paused} was paused, and {final:g} at the end",
                    expected="none of them, or both; at the end both",
                    hint=ATOMIC,
                )
        for value, final in double_interleavings(race(read), files=[str(exercise.__file__)], write_step=WRITE_STEP):
            expect(
                value in (0, 2) and final == 2,
                saw=f"{name} saw {value:g} of 2 trades of a frame while both methods were paused, and {final:g} at the end",
                expected="none of them, or both; at the end both",
                hint=COPY_UNDER_LOCK,
            )
    report("wherever a thread is paused, a getter sees all trades of a frame, or none")


def check_stream(make_store: StoreFactory, sandbox: Sandbox, market: Market) -> None:
    """Run the store on this thread, as the bot does, and trade on another one."""
    store = make_store()
    call(store, "start")
    filters = sandbox.call(lambda box: {one.stream: (one.markets, one.parties) for one in box.node.streams.open})
    connected = ", ".join(filters) or "no stream"
    expect("trades" in filters, saw=f"connections to {connected} after start()", expected="one to trades", hint=SUBSCRIBE)
    markets, parties = filters["trades"]
    expect(
        (list(markets), list(parties)) == ([market.market_id], [make_store.party_id]),
        saw=f"a connection for {len(markets)} markets and {len(parties)} parties; without a filter, it has the trades of everybody",
        expected="stream/trades?marketIds=…&partyIds=…, with your market and your party id",
        hint=SUBSCRIBE,
    )
    dispatch_until_done(lambda: trade_and_compare(store, sandbox, market), stop=lambda: call(store, "stop"))


def trade_and_compare(store: Any, sandbox: Sandbox, market: Market) -> None:
    for number in range(TRADES):
        side, other = ("SELL", "BUY") if number % 3 else ("BUY", "SELL")
        send_transaction(sandbox, "a", orderSubmission=order_json(market.market_id, side, 100 * (number + 1), 10_000_000 + number))
        send_transaction(sandbox, "bot" if number % 4 else "b", orderSubmission=order_json(market.market_id, other, 100 * (number + 1)))
        sandbox.block()
    party_id = sandbox.parties["bot"]
    trades = api.execute_unrollable_get_request(path=f"trades?partyIds={party_id}", key="trades", node_url=sandbox.node_url)
    expected = {node["id"] for node in trades}
    wait_until(lambda: len(fills_of(store)) >= len(expected), message="the trades did not arrive")
    fills = {fill.trade_id: fill for fill in fills_of(store)}
    expect(
        fills.keys() == expected,
        saw=f"{len(fills)} fills, {len(fills.keys() - expected)} of them trades of others",
        expected=f"the {len(expected)} trades that REST shows",
        hint=OWN_TRADES,
    )
    positions = api.get_positions(party_id=party_id, node_url=sandbox.node_url, market_id=market.market_id)
    position = convert_to_decimals(market.position_decimal_places, int(positions[0]["openVolume"]))
    net = net_volume_of(store)
    expect(abs(net - position) < 1e-9, saw=f"a net volume of {net:g}", expected=f"{position:g}, the position that REST shows", hint=NET)
    report(f"{len(fills)} of {TRADES} trades on the sandbox are yours, as in REST, and your net volume is your position, {position:g}")


def send_frame(store: Any, result: dict[str, Any]) -> None:
    call(store, "_update_trades", result, errors=(KeyError,), hint=LEFT_OUT)


def fills_of(store: Any) -> list[Any]:
    fills: list[Any] = call(store, "get_fills", returns=list, errors=(RuntimeError,), hint=ATOMIC)
    return fills


def net_volume_of(store: Any) -> float:
    volume = call(store, "get_net_volume", errors=(RuntimeError,), hint=ATOMIC)
    expect(isinstance(volume, (int, float)), saw=f"get_net_volume returned {volume!r}", expected="a number", hint=NET)
    return float(volume)
