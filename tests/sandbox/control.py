"""The controls, for tests and teachers: each is a method of `Sandbox`, callable from any thread, and `POST /control/<name>?<parameters>`.

`GET /control` lists the controls and the active faults.
"""

import asyncio
import functools
import inspect
import json
import math
import time
from collections.abc import Callable
from typing import Any, Concatenate, Optional, ParamSpec

from aiohttp import web

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.commands import ENUMS
from tests.sandbox.chain.market import Terms
from tests.sandbox.chain.records import BUY, SELL
from tests.sandbox.dashboard.rounds import Rounds
from tests.sandbox.faults import Faults
from tests.sandbox.node.data_node import DataNode
from tests.sandbox.node.subscription import DISCONNECT_MODES, PARAMETERS
from tests.sandbox.room.room import KEY_PARAMETER, Room

MAX_BLOCKS = 100_000  # per call; about a day of chain time
MAX_LOST_TRANSACTIONS = 1_000_000
MAX_PRICE_DECIMALS = 18
MIN_TICKS = 100  # of a market's price, so that the traders have room for their quotes
MAX_ROUND = 24 * 60.0  # minutes
STREAMS = tuple(PARAMETERS)

Parameters = ParamSpec("Parameters")
CONTROLS: dict[str, Callable[..., Any]] = {}  # by name


def control(method: Callable[Concatenate[Any, Parameters], Any]) -> Callable[Concatenate[Any, Parameters], Any]:
    """Register a method as a control. It runs on the sandbox's own thread and gets a URL under /control."""

    @functools.wraps(method)
    def run_on_loop(sandbox: Any, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
        return sandbox.call(lambda _: method(sandbox, *args, **kwargs))

    CONTROLS[method.__name__] = run_on_loop
    return run_on_loop


class WrongArgumentError(ValueError):
    """An argument of a control is invalid; the message is one line."""


class Controls:
    """The controls of a running sandbox. All of them raise WrongArgumentError."""

    chain: Chain
    first_terms: dict[str, Terms]  # of each market at the start
    node: DataNode
    faults: Faults
    rounds: Rounds
    room: Room

    def make_block(self) -> None:
        raise NotImplementedError

    def call(self, function: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    @control
    async def block(self, count: int = 1) -> None:
        """Make blocks now. The response is sent when REST shows them."""
        _require(1 <= count <= MAX_BLOCKS, f"count must be 1 to {MAX_BLOCKS}, not {count}")
        for _ in range(count):
            self.make_block()
            await asyncio.sleep(0)  # lets the streams send their frames

    @control
    def hold_blocks(self, on: bool = True) -> None:
        """Stop the block clock; on=false starts it again."""
        self.faults.hold_blocks = on

    @control
    def pause_chain(self, seconds: float) -> None:
        """Make no blocks for some seconds, like a network whose nodes restart. REST, pings and the wallet answer as usual."""
        self.faults.paused_until = time.monotonic() + seconds if _check_duration(seconds) else 0.0

    @control
    def suspend(self, market: str) -> None:
        """Suspend a market by governance, at the next block."""
        self.chain.suspend(self.market_id(market))

    @control
    def resume(self, market: str) -> None:
        """Make a market active and continuous again, at the next block."""
        self.chain.resume(self.market_id(market))

    @control
    def set_state(self, market: str, state: str, trading_mode: str) -> None:
        """Set a market's state and trading mode (names of the API), at the next block."""
        _require_name(state, ENUMS["Market.State"], "state")
        _require_name(trading_mode, ENUMS["Market.TradingMode"], "trading_mode")
        self.chain.set_state(self.market_id(market), state, trading_mode)

    @control
    def update_market(self, market: str, tick_size: Optional[int] = None, price_decimals: Optional[int] = None) -> None:
        """Change a market's tick size (a padded price) and price decimals by governance, at the next block.

        Orders stay, also those between two new ticks. A change of the decimals, which Vega itself does not know, cancels all orders.
        """
        known = self.chain.markets[self.market_id(market)]
        old = known.upcoming_terms
        terms = Terms(old.tick_size if tick_size is None else tick_size, old.price_decimals if price_decimals is None else price_decimals)
        _require(terms.tick_size >= 1, f"tick_size must be at least 1, not {terms.tick_size}")
        _require(
            0 <= terms.price_decimals <= MAX_PRICE_DECIMALS, f"price_decimals must be 0 to {MAX_PRICE_DECIMALS}, not {terms.price_decimals}"
        )
        ticks = int(known.mark_price / 10**known.price_decimals / terms.unit)
        _require(ticks >= MIN_TICKS, f"the market's price would be {ticks} ticks; it must be at least {MIN_TICKS}")
        self.chain.update_market(known.id, terms)

    @control
    def empty_side(self, market: str, side: str) -> None:
        """Empty a side (SIDE_BUY, SIDE_SELL) at the next block. Until refill_side, every order there is cancelled in its own block."""
        _require_name(side, (BUY, SELL), "side")
        self.chain.emptied_sides.add((self.market_id(market), side))

    @control
    def refill_side(self, market: str, side: str) -> None:
        """Allow orders on a side again."""
        _require_name(side, (BUY, SELL), "side")
        self.chain.emptied_sides.discard((self.market_id(market), side))

    @control
    def reject_orders(self, reason: Optional[str] = None) -> None:
        """Reject new orders, except the traders', with a reason (an OrderError). Without a reason, accept orders again."""
        if reason is not None:
            _require_name(reason, ENUMS["OrderError"], "reason")
        self.chain.reject_orders = reason

    @control
    def drop_streams(self, how: str = "reset", stream: Optional[str] = None) -> int:
        """Disconnect clients of one stream or of all: by reset, cut (no close frame), or close code 1000, 1001, 1011."""
        _require_name(how, DISCONNECT_MODES, "how")
        return self.node.disconnect(how, stream if stream is None else _check_stream(stream))

    @control
    def silence_streams(self, stream: Optional[str] = None, on: bool = True) -> None:
        """Keep connections open but send no frames, on one stream or on all; on=false sends again."""
        chosen = set(STREAMS) if stream is None else {_check_stream(stream)}
        silent = self.faults.silent_streams
        self.faults.silent_streams = silent | chosen if on else silent - chosen

    @control
    def fail_handshakes(self, status: Optional[int] = None) -> None:
        """Reject new stream connections with an HTTP status. Without a status, accept them again."""
        self.faults.stream_status = _check_status(status)

    @control
    def delay_rest(self, seconds: float = 0.0) -> None:
        """Delay every REST response by some seconds."""
        self.faults.rest_delay = _check_duration(seconds)

    @control
    def fail_rest(self, status: Optional[int] = None) -> None:
        """Answer every REST call with an HTTP error status. Without a status, answer normally again."""
        self.faults.rest_status = _check_status(status)

    @control
    def delay_wallet(self, seconds: float = 0.0) -> None:
        """Delay every wallet call by some seconds. It is executed even if the caller has disconnected."""
        self.faults.wallet_delay = _check_duration(seconds)

    @control
    def fail_wallet(self, status: Optional[int] = None) -> None:
        """Answer every wallet call with an HTTP error status. Without a status, answer normally again."""
        self.faults.wallet_status = _check_status(status)

    @control
    def lose_transactions(self, count: int = 1) -> None:
        """Lose the next transactions on their way to the chain: the wallet returns a hash, but nothing is executed. 0 ends it."""
        _require(0 <= count <= MAX_LOST_TRANSACTIONS, f"count must be 0 to {MAX_LOST_TRANSACTIONS}, not {count}")
        self.faults.transactions_to_lose = count

    @control
    def delay_transactions(self, seconds: float = 0.0) -> None:
        """Pass every transaction to the chain some seconds late. The wallet returns the hash at once. 0 ends it."""
        self.faults.transaction_delay = _check_duration(seconds)

    @control
    def start_round(self, minutes: float = 5.0) -> None:
        """Start a round of so many minutes of chain time: mark all positions to the market, and set every PnL to zero."""
        _require(0 < minutes <= MAX_ROUND, f"minutes must be more than 0 and at most {MAX_ROUND:g}, not {minutes}")
        try:
            self.rounds.start(minutes)
        except ValueError as error:
            raise WrongArgumentError(str(error)) from None

    @control
    def end_round(self) -> None:
        """End the running round now, and keep its results."""
        try:
            self.rounds.end()
        except ValueError as error:
            raise WrongArgumentError(str(error)) from None

    @control
    def reissue_code(self, party: str) -> str:
        """Return a new code for /join to a participant (p01, …). The old code ends; settings that were sent stay valid."""
        try:
            return self.room.reissue_code(party)
        except ValueError as error:
            raise WrongArgumentError(str(error)) from None

    @control
    def reset(self) -> None:
        """End all faults, and make every market active again at the next block. Positions, orders, money and rounds stay as they are."""
        self.faults.reset()
        self.chain.reject_orders = None
        self.chain.emptied_sides.clear()
        for market in self.chain.markets.values():
            if market.upcoming_terms != self.first_terms[market.id]:
                self.chain.update_market(market.id, self.first_terms[market.id])
            if (market.state, market.trading_mode) != ("STATE_ACTIVE", "TRADING_MODE_CONTINUOUS"):
                self.chain.resume(market.id)

    def market_id(self, market: str) -> str:
        """Return the id of a market, given its id or a product (its first market)."""
        for known in self.chain.markets.values():
            if market in (known.id, known.product):
                return known.id
        raise WrongArgumentError(f"there is no market {market!r}: give an id, or future, perpetual or spot")


def add_routes(sandbox: Controls, app: web.Application) -> None:
    """Add the controls to an application, under /control."""

    async def overview(_request: web.Request) -> web.Response:
        chain = sandbox.chain
        changed = {market.id: market.terms._asdict() for market in chain.markets.values() if market.terms != sandbox.first_terms[market.id]}
        of_chain = {"updated_markets": changed, "reject_orders": chain.reject_orders, "emptied_sides": sorted(chain.emptied_sides)}
        state = {"height": chain.height, **sandbox.faults.overview(), **of_chain}
        listing = {f"POST /control/{name}{_usage(method)}": inspect.getdoc(method) for name, method in CONTROLS.items()}
        return web.json_response({**state, "controls": listing}, dumps=functools.partial(json.dumps, indent=2))

    async def run(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in CONTROLS:
            return web.Response(status=404, text=f"there is no control {name!r}; GET /control lists them\n")
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text=f"{name}: use POST, as in curl -X POST\n")
        try:
            result = CONTROLS[name](sandbox, **_arguments(CONTROLS[name], request))
            result = await result if inspect.isawaitable(result) else result
        except WrongArgumentError as error:
            return web.Response(status=400, text=f"{name}: {error}\n")
        return web.json_response({"height": sandbox.chain.height, **({} if result is None else {"result": result})})

    app.router.add_get("/control", overview)
    app.router.add_route("*", "/control/{name}", run)


def _usage(method: Callable[..., Any]) -> str:
    """Return a control's parameters as a query string, optional ones in brackets."""
    parts = []
    for parameter in _parameters(method):
        text = f"{parameter.name}={parameter.name.upper()}"
        parts.append(text if parameter.default is parameter.empty else f"[{text}]")
    return f"?{'&'.join(parts)}" if parts else ""


def _parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(method).parameters.values())[1:]  # without self


def _arguments(method: Callable[..., Any], request: web.Request) -> dict[str, Any]:
    """Return a control's arguments from the query, converted to the types of its signature."""
    parameters = {parameter.name: parameter for parameter in _parameters(method)}
    query = {name: text for name, text in request.query.items() if name != KEY_PARAMETER}  # the key is for guard_controls
    unknown = query.keys() - parameters.keys()
    _require(not unknown, f"unknown parameter {', '.join(sorted(unknown))}; it takes {', '.join(parameters) or 'none'}")
    missing = [name for name, parameter in parameters.items() if parameter.default is parameter.empty and name not in query]
    _require(not missing, f"missing parameter {', '.join(missing)}")
    return {name: _convert(name, text, parameters[name].annotation) for name, text in query.items()}


def _convert(name: str, text: str, annotation: Any) -> Any:
    if annotation is bool:
        _require_name(text, ("true", "false"), name)
        return text == "true"
    for kind, description in ((int, "a whole number"), (float, "a number")):
        if annotation in (kind, Optional[kind]):
            try:
                return kind(text)
            except ValueError:
                raise WrongArgumentError(f"{name} must be {description}, not {text!r}") from None
    return text


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise WrongArgumentError(message)


def _require_name(name: str, known: Any, parameter: str) -> None:
    _require(name in known, f"{parameter} must be one of {', '.join(known)}, not {name!r}")


def _check_stream(stream: str) -> str:
    _require_name(stream, STREAMS, "stream")
    return stream


def _check_duration(seconds: float) -> float:
    _require(math.isfinite(seconds) and seconds >= 0, f"seconds must be zero or more, not {seconds}")
    return seconds


def _check_status(status: Optional[int]) -> Optional[int]:
    _require(status is None or 400 <= status <= 599, f"status must be 400 to 599, not {status}")
    return status
