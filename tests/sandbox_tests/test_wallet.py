"""The sandbox's wallet compared with recorded responses of the real one, over real sockets."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox

RECORDINGS = Path(__file__).parents[1] / "recordings"
EXCHANGES = json.loads((RECORDINGS / "wallet.json").read_text(encoding="utf-8"))
RECORDED_KEY = "15040f959e1710d90f403a68eb79abd0fff7e7a4ffa79066ff6ea8d7aa7533df"
RECORDED_MARKET = "13aa4d98f5e8ecaea9370d3b55e6eac01431c045d0b02592d612d638c5796461"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=11, traders=False, null_chain=True) as running:
        yield running


def call(sandbox: Sandbox, method: str, params: Any = None, **changed: Any) -> requests.Response:
    headers = {"Origin": "a-test", "Authorization": f"VWT {sandbox.token}", **changed.pop("headers", {})}
    body = {"jsonrpc": "2.0", "id": "request", "method": method, "params": params, **changed}
    body = {key: value for key, value in body.items() if value is not None}
    sent = {key: value for key, value in headers.items() if value is not None}
    return requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=body, headers=sent, timeout=30)


def send(sandbox: Sandbox, transaction: Any, **changed: Any) -> requests.Response:
    params = {"publicKey": sandbox.parties["bot"], "sendingMode": "TYPE_SYNC", "transaction": transaction}
    return call(sandbox, "client.send_transaction", params, **changed)


def error_of(response: requests.Response) -> str:
    return str(response.json()["error"]["data"])


def limit_order(sandbox: Sandbox, **changed: Any) -> dict[str, Any]:
    order = {
        "marketId": sandbox.markets["future"],
        "price": "9990000",
        "size": "100",
        "side": "SIDE_BUY",
        "timeInForce": "TIME_IN_FORCE_GTC",
        "type": "TYPE_LIMIT",
        **changed,
    }
    return {key: value for key, value in order.items() if value is not None}


def orders_of_bot(sandbox: Sandbox) -> list[dict[str, Any]]:
    query = {"filter.partyIds": sandbox.parties["bot"], "filter.liveOnly": "true"}
    edges = requests.get(f"{sandbox.node_url}/orders", params=query, timeout=30).json()["orders"]["edges"]
    return [edge["node"] for edge in edges]


def replay(sandbox: Sandbox, exchange: dict[str, Any]) -> requests.Response:
    """Send a recorded request to the sandbox's wallet, with the sandbox's key, market and token."""
    if exchange["name"] in ("get", "health"):
        path = {"get": "methods", "health": "health"}[exchange["name"]]
        return requests.get(f"{sandbox.wallet_url}/api/v2/{path}", timeout=30)
    text = json.dumps(exchange["request"]["params"])
    params = json.loads(text.replace(RECORDED_KEY, sandbox.parties["bot"]).replace(RECORDED_MARKET, sandbox.markets["future"]))
    tokens = {"valid": f"VWT {sandbox.token}", True: "VWT bad", False: None}
    origin = "recorded" if exchange["request"]["origin"] else None
    headers = {"Origin": origin, "Authorization": tokens[exchange["request"]["token"]]}
    if exchange["name"] == "not-json":
        return requests.post(f"{sandbox.wallet_url}/api/v2/requests", data="{oops", headers=headers, timeout=30)
    return call(sandbox, exchange["request"]["method"], params, headers=headers)


def shape(value: Any) -> Any:
    """Reduce a response to its keys, in order, and the types of its values; a list to its first entry."""
    if isinstance(value, dict):
        return [(key, shape(entry)) for key, entry in value.items()]
    return [shape(entry) for entry in value[:1]] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange["name"] for exchange in EXCHANGES])
def test_responses_are_as_recorded(sandbox: Sandbox, exchange: dict[str, Any]) -> None:
    response, recorded = replay(sandbox, exchange), exchange["body"]

    assert response.status_code == exchange["status"]
    assert response.headers.get("Content-Type") == exchange["content_type"]
    if not recorded:
        assert response.text == ""
    elif "error" in recorded:
        assert response.json() == recorded
    else:
        assert shape(response.json()) == shape(recorded)


@pytest.mark.parametrize("file", ["chain-future.json", "chain-spot.json"])
def test_transactions_that_a_real_wallet_accepted_are_accepted(sandbox: Sandbox, file: str) -> None:
    for step in json.loads((RECORDINGS / file).read_text(encoding="utf-8"))["steps"]:
        ((kind, command),) = step["transaction"].items()
        for instruction in [entry for entries in command.values() for entry in entries] if "batch" in kind else [command]:
            instruction["marketId"] = sandbox.markets["future"]
        text = re.sub('"@[^"]*"', json.dumps("ab" * 32), json.dumps({kind: command}))  # the id of any order
        params = {"publicKey": sandbox.parties[step["party"]], "sendingMode": "TYPE_SYNC", "transaction": json.loads(text)}
        response = call(sandbox, "client.send_transaction", params)
        assert response.status_code == 200, (step["step"], response.text)


def test_a_transaction_reaches_the_chain_with_the_next_block(sandbox: Sandbox) -> None:
    answer = send(sandbox, {"orderSubmission": limit_order(sandbox, price="8765400", reference="first")}).json()

    assert len(answer["result"]["transactionHash"]) == 64
    assert not [order for order in orders_of_bot(sandbox) if order["reference"] == "first"]
    sandbox.block()
    assert [order["price"] for order in orders_of_bot(sandbox) if order["reference"] == "first"] == ["8765400"]


@pytest.mark.parametrize("number", ["+5", str(2**256), "5" * 5000])
def test_the_wallet_accepts_numbers_with_a_sign_and_numbers_too_large_for_the_network(sandbox: Sandbox, number: str) -> None:
    market_id = sandbox.markets["future"]
    assert send(sandbox, {"orderSubmission": limit_order(sandbox, price=number)}).status_code == 200
    assert send(sandbox, {"orderAmendment": {"orderId": "ab" * 32, "marketId": market_id, "price": number}}).status_code == 200
    commitment = {"marketId": "cd" * 32, "commitmentAmount": number, "fee": "2"}
    assert send(sandbox, {"liquidityProvisionSubmission": commitment}).status_code == 200
    sandbox.block()


def test_keys_may_be_snake_case_numbers_may_be_numbers_and_enums_may_be_integers(sandbox: Sandbox) -> None:
    order = {"market_id": sandbox.markets["future"], "price": "8654300", "size": 300, "side": 1, "time_in_force": 1, "type": 1}
    send(sandbox, {"order_submission": {**order, "reference": "snake"}})
    sandbox.block()

    made = next(order for order in orders_of_bot(sandbox) if order["reference"] == "snake")
    assert (made["price"], made["size"], made["side"], made["timeInForce"]) == ("8654300", "300", "SIDE_BUY", "TIME_IN_FORCE_GTC")


def test_a_command_that_the_chain_does_not_execute_is_accepted(sandbox: Sandbox) -> None:
    assert send(sandbox, {"voteSubmission": {"proposalId": "ab" * 32, "value": "VALUE_YES"}}).status_code == 200


@pytest.mark.parametrize(
    ("transaction", "message"),
    [
        ({}, "submit_transaction_request.command (is required)"),
        (
            {"nope": {}},
            'the transaction does not use a valid Vega command: unknown field "nope" in vega.wallet.v1.SubmitTransactionRequest',
        ),
        (
            {"orderSubmission": "now"},
            "the transaction does not use a valid Vega command: "
            "json: cannot unmarshal string into Go value of type map[string]json.RawMessage",
        ),
        (
            {"orderAmendment": {"sizeDelta": 1.5}},
            "the transaction does not use a valid Vega command: json: cannot unmarshal number 1.5 into Go value of type int64",
        ),
        (
            {"orderSubmission": {"size": -5}},
            "the transaction does not use a valid Vega command: json: cannot unmarshal number -5 into Go value of type uint64",
        ),
        (
            {"orderSubmission": {"postOnly": "yes"}},
            "the transaction does not use a valid Vega command: json: cannot unmarshal string into Go value of type bool",
        ),
        (
            {"orderSubmission": {}},
            "order_submission.market_id (is required), order_submission.side (is required), order_submission.size (must be positive), "
            "order_submission.time_in_force (is required), order_submission.type (is required)",
        ),
        (
            {"orderAmendment": {"orderId": "ab" * 32, "marketId": "cd" * 32, "price": "0", "sizeDelta": "5", "size": "6"}},
            "order_amendment.price (is required), "
            'order_amendment.size_delta (must be set to 0 if the property "order_amendment.size" is set)',
        ),
        (
            {"liquidityProvisionSubmission": {"marketId": "cd" * 32, "commitmentAmount": "much", "fee": "0.001"}},
            "liquidity_provision_submission.commitment_amount (not a valid integer)",
        ),
        (
            {"liquidityProvisionSubmission": {"marketId": "cd" * 32, "commitmentAmount": "+5", "fee": "-0.1"}},
            "liquidity_provision_submission.fee (must be positive)",
        ),
        (
            {"liquidityProvisionSubmission": {"marketId": "cd" * 32, "commitmentAmount": "5", "fee": "0,1"}},
            "liquidity_provision_submission.fee (is not a valid value)",
        ),
        ({"orderCancellation": {"marketId": "xyz"}}, "order_cancellation.market_id (should be a valid Vega ID)"),
        (
            {"orderAmendment": {"orderId": "ab" * 32, "marketId": "cd" * 32}},
            "* (order_amendment does not amend anything)",
        ),
    ],
)
def test_an_invalid_transaction_is_rejected_with_the_real_wallets_message(sandbox: Sandbox, transaction: Any, message: str) -> None:
    response = send(sandbox, transaction)

    assert (response.status_code, response.json()["error"]["code"], error_of(response)) == (400, -32602, message)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"price": None}, "order_submission.price (is required when the order is of type LIMIT)"),
        ({"price": "99.9"}, "order_submission.price (not a valid integer)"),
        ({"price": "0"}, "order_submission.price (must be positive when the order is of type LIMIT)"),
        ({"side": 7}, "order_submission.side (is not a valid value)"),
        (
            {"size": "9" * 5000},
            f"the transaction does not use a valid Vega command: json: cannot unmarshal number {'9' * 5000} into Go value of type uint64",
        ),
        ({"postOnly": True, "timeInForce": "TIME_IN_FORCE_IOC"}, "order_submission.post_only (only valid for persistent orders)"),
        ({"reduceOnly": True}, "order_submission.reduce_only (only valid for non-persistent orders)"),
        ({"timeInForce": "TIME_IN_FORCE_GTT"}, "order_submission.expires_at (must be positive)"),
        ({"expiresAt": "7"}, "order_submission.expires_at (is only available when the time in force is of type GTT)"),
        (
            {"type": "TYPE_MARKET"},
            "order_submission.price (is unavailable when the order is of type MARKET), "
            "order_submission.time_in_force (is expected to be of type FOK or IOC when order is of type MARKET)",
        ),
    ],
)
def test_the_wallet_checks_a_single_order(sandbox: Sandbox, changed: dict[str, Any], message: str) -> None:
    assert error_of(send(sandbox, {"orderSubmission": limit_order(sandbox, **changed)})) == message


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer abc", "the Authorization header only support the VWT scheme"),
        ("VWT abc", "the token has not a valid format"),
        (f"VWT {'x' * 64}", "there is no connection associated to this authentication token"),
    ],
)
def test_a_wrong_token_is_rejected(sandbox: Sandbox, authorization: str, message: str) -> None:
    response = call(sandbox, "client.list_keys", headers={"Authorization": authorization})

    assert (response.status_code, error_of(response)) == (401, message)


def test_the_token_works_for_all_four_keys_and_no_other(sandbox: Sandbox) -> None:
    keys = call(sandbox, "client.list_keys", {}).json()["result"]["keys"]

    assert [key["name"] for key in keys] == ["bot", "a", "b", "c"]
    assert [key["publicKey"] for key in keys] == list(sandbox.parties.values())
    maker = sandbox.call(lambda running: running.chain.traders["maker"])
    params = {"publicKey": maker, "sendingMode": "TYPE_SYNC", "transaction": {"orderCancellation": {}}}
    assert error_of(call(sandbox, "client.send_transaction", params)) == "this public key is not allowed to be used"


def test_the_id_is_returned_and_a_call_without_one_is_not_answered(sandbox: Sandbox) -> None:
    assert call(sandbox, "client.get_chain_id", id="my own").json()["id"] == "my own"
    silent = requests.post(f"{sandbox.wallet_url}/api/v2/requests", json={"jsonrpc": "2.0", "method": "client.get_chain_id"}, timeout=30)
    assert (silent.status_code, silent.text) == (204, "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the request can't be blank"),
        ('{"jsonrpc": "2.0"', "unexpected end of JSON input"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_a_body_that_is_not_json_is_a_parse_error(sandbox: Sandbox, body: str, message: str) -> None:
    response = requests.post(f"{sandbox.wallet_url}/api/v2/requests", data=body, timeout=30)

    assert (response.status_code, response.json()["error"]["code"], error_of(response)) == (400, -32700, message)


def test_a_signed_transaction_is_not_sent(sandbox: Sandbox) -> None:
    order = limit_order(sandbox, price="8543200", reference="only signed")
    params = {"publicKey": sandbox.parties["bot"], "transaction": {"orderSubmission": order}}
    signed = call(sandbox, "client.sign_transaction", params).json()["result"]["transaction"]
    sandbox.block()

    assert signed["From"] == {"PubKey": sandbox.parties["bot"]}
    assert not [order for order in orders_of_bot(sandbox) if order["reference"] == "only signed"]


def test_connect_wallet_returns_the_token(sandbox: Sandbox) -> None:
    assert call(sandbox, "client.connect_wallet").headers["Authorization"] == f"VWT {sandbox.token}"


def test_the_token_comes_from_the_seed() -> None:
    tokens = {seed: Sandbox(seed=seed).token for seed in (1, 2)}

    assert tokens[1] == Sandbox(seed=1).token != tokens[2]
    assert len(tokens[1]) == 64
    assert tokens[1].isalnum()


# HTTP


def ask(sandbox: Sandbox, method: str, path: str, **headers: str) -> requests.Response:
    return requests.request(method, f"{sandbox.wallet_url}{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}, timeout=20)


def test_unknown_paths_and_wrong_methods_are_plain_text(sandbox: Sandbox) -> None:
    """httprouter v1.3, as wallet/service/service.go uses it."""
    unknown, wrong = ask(sandbox, "GET", "/nope"), ask(sandbox, "GET", "/api/v2/requests")
    assert (unknown.status_code, unknown.text) == (404, "404 page not found\n")
    assert (wrong.status_code, wrong.text, wrong.headers["Allow"]) == (405, "Method Not Allowed\n", "OPTIONS, POST")
    assert ask(sandbox, "HEAD", "/api/v2/health").status_code == 405
    for answer in (unknown, wrong):
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_options_lists_the_methods_of_a_path(sandbox: Sandbox) -> None:
    for path, methods in (("/api/v2/requests", "OPTIONS, POST"), ("/api/v2/health", "GET, OPTIONS")):
        answer = ask(sandbox, "OPTIONS", path)
        assert (answer.status_code, answer.text, answer.headers["Allow"]) == (200, "", methods)
    assert ask(sandbox, "OPTIONS", "/nope").status_code == 404


def test_a_preflight_allows_what_it_asks_for(sandbox: Sandbox) -> None:
    """rs/cors v1.8 with `AllowAll`, as wallet/service/service.go uses it."""
    answer = ask(
        sandbox,
        "OPTIONS",
        "/api/v2/requests",
        Origin="http://page.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization, content-type",
    )
    allowed = {name.rpartition("-")[2]: text for name, text in answer.headers.items() if name.startswith("Access-Control-Allow")}
    assert (answer.status_code, allowed) == (204, {"Origin": "*", "Methods": "POST", "Headers": "Authorization, Content-Type"})
    assert ask(sandbox, "GET", "/api/v2/health", Origin="http://page.example").headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:1789", "127.0.0.1.evil.example", "[nonsense", "192.0.2.1"])
def test_a_foreign_host_name_that_resolves_to_this_machine_is_rejected(sandbox: Sandbox, host: str) -> None:
    answer = call(sandbox, "client.connect_wallet", headers={"Host": host})
    assert (answer.status_code in (400, 403), "Authorization" in answer.headers) == (True, False)
    assert call(sandbox, "client.list_keys", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:1789", "127.0.0.1", "[::1]:1789", socket.gethostname()])
def test_the_names_of_this_machine_are_accepted(sandbox: Sandbox, host: str) -> None:
    assert call(sandbox, "client.list_keys", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example:1789", "null", "http://[nonsense"])
def test_a_page_from_elsewhere_gets_no_token(sandbox: Sandbox, origin: str) -> None:
    answer = call(sandbox, "client.connect_wallet", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"], "Authorization" in answer.headers) == (400, 3001, False)
    assert call(sandbox, "client.connect_wallet", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_a_network_with_cometbft_answers_with_its_error_and_a_null_chain_with_a_hash(sandbox: Sandbox) -> None:
    """As recorded in `second_network/wallet-network.json`; the order is below the default markets' minimum value."""
    with Sandbox(block_time=0, seed=11, traders=False) as network:
        for running, status in ((network, 400), (sandbox, 200)):
            response = send(running, {"orderSubmission": limit_order(running, size="1")})
            assert response.status_code == status
            if status == 400:
                error = response.json()["error"]
                assert (error["code"], error["message"]) == (1070, "Network error")
                assert error["data"].startswith("the network could not process the transaction: order value (5247888942450232.7325)")
                assert error["data"].endswith(" is less than minimum maintenance margin for spam (10000000000000000) (ABCI code 70)")
            running.block(1)
            assert not [order for order in orders_of_bot(running) if order["size"] == "1"]
