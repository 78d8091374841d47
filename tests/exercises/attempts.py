"""Attempts at the exercises. `test_attempts` checks that each wrong one is rejected with its message, and that each correct one passes.

An attempt is a solution (or a starting point) with some text replaced. Wrong ones are answers that look correct to a learner. Correct ones
are written in another style than the solution.
"""

from dataclasses import dataclass

Change = tuple[str, str]  # text, and its replacement


@dataclass(frozen=True)
class Attempt:
    message: str  # part of "SAW expected: EXPECTED hint: HINT", with single spaces
    changes: tuple[Change, ...] = ()
    base: str = "solution.py"


def attempt(message: str, *changes: Change) -> Attempt:
    return Attempt(message, changes)


STARTING_POINT = "exercise.py"

PADDED = "Fraction(number) * Fraction(10) ** decimal_places  # Fraction(10): 10**-1 would be a float"
TICKS = "round(padded / multiple)  # the nearest whole number of ticks"
RETURN = "return str(ticks * multiple)"
PADDED_INTEGERS = {
    "zeros in front": attempt(
        "99 of the 9999 prices from 0.01 to 99.99 are wrong; the first: to_padded_integer(0.01, 2) returned '001' expected: no wrong price;"
        " here '1' hint: the number is correct, its text is not",
        (RETURN, "return str(ticks * multiple).zfill(3)"),
    ),
    "the starting point": Attempt("573 of the 9999 prices from 0.01 to 99.99 are wrong", base=STARTING_POINT),
    "an int": attempt("a value of type str, not int", (RETURN, "return ticks * multiple")),
    "a decimal point": attempt(
        "to_padded_integer(18.5, 2) returned '1850.0' expected: '1850': a string of digits", (RETURN, "return str(float(ticks * multiple))")
    ),
    "no tick size": attempt(
        "'185053' expected: '185055', the nearest multiple of 5 hint: count in ticks",
        (TICKS, "round(padded)"),
        (RETURN, "return str(ticks)"),
    ),
    "rounded down to the tick": attempt(
        "'185050' expected: '185055', the nearest multiple of 5",
        (TICKS, "int(padded // multiple)"),
        (PADDED, f"round({PADDED.partition('  #')[0]})"),
    ),
    "rounded up to the tick": attempt(
        "'185000' expected: '184995', the nearest multiple of 5",
        (TICKS, "-int(-padded // multiple)"),
        (PADDED, f"round({PADDED.partition('  #')[0]})"),
    ),
    "rounded twice": attempt(
        "'1860' expected: '1850', the nearest multiple of 10 hint: round only once", (TICKS, "round(round(padded) / multiple)")
    ),
    "a Decimal as a float": attempt("hint: a float has 16 digits", (PADDED, "Fraction(float(number)) * Fraction(10) ** decimal_places")),
    "Decimal with 28 digits": attempt(
        "hint: calculations with Decimal keep 28 digits", (PADDED, "Fraction(Decimal(str(number)) * Decimal(10) ** decimal_places)")
    ),
    "powers of ten as ints": attempt("hint: calculations with Decimal keep 28 digits", (PADDED, "number * 10**decimal_places")),
    "a Decimal times a float": attempt(
        "raised TypeError: unsupported operand type(s) for *: 'decimal.Decimal' and 'float'",
        (PADDED, "Fraction(number) * 10**decimal_places if decimal_places >= 0 else number * 10**decimal_places"),
    ),
    "a negative power as a float": attempt(
        "hint: 10 ** -1 is a float, and so is everything", (PADDED, "Fraction(number) * 10**decimal_places")
    ),
    "no negative places": attempt(
        "returned '1200' expected: '12' hint: with -1 places, sizes are counted in tens",
        (PADDED, "Fraction(number) * Fraction(10) ** abs(decimal_places)"),
    ),
}

NAMES_AND_NUMBERS = {
    "the starting point": Attempt("read_order raised KeyError: 'remaining'", base=STARTING_POINT),
    "the bot's parser": attempt(
        "read_order calls parse_order of bot/models.py expected: code of your own",
        (
            "    return Order(",
            "    import bot.models\n\n    return bot.models.parse_order(node, size_decimals, price_decimals)\n    return Order(",
        ),
    ),
    "the bot's parser under another name": attempt(
        "read_order calls parse_order of bot/models.py",
        ("from bot.models import Order", "from bot.models import Order, parsers"),
        ("    return Order(", "    return parsers['orders'](node, size_decimals, price_decimals)\n    return Order("),
    ),
    "the id of something else": attempt("hint: party_id is node['partyId']", ('party_id=node["partyId"]', 'party_id=node["marketId"]')),
    "a constant": attempt("order_type is '' for the order that REST sends as", ('enum_name(OrderType, node.get("type", 0))', '""')),
    "a default other than zero": attempt(
        "side is 'SIDE_UNSPECIFIED' from REST and 'SIDE_BUY' from the stream", ('node.get("side", 0)', 'node.get("side", 1)')
    ),
    "a missing return": attempt("read_order returned None when called with ({'id': ", ("return Order(", "Order(")),
    "numbers as text": attempt(
        "status is 'STATUS_FILLED' from REST and '5' from the stream",
        ('enum_name(OrderStatus, node.get("status", 0))', 'str(node.get("status", 0))'),
    ),
    "no name for zero": attempt(
        "hint: a missing field is zero, and zero has a name too",
        (
            'enum_name(TimeInForce, node.get("timeInForce", 0))',
            'enum_name(TimeInForce, node["timeInForce"]) if "timeInForce" in node else ""',
        ),
    ),
    "no reason": attempt("reason is '' for the order that REST sends as", ('enum_name(OrderError, node.get("reason", ""))', '""')),
    "swapped decimals": attempt(
        "hint: prices and sizes have different decimal places", ("convert_to_decimals(price_decimals", "convert_to_decimals(size_decimals")
    ),
    "padded sizes": attempt(
        "hint: prices and sizes have different decimal places",
        ('convert_to_decimals(size_decimals, int(node.get("size", 0)))', 'int(node.get("size", 0))'),
    ),
    "an exception for an unknown number": attempt(
        "raised ValueError: 99 is not a valid OrderStatus",
        (
            'enum_name(OrderStatus, node.get("status", 0))',
            '(OrderStatus[status] if isinstance(status := node.get("status", 0), str) else OrderStatus(status)).name',
        ),
    ),
    "no number in the text": attempt(
        "status 99, which this version does not know, became 'UNKNOWN'",
        (
            'enum_name(OrderStatus, node.get("status", 0))',
            '"UNKNOWN" if node.get("status", 0) == 99 else enum_name(OrderStatus, node.get("status", 0))',
        ),
    ),
}

FOR_ORDERS = 'for order in body.get("orders", []):'
SNAPSHOT_AND_UPDATES = {
    "a status that sounds open": attempt(
        "4 open orders after an update with eight orders, one of each status from 1 to 8; 1 closed by now",
        ("OPEN = (1, 8)", "OPEN = (1, 7, 8)"),
    ),
    "a page that is not full": attempt(
        "hint: only lastPage says that a page is the last one",
        ('if body.get("lastPage"):', 'if "snapshot" in result and len(body.get("orders", [])) < 50:'),
    ),
    "a full page": attempt(
        "after a page of 3 orders without lastPage",
        ('if body.get("lastPage"):', 'if body.get("lastPage") or ("snapshot" in result and len(body.get("orders", [])) < 50):'),
    ),
    "the starting point": Attempt("hint: streams send statuses as numbers", base=STARTING_POINT),
    "one order of each frame": attempt(
        "hint: a frame holds a list of orders: read all of them", (FOR_ORDERS, 'for order in body.get("orders", [])[:1]:')
    ),
    "an unknown order": attempt(
        "hint: an update may close an order that you have never seen", ('orders.pop(order["id"], None)', 'del orders[order["id"]]')
    ),
    "a page that is not the last": attempt(
        "hint: streams leave out what is false: only the last page has lastPage",
        ('if body.get("lastPage"):', 'if "snapshot" in result and body["lastPage"]:'),
    ),
    "an empty list": attempt("hint: streams leave out empty lists", (FOR_ORDERS, 'for order in body["orders"]:')),
    "a status of zero": attempt("hint: streams leave out a status of zero", ('order.get("status")', 'order["status"]')),
    "the last page alone": attempt(
        "50 missing expected: the 55 open orders that REST shows hint: collect the pages",
        ("        orders = self._pages", "        self._pages = {}\n        orders = self._pages"),
    ),
    "pages before the last one": attempt(
        "50 orders after the first of two pages expected: none: half a snapshot",
        ('self._pages if "snapshot" in result else self._orders', "self._orders"),
        ("self._orders, self._pages = self._pages, {}", "pass"),
    ),
    "a list": attempt("a value of type dict, not list", ("return dict(self._orders)", "return list(self._orders)")),
    "ids only": attempt("a dict of order id -> the stream's node", ('orders[order["id"]] = order', 'orders[order["id"]] = order["id"]')),
    "active orders only": attempt(
        "1 open orders after an empty snapshot and an update with a PARKED and an ACTIVE order", ("OPEN = (1, 8)", "OPEN = (1,)")
    ),
    "closed orders stay": attempt("5 closed by now", ('if order.get("status") not in OPEN:', "if False:")),
    "changed orders are not replaced": attempt("1 out of date", ('orders[order["id"]] = order', 'orders.setdefault(order["id"], order)')),
    "no updates": attempt(
        "hint: look at every order of an update",
        ('self._pages if "snapshot" in result else self._orders', 'self._pages if "snapshot" in result else {}'),
    ),
}

FIND = "    store = PageStore()\n    valid"
SAFE_UPDATE = "        with self._lock:\n            self._price = price"
SAFE_PRICES = "        with self._lock:\n            price = self._price\n        return price.bid_price, price.ask_price"
TWO_STEPS = "        self._price = ReferencePrice(symbol='', bid_price=bid, ask_price=self._price.ask_price)\n"
PRICE = '        self._price = ReferencePrice(symbol="", bid_price=0.0, ask_price=0.0)  # any frozen record will do\n'
THE_LOCK = {
    "a list that is read after the lock": attempt(
        "hint: prices took something under the lock that update changes later",
        (PRICE, "        self._pair = [0.0, 0.0]\n"),
        (SAFE_UPDATE, "        with self._lock:\n            self._pair[0] = bid\n            self._pair[1] = offer"),
        (SAFE_PRICES, "        with self._lock:\n            pair = self._pair\n        return tuple(pair)"),
    ),
    "the starting point": Attempt("hint: one thread updates in an endless loop, the other reads", base=STARTING_POINT),
    "nothing found": attempt("find_torn_read returned None when called with", (FIND, "    return None\n" + FIND)),
    "the pair of a new store": attempt(
        "hint: a new store returns this pair before its first frame", (FIND, "    return 0.0, 0.0\n" + FIND)
    ),
    "a pair made by hand": attempt(
        "This pair is torn, but prices() did not return it while another thread wrote",
        (FIND, "    return pair_of(frames[0])[0], pair_of(frames[1])[1]\n" + FIND),
    ),
    "one thread": attempt(
        "prices() did not return it while another thread wrote",
        (
            FIND,
            "    store = PageStore()\n    store.update(frames[0])\n    store.bid = pair_of(frames[1])[0]\n    return store.prices()\n"
            + FIND,
        ),
    ),
    "a list": attempt(
        "expected: a value of type tuple, not list", (SAFE_PRICES, SAFE_PRICES.replace("price.bid_price, price.ask_price", "[]"))
    ),
    "padded prices": attempt(
        "the bid and the offer of the newest frame, in human numbers",
        ("        bid, offer = pair_of(frame)", "        bid, offer = int(frame['bestBidPrice']), int(frame['bestOfferPrice'])"),
    ),
    "the prices before": attempt(
        "SafeStore.prices() returned (0.0, 0.0) after a frame with",
        (SAFE_UPDATE, "        old, self._price = self._price, price\n        self._price = old"),
    ),
    "no lock": attempt("hint: update or prices has two steps", (SAFE_UPDATE, TWO_STEPS + "        self._price = price")),
    "a lock for the writer": attempt(
        "hint: update or prices has two steps",
        (SAFE_UPDATE, f"        with self._lock:\n    {TWO_STEPS}            self._price = price"),
        (SAFE_PRICES, "        return self._price.bid_price, self._price.ask_price"),
    ),
    "a lock for the reader": attempt("hint: update or prices has two steps", (SAFE_UPDATE, TWO_STEPS + "        self._price = price")),
    "a lock for each of two steps": attempt(
        "hint: update or prices has two steps",
        (SAFE_UPDATE, f"        with self._lock:\n    {TWO_STEPS}        with self._lock:\n            self._price = price"),
    ),
    "a lock for each call": attempt(
        "hint: update or prices has two steps",
        (SAFE_UPDATE, f"        with threading.Lock():\n    {TWO_STEPS}            self._price = price"),
    ),
    "two reads": attempt(
        "hint: update or prices has two steps", (SAFE_PRICES, "        return self._price.bid_price, self._price.ask_price")
    ),
    "a lock for each read": attempt(
        "hint: update or prices has two steps",
        (
            SAFE_PRICES,
            "        with self._lock:\n            bid = self._price.bid_price\n"
            "        with self._lock:\n            return bid, self._price.ask_price",
        ),
    ),
}

ELAPSED = "return (time.perf_counter() - start) / turns"
THE_LOOP = {
    "the longest call": attempt(
        "hint: time.perf_counter() before the loop and after it",
        ("    start = time.perf_counter()\n", "    times = []\n"),
        ("        read()\n", "        start = time.perf_counter()\n        read()\n        times.append(time.perf_counter() - start)\n"),
        (ELAPSED, "return max(times)"),
    ),
    "a position without its sign": attempt(
        "open_volume=0.5, open_orders=1) expected: Facts(best_bid_price=99.98, best_offer_price=100.03, open_volume=-0.5",
        ("position.open_volume if", "abs(position.open_volume) if"),
    ),
    "the starting point": Attempt("called read 0 times", base=STARTING_POINT),
    "one call": attempt("called read 1 times expected: 5 times", ("range(turns)", "range(1)")),
    "one call too many": attempt("called read 6 times", ("range(turns)", "range(turns + 1)")),
    "the time of all calls": attempt(
        "hint: time.perf_counter() before the loop and after it", (ELAPSED, "return time.perf_counter() - start")
    ),
    "turns per second": attempt(
        "hint: time.perf_counter() before the loop and after it", (ELAPSED, "return turns / (time.perf_counter() - start)")
    ),
    "milliseconds": attempt(
        "hint: time.perf_counter() before the loop and after it", (ELAPSED, "return (time.perf_counter() - start) / turns * 1000")
    ),
    "processor time": attempt(
        "hint: time.perf_counter() before the loop and after it",
        ("time.perf_counter() - start", "time.process_time() - start"),
        ("start = time.perf_counter()", "start = time.process_time()"),
    ),
    "a number of the last call": attempt("expected: a value of type float, not int", (ELAPSED, "return turns")),
    "no position": attempt(
        "get_orders the orders on all markets. None, where the party has never traded, means 0",
        ("position.open_volume if position is not None else 0", "position.open_volume"),
    ),
    "orders on all markets": attempt(
        "expected: open_volume 0 and open_orders 1",
        ("sum(order.market_id == market_id for order in store.get_orders())", "len(store.get_orders())"),
    ),
    "a position of another market": attempt(
        "expected: open_volume 0 and open_orders 1",
        ("position = store.get_position_by_market_id(market_id=market_id)", "position = next(iter(store.get_positions()), None)"),
    ),
    "swapped prices": attempt(
        "as poll returns",
        (
            "best_bid_price=market.best_bid_price,\n        best_offer_price=market.best_offer_price,\n        open_volume=position",
            "best_bid_price=market.best_offer_price,\n        best_offer_price=market.best_bid_price,\n        open_volume=position",
        ),
    ),
    "a request for the prices": attempt(
        "hint: read_facts must not call poll or client",
        (
            "    position = store.",
            "    data = client.get_market_data(node_url=store._rest_api_url, market_id=market_id)\n    assert data\n    position = store.",
        ),
    ),
    "facts that never change": attempt(
        "as poll returns", ("def read_facts(", "import functools\n\n\n@functools.lru_cache\ndef read_facts(")
    ),
    "no return": attempt(
        "read_facts returned None when called with",
        ("    return Facts(\n        best_bid_price=market.", "    Facts(\n        best_bid_price=market."),
    ),
}

PAGES = "self._records, self._pages = self._pages, {}"
RECONNECTING = {
    "the starting point": Attempt("hint: a record that is not in a snapshot is gone", base=STARTING_POINT),
    "pages of a broken connection": attempt(
        "10 of them after the broken snapshot: ",
        ("self._pages = {}  # the last connection may have broken in the middle of its snapshot", "pass"),
    ),
    "pages of the last snapshot": attempt(
        "a fourth connection; one more order was closed while disconnected",
        (PAGES, "self._records = dict(self._pages)\n                self._is_complete = True"),
        (
            "self._pages = {}  # the last connection may have broken in the middle of its snapshot",
            "if not getattr(self, '_is_complete', True):\n            self._pages = {}\n        self._is_complete = False",
        ),
    ),
    "a snapshot that is added": attempt("hint: a record that is not in a snapshot is gone", (PAGES, "self._records.update(self._pages)")),
    "no records from the reconnect on": attempt(
        "0 orders after the first page of a new snapshot expected: the 53 that were known before hint: until the last page",
        ("self._pages = {}  # the last", "self._records, self._pages = {}, {}  # the last"),
    ),
    "pages at once": attempt(
        "50 orders after the first of two pages expected: none, as before hint: until the last page",
        ('if body.get("lastPage"):', "if True:"),
    ),
    "the pages are emptied": attempt(
        "55 are missing expected: the 55 open orders that REST shows hint: the last page makes",
        (PAGES, "self._records = self._pages\n                self._pages.clear()"),
    ),
    "a list": attempt("expected: a value of type dict, not list", ("return dict(self._records)", "return list(self._records)")),
    "an empty list": attempt("hint: streams leave out empty lists", ("body.get(self._kind, [])", "body[self._kind]")),
    "a page that is not the last": attempt(
        "hint: streams leave out empty lists, and what is zero or false", ('body.get("lastPage")', 'body["lastPage"]')
    ),
    "an account of no market": attempt(
        "hint: streams leave out empty lists, and what is zero or false", ("node.get('marketId', '')", "node['marketId']")
    ),
    "closed orders stay": attempt(
        "an update with two cancelled orders",
        ('if self._kind == "orders":\n            self._records', 'if self._kind == "order":\n            self._records'),
    ),
    "updates replace everything": attempt(
        "hint: the last page makes all collected pages the records", ("self._records.update(nodes)", "self._records = nodes")
    ),
    "accounts by type": attempt(
        "hint: an update changes single records",
        ("return f\"{node['owner']}-{node.get('marketId', '')}-{node['type']}-{node['asset']}\"", "return str(node['type'])"),
    ),
    "one dict for all": attempt(
        "before any frame expected: no records hint: each StreamCopy needs a dict of its own",
        ("        self._records: dict[str, Node] = {}\n", ""),
        ("    def __init__(self, kind", "    _records: dict[str, Node] = {}\n\n    def __init__(self, kind"),
        (
            "self._records, self._pages = self._pages, {}",
            "self._records.clear()\n                self._records.update(self._pages)\n                self._pages = {}",
        ),
        (
            '            self._records = {key: node for key, node in self._records.items() if node.get("status") in OPEN}',
            "            for key in [key for key, node in self._records.items() if node.get('status') not in OPEN]:\n"
            "                del self._records[key]",
        ),
    ),
}

AGE = "age = self._store.seconds_since_update(self._market_id)  # first: the market that we read next is at least this fresh"
IF_FRESH = "if market is not None and age <= self._max_age:"
ELSE_CANCEL = "elif self._has_sent_quotes or self._has_open_orders():"
FORGET = "            self._send([])\n            self._has_sent_quotes = False"
NEVER_BLIND = {
    "the starting point": Attempt("turn 3 sent quotes", base=STARTING_POINT),
    "no market": attempt(
        "before the store knew the market",
        (IF_FRESH, "if age <= self._max_age:"),
        ("quotes(market, 0", "[] if market is None else quotes(market, 0"),
    ),
    "the age in the wrong unit": attempt("turn 3 sent quotes", ("age <= self._max_age", "age <= self._max_age * 1000")),
    "just below the limit": attempt("turn 2 sent a cancellation", ("age <= self._max_age", "age < self._max_age")),
    "the price as a sign of life": attempt(
        "turn 2 sent a cancellation",
        (IF_FRESH, "last, self._last = getattr(self, '_last', None), market\n        if market is not None and market != last:"),
    ),
    "no cancellation": attempt("turn 3 sent nothing The situation: stale data, after quotes", (FORGET, "            pass")),
    "one cancellation, for the first silence only": attempt(
        "turn 9 sent nothing The situation: stale data for the second time",
        ("            self._has_sent_quotes = True\n", "            self._has_sent_quotes = not hasattr(self, '_done')\n"),
        (FORGET, FORGET + "\n            self._done = True"),
    ),
    "a cancellation that is never repeated": attempt("hint: a cancellation can get lost", (ELSE_CANCEL, "elif self._has_sent_quotes:")),
    "a cancellation in every turn": attempt("turn 6 sent a cancellation", (ELSE_CANCEL, "elif market is not None:")),
    "only what the store shows": attempt(
        "hint: the store may not show your newest quotes yet", (ELSE_CANCEL, "elif self._has_open_orders():")
    ),
    "orders on all markets": attempt(
        "hint: store.get_orders() returns the orders on all markets",
        ("any(order.market_id == self._market_id for order in self._store.get_orders())", "bool(self._store.get_orders())"),
    ),
    "orders of this run only": attempt(
        "the store shows an open order of an earlier run",
        (ELSE_CANCEL, "elif self._has_sent_quotes or (hasattr(self, '_began') and self._has_open_orders()):"),
        ("            self._has_sent_quotes = True\n", "            self._has_sent_quotes = self._began = True\n"),
    ),
    "the age last": attempt(
        "then you asked for the age of that frame expected: no quotes, or quotes at the prices of the frame hint: ask for the age first",
        (f"        {AGE}\n", ""),
        ("        if market is not None", f"        {AGE.partition('  #')[0]}\n        if market is not None"),
    ),
    "a cancellation and quotes": attempt(
        "turn 1 sent 2 transactions", ("            self._send(quotes", "            self._send([])\n            self._send(quotes")
    ),
    "the orders one by one": attempt(
        "turn 1 sent 2 transactions",
        (
            "            self._send(quotes(market, 0, MAX_ABS_POSITION))",
            "            for order in quotes(market, 0, MAX_ABS_POSITION):\n                self._send([order])",
        ),
    ),
}

MIDDLE = "newest + (newest - average) - SKEW * open_volume"
LIMITS = (
    ("if open_volume < max_abs_position", "if open_volume < max_abs_position - 3"),
    ("if open_volume > -1 * max_abs_position", "if open_volume > 3 - max_abs_position"),
)
A_RULE_OF_YOUR_OWN = {
    "the starting point": Attempt("the same trades as the tutorial's rule expected: a rule of your own", base=STARTING_POINT),
    "no list": attempt("quotes returned None when called with (Market(", ("    return submissions\n", "")),
    "one order": attempt(
        "a value of type list, not OrderSubmission", ("    return submissions\n", "    return order(market, 'SIDE_BUY', 99)\n")
    ),
    "a list of prices": attempt("expected: a list of OrderSubmission", ("    return submissions\n", "    return [99.9, 100.1]\n")),
    "a side without its prefix": attempt(
        "quotes returned an order with side 'BUY' expected: one of SIDE_BUY, SIDE_SELL", ('"SIDE_BUY"', '"BUY"')
    ),
    "nan": attempt("quotes returned an order with price nan expected: a finite number", (MIDDLE, "float('nan')")),
    "a price as text": attempt("quotes returned an order with price '", ("price=price", "price=str(price)")),
    "a size of zero": attempt("quotes returned an order for 0 contracts", ("size=1", "size=0")),
    "another market": attempt("the bot cannot send what quotes returned", ("market_id=market.market_id", "market_id='ab' * 32")),
    "far from the market": attempt(
        "fills in 0% of the blocks of seed 2: of your 600 orders, 600 reached the book", ("HALF_SPREAD = 0.05", "HALF_SPREAD = 5")
    ),
    "a time in force for auctions": attempt(
        "the network rejected 70, ORDER_ERROR_CANNOT_SEND_GFA_ORDER_DURING_CONTINUOUS_TRADING", ("TIME_IN_FORCE_GTC", "TIME_IN_FORCE_GFA")
    ),
    "no orders": attempt(
        "you sent no order expected: fills in at least 5% of the blocks hint: a rule without orders",
        ("    return submissions\n", "    return []\n"),
    ),
    "wide quotes": attempt(
        "expected: fills in at least 5% of the blocks hint: quote nearer to the middle", ("HALF_SPREAD = 0.05", "HALF_SPREAD = 0.12")
    ),
    "a trend without a skew": attempt(
        "hint: your position reaches its limits: if you are long, move both quotes down",
        ("SKEW = 0.02", "SKEW = 0"),
        ("HALF_SPREAD = 0.05", "HALF_SPREAD = 0.035"),
    ),
    "a skew in the wrong direction": attempt("hint: your position reaches its limits: if you are long", ("SKEW = 0.02", "SKEW = -0.02")),
    "a skew without a trend": attempt("hint: your quotes do not use the trend", (MIDDLE, "newest - SKEW * open_volume")),
    "quotes around the average": attempt("hint: your quotes follow the price too late", (MIDDLE, "average - SKEW * open_volume")),
    "a long average": attempt(
        "hint: the position still becomes large: move the quotes further for each contract", ("maxlen=5", "maxlen=30")
    ),
    "narrow quotes": attempt(
        "hint: you are filled often, and lose more in the blocks after a fill", ("HALF_SPREAD = 0.05", "HALF_SPREAD = 0.02")
    ),
    "a smaller copy of the tutorial's rule": attempt(
        "hint: your quotes do not use the trend", (MIDDLE, "newest"), ("HALF_SPREAD = 0.05", "HALF_SPREAD = 0.04"), *LIMITS
    ),
}

COMMIT = "account.balance / 4"
ACCOUNT = 'if account.account_type == "ACCOUNT_TYPE_GENERAL" and account.asset_id == market.settlement_asset_id'
STORE_PRICE = "        with self._lock:\n            self._prices[price.symbol] = price"
BID, OFFER = (
    "bid = min(middle - half_spread, market.best_offer_price - tick)",
    "offer = max(middle + half_spread, market.best_bid_price + tick)",
)
TICK = "tick = convert_to_decimals(market.decimal_places, market.tick_size)"
RULE = "return example_rule.quotes(replace(market, best_bid_price=bid, best_offer_price=offer), open_volume, max_abs_position)"
NEXT_PAGES = {
    "a record that is read after the lock": attempt(
        "get() returned ReferencePrice(symbol='SOLDAI', bid_price=102.5, ask_price=101.75) while both methods were paused",
        (
            "            self._prices[price.symbol] = price\n",
            "            kept = self._prices.setdefault(price.symbol, {'symbol': price.symbol})\n"
            "            kept['bid_price'] = price.bid_price\n            kept['ask_price'] = price.ask_price\n",
        ),
        (
            "            return self._prices.get(symbol)\n",
            "            kept = self._prices.get(symbol)\n        return ReferencePrice(**kept) if kept else None\n",
        ),
    ),
    "the starting point": Attempt("no bond account: the network ignored", base=STARTING_POINT),
    "the largest account": attempt(
        "bond accounts with [1025000125000000000000000]", (COMMIT, "max(each.balance for each in store.get_accounts()) / 4")
    ),
    "all accounts": attempt("expected: on the future, one with 62500", (COMMIT, "sum(each.balance for each in store.get_accounts()) / 4")),
    "another asset": attempt("expected: on the future, one with 62500", (ACCOUNT, ACCOUNT.replace("==", "!=").replace("!=", "==", 1))),
    "no asset": attempt("expected: on the future, one with 62500", (ACCOUNT, 'if account.account_type == "ACCOUNT_TYPE_GENERAL"')),
    "18 places": attempt(
        "on the perpetual, one with 325000125000: a quarter of 1300000.5", ("decimal_places=asset.decimal_places", "decimal_places=18")
    ),
    "the whole balance": attempt("expected: on the future, one with 62500", (COMMIT, "account.balance")),
    "an amount that is not text": attempt(
        "expected: a transaction that the wallet accepts", ('"commitmentAmount": str(amount)', '"commitmentAmount": {amount}')
    ),
    "an exception before the first frame": attempt("get raised KeyError: 'SOLDAI'", ("self._prices.get(symbol)", "self._prices[symbol]")),
    "prices as text": attempt("hint: json.loads the frame, float() the two prices", ('float(frame["bid_price"])', 'frame["bid_price"]')),
    "one price for all symbols": attempt(
        "hint: json.loads the frame, float() the two prices, keep the record under its symbol",
        ("self._prices[price.symbol] = price", "self._prices[''] = price"),
        ("self._prices.get(symbol)", "self._prices.get('')"),
    ),
    "a record in two steps": attempt(
        "get() returned ReferencePrice(symbol='SOLDAI', bid_price=102.5, ask_price=101.75) while update() was paused",
        (
            STORE_PRICE,
            "        old = self._prices.get(price.symbol, price)\n"
            "        self._prices[price.symbol] = ReferencePrice(price.symbol, price.bid_price, old.ask_price)\n" + STORE_PRICE,
        ),
    ),
    "no list": attempt("quotes returned None when called with", ("return []", "return None")),
    "no reference": attempt("hint: test for None first", ("    if reference is None:\n        return []\n", "")),
    "around this market": attempt(
        "the middle of the reference hint: the middle of the reference, minus half",
        ("(reference.bid_price + reference.ask_price) / 2", "(market.best_bid_price + market.best_offer_price) / 2"),
    ),
    "through the book": attempt("hint: min() for the bid, max() for the offer", (BID, "bid = middle - half_spread")),
    "at the best offer": attempt(
        "hint: min() for the bid, max() for the offer", (BID, "bid = min(middle - half_spread, market.best_offer_price)")
    ),
    "one side": attempt("hint: at a position of 0, both sides have room", (RULE, RULE + "[:1]")),
    "one price decimal": attempt(
        "hint: a price is rounded to the nearest tick before it is sent", (TICK, "tick = 10**-market.decimal_places")
    ),
}

OURS = "if self._is_ours(trade)]"
IS_OURS = 'trade["marketId"] == self._market.market_id and self._party_id in (trade["buyer"], trade["seller"])'
KEEP = "        with self._fills_lock:\n            for fill in fills:\n                self._fills[fill.trade_id] = fill\n"
SIDE = '"SIDE_BUY" if trade["buyer"] == self._party_id else "SIDE_SELL"'
COPY = "        with self._fills_lock:\n            return list(self._fills.values())"
FIFTH_STREAM = {
    "a dict that is read after the lock": attempt(
        "saw 1 of 2 trades of a frame while both methods were paused, and 2 at the end",
        (
            "        with self._fills_lock:\n            return list(self._fills.values())",
            "        with self._fills_lock:\n            fills = self._fills\n        return list(fills.values())",
        ),
    ),
    "the trades of everybody": attempt(
        "a connection for 1 markets and 0 parties; without a filter, it has the trades of everybody",
        ("stream/trades?marketIds={market_id}&partyIds={party_id}", "stream/trades?marketIds={market_id}"),
    ),
    "a getter without the lock": attempt(
        "RuntimeError: dictionary changed size during iteration",
        (
            "        with self._fills_lock:\n            return list(self._fills.values())",
            "        fills = []\n        for fill in self._fills.values():\n            fills.append(fill)\n        return fills",
        ),
        (KEEP, "        with self._fills_lock:\n            self._fills.update({fill.trade_id: fill for fill in fills})\n"),
    ),
    "the starting point": Attempt("0 fills after a frame with two trades", base=STARTING_POINT),
    "the first trade of a frame": attempt(
        "1 fills after a frame with two trades expected: 2 hint: a frame holds a list", (OURS, OURS.replace("]", "][:1]"))
    ),
    "the newest frame only": attempt(
        "hint: keep a trade only if you are its buyer or its seller",
        (KEEP, "        with self._fills_lock:\n            self._fills = {fill.trade_id: fill for fill in fills}\n"),
    ),
    "the side of the aggressor": attempt(
        "hint: you have bought if the buyer is your party id", (SIDE, '"SIDE_BUY" if trade["aggressor"] == 1 else "SIDE_SELL"')
    ),
    "the side of the other": attempt(
        "hint: you have bought if the buyer is your party id", ('== self._party_id else "SIDE_SELL"', '!= self._party_id else "SIDE_SELL"')
    ),
    "padded numbers": attempt(
        "hint: prices have market.decimal_places",
        ('convert_to_decimals(self._market.decimal_places, int(trade["price"]))', 'float(trade["price"])'),
    ),
    "swapped decimals": attempt(
        "hint: prices have market.decimal_places",
        ("convert_to_decimals(self._market.decimal_places", "convert_to_decimals(self._market.position_decimal_places"),
    ),
    "trades of others": attempt("a fill that is a trade of two other parties", (IS_OURS, 'trade["marketId"] == self._market.market_id')),
    "all markets": attempt("a fill on another market", (IS_OURS, 'self._party_id in (trade["buyer"], trade["seller"])')),
    "a list of fills": attempt(
        "a trade that arrived twice is two fills",
        ("self._fills: dict[str, Fill] = {}", "self._fills: list[Fill] = []"),
        ("self._fills[fill.trade_id] = fill", "self._fills.append(fill)"),
        ("list(self._fills.values())", "list(self._fills)"),
    ),
    "a frame without trades": attempt("hint: streams leave out empty lists", ('trade_dict.get("trades", [])', 'trade_dict["trades"]')),
    "bought and sold together": attempt("a net volume of 1.9, after 1.5 bought and 0.4 sold", ("else -fill.size", "else fill.size")),
    "the store's own list": attempt(
        "hint: return a new list",
        ("        self._fills_lock = Lock()\n", "        self._fills_lock = Lock()\n        self._list: list[Fill] = []\n"),
        (KEEP, KEEP + "            self._list[:] = self._fills.values()\n"),
        (COPY, "        with self._fills_lock:\n            return self._list"),
    ),
    "one dict for all stores": attempt(
        "fills in a new store expected: none",
        ("        self._fills: dict[str, Fill] = {}  # by trade id\n", ""),
        ("    def __init__(self, websocket_url", "    _fills: dict[str, Fill] = {}\n\n    def __init__(self, websocket_url"),
    ),
    "no lock": attempt(
        "1 of 2 trades of a frame while _update_trades was paused",
        (KEEP, "        for fill in fills:\n            self._fills[fill.trade_id] = fill\n"),
    ),
    "a lock for each trade": attempt(
        "hint: parse all trades first, then take the lock once",
        (KEEP, "        for fill in fills:\n            with self._fills_lock:\n                self._fills[fill.trade_id] = fill\n"),
    ),
    "a lock for the writer": attempt("while _update_trades was paused", (COPY, "        return list(self._fills.values())")),
    "no subscription": attempt(
        "connections to no stream after start()",
        (
            "        self._ws_client.subscribe_trades(market_id=self._market.market_id, party_id=self._party_id,"
            " callback=self._update_trades)\n",
            "",
        ),
    ),
    "another stream": attempt("connections to orders after start()", ("/stream/trades?", "/stream/orders?")),
}

AMENDED = "OrderAmendment(order_id=order.order_id, size_delta=0, price=price, market_id=self._market_id)"
NEW = "if not orders and not is_in_flight and room > 0:"
BATCH = "return BatchMarketInstruction(submissions=submissions, cancellations=[], amendments=amendments)"
CANCEL_ALL = "BatchMarketInstruction(submissions=submissions, cancellations=[OrderCancellation(self._market_id)], amendments=[])"
KEEP_YOUR_PLACE = {
    "turns instead of blocks": attempt(
        "after 6 turns in which the chain made no block expected: at most one bid and one offer hint: count blocks, not turns",
        (
            "        submissions, amendments = [], []",
            "        self._turns = getattr(self, '_turns', 0) + 1\n        submissions, amendments = [], []",
        ),
        ("is_in_flight = state.block <", "is_in_flight = self._turns <"),
        ("= state.block + MAX", "= self._turns + MAX"),
    ),
    "the starting point": Attempt("a bid was filled that had arrived later", base=STARTING_POINT),
    "no batch": attempt("turn returned None when called with (State(", (BATCH, "pass")),
    "no lists": attempt(
        "hint: submissions, cancellations and amendments are three lists",
        (BATCH, BATCH.replace("amendments=amendments", "amendments=submissions")),
    ),
    "one side": attempt(
        "after the first four blocks expected: one bid and one offer hint: a side without an order",
        ('            ("SIDE_SELL", state.offer_price, self._max_abs_position + state.open_volume),\n', ""),
    ),
    "new orders in every turn": attempt("expected: one bid and one offer", (NEW, "if room > 0:")),
    "no memory of what is in flight": attempt("hint: the store is behind: remember the block", (NEW, "if not orders and room > 0:")),
    "one block in flight": attempt(
        "hint: the store is behind: remember the block", ("MAX_BLOCKS_IN_FLIGHT = 2", "MAX_BLOCKS_IN_FLIGHT = 1")
    ),
    "orders that are replaced one by one": attempt(
        "a bid was filled that had arrived later than your first one expected: your bid is the oldest at this price",
        ("from bot.submission import ", "from bot.submission import OrderCancellation, "),
        (NEW, "if room > 0:"),
        (
            BATCH,
            "old = [OrderCancellation(self._market_id, order.order_id) for order in state.orders]\n"
            "        return BatchMarketInstruction(submissions, old, [])",
        ),
    ),
    "a new order at a new price": attempt(
        "new orders after the prices moved expected: the same two orders, amended",
        ("from bot.submission import ", "from bot.submission import OrderCancellation, "),
        (NEW, "if all(order.price != price for order in orders) and not is_in_flight and room > 0:"),
        (
            BATCH,
            "prices = (state.bid_price, state.offer_price)\n"
            "        old = [OrderCancellation(self._market_id, order.order_id) for order in state.orders if order.price not in prices]\n"
            "        return BatchMarketInstruction(submissions, old if submissions else [], [])",
        ),
    ),
    "no amendments": attempt(
        "three blocks after the wanted prices changed expected: a bid at 99.95 and an offer at 100.15 hint: an order at another price",
        (BATCH, BATCH.replace("amendments=amendments", "amendments=[]")),
    ),
    "an amendment without its market": attempt(
        "hint: an order at another price: OrderAmendment with its order_id", (AMENDED, AMENDED.replace(", market_id=self._market_id", ""))
    ),
    "an amendment in every turn": attempt(
        "2 instructions in a turn in which nothing changed expected: an empty batch", ("                if order.price != price\n", "")
    ),
    "an amendment that adds to the size": attempt(
        "hint: the room of the bid is max_abs_position - open_volume", (AMENDED, AMENDED.replace("size_delta=0", "size_delta=0.5"))
    ),
    "one order for all time": attempt(
        "hint: a side without an order, and without one in flight, gets a new order: also after a fill",
        ("state.block + MAX_BLOCKS_IN_FLIGHT", "state.block + 10**6"),
    ),
    "a whole contract each time": attempt("expected: never more than 1 hint: the room of the bid", ("min(1, room)", "1")),
    "the room of the other side": attempt(
        "hint: the room of the bid is max_abs_position - open_volume",
        ("self._max_abs_position + state.open_volume", "self._max_abs_position - state.open_volume"),
    ),
    "no limit": attempt(
        "hint: the room of the bid is max_abs_position - open_volume", (NEW, "if not orders and not is_in_flight:"), ("min(1, room)", "1")
    ),
}

SENT_AT = "cancelled_at = network.height()  # after the cancellation: a block may have been made meanwhile"
IS_OVER = "elif not orders and height >= cancelled_at + BLOCKS_IN_FLIGHT:"
ORDERS = "            orders = network.open_orders()\n"
NOT_CERTAIN = "return Ending(open_orders=orders, is_certain=False)"
START = "    deadline = network.time() + MAX_SECONDS\n"
LEAVE_NOTHING_BEHIND = {
    "the starting point": Attempt("is_certain=True only if no order is open hint: one look is not enough", base=STARTING_POINT),
    "no look": attempt(
        "At that moment, these orders are open: bid, offer The situation: two open orders, and nothing goes wrong",
        (START, "    network.cancel_all()\n    return Ending([], is_certain=True)\n" + START),
    ),
    "a second of patience": attempt(
        "The situation: an order is in flight", (IS_OVER, "elif not orders and network.time() > deadline - 9:")
    ),
    "orders that are gone": attempt(
        "Later, these orders are open: late bid The situation: an order is in flight", (IS_OVER, "elif not orders:")
    ),
    "one block": attempt(
        "hint: one look is not enough: look again until the height is two blocks above", ("BLOCKS_IN_FLIGHT = 2", "BLOCKS_IN_FLIGHT = 1")
    ),
    "one cancellation": attempt(
        "expected: is_certain=True hint: if REST still shows an order in a later block, cancel again",
        ("(orders and height > cancelled_at)", "False"),
    ),
    "a cancellation in every loop": attempt(
        "4 cancellations for one block The situation: the first three cancellations are lost expected: one",
        ("(orders and height > cancelled_at)", "orders"),
    ),
    "the height after the orders": attempt(
        "hint: a block was made between your two questions",
        ("            height = network.height()  # before the orders: they are at least as new\n", ""),
        (ORDERS, ORDERS + "            height = network.height()\n"),
    ),
    "the height before the cancellation": attempt("hint: a block was made while you cancelled", (SENT_AT, "cancelled_at = height")),
    "an error of the wallet": attempt(
        "leave_nothing_behind raised WalletError: wallet: HTTP 503", ("(VegaApiError, WalletError)", "VegaApiError")
    ),
    "an error of REST": attempt("leave_nothing_behind raised VegaApiError", ("(VegaApiError, WalletError)", "WalletError")),
    "an error as an empty list": attempt(
        "an error is not an empty list: an order may be there that you cannot see",
        (
            ORDERS,
            "            try:\n                orders = network.open_orders()\n"
            "            except VegaApiError:\n                orders = []\n",
        ),
    ),
    "no deadline": attempt(
        "no end after 60 s The situation: the chain makes no blocks", ("while network.time() < deadline:", "while True:")
    ),
    "a guess": attempt(
        "expected: is_certain=False hint: is_certain=True needs two blocks",
        (NOT_CERTAIN, "return Ending(open_orders=orders, is_certain=not orders)"),
    ),
    "no ids": attempt(
        "as REST shows hint: return the ids that REST showed last", (NOT_CERTAIN, "return Ending(open_orders=[], is_certain=False)")
    ),
    "time instead of blocks": attempt(
        "hint: is_certain=True needs two blocks after the last cancellation",
        (IS_OVER, "elif not orders and network.time() > deadline - 5:"),
    ),
    "no result": attempt("leave_nothing_behind returned None", (NOT_CERTAIN, "")),
}

ATTEMPTS: dict[int, dict[str, Attempt]] = {
    1: PADDED_INTEGERS,
    2: NAMES_AND_NUMBERS,
    3: SNAPSHOT_AND_UPDATES,
    4: THE_LOCK,
    5: THE_LOOP,
    6: RECONNECTING,
    7: NEVER_BLIND,
    8: A_RULE_OF_YOUR_OWN,
    9: NEXT_PAGES,
    10: FIFTH_STREAM,
    11: KEEP_YOUR_PLACE,
    12: LEAVE_NOTHING_BEHIND,
}

OTHER_STYLES: dict[int, dict[str, tuple[Change, ...]]] = {
    4: {
        "a version number": (
            (PRICE, "        self._version, self._bid, self._offer = 0, 0.0, 0.0\n"),
            (
                SAFE_UPDATE,
                "        self._version += 1  # odd while the pair is written\n        self._bid = bid\n        self._offer = offer\n"
                "        self._version += 1",
            ),
            (
                SAFE_PRICES,
                "        while True:\n            version, pair = self._version, (self._bid, self._offer)\n"
                "            if version == self._version and version % 2 == 0:\n                return pair",
            ),
        ),
        "the frame": (
            (PRICE, '        self._frame = {"bestBidPrice": "0", "bestOfferPrice": "0"}\n'),
            (SAFE_UPDATE, "        self._frame = dict(frame)"),
            (SAFE_PRICES, "        return pair_of(self._frame)"),
        ),
    },
    5: {
        "the average of the calls": (
            ("    start = time.perf_counter()\n", "    times = []\n"),
            (
                "        read()\n",
                "        start = time.perf_counter()\n        read()\n        times.append(time.perf_counter() - start)\n",
            ),
            (ELAPSED, "return sum(times) / turns"),
        ),
    },
    12: {
        "the cancellation first": (
            (
                "            height = network.height()  # before the orders: they are at least as new\n",
                "            if cancelled_at is None:\n                network.cancel_all()\n"
                "                cancelled_at = network.height()\n            height = network.height()\n",
            ),
            ("if cancelled_at is None or (orders and height > cancelled_at):", "if orders and height > cancelled_at:"),
        ),
    },
}
