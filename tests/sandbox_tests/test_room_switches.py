"""A workshop room: access to the controls, bad input from the network, and too many connections."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.benchmark import room as benchmark_room
from tests.sandbox import Sandbox
from tests.sandbox.dashboard.dashboard import MAX_PAGES_PER_ADDRESS
from tests.sandbox.server import connection_limits, raise_open_files_limit
from tests.support.room_calls import ask, crowd, port_of, start, token_of
from tests.support.waiting import wait_until

PEOPLE = 3
MEGABYTE = b" " * 2**20
REQUEST = b"GET /api/v2/markets HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=41, participants=PEOPLE, host="0.0.0.0") as running:
        running.block()
        yield running


def post_control(sandbox: Sandbox, name: str = "block", headers: Any = None, **parameters: str) -> int:
    return requests.post(f"{sandbox.control_url}/{name}", params=parameters, headers=headers, timeout=30).status_code


def test_controls_work_on_this_machine(sandbox: Sandbox) -> None:
    assert post_control(sandbox) == 200
    assert post_control(sandbox, headers={"Origin": sandbox.url().rstrip("/")}) == 200


def test_from_another_machine_controls_need_the_teachers_key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.room.room.is_loopback", lambda address: False)
    key = sandbox.room.teacher_key
    assert [post_control(sandbox), post_control(sandbox, key="wrong"), post_control(sandbox, headers={"X-Teacher-Key": "é".encode()})] == [
        403
    ] * 3
    assert post_control(sandbox, key=key) == 200
    assert post_control(sandbox, headers={"X-Teacher-Key": key}) == 200
    assert post_control(sandbox, "no_such_control") == 403
    assert requests.get(sandbox.control_url, timeout=30).status_code == 200  # reading needs no key
    assert sandbox.call(lambda inside: inside.chain.height) == 3


def test_other_web_pages_in_the_teachers_browser_cannot_use_controls(sandbox: Sandbox) -> None:
    assert post_control(sandbox, headers={"Origin": "http://evil.example"}) == 403
    assert post_control(sandbox, headers={"Origin": "null"}) == 403
    assert post_control(sandbox, headers={"Host": "evil.example"}) == 403  # a name that resolves to this machine
    assert post_control(sandbox, headers={"Host": "[nonsense"}) in (400, 403)
    assert post_control(sandbox, headers={"Origin": "http://[nonsense"}) == 403
    assert sandbox.call(lambda inside: inside.chain.height) == 1


# Bad input


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b"", b"null", b'"text"', b'{"jsonrpc": 2}'])
def test_malformed_json_is_rejected(sandbox: Sandbox, body: bytes) -> None:
    headers = {"Origin": "test", "Authorization": f"VWT {token_of(sandbox, 'p01')}"}
    assert requests.post(f"{sandbox.wallet_url}/api/v2/requests", data=body, headers=headers, timeout=30).status_code == 400


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("address", ["wallet", "node", "control", "join"])
def test_a_hundred_megabytes_are_rejected_while_others_are_served(sandbox: Sandbox, address: str, chunked: bool) -> None:
    url = {
        "wallet": f"{sandbox.wallet_url}/api/v2/requests",
        "node": f"{sandbox.node_url}/orders",
        "control": f"{sandbox.control_url}/reset",
        "join": sandbox.url(path="/join"),
    }[address]
    data: Any = (MEGABYTE for _ in range(100)) if chunked else MEGABYTE * 100
    with requests.Session() as other:
        assert requests.post(url, data=data, timeout=20).status_code == 413
        assert other.get(f"{sandbox.node_url}/assets", timeout=30).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/page/../control.py", "/page/%2e%2e/room.py", "/page//etc/passwd", "/page/..%2f..%2f..%2fREADME.md", "/page/room.secret", "/page/",
     "/page/page.js%00.css", "/../../../etc/passwd", "//etc/passwd", "/page/\\..\\page.py", "/api/v2/../../room.py", "/.env"],
)  # fmt: skip
def test_path_tricks_find_nothing(sandbox: Sandbox, path: str) -> None:
    answer = ask(sandbox, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"400", b"404")
    assert b"import" not in answer


def test_other_protocols_than_http_are_rejected(sandbox: Sandbox) -> None:
    assert ask(sandbox, b"\x16\x03\x01\x02\x00" + b"x" * 500).startswith(b"HTTP/1.0 400")
    assert ask(sandbox, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 50_000 + b"\r\n\r\n").startswith(b"HTTP/1.0 400")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=y", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\ncode"),
        ("application/x-www-form-urlencoded; charset=utf-99", b"code=x"),
        ("application/x-www-form-urlencoded", b"code=\xff"),
        ("application/json", b'{"code": "x"}'),
        ("nonsense", b"code=x"),
    ],
)
def test_a_malformed_form_is_rejected(sandbox: Sandbox, kind: str, body: bytes) -> None:
    answer = requests.post(sandbox.url(path="/join"), data=body, headers={"Content-Type": kind}, timeout=30)
    assert (answer.status_code, answer.text.startswith(("Send the code", "The form"))) == (400, True)


# Too many connections


def test_a_thousand_connections_from_one_address_are_limited_and_affect_no_other_address() -> None:
    with Sandbox(block_time=0.1, seed=42) as sandbox, contextlib.ExitStack() as stack:
        statuses = [status_of(one) for one in crowd(stack, port_of(sandbox.url()), 1000)]
        assert statuses.count(b"200") == connection_limits(raise_open_files_limit()).per_address
        assert set(statuses) <= {b"200", b"429", b""}  # "": closed without an answer
        assert statuses.count(b"429") > 100
        height = sandbox.call(lambda inside: inside.chain.height)
        assert ask(sandbox, REQUEST, "127.0.0.2").startswith(b"HTTP/1.1 200")
        wait_until(lambda: sandbox.call(lambda inside: inside.chain.height) >= height + 4)
        stack.close()
        wait_until(lambda: ask(sandbox, REQUEST).startswith(b"HTTP/1.1 200"))  # closed connections make room


def test_with_few_open_files_as_on_macos_fewer_connections_are_accepted() -> None:
    with start("--block-time", "0.1", files=256) as running, contextlib.ExitStack() as stack:
        running.wait_for("Press Ctrl.C to stop")
        node, wallet = (port_of(next(line for line in running.lines if line.startswith(name))) for name in ("NODE_URL", "WALLET_URL"))
        for port in (node, wallet):
            for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
                crowd(stack, port, 300, address)
        stack.close()
        wait_until(lambda: requests.get(f"http://127.0.0.1:{node}/api/v2/assets", timeout=30).status_code == 200)
        assert "Traceback" not in running.output
        assert "out of system resource" not in running.output


@pytest.mark.parametrize(("files", "one", "all_of_them"), [(256, 22, 68), (1024, 137, 412), (8192, 400, 3576)])
def test_connection_limits_follow_from_the_limit_on_open_files(files: int, one: int, all_of_them: int) -> None:
    accept_batch, per_address, total = connection_limits(files)
    assert (per_address, total) == (one, all_of_them)
    assert 2 * (total + accept_batch + 4 * accept_batch) < files  # both ports full, both with connections over the limit


def test_other_addresses_cannot_use_up_the_connections_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.server.is_loopback", lambda address: address == "127.0.0.1")
    monkeypatch.setattr("tests.sandbox.server.raise_open_files_limit", lambda: 256)
    with Sandbox(block_time=0) as sandbox, contextlib.ExitStack() as stack:
        port = port_of(sandbox.url())
        statuses = [
            status_of(one) for host in range(2, 6) for one in crowd(stack, port, connection_limits(256).per_address, f"127.0.0.{host}")
        ]
        assert statuses.count(b"200") == connection_limits(256).total - connection_limits(256).per_address
        assert ask(sandbox, REQUEST, "127.0.0.9").startswith(b"HTTP/1.1 429")
        assert ask(sandbox, REQUEST).startswith(b"HTTP/1.1 200")


def test_dashboards_are_limited_per_address(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.dashboard.dashboard.is_loopback", lambda address: address == "127.0.0.1")
    page = b"GET /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with contextlib.ExitStack() as stack:
        statuses = [status_of(one) for one in crowd(stack, port_of(sandbox.url()), MAX_PAGES_PER_ADDRESS + 2, "127.0.0.2", page)]
        assert statuses == [b"200"] * MAX_PAGES_PER_ADDRESS + [b"503"] * 2
        here = [status_of(one) for one in crowd(stack, port_of(sandbox.url()), MAX_PAGES_PER_ADDRESS + 2, "127.0.0.1", page)]
        assert here == [b"200"] * (MAX_PAGES_PER_ADDRESS + 2)
        assert [status_of(one) for one in crowd(stack, port_of(sandbox.url()), 1, "127.0.0.3", page)] == [b"200"]


def status_of(connection: socket.socket) -> bytes:
    try:
        return (connection.recv(100).split() or [b"", b""])[1]
    except ConnectionError:
        return b""


# Several bots


def test_bots_of_a_room_get_every_block() -> None:
    bots = asyncio.run(benchmark_room.measure(parties=4, pages=2, seconds=4))
    seen = benchmark_room.figures(bots)
    assert seen["blocks"] >= 1
    assert seen["missing frames"] == seen["batches rejected"] == 0
    assert all(bot.response_times for bot in bots)
    assert all(bot.frames.keys() == benchmark_room.STREAMS for bot in bots)
