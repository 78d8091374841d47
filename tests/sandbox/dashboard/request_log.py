"""The calls that data node and wallet have answered lately, for the page: a middleware in front of both notes them as they happen."""

import itertools
import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from tests.sandbox.server import MAX_BODY_SIZE

KEPT = 300  # calls
LONGEST = 240  # characters shown of an answer, or of a path
HIDDEN = "…"  # in place of a secret, and of what is cut off
LONG_ID = re.compile("(?<=[0-9a-fA-F]{6})[0-9a-fA-F]{58}")  # all but the six digits that tell ids apart well enough

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Call(NamedTuple):
    number: int  # counts up
    time: float  # seconds of the wall clock, when it was answered
    kind: str  # REST, stream, wallet, control
    address: str  # who asked
    party: str  # whom it is about, by name; "" for nobody in particular
    text: str  # what was asked, shortened
    status: int
    milliseconds: float
    answer: str  # of a call that failed, shortened


class Calls:
    """A bounded log. Secrets are cut out of whatever goes in: tokens do turn up in places where they do not belong."""

    def __init__(self, names: Mapping[str, str], secrets: list[str]) -> None:
        self.log: deque[Call] = deque(maxlen=KEPT)
        self._names = names  # of parties, by key
        self._secrets = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))
        self._numbers = itertools.count(1)

    @property
    def last(self) -> int:
        """The number of the newest call, 0 before any."""
        return self.log[-1].number if self.log else 0

    @web.middleware
    async def watch_node(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = _node_kind(request)
        if not kind:
            return await handler(request)
        party = next((name for key, name in self._names.items() if key in request.query_string), "")
        return await self._watch(kind, party, request, handler)

    @web.middleware
    async def watch_wallet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await self._watch("wallet", "", request, handler)

    async def _watch(self, kind: str, party: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = time.monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as refusal:  # aiohttp's own, such as 413: an answer like any other
            self._note(kind, party, request, refusal, begin, b"")
            raise
        if not isinstance(response, web.WebSocketResponse):  # those are streams, which are watched elsewhere
            sent = await request.read() if kind == "wallet" else b""  # the wallet has read it; this is what it read
            self._note(kind, party, request, response, begin, sent)
        return response

    def _note(self, kind: str, party: str, request: web.Request, response: web.StreamResponse, begin: float, sent: bytes) -> None:
        text = _path(request)
        if sent:
            text, party = self._wallet_call(sent, text)
        body = getattr(response, "body", None)
        words = _words(body) if response.status >= 400 and isinstance(body, bytes) else ""
        call = Call(
            number=next(self._numbers),
            time=time.time(),
            kind=kind,
            address=request.remote or "",
            party=party,
            text=self._clean(text),
            status=response.status,
            milliseconds=round((time.monotonic() - begin) * 1000, 1),
            answer=self._clean(words),
        )
        self.log.append(call)

    def _wallet_call(self, sent: bytes, path: str) -> tuple[str, str]:
        """Return what a wallet call asks for in few words, and the name of its party."""
        try:
            call = json.loads(sent)
            method, params = str(call["method"]).removeprefix("client."), call.get("params") or {}
            party = self._names.get(str(params.get("publicKey")), "")
            transaction = params.get("transaction") or {}
            return " ".join([method, *(_transaction(kind, terms) for kind, terms in transaction.items())]), party
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return f"{path} ({len(sent)} bytes)", ""

    def _clean(self, text: str) -> str:
        text = self._secrets.sub(HIDDEN, " ".join(text.split()))  # before it is cut, or half a secret would stay
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + HIDDEN


def _node_kind(request: web.Request) -> str:
    if request.path.startswith("/api/v2/stream/"):
        return "stream"
    if request.path.startswith("/api/v2"):
        return "REST"
    return "control" if request.path.startswith("/control/") else ""


def _path(request: web.Request) -> str:
    """Say what was asked: `GET orders?filter.liveOnly=true`, ids and keys shortened to what tells them apart."""
    query = "&".join(f"{name}={text}" for name, text in request.query.items() if name != "key")
    path = f"{request.path}?{query}" if query else request.path
    return f"{request.method} {LONG_ID.sub(HIDDEN, path.removeprefix('/api/v2/'))}"


def _transaction(kind: str, terms: Any) -> str:
    """Say what is in a transaction: `1 cancellation, 2 submissions`."""
    if not isinstance(terms, dict) or kind != "batchMarketInstructions":
        return str(kind)
    lists = [(len(some), str(what)) for what, some in terms.items() if isinstance(some, list) and some]
    return ", ".join(f"{count} {what.removesuffix('s') if count == 1 else what}" for count, what in lists)


def _words(body: bytes) -> str:
    """Return what helps in an answer that says no: the words of the API or of the wallet, or else the text as it is."""
    text = body[:MAX_BODY_SIZE].decode("utf-8", "replace")
    try:
        answer = json.loads(text)
        if isinstance(answer.get("error"), dict):
            return f"{answer['error']['message']}: {answer['error']['data']}"
        details = answer["details"] or [{}]
        words = [answer["message"], details[0].get("message", ""), details[0].get("inner", "")]
        return ": ".join(word for word in words if word)
    except (ValueError, LookupError, TypeError, AttributeError):
        return text
