"""A wallet that fails in the way that a test has set, in front of the sandbox's wallet, which executes what gets through.

with FaultyWallet(sandbox.wallet_url) as wallet, BotProcess(sandbox, market_id, WALLET_URL=wallet.url) as bot:
    wallet.fault = "hangs"
"""

import asyncio
import json
from typing import Any, Optional

import aiohttp
from aiohttp import web

from tests.support.app_thread import HOST, AppThread

HTML = "<!doctype html><html><head><title>It works!</title></head><body>\n<h1>nginx</h1></body></html>"
FAULTS = (
    "refused",
    "hangs",
    "401",
    "400",
    "500",
    "HTML",
    "late",
    "trickles",
    "cut",
    "disconnects",
    "echoes",
    "echoes a part",
    "held",
    "executed, HTML",
)
LATE_DELAY = 10.0  # s until a late response


def leaked_parts(token: str, output: str) -> list[str]:
    """Return the parts of a token, eight characters each, that are in an output."""
    return [part for part in (token[start : start + 8] for start in range(len(token) - 7)) if part in output]


class FaultyWallet(AppThread):
    """A wallet on the loopback, in a thread of its own.

    Args:
        upstream: the address of a wallet that executes what gets through; without one, transactions are accepted and dropped.
    """

    def __init__(self, upstream: str = "") -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []  # the transactions that were sent, oldest first
        self.max_concurrent = 0  # requests in flight whose sender had not disconnected
        self._upstream = upstream
        self._fault = ""
        self._in_flight = 0
        self._release = asyncio.Event()
        self._held: list[asyncio.Task[web.Response]] = []

    @property
    def fault(self) -> str:
        """One of FAULTS, or nothing for a healthy wallet."""
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        assert fault in ("", *FAULTS)
        self._call(self._change(fault))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def quotes(self) -> list[dict[str, Any]]:
        """The batches that had orders in them."""
        return [batch for batch in self._batches if batch["submissions"]]

    @property
    def cancels(self) -> list[dict[str, Any]]:
        """The batches that only cancelled."""
        return [batch for batch in self._batches if not batch["submissions"]]

    @property
    def _batches(self) -> list[dict[str, Any]]:
        return [transaction["batchMarketInstructions"] for transaction in list(self.calls)]

    def release(self) -> None:
        """Execute what was sent while the fault was "held", although nobody waits for a response any more."""
        self._loop.call_soon_threadsafe(self._release.set)

    async def _change(self, fault: str) -> None:
        if fault == "refused":
            await self._stop_listening()
            assert self._runner.server is not None
            await self._runner.server.shutdown(0)
        elif self._fault == "refused":
            await self._listen()
        self._fault = fault

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(json.loads(body)["params"]["transaction"])
        self._in_flight += 1
        try:
            await asyncio.sleep(0.005)  # the loop first learns who has disconnected
            self.max_concurrent = max(self.max_concurrent, self._in_flight)
            return await self._respond(request, body)
        finally:  # also when the sender disconnects, which cancels this
            self._in_flight -= 1

    async def _respond(self, request: web.Request, body: bytes) -> web.StreamResponse:
        fault = self._fault
        if fault == "hangs":
            await asyncio.Event().wait()
        elif fault == "late":
            await asyncio.sleep(LATE_DELAY)
        elif fault == "held":
            self._held.append(asyncio.create_task(self._forward_later(request, body)))
            return await asyncio.shield(self._held[-1])
        elif fault in ("HTML", "executed, HTML"):
            if fault != "HTML":
                await self._forward(request, body)
            return web.Response(text=HTML, content_type="text/html")
        elif fault == "echoes":
            sent = str(dict(request.headers))
            return web.Response(status=401, text=f"not for you: {sent}", headers={"X-You-Sent": sent})
        elif fault == "echoes a part":
            return web.Response(status=401, text=f"{request.headers['Authorization'][:24]}… has expired")
        elif fault == "disconnects":
            assert request.transport is not None
            request.transport.abort()
        elif fault in ("trickles", "cut"):
            return await self._send_slowly(request, pause=1.0 if fault == "trickles" else None)
        elif fault:
            error = {"code": -32603, "message": "Internal error", "data": f"this wallet answers {fault}"}
            return web.json_response({"jsonrpc": "2.0", "id": "request", "error": error}, status=int(fault))
        return await self._forward(request, body)

    async def _forward_later(self, request: web.Request, body: bytes) -> web.Response:
        await self._release.wait()
        return await self._forward(request, body)

    async def _send_slowly(self, request: web.Request, pause: Optional[float]) -> web.StreamResponse:
        """Send a good response one byte at a time; without a pause, send half of it and then close the connection."""
        content = json.dumps({"jsonrpc": "2.0", "id": "request", "result": {"transactionHash": "AB" * 32}}).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(content))})
        await response.prepare(request)
        for place in range(len(content) if pause else len(content) // 2):
            await response.write(content[place : place + 1])
            await asyncio.sleep(pause or 0)
        if pause is None and request.transport is not None:
            request.transport.close()
        return response

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        if not self._upstream:
            return web.json_response({"jsonrpc": "2.0", "id": "request", "result": {"transactionHash": "CD" * 32}})
        headers = {name: request.headers[name] for name in ("Authorization", "Origin", "Content-Type")}
        async with self._session.post(f"{self._upstream}{request.path}", data=body, headers=headers) as response:
            return web.Response(status=response.status, body=await response.read(), content_type=response.content_type)

    def _routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v2/requests", self._handle)]

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession()
        await super()._start()

    async def _stop(self) -> None:
        self._release.set()
        await asyncio.gather(*self._held)
        await super()._stop()
        await self._session.close()
        await asyncio.sleep(0)  # its transports close one iteration of the loop later
