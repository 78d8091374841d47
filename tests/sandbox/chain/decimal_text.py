"""Decimal numbers as Go's shopspring library prints them: exact, without trailing zeros."""

from fractions import Fraction


def decimal_text(number: Fraction) -> str:
    """Return a number whose decimals end, such as `52531420845347.675`."""
    decimals = 0
    while (number * 10**decimals).denominator != 1:
        decimals += 1
    digits = str(abs((number * 10**decimals).numerator)).rjust(decimals + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else sign + digits
