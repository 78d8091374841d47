"""JSON-RPC to the Vega wallet. One thread at a time: the loop's, then, when that has ended, the main one.

Page: "Getting started". A success only says that the network took the transaction in; what became of it comes over the
orders stream.
"""

import contextlib
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from bot.transport.error_text import root_cause, shortened, without
from bot.transport.http import CALL_FAILED, DeadlineAdapter, in_time

TIMEOUTS = (2.0, 3.0)  # seconds to connect, and to answer
_NOT_THERE = "check WALLET_URL, and that the wallet runs: vega wallet service run --load-tokens --automatic-consent"
_HINTS = {  # what the wallet says, or the lack of an answer -> what to do
    "Authorization header": "check WALLET_TOKEN",
    "token": "check WALLET_TOKEN: is it the one of this wallet, whole, and not expired?",
    "public key": "check PARTY_ID: the key must be in the wallet that WALLET_TOKEN is for",
    "HTTP 404": _NOT_THERE,
    "no connection": _NOT_THERE,
    "no answer": "does the wallet wait for your consent? run it with --automatic-consent",
}


class WalletError(Exception):
    """A transaction that the wallet did not take, or may not have taken: the wallet's own words, and a hint."""

    may_be_carried_out = False  # by now: the wallet may have the transaction, and has not said that it refuses it
    unanswered = False  # the wallet may have it in hand, so it may also be carried out later, after newer ones


class VegaWallet:
    """Signs and sends transactions with one key of a wallet."""

    def __init__(self, token: str, wallet_url: str, pub_key: str):
        self._token = token
        self._url = f"{wallet_url}/api/v2/requests"
        self._pub_key = pub_key
        self._session = requests.Session()
        self._session.auth = self._authorize  # as a plain header, an entry in the user's .netrc would replace it
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter())

    def submit_transaction(self, transaction: dict[str, Any], timeouts: tuple[float, float] = TIMEOUTS) -> str:
        """Send one transaction and wait for the wallet's answer.

        Args:
            transaction: what `instruction_to_json` returns, or another of the API's commands.
            timeouts: seconds to connect, and to answer.

        Returns:
            The transaction's hash.

        Raises:
            WalletError: refused, or no answer that can be read. The transaction may be carried out all the same.
        """
        request = {
            "jsonrpc": "2.0",
            "id": "request",
            "method": "client.send_transaction",
            "params": {"publicKey": self._pub_key, "sendingMode": "TYPE_SYNC", "transaction": transaction},
        }
        try:
            response = in_time(sum(timeouts), lambda: self._post(request, timeouts))
        except requests.ConnectTimeout as error:
            raise self._error(f"no connection within {timeouts[0]:g} s") from error
        except requests.ReadTimeout as error:
            words = f"no answer within {timeouts[1]:g} s; the transaction may still be carried out"
            raise self._error(words, unanswered=True) from error
        except CALL_FAILED as error:
            never_connected = isinstance(getattr(error.args[0], "reason", None) if error.args else None, NewConnectionError)
            if never_connected or isinstance(error, requests.exceptions.SSLError):
                raise self._error(f"no connection: {root_cause(error)}") from error
            raise self._error(root_cause(error), unanswered=isinstance(error, requests.RequestException)) from error
        return self._transaction_hash(response)

    def _post(self, request: dict[str, Any], timeouts: tuple[float, float]) -> requests.Response:
        # A redirect would carry the token to wherever the answer says.
        return self._session.post(
            self._url, json=request, headers={"Origin": "streaming-data-bot"}, timeout=timeouts, allow_redirects=False
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"VWT {self._token}"
        return request

    def _transaction_hash(self, response: requests.Response) -> str:
        # Differs from the page, which never looks at the answer.
        words = response.text or response.reason
        refused = 300 <= response.status_code < 500
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            body = response.json()
            if body.get("error"):
                words = f"{body['error']['message']}: {body['error']['data']}"
                refused = response.status_code < 500 and body["error"]["message"] != "Network error"  # on the way from the wallet on
            elif response.status_code == requests.codes.ok and isinstance(body["result"]["transactionHash"], str):
                return str(body["result"]["transactionHash"])
        raise self._error(f"HTTP {response.status_code}, {words}", may_be_carried_out=not refused)

    def _error(self, words: str, may_be_carried_out: bool = False, unanswered: bool = False) -> WalletError:
        words = shortened(without(self._token, words))  # an answer may echo what we sent
        hint = next((hint for sign, hint in _HINTS.items() if sign in words), None)
        problem = WalletError(f"wallet: {words}" + (f" ({hint})" if hint else ""))
        problem.may_be_carried_out = may_be_carried_out or unanswered
        problem.unanswered = unanswered
        return problem
