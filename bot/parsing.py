"""Checked values for the parsers, one error type for all that can be wrong, and lists with a bad entry among good ones.

Not on the page, whose parsers accept `nan` as a price and stop at the first entry that they cannot read. Any thread.
"""

import functools
import json
import logging
import math
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from typing import Any, Optional, TypeVar

from bot.enums import enum_name
from bot.submission import convert_to_decimals
from bot.transport.error_text import truncate

logger = logging.getLogger(__name__)

Record = TypeVar("Record")
MAX_DIGITS = 400  # longer integers are not amounts, and take quadratic time to read
MAX_JSON_VALUES = 5_000_000  # roughly; they take some hundred bytes each
MAX_LIST_LENGTH = 100_000  # entries of a list in a frame; a real one has 50
MAX_DECIMAL_PLACES = 100  # no market has more, and 10 to the power of a large number would block the bot


class ParseError(ValueError):
    """A node that is not as the API specifies. The message has the parser, the problem, and the node, truncated."""


def raises_parse_error(parse: Callable[..., Record]) -> Callable[..., Record]:
    """Make ParseError the only error that a parser raises."""

    @functools.wraps(parse)
    def checked(node: dict[str, Any], *args: Any, **kwargs: Any) -> Record:
        try:
            return parse(node, *args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ParseError(f"{parse.__name__}: {problem} in {truncate(node)}") from error

    return checked


def load_json(text: str) -> Any:
    """Parse what a server sent, unless it would take gigabytes of memory.

    Raises:
        ValueError: not JSON, or too much of it. RecursionError: nested too deep.
    """
    if len(text) > MAX_JSON_VALUES and sum(map(text.count, ",:[{")) > MAX_JSON_VALUES:
        raise ValueError(f"more than {MAX_JSON_VALUES} values")
    return json.loads(text)


def parse_str(value: Any) -> str:
    """Return the value if it is a string. Raises ValueError otherwise, as all of these parsers do."""
    if not isinstance(value, str):
        raise ValueError(f"{truncate(value)} is not a string")
    return value


def parse_int(value: Any) -> int:
    """Return a padded integer, which the API sends as a string."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS:
            return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{truncate(value)} is not an integer")


def parse_decimal_places(value: Any) -> int:
    """Return a number of decimal places; below zero, sizes come in tens and hundreds."""
    places = parse_int(value)
    if abs(places) > MAX_DECIMAL_PLACES:
        raise ValueError(f"{truncate(value)} decimal places are too many")
    return places


def parse_decimal(value: Any) -> float:
    """Return a decimal number, which the API sends as a string."""
    number = float(Decimal(parse_str(value)))
    if not math.isfinite(number):
        raise ValueError(f"{truncate(value)} is not a number")
    return number


def parse_enum(kind: type[IntEnum], value: Any) -> str:
    """Return the enum's name; REST sends names, streams send numbers."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return enum_name(kind, value)
    raise ValueError(f"{truncate(value)} is not a value of {kind.__name__}")


def parse_amount(decimal_places: int, value: Any) -> float:
    """Return a padded integer in human units: "9990000" with 5 places is 99.9."""
    return convert_to_decimals(decimal_places, parse_int(value))


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a stream's message, which is either a page of the snapshot or updates."""
    body = message.get("snapshot", message.get("updates"))
    if not isinstance(body, dict):
        raise ParseError(f"neither a snapshot nor updates: {truncate(message)}")
    return body


def nodes_of(body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of nodes; streams leave out empty lists."""
    nodes = body.get(key, [])
    if not isinstance(nodes, list):
        raise ParseError(f"{key} is not a list: {truncate(body)}")
    if len(nodes) > MAX_LIST_LENGTH:  # each would cost time, while the main thread hears no signal
        raise ParseError(f"{key} has {len(nodes)} entries, which are too many")
    return nodes


def parse_list(parse: Callable[[dict[str, Any]], Record], nodes: list[dict[str, Any]]) -> tuple[list[Record], str]:
    """Parse each node. Return the records, and what is wrong with the nodes left out: empty if there are none."""
    records: list[Record] = []
    first_error: Optional[ParseError] = None
    for node in nodes:
        try:
            records.append(parse(node))
        except ParseError as error:
            first_error = first_error or error
        except (LookupError, TypeError) as error:  # not a dict, or without the id that its decimals depend on
            first_error = first_error or ParseError(f"{error!r} in {truncate(node)}")
    return records, "" if first_error is None else f"left out {len(nodes) - len(records)} of {len(nodes)}: {first_error}"


def parse_list_or_warn(parse: Callable[[dict[str, Any]], Record], nodes: list[dict[str, Any]]) -> list[Record]:
    """Parse each node; log what is wrong with those left out."""
    records, problem = parse_list(parse, nodes)
    if problem:
        logger.warning("%s", problem)
    return records
