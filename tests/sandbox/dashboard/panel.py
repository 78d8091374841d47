"""The panel of controls on the page. It is generated from the table of controls, so no control can be missing.

This module adds the choices of each parameter, its first value, and a hint: what a reader of the tutorial sees while the fault is on.
"""

import inspect
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from tests.sandbox.chain.commands import ENUMS
from tests.sandbox.chain.market import SUSPENDED_STATE
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.control import CONTROLS, STREAMS, Controls
from tests.sandbox.node.subscription import DISCONNECT_MODES

CHOICES = {  # parameter -> its possible values
    "side": (BUY, SELL),
    "stream": STREAMS,
    "how": DISCONNECT_MODES,
    "reason": tuple(ENUMS["OrderError"]),
    "state": tuple(ENUMS["Market.State"]),
    "trading_mode": tuple(ENUMS["Market.TradingMode"]),
}


class Hint(NamedTuple):
    """What the panel says about a control."""

    group: str  # heading in the panel
    text: str  # one sentence: what the reader of the tutorial sees while the fault is on; quotes are the bot's log lines
    initial: Mapping[str, str] = MappingProxyType({})  # parameter -> its first value in the form


HINTS = {  # in the order of the panel
    "suspend": Hint("Market", "The bot cancels its quotes. Its line ends in “no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE”."),
    "resume": Hint("Market", "Orders that crossed during the suspension trade at one price. The bot quotes again from its next turn."),
    "empty_side": Hint(
        "Market", "The best price becomes 0. The bot's line ends in “no quote: a side of the book is empty”.", {"side": SELL}
    ),
    "refill_side": Hint("Market", "Both best prices are back, and the bot quotes again.", {"side": SELL}),
    "reject_orders": Hint(
        "Market",
        "The wallet accepts the batch, but each order arrives as STATUS_REJECTED on the stream. After ten, the bot tries every 10th turn.",
        {"reason": "ORDER_ERROR_MARGIN_CHECK_FAILED"},
    ),
    "set_state": Hint(
        "Market",
        "The bot's line names the state and the trading mode. In a final state, such as STATE_SETTLED, the bot ends.",
        {"state": "STATE_SUSPENDED", "trading_mode": "TRADING_MODE_MONITORING_AUCTION"},
    ),
    "update_market": Hint(
        "Market",
        "The bot reads the market's terms again within a minute, or after a rejection. Until then its prices may be rejected.",
        {"tick_size": "10", "price_decimals": "5"},
    ),
    "drop_streams": Hint(
        "Streams",
        "The bot logs “connection lost (…), reconnecting in 5 s” for each stream. Each new connection starts with a new snapshot.",
        {"how": "reset"},
    ),
    "silence_streams": Hint(
        "Streams",
        "Connections stay open but carry no frames. Without market data for five seconds, the bot stops quoting and reconnects.",
        {"on": "true"},
    ),
    "fail_handshakes": Hint(
        "Streams",
        "Open streams are not affected. A stream that disconnects cannot reconnect: use “Drop streams” to see it.",
        {"status": "503"},
    ),
    "delay_rest": Hint(
        "REST and wallet", "A running bot is not affected, because it reads its store. A bot that starts now starts late.", {"seconds": "2"}
    ),
    "fail_rest": Hint(
        "REST and wallet",
        "A running bot is not affected, because it has its streams. A bot that starts now retries, then logs “Cannot start: …”.",
        {"status": "503"},
    ),
    "delay_wallet": Hint(
        "REST and wallet",
        "Turns take longer. After three seconds the bot stops waiting, but the wallet still executes the call.",
        {"seconds": "2"},
    ),
    "fail_wallet": Hint(
        "REST and wallet", "Every turn ends in “no quote: wallet: …”. The orders on the book stay as they were.", {"status": "401"}
    ),
    "lose_transactions": Hint(
        "REST and wallet",
        "The wallet accepts a batch that the network never executes: old quotes stay, and new ones do not appear.",
        {"count": "1"},
    ),
    "delay_transactions": Hint(
        "REST and wallet",
        "The wallet answers at once, but orders appear late, also after the bot has ended.",
        {"seconds": "2"},
    ),
    "pause_chain": Hint(
        "Blocks and reset",
        "No new blocks; REST, pings and the wallet answer. The bot's line ends in “no quote: data is older than 5 s”.",
        {"seconds": "10"},
    ),
    "hold_blocks": Hint(
        "Blocks and reset",
        "No blocks, so no market data. The bot cancels its quotes; its line ends in “no quote: data is older than 5 s”.",
        {"on": "true"},
    ),
    "block": Hint("Blocks and reset", "All blocks come at once. The bot quotes on the newest one and misses most others.", {"count": "1"}),
    "reset": Hint("Blocks and reset", "All faults end; positions and money stay. Within seconds the bot's line ends in “quoted” again."),
    "start_round": Hint(
        "Rounds", "All positions are marked to the market, and every PnL starts at zero. The clock is chain time.", {"minutes": "5"}
    ),
    "end_round": Hint("Rounds", "The results stay in the ranking until the next round starts, and in the file rounds.csv."),
    "reissue_code": Hint("Participants", "The participant can use the new code at /join. Do it when the projector shows another page."),
}
ROOM_CONTROLS = ("reissue_code",)  # shown in rooms only
NO_HINT = Hint("Other", "")


def control_table(participants: Collection[str]) -> list[dict[str, Any]]:
    """Return every control: name, title, group, description, hint, and its parameters in order; those of a room in rooms only."""
    rows = []
    for name, method in sorted(CONTROLS.items(), key=lambda entry: _position(entry[0])):
        if name in ROOM_CONTROLS and not participants:
            continue
        hint = HINTS.get(name, NO_HINT)
        parameters = list(inspect.signature(method).parameters.values())[1:]  # without self
        rows.append(
            {
                "name": name,
                "title": name.replace("_", " ").capitalize().replace("rest", "REST"),
                "group": hint.group,
                "description": inspect.getdoc(method) or "",
                "hint": hint.text,
                "parameters": [_parameter(parameter, hint.initial, participants) for parameter in parameters],
            }
        )
    return rows


def _position(name: str) -> int:
    """Return the position of a control in HINTS; controls without a hint come last."""
    return list(HINTS).index(name) if name in HINTS else len(HINTS)


def _parameter(parameter: inspect.Parameter, initial: Mapping[str, str], participants: Collection[str]) -> dict[str, Any]:
    types = {parameter.annotation, *get_args(parameter.annotation)}
    choices = ("true", "false") if bool in types else {**CHOICES, "party": tuple(participants)}.get(parameter.name, ())
    number = "integer" if int in types else "number" if float in types else ""
    return {
        "name": parameter.name,
        "kind": "choice" if choices else number or ("market" if parameter.name == "market" else "text"),
        "choices": choices,
        "optional": parameter.default is not parameter.empty,
        "initial": initial.get(parameter.name, ""),
    }


def active_faults(sandbox: Controls) -> list[dict[str, Any]]:
    """Return the faults that are on: the control, a description, the hint, and the control call that ends it."""
    faults, chain = sandbox.faults, sandbox.chain
    found = []
    for market in chain.markets.values():
        if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
            name = "suspend" if market.state == SUSPENDED_STATE else "set_state"
            is_same = market.state.removeprefix("STATE_") == market.trading_mode.removeprefix("TRADING_MODE_")
            state = market.state if is_same else f"{market.state}, {market.trading_mode}"
            found.append(_fault(name, f"{market.name} is {state}", "resume", market=market.id))
        if market.terms != (first := sandbox.first_terms[market.id]):
            text = f"{market.name} has tick size {market.tick_size} and {market.price_decimals} price decimals"
            parameters = {"market": market.id, "tick_size": str(first.tick_size), "price_decimals": str(first.price_decimals)}
            found.append(_fault("update_market", text, "update_market", **parameters))
    for market_id, side in sorted(chain.emptied_sides):
        text = f"{chain.markets[market_id].name} has no {'bids' if side == BUY else 'offers'}"
        found.append(_fault("empty_side", text, "refill_side", market=market_id, side=side))
    if chain.reject_orders:
        text = f"All new orders, except those of the built-in traders, are rejected with {chain.reject_orders}"
        found.append(_fault("reject_orders", text, "reject_orders"))
    if faults.silent_streams == set(STREAMS):
        found.append(_fault("silence_streams", "All streams are silent", "silence_streams", on="false"))
    for stream in sorted(faults.silent_streams) if faults.silent_streams != set(STREAMS) else ():
        found.append(_fault("silence_streams", f"The stream {stream} is silent", "silence_streams", stream=stream, on="false"))
    if faults.hold_blocks:
        found.append(_fault("hold_blocks", "No blocks are made", "hold_blocks", on="false"))
    if faults.pause_left:
        found.append(_fault("pause_chain", "The chain is paused", "pause_chain", seconds="0"))
    if faults.transactions_to_lose:
        text = f"The next {faults.transactions_to_lose} transactions are lost"
        found.append(_fault("lose_transactions", text, "lose_transactions", count="0"))
    for name, value, template in (
        ("fail_handshakes", faults.stream_status, "New streams are rejected with HTTP {}"),
        ("delay_rest", faults.rest_delay, "REST answers {:g} s late"),
        ("fail_rest", faults.rest_status, "REST fails with HTTP {}"),
        ("delay_wallet", faults.wallet_delay, "The wallet answers {:g} s late"),
        ("fail_wallet", faults.wallet_status, "The wallet fails with HTTP {}"),
        ("delay_transactions", faults.transaction_delay, "Transactions reach the chain {:g} s late"),
    ):
        if value:
            found.append(_fault(name, template.format(value), name))
    return found


def _fault(name: str, text: str, end_control: str, **parameters: str) -> dict[str, Any]:
    hint = HINTS.get(name, NO_HINT).text
    return {"name": name, "text": text, "hint": hint, "end": {"name": end_control, "parameters": parameters}}
