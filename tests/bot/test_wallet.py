"""bot/wallet.py against a real HTTP server that gives the answers recorded from a real wallet."""

import itertools
import json
import socket
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from bot.wallet import TIMEOUTS, VegaWallet, WalletError
from tests.support.http_replay import RECORDINGS, Answer, Replay

TOKEN = "sEcReTtOkEn0123456789"
KEY = "15040f959e1710d90f403a68eb79abd0fff7e7a4ffa79066ff6ea8d7aa7533df"
CANCEL_ALL = {"batchMarketInstructions": {"submissions": [], "amendments": [], "cancellations": [{"marketId": "aa" * 32}]}}
CHECK_TOKEN = "check WALLET_TOKEN"
CHECK_KEY = "check PARTY_ID"
CHECK_URL = "check WALLET_URL, and that the wallet runs"

RECORDED = {entry["name"]: entry for entry in json.loads((RECORDINGS / "wallet.json").read_text())}
SENT = {name: entry for name, entry in RECORDED.items() if entry["request"]["method"] == "client.send_transaction"}
TAKEN = [name for name, entry in SENT.items() if isinstance(entry["body"], dict) and "transactionHash" in entry["body"].get("result", {})]
REJECTED = [name for name, entry in RECORDED.items() if isinstance(entry["body"], dict) and "error" in entry["body"]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def recorded_answer(name: str) -> Answer:
    entry = RECORDED[name]
    return Answer(entry["body"], status=entry["status"], headers={"Content-Type": entry["content_type"] or "text/plain"})


def a_wallet(url: str) -> VegaWallet:
    return VegaWallet(token=TOKEN, wallet_url=url, pub_key=KEY)


def problem_with(answer: Answer, timeouts: tuple[float, float] = TIMEOUTS) -> str:
    """Send to a wallet that answers so; return what the error says, which must not show the token anywhere."""
    with Replay(answer) as server, pytest.raises(WalletError) as caught:
        a_wallet(server.url).submit_transaction(CANCEL_ALL, timeouts)
    assert TOKEN not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    return str(caught.value)


###########################################################
#                       Recorded answers                  #
###########################################################


@pytest.mark.parametrize("name", TAKEN)
def test_a_transaction_taken_in_returns_its_hash(name: str) -> None:
    with Replay(recorded_answer(name)) as server:
        assert a_wallet(server.url).submit_transaction(CANCEL_ALL) == RECORDED[name]["body"]["result"]["transactionHash"]


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejection_has_the_wallets_error_message(name: str) -> None:
    error = RECORDED[name]["body"]["error"]
    assert problem_with(recorded_answer(name)).startswith(f"wallet: HTTP {RECORDED[name]['status']}, {error['message']}: {error['data']}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("no-token", CHECK_TOKEN),
        ("bad-token", CHECK_TOKEN),
        ("other-key", CHECK_KEY),
        *[
            (name, None)
            for name in ("no-origin", "empty-batch", "price-float", "bad-side", "bad-tif", "unknown-field", "bad-mode", "not-json")
        ],
    ],
)
def test_a_rejection_has_the_hint_that_helps_and_no_other(name: str, hint: str) -> None:
    problem = problem_with(recorded_answer(name))
    assert [word for word in (CHECK_TOKEN, CHECK_KEY, CHECK_URL) if word in problem] == ([hint] if hint else [])


@pytest.mark.parametrize("name", ["get", "health", "list-keys", "get-chain-id"])
def test_an_answer_without_hash_is_an_error(name: str) -> None:
    assert problem_with(recorded_answer(name)).startswith("wallet: HTTP 200, ")


def test_the_headers_are_those_that_the_wallet_asks_for() -> None:
    with Replay(recorded_answer("ok")) as server:
        a_wallet(server.url).submit_transaction(CANCEL_ALL)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/api/v2/requests")
    assert request.headers["authorization"] == f"VWT {TOKEN}"
    assert request.headers["origin"]
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", ["ok", "ok-cancel-all", "liquidity-amend"])
def test_the_body_is_the_recorded_one(name: str) -> None:
    recorded = RECORDED[name]["request"]
    with Replay(recorded_answer(name)) as server:
        a_wallet(server.url).submit_transaction(recorded["params"]["transaction"])
    body = json.loads(server.requests[0].body)
    assert body["jsonrpc"] == "2.0"
    assert body["id"] == RECORDED[name]["body"]["id"]
    assert (body["method"], body["params"]) == (recorded["method"], {**recorded["params"], "publicKey": KEY})


def test_calls_share_one_connection() -> None:
    with Replay(*map(recorded_answer, TAKEN[:3])) as server:
        wallet = a_wallet(server.url)
        for _ in range(3):
            wallet.submit_transaction(CANCEL_ALL)
    assert len(server.connections) == 1


###########################################################
#                   Other things that answer              #
###########################################################


def test_a_connection_refused_says_that_the_wallet_may_not_run() -> None:
    with socket.socket() as unused:  # bound, but it does not listen
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(WalletError, match=f"^wallet: .*[Cc]onnection refused.* \\({CHECK_URL}") as caught:
            a_wallet(f"http://127.0.0.1:{unused.getsockname()[1]}").submit_transaction(CANCEL_ALL)
    assert TOKEN not in str(caught.value)


def test_a_call_to_a_wallet_that_hangs_is_abandoned_and_may_still_be_executed() -> None:
    problem = problem_with(Answer(hang=True), timeouts=(0.2, 0.1))
    assert problem.startswith(
        "wallet: no answer within 0.1 s; the transaction may still be executed (does the wallet wait for your consent?"
    )


def test_a_call_whose_answer_trickles_is_abandoned_like_one_that_hangs() -> None:
    began = time.monotonic()
    answer = Answer(RECORDED["ok"]["body"], pause=0.1)
    assert problem_with(answer, timeouts=(0.3, 0.3)).startswith("wallet: ")
    assert time.monotonic() - began < 0.1 * len(answer.content()) / 2


def test_a_connection_closed_without_an_answer_is_an_error() -> None:
    assert problem_with(Answer(drop=True)).startswith("wallet: ")


def test_two_seconds_to_connect_and_three_to_answer() -> None:
    assert TIMEOUTS == (2.0, 3.0)


def test_html_is_shown_shortened_and_on_one_line() -> None:
    problem = problem_with(Answer("<html>\n" + "<p>" * 10_000, headers={"Content-Type": "text/html"}))
    assert problem.startswith("wallet: HTTP 200, <html> <p><p>")
    assert len(problem) < 300


def test_a_cut_body_is_an_error() -> None:
    assert problem_with(Answer(RECORDED["ok"]["body"], cut=5)).startswith("wallet: ")


@pytest.mark.parametrize("status", [302, 401, 500])
def test_an_http_error_is_an_error_with_any_body(status: int) -> None:
    assert problem_with(Answer(RECORDED["ok"]["body"], status=status)).startswith(f"wallet: HTTP {status}, ")


@pytest.mark.parametrize("status", [401, 502])
def test_an_http_error_without_body_has_the_reason_of_its_status(status: int) -> None:
    assert (
        problem_with(Answer("", status=status))
        == {
            401: "wallet: HTTP 401, Unauthorized",
            502: "wallet: HTTP 502, Bad Gateway",
        }[status]
    )


@pytest.mark.parametrize(
    "body",
    ["null", "[]", "7", '"error"', '"text"', "{}", '{"result": null}', '{"result": []}', '{"result": {}}', "[" * 100_000]
    + [
        f'{{"error": {error}}}'
        for error in ('"text"', "7", "[]", "{}", '{"message": "m"}', '{"data": "d"}', '{"message": null, "data": []}')
    ],
    ids=lambda body: body[:40],
)
def test_json_of_another_shape_is_an_error(body: str) -> None:
    assert problem_with(Answer(body)).startswith("wallet: HTTP 200, ")


@pytest.mark.parametrize("no_hash", [None, 7, {}], ids=repr)
def test_a_hash_that_is_not_text_is_an_error(no_hash: Any) -> None:
    assert problem_with(Answer({"jsonrpc": "2.0", "result": {"transactionHash": no_hash}})).startswith("wallet: HTTP 200, ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_the_token_goes_nowhere_else(status: int) -> None:
    with Replay(recorded_answer("ok")) as elsewhere:
        problem = problem_with(Answer("moved", status=status, headers={"Location": f"{elsewhere.url}/api/v2/requests"}))
    assert problem == f"wallet: HTTP {status}, moved"
    assert elsewhere.requests == []


def test_nothing_is_sent_twice() -> None:
    answers = itertools.repeat(Answer("busy", status=503, headers={"Retry-After": "1"}))
    with Replay(then=answers) as server, pytest.raises(WalletError):
        a_wallet(server.url).submit_transaction(CANCEL_ALL)
    assert len(server.requests) == 1


def test_a_netrc_of_the_user_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Replay(recorded_answer("ok")) as server:
        a_wallet(server.url).submit_transaction(CANCEL_ALL)
    assert server.requests[0].headers["authorization"] == f"VWT {TOKEN}"


###########################################################
#                   The token is never shown              #
###########################################################


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"<p>you sent Authorization: VWT {TOKEN}</p>", status=401),
        Answer({"error": {"code": 1, "message": f"bad token {TOKEN}", "data": f"{TOKEN}{TOKEN}"}}, status=401),
        Answer({"result": {"you sent": f"VWT {TOKEN}"}}),
        Answer("x" * 180 + TOKEN, status=500),
        Answer("x" + " " * 979 + TOKEN, status=500),
        Answer("moved", status=302, headers={"Location": f"http://127.0.0.1:1/{TOKEN}"}),
    ],
    ids=["html", "error", "result", "cut at 200", "cut at 1000", "location"],
)
def test_a_token_that_the_server_echoes_is_not_in_the_error(answer: Answer) -> None:
    problem = problem_with(answer)
    assert not [part for part in (TOKEN[:8], TOKEN[-8:]) if part in problem]


def test_the_token_is_not_in_the_repr_of_a_wallet() -> None:
    assert TOKEN not in repr(a_wallet("http://127.0.0.1:1"))
