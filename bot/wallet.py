"""JSON-RPC to the Vega wallet. One thread at a time: the loop's, then the main one, once the loop has ended.

Page: "Getting started". Success only means that the network has accepted the transaction. Its outcome comes over the orders
stream.
"""

import contextlib
import time
from typing import Any

import requests

from bot.parsing import load_json
from bot.transport.error_text import redact, root_cause, truncate
from bot.transport.http import CALL_FAILED, NotSentError, UnansweredError, build_session, call_with_deadline
from bot.transport.proxies import via_proxy

TIMEOUTS = (2.0, 3.0)  # seconds to connect, and to answer
MAX_ERROR_MESSAGE = 10_000  # characters that are searched for the token before the message is truncated
_NOT_RUNNING = "check WALLET_URL, and that the wallet runs: vega wallet service run --load-tokens --automatic-consent"
_HINTS = {  # part of the error message -> what to do
    "new thread": "the system allows no more processes or memory",
    "Authorization header": "check WALLET_TOKEN",
    "token": "check WALLET_TOKEN: is it complete, not expired, and from this wallet?",
    "public key": "check PARTY_ID: the key must be in the wallet that WALLET_TOKEN is for",
    "HTTP 404": _NOT_RUNNING,
    "no connection": _NOT_RUNNING,
    "no answer": "does the wallet wait for your consent? run it with --automatic-consent",
}


class WalletError(Exception):
    """A transaction that the wallet did not accept, or may not have accepted. Has the wallet's own error message, and a hint."""

    rejected = False  # the wallet or the network has rejected the transaction as a whole
    may_have_executed = False  # the wallet may have the transaction, and has not said that it rejects it
    timed_out = False  # the wallet may still be working on it, so it may execute later, after newer transactions


class VegaWallet:
    """Signs and sends transactions with one key of a wallet."""

    def __init__(self, token: str, wallet_url: str, pub_key: str):
        self._token = token
        self._url = f"{wallet_url}/api/v2/requests"
        self._pub_key = pub_key
        self._session = build_session()

    def submit_transaction(self, transaction: dict[str, Any], timeouts: tuple[float, float] = TIMEOUTS) -> str:
        """Send one transaction and wait for the wallet's answer.

        Args:
            transaction: the result of `instruction_to_json`, or another of the API's commands.
            timeouts: seconds to connect, and to answer.

        Returns:
            The transaction's hash.

        Raises:
            WalletError: rejected, or no answer that can be read. Its attributes say whether the transaction may execute.
        """
        request = {
            "jsonrpc": "2.0",
            "id": "request",
            "method": "client.send_transaction",
            "params": {"publicKey": self._pub_key, "sendingMode": "TYPE_SYNC", "transaction": transaction},
        }
        try:
            response = self._send(request, timeouts, can_resend=_can_execute_twice(transaction))
        except NotSentError as error:
            within = f" within {timeouts[0]:.2g} s" if isinstance(error.__cause__, requests.Timeout) else f": {root_cause(error)}"
            raise self._error(f"no connection{within}") from error
        except requests.Timeout as error:
            message = f"no answer within {timeouts[1]:.2g} s; the transaction may still be executed"
            raise self._error(message, timed_out=True) from error
        except CALL_FAILED as error:
            raise self._error(root_cause(error), timed_out=isinstance(error, requests.RequestException)) from error
        return self._transaction_hash(response)

    def _send(self, request: dict[str, Any], timeouts: tuple[float, float], can_resend: bool) -> requests.Response:
        # Differs from the page: a call has a deadline, and a batch that a closing connection has lost is sent once more.
        deadline = time.monotonic() + sum(timeouts)
        try:
            return call_with_deadline(sum(timeouts), lambda: self._post(request, timeouts))
        except UnansweredError as first:
            if not can_resend:
                raise
            self._session.close()  # the other connections are as old; the session opens a new one
            try:
                return call_with_deadline(max(0.1, deadline - time.monotonic()), lambda: self._post(request, timeouts))
            except NotSentError:  # but the first time it may have arrived
                raise first from None

    def _post(self, request: dict[str, Any], timeouts: tuple[float, float]) -> requests.Response:
        headers = {"Origin": "streaming-data-bot", "Authorization": f"VWT {self._token}"}
        # Differs from the page: no redirects, since they would carry the token to another address.
        return self._session.post(self._url, json=request, headers=headers, timeout=timeouts, allow_redirects=False)

    def _transaction_hash(self, response: requests.Response) -> str:
        # Differs from the page, which never looks at the answer.
        message = response.text or response.reason
        rejected = 300 <= response.status_code < 500
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            body = load_json(response.text)
            if body.get("error"):
                message = f"{body['error']['message']}: {body['error']['data']}"
                # A "Network error" happened behind the wallet, which cannot know what became of the transaction, unless the
                # network's own check (ABCI) rejected it.
                is_network_check = "ABCI code" in str(body["error"]["data"])
                rejected = response.status_code < 500 and (is_network_check or body["error"]["message"] != "Network error")
            elif response.status_code == requests.codes.ok and isinstance(body["result"]["transactionHash"], str):
                return str(body["result"]["transactionHash"])
        error = self._error(f"HTTP {response.status_code}, {message}", may_have_executed=not rejected)
        error.rejected = rejected
        raise error

    def _error(self, message: str, may_have_executed: bool = False, timed_out: bool = False) -> WalletError:
        message = truncate(redact(self._token, message[:MAX_ERROR_MESSAGE])) + via_proxy(self._url)  # an answer may echo the request
        hint = next((hint for part, hint in _HINTS.items() if part in message), None)
        error = WalletError(f"wallet: {message}" + (f" ({hint})" if hint else ""))
        error.may_have_executed = may_have_executed or timed_out
        error.timed_out = timed_out
        return error


def _can_execute_twice(transaction: dict[str, Any]) -> bool:
    """Return whether a transaction begins with the cancellation of all that it submits, so that twice has the result of once."""
    batch = transaction.get("batchMarketInstructions", {})
    first: dict[str, Any] = next(iter(batch.get("cancellations", [])), {})
    return bool(first.get("marketId") and not first.get("orderId")) and all(
        order["marketId"] == first["marketId"] and order["timeInForce"] not in ("TIME_IN_FORCE_IOC", "TIME_IN_FORCE_FOK")
        for order in batch.get("submissions", [])
    )
