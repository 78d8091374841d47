"""Checks exercise 1: all prices with two decimals, ticks, long amounts, sizes in tens, and orders on the sandbox's perpetual market."""

import re
from decimal import Decimal
from types import ModuleType

from tests.exercises.checking import NotSolved, call, expect, report
from tests.exercises.sandbox_helpers import get_orders, make_wallet, order_json, send_transaction
from tests.sandbox import Sandbox

PRICES = {1850.53: "1850.55", 1849.97: "1849.95", 1851.1: "1851.1"}  # wanted price -> nearest price of a market with 5 ticks
DIGITS = "calculations with Decimal keep 28 digits; if every step uses Fraction, no digit is lost"
FLOAT = "a float has 16 digits: do not convert a Decimal to float"
TRUNCATED = "print(0.29 * 100): int() truncates, but you need the nearest whole number"
ZEROS = "the number is correct, its text is not: str() of an int has no zeros in front"
TENS = "with -1 places, sizes are counted in tens: 10 ** -1 is a tenth"
TENS_FLOAT = "10 ** -1 is a float, and so is everything that you multiply by it; Fraction(10) ** -1 is exact"
TYPES = "Python does not multiply a Decimal by a float: convert the number to Fraction first"


def check(exercise: ModuleType) -> None:
    check_text(exercise)
    check_all_prices(exercise)
    check_ticks(exercise)
    check_amounts(exercise)
    check_orders(exercise)


def check_text(exercise: ModuleType) -> None:
    text = call(exercise, "to_padded_integer", 18.5, 2, returns=str)
    expect(
        re.fullmatch("[0-9]+", text),
        saw=f"to_padded_integer(18.5, 2) returned {text!r}",
        expected="'1850': a string of digits, without a decimal point",
        hint="make the number an int before you make it a string",
    )


def check_all_prices(exercise: ModuleType) -> None:
    texts = {padded: call(exercise, "to_padded_integer", padded / 100, 2, hint=TYPES, errors=(TypeError,)) for padded in range(1, 10_000)}
    wrong = {padded: text for padded, text in texts.items() if text != str(padded)}
    if wrong:
        padded, text = next(iter(wrong.items()))
        raise NotSolved(
            saw=f"{len(wrong)} of the 9999 prices from 0.01 to 99.99 are wrong; the first: to_padded_integer({padded / 100}, 2)"
            f" returned {text!r}",
            expected=f"no wrong price; here {str(padded)!r}",
            hint=ZEROS if text == f"{padded:0{len(text)}}" else TRUNCATED,
        )
    report("all 9999 prices from 0.01 to 99.99 are correct")


def check_ticks(exercise: ModuleType) -> None:
    nearest = "count in ticks: divide by the tick size, round to the nearest whole number, multiply again"
    once = "round only once: 1854.6 is nearer to 1850 than to 1860, but 1855, its rounded value, is not"
    cases = [*((price, 5, padded(text), nearest) for price, text in PRICES.items()), (18.546, 10, "1850", once)]
    for price, multiple, expected, hint in cases:
        text = call(exercise, "to_padded_integer", price, 2, multiple, hint=TYPES, errors=(TypeError,))
        expect(
            text == expected,
            saw=f"to_padded_integer({price}, 2, {multiple}) returned {text!r}",
            expected=f"{expected!r}, the nearest multiple of {multiple}",
            hint=hint,
        )
    report("prices are multiples of the tick size")


def check_amounts(exercise: ModuleType) -> None:
    cases = [
        (Decimal("10000000.000000000000000001"), 18, "10000000000000000000000001", FLOAT),
        (Decimal("12345678901234567890.123456789012345678"), 18, "12345678901234567890123456789012345678", DIGITS),
        (Decimal("0.000001"), 6, "1", TYPES),
        (120.0, -1, "12", TENS),
        (Decimal("120"), -1, "12", TENS),
        (Decimal("12345678901234567890"), -1, "1234567890123456789", TENS_FLOAT),
    ]
    for number, places, expected, hint in cases:
        text = call(exercise, "to_padded_integer", number, places, hint=TYPES, errors=(TypeError,))
        expect(text == expected, saw=f"to_padded_integer({number!r}, {places}) returned {text!r}", expected=repr(expected), hint=hint)
    report("a balance with 18 places keeps every digit, and so does a size in tens")


def check_orders(exercise: ModuleType) -> None:
    with Sandbox(block_time=0, traders=False, seed=1) as sandbox:
        market_id = sandbox.markets["perpetual"]
        for price in PRICES:
            order = {**order_json(market_id, "BUY", 1, 1), "price": call(exercise, "to_padded_integer", price, 2, 5)}
            make_wallet(sandbox).submit_transaction({"orderSubmission": order})
        send_transaction(sandbox, "a", orderSubmission=order_json(market_id, "BUY", 1, 185_053))  # to show the effect of a wrong price
        sandbox.block()
        prices = {order["price"] for order in get_orders(sandbox)}
        wrong_order = get_orders(sandbox, "a", open_only=False)[0]
    expected = {padded(price) for price in PRICES.values()}
    expect(
        prices == expected,
        saw=f"open orders at {sorted(prices)} on the sandbox's market",
        expected=f"orders at {sorted(expected)}",
        hint="the network rejects a price that is not a multiple of the tick size",
    )
    report(f"your orders are open on the sandbox's market; an order at 185053, between two ticks, is {wrong_order['status']}")


def padded(price: str) -> str:
    return str(int(Decimal(price) * 100))
