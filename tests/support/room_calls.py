"""Requests to a sandbox with participants, shared by test_room and test_room_switches."""

import contextlib
import socket
import sys
from typing import Any

import requests

from tests.sandbox import Sandbox
from tests.support.processes import Process


def token_of(sandbox: Sandbox, name: str) -> str:
    return sandbox.room.participants[name].token


def call(sandbox: Sandbox, token: str, method: str = "client.list_keys", params: Any = None) -> requests.Response:
    body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
    headers = {"Origin": "test", "Authorization": f"VWT {token}"}
    return requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=body, headers=headers, timeout=30)


def send(sandbox: Sandbox, token: str, party: str, kind: str = "batchMarketInstructions") -> requests.Response:
    batch = {"cancellations": [{"marketId": sandbox.markets["future"]}]}
    params = {"publicKey": sandbox.parties[party], "sendingMode": "TYPE_SYNC", "transaction": {kind: batch}}
    return call(sandbox, token, "client.send_transaction", params)


def error_data(answer: requests.Response) -> str:
    return str(answer.json()["error"]["data"])


def start(*arguments: str, files: int = 0) -> Process:
    """Start a sandbox as a process; `files` is its limit on open files, 0 for none."""
    command = [sys.executable, "-m", "tests.sandbox", "--port", "0", "--wallet-port", "0", *arguments]
    return Process(["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command] if files else command, {})


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


ASSETS = b"GET /api/v2/assets HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def crowd(stack: contextlib.ExitStack, port: int, count: int, address: str = "127.0.0.1", request: bytes = ASSETS) -> list[socket.socket]:
    """Open connections from an address and send a request on each. They stay open as long as the stack."""
    connections = []
    for _ in range(count):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0)))
        with contextlib.suppress(ConnectionError):
            one.sendall(request)
        connections.append(one)
    return connections


def ask(sandbox: Sandbox, text: bytes, address: str = "127.0.0.1") -> bytes:
    """Send raw bytes to the data node from an address. Return what is received until it closes, or until a second of silence."""
    with socket.create_connection(("127.0.0.1", port_of(sandbox.url())), timeout=30, source_address=(address, 0)) as connection:
        connection.sendall(text)
        connection.settimeout(1)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer
