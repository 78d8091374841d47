"""`python -m tests.sandbox` as a process: its output, its end, and `-m MODULE`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox.markets import read_markets
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

MARKET = {
    "name": "M",
    "product": "perpetual",
    "price_decimals": 4,
    "size_decimals": 2,
    "tick_size": 1,
    "settlement_asset": "tDAI",
    "first_price": "7.5",
}

MODULE = """
import json, os, signal, sys, time

names = ("MARKET_ID", "PARTY_ID", "NODE_URL", "WS_URL", "WALLET_URL", "WALLET_TOKEN", "NO_PROXY", "no_proxy")
facts = {name: os.environ.get(name) for name in names}
facts.update(arguments=sys.argv[1:], own_group=os.getpgrp() == os.getpid(), process_id=os.getpid())
begin, got = time.monotonic(), []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: got.append(number))
print(json.dumps(facts), flush=True)
while len(got) < int(os.environ.get("SIGNALS", 1)) and time.monotonic() < begin + 20:
    time.sleep(0.01)
time.sleep(0.2)
print(json.dumps(got), flush=True)
sys.exit(7)
"""


class Process:
    """A sandbox process in its own process group, as a shell starts it."""

    def __init__(self, *arguments: str, module_path: str = "", before: Any = None, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.sandbox", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": module_path, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self, number: int = 0) -> tuple[int, str, str]:
        """Send a signal to the whole group, as a terminal does. Return the exit status, the rest of stdout, and stderr."""
        if number:
            os.killpg(self.process.pid, number)
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture
def start() -> Iterator[Any]:
    started: list[Process] = []

    def start_one(*arguments: str, **options: Any) -> Process:
        started.append(Process(*arguments, **options))
        return started[-1]

    yield start_one
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()  # SIGTERM, which it forwards to its module
        one.process.communicate()


@pytest.fixture
def module(tmp_path: Path) -> str:
    """A stand-in for the bot: prints its environment as JSON, waits for signals, prints their numbers, and exits with 7."""
    (tmp_path / "standin.py").write_text(MODULE, encoding="utf-8")
    return str(tmp_path)


def is_alive(process_id: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], check=False, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")  # a dead process stays a zombie until its new parent has waited for it


def test_json_option_prints_one_line_when_all_ports_listen(start: Any) -> None:
    running = start("--json", "--port", "0", "--wallet-port", "0", "--block-time", "0", "--seed", "5")
    told = json.loads(running.line())

    assert list(told) == ["node_url", "ws_url", "wallet_url", "token", "control_url", "parties", "markets"]
    assert told["node_url"].replace("http", "ws") == told["ws_url"]
    assert told["ws_url"].endswith("/api/v2")
    assert told["control_url"] == told["node_url"].replace("/api/v2", "/control")
    assert told["wallet_url"].count("/") == 2
    assert list(told["parties"]) == ["bot", "a", "b", "c"]
    assert list(told["markets"]) == ["future", "perpetual", "spot"]
    assert requests.get(f"{told['wallet_url']}/api/v2/health", timeout=30).status_code == 200
    assert requests.post(f"{told['control_url']}/block", params={"count": 2}, timeout=30).json() == {"height": 2}
    assert running.end(signal.SIGINT) == (0, "", "")


def test_settings_are_printed_as_lines_for_env(start: Any) -> None:
    running = start("--port", "0", "--wallet-port", "0", "--market", "spot")
    lines = [running.line().rstrip() for _ in range(10)]
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    assert list(settings) == ["MARKET_ID", "PARTY_ID", "NODE_URL", "WS_URL", "WALLET_URL", "WALLET_TOKEN"]
    market = requests.get(f"{settings['NODE_URL']}/market/{settings['MARKET_ID']}", timeout=30).json()["market"]
    assert "spot" in market["tradableInstrument"]["instrument"]
    assert "<title>" in requests.get(lines[0].split()[-1], timeout=30).text
    assert lines[-2].endswith("/control")
    assert "Press Ctrl+C to stop" in lines[-1]
    assert running.end(signal.SIGTERM) == (0, "", "")


def test_a_signal_ends_it_even_if_sigint_was_ignored_at_the_start(start: Any) -> None:
    running = start("--json", "--port", "0", "--wallet-port", "0", before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    running.line()

    assert running.end(signal.SIGINT)[0] == 0


@pytest.mark.parametrize("option", ["--port", "--wallet-port"])
def test_a_port_in_use_is_reported_in_one_line(start: Any, option: str) -> None:
    other = {"--port": "--wallet-port", "--wallet-port": "--port"}[option]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, output, errors = start(option, port, other, "0").end()

    assert (status, output) == (2, "")
    assert errors.count("\n") == 1
    assert port in errors
    assert "in use" in errors


@pytest.mark.parametrize("option", ["--port", "--wallet-port"])
@pytest.mark.parametrize("port", ["99999", "-1", "many"])
def test_an_invalid_port_is_reported_in_one_line(start: Any, option: str, port: str) -> None:
    line = f"python -m tests.sandbox: error: argument {option}: must be a port from 0 to 65535, not {port}\n"
    assert start(option, port).end() == (2, "", line)


def test_an_invalid_markets_file_is_reported_in_one_line(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"assets": {"tDAI": "18"}, "markets": []}', encoding="utf-8")

    line = f"python -m tests.sandbox: error: {path}: asset tDAI: decimals must be a whole number, not '18'\n"
    assert start("--markets", str(path)).end() == (2, "", line)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected {.assets.: {…}, .markets.: .….}"),
        ('{"assets": {"tDAI": 18}, "markets": []}', "there is no market in it"),
        ('{"assets": {}, "markets": [{"name": "M"}]}', r"market 1 \(M\): product must be one of future, perpetual, spot, not None"),
    ],
)
def test_a_markets_file_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        read_markets(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="No such file"):
        read_markets(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": 5}, "name is missing"),
        ({"price_decimals": 1.5}, "price_decimals must be a whole number, not 1.5"),
        ({"tick_size": 0}, "tick_size must be at least 1"),
        ({"settlement_asset": "tX"}, "settlement_asset must be one of tDAI, not 'tX'"),
        ({"product": "spot", "quote_asset": "tDAI"}, "base_asset must be one of tDAI, not None"),
        ({"first_price": "cheap"}, "first_price must be a price such as .100.5., not 'cheap'"),
    ],
)
def test_each_market_is_checked(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_markets({"assets": {"tDAI": 18}, "markets": [{**MARKET, **changed}]})


def test_a_product_missing_from_the_file_is_reported_in_one_line(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"assets": {"tDAI": 18}, "markets": [MARKET]}), encoding="utf-8")

    status, _, errors = start("--markets", str(path), "--market", "spot").end()
    assert (status, errors) == (2, "python -m tests.sandbox: error: there is no spot in the markets file\n")
    running = start("--markets", str(path), "--json", "--port", "0", "--wallet-port", "0")
    assert list(json.loads(running.line())["markets"]) == ["perpetual"]


def test_a_module_runs_with_the_settings_and_without_a_proxy(start: Any, module: str) -> None:
    running = start("-m", "standin", "--json", "more", module_path=module, no_proxy="", NO_PROXY="elsewhere")
    facts = json.loads(running.line())

    assert facts["arguments"] == ["--json", "more"]
    assert facts["own_group"]
    assert facts["NO_PROXY"] == facts["no_proxy"] == "elsewhere,127.0.0.1"
    assert facts["WS_URL"] == facts["NODE_URL"].replace("http", "ws")
    orders = requests.get(f"{facts['NODE_URL']}/orders", params={"filter.partyIds": facts["PARTY_ID"]}, timeout=30)
    assert orders.status_code == 200
    market = requests.get(f"{facts['NODE_URL']}/market/{facts['MARKET_ID']}", timeout=30).json()["market"]
    assert "future" in market["tradableInstrument"]["instrument"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_module_gets_a_signal_once_and_the_sandbox_exits_with_its_status(start: Any, module: str, number: int) -> None:
    running = start("--market", "perpetual", "-m", "standin", module_path=module)
    running.line()
    status, output, errors = running.end(number)

    assert (status, json.loads(output)) == (7, [number])
    assert errors.splitlines()[-1].startswith("sandbox: standin ended with status 7 | 0 fills | position 0")
    assert errors.splitlines()[-1].endswith("| 0 live orders left")


def test_a_second_signal_is_forwarded_too(start: Any, module: str) -> None:
    running = start("-m", "standin", module_path=module, SIGNALS="2")
    running.line()
    running.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    status, output, _ = running.end(signal.SIGTERM)

    assert (status, json.loads(output)) == (7, [signal.SIGINT, signal.SIGTERM])


def test_a_module_killed_by_a_signal_makes_the_status_128_plus_its_number(start: Any, tmp_path: Path) -> None:
    (tmp_path / "kills_itself.py").write_text("import os\nos.kill(os.getpid(), 9)\n", encoding="utf-8")

    assert start("-m", "kills_itself", module_path=str(tmp_path)).end()[0] == 128 + 9


STOP_TIMEOUT = 2 * 10.0  # seconds; twice the promise


def test_the_module_gets_sigterm_if_the_sandbox_is_killed(start: Any, module: str) -> None:
    running = start("-m", "standin", module_path=module)
    process_id = json.loads(running.line())["process_id"]
    status, output, _ = running.end(signal.SIGKILL)

    assert (status, json.loads(output)) == (-signal.SIGKILL, [signal.SIGTERM])  # the output ends with the module
    wait_until(lambda: not is_alive(process_id), STOP_TIMEOUT)


def test_the_bot_ends_if_the_sandbox_is_killed(start: Any, tmp_path: Path) -> None:
    wrapper = "import os, runpy\nprint(os.getpid(), flush=True)\nrunpy.run_module('main', run_name='__main__')\n"
    (tmp_path / "wrapper.py").write_text(wrapper, encoding="utf-8")
    running = start("-m", "wrapper", module_path=str(tmp_path))
    process_id = int(running.line())
    assert running.process.stderr
    while "quoted" not in running.process.stderr.readline():
        assert running.process.poll() is None
    running.process.send_signal(signal.SIGKILL)

    wait_until(lambda: not is_alive(process_id), STOP_TIMEOUT)


def test_no_watcher_is_left_after_the_module_has_ended(start: Any, module: str) -> None:
    running = start("-m", "standin", module_path=module)
    running.line()
    (watcher,) = [child for child in children_of(running.process.pid) if "read -r group" in child]
    assert running.end(signal.SIGTERM)[0] == 7

    wait_until(lambda: not is_alive(int(watcher.split()[0])))


def children_of(process_id: int) -> list[str]:
    """Return process id and command of each child."""
    table = subprocess.run(["ps", "-A", "-o", "ppid=,pid=,args="], check=True, capture_output=True, text=True).stdout
    rows = (line.split(maxsplit=1) for line in table.splitlines())
    return [row[1] for row in rows if row[0] == str(process_id)]


def test_with_json_the_modules_output_goes_to_standard_error(start: Any, module: str) -> None:
    running = start("--json", "-m", "standin", module_path=module)
    told = json.loads(running.line())
    assert running.process.stderr
    facts = json.loads(running.process.stderr.readline())
    status, output, _ = running.end(signal.SIGINT)

    assert (facts["NODE_URL"], status, output) == (told["node_url"], 7, "")


@pytest.mark.parametrize("name", ["no_such_module", "no_such.module", "", ".main"])
def test_an_unknown_module_is_reported_in_one_line(start: Any, name: str) -> None:
    assert start("-m", name).end() == (2, "", f"python -m tests.sandbox: error: No module named {name!r}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on the length of a variable is that of Linux")
def test_a_module_that_cannot_be_started_is_reported_in_one_line(start: Any, module: str) -> None:
    longest = "x" * 131_060  # Linux allows 131,072 bytes per variable, and the module's NO_PROXY also gets ",127.0.0.1"
    line = "python -m tests.sandbox: error: standin could not be started: Argument list too long\n"
    assert start("-m", "standin", module_path=module, NO_PROXY=longest).end() == (2, "", line)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--block-time", "0"], "sandbox: with --block-time 0 blocks are made only by POST /control/block"),
        (["--no-traders"], "sandbox: with --no-traders the book is empty until someone places orders"),
    ],
)
def test_options_that_leave_the_module_without_prices_are_announced(start: Any, module: str, option: list[str], message: str) -> None:
    running = start(*option, "-m", "standin", module_path=module)
    running.line()
    errors = running.end(signal.SIGINT)[2].splitlines()
    assert errors[0].startswith("sandbox: running standin on SOL/DAI future")
    assert errors[1:-1] == [message]
