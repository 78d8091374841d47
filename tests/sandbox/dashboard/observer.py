"""Runs a module and observes the bot's functions from outside, as `coverage run -m` does: for the view "Inside the bot".

    python tests/sandbox/dashboard/observer.py MODULE [argument …]

The sandbox starts its module this way. When the module imports the bot, the functions listed in HOOKS are wrapped. A wrapper notes
references to what the function was given and returned, the time, and the thread: microseconds. A thread of this module posts the newest
notes to the sandbox, a few times a second, over the loopback. The bot has no code for this and never waits for it.

The file is run by its path, so that it imports nothing but the standard library: packages of the sandbox would slow the start down.
"""

import collections
import contextlib
import dataclasses
import functools
import importlib.abc
import importlib.machinery
import json
import os
import runpy
import socket
import statistics
import sys
import threading
import time
import types
from collections.abc import Callable, Sequence
from typing import Any, Optional
from urllib.parse import urlsplit

URL_VARIABLE, KEY_VARIABLE = "SANDBOX_INSIDE_URL", "SANDBOX_INSIDE_KEY"  # where to post, and with which key
SECRET_VARIABLE = "WALLET_TOKEN"
SEND_INTERVAL = 0.75  # seconds; each message takes about 0.3 ms of CPU time
SEND_TIMEOUT = 2.0  # seconds
MAX_TEXT = 2000  # characters of a frame or an error message
WATCHED_STATUS = b"HTTP/1.1 202 "  # the sandbox's answer while a page shows the view
MAX_RECORDS = 3  # shown of one frame, and of what the store holds
TURNS_MEASURED = 60  # turns over which the cost of observing is measured
STREAMS = {  # callback of a stream -> the stream
    "_update_market_data": "markets/data",
    "_update_order": "orders",
    "_update_position": "positions",
    "_update_accounts": "accounts",
}
PARSERS = {
    "_parse_market_data": "markets/data",
    "_parse_order": "orders",
    "_parse_position": "positions",
    "_parse_account": "accounts",
}
SENT_FIELDS = {  # of a record; to format the others takes as long again
    "Market": (
        *("market_id", "state", "trading_mode", "decimal_places", "position_decimal_places"),
        *("mark_price", "best_bid_price", "best_offer_price"),
    ),
    "Order": ("order_id", "side", "price", "size", "remaining_size", "status", "reason"),
    "Position": ("market_id", "open_volume", "average_entry_price", "realised_pnl", "unrealised_pnl"),
    "Account": ("account_type", "balance", "market_id"),
}


@dataclasses.dataclass
class Note:
    """One call of a function, as its wrapper has seen it. `data` holds references; only the sending thread formats them."""

    at: float  # time.monotonic() when the call returned
    thread: str
    function: str  # such as bot/vega_store.py VegaStore._update_order
    data: dict[str, Any]


class Observer:
    """The newest note of each step, and the thread that sends them."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url, self._key, self._secret = urlsplit(url), key, secret
        self.notes: dict[str, Note] = {}  # by step; assigning an entry is atomic, so no lock is needed
        self._store: Any = None
        self._market_id = ""
        self._rule: Any = None
        self._rule_name = ""
        self._spent = 0.0  # CPU seconds that wrappers have taken in this turn
        self._costs: collections.deque[float] = collections.deque(maxlen=TURNS_MEASURED)  # CPU seconds by turn
        self._turns = 0
        self._sender_cpu = 0.0  # CPU seconds that the sending thread has taken in this turn
        self._sent_at = 0.0  # time.monotonic() of the last message
        self._socket: Optional[socket.socket] = None
        self.is_watched = False  # a page shows the view

    def start(self) -> None:
        threading.Thread(target=self._send_notes, name="observer", daemon=True).start()

    # Hooks. Each is called before or after the function, on the bot's own thread. None of them may raise.

    def before_message(self, function: str, _client: Any, message: Any, callback: Any, *_args: Any, **_kwargs: Any) -> None:
        stream = STREAMS.get(getattr(callback, "__name__", ""))
        if stream:
            self._note(f"frame {stream}", function, raw=message)
            self.notes.pop(f"record {stream}", None)

    def after_parse(self, function: str, result: Any, _error: Any, _store: Any, *_args: Any, **_kwargs: Any) -> None:
        step = f"record {PARSERS[function.rpartition('.')[2]]}"
        note = self.notes.get(step)
        if note is None:
            self._note(step, function, records=[result])
        elif len(note.data["records"]) < MAX_RECORDS:
            note.data["records"].append(result)

    def after_update(self, function: str, _result: Any, _error: Any, store: Any, *_args: Any, **_kwargs: Any) -> None:
        stream = STREAMS[function.rpartition(".")[2]]
        self._store = store
        self._note(f"store {stream}", function)
        if stream == "orders" and (wallet := self.notes.get("wallet")) and "answered" not in wallet.data:
            wallet.data["answered"] = True
            frame, record = self.notes.get("frame orders"), self.notes.get("record orders")
            if frame:  # the first frame on the orders stream after the wallet's answer
                self._note("order", frame.function, raw=frame.data["raw"], records=record.data["records"] if record else [])

    def after_ask(self, _function: str, result: Any, error: Any, manager: Any, rule: Any, market: Any, position: Any, *_args: Any) -> None:
        self._market_id = getattr(market, "market_id", "")
        reason = getattr(getattr(manager, "_turn", None), "reason", "")
        limit = getattr(manager, "_max_abs_position", None)
        self._note("quotes", self._name(rule), market=market, position=position, limit=limit, returned=result, reason=reason, error=error)

    def after_json(self, function: str, result: Any, _error: Any, *_args: Any, **_kwargs: Any) -> None:
        self._note("batch", function, transaction=result)

    def after_submit(self, function: str, result: Any, error: Any, _wallet: Any, transaction: Any, *_args: Any, **kwargs: Any) -> None:
        self._note("wallet", function, answer=result, error=error, seconds=kwargs["seconds"])

    def after_turn(self, *_args: Any, **_kwargs: Any) -> None:
        self._costs.append(self._spent + self._sender_cpu)
        self._spent = self._sender_cpu = 0.0
        self._turns += 1

    def _name(self, rule: Any) -> str:
        if rule is not self._rule:  # finding the name takes longer than the rest of the note
            self._rule, self._rule_name = rule, _name_of(rule)
        return self._rule_name

    def _note(self, step: str, function: str, **data: Any) -> None:
        self.notes[step] = Note(time.monotonic(), threading.current_thread().name, function, data)

    def spend(self, seconds: float) -> None:
        self._spent += seconds

    # Sending. The thread of this module. It formats as little as possible: what it does takes the interpreter from the bot.

    def _send_notes(self) -> None:
        cpu = time.thread_time()
        while True:
            time.sleep(SEND_INTERVAL)
            with contextlib.suppress(Exception):  # whatever happens here must not show up in the bot
                self._send(self._message())
            self._sender_cpu += time.thread_time() - cpu
            cpu = time.thread_time()

    def _message(self) -> str:
        """Return the notes since the last message as JSON, without the token; no notes while no page shows them."""
        now, last = time.monotonic(), self._sent_at
        if not self.is_watched:
            last = now
        else:
            self._sent_at = now
        notes = [(step, note) for step, note in list(self.notes.items()) if note.at > last]
        steps = {
            step: {"age": now - note.at, "thread": note.thread, "function": note.function, **self._data(step, note)} for step, note in notes
        }
        cost = statistics.median(self._costs) * 1000 if self._costs else None
        text = json.dumps({"steps": steps, "cost": cost, "turns": self._turns}, default=_as_dict)
        return text.replace(self._secret, "…") if self._secret else text

    def _data(self, step: str, note: Note) -> dict[str, Any]:
        data = note.data
        if "raw" in data:
            raw = data["raw"] if isinstance(data["raw"], str) else repr(data["raw"])
            return {**data, "raw": raw[:MAX_TEXT], "length": len(raw)}
        kind, _, stream = step.partition(" ")
        return self._held(stream) if kind == "store" else data

    def _held(self, stream: str) -> dict[str, Any]:
        """Return what the store holds now, read through its getters as the loop does."""
        store = self._store
        if stream == "markets/data":
            market = store.get_market_by_id(self._market_id)
            return {"getter": "get_market_by_id", "count": len(store.get_markets()), "records": [market] if market else []}
        getter = {"orders": "get_orders", "positions": "get_positions", "accounts": "get_accounts"}[stream]
        held = getattr(store, getter)()
        return {"getter": getter, "count": len(held), "records": held[:MAX_RECORDS]}

    def _send(self, text: str) -> None:
        """Post a message. Written by hand, because http.client needs several times as long."""
        body = text.encode("utf-8", "replace")
        head = f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nX-Inside-Key: {self._key}\r\n"
        try:
            if self._socket is None:
                self._socket = socket.create_connection((self._url.hostname or "", self._url.port or 80), SEND_TIMEOUT)
            self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = self._socket.recv(4096)
            if not answer:
                raise ConnectionError
            self.is_watched = answer.startswith(WATCHED_STATUS)
        except OSError:  # the next message connects again
            if self._socket is not None:
                self._socket.close()
            self._socket = None


def _as_dict(value: Any) -> Any:
    """Return a record for JSON: its type and those of its fields that the page uses. Exceptions and other objects become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind, fields = type(value).__name__, vars(value)
        names = SENT_FIELDS.get(kind)
        return {"type": kind, "fields": {name: fields[name] for name in names if name in fields} if names else fields}
    return str(value)[:MAX_TEXT]


def _name_of(function: Any) -> str:
    """Return where a function is in the repository: `main.py quotes`."""
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    with contextlib.suppress(ValueError):
        return f"{os.path.relpath(code.co_filename)} {function.__qualname__}"
    return str(function.__qualname__)


@dataclasses.dataclass(frozen=True)
class Hook:
    """A function of the bot, and the method of Observer that is called around it."""

    owner: str  # class in the module; "" for a function of the module
    function: str
    method: str  # its name begins with before_ or after_


HOOKS: dict[str, list[Hook]] = {
    "bot.vega_ws_client": [Hook("VegaWebSocketClient", "_on_message", "before_message")],
    "bot.vega_store": [
        *(Hook("VegaStore", name, "after_parse") for name in PARSERS),
        *(Hook("VegaStore", name, "after_update") for name in STREAMS),
    ],
    "bot.submission": [Hook("", "instruction_to_json", "after_json")],
    "bot.wallet": [Hook("VegaWallet", "submit_transaction", "after_submit")],
    "bot.execution.order_manager": [Hook("OrderManager", "ask", "after_ask"), Hook("OrderManager", "begin_turn", "after_turn")],
}


def wrap(observer: Observer, function: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Return the function with a hook of the observer around it. It returns and raises what the function does."""
    hook, name = getattr(observer, method), _name_of(function)
    is_timed = method == "after_submit"

    def call_hook(*args: Any, **kwargs: Any) -> None:
        began = time.thread_time()
        try:  # contextlib.suppress takes longer
            hook(name, *args, **kwargs)
        except Exception:
            return
        observer.spend(time.thread_time() - began)

    @functools.wraps(function)
    def call_before(*args: Any, **kwargs: Any) -> Any:
        call_hook(*args, **kwargs)
        return function(*args, **kwargs)

    @functools.wraps(function)
    def call_after(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            timing = {"seconds": time.perf_counter() - began} if is_timed else {}
            call_hook(None, error, *args, **{**kwargs, **timing})
            raise
        timing = {"seconds": time.perf_counter() - began} if is_timed else {}
        call_hook(result, None, *args, **{**kwargs, **timing})
        return result

    return call_before if method.startswith("before_") else call_after


class HookingFinder(importlib.abc.MetaPathFinder):
    """Wraps the functions of a module of the bot as soon as something imports it. Modules that nobody imports stay away."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, target: Optional[types.ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in HOOKS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_wrap(module: types.ModuleType) -> None:
            execute(module)
            for hook in HOOKS[name]:
                owner = getattr(module, hook.owner, None) if hook.owner else module
                function = getattr(owner, hook.function, None)
                if callable(function):  # a fork may have renamed it
                    setattr(owner, hook.function, wrap(self._observer, function, hook.method))

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


def main() -> None:
    _, module, *arguments = sys.argv
    url, key = os.environ.pop(URL_VARIABLE, ""), os.environ.pop(KEY_VARIABLE, "")
    if url:
        observer = Observer(url, key, os.environ.get(SECRET_VARIABLE, ""))
        sys.meta_path.insert(0, HookingFinder(observer))
        observer.start()
    sys.argv = [module, *arguments]
    sys.path[0] = os.getcwd()  # as `python -m` has it, instead of the folder of this file
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
