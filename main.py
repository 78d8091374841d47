"""The bot: quotes both sides of one market once a second. Its data come from the store, which the streams keep up to date.

Page: "Putting it together". `main` seeds the store and blocks in `rel.dispatch()`; `_run` quotes on a thread of its own.
To trade by a rule of your own, edit `quotes`. Everything else can stay as it is.
"""

import logging
import sys
import threading
from dataclasses import dataclass
from typing import Optional, Union

import rel

import bot.submission as sub
import bot.vega_api_client as client
import bot.vega_store as store
from bot.execution.order_manager import LOOP_INTERVAL, NoQuote, OrderManager
from bot.execution.shutdown import Shutdown
from bot.logs import exit_with_log, start_log
from bot.models import Market
from bot.settings import SettingsError, load_settings
from bot.wallet import VegaWallet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuleSettings:
    """Settings of your own, such as `skew: float = 0.5`; SKEW in `.env` or the environment replaces the default. Not on the page."""


rule_settings = RuleSettings()


# Differs from the page, where this is in the middle of the loop.
def quotes(market: Market, open_volume: float, max_abs_position: float) -> Union[list[sub.OrderSubmission], NoQuote]:
    """Choose the orders to have on the book until the next turn. They replace all earlier ones. Edit this one.

    A rule that needs more takes a fourth parameter, `vega_store`. One that has a reason not to quote returns `NoQuote("…")`.

    Args:
        market: the newest prices of the market, which is active and has orders on both sides.
        open_volume: the position in contracts, below zero if short.
        max_abs_position: the limit in contracts; sizes that could pass it are cut before they are sent.
    """
    submissions = []
    if open_volume < max_abs_position:
        submissions.append(
            sub.OrderSubmission(
                market_id=market.market_id,
                size=1,
                price=market.best_bid_price,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_BUY",
            )
        )
    if open_volume > -1 * max_abs_position:
        submissions.append(
            sub.OrderSubmission(
                market_id=market.market_id,
                size=1,
                price=market.best_offer_price,
                time_in_force="TIME_IN_FORCE_GTC",
                type="TYPE_LIMIT",
                side="SIDE_SELL",
            )
        )
    return submissions


# Not on the page.
def after_turn(market: Market, position: float, outcome: str, vega_store: store.VegaStore) -> None:
    """Do something after each turn: write a CSV, send a message. What it raises is logged, and nothing else happens."""


def _run(
    node_rest_url: str,
    market_id: str,
    party_id: str,
    token: str,
    wallet_url: str,
    vega_store: store.VegaStore,
    max_abs_position: float = 1,
    shutdown: Optional[Shutdown] = None,  # Not on the page, likewise the next two.
    dry_run: bool = False,
    loop_interval: float = LOOP_INTERVAL,
) -> None:
    shutdown = shutdown or Shutdown()
    market_info = client.get_market(node_url=node_rest_url, market_id=market_id)
    market_price_decimals = int(market_info["decimalPlaces"])
    market_pos_decimals = int(market_info["positionDecimalPlaces"])
    wallet = VegaWallet(token=token, wallet_url=wallet_url, pub_key=party_id)
    order_manager = OrderManager(wallet, vega_store, market_id, max_abs_position, shutdown, dry_run, loop_interval)

    while not shutdown.requested.is_set():
        order_manager.begin_turn()  # reads the ages first: data read later is at least this fresh
        latest_data = vega_store.get_market_by_id(market_id=market_id)
        if latest_data is None or order_manager.has_ended(latest_data):
            return

        # None until the first trade on the market.
        position = vega_store.get_position_by_market_id(market_id=market_id)
        position = position.open_volume if position is not None else 0

        # Differs from the page, which has the two `if`s here. The lines of a later page replace this one: begin with
        # `submissions = []`.
        submissions = order_manager.ask(quotes, latest_data, position)  # none if there is a reason not to quote
        batch_tx = sub.BatchMarketInstruction(
            submissions=submissions,
            cancellations=[sub.OrderCancellation(market_id=market_id)],
            amendments=[],
        )
        # Differs from the page, which sends every batch unchecked. Checks the batch, pads its numbers, and sends it to the wallet.
        order_manager.submit(batch_tx, market_price_decimals, market_pos_decimals)
        order_manager.end_turn(after_turn)  # one log line, then the rest of the second


def main(
    node_rest_url: str,
    node_ws_url: str,
    market_id: str,
    party_id: str,
    token: str,
    wallet_url: str,
    max_abs_position: float = 1,
    dry_run: bool = False,
    loop_interval: float = LOOP_INTERVAL,
) -> int:
    """Run the bot until it is told to stop, its market ends or something breaks.

    Args:
        dry_run: send nothing, and log what would be sent.
        loop_interval: seconds from turn to turn.

    Returns:
        The process's exit status: 0, or 1 if something broke or orders are left. Differs from the page, which has none.
    """
    shutdown = Shutdown()
    shutdown.install_signal_handlers()
    vega_store = store.VegaStore(websocket_url=node_ws_url, rest_api_url=node_rest_url)
    if not shutdown.start(vega_store, market_id=market_id, party_id=party_id):  # vega_store.start, tried for half a minute
        return shutdown.status

    run_thread = threading.Thread(
        target=shutdown.run_guarded,
        args=(_run,),
        kwargs={
            "node_rest_url": node_rest_url,
            "market_id": market_id,
            "party_id": party_id,
            "token": token,
            "wallet_url": wallet_url,
            "max_abs_position": max_abs_position,
            "vega_store": vega_store,
            "shutdown": shutdown,
            "dry_run": dry_run,
            "loop_interval": loop_interval,
        },
        daemon=True,
    )
    # Run the event loop until Ctrl+C, SIGTERM, or the end of the loop thread.
    with shutdown.guard():
        run_thread.start()
        rel.dispatch()
    wallet = VegaWallet(token=token, wallet_url=wallet_url, pub_key=party_id)
    shutdown.leave_no_orders(run_thread, wallet, vega_store, node_rest_url, market_id, party_id, dry_run)
    vega_store.stop()
    return shutdown.status


if __name__ == "__main__":
    # Differs from the page, which reads `os.environ`: settings are checked before anything starts. The log hides the token.
    try:
        settings, rule_settings = load_settings(RuleSettings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    log = start_log(settings.log_level, settings.token)
    try:
        status = main(
            node_rest_url=settings.node_rest_url,
            node_ws_url=settings.node_ws_url,
            market_id=settings.market_id,
            token=settings.token,
            party_id=settings.party_id,
            wallet_url=settings.wallet_url,
            max_abs_position=settings.max_abs_position,
            dry_run=settings.dry_run,
            loop_interval=settings.loop_interval,
        )
    except Exception:
        logger.exception("The bot failed")
        status = 1
    exit_with_log(log, status)
