"""The node of the benchmark: raw sockets and a process per stream, so that the server is never the bottleneck.

The path of a stream begins with what to send on it: `/RATE/…`, frames per second; `/flood/…`, frames as fast as the client reads them;
`/singles/…`, the same with one frame per TLS record; `/silent/…`, nothing. Each frame is recorded market data of a future, 1.5 KB. Its
`timestamp` is the time of sending, in nanoseconds of the machine's monotonic clock; frames of `flood` and `singles` carry none.
"""

import base64
import hashlib
import json
import os
import re
import selectors
import signal
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from tests.support.processes import Process

HOST = "127.0.0.1"
RECORDED = Path(__file__).parents[1] / "recordings" / "ws-future-market-data.jsonl"
TIMESTAMP = "1683626772000000000"  # in the recorded frame, to be replaced; the new one is padded with zeros
FLOOD_BATCH = 40  # frames in one call of send, about 64 KB


def recorded_frame() -> bytes:
    return str(json.loads(RECORDED.read_text().partition("\n")[0])["text"]).encode()


def market_of_the_frames() -> str:
    return str(json.loads(recorded_frame())["result"]["marketData"][0]["market"])


@contextmanager
def stream_server(directory: Path) -> Iterator[dict[str, str]]:
    """Run the server in a process of its own; yield its URLs by scheme, `ws` and `wss`.

    Clients need the environment variable WEBSOCKET_CLIENT_CA_BUNDLE with the path `directory / "ca.pem"`.
    """
    with Process([sys.executable, "-m", "tests.benchmark.server", str(directory)], {}) as process:
        line = process.lines[process.wait_for("^LISTENS ") - 1]
        yield json.loads(line.removeprefix("LISTENS "))


def serve(directory: Path) -> None:
    """Accept connections, and fork a process for each."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(tls)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended children need no wait
    selector = selectors.DefaultSelector()
    listeners = {scheme: socket.create_server((HOST, 0), backlog=200) for scheme in ("ws", "wss")}
    for scheme, listener in listeners.items():
        selector.register(listener, selectors.EVENT_READ, scheme)
    urls = {scheme: f"{scheme}://{HOST}:{listener.getsockname()[1]}" for scheme, listener in listeners.items()}
    print("LISTENS", json.dumps(urls), flush=True)
    while True:
        for key, _ in selector.select():
            connection, _ = listeners[key.data].accept()
            if os.fork() == 0:
                try:
                    _stream(connection, tls if key.data == "wss" else None)
                except OSError:  # the client has disconnected
                    os._exit(0)
                finally:
                    os._exit(1)
            connection.close()


def _stream(connection: Any, tls: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        connection = tls.wrap_socket(connection, server_side=True)
    what = _shake_hands(connection)
    payload = recorded_frame()
    if what in ("flood", "singles"):
        chunk = _framed(payload) * (FLOOD_BATCH if what == "flood" else 1)
        while True:
            connection.sendall(chunk)
    if what != "silent":
        _send_paced(connection, payload, float(what))
    connection.recv(1)  # until the client disconnects


def _send_paced(connection: Any, payload: bytes, rate: float) -> None:
    """Send at monotonic deadlines. A delayed frame is sent at once, with the time of its sending."""
    before, after = _framed(payload).split(TIMESTAMP.encode())
    begin = time.monotonic()
    sent = 0
    while True:
        sent += 1
        time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
        connection.sendall(b"%b%019d%b" % (before, time.monotonic_ns(), after))


def _framed(payload: bytes) -> bytes:
    return b"\x81\x7e" + struct.pack("!H", len(payload)) + payload


def _shake_hands(connection: Any) -> str:
    """Answer the handshake; return the first part of the path."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("disconnected before its handshake")
        request += received
    found = re.search(rb"^sec-websocket-key: *(\S+)", request, re.I | re.M)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    connection.sendall(answer + accept + b"\r\n\r\n")
    return request.split(b" ", 2)[1].split(b"/")[1].decode()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
