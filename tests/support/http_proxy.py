"""A small HTTP proxy for tests. Whatever host a client asks for, it leads to the same port on loopback.

with HttpProxy(node.rest_url) as proxy:
    proxy.requests  # ["CONNECT node.example:80 HTTP/1.1", "GET http://node.example/api/v2/markets HTTP/1.1"]
"""

import contextlib
import re
import socket
import threading
from urllib.parse import urlsplit

HOST = "127.0.0.1"


class HttpProxy:
    """Listens on loopback, with two threads for each connection.

    Args:
        upstream_url: where everything leads to.
        answer: a status line to answer each request with instead, such as "407 Proxy Authentication Required".
    """

    def __init__(self, upstream_url: str = "http://127.0.0.1:1", answer: str = "") -> None:
        self.requests: list[str] = []  # first lines
        self.heads: list[str] = []  # with headers
        self._upstream_port = urlsplit(upstream_url).port or 80
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))

    @property
    def address(self) -> str:
        """Host and port, without a scheme."""
        return f"{HOST}:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                received = client.recv(65536)
                if not received:
                    return
                head += received
            text = head.decode("latin-1")
            self.requests.append(text.partition("\r\n")[0])
            self.heads.append(text)
            if self._answer:
                client.sendall(f"HTTP/1.1 {self._answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                return
            with socket.create_connection((HOST, self._upstream_port)) as upstream:
                if text.startswith("CONNECT "):
                    client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                else:
                    path = re.sub(rb"^(\S+) http://[^/]+", rb"\1 ", head, count=1)
                    upstream.sendall(path.replace(b"Connection: keep-alive", b"Connection: close", 1))
                back = threading.Thread(target=_copy, args=(upstream, client), daemon=True)
                back.start()
                _copy(client, upstream)
                back.join()

    def __enter__(self) -> "HttpProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
