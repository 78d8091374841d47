"""The latest REST and wallet requests, for the page. A middleware in front of data node and wallet records them."""

import itertools
import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from tests.sandbox.server import MAX_BODY_SIZE

MAX_ENTRIES = 300
MAX_TEXT_LENGTH = 240  # characters shown of a request or of an error message
ELLIPSIS = "…"  # replaces secrets and cut text
LONG_ID = re.compile("(?<=[0-9a-fA-F]{6})[0-9a-fA-F]{58}")  # everything after the first six digits of an id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LogEntry(NamedTuple):
    """One answered request."""

    number: int  # counts up from 1
    time: float  # seconds since 1970 on the wall clock, when it was answered
    kind: str  # REST, stream, wallet, control
    address: str  # of the client
    party: str  # name of the party in the request; "" where it names none
    text: str  # the request, shortened
    status: int  # of HTTP
    milliseconds: float  # until it was answered
    error: str  # error message of a failed request, shortened


class RequestLog:
    """A bounded log without secrets: every text is redacted, because tokens also turn up in paths and error messages.

    Args:
        names: name of each party by public key.
        secrets: tokens, codes and keys that must not be shown.
    """

    def __init__(self, names: Mapping[str, str], secrets: list[str]) -> None:
        self.entries: deque[LogEntry] = deque(maxlen=MAX_ENTRIES)
        self._names = names
        self._secrets = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))
        self._numbers = itertools.count(1)

    @property
    def last_number(self) -> int:
        """The number of the newest entry, 0 where there is none."""
        return self.entries[-1].number if self.entries else 0

    @web.middleware
    async def node_middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = _kind_of(request)
        if not kind:
            return await handler(request)
        party = next((name for key, name in self._names.items() if key in request.query_string), "")
        return await self._handle(kind, party, request, handler)

    @web.middleware
    async def wallet_middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await self._handle("wallet", "", request, handler)

    async def _handle(self, kind: str, party: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = time.monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as error:  # a response of aiohttp itself, such as 413
            self._add(kind, party, request, error, begin, b"")
            raise
        if not isinstance(response, web.WebSocketResponse):  # open streams belong to the stream monitor
            body = await request.read() if kind == "wallet" else b""  # the wallet has read it, so this is the cached body
            self._add(kind, party, request, response, begin, body)
        return response

    def _add(self, kind: str, party: str, request: web.Request, response: web.StreamResponse, begin: float, request_body: bytes) -> None:
        text = _describe(request)
        if request_body:
            text, party = self._describe_wallet_call(request_body, text)
        response_body = getattr(response, "body", None)
        error = _error_message(response_body) if response.status >= 400 and isinstance(response_body, bytes) else ""
        entry = LogEntry(
            number=next(self._numbers),
            time=time.time(),
            kind=kind,
            address=request.remote or "",
            party=party,
            text=self._redact(text),
            status=response.status,
            milliseconds=round((time.monotonic() - begin) * 1000, 1),
            error=self._redact(error),
        )
        self.entries.append(entry)

    def _describe_wallet_call(self, body: bytes, path: str) -> tuple[str, str]:
        """Return a short description of a wallet call, and the name of its party."""
        try:
            call = json.loads(body)
            method, params = str(call["method"]).removeprefix("client."), call.get("params") or {}
            party = self._names.get(str(params.get("publicKey")), "")
            transaction = params.get("transaction") or {}
            return " ".join([method, *(_describe_transaction(kind, terms) for kind, terms in transaction.items())]), party
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return f"{path} ({len(body)} bytes)", ""

    def _redact(self, text: str) -> str:
        text = self._secrets.sub(ELLIPSIS, " ".join(text.split()))  # before it is cut: half a secret would not be found
        return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + ELLIPSIS


def _kind_of(request: web.Request) -> str:
    """Return the kind of a request to the data node, "" for files of the page."""
    if request.path.startswith("/api/v2/stream/"):
        return "stream"
    if request.path.startswith("/api/v2"):
        return "REST"
    return "control" if request.path.startswith("/control/") else ""


def _describe(request: web.Request) -> str:
    """Return method, path and query, such as `GET orders?filter.liveOnly=true`, with shortened ids."""
    query = "&".join(f"{name}={text}" for name, text in request.query.items() if name != "key")
    path = f"{request.path}?{query}" if query else request.path
    return f"{request.method} {LONG_ID.sub(ELLIPSIS, path.removeprefix('/api/v2/'))}"


def _describe_transaction(kind: str, terms: Any) -> str:
    """Return the content of a transaction, such as `1 cancellation, 2 submissions`."""
    if not isinstance(terms, dict) or kind != "batchMarketInstructions":
        return str(kind)
    counts = [(len(items), str(plural)) for plural, items in terms.items() if isinstance(items, list) and items]
    return ", ".join(f"{count} {plural.removesuffix('s') if count == 1 else plural}" for count, plural in counts)


def _error_message(body: bytes) -> str:
    """Return the error message in a body of the API or of the wallet; other bodies are returned as text."""
    text = body[:MAX_BODY_SIZE].decode("utf-8", "replace")
    try:
        answer = json.loads(text)
        if isinstance(answer.get("error"), dict):
            return f"{answer['error']['message']}: {answer['error']['data']}"
        details = answer["details"] or [{}]
        messages = [answer["message"], details[0].get("message", ""), details[0].get("inner", "")]
        return ": ".join(message for message in messages if message)
    except (ValueError, LookupError, TypeError, AttributeError):
        return text
