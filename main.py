"""The bot: quotes both sides of one market, once a second, from what the streams keep in the store.

Page: "Putting it together". `main` seeds the store and blocks in `rel.dispatch()`; `_run` quotes on a thread of its own.
To trade by a rule of your own, edit `quotes`; everything else may stay as it is.
"""

# ruff: noqa: E402
import os
import signal


def _stop_early(number: int, frame: object) -> None:
    os.write(2, b"Stopped while starting; nothing was sent\n")
    os._exit(0)


if __name__ == "__main__":  # before the imports, which take a while: a shell may have started us with SIGINT ignored
    signal.signal(signal.SIGINT, _stop_early)
    signal.signal(signal.SIGTERM, _stop_early)

import logging
import math
import sys
import threading
import time
from decimal import Decimal
from typing import Any, Optional

import rel

import bot.submission as sub
import bot.vega_api_client as client
import bot.vega_store as store
from bot.execution.pre_trade_checks import (
    ENDED,
    LONGEST_AGE,
    TURNS_TO_TRY_AGAIN,
    as_orders,
    check_steps,
    reason_not_to_quote,
    reason_to_wait,
)
from bot.execution.shutdown import Life, clear_market, install_signal_handlers, start
from bot.logs import exit_with_log, start_log
from bot.models import Market
from bot.parsing import ParseError
from bot.settings import SettingsError, load_settings
from bot.wallet import VegaWallet, WalletError

logger = logging.getLogger(__name__)

PERIOD = 1.0  # seconds from turn to turn
MOST_FAILURES = 10  # of quotes(), in a row


# Differs from the page, where this is in the middle of the loop.
def quotes(market: Market, open_volume: float, max_abs_position: float) -> list[sub.OrderSubmission]:
    """Choose the orders to have on the book until the next turn; they replace all earlier ones. Edit this one.

    Args:
        market: the market's newest prices, both sides of the book there; ACTIVE and in CONTINUOUS trading.
        open_volume: our position in contracts, below zero when short.
        max_abs_position: contracts; filling an order returned here must not take us beyond, either way.
    """
    submissions = []
    for side, price, room in (
        ("SIDE_BUY", market.best_bid_price, Decimal(str(max_abs_position)) - Decimal(str(open_volume))),
        ("SIDE_SELL", market.best_offer_price, Decimal(str(max_abs_position)) + Decimal(str(open_volume))),
    ):
        # Differs from the page, which quotes a whole 1 as long as there is any room: a maximum of 1 let 1.999 happen.
        steps = math.floor(min(Decimal(1), room).scaleb(market.position_decimal_places))  # sizes come in these
        if steps > 0:
            submissions.append(
                sub.OrderSubmission(
                    market_id=market.market_id,
                    size=sub.convert_to_decimals(market.position_decimal_places, steps),
                    price=price,
                    time_in_force="TIME_IN_FORCE_GTC",
                    type="TYPE_LIMIT",
                    side=side,
                )
            )
    return submissions


def _run(
    node_rest_url: str,
    market_id: str,
    party_id: str,
    token: str,
    wallet_url: str,
    vega_store: store.VegaStore,
    max_abs_position: float = 1,
    life: Optional[Life] = None,
) -> None:
    life = life or Life()
    market_info = client.get_market(node_url=node_rest_url, market_id=market_id)
    market_price_decimals = int(market_info["decimalPlaces"])
    market_pos_decimals = int(market_info["positionDecimalPlaces"])
    wallet = VegaWallet(token=token, wallet_url=wallet_url, pub_key=party_id)
    base_balance = _base_balance(vega_store, market_id)
    on_book = False  # whether quotes of ours may rest there
    failures = 0  # turns in a row in which quotes() raised
    turn = 0

    while not life.stop.is_set():
        began = time.monotonic()
        age = vega_store.seconds_since_update(market_id=market_id)  # first: what is read after it is no older
        latest_data = vega_store.get_market_by_id(market_id=market_id)
        if latest_data is None or latest_data.state in ENDED:  # Differs from the page, which goes on for ever.
            logger.info("Market %s is %s: nothing is left to quote", market_id, latest_data and latest_data.state)
            return

        held = vega_store.get_position_by_market_id(market_id=market_id)
        position = held.open_volume if held is not None else 0
        if latest_data.base_asset_id:  # Differs from the page, which knows no spot markets: those have no positions.
            position = round(_base_balance(vega_store, market_id) - base_balance, market_pos_decimals) + 0.0  # no -0.0

        turn += 1
        # Differs from the page, which quotes whatever it holds, and sends again each turn what the network refuses.
        reason, pull = reason_not_to_quote(latest_data, age, vega_store.seconds_since_position(market_id))
        if not reason and turn % TURNS_TO_TRY_AGAIN:
            reason = reason_to_wait(*vega_store.get_refusals(market_id))
        try:
            submissions = [] if reason else as_orders(quotes(latest_data, position, max_abs_position), market_id)
            batch_tx = sub.BatchMarketInstruction(
                submissions=submissions,
                cancellations=[sub.OrderCancellation(market_id=market_id)],  # also of what an unanswered call has left
                amendments=[],
            )
            transaction = sub.instruction_to_json(
                instruction=batch_tx,
                price_decimals=market_price_decimals,
                position_decimals=market_pos_decimals,
                tick_size=latest_data.tick_size,
            )
            check_steps(submissions, transaction)
            failures = 0
            if submissions and age + time.monotonic() - began > LONGEST_AGE:
                submissions, reason = [], f"data grew older than {LONGEST_AGE:.0f} s while quotes() worked"
        except Exception:  # quotes() is where newcomers write
            failures += 1
            if failures == MOST_FAILURES:
                logger.error("quotes() failed %d times in a row, so the bot ends", failures)
                raise
            logger.exception("quotes() failed, so this turn is skipped")
            submissions, reason, pull = [], "quotes() failed", False

        if life.stop.is_set():  # quotes() took longer than main waits for a turn: what is sent now comes behind main's cancel
            return
        outcome = "quoted"
        if not submissions:
            reason, pull = (reason, pull) if reason else ("quotes() wants no orders", True)
            outcome = f"no quote: {reason}"
        if submissions or (pull and (on_book or life.more_may_come())):
            sent_before = life.sent.is_set()
            life.sent.set()  # before: main may have to end while the wallet hangs
            try:
                wallet.submit_transaction(transaction)
                on_book = bool(submissions)
            except WalletError as error:
                on_book = on_book or error.may_be_carried_out
                if error.unanswered:
                    life.unanswered_at = time.monotonic()
                if not sent_before and not error.may_be_carried_out:
                    life.sent.clear()
                outcome = f"no quote: {reason}, and its quotes stay: {error}" if reason else f"no quote: {error}"

        # Differs from the page, which prints five lines and does not know what came of them.
        live_orders = sum(order.market_id == market_id for order in vega_store.get_orders())
        logger.info(
            "Latest prices are %s - %s | Position is %s | %d live orders | data %.1f s old | %s",
            _plain(latest_data.best_bid_price),
            _plain(latest_data.best_offer_price),
            _plain(position),
            live_orders,
            age,
            outcome,
        )
        # Differs from the page, which sleeps a whole second on top of what the wallet took.
        life.stop.wait(max(0.0, began + PERIOD - time.monotonic()))


def _base_balance(vega_store: store.VegaStore, market_id: str) -> float:
    """Return what we have of a spot market's base asset, also what resting orders hold; 0 on other markets."""
    market = vega_store.get_market_by_id(market_id=market_id)
    if market is None or not market.base_asset_id:
        return 0.0
    return math.fsum(account.balance for account in vega_store.get_accounts() if account.asset_id == market.base_asset_id)


def _plain(number: float) -> str:
    """Return a number as people write it: 0.00001, not 1e-05."""
    return f"{Decimal(repr(number)).normalize():f}"


def main(
    node_rest_url: str,
    node_ws_url: str,
    market_id: str,
    party_id: str,
    token: str,
    wallet_url: str,
    max_abs_position: float = 1,
) -> int:
    """Run the bot until it is told to stop, its market ends or something breaks.

    Returns:
        The process's exit status (the page has none): 0, or 1 where something broke or orders of ours are left.
    """
    life = Life()
    install_signal_handlers(life)
    vega_store = store.VegaStore(websocket_url=node_ws_url, rest_api_url=node_rest_url)
    try:
        start(vega_store, market_id, party_id)
        life.starting = False  # in here: from now on a signal raises nothing
    except (client.VegaApiError, ParseError) as error:
        logger.error("Cannot start: %s", error)
        return 1
    except KeyboardInterrupt:
        logger.info("Stopped while starting; nothing was sent")
        return 0

    run_thread = threading.Thread(
        target=_run_guarded,
        kwargs={
            "node_rest_url": node_rest_url,
            "market_id": market_id,
            "party_id": party_id,
            "token": token,
            "wallet_url": wallet_url,
            "max_abs_position": max_abs_position,
            "vega_store": vega_store,
            "life": life,
        },
        daemon=True,
    )
    run_thread.start()

    _dispatch(life, run_thread)
    left, words = clear_market(life, run_thread, VegaWallet(token, wallet_url, party_id), node_rest_url, market_id, party_id)
    vega_store.stop()
    logger.log(logging.ERROR if left else logging.INFO, "Stopped: %s", words)
    return 1 if left or life.failed else 0


def _dispatch(life: Life, run_thread: threading.Thread) -> None:
    """Run the event loop until Ctrl+C or SIGTERM, or until the loop thread has ended.

    Differs from the page, where the process lives on without its loop thread. A rel timer looks, since rel.abort() must
    not come from another thread, nor from a signal handler in the middle of rel's loop.
    """
    rel.timeout(0.05, lambda: rel.abort() if life.signalled or not run_thread.is_alive() else True)
    try:
        rel.dispatch()
    except Exception:
        life.failed = True
        logger.exception("A stream's callback failed")
        rel.abort()


def _run_guarded(life: Life, **kwargs: Any) -> None:
    """Run the loop; whatever ends it ends the process too, since main looks whether the thread lives."""
    try:
        _run(life=life, **kwargs)
    except client.VegaApiError as error:
        life.failed = True
        logger.error("Cannot quote: %s", error)
    except BaseException:  # quotes() may even have called sys.exit
        life.failed = True
        logger.exception("The loop failed")


if __name__ == "__main__":
    try:
        settings = load_settings()
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
            max_abs_position=1,
        )
    except Exception:
        logger.exception("The bot failed")
        status = 1
    exit_with_log(log, status)
