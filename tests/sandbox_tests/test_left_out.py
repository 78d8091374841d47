"""The section "What the sandbox leaves out" of tests/sandbox/README.md holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.node.subscription import PARAMETERS

SECTION = (Path(__file__).parents[1] / "sandbox" / "README.md").read_text(encoding="utf-8").partition("## What the sandbox leaves out")[2]
LEFT_OUT = re.findall("`([a-zA-Z]+)`", SECTION.partition("does nothing:")[2].partition("Markets change")[0])
ID = "ab" * 32
TRANSACTIONS: dict[str, Any] = {
    "voteSubmission": {"proposalId": ID, "value": "VALUE_YES"},
    "cancelTransfer": {"transferId": ID},
    "transfer": {
        **{"to": ID, "toAccountType": "ACCOUNT_TYPE_GENERAL", "fromAccountType": "ACCOUNT_TYPE_GENERAL"},
        **{"asset": ID, "amount": "5", "oneOff": {}},
    },
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=95, traders=False) as running:
        running.block()
        yield running


def test_the_calls_and_streams_of_the_table_are_those_of_the_data_node(sandbox: Sandbox) -> None:
    table = [line.strip("| \n").split(" | ") for line in SECTION.splitlines() if line.startswith("| `")]
    calls = {call for row in table for call in re.findall("`([^`]+)`", row[0])}
    streams = {stream for row in table for stream in re.findall("`([^`]+)`", row[1] if len(row) > 1 else "")}
    resources = sandbox.call(lambda inside: [resource.canonical for resource in inside.node.app.router.resources()])
    paths = {path.removeprefix("/api/v2/") for path in resources if path.startswith("/api/v2/")}
    assert calls == paths - {"stream/{stream}", "{path}"}
    assert streams == set(PARAMETERS)


def test_other_calls_are_not_found(sandbox: Sandbox) -> None:
    for path in ("liquidity/provisions", "candle", "statistics", "governances"):
        assert requests.get(f"{sandbox.node_url}/{path}", timeout=20).status_code == 404


def everything(inside: Any) -> Any:
    accounts = {key: account.balance for key, account in inside.chain.accounts.items()}
    return accounts, list(inside.chain.orders), {market.id: (market.state, market.terms) for market in inside.chain.markets.values()}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_the_transactions_of_the_list_are_accepted_and_do_nothing(sandbox: Sandbox, kind: str) -> None:
    before = sandbox.call(everything)
    params = {"publicKey": sandbox.parties["bot"], "sendingMode": "TYPE_SYNC", "transaction": {kind: TRANSACTIONS.get(kind, {})}}
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": params}
    headers = {"Origin": "test", "Authorization": f"VWT {sandbox.token}"}
    answer = requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=call, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    sandbox.block(2)
    assert sandbox.call(everything) == before


def test_market_data_show_the_market_after_the_transactions_of_their_block(sandbox: Sandbox) -> None:
    market_id, party_id = sandbox.markets["future"], sandbox.parties["bot"]
    order = {"marketId": market_id, "side": "SIDE_BUY", "size": "1000", "price": "9000000", "reference": "first"}
    order |= {"type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    sandbox.call(lambda inside: inside.chain.submit(party_id, {"orderSubmission": order}, strict=True))
    sandbox.block()
    data = requests.get(f"{sandbox.node_url}/market/data/{market_id}/latest", timeout=20).json()["marketData"]
    assert (data["bestBidPrice"], data["bestBidVolume"]) == ("9000000", "1000")
