"""A workshop room: keys, tokens, codes and files."""

import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.dashboard.dashboard import FILES
from tests.sandbox.room import announcements
from tests.sandbox.room.private_files import load_or_create_secret
from tests.sandbox.room.room import is_loopback
from tests.sandbox.wallet.wallet import MAX_INSTRUCTIONS_PER_BLOCK, MAX_TRANSACTIONS_PER_BLOCK
from tests.support.processes import Process
from tests.support.room_calls import ask, call, error_data, send, start, token_of

PEOPLE = 3


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=41, participants=PEOPLE, host="0.0.0.0") as running:
        running.block()
        yield running


def test_each_participant_has_a_funded_key_from_the_seed_and_a_token_that_is_not_from_the_seed(sandbox: Sandbox) -> None:
    again = Sandbox(seed=41, participants=PEOPLE)
    assert list(sandbox.parties) == ["bot", "a", "b", "c", "p01", "p02", "p03"]
    assert again.parties == sandbox.parties
    assert again.token == sandbox.token
    assert not set(sandbox.room.secrets()) & set(again.room.secrets())
    for name in ("bot", "p03"):
        query = {"filter.partyIds": sandbox.parties[name]}
        accounts = requests.get(f"{sandbox.node_url}/accounts", params=query, timeout=30).json()["accounts"]["edges"]
        assert sorted(account["node"]["balance"] for account in accounts) == ["1" + "0" * (7 + decimals) for decimals in (6, 8, 10, 18)]


def test_participants_change_neither_ids_nor_traders() -> None:
    alone, room = Sandbox(seed=5), Sandbox(seed=5, participants=30)
    assert alone.markets == room.markets
    assert alone.traders
    assert room.traders
    assert alone.traders.transactions() == room.traders.transactions()
    assert list(room.parties)[-1] == "p30"


def test_a_token_works_for_its_own_key_only(sandbox: Sandbox) -> None:
    own = token_of(sandbox, "p01")
    assert send(sandbox, own, "p01").status_code == 200
    for other in ("p02", "bot"):
        rejected = send(sandbox, own, other)
        assert (rejected.status_code, error_data(rejected)) == (400, "this public key is not allowed to be used")
    assert send(sandbox, sandbox.token, "p01").status_code == 400
    assert send(sandbox, sandbox.token, "bot").status_code == 200
    assert call(sandbox, own).json()["result"]["keys"] == [{"name": "p01", "publicKey": sandbox.parties["p01"]}]
    assert [key["name"] for key in call(sandbox, sandbox.token).json()["result"]["keys"]] == ["bot", "a", "b", "c"]


@pytest.mark.parametrize("token", ["", "x" * 64, "x", "é" * 32])
def test_missing_and_wrong_tokens_are_rejected(sandbox: Sandbox, token: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": "1", "method": "client.list_keys"})
    headers: dict[str, str | bytes | None] = {"Origin": "test", "Authorization": f"VWT {token}".encode()}
    assert requests.post(f"{sandbox.wallet_url}/api/v2/requests", data=body, headers=headers, timeout=30).status_code == 401


def test_the_token_from_the_seed_works_on_this_machine_only(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.wallet.wallet.is_loopback", lambda address: False)
    assert send(sandbox, sandbox.token, "bot").status_code == 401
    assert send(sandbox, token_of(sandbox, "p02"), "p02").status_code == 200
    rejected = call(sandbox, "", "client.connect_wallet")  # returns the owner's token
    assert (rejected.status_code, "Authorization" in rejected.headers) == (400, False)


def test_in_a_room_pages_from_elsewhere_cannot_use_the_token_from_the_seed(sandbox: Sandbox) -> None:
    body = {"jsonrpc": "2.0", "id": "1", "method": "client.list_keys"}
    for origin, status in (("http://evil.example", 401), ("my-bot", 200), (sandbox.url().rstrip("/"), 200)):
        headers = {"Origin": origin, "Authorization": f"VWT {sandbox.token}"}
        answer = requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=body, headers=headers, timeout=30)
        assert answer.status_code == status


def test_transactions_of_one_participant_are_limited_per_block(sandbox: Sandbox) -> None:
    own, other = token_of(sandbox, "p01"), token_of(sandbox, "p02")
    for _ in range(MAX_TRANSACTIONS_PER_BLOCK):
        assert send(sandbox, own, "p01").status_code == 200
    rejected = send(sandbox, own, "p01")
    assert (rejected.status_code, error_data(rejected)) == (400, "the transaction failed: more than 50 transactions since the last block")
    assert send(sandbox, other, "p02").status_code == 200
    sandbox.block()
    assert send(sandbox, own, "p01").status_code == 200


def test_instructions_of_one_participant_are_limited_per_block(sandbox: Sandbox) -> None:
    order = {"marketId": sandbox.markets["future"], "price": "9000000", "size": "1000", "side": "SIDE_BUY", "type": "TYPE_LIMIT"}
    batch = {
        "submissions": [{**order, "timeInForce": "TIME_IN_FORCE_GTC"}] * 29,
        "cancellations": [{"marketId": sandbox.markets["future"]}],
    }
    params = {"publicKey": sandbox.parties["p01"], "sendingMode": "TYPE_SYNC", "transaction": {"batchMarketInstructions": batch}}
    own = token_of(sandbox, "p01")
    for _ in range(MAX_INSTRUCTIONS_PER_BLOCK // 30):
        assert call(sandbox, own, "client.send_transaction", params).status_code == 200
    rejected = call(sandbox, own, "client.send_transaction", params)
    assert (rejected.status_code, error_data(rejected)) == (400, "the transaction failed: more than 200 instructions since the last block")
    assert send(sandbox, own, "p01").status_code == 200  # a cancellation still fits
    sandbox.block()
    assert call(sandbox, own, "client.send_transaction", params).status_code == 200


@pytest.mark.parametrize(("address", "here"), [("127.0.0.2", True), ("::1", True), ("::ffff:127.0.0.1", True), ("localhost", True)])
def test_loopback_addresses_are_recognised(address: str, here: bool) -> None:
    assert is_loopback(address) is here
    assert not any(map(is_loopback, ("192.168.0.7", "::", "0.0.0.0", "::ffff:10.0.0.1", "evil.example", "", None)))


# Settings: codes and files


def test_a_code_returns_its_settings_once(sandbox: Sandbox) -> None:
    participant = sandbox.room.participants["p02"]
    given = requests.post(sandbox.url(path="/join"), data={"code": participant.code.lower().replace("-", " ")}, timeout=30)
    settings = dict(line.split("=", 1) for line in given.text.splitlines())
    assert settings == {
        "MARKET_ID": sandbox.markets["future"],
        "PARTY_ID": sandbox.parties["p02"],
        "NODE_URL": sandbox.node_url,
        "WS_URL": sandbox.ws_url,
        "WALLET_URL": sandbox.wallet_url,
        "WALLET_TOKEN": participant.token,
    }
    assert given.headers["Content-Disposition"].startswith("attachment")
    assert given.headers["Cache-Control"] == "no-store"
    again = requests.post(sandbox.url(path="/join"), data={"code": participant.code}, timeout=30)
    assert (again.status_code, participant.token in again.text) == (410, False)
    assert participant.claimed_by == "127.0.0.1"


def test_settings_name_the_host_that_the_participant_used(sandbox: Sandbox) -> None:
    code = sandbox.room.participants["p01"].code
    port = sandbox.url().split(":")[2].strip("/")
    given = requests.post(sandbox.url(path="/join"), data={"code": code}, headers={"Host": f"teacher.local:{port}"}, timeout=30)
    assert f"NODE_URL=http://teacher.local:{port}/api/v2\n" in given.text
    form = {"code": sandbox.room.participants["p02"].code}
    assert requests.post(sandbox.url(path="/join"), data=form, headers={"Host": "a b\tc"}, timeout=30).status_code == 400
    assert requests.post(sandbox.url(path="/join"), data=form, timeout=30).status_code == 200  # the malformed request has not used the code


def test_without_participants_join_is_not_found() -> None:
    with Sandbox(block_time=0) as alone:
        answer = requests.get(alone.url(path="/join"), timeout=30)
    assert (answer.status_code, "with --parties N" in answer.text) == (404, True)


def test_wrong_codes_are_limited_per_address(sandbox: Sandbox) -> None:
    guesses = [requests.post(sandbox.url(path="/join"), data={"code": f"AAAA-{n:04}"}, timeout=30).status_code for n in range(12)]
    assert guesses == [403] * 10 + [429] * 2
    code = sandbox.room.participants["p01"].code
    body = f"code={code}".encode()
    head = f"POST /join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    request = f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + body
    assert ask(sandbox, request).startswith(b"HTTP/1.1 429")
    assert ask(sandbox, request, "127.0.0.2").startswith(b"HTTP/1.1 200")  # other addresses are not limited


def test_no_secret_is_on_any_page_or_in_any_event(sandbox: Sandbox) -> None:
    secrets = [sandbox.token, *sandbox.room.secrets()]
    requests.get(f"{sandbox.node_url}/assets", params={"token": token_of(sandbox, "p01")}, timeout=30)  # in the wrong place
    requests.get(f"{sandbox.node_url}/{sandbox.token}", timeout=30)
    requests.post(f"{sandbox.control_url}/block", params={"key": sandbox.room.teacher_key}, timeout=30)
    assert send(sandbox, token_of(sandbox, "p01"), "p01", f"unknown {token_of(sandbox, 'p01')}").status_code == 400
    seen = [requests.get(sandbox.url(path=path), timeout=30).text for path in (*FILES, "/join", "/control")]
    with requests.get(sandbox.url(path="/page/events"), stream=True, timeout=30) as events:
        seen.append(next(line for line in events.iter_lines(decode_unicode=True) if line.startswith("data:")))
    shown = [entry[5] for entry in json.loads(seen[-1].removeprefix("data:"))["shared"]["requests"]]
    assert {"GET assets?token=…", "GET …", "POST /control/block"} <= set(shown)
    assert not [secret for secret in secrets if any(secret in text for text in seen)]


def test_files_are_private_and_tokens_stay_the_same_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    first = run_with_folder(folder)
    leave_out, *files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["p01.env", "p02.env", "room.secret"]
    assert leave_out.name == ".gitignore"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"WALLET_TOKEN={first['participants']['p01']['token']}\n" in files[0].read_text(encoding="utf-8")
    files[1].chmod(0o644)
    assert run_with_folder(folder)["participants"] == first["participants"]
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600


def run_with_folder(folder: Path) -> dict[str, Any]:
    with start("--json", "--parties", "2", "--env-dir", str(folder), "--block-time", "0") as running:
        running.wait_for("^{")
        running.signal(signal.SIGTERM)
        assert running.finish() == 0
        told: dict[str, Any] = json.loads(running.lines[0])
        return told


def test_git_ignores_the_folder_and_an_existing_gitignore_is_kept(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "with" / ".gitignore").write_text("mine\n", encoding="utf-8")
    for name in ("new", "with"):
        run_with_folder(tmp_path / name)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    seen = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "new/" not in seen
    assert (tmp_path / "with" / ".gitignore").read_text(encoding="utf-8") == "mine\n"


def test_a_symbolic_link_in_place_of_the_secret_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("ab" * 32, encoding="ascii")
    (tmp_path / "room.secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"room\.secret: is a symbolic link, which is not followed"):
        load_or_create_secret(tmp_path)


def test_the_rights_of_an_existing_secret_are_tightened(tmp_path: Path) -> None:
    secret = load_or_create_secret(tmp_path)
    (tmp_path / "room.secret").chmod(0o644)
    assert load_or_create_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "room.secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"ab" * 31, b"zz" * 32, b"ab" * 33, b"\xff" * 64])
def test_an_empty_or_malformed_secret_is_reported_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "room.secret").write_bytes(content)
    with start("--parties", "2", "--env-dir", str(tmp_path), "--block-time", "0") as running:
        assert running.finish() == 2
    message = f"{tmp_path}/room.secret: expected 64 hex digits; delete the file to get a new secret, with new tokens and codes"
    assert running.lines == [f"python -m tests.sandbox: error: {message}"]
    assert (tmp_path / "room.secret").read_bytes() == content


@pytest.mark.parametrize("name", ["p01.env", ".gitignore"])
def test_a_symbolic_link_in_place_of_another_file_is_rejected(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "room"
    folder.mkdir()
    (tmp_path / "elsewhere").write_text("mine", encoding="ascii")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with start("--parties", "2", "--env-dir", str(folder), "--block-time", "0") as running:
        status = running.finish() if name == "p01.env" else 0
        if name == ".gitignore":  # of the teacher's own; nothing is written to it
            running.wait_for("Press Ctrl.C to stop")
    assert (tmp_path / "elsewhere").read_text(encoding="ascii") == "mine"
    assert status == 0 or running.lines == [f"python -m tests.sandbox: error: {folder}/p01.env: is a symbolic link, which is not followed"]


def test_a_folder_that_cannot_be_made_is_reported_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with start("--parties", "2", "--env-dir", str(tmp_path / "file" / "room")) as running:
        assert running.finish() == 2
    assert running.lines == [f"python -m tests.sandbox: error: {tmp_path}/file/room: Not a directory"]


@pytest.mark.parametrize(("files", "people", "needed"), [(100, 0, 256), (255, 3, 256), (256, 30, 512)])
def test_too_low_a_limit_on_open_files_is_rejected_at_the_start(files: int, people: int, needed: int) -> None:
    with start("--parties", str(people), "--block-time", "0", files=files) as running:
        assert running.finish() == 2
    who = f"{people} participants need" if people else "a sandbox needs"
    message = f"the limit on open files is {files}, but {who} {needed}: ulimit -n {needed}"
    assert running.lines == [f"python -m tests.sandbox: error: {message}"]


# Output for the teacher


def test_dashboard_and_codes_are_printed_with_a_warning_about_the_network(tmp_path: Path) -> None:
    with start("--parties", "2", "--host", "0.0.0.0", "--block-time", "0") as running:
        running.wait_for("Press Ctrl.C to stop")
        running.wait_for("WARNING: nothing is encrypted")
        output = running.output
        page = re.search(r"Dashboard: (http://127\.0\.0\.1:\d+/)", output)
        assert page
        assert requests.get(page[1], timeout=30).status_code == 200
        assert re.search(r"#   p01 [A-Z2-9]{4}-[A-Z2-9]{4}   p02 [A-Z2-9]{4}-[A-Z2-9]{4}", output)
        assert re.search(r"http://\S+/#key=\w{20}\n", output)
        assert re.search(r"Projector: http://\S+/\?view=ranking", output)
        assert listening_addresses(int(page[1].split(":")[2].strip("/"))) == {"00000000"}


def test_without_a_host_it_listens_on_the_loopback_only_and_prints_no_keys() -> None:
    with start("--block-time", "0") as running:
        running.wait_for("Press Ctrl.C to stop")
        assert "WARNING" not in running.output
        assert "key=" not in running.output
        page = re.search(r"Dashboard: http://127\.0\.0\.1:(\d+)/", running.output)
        assert page
        assert listening_addresses(int(page[1])) == {"0100007F"}


def listening_addresses(port: int) -> set[str]:
    """Return the local addresses, in the kernel's hex digits, of the sockets that listen on a port."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc/net/tcp")
    rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_with_a_module_dashboard_and_codes_are_printed_too(tmp_path: Path) -> None:
    (tmp_path / "looks.py").write_text("import os\nprint('token', os.environ['WALLET_TOKEN'], flush=True)\ninput()\n", encoding="utf-8")
    command = [sys.executable, "-m", "tests.sandbox", "--parties", "1", "-m", "looks"]
    with Process(command, {"PYTHONPATH": str(tmp_path)}) as running:
        running.wait_for("^token HzsBqg6u")  # the bot's token, as without participants
        running.wait_for("#   p01 ")
        page = re.search(r"dashboard: (\S+/);", running.output)
        assert page
        assert "<title>Vega sandbox" in requests.get(page[1], timeout=30).text
        running.signal(signal.SIGTERM)
        running.finish()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--parties", "201"], "--parties must be 0 to 200"), (["--env-dir", "x"], "--env-dir needs --parties")],
)
def test_invalid_options_are_rejected(options: list[str], complaint: str) -> None:
    with start(*options) as running:
        assert running.finish() == 2
        assert complaint in running.output


def test_the_address_for_other_machines_is_known(sandbox: Sandbox) -> None:
    assert not sandbox.is_private
    assert sandbox.host == "127.0.0.1"
    assert announcements.host_for_others(sandbox)
    assert announcements.host_for_others(Sandbox()) == "127.0.0.1"
