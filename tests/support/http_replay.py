"""A small HTTP server for tests: it gives scripted responses in order and keeps the requests.

It stands in for the data node's REST and for the wallet. Each connection has a thread of its own, and lists are only appended to.
"""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

RECORDINGS = Path(__file__).parents[1] / "recordings"


@dataclass(frozen=True)
class Answer:
    """One scripted response; `body` is sent as JSON unless it is text or bytes."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    zipped: bool = False
    interim: bool = False  # 103 is sent first
    cut: int = 0  # bytes missing at the end, although Content-Length counts them
    drop: bool = False  # close the connection instead of a response
    hang: bool = False  # no response until the server stops
    pause: Optional[float] = None  # s between two bytes of the body

    def content(self) -> bytes:
        content = self.body if isinstance(self.body, (bytes, str)) else json.dumps(self.body)
        content = content.encode() if isinstance(content, str) else content
        return gzip.compress(content) if self.zipped else content


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str  # with its query
    headers: dict[str, str]  # names in lower case
    body: bytes


class Replay:
    """A server on a free port, for the length of a `with` block.

    Args:
        answers: the responses, in order.
        then: the responses after those; an iterator without an end is fine. After the last one the server responds with status 500.
    """

    def __init__(self, *answers: Answer, then: Iterable[Answer] = ()):
        self.requests: list[Request] = []
        self.connections: list[Any] = []  # client addresses, one per TCP connection
        self.closing = threading.Event()
        self._answers = self._script(answers, then)
        self._lock = threading.Lock()  # guards _answers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def answer(self, request: Request) -> Answer:
        """Note a request and return its answer: both under one lock, since a bot asks on several threads at a time."""
        with self._lock:
            self.requests.append(request)
            return next(self._answers)

    @staticmethod
    def _script(answers: Iterable[Answer], then: Iterable[Answer]) -> Iterator[Answer]:
        yield from answers
        yield from then
        while True:
            yield Answer(status=500, body="the script of this test is over")

    def __enter__(self) -> "Replay":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            replay.connections.append(self.client_address)

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # the client has reset the connection
                super().handle()

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            answer = replay.answer(Request(self.command, self.path, headers, body))
            if answer.hang:
                replay.closing.wait()
            if answer.hang or answer.drop:
                self.close_connection = True
                return
            if answer.interim:
                self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            if answer.zipped:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.send_content(content, answer)

        def send_content(self, content: bytes, answer: Answer) -> None:
            try:
                if answer.pause is None:
                    self.wfile.write(content[: len(content) - answer.cut])
                else:
                    for place in range(len(content)):
                        self.wfile.write(content[place : place + 1])
                        if replay.closing.wait(answer.pause):
                            break
            except OSError:  # the client has disconnected
                self.close_connection = True
            self.close_connection = self.close_connection or bool(answer.cut)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def recorded(name: str) -> Any:
    """Return the parts of a recorded REST response: `path`, `status`, `headers`, `body`."""
    return json.loads((RECORDINGS / f"rest-{name}.json").read_text())


def recorded_answer(name: str) -> Answer:
    """Return a recorded REST response to serve again, gzipped if it was."""
    recording = recorded(name)
    headers = {header: value for header, value in recording["headers"].items() if header != "Content-Encoding"}
    zipped = recording["headers"].get("Content-Encoding") == "gzip"
    return Answer(body=recording["body"], status=recording["status"], headers=headers, zipped=zipped)


def recorded_nodes(name: str, key: str) -> list[Any]:
    """Return the nodes of a recorded list."""
    return [edge["node"] for edge in recorded(name)["body"][key]["edges"]]


def streamed(name: str) -> list[Any]:
    """Return the `result` of each frame of a recorded stream."""
    frames = [json.loads(line) for line in (RECORDINGS / f"ws-{name}.jsonl").read_text().splitlines()]
    return [json.loads(frame["text"])["result"] for frame in frames if "text" in frame]


def streamed_nodes(name: str, key: str) -> list[Any]:
    """Return all nodes of a recorded stream of snapshots and updates, oldest first."""
    bodies = [result.get("snapshot", result.get("updates")) for result in streamed(name)]
    return [node for body in bodies for node in body.get(key, [])]
