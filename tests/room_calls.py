"""What a test does with a room full of people: for test_room and test_room_switches."""

import contextlib
import socket
import sys
from typing import Any

import requests

from .processes import Process
from .sandbox import Sandbox


def token_of(sandbox: Sandbox, name: str) -> str:
    return sandbox.room.participants[name].token


def call(sandbox: Sandbox, token: str, method: str = "client.list_keys", params: Any = None) -> requests.Response:
    body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
    headers = {"Origin": "test", "Authorization": f"VWT {token}"}
    return requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=body, headers=headers, timeout=5)


def send(sandbox: Sandbox, token: str, party: str, kind: str = "batchMarketInstructions") -> requests.Response:
    batch = {"cancellations": [{"marketId": sandbox.markets["future"]}]}
    params = {"publicKey": sandbox.parties[party], "sendingMode": "TYPE_SYNC", "transaction": {kind: batch}}
    return call(sandbox, token, "client.send_transaction", params)


def words(answer: requests.Response) -> str:
    return str(answer.json()["error"]["data"])


def start(*arguments: str) -> Process:
    return Process([sys.executable, "-m", "tests.sandbox", "--port", "0", "--wallet-port", "0", *arguments], {})


def ask(sandbox: Sandbox, text: bytes, address: str = "127.0.0.1") -> bytes:
    """Send raw bytes to the data node from such an address, and return what comes back until it closes or goes quiet."""
    port = int(sandbox.url().split(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0)) as connection:
        connection.sendall(text)
        connection.settimeout(1)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


# Keys and tokens
