"""The panel of switches on the page, made from the control table itself, so that none can be forgotten.

What is here besides: what to choose from, what to begin with, and what the reader of the tutorial should watch meanwhile.
"""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Optional, get_args

from tests.sandbox.chain.commands import ENUMS
from tests.sandbox.chain.market import SUSPENDED_STATE
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.control import CONTROLS, DISCONNECT_MODES, STREAMS, Controls

CHOICES = {  # parameter -> what it can be
    "side": (BUY, SELL),
    "stream": STREAMS,
    "how": DISCONNECT_MODES,
    "reason": tuple(ENUMS["OrderError"]),
    "state": tuple(ENUMS["Market.State"]),
    "trading_mode": tuple(ENUMS["Market.TradingMode"]),
}


class Advice(NamedTuple):
    group: str  # of the panel
    watch: str  # one sentence: what the reader of the tutorial sees while it is on
    begin: Mapping[str, str] = MappingProxyType({})  # parameter -> what stands there at first


ADVICE = {
    "suspend": Advice("Market", "The bot's line ends in “no quote: market is STATE_SUSPENDED_VIA_GOVERNANCE”, and its quotes are pulled."),
    "resume": Advice("Market", "The bot quotes again from its next turn on; what crossed meanwhile trades at one price."),
    "empty_side": Advice("Market", "That best price becomes 0, and the bot waits: “a side of the book is empty”.", {"side": SELL}),
    "refill_side": Advice("Market", "Both best prices are back, and the bot quotes again.", {"side": SELL}),
    "reject_orders": Advice(
        "Market",
        "The wallet takes every batch, yet each order comes back as STATUS_REJECTED over the stream; after ten the bot slows down.",
        {"reason": "ORDER_ERROR_MARGIN_CHECK_FAILED"},
    ),
    "set_state": Advice(
        "Market",
        "The bot's line names state and mode; in a final state, such as STATE_SETTLED, it stops for good.",
        {"state": "STATE_SUSPENDED", "trading_mode": "TRADING_MODE_MONITORING_AUCTION"},
    ),
    "drop_streams": Advice(
        "Streams", "The bot says “stream … lost” and dials again; each new connection begins with a new snapshot.", {"how": "reset"}
    ),
    "silence_streams": Advice(
        "Streams",
        "Connections stay open and nothing comes: without market data the bot must stop quoting within five seconds.",
        {"on": "true"},
    ),
    "fail_handshakes": Advice(
        "Streams", "Open streams go on; one that drops cannot come back until this ends. Drop them to see it.", {"status": "503"}
    ),
    "delay_rest": Advice(
        "REST and wallet", "A running bot does not notice, for it reads its store; one that starts now starts late.", {"seconds": "2"}
    ),
    "fail_rest": Advice(
        "REST and wallet",
        "The streams keep a running bot going; one that starts now tries again, then says which call failed.",
        {"status": "503"},
    ),
    "delay_wallet": Advice(
        "REST and wallet",
        "Turns take longer; past three seconds the bot gives the call up, though it is still carried out.",
        {"seconds": "2"},
    ),
    "fail_wallet": Advice(
        "REST and wallet", "Each turn ends in “no quote: wallet: …”, and the quotes that rest stay as they were.", {"status": "401"}
    ),
    "lose_transactions": Advice(
        "REST and wallet",
        "The wallet accepts a batch that the network never executes: old quotes stay, and new ones do not appear.",
        {"count": "1"},
    ),
    "delay_transactions": Advice(
        "REST and wallet",
        "The wallet answers at once, but orders appear late, also after the bot has ended.",
        {"seconds": "2"},
    ),
    "pause_chain": Advice(
        "Blocks and reset",
        "No new blocks; REST, pings and the wallet answer. After five seconds the bot reports old data and stops quoting.",
        {"seconds": "10"},
    ),
    "hold_blocks": Advice(
        "Blocks and reset",
        "No block, no market data: after five seconds the bot says that its data are old, and pulls its quotes.",
        {"on": "true"},
    ),
    "block": Advice(
        "Blocks and reset", "So many blocks at once; the bot quotes on the newest and never sees most of the others.", {"count": "1"}
    ),
    "reset": Advice("Blocks and reset", "Everything heals: within seconds all four streams are open and the bot's line ends in “quoted”."),
}


def table() -> list[dict[str, Any]]:
    """Return every control: name, group, what it does, what to watch, and its parameters in order."""
    rows = []
    for name, method in sorted(CONTROLS.items(), key=lambda entry: _rank(entry[0])):
        advice = ADVICE.get(name, Advice("Other", ""))
        parameters = list(inspect.signature(method).parameters.values())[1:]  # without self
        rows.append(
            {
                "name": name,
                "title": name.replace("_", " ").capitalize().replace("rest", "REST"),
                "group": advice.group,
                "about": inspect.getdoc(method) or "",
                "watch": advice.watch,
                "parameters": [_parameter(parameter, advice.begin) for parameter in parameters],
            }
        )
    return rows


def _rank(name: str) -> int:
    """The order of ADVICE; what is not in there comes last."""
    return list(ADVICE).index(name) if name in ADVICE else len(ADVICE)


def _parameter(parameter: inspect.Parameter, begin: Mapping[str, str]) -> dict[str, Any]:
    kinds = {parameter.annotation, *get_args(parameter.annotation)}
    choices = ("true", "false") if bool in kinds else CHOICES.get(parameter.name, ())
    number = "integer" if int in kinds else "number" if float in kinds else ""
    return {
        "name": parameter.name,
        "kind": "choice" if choices else number or ("market" if parameter.name == "market" else "text"),
        "choices": choices,
        "optional": parameter.default is not parameter.empty,
        "begin": begin.get(parameter.name, ""),
    }


def faults(sandbox: Controls) -> list[dict[str, Any]]:
    """Return what is active now: which control did it, in words, what to watch, and the call that ends it."""
    faults_on, chain = sandbox.faults, sandbox.chain
    found = []
    for market in chain.markets.values():
        if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
            name = "suspend" if market.state == SUSPENDED_STATE else "set_state"
            agree = market.state.removeprefix("STATE_") == market.trading_mode.removeprefix("TRADING_MODE_")
            words = market.state if agree else f"{market.state}, {market.trading_mode}"
            found.append(_fault(name, f"{market.name} is {words}", "resume", market=market.id))
    for market_id, side in sorted(chain.emptied_sides):
        words = f"{chain.markets[market_id].name} has no {'bids' if side == BUY else 'offers'}"
        found.append(_fault("empty_side", words, "refill_side", market=market_id, side=side))
    if chain.reject_orders:
        found.append(
            _fault("reject_orders", f"Every new order but those of the traders is rejected with {chain.reject_orders}", "reject_orders")
        )
    for stream in sorted(faults_on.silent_streams):
        found.append(_fault("silence_streams", f"The stream {stream} is silent", "silence_streams", stream=stream, on="false"))
    if faults_on.hold_blocks:
        found.append(_fault("hold_blocks", "No blocks are made", "hold_blocks", on="false"))
    if faults_on.pause_left:
        found.append(_fault("pause_chain", "The chain is paused", "pause_chain", seconds="0"))
    if faults_on.transactions_to_lose:
        words = f"The next {faults_on.transactions_to_lose} transactions are lost"
        found.append(_fault("lose_transactions", words, "lose_transactions", count="0"))
    for name, value, words in (
        ("fail_handshakes", faults_on.stream_status, "New streams are refused with HTTP {}"),
        ("delay_rest", faults_on.rest_delay, "REST answers {:g} s late"),
        ("fail_rest", faults_on.rest_status, "REST fails with HTTP {}"),
        ("delay_wallet", faults_on.wallet_delay, "The wallet answers {:g} s late"),
        ("fail_wallet", faults_on.wallet_status, "The wallet fails with HTTP {}"),
        ("delay_transactions", faults_on.transaction_delay, "Transactions reach the chain {:g} s late"),
    ):
        if value:
            found.append(_fault(name, words.format(value), name))
    return found


def _fault(name: str, words: str, healing: str, **parameters: str) -> dict[str, Any]:
    advice: Optional[Advice] = ADVICE.get(name)
    return {"name": name, "words": words, "watch": advice.watch if advice else "", "end": {"name": healing, "parameters": parameters}}
