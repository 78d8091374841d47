"""bot/submission.py: instruction records to the wallet's JSON, human numbers to padded integers, exactly."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bot.submission as sub

DECIMALS = st.integers(0, 18)
MARKET = "aa" * 32
ORDER = "0f" * 32


def sent(*instructions: Any, price_decimals: int = 5, position_decimals: int = 3, **tick_size: int) -> dict[str, Any]:
    batch = sub.BatchMarketInstruction(
        submissions=[item for item in instructions if isinstance(item, sub.OrderSubmission)],
        cancellations=[item for item in instructions if isinstance(item, sub.OrderCancellation)],
        amendments=[item for item in instructions if isinstance(item, sub.OrderAmendment)],
    )
    transaction = sub.instruction_to_json(batch, price_decimals, position_decimals, **tick_size)
    content: dict[str, Any] = transaction["batchMarketInstructions"]
    return content


def an_order(size: float = 0.749, price: float = 99.90125) -> sub.OrderSubmission:
    return sub.OrderSubmission(
        market_id=MARKET, size=size, price=price, time_in_force="TIME_IN_FORCE_GTC", type="TYPE_LIMIT", side="SIDE_SELL"
    )


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=DECIMALS, padded=st.integers(0, 2**52 - 1))
@example(decimals=18, padded=2**52 - 1)
@example(decimals=2, padded=6410)
def test_every_padded_price_comes_back_as_itself(decimals: int, padded: int) -> None:
    assert sub.convert_from_decimals(decimals, sub.convert_to_decimals(decimals, padded)) == padded


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=DECIMALS, data=st.data(), tick=st.integers(1, 10**6))
def test_every_multiple_of_the_tick_comes_back_as_itself(decimals: int, data: st.DataObject, tick: int) -> None:
    padded = tick * data.draw(st.integers(0, (2**52 - 1) // tick))
    price = sub.convert_to_decimals(decimals, padded)
    order = sent(an_order(price=price), price_decimals=decimals, tick_size=tick)["submissions"][0]
    assert order["price"] == str(padded)


@settings(deadline=None)  # a busy machine is no fault of the code
@given(
    decimals=DECIMALS,
    price=st.one_of(st.floats(0, 1e9), st.decimals(0, 10**9, places=19), st.fractions(0, 10**9), st.integers(0, 10**9)),
    tick=st.integers(1, 10**6),
)
@example(decimals=2, price=64.1, tick=1)
@example(decimals=5, price=100.00003, tick=5)
def test_any_other_price_goes_to_the_nearest_multiple_of_the_tick(decimals: int, price: Any, tick: int) -> None:
    padded = int(sent(an_order(price=price), price_decimals=decimals, tick_size=tick)["submissions"][0]["price"])
    distance = abs(Fraction(price) * 10**decimals - padded)
    assert padded % tick == 0
    assert distance * 2 <= tick


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=st.integers(-3, 18), number=st.one_of(st.floats(-1e9, 1e9), st.fractions(-(10**9), 10**9)), multiple=st.integers(1, 10**6))
@example(decimals=0, number=2.5, multiple=1)
@example(decimals=0, number=-3.5, multiple=1)
@example(decimals=0, number=15, multiple=10)
def test_a_padded_number_is_rounded_like_a_fraction(decimals: int, number: Any, multiple: int) -> None:
    exact = Fraction(number) * Fraction(10) ** decimals / multiple
    assert sub.convert_from_decimals(decimals, number, multiple) == round(exact) * multiple


def test_no_two_decimal_price_is_sent_a_tick_low() -> None:
    prices = [(padded, padded / 100) for padded in range(1, 10_000)]
    assert sum(int(price * 10**2) != padded for padded, price in prices) == 573  # the page's formula
    assert [padded for padded, price in prices if sub.convert_from_decimals(2, price) != padded] == []


def test_a_size_is_rounded_and_not_truncated() -> None:
    assert sent(an_order(size=0.57), position_decimals=2)["submissions"][0]["size"] == "57"  # 0.57 * 100 is 56.99…


def test_a_size_delta_is_rounded_and_not_truncated() -> None:
    amendment = sub.OrderAmendment(order_id=ORDER, size_delta=-0.57, price=64.1, market_id=MARKET)
    assert sent(amendment, position_decimals=2)["amendments"][0]["sizeDelta"] == "-57"


def test_a_balance_of_eighteen_decimals_is_exact_to_the_last_bit() -> None:
    assert sub.convert_to_decimals(18, 2264566533348769036389927) == 2264566.533348769036389927


@settings(deadline=None)  # a busy machine is no fault of the code
@given(number=st.integers(-(10**30), 10**30), decimals=DECIMALS)
def test_a_padded_integer_becomes_the_float_nearest_to_its_number(number: int, decimals: int) -> None:
    assert sub.convert_to_decimals(decimals, number) == float(Fraction(number, 10**decimals))


def test_a_padded_integer_becomes_a_float_even_without_decimals() -> None:
    assert isinstance(sub.convert_to_decimals(0, 7), float)


def test_negative_position_decimals_count_in_tens() -> None:
    assert sub.convert_to_decimals(-1, 37) == 370.0


def test_sizes_with_negative_position_decimals_are_sent_in_tens() -> None:
    assert sent(an_order(size=370.0), position_decimals=-1)["submissions"][0]["size"] == "37"


@settings(deadline=None)  # a busy machine is no fault of the code
@given(decimals=st.integers(-6, 0), padded=st.integers(0, 10**9))
def test_sizes_in_tens_come_back_as_themselves(decimals: int, padded: int) -> None:
    assert sub.convert_from_decimals(decimals, sub.convert_to_decimals(decimals, padded)) == padded


@pytest.mark.parametrize("number", [64.1, Decimal("64.1"), Fraction(641, 10)])
def test_floats_decimals_and_fractions_are_taken_alike(number: Any) -> None:
    assert sub.convert_from_decimals(decimal_places=2, number=number) == 6410


def test_a_padded_number_is_an_int_as_the_next_pages_expect() -> None:
    assert type(sub.convert_from_decimals(decimal_places=18, number=2500000.25)) is int


def test_a_submission_has_the_keys_and_texts_of_the_api() -> None:
    assert sent(an_order())["submissions"] == [
        {
            "marketId": MARKET,
            "price": "9990125",
            "size": "749",
            "side": "SIDE_SELL",
            "timeInForce": "TIME_IN_FORCE_GTC",
            "type": "TYPE_LIMIT",
        }
    ]


def test_an_amendment_names_its_market() -> None:
    amendment = sub.OrderAmendment(order_id=ORDER, size_delta=-0.251, price=100.21167, market_id=MARKET)
    assert sent(amendment)["amendments"] == [{"orderId": ORDER, "marketId": MARKET, "sizeDelta": "-251", "price": "10021167"}]


def test_an_amendment_goes_to_a_multiple_of_the_tick_too() -> None:
    amendment = sub.OrderAmendment(order_id=ORDER, size_delta=0.5, price=100.21167, market_id=MARKET)
    assert sent(amendment, tick_size=25)["amendments"][0]["price"] == "10021175"


def test_a_cancellation_without_order_is_for_the_whole_market() -> None:
    assert sent(sub.OrderCancellation(market_id=MARKET))["cancellations"] == [{"marketId": MARKET}]


def test_a_cancellation_of_one_order_names_it() -> None:
    cancellation = sub.OrderCancellation(market_id=MARKET, order_id=ORDER)
    assert sent(cancellation)["cancellations"] == [{"marketId": MARKET, "orderId": ORDER}]


def test_an_empty_batch_has_all_three_lists() -> None:
    assert sent() == {"submissions": [], "amendments": [], "cancellations": []}


def test_instructions_keep_their_order() -> None:
    submissions = sent(an_order(size=0.125), an_order(size=0.25), an_order(size=0.375))["submissions"]
    assert [submission["size"] for submission in submissions] == ["125", "250", "375"]


def test_a_record_of_the_page_is_sent_with_a_tick_of_one() -> None:
    assert sent(an_order(price=99.90126)) == sent(an_order(price=99.90126), tick_size=1)


def test_a_market_order_names_no_price() -> None:
    order = sub.OrderSubmission(
        market_id=MARKET, size=0.251, price=99.9, time_in_force="TIME_IN_FORCE_IOC", type="TYPE_MARKET", side="SIDE_BUY"
    )
    (content,) = sent(order)["submissions"]
    assert "price" not in content
    assert content["size"] == "251"
