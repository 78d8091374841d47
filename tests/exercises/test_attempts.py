"""Wrong attempts at the exercises that look right: each is refused, in words that say what is wrong with that very one.

They are made of the solutions, and checked in this process, which takes a fraction of the time that the command does.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bot.vega_store import VegaStore
from tests.exercises.catalogue import exercises
from tests.exercises.checking import NotYet
from tests.exercises.child import load
from tests.exercises.sandbox_helpers import market_now, order, send
from tests.sandbox import Sandbox

Change = tuple[str, str]  # text of the solution, and what stands in its place

CONVERT = "convert_from_decimals(decimal_places, number, multiple)"
COMMIT = "account.balance / 4"
EACH = 'if account.account_type == "ACCOUNT_TYPE_GENERAL" and account.asset_id == market.settlement_asset_id'
MIDDLE = "middle = (market.best_bid_price + market.best_offer_price) / 2"
RULE = "return main.quotes(ours, open_volume, max_abs_position)"
ONE = "OrderSubmission(market_id={market}, size={size}, price={price}, time_in_force='TIME_IN_FORCE_GTC', type='TYPE_LIMIT', side={side})"


def a_rule(market: str = "market.market_id", size: str = "1", price: str = "99", side: str = "'SIDE_BUY'") -> Change:
    """Let exercise 8 return one order."""
    return RULE, f"return [{ONE.format(market=market, size=size, price=price, side=side)}]"


ATTEMPTS: dict[str, tuple[int, list[Change], str]] = {
    "1: float powers of ten": (
        1,
        [(CONVERT, "round(number * 10**decimal_places / multiple) * multiple")],
        "'12345678901234567890123456790000000000' expected: '12345678901234567890123456789012345678' hint: calculations with Decimal keep",
    ),
    "1: a Decimal times a float": (
        1,
        [(CONVERT, f"{CONVERT} if decimal_places > 0 else round(number * 10**decimal_places)")],
        "to_wallet raised TypeError: unsupported operand type(s) for *: 'decimal.Decimal' and 'float'",
    ),
    "2: an id that is another's": (2, [('party_id=node["partyId"]', 'party_id=node["marketId"]')], "hint: party_id is node['partyId']"),
    "2: constants": (2, [('enum_name(OrderType, node.get("type", 0))', '""')], "order_type is '' for the order that REST shows as"),
    "2: a default that is no zero": (
        2,
        [('node.get("side", 0)', 'node.get("side", 1)')],
        "side is 'SIDE_UNSPECIFIED' from REST and 'SIDE_BUY' from the stream",
    ),
    "2: a forgotten return": (2, [("return Order(", "Order(")], "read_order returned None when called with ({'id': "),
    "3: an order never heard of": (
        3,
        [
            (
                "        self._orders = {order_id",
                "        for key in [key for key in nodes if nodes[key].get('status') not in LIVE]:\n"
                "            del self._orders[key]\n        self._orders = {order_id",
            )
        ],
        "hint: an update may tell of an order that you never heard of",
    ),
    "3: a page that is not the last": (
        3,
        [("nodes = {", "result.get('snapshot', {'lastPage': 0})['lastPage']\n        nodes = {")],
        "hint: streams leave out what is false: only the last page says lastPage",
    ),
    "3: the last page alone": (
        3,
        [("self._snapshot.add(result, nodes)", "nodes if result.get('snapshot', {}).get('lastPage') else None")],
        "50 missing expected: the 55 live orders that REST has hint: collect the pages of a snapshot",
    ),
    "3: a list": (3, [("return self._orders", "return list(self._orders)")], "orders returned [] expected: a value of type dict, not list"),
    "4: nothing found": (4, [("return pair\n\n\nclass", "return None\n\n\nclass")], "find_torn_read returned None when called with"),
    "4: the pair of a new store": (4, [("return pair\n\n\nclass", "return 0.0, 0.0\n\n\nclass")], "hint: that is what a new store says"),
    "4: a list of two": (
        4,
        [("return price.bid_price, price.ask_price", "return [price.bid_price]")],
        "expected: a value of type tuple, not list",
    ),
    "6: an empty list": (
        6,
        [("nodes_of(body_of(result), self._kind)", "body_of(result)[self._kind]")],
        "hint: streams leave out empty lists",
    ),
    "6: a list": (6, [("return dict(self._records)", "return list(self._records)")], "expected: a value of type dict, not list"),
    "6: what was put in place is emptied": (
        6,
        [("self._records = whole", "self._records = {}")],
        "55 missing expected: the 55 that REST has hint: the last page puts in place what all pages brought",
    ),
    "8: a side that is no name": (
        8,
        [a_rule(side="'BUY'")],
        "quotes returned an order with side 'BUY' expected: one of SIDE_BUY, SIDE_SELL",
    ),
    "8: nan": (8, [a_rule(price="float('nan')")], "quotes returned an order with price nan expected: a number"),
    "8: text": (8, [a_rule(price="'99'")], "quotes returned an order with price '99' expected: a number"),
    "8: nothing": (8, [(RULE, "pass")], "quotes returned None when called with (Market("),
    "8: another market": (8, [a_rule(market="'ab' * 32")], "of your 300 orders, the network took 300 in and made nothing of them"),
    "8: far away": (8, [a_rule(price="50")], "of your 300 orders, 300 came to the book expected: fills hint: quote nearer"),
    "8: refused": (
        8,
        [a_rule(), ("TIME_IN_FORCE_GTC", "TIME_IN_FORCE_GFA")],
        "the network refused 300, ORDER_ERROR_CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING",
    ),
    "8: wide, and full": (8, [("SKEW = 0.01", "SKEW = 0")], "you hold 5.00 contracts at one time expected: 4 at most"),
    "8: a late average": (
        8,
        [
            ("HALF_SPREAD =", "from collections import deque\n\nMIDDLES = deque(maxlen=20)\nHALF_SPREAD ="),
            ("    middle =", f"    {MIDDLE}\n    MIDDLES.append(middle)\n    middle = sum(MIDDLES) / len(MIDDLES) - SKEW * open_volume  #"),
        ],
        "hint: your position still runs far: skew more; and should you average, over fewer blocks",
    ),
    "8: skewed and narrow": (8, [("HALF_SPREAD = 0.05", "HALF_SPREAD = 0.025")], "worse than the tutorial's expected: 0.50 better"),
    "8: a wider, smaller tutorial": (
        8,
        [("SKEW = 0.01", "SKEW = 0"), (RULE, RULE.replace("max_abs_position", "3"))],
        "stand as far from the market's own middle as each other, whatever you hold",
    ),
    "9: whatever is largest": (
        9,
        [(COMMIT, "max(each.balance for each in store.get_accounts()) / 4")],
        "bond accounts with [1025000125000000000000000]",
    ),
    "9: all money together": (
        9,
        [(COMMIT, "sum(each.balance for each in store.get_accounts()) / 4")],
        "expected: on the future, one with 62500",
    ),
    "9: another asset's": (9, [(EACH, EACH.replace("==", "!=").replace("!=", "==", 1))], "expected: on the future, one with 62500"),
    "9: no asset": (9, [(EACH, 'if account.account_type == "ACCOUNT_TYPE_GENERAL"')], "expected: on the future, one with 62500"),
    "9: 18 places": (
        9,
        [("decimal_places=asset.decimal_places", "decimal_places=18")],
        "on the perpetual, one with 325000125000: a quarter of 1300000.5",
    ),
    "9: a half new record": (
        9,
        [
            (
                "        with self._lock:\n            self._prices[price.symbol]",
                "        old = self._prices.get(price.symbol, price)\n"
                "        self._prices[price.symbol] = ReferencePrice(price.symbol, price.bid_price, old.ask_price)\n"
                "        with self._lock:\n            self._prices[price.symbol]",
            )
        ],
        "get() gave ReferencePrice(symbol='SOLDAI', bid_price=102.5, ask_price=101.75) where update() was stopped in its middle",
    ),
    "9: no list": (9, [("return []", "return None")], "quotes returned None when called with"),
}


def load_attempt(number: int, changes: list[Change], folder: Path) -> tuple[ModuleType, ModuleType]:
    """Return the learner's module and the check."""
    path = exercises()[number - 1].path
    code = (path / "solution.py").read_text()
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    (folder / "exercise.py").write_text(code)
    return load("exercise", folder / "exercise.py"), load("check", path / "check.py")


def words_of(problem: NotYet) -> str:
    return " ".join(f"{problem.saw} expected: {problem.expected} hint: {problem.hint}".split())


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_wrong_attempt_is_refused_in_the_right_words(attempt: str, tmp_path: Path) -> None:
    number, changes, words = ATTEMPTS[attempt]
    exercise, check = load_attempt(number, changes, tmp_path)
    if number == 8:
        check.SEEDS = check.SEEDS[:1]  # each takes a second
    with pytest.raises(NotYet) as refused:
        check.check(exercise)
    assert words in words_of(refused.value)


@pytest.fixture
def sandbox() -> Any:
    with Sandbox(block_time=0, seed=5) as box:
        send(box, "bot", orderSubmission=order(box.markets["perpetual"], "BUY", 1, 180_000))
        box.block()
        yield box


def test_exercise_5_has_a_market_that_was_never_traded(sandbox: Sandbox, tmp_path: Path) -> None:
    changes = [("position.open_volume if position is not None else 0", "position.open_volume")]
    exercise, check = load_attempt(5, changes, tmp_path)
    store = VegaStore(websocket_url=sandbox.ws_url, rest_api_url=sandbox.node_url)
    store.load_data(party_id=sandbox.parties["bot"])
    with pytest.raises(NotYet) as refused:
        check.check_stranger(exercise, store, sandbox.markets["perpetual"])
    assert "'NoneType' object has no attribute 'open_volume'" in words_of(refused.value)
    assert "None where we never traded: that is 0" in refused.value.hint


def test_exercise_7_has_a_frame_that_arrives_between_two_readings(sandbox: Sandbox, tmp_path: Path) -> None:
    age = "age = self._store.seconds_since_update(self._market_id)"
    later = [(age, ""), ("        if market is not None", f"        {age}\n        if market is not None")]
    exercise, check = load_attempt(7, later, tmp_path)
    with pytest.raises(NotYet) as refused:
        check.check_late_frame(exercise, market_now(sandbox))
    assert "prices 3.0 s old: you read them, a frame came, you asked for the age" in words_of(refused.value)
    assert "ask for the age first" in refused.value.hint


def test_exercise_8_gives_a_rule_that_rolls_dice_the_same_score_each_time(tmp_path: Path) -> None:
    dice = [
        ("HALF_SPREAD = 0.05", "import random\n\nHALF_SPREAD = 0.05"),
        ("middle - HALF_SPREAD", "middle - HALF_SPREAD * random.random()"),
    ]
    _, check = load_attempt(8, dice, tmp_path)
    check.BLOCKS = 50
    first, second = (check.play_own(tmp_path / "exercise.py", seed=1)[0] for _ in range(2))
    assert first.fills
    assert first == second


@pytest.mark.parametrize("seed", [28, 31])  # of 1 to 60, those with the smallest lead and the largest position
def test_exercise_8s_solution_passes_on_the_hardest_of_the_seeds_that_its_page_speaks_of(seed: int, tmp_path: Path) -> None:
    exercise, check = load_attempt(8, [], tmp_path)
    check.SEEDS = (seed,)
    check.check(exercise)
