"""Parts of REST responses and stream frames: errors in the API's format, filters, and pages."""

import base64
import binascii
import itertools
import json
import re
import string
from collections.abc import Callable, Iterable
from http.client import responses
from typing import Any, Optional

from aiohttp import web
from multidict import MultiDict, MultiMapping

from tests.sandbox.node.serializers import Node

Query = MultiMapping[str]

_CODES = {400: (3, "InvalidArgument error"), 404: (5, "NotFound error"), 500: (13, "Internal error")}
_ID = re.compile("[0-9a-fA-F]{64}")
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/=")
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 1000, 5000


class ApiError(Exception):
    """An error response of the API: the HTTP status, and the code, message and inner text of its `details` entry."""

    def __init__(self, status: int, detail_code: int, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self._detail = {"@type": "type.googleapis.com/vega.ErrorDetail", "code": detail_code, "message": message, "inner": inner}

    def rest(self) -> dict[str, Any]:
        code, message = _CODES[self.status]
        return {"code": code, "message": message, "details": [self._detail]}

    def stream(self) -> dict[str, Any]:
        """Return the same error for a stream, without empty fields."""
        code, message = _CODES[self.status]
        return {"error": {"code": code, "message": message, "details": [{k: v for k, v in self._detail.items() if v}]}}


def query_of(request: web.Request) -> Query:
    """Return a request's parameters. A node also accepts the protobuf names, such as `filter.party_ids` for `filter.partyIds`."""
    return MultiDict((re.sub("_([a-z])", lambda letter: letter[1].upper(), name), text) for name, text in request.query.items())


def is_id(text: str) -> bool:
    """Return whether a text has the format of a market id or a party's key."""
    return bool(_ID.fullmatch(text))


def check_ids(markets: Iterable[str], parties: Iterable[str]) -> None:
    """Raise ApiError for malformed ids. Like Vega, the message says "party" for markets too."""
    for kind, ids in (("market", markets), ("party", parties)):
        if not all(map(is_id, ids)):
            raise ApiError(400, 10000, "invalid party id", f"one or more {kind} id is invalid")


def page(rows: Iterable[tuple[int, Any]], node: Callable[[Any], Node], query: Query, newest_first: bool = False) -> dict[str, Any]:
    """Return one page of records, as selected by the query's `pagination.*`. Only the records of that page are read.

    Each row is a record with its place among all records of its kind. Records are only added at the end, so a place is a valid cursor.
    """
    first, after = _page_size(query), _place(query)
    left = rows if after is None else (row for row in rows if (row[0] < after if newest_first else row[0] > after))
    some = list(itertools.islice(left, first + 1))  # one more tells whether there is a next page
    edges = [{"node": node(record), "cursor": _cursor(place)} for place, record in some[:first]]
    page_info = {
        "hasNextPage": len(some) > first,
        "hasPreviousPage": after is not None,
        "startCursor": edges[0]["cursor"] if edges else "",
        "endCursor": edges[-1]["cursor"] if edges else "",
    }
    return {"edges": edges, "pageInfo": page_info}


def _page_size(query: Query) -> int:
    text = query.get("pagination.first", str(DEFAULT_PAGE_SIZE))
    if not text.isdecimal() or int(text) > MAX_PAGE_SIZE:
        raise _invalid_pagination(f"pagination limit must be in range 0-{MAX_PAGE_SIZE}")
    return int(text)


def _cursor(place: int) -> str:
    return base64.b64encode(json.dumps({"place": place}).encode()).decode()


def _place(query: Query) -> Optional[int]:
    cursor = query.get("pagination.after")
    if cursor is None:
        return None
    if not cursor:
        raise _invalid_pagination("failed to decode after cursor: cursor is empty")
    try:
        return int(json.loads(base64.b64decode(cursor, validate=True))["place"])
    except binascii.Error:
        # Go reports the first byte outside the alphabet, or the start of the last, incomplete group of four.
        byte = next((i for i, letter in enumerate(cursor) if letter not in _BASE64), len(cursor) // 4 * 4)
        reason = f"failed to decode cursor: illegal base64 data at input byte {byte}"
    except (ValueError, KeyError, TypeError):
        reason = "not a cursor of this node"
    raise _invalid_pagination(f"failed to decode after cursor: {reason}")


def _invalid_pagination(inner: str) -> ApiError:
    return ApiError(400, 10028, "invalid pagination", inner)


def error_without_details(status: int) -> dict[str, Any]:
    """Return the body of an error without details, such as one injected by a control."""
    return {"code": {429: 8, 503: 14}.get(status, 13), "message": responses.get(status, "Error"), "details": []}


def not_found() -> dict[str, Any]:
    """Return the body for an unknown path."""
    return {"code": 5, "message": "Not Found", "details": []}


def compact(value: Any) -> str:
    """Return JSON as a Vega node writes it: without spaces."""
    return json.dumps(value, separators=(",", ":"))
