"""REST's pages: `pagination.first`, `.after`, `.last` and `.before`, as `CursorPaginationFromProto` and `PageEntities` of
datanode/entities read them.
"""

import base64
import binascii
import collections
import itertools
import json
import string
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Optional

from tests.sandbox.node.responses import ApiError, Query, compact, int32_parameter
from tests.sandbox.node.serializers import Node

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 1000, 5000
CHUNK_SIZE = 100  # records; they take about two milliseconds
BEFORE_ALL = -1  # place of the cursor `{}`, whose fields are all zero: before every record
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/=")
Row = tuple[int, Any]  # place among all records of its kind, and the record


class Pagination(NamedTuple):
    """Which page a query asks for."""

    size: int
    cursor: Optional[int]  # place of the last record before the page; of the first record after it where `backward`
    backward: bool


class Edges:
    """The records of a page, which are formatted when they are written."""

    def __init__(self, rows: list[Row], node: Callable[[Any], Node]) -> None:
        self._rows, self._node = rows, node

    def chunks(self) -> Iterator[list[dict[str, Any]]]:
        """Return the formatted edges, CHUNK_SIZE at a time."""
        for start in range(0, len(self._rows), CHUNK_SIZE):
            rows = self._rows[start : start + CHUNK_SIZE]
            yield [{"node": self._node(record), "cursor": _cursor(place)} for place, record in rows]


def page(rows: Iterable[Row], node: Callable[[Any], Node], query: Query, newest_first: bool = False) -> dict[str, Any]:
    """Return one page of records, as selected by the query's `pagination.*`. Forward, only the records of that page are read.

    `encoded` writes it. Records are only added at the end, so a place is a valid cursor.
    """
    asked = read_pagination(query)
    behind_cursor = asked.backward != newest_first  # whether the page has the places below the cursor
    left = rows if asked.cursor is None else _beyond(rows, asked.cursor, below=behind_cursor)
    # One record more than the page tells whether there is another page.
    some = list(collections.deque(left, asked.size + 1)) if asked.backward else list(itertools.islice(left, asked.size + 1))
    has_more = len(some) > asked.size
    shown = some[-asked.size :] if asked.backward else some[: asked.size]
    has_cursor = asked.cursor not in (None, BEFORE_ALL)
    page_info = {
        "hasNextPage": has_cursor if asked.backward else has_more,
        "hasPreviousPage": has_more if asked.backward else has_cursor,
        "startCursor": _cursor(shown[0][0]) if shown else "",
        "endCursor": _cursor(shown[-1][0]) if shown else "",
    }
    return {"edges": Edges(shown, node), "pageInfo": page_info}


def encoded(body: dict[str, Any]) -> Iterator[bytes]:
    """Return a response's body as JSON; one that is a page comes in several parts."""
    for key, value in body.items():
        if isinstance(value, dict) and isinstance(value.get("edges"), Edges):
            beginning = f'{{"{key}":{{"edges":['
            for chunk in value["edges"].chunks():
                yield f"{beginning}{compact(chunk)[1:-1]}".encode()
                beginning = ","
            end = f'],"pageInfo":{compact(value["pageInfo"])}}}}}'
            yield (end if beginning == "," else beginning + end).encode()
            return
    yield compact(body).encode()


def read_pagination(query: Query) -> Pagination:
    """Return what the query's `pagination.*` selects.

    Raises:
        ApiError: a number or a cursor is invalid.
    """
    first, last = (int32_parameter(query, f"pagination.{name}") for name in ("first", "last"))
    after, before = query.get("pagination.after"), query.get("pagination.before")
    if after is not None and before is not None:
        raise invalid_pagination("cannot set both a before and after cursor")
    backward = first is None and (last is not None or (after is None and before is not None))
    size = last if backward else first
    if size is not None and not 0 < size <= MAX_PAGE_SIZE:
        raise invalid_pagination(f"pagination limit must be in range 0-{MAX_PAGE_SIZE}")
    name, cursor = ("before", before) if backward else ("after", after)
    return Pagination(size or DEFAULT_PAGE_SIZE, None if cursor is None else _place(name, cursor), backward)


def invalid_pagination(inner: str) -> ApiError:
    return ApiError(400, 10028, "invalid pagination", inner)


def _beyond(rows: Iterable[Row], cursor: int, below: bool) -> Iterable[Row]:
    return (row for row in rows if (row[0] < cursor if below else row[0] > cursor))


def _cursor(place: int) -> str:
    return base64.b64encode(json.dumps({"place": place}).encode()).decode()


def _place(name: str, cursor: str) -> int:
    if not cursor:
        raise invalid_pagination(f"failed to decode {name} cursor: cursor is empty")
    try:
        fields = json.loads(base64.b64decode(cursor, validate=True))
        return int(fields["place"]) if fields else BEFORE_ALL
    except binascii.Error:
        # Go reports the first byte outside the alphabet, or the start of the last, incomplete group of four.
        byte = next((i for i, letter in enumerate(cursor) if letter not in _BASE64), len(cursor) // 4 * 4)
        reason = f"failed to decode cursor: illegal base64 data at input byte {byte}"
    except (ValueError, KeyError, TypeError):
        reason = "not a cursor of this node"
    raise invalid_pagination(f"failed to decode {name} cursor: {reason}")
