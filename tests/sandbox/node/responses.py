"""Parts of REST responses and stream frames: errors in the API's format, parameters and filters."""

import json
import re
from collections.abc import Iterable
from http.client import responses
from typing import Any, Optional

from aiohttp import web
from multidict import MultiDict, MultiMapping

Query = MultiMapping[str]

_CODES = {400: (3, "InvalidArgument error"), 404: (5, "NotFound error"), 500: (13, "Internal error")}
_ID = re.compile("[0-9a-fA-F]{64}")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class ApiError(Exception):
    """An error response of the API: the HTTP status, and the code, message and inner text of its `details` entry."""

    def __init__(self, status: int, detail_code: int, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status, self.inner = status, inner
        self._detail = {"@type": "type.googleapis.com/vega.ErrorDetail", "code": detail_code, "message": message, "inner": inner}

    def rest(self) -> dict[str, Any]:
        code, message = _CODES[self.status]
        return {"code": code, "message": message, "details": [self._detail]}

    def stream(self) -> dict[str, Any]:
        """Return the same error for a stream, without empty fields."""
        code, message = _CODES[self.status]
        return {"error": {"code": code, "message": message, "details": [{k: v for k, v in self._detail.items() if v}]}}


class ParameterError(Exception):
    """A query parameter that the gateway in front of the node cannot parse (`populateField` of grpc-gateway v2.9)."""

    def __init__(self, name: str, reason: str) -> None:
        field = re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name.rpartition(".")[2])
        super().__init__(f'parsing field "{field}": {reason}')

    def rest(self) -> dict[str, Any]:
        return {"code": 3, "message": str(self), "details": []}


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


def int32_parameter(query: Query, name: str) -> Optional[int]:
    """Return a whole number of the query, None if it is missing. Raises ParameterError."""
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ParameterError(name, f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(text) > len(str(2**31)) + 1 or not -(2**31) <= int(text) < 2**31:
        raise ParameterError(name, f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def uint64_parameter(query: Query, name: str) -> int:
    """Return a whole number of the query that is not negative, 0 if it is missing. Raises ParameterError."""
    text = query.get(name, "0")
    if not re.fullmatch("[0-9]+", text):
        raise ParameterError(name, f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if len(text) > len(str(2**64)) or int(text) >= 2**64:
        raise ParameterError(name, f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def bool_parameter(query: Query, name: str) -> bool:
    """Return a truth value of the query, False if it is missing. Raises ParameterError."""
    text = query.get(name, "false")
    if text not in _BOOLEANS:
        raise ParameterError(name, f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _BOOLEANS[text]


def error_without_details(status: int) -> dict[str, Any]:
    """Return the body of an error without details, such as one injected by a control."""
    return {"code": {429: 8, 503: 14}.get(status, 13), "message": responses.get(status, "Error"), "details": []}


def not_found() -> dict[str, Any]:
    """Return the body for an unknown path."""
    return {"code": 5, "message": "Not Found", "details": []}


def compact(value: Any) -> str:
    """Return JSON as a Vega node writes it: without spaces."""
    return json.dumps(value, separators=(",", ":"))
