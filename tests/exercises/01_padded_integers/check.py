"""Checks exercise 1: each two-decimal price, ticks, long amounts, sizes in tens, and orders on the sandbox's perpetual market."""

import re
from decimal import Decimal
from typing import Any

from tests.exercises.checking import call, expect, say
from tests.exercises.sandbox_helpers import orders_over_rest, send, wallet_of
from tests.sandbox import Sandbox

PRICES = {1850.53: "1850.55", 1849.97: "1849.95", 1851.1: "1851.1"}  # a price that we want -> the nearest that the market has
DIGITS = "calculations with Decimal keep 28 digits; those with Fraction, from the first step to the last, keep all"
TENS = "10 ** -1 is a tenth: with -1 places, sizes are counted in tens"
TYPES = "Decimal and float do not mix: turn both into Fraction first, fractions take either"


def check(exercise: Any) -> None:
    check_text(exercise)
    check_all_prices(exercise)
    check_ticks(exercise)
    check_amounts(exercise)
    check_orders(exercise)


def check_text(exercise: Any) -> None:
    text = call(exercise, "to_wallet", 18.5, 2, gives=str)
    expect(
        re.fullmatch("[0-9]+", text),
        saw=f"to_wallet(18.5, 2) returned {text!r}",
        expected="'1850': a string of digits, without a decimal point",
        hint="turn the whole number, an int, into text at the very end",
    )


def check_all_prices(exercise: Any) -> None:
    texts = {padded: call(exercise, "to_wallet", padded / 100, 2) for padded in range(1, 10_000)}
    wrong = [f"to_wallet({padded / 100}, 2) returned {text!r}" for padded, text in texts.items() if text != str(padded)]
    expect(
        not wrong,
        saw=f"{len(wrong)} of the 9999 prices from 0.01 to 99.99 came out wrong" + (f"; the first: {wrong[0]}" if wrong else ""),
        expected="each price unharmed",
        hint="print(0.29 * 100): int() cuts off what is behind the point; you want the nearest whole number",
    )
    say("all 9999 prices from 0.01 to 99.99 are right")


def check_ticks(exercise: Any) -> None:
    for price, nearest in PRICES.items():
        text = call(exercise, "to_wallet", price, 2, 5)
        expect(
            text == _padded(nearest),
            saw=f"to_wallet({price}, 2, 5) returned {text!r}",
            expected=f"{_padded(nearest)!r}, the nearest multiple of 5",
            hint="count in ticks: how many times 5 is it, to the nearest whole number? Then times 5",
        )
    say("prices are multiples of the tick size")


def check_amounts(exercise: Any) -> None:
    cases = [
        (Decimal("10000000.000000000000000001"), 18, "10000000000000000000000001", "a float has 16 digits: do not turn a Decimal into one"),
        (Decimal("12345678901234567890.123456789012345678"), 18, "12345678901234567890123456789012345678", DIGITS),
        (Decimal("0.000001"), 6, "1", TYPES),
        (120.0, -1, "12", TENS),
        (Decimal("120"), -1, "12", TENS),
    ]
    for number, places, padded, hint in cases:
        text = call(exercise, "to_wallet", number, places, hint=TYPES, errors=(TypeError,))
        expect(
            text == padded,
            saw=f"to_wallet({number!r}, {places}) returned {text!r}",
            expected=repr(padded),
            hint=hint,
        )
    say("a balance with 18 places keeps every digit")


def check_orders(exercise: Any) -> None:
    with Sandbox(block_time=0, traders=False, seed=1) as sandbox:
        market_id = sandbox.markets["perpetual"]
        terms = {"marketId": market_id, "size": "1", "side": "SIDE_BUY", "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
        for price in PRICES:
            wallet_of(sandbox).submit_transaction({"orderSubmission": {**terms, "price": call(exercise, "to_wallet", price, 2, 5)}})
        send(sandbox, "a", orderSubmission={**terms, "price": "185053"})  # what a forgotten tick size does, to look at
        sandbox.block()
        resting = {each["price"] for each in orders_over_rest(sandbox)}
        refused = orders_over_rest(sandbox, "a", live=False)[0]
    expect(
        resting == {_padded(price) for price in PRICES.values()},
        saw=f"orders at {sorted(resting)} rest on the sandbox's market",
        expected=f"orders at {sorted(map(_padded, PRICES.values()))}",
        hint="the network rejects what is no multiple of the tick size",
    )
    say(f"your orders rest on the sandbox's market; one at 185053, beside the tick, is {refused['status']}")


def _padded(price: str) -> str:
    return str(int(Decimal(price) * 100))
