"""A node whose streams answer the handshake in a way that a test scripts, byte by byte.

with HandshakeServer(["HTTP/1.1 101 Switching Protocols", *UPGRADE, "Set-Cookie: a=b"]) as server:
    StoreProcess(server.ws_url, …)
"""

import base64
import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Sequence

from tests.support.frames import FIRST_FRAMES, encode_frame

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}")


class HandshakeServer:
    """Listens on loopback, with a thread for each connection, and sends each stream's first frames after the handshake.

    Args:
        lines: of the answer, with `{accept}` for the key that it must have; sent as Latin-1.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.connections: list[str] = []  # paths
        self._lines = lines
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v2"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            path = head.split()[1].decode()
            self.connections.append(path)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
            assert key is not None
            accept = base64.b64encode(hashlib.sha1(key[1] + GUID.encode()).digest()).decode()
            answer = "\r\n".join([*self._lines, "", ""]).replace("{accept}", accept).encode("latin-1")
            stream = path.partition("/stream/")[2].partition("?")[0]
            client.sendall(answer + b"".join(_frame(str(frame)) for frame in FIRST_FRAMES[stream]))
            if b" 101" not in answer:
                client.close()

    def __enter__(self) -> "HandshakeServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            client.close()


def _frame(text: str) -> bytes:
    return encode_frame(text) if len(text) > 125 else bytes([0x81, len(text)]) + text.encode()
