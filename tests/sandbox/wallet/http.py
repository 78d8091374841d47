"""The wallet's HTTP layer: its plain-text errors, OPTIONS and CORS, and the checks against foreign web pages.

Errors and OPTIONS are those of httprouter v1.3, CORS is that of rs/cors v1.8, as `NewService` in wallet/service/service.go sets them up.
"""

import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from tests.sandbox.limited_log import LimitedLog
from tests.sandbox.room.room import is_loopback

CORS_METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE")
PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = LimitedLog(__name__)


@web.middleware
async def answer_like_go(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer OPTIONS, unknown paths and wrong methods like the wallet's router, and add the CORS headers."""
    if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        return _preflight(request)
    try:
        response = await handler(request)
    except web.HTTPMethodNotAllowed as error:
        response = _not_allowed(request, error)
    except web.HTTPNotFound:
        response = _text(404, "404 page not found\n")
    response.headers.add(hdrs.VARY, "Origin")
    if request.headers.get(hdrs.ORIGIN):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    return response


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reject requests from this machine to a foreign host name.

    A web page can make its own host name resolve to 127.0.0.1. Its requests then come from this machine's browser, and its scripts may
    read the responses. Only the Host header shows it.
    """
    if is_loopback(request.remote) and not _is_own_host(request.host):
        log.warning("foreign host", request.remote or "", f"the wallet rejected a request for the host {request.host!r}")
        return _text(403, "the wallet answers for this machine's names only: use 127.0.0.1 or localhost\n")
    return await handler(request)


def is_foreign_page(request: web.Request) -> bool:
    """Return whether a request comes from a web page of another machine. Programs send any name as their Origin; pages send a URL."""
    origin = request.headers.get(hdrs.ORIGIN, "").strip() or request.headers.get(hdrs.REFERER, "")
    if origin == "null":  # a page without an origin of its own, such as one in a sandboxed frame
        return True
    return origin.startswith(("http://", "https://")) and not _is_own_host(urlsplit_host(origin))


def urlsplit_host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # brackets without an address
        return ""


def _is_own_host(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets without an address
        return False
    own = socket.gethostname().lower()
    return is_loopback(name) or name in (own, f"{own}.local")


def _preflight(request: web.Request) -> web.Response:
    response = web.Response(status=204)
    for header in PREFLIGHT_VARY:
        response.headers.add(hdrs.VARY, header)
    method = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD].upper()
    if request.headers.get(hdrs.ORIGIN) and method in (*CORS_METHODS, "OPTIONS"):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = method
        names = [name.strip().title() for name in request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").split(",")]
        if any(names):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join(filter(None, names))
    return response


def _not_allowed(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
    response = web.Response() if request.method == hdrs.METH_OPTIONS else _text(405, "Method Not Allowed\n")
    response.headers[hdrs.ALLOW] = allowed
    return response


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, charset="utf-8", headers={"X-Content-Type-Options": "nosniff"})
