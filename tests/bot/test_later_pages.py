"""What the two pages after this one paste into `_run`: their lines work where the pages put them."""

import textwrap
from pathlib import Path

import pytest

import bot.vega_api_client as api
from tests.sandbox import Sandbox
from tests.support.live_sandbox import live_on
from tests.support.processes import ROOT, BotProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")

ASK = "        submissions = order_manager.ask(quotes, latest_data, position)"
AFTER_WALLET = "    order_manager = OrderManager("
AFTER_STOP = "    vega_store.stop()\n"
START = '\nif __name__ == "__main__":\n'
# As the page "External price" writes its rule: with the names of `_run`, and prices of its own.
OWN_IFS = """
    if position < max_abs_position:
        submissions.append(
            sub.OrderSubmission(
                market_id=market_id,
                size=1,
                price=latest_data.best_bid_price * 0.992,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_BUY",
            )
        )
    if position > -1 * max_abs_position:
        submissions.append(
            sub.OrderSubmission(
                market_id=market_id,
                size=1,
                price=latest_data.best_offer_price * 1.008,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_SELL",
            )
        )
"""
# As the page "Liquidity commitment" reads the store.
COMMIT = """
asset_id = vega_store.get_market_by_id(market_id=market_id).settlement_asset_id
accounts = [acc for acc in vega_store.get_accounts() if acc.account_type == "ACCOUNT_TYPE_GENERAL" and acc.asset_id == asset_id]
amount = sub.convert_from_decimals(
    decimal_places=vega_store.get_asset_by_id(asset_id=asset_id).decimal_places, number=accounts[0].balance / 4
)
commitment = {"marketId": market_id, "commitmentAmount": str(amount), "fee": "0.03"}
wallet.submit_transaction({"liquidityProvisionSubmission": commitment})
"""
UNCOMMIT = 'wallet.submit_transaction({"liquidityProvisionCancellation": {"marketId": market_id}})\n'


def own_lines(indent: int) -> str:
    return textwrap.indent(textwrap.dedent(OWN_IFS), " " * indent)


def changed_bot(sandbox: Sandbox, market_id: str, folder: Path, *changes: tuple[str, str]) -> BotProcess:
    """Start the bot with the frozen rule and with parts of its main.py replaced."""
    text = (ROOT / "main.py").read_text()
    for old, new in (*changes, (START, f"\nfrom tests.support.example_rule import quotes\n{START}")):
        assert text.count(old) == 1, f"main.py does not have this once: {old}"
        text = text.replace(old, new)
    (folder / "main.py").write_text(text)
    return BotProcess(sandbox, market_id, command=(str(folder / "main.py"),), PYTHONPATH=str(ROOT), LOOP_INTERVAL="0.25")


def wait_for_wide_quotes(sandbox: Sandbox, market_id: str) -> None:
    """Wait for one order on each side, both far from the best prices."""

    def are_wide() -> bool:
        prices = sorted(int(node["price"]) for node in live_on(sandbox, market_id))
        return len(prices) == 2 and prices[1] > 1.015 * prices[0]

    wait_until(are_wide)


def test_a_rule_written_into_the_loop_replaces_the_one_in_quotes(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with changed_bot(sandbox, future, tmp_path, (ASK, f"        submissions = []\n{own_lines(8)}")) as bot:
        wait_for_wide_quotes(sandbox, future)
        assert bot.stop() == 0
    assert live_on(sandbox, future) == []


def test_a_rule_written_into_the_loop_does_not_quote_on_a_suspended_market(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with changed_bot(sandbox, future, tmp_path, (ASK, f"        submissions = []\n{own_lines(8)}")) as bot:
        bot.wait_for(r"\| quoted$")
        sandbox.suspend("future")
        bot.wait_for(r"\| 0 live orders \| .*no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE")
        assert bot.stop() == 0


def test_a_rule_written_into_the_loop_that_wants_no_orders_cancels_those_before(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    rule = f"        submissions = []\n        if not __import__('os').path.exists({str(tmp_path / 'stop')!r}):\n{own_lines(12)}"
    with changed_bot(sandbox, future, tmp_path, (ASK, rule)) as bot:
        bot.wait_for(r"\| 2 live orders")
        (tmp_path / "stop").touch()
        bot.wait_for(r"\| 0 live orders \| .*no quote: quotes\(\) returned no orders$")
        assert bot.stop() == 0


def test_orders_added_to_those_of_quotes_are_sent(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    ask = "        submissions = order_manager.ask(lambda market, open_volume, max_abs_position: [], latest_data, position)"
    with changed_bot(sandbox, future, tmp_path, (ASK, ask), ("        batch_tx =", f"{own_lines(8)}        batch_tx =")) as bot:
        wait_for_wide_quotes(sandbox, future)
        assert bot.stop() == 0


def test_a_liquidity_commitment_is_made_after_the_wallet_and_cancelled_at_the_end(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    def bonds() -> list[int]:
        nodes = api.get_accounts(party_id=sandbox.parties["bot"], node_url=sandbox.node_url)
        return [int(node["balance"]) for node in nodes if node["type"] == "ACCOUNT_TYPE_BOND" and node["marketId"] == future]

    commit, uncommit = textwrap.indent(COMMIT, "    "), textwrap.indent(UNCOMMIT, "    ")
    changes = ((AFTER_WALLET, commit + AFTER_WALLET), (AFTER_STOP, AFTER_STOP + uncommit))
    with changed_bot(sandbox, future, tmp_path, *changes) as bot:
        bot.wait_for(r"\| quoted$")
        wait_until(lambda: any(bonds()))
        assert bot.stop() == 0
    wait_until(lambda: not any(bonds()))
