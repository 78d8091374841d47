"""The wallet: JSON-RPC 2.0 over HTTP, as `vega wallet service run` speaks it, in front of the sandbox's chain.

It has the keys of four parties and one API token for all of them. In a room, each participant has their own key and token besides.
Signatures and proofs of work have the right format but are not valid.
"""

import asyncio
import base64
import hashlib
import json
import string
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional

from aiohttp import web

from tests.sandbox.chain import command_validation, commands
from tests.sandbox.chain.chain import Chain
from tests.sandbox.faults import Faults
from tests.sandbox.room.room import is_loopback, secrets_equal
from tests.sandbox.server import MAX_BODY_SIZE
from tests.sandbox.wallet.http import answer_like_go, check_host, is_foreign_page

SENDING_MODES = ("TYPE_ASYNC", "TYPE_SYNC", "TYPE_COMMIT")
MESSAGES = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32603: "Internal error",
    -32003: "Server error",  # authentication
    -32002: "Server error",  # origin
    1000: "Network error",
    1070: "Network error",
    2000: "Application error",
    3001: "User error",
}
# Of one participant, so that a bot without a delay in its loop does not slow the others, and blocks stay on time.
MAX_TRANSACTIONS_PER_BLOCK = 50
MAX_INSTRUCTIONS_PER_BLOCK = 200


@dataclass(frozen=True)
class Keyring:
    """A token and the keys that it can sign for."""

    token: str
    keys: Mapping[str, str]  # by name
    loopback_only: bool = False  # whether it works from this machine only
    rate_limited: bool = False  # to MAX_TRANSACTIONS_PER_BLOCK and MAX_INSTRUCTIONS_PER_BLOCK


class RpcError(Exception):
    """A JSON-RPC error; `data` is the specific error message."""

    def __init__(self, code: int, data: str) -> None:
        super().__init__(data)
        self.code = code
        self.data = data

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": MESSAGES[self.code], "data": self.data}


def make_token(seed: int) -> str:
    """Return the API token of a seed: 64 letters and digits, like those of `api-token generate`."""
    alphabet = string.ascii_letters + string.digits
    return "".join(alphabet[byte % len(alphabet)] for byte in hashlib.sha512(f"token {seed}".encode()).digest())


class Wallet:
    """The first keyring belongs to the wallet's owner, the others to the participants."""

    def __init__(self, chain: Chain, faults: Faults, keyrings: list[Keyring], null_chain: bool = False) -> None:
        self._chain = chain
        self._null_chain = null_chain
        self._faults = faults
        self._keyrings = keyrings
        self._sent: Counter[tuple[str, str]] = Counter()  # (token, what) -> number since the block of height …
        self._sent_since = 0  # … `_sent_since`
        self._methods: dict[str, Callable[[web.Request, Any], Any]] = {
            "client.check_transaction": self._check_transaction,
            "client.connect_wallet": self._connect_wallet,
            "client.disconnect_wallet": self._disconnect_wallet,
            "client.get_chain_id": self._get_chain_id,
            "client.list_keys": self._list_keys,
            "client.send_transaction": self._send_transaction,
            "client.sign_transaction": self._sign_transaction,
        }
        self.app = web.Application(middlewares=[answer_like_go, check_host, self._apply_faults], client_max_size=MAX_BODY_SIZE)
        self.app.router.add_post("/api/v2/requests", self._handle_request)
        self.app.router.add_get("/api/v2/methods", self._handle_methods, allow_head=False)
        self.app.router.add_get("/api/v2/health", self._handle_health, allow_head=False)

    @web.middleware
    async def _apply_faults(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # Read before the delay: as on a slow real wallet, a transaction is executed even if its sender has disconnected.
        await request.read()
        await asyncio.sleep(self._faults.wallet_delay)
        status = self._faults.wallet_status
        if status is None:
            return await handler(request)
        return _rpc_response(status, error=RpcError(-32603, f"the control fail_wallet is set to {status}"))

    async def _handle_health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _handle_methods(self, _request: web.Request) -> web.Response:
        text = json.dumps({"result": {"registeredMethods": sorted(self._methods)}})
        return web.Response(text=text, content_type="text/plain", charset="utf-8")

    async def _handle_request(self, request: web.Request) -> web.Response:
        try:
            call = _parse(await request.read())
        except RpcError as error:
            return _rpc_response(400, error=error)  # without an id, because the request could not be parsed
        status, result, failure = 200, None, None
        try:
            result = self._method(call)(request, call.get("params"))
        except RpcError as error:
            status, failure = 401 if error.code == -32003 else 400, error
        if not call.get("id"):
            return web.Response(status=204)  # a notification: executed, but not answered
        response = _rpc_response(status, call["id"], result, failure)
        if call.get("method") == "client.connect_wallet" and failure is None:
            response.headers["Authorization"] = f"VWT {self._keyrings[0].token}"
        return response

    def _method(self, call: dict[str, Any]) -> Callable[[web.Request, Any], Any]:
        name = call.get("method", "")
        if call.get("jsonrpc") != "2.0":
            raise RpcError(-32600, "the API only supports JSON-RPC 2.0")
        if not name:
            raise RpcError(-32600, "the method is required")
        if name not in self._methods:
            raise RpcError(-32601, f'method "{name}" is not supported')
        return self._methods[name]

    def _connect_wallet(self, request: web.Request, _params: Any) -> None:
        _require_origin(request)
        # A real wallet asks its owner. The sandbox gives its token to programs of this machine only, and not to web pages from elsewhere.
        if not is_loopback(request.remote) or is_foreign_page(request):
            raise RpcError(3001, "the user rejected the wallet connection")

    def _disconnect_wallet(self, request: web.Request, _params: Any) -> None:
        self._authorise(request)

    def _get_chain_id(self, _request: web.Request, _params: Any) -> dict[str, str]:
        return {"chainID": "sandbox"}

    def _list_keys(self, request: web.Request, _params: Any) -> dict[str, Any]:
        keys = self._authorise(request).keys
        return {"keys": [{"name": name, "publicKey": key} for name, key in keys.items()]}

    def _send_transaction(self, request: web.Request, params: Any) -> dict[str, Any]:
        received_at = _now()
        keyring = self._authorise(request)
        self._count(keyring, "transactions", 1, MAX_TRANSACTIONS_PER_BLOCK)  # first: it costs less than reading the transaction
        party_id, transaction = self._read_transaction(params, keyring, sending=True)
        self._count(keyring, "instructions", _instructions(transaction), MAX_INSTRUCTIONS_PER_BLOCK)
        if not self._null_chain:
            self._check_with_network(party_id, transaction)
        transaction_hash = self._chain.submit(party_id, transaction, self._deliver)
        return {
            "receivedAt": received_at,
            "sentAt": _now(),
            "transactionHash": transaction_hash,
            "transaction": _signed(party_id, transaction),
        }

    def _check_with_network(self, party_id: str, transaction: dict[str, Any]) -> None:
        error = self._chain.rejection(party_id, transaction)
        if error:
            raise RpcError(1070, f"the network could not process the transaction: {error} (ABCI code 70)")

    def _deliver(self, enqueue: Callable[[], None]) -> None:
        self._faults.deliver(enqueue, asyncio.get_running_loop().call_later)

    def _sign_transaction(self, request: web.Request, params: Any) -> dict[str, Any]:
        keyring = self._authorise(request)
        return {"transaction": _signed(*self._read_transaction(params, keyring))}

    def _check_transaction(self, request: web.Request, params: Any) -> dict[str, Any]:
        self._read_transaction(params, self._authorise(request))
        # As recorded: a null chain cannot check transactions.
        raise RpcError(1000, "the transaction failed: Internal: not implemented for nullblockchain")

    def _authorise(self, request: web.Request) -> Keyring:
        _require_origin(request)
        header = request.headers.get("Authorization", "")
        if not header:
            raise RpcError(-32003, "the Authorization header is required")
        if not header.startswith("VWT "):
            raise RpcError(-32003, "the Authorization header only support the VWT scheme")
        token = header[4:].strip()
        if len(token) != len(self._keyrings[0].token):
            raise RpcError(-32003, "the token has not a valid format")
        found = [keyring for keyring in self._keyrings if secrets_equal(token, keyring.token)]
        is_here = is_loopback(request.remote) and not is_foreign_page(request)
        if not found or (found[0].loopback_only and not is_here):
            raise RpcError(-32003, "there is no connection associated to this authentication token")
        return found[0]

    def _count(self, keyring: Keyring, what: str, number: int, limit: int) -> None:
        if self._sent_since != self._chain.height:
            self._sent_since = self._chain.height
            self._sent.clear()
        key = (keyring.token, what)
        if keyring.rate_limited and self._sent[key] + number > limit:
            raise RpcError(1000, f"the transaction failed: more than {limit} {what} since the last block")
        self._sent[key] += number

    def _read_transaction(self, params: Any, keyring: Keyring, sending: bool = False) -> tuple[str, dict[str, Any]]:
        """Return the party and its transaction. The order of the checks is that of the real wallet."""
        _check_params(params, sending)
        try:
            decoded = commands.decode(params["transaction"])
        except commands.InvalidCommandError as error:
            raise RpcError(-32602, f"the transaction does not use a valid Vega command: {error}") from error
        party_id = params["publicKey"]
        if party_id not in keyring.keys.values():
            raise RpcError(2000, "this public key is not allowed to be used")
        if not decoded:
            raise RpcError(-32602, "submit_transaction_request.command (is required)")
        kind, command = list(decoded.items())[-1]  # of several commands, the real wallet also takes the last in its table
        problems = command_validation.problems(kind, command)
        if problems:
            raise RpcError(-32602, problems)
        return party_id, {kind: command}


def _instructions(transaction: dict[str, Any]) -> int:
    """Return the number of instructions in a transaction; 1 for anything but a batch."""
    batch = transaction.get("batchMarketInstructions", {})
    return max(1, sum(len(instructions) for instructions in batch.values() if isinstance(instructions, list)))


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise RpcError(-32700, "the request can't be blank")
    try:
        call = json.loads(body)
    except json.JSONDecodeError as error:
        raise RpcError(-32700, _go_syntax_error(error)) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or nested too deeply
        raise RpcError(-32700, "invalid JSON") from error
    if not isinstance(call, dict):
        raise RpcError(-32700, "json: cannot unmarshal into Go value of type jsonrpc.Request")
    for field in ("jsonrpc", "method", "id"):
        if not isinstance(call.get(field, ""), str):
            raise RpcError(-32700, f"json: cannot unmarshal into Go struct field Request.{field} of type string")
    return call


def _go_syntax_error(error: json.JSONDecodeError) -> str:
    """Translate an error of Python's JSON parser to the message of Go's."""
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    places = {
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after object key:value pair",
        "Extra data": "after top-level value",
    }
    return f"invalid character '{error.doc[error.pos]}' {places.get(error.msg, 'looking for beginning of value')}"


def _check_params(params: Any, sending: bool) -> None:
    if params is None:
        raise RpcError(-32602, "the params are required")
    texts = ("publicKey", "sendingMode") if sending else ("publicKey",)
    if not isinstance(params, dict) or not all(isinstance(params.get(key, ""), str) for key in texts):
        raise RpcError(-32602, "the params do not match expected ones")
    if not params.get("publicKey"):
        raise RpcError(-32602, "the public key is required")
    mode = params.get("sendingMode")
    if sending and not mode:
        raise RpcError(-32602, "the sending mode is required")
    if sending and mode == "TYPE_UNSPECIFIED":
        raise RpcError(-32602, 'the sending mode can\'t be "TYPE_UNSPECIFIED"')
    if sending and mode not in SENDING_MODES:
        raise RpcError(-32602, f'the sending mode "{mode}" is not a valid one')
    if params.get("transaction") is None:
        raise RpcError(-32602, "the transaction is required")


def _require_origin(request: web.Request) -> None:
    if not (request.headers.get("Origin", "").strip() or request.headers.get("Referer", "").strip()):
        raise RpcError(-32002, "the Origin header is required")


def _rpc_response(status: int, request_id: str = "", result: Any = None, error: Optional[RpcError] = None) -> web.Response:
    body = {"jsonrpc": "2.0", **({"error": error.body()} if error else {"result": result})}
    if request_id:
        body["id"] = request_id
    # Bytes, so that the content type is the recorded one, without a charset.
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")


def _signed(party_id: str, transaction: dict[str, Any]) -> dict[str, Any]:
    """Wrap a transaction like a wallet; `input_data` holds JSON, a real wallet's a protobuf message."""
    data = json.dumps(transaction).encode()
    digest = hashlib.sha512(party_id.encode() + data)
    return {
        "input_data": base64.b64encode(data).decode(),
        "signature": {"value": digest.hexdigest(), "algo": "vega/ed25519", "version": 1},
        "From": {"PubKey": party_id},
        "version": 3,
        "pow": {"tid": digest.hexdigest()[:64], "nonce": int.from_bytes(digest.digest()[:2], "big")},
    }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
