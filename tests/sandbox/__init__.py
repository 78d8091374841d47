"""A local Vega small enough to read: a chain, traders, a data node, a wallet, and controls that inject faults.

`chain` holds all state. `node` and `wallet` serve it to clients, `chain.traders` trade, `control` injects faults, and `dashboard`
shows everything on a web page. `room` has the keys of a workshop's participants. Everything runs on one asyncio loop in one thread,
so there are no locks. `python -m tests.sandbox` starts it from a shell; tests use it as a context manager:

    with Sandbox(block_time=0) as sandbox:
        sandbox.block(3)
"""

import asyncio
import inspect
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

from aiohttp import web

from tests.sandbox.chain.chain import Chain
from tests.sandbox.chain.traders import Traders
from tests.sandbox.control import Controls, add_routes
from tests.sandbox.dashboard.dashboard import Dashboard
from tests.sandbox.dashboard.history import History
from tests.sandbox.dashboard.inside import InsideFeed
from tests.sandbox.dashboard.request_log import RequestLog
from tests.sandbox.dashboard.rounds import Rounds
from tests.sandbox.dashboard.state import DashboardState
from tests.sandbox.dashboard.stream_monitor import StreamMonitor
from tests.sandbox.faults import Faults
from tests.sandbox.markets import PRODUCTS, read_markets
from tests.sandbox.node.data_node import DataNode
from tests.sandbox.node.reference_feed import add_reference_feed
from tests.sandbox.room.join import Join
from tests.sandbox.room.room import Participant, Room, guard_controls, is_loopback, participant_names
from tests.sandbox.server import Server, check_open_files, reject_large_bodies
from tests.sandbox.wallet.wallet import Keyring, Wallet, make_token

__all__ = ["HOST", "Sandbox"]

HOST = "127.0.0.1"
Running = TypeVar("Running", bound="Sandbox")
ANY_HOST = ("0.0.0.0", "::")  # all addresses of the machine, including the loopback


class Sandbox(Controls):
    """One local Vega. Each control of `control.Controls` is a method.

    As a context manager it runs in its own thread; `start` and `stop` run it on the caller's event loop instead.

    Args:
        block_time: seconds between blocks; 0 makes blocks on demand only.
        seed: the same seed gives the same ids, keys, token and traders.
        traders: whether the built-in traders trade.
        markets: the assets and markets, as a dict or the path of a JSON file; None for the default file.
        port: of the data node and the controls; 0 for any free port.
        wallet_port: of the wallet; 0 for any free port.
        host: the address to listen on; other machines can connect unless it is a loopback address.
        participants: number of people who get their own funded key, and a token that works for that key only.
        secret: seed of the participants' tokens and codes and of the teacher's key; None for a new one.
        null_chain: whether the wallet answers with a hash where the network rejects a transaction, as on a null chain.

    Raises:
        ValueError: the markets file is invalid.
    """

    def __init__(
        self,
        *,
        block_time: float = 1.0,
        seed: int = 0,
        traders: bool = True,
        markets: Union[str, Path, dict[str, Any], None] = None,
        port: int = 0,
        wallet_port: int = 0,
        host: str = HOST,
        participants: int = 0,
        secret: Optional[bytes] = None,
        null_chain: bool = False,
    ) -> None:
        start_time = _wall_time() - 10**9  # the first block is made in this second
        names = participant_names(participants)
        self.chain = Chain(read_markets(markets), seed=seed, start_time=start_time, participants=names)
        self.chain.is_null_chain = null_chain
        self.first_terms = {market.id: market.terms for market in self.chain.markets.values()}
        self.faults = Faults()
        self.traders = Traders(self.chain, seed) if traders else None
        self.token = make_token(seed)
        self.node = DataNode(self.chain, self.faults)
        self.room = Room({name: self.chain.parties[name] for name in names}, secret)
        self.chosen_market = next(iter(self.chain.markets))  # in the participants' settings
        self.history = History(self.chain)
        self.fills, self.bought = self.history.fills, self.history.net_bought
        self.rounds = Rounds(self.chain, self.history, self.room.display_name)
        self.inside = InsideFeed([self.token, *self.room.secrets()])
        self._block_time = block_time
        self.listens_on = host
        wallet = Wallet(self.chain, self.faults, self._keyrings(), null_chain)
        self._add_page(wallet.app)
        self._node_server = Server(self.node.app, host, port)
        self._wallet_server = Server(wallet.app, host, wallet_port)
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._loop_thread = 0
        self._clock: Optional[asyncio.Task[None]] = None

    def _keyrings(self) -> list[Keyring]:
        """Return the wallet's tokens and their keys.

        The sandbox's own token can be computed from the seed. In a room it therefore works on this machine only.
        """
        house = {name: key for name, key in self.chain.parties.items() if name not in self.room.participants}
        own = [Keyring(one.token, {one.name: one.key}, rate_limited=True) for one in self.room.participants.values()]
        return [Keyring(self.token, house, loopback_only=bool(own)), *own]

    def _add_page(self, wallet_app: web.Application) -> None:
        """Put the controls and the page on the data node's port, and record the requests to node and wallet for the page."""
        app, names = self.node.app, {key: name for name, key in self.chain.parties.items()}
        requests, streams = RequestLog(names, [self.token, *self.room.secrets()]), StreamMonitor(self.node.streams, names)
        app.middlewares.extend([requests.node_middleware, guard_controls(self.room), reject_large_bodies])
        wallet_app.middlewares.insert(0, requests.wallet_middleware)
        add_routes(self, app)
        add_reference_feed(self, app)
        self._dashboard = Dashboard(DashboardState(self, self.history, requests, streams), streams)
        self._dashboard.add_routes(app)
        self.inside.add_routes(app)
        Join(self.room, self.settings_of).add_routes(app)

    @property
    def host(self) -> str:
        """The host name or address that programs on this machine use."""
        if self.listens_on == "::":
            return "::1"
        return HOST if self.listens_on == "0.0.0.0" else self.listens_on

    @property
    def is_private(self) -> bool:
        """Whether only programs on this machine can connect."""
        return is_loopback(self.listens_on)

    def url(self, scheme: str = "http", path: str = "/", host: str = "") -> str:
        """Return a URL on the data node's port."""
        return f"{scheme}://{_in_url(host or self.host)}:{self._node_server.port}{path}"

    @property
    def node_url(self) -> str:
        return self.url(path="/api/v2")

    @property
    def ws_url(self) -> str:
        return self.url("ws", "/api/v2")

    @property
    def control_url(self) -> str:
        return self.url(path="/control")

    @property
    def wallet_url(self) -> str:
        return f"http://{_in_url(self.host)}:{self._wallet_server.port}"

    def settings_of(self, participant: Participant, host: str) -> dict[str, str]:
        """Return the `.env` settings of a participant who uses this host name or address."""
        return {
            "MARKET_ID": self.chosen_market,
            "PARTY_ID": participant.key,
            "NODE_URL": self.url(path="/api/v2", host=host),
            "WS_URL": self.url("ws", "/api/v2", host),
            "WALLET_URL": f"http://{_in_url(host)}:{self._wallet_server.port}",
            "WALLET_TOKEN": participant.token,
        }

    @property
    def parties(self) -> dict[str, str]:
        """Public keys by name: bot, a, b, c, and the participants."""
        return dict(self.chain.parties)

    @property
    def markets(self) -> dict[str, str]:
        """The id of the first market of each product."""
        first = {market.product: market.id for market in reversed(self.chain.markets.values())}
        return {product: first[product] for product in PRODUCTS if product in first}

    async def start(self) -> None:
        """Listen on both ports, then start the block clock.

        Raises:
            OSError: a port is in use.
            ValueError: the limit on open files is too low.
        """
        check_open_files(len(self.room.participants))
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        await self._node_server.start()
        await self._wallet_server.start()
        if self._block_time:
            self.make_block()  # the first client finds prices
            self._clock = asyncio.create_task(self._make_blocks())
            self._clock.add_done_callback(_report)

    async def stop(self) -> None:
        """Close every connection and both ports. If the block clock failed, raise its exception."""
        await self._wallet_server.stop()
        await self._node_server.stop()
        if self._clock:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)
            if not self._clock.cancelled():
                self._clock.result()

    def make_block(self) -> None:
        """Make one block of the transactions accepted since the last one, followed by the traders' transactions."""
        for party_id, transaction in self.traders.transactions() if self.traders else []:
            self.chain.submit(party_id, transaction)
        decimals = {market.id: market.price_decimals for market in self.chain.markets.values()}
        block = self.chain.block(_wall_time() if self._block_time >= 1 else None)
        for market in self.chain.markets.values():
            if market.price_decimals != decimals[market.id]:
                self.history.change_decimals(market, decimals[market.id])
                self._dashboard.reload()
        self.history.record(block)
        self.rounds.update()
        self.node.publish(block)

    async def _make_blocks(self) -> None:
        """Run the block clock. It sleeps until deadlines, so the time spent on a block does not add up to a drift."""
        loop = asyncio.get_running_loop()
        deadline = self._on_the_second(loop.time() + self._block_time)
        while True:
            await asyncio.sleep(deadline - loop.time())
            if not self.faults.blocks_stopped:
                self.make_block()
            deadline = self._on_the_second(max(deadline + self._block_time, loop.time()))  # missed blocks are skipped: no burst to catch up

    def _on_the_second(self, deadline: float) -> float:
        """Move a deadline to the nearest second of the wall clock, which is the block's time, if the block time is in whole seconds."""
        if self._block_time < 1 or self._block_time % 1:
            return deadline
        wall_time = time.time() + deadline - asyncio.get_running_loop().time()
        return deadline + round(wall_time) - wall_time

    async def restart_node(self, down: float = 0.0) -> None:
        """Close the data node's port and all its connections, and listen again after `down` seconds. Blocks continue meanwhile."""
        await self._node_server.pause()
        await asyncio.sleep(down)
        await self._node_server.listen()

    def restart(self, down: float = 0.0) -> None:
        """Restart the data node. Callable from any thread; returns when the node listens again."""
        self.call(lambda sandbox: sandbox.restart_node(down))

    def call(self, function: Callable[[Any], Any]) -> Any:
        """Run function(sandbox) on the loop's thread and return its result. An awaitable result is awaited first.

        When called on the loop's thread itself, an awaitable result is returned unawaited.
        """
        if self._loop is None:
            raise RuntimeError("the sandbox is not running")
        if threading.get_ident() == self._loop_thread:
            return function(self)

        async def run() -> Any:
            result = function(self)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def __enter__(self: Running) -> Running:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        try:
            self.call(Sandbox.start)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        loop = self._loop
        assert loop is not None
        try:
            self.call(Sandbox.stop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            orphans = asyncio.all_tasks(loop)  # aiohttp leaves the tasks of requests whose client has disconnected
            for task in orphans:
                task.cancel()
            if orphans:
                loop.run_until_complete(asyncio.wait(orphans))
            loop.close()
            self._loop = None


def _report(clock: "asyncio.Task[None]") -> None:
    """Print the exception that ended the block clock at once, not only when the sandbox stops."""
    if not clock.cancelled() and clock.exception():
        traceback.print_exception(clock.exception())


def _wall_time() -> int:
    """Return the wall clock's second, in nanoseconds."""
    return int(time.time()) * 10**9


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
