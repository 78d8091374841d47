"""What parsers are made of: single values, one error for all that can be wrong, and lists with a bad entry among good ones.

Not on the page, whose parsers let a float through as a price and stop at the first entry they cannot read. Any thread.
"""

import functools
import logging
import math
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, Optional, TypeVar

from bot.enums import enum_name
from bot.submission import convert_to_decimals
from bot.transport.error_text import shortened

logger = logging.getLogger(__name__)

Record = TypeVar("Record")
MOST_DIGITS = 400  # longer integers are no amounts, and take quadratic time to read


class ParseError(ValueError):
    """A node that is not what the API promises: says which kind, what is wrong, and shows the node, shortened."""


def raises_parse_error(parse: Callable[..., Record]) -> Callable[..., Record]:
    """Make ParseError the only error of a parser, whatever the node holds."""

    @functools.wraps(parse)
    def checked(node: dict[str, Any], *args: Any, **kwargs: Any) -> Record:
        try:
            return parse(node, *args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            problem = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ParseError(f"{parse.__name__}: {problem} in {shortened(node)}") from error

    return checked


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shortened(value)} is no text")
    return value


def integer(value: Any) -> int:
    """Return a padded integer; the API sends them as text."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS:
            return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{shortened(value)} is no integer")


def decimals(value: Any) -> int:
    """Return a number of decimal places; below zero are sizes in tens and hundreds."""
    places = integer(value)
    if abs(places) > 100:  # no market has these, and 10 to a large one would keep the bot busy for ever
        raise ValueError(f"{shortened(value)} decimal places")
    return places


def name(kind: type[IntEnum], value: Any) -> str:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return enum_name(kind, value)
    raise ValueError(f"{shortened(value)} is no {kind.__name__}")


def amount(decimal_places: int, value: Any) -> float:
    return convert_to_decimals(decimal_places, integer(value))


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return what a stream's message holds, be it a page of the snapshot or updates."""
    body = message.get("snapshot", message.get("updates"))
    if not isinstance(body, dict):
        raise ParseError(f"neither a snapshot nor updates: {shortened(message)}")
    return body


def nodes_of(body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of nodes; streams leave empty ones out."""
    nodes = body.get(key, [])
    if not isinstance(nodes, list):
        raise ParseError(f"{key} is no list: {shortened(body)}")
    return nodes


def parse_all(parse: Callable[[dict[str, Any]], Record], nodes: list[dict[str, Any]]) -> tuple[list[Record], str]:
    """Parse each node; return the records, and in words what was wrong with the others, empty if nothing was."""
    records: list[Record] = []
    problem: Optional[Exception] = None
    for node in nodes:
        try:
            records.append(parse(node))
        except (ParseError, LookupError, TypeError) as error:  # the latter: no dict, or one without the id its decimals hang on
            if problem is None:
                problem = error if isinstance(error, ParseError) else ParseError(f"{error!r} in {shortened(node)}")
    return records, "" if problem is None else f"left out {len(nodes) - len(records)} of {len(nodes)}: {problem}"


def parse_or_warn(parse: Callable[[dict[str, Any]], Record], nodes: list[dict[str, Any]]) -> list[Record]:
    """Parse each node; log what was wrong with the others."""
    records, problem = parse_all(parse, nodes)
    if problem:
        logger.warning("%s", problem)
    return records


class Snapshot(Generic[Record]):
    """The pages of one stream's snapshot, kept apart from the store until the last one is in.

    It also knows for how long what the store holds of that stream has not been kept by it. Main thread, `age` any.
    """

    def __init__(self) -> None:
        self._pages: Optional[dict[str, Record]] = None  # None while no snapshot is coming in
        self._newer: set[str] = set()  # ids of which an update came between the pages
        self._kept_until: Optional[float] = -math.inf  # time.monotonic(); None while the stream keeps it

    def age(self) -> float:
        """Return how old what the store holds may be, in seconds: 0 while the stream keeps it, infinite before any."""
        kept_until = self._kept_until  # read once: the main thread sets it meanwhile
        return 0.0 if kept_until is None else time.monotonic() - kept_until

    def hooks(self) -> dict[str, Callable[..., None]]:
        """Return what a stream calls when its connection opens, and when it is lost."""
        return {"on_open": self.expect, "on_lost": self.lose}

    def seed(self) -> None:
        """Note that the store has just been told over REST."""
        self._kept_until = time.monotonic()

    def lose(self, lag: float) -> None:
        """Note that the stream was lost, and had not kept up for so many seconds before."""
        if self._kept_until is None:
            self._kept_until = time.monotonic() - lag

    def expect(self) -> None:
        """Forget the pages of a connection that was lost before its last one: a new one begins with a new snapshot."""
        self._pages, self._newer = {}, set()

    def add(self, message: dict[str, Any], records: dict[str, Record]) -> Optional[dict[str, Record]]:
        """Add what a message brought; return the whole snapshot once its last page is in, until then None."""
        is_page = "snapshot" in message
        if self._pages is None:
            if not is_page:
                return None
            self.expect()
        pages = self._pages = self._pages or {}
        if is_page:
            pages.update({key: record for key, record in records.items() if key not in self._newer})
        else:
            pages.update(records)
            self._newer.update(records)
        if not (is_page and message["snapshot"].get("lastPage")):
            return None
        self._pages = self._kept_until = None
        return pages
