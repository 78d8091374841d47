"""The recipes: each patch applies to main.py, and the bot then trades on the sandbox as the recipe says."""

import csv
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

import bot.submission as sub
from bot.execution.order_manager import NoQuote
from bot.models import Market
from bot.vega_store import VegaStore
from bot.wallet import VegaWallet
from tests.backtest.engine import play
from tests.sandbox import Sandbox
from tests.support import example_rule
from tests.support.live_sandbox import TURN, live_on, turns
from tests.support.processes import ROOT, BotProcess, Process
from tests.support.settings import sandbox_settings
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("healthy")
RECIPES = Path(__file__).parent
BLOCKS = 30
GTT_LIFETIME = 10  # s of chain time
ERROR = r"Traceback|failed|STATUS_REJECTED|ORDER_ERROR"


def height(sandbox: Sandbox) -> int:
    found: int = sandbox.call(lambda box: box.chain.height)
    return found


def patched(folder: Path, name: str) -> str:
    """Apply a recipe to a copy of main.py; return its path."""
    (folder / "main.py").write_text((ROOT / "main.py").read_text())
    subprocess.run(["git", "apply", str(RECIPES / f"{name}.patch")], cwd=folder, check=True)
    return str(folder / "main.py")


def started(sandbox: Sandbox, market_id: str, folder: Path, name: str, **changes: str) -> BotProcess:
    settings = {"PYTHONPATH": str(ROOT), "LOOP_INTERVAL": "0.1", **changes}
    return BotProcess(sandbox, market_id, command=(patched(folder, name),), **settings)


def run_for_blocks(sandbox: Sandbox, market_id: str, bot: Process) -> None:
    """Wait for the first quote, and then for thirty blocks; nothing may go wrong in them."""
    bot.wait_for(r"\| quoted$")
    end = height(sandbox) + BLOCKS
    wait_until(lambda: height(sandbox) >= end, timeout=60)
    bot.wait_for(TURN.pattern, after=len(bot.lines))


def assert_ended_well(sandbox: Sandbox, market_id: str, bot: BotProcess) -> None:
    assert bot.stop() == 0, bot.output
    assert [line for line in bot.lines if any(word in line for word in ERROR.split("|"))] == []
    assert live_on(sandbox, market_id) == []


def test_every_recipe_has_a_test() -> None:
    names = {path.stem for path in RECIPES.glob("*.patch")} | {path.stem for path in RECIPES.glob("*.sh")}
    assert names == {"three_levels", "skew", "two_markets", "keep_your_place", "csv", "die_with_the_bot"}


def test_three_levels_put_three_orders_on_each_side(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with started(sandbox, future, tmp_path, "three_levels") as bot:
        run_for_blocks(sandbox, future, bot)
        bot.wait_for(r"\| [3-6] live orders \|")
        assert_ended_well(sandbox, future, bot)


def test_a_bot_with_the_skew_quotes_around_the_prices_of_the_others(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with started(sandbox, future, tmp_path, "skew", SKEW="0.0005") as bot:
        run_for_blocks(sandbox, future, bot)
        assert_ended_well(sandbox, future, bot)


def test_the_skew_is_a_part_of_the_middle_price_per_contract(tmp_path: Path) -> None:
    class Prices(VegaStore):
        best: Optional[tuple[float, float]] = None

        def get_best_prices_without_us(self, market_id: str) -> Optional[tuple[float, float]]:
            return self.best

    rule, store = runpy.run_path(patched(tmp_path, "skew"))["quotes"], Prices("", "")
    market = Market("aa" * 32, "STATE_ACTIVE", "TRADING_MODE_CONTINUOUS", 5, 3, "", "", "", best_bid_price=98, best_offer_price=99)
    for store.best in (None, (0.0, 101.0)):
        assert rule(market, 0.0, 2.0, store) == NoQuote("the best prices of the others are unknown")
    store.best = (99.0, 101.0)
    assert [order.price for order in rule(market, 0.0, 2.0, store)] == pytest.approx([99.97, 100.03])
    assert [order.price for order in rule(market, 1.0, 2.0, store)] == pytest.approx([99.95, 100.01])
    assert [order.price for order in rule(market, -1.0, 2.0, store)] == pytest.approx([99.99, 100.05])


def test_the_skew_is_ahead_of_the_rule_of_the_tutorial(tmp_path: Path) -> None:
    skewed = runpy.run_path(patched(tmp_path, "skew"))["quotes"]
    leads = [play(skewed, [seed], 300)[0].pnl - play(example_rule.quotes, [seed], 300)[0].pnl for seed in (1, 2, 3)]
    assert min(leads) > 0


def test_an_order_that_keeps_its_place_is_not_sent_again_and_the_limit_is_hard(sandbox: Sandbox, tmp_path: Path) -> None:
    perpetual = sandbox.markets["perpetual"]  # where no other test has left a position above the limit
    with started(sandbox, perpetual, tmp_path, "keep_your_place") as bot:
        run_for_blocks(sandbox, perpetual, bot)
        bot.wait_for(r"\| quotes kept$")
        assert max(abs(float(turn["position"])) for turn in turns(bot)) <= 1
        assert_ended_well(sandbox, perpetual, bot)


def test_a_dry_run_shows_which_orders_it_would_amend(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    order = sub.OrderSubmission(future, 0.5, 50.0, "TIME_IN_FORCE_GTC", "TYPE_LIMIT", "SIDE_BUY")  # far from the market
    wallet = VegaWallet(sandbox.token, sandbox.wallet_url, sandbox.parties["bot"])
    wallet.submit_transaction(sub.instruction_to_json(sub.BatchMarketInstruction([order], [], []), 5, 3))
    wait_until(lambda: live_on(sandbox, future))
    (order_id,) = [node["id"] for node in live_on(sandbox, future)]
    with started(sandbox, future, tmp_path, "keep_your_place", DRY_RUN="true", MAX_ABS_POSITION="10") as bot:
        bot.wait_for(rf"would quote: amend {order_id} to [0-9.]+, sell [0-9.]+ at [0-9.]+$")
        assert bot.stop() == 0
    assert [node["price"] for node in live_on(sandbox, future)] == ["5000000"]
    cancel_all = sub.BatchMarketInstruction([], [sub.OrderCancellation(future)], [])
    wallet.submit_transaction(sub.instruction_to_json(cancel_all, 5, 3))
    wait_until(lambda: live_on(sandbox, future) == [])


def test_every_fill_is_a_row_of_the_csv_those_during_an_outage_of_the_stream_too(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    def fills() -> list[Any]:
        """Return the bot's trades on the chain since the start of the test, oldest first."""
        trades = sandbox.call(lambda box: [trade for _, trade in box.node.trades.newest_first([future], [box.parties["bot"]], [])])
        return [trade for trade in reversed(trades) if trade.timestamp > start]

    def rows() -> list[list[str]]:
        return list(csv.reader(path.read_text().splitlines())) if path.exists() else []

    path = tmp_path / "fills.csv"
    start = sandbox.call(lambda box: box.chain.time)
    with Process([sys.executable, patched(tmp_path, "csv")], csv_settings(sandbox, future), cwd=tmp_path) as bot:
        bot.wait_for(r"\| quoted$")
        wait_until(lambda: len(rows()) >= 3, timeout=60, message=bot.output)
        sandbox.fail_handshakes(404)
        sandbox.drop_streams("reset", "trades")
        bot.wait_for("stream trades: connection lost")
        filled = len(fills())
        wait_until(lambda: len(fills()) >= filled + 3, timeout=60)
        sandbox.fail_handshakes(None)
        filled = len(fills())
        wait_until(lambda: len(rows()) >= filled, timeout=60, message=bot.output)
        bot.signal(signal.SIGINT)
        assert bot.finish() == 0
    unit, size_unit = sandbox.call(
        lambda box: (10 ** box.chain.markets[future].price_decimals, 10 ** box.chain.markets[future].size_decimals)
    )
    party_id = sandbox.parties["bot"]
    expected = [
        [str(one.timestamp), "buy" if one.buyer == party_id else "sell", str(one.price / unit), str(one.size / size_unit)]
        for one in fills()
    ]
    written = [row[:4] for row in rows()]
    assert len(written) >= filled
    assert sorted(written) == sorted(expected[: len(written)])  # a fill of the last block may be missing
    assert all(float(fee) >= 0 and abs(float(position)) <= 2 for *_, fee, position, _ in rows())
    assert "after_turn() failed" not in bot.output


def csv_settings(sandbox: Sandbox, market_id: str) -> dict[str, str]:
    return sandbox_settings(sandbox, market_id, PYTHONPATH=str(ROOT), LOOP_INTERVAL="0.1")


def test_quotes_that_expire_leave_the_book_after_a_crash(sandbox: Sandbox, future: str, tmp_path: Path) -> None:
    with started(sandbox, future, tmp_path, "die_with_the_bot") as bot:
        run_for_blocks(sandbox, future, bot)
        bot.wait_for(r"\| [12] live orders? \|", after=len(bot.lines))
        bot.signal(signal.SIGKILL)
        bot.finish()
        orders: list[Any] = live_on(sandbox, future)
        assert all(order["timeInForce"] == "TIME_IN_FORCE_GTT" and int(order["expiresAt"]) > 0 for order in orders)
        wait_until(lambda: live_on(sandbox, future) == [], timeout=4 * GTT_LIFETIME)
    assert [line for line in bot.lines if any(word in line for word in ERROR.split("|"))] == []


def test_two_markets_are_two_processes_on_one_key(sandbox: Sandbox, future: str) -> None:
    markets = [future, sandbox.markets["perpetual"]]
    settings = {**sandbox_settings(sandbox, future), "LOOP_INTERVAL": "0.1", "PYTHON": sys.executable}
    with Process([str(RECIPES / "two_markets.sh"), *markets], settings) as bots:
        for market_id in markets:
            wait_until(lambda market_id=market_id: live_on(sandbox, market_id), timeout=60, message=bots.output)  # type: ignore[misc]
        end = height(sandbox) + BLOCKS
        wait_until(lambda: height(sandbox) >= end, timeout=60)
        bots.signal(signal.SIGTERM)
        assert bots.finish() == 0
    assert [line for line in bots.lines if any(word in line for word in ERROR.split("|"))] == []
    assert len([line for line in bots.lines if "Stopped: no open orders left on the market" in line]) == 2
    assert [live_on(sandbox, market_id) for market_id in markets] == [[], []]
