"""A local Vega small enough to read: a chain, traders, a data node, a wallet, and controls to break it with.

`chain` holds all state; `data_node` and `wallet` show it to clients, `traders` keep it moving, `control` drives it. All of them run
on one asyncio loop in one thread, so none of them locks. `python -m tests.sandbox` runs it by hand; tests say

    with Sandbox(block_time=0) as sandbox:
        sandbox.block(3)
"""

import asyncio
import inspect
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

from aiohttp import web

from .chain import Chain
from .control import Controls, add_routes
from .data_node import DataNode
from .markets import PRODUCTS, read_markets
from .reference_feed import add_reference_feed
from .switches import Switches
from .traders import Traders
from .wallet import Wallet, make_token

__all__ = ["HOST", "Sandbox"]

HOST = "127.0.0.1"
PATIENCE = 0.2  # seconds that a stop leaves to requests under way


class Sandbox(Controls):
    """One local Vega; each control of `control.Controls` is a method of it.

    As a context manager it runs in a thread of its own; `start` and `stop` run it on the caller's loop instead.

    Args:
        block_time: seconds from block to block; 0 makes blocks on demand only.
        seed: the same seed gives the same ids, keys, token and traders.
        traders: whether the built-in traders trade.
        markets: the assets and markets, as a dict or the path of a JSON file; None for the default ones.
        port: for the data node and the controls; 0 takes any free one.
        wallet_port: for the wallet.

    Raises:
        ValueError: the markets are not such as the chain can build.
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
    ) -> None:
        start_time = int(time.time()) * 10**9  # chain time begins at a whole second of the wall clock
        self.chain = Chain(read_markets(markets), seed=seed, start_time=start_time)
        self.switches = Switches()
        self.traders = Traders(self.chain, seed) if traders else None
        self.token = make_token(seed)
        self.node = DataNode(self.chain, self.switches)
        add_routes(self, self.node.app)
        add_reference_feed(self, self.node.app)
        self.fills: Counter[tuple[str, str]] = Counter()  # (party, market id) -> trades that the party was part of
        self.bought: Counter[tuple[str, str]] = Counter()  # (party, market id) -> padded size bought, less what was sold
        self._block_time = block_time
        self._node_server = _Server(self.node.app, port)
        self._wallet_server = _Server(Wallet(self.chain, self.switches, self.token).app, wallet_port)
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._loop_thread = 0
        self._clock: Optional[asyncio.Task[None]] = None

    @property
    def node_url(self) -> str:
        return f"http://{HOST}:{self._node_server.port}/api/v2"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self._node_server.port}/api/v2"

    @property
    def control_url(self) -> str:
        return f"http://{HOST}:{self._node_server.port}/control"

    @property
    def wallet_url(self) -> str:
        return f"http://{HOST}:{self._wallet_server.port}"

    @property
    def parties(self) -> dict[str, str]:
        """Public keys by name: bot, a, b, c."""
        return dict(self.chain.parties)

    @property
    def markets(self) -> dict[str, str]:
        """The id of the first market of each product."""
        first = {market.product: market.id for market in reversed(self.chain.markets.values())}
        return {product: first[product] for product in PRODUCTS if product in first}

    async def start(self) -> None:
        """Listen on both ports, then start the block clock. Raises OSError where a port is taken."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        await self._node_server.start()
        await self._wallet_server.start()
        if self._block_time:
            self.make_block()  # so that whoever comes first finds prices
            self._clock = asyncio.create_task(self._make_blocks())
            self._clock.add_done_callback(_report)

    async def stop(self) -> None:
        """Close every connection and both ports. Raises what has stopped the block clock, if anything has."""
        await self._wallet_server.stop()
        await self._node_server.stop()
        if self._clock:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)
            if not self._clock.cancelled():
                self._clock.result()

    def make_block(self) -> None:
        """Make one block: what the wallet took in since the last, then what the traders send."""
        for party_id, transaction in self.traders.transactions() if self.traders else []:
            self.chain.submit(party_id, transaction)
        block = self.chain.block()
        for trade in block.trades:
            buyer, seller = (trade.buyer, trade.market_id), (trade.seller, trade.market_id)
            self.fills.update((buyer, seller))
            self.bought.update({buyer: trade.size, seller: -trade.size})
        self.node.publish(block)

    async def _make_blocks(self) -> None:
        """The block clock. It keeps to deadlines, so that the work of a block does not add up to a drift."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._block_time
        while True:
            await asyncio.sleep(deadline - loop.time())
            if not self.switches.hold_blocks:
                self.make_block()
            deadline = max(deadline + self._block_time, loop.time())  # what was missed stays missed: no burst to catch up

    async def restart_node(self, down: float = 0.0) -> None:
        """Close the data node's port and all its connections; listen on it again after so many seconds. The chain goes on."""
        await self._node_server.pause()
        await asyncio.sleep(down)
        await self._node_server.listen()

    def restart(self, down: float = 0.0) -> None:
        """Restart the data node from another thread, and return when it listens again."""
        self.call(lambda sandbox: sandbox.restart_node(down))

    def call(self, function: Callable[[Any], Any]) -> Any:
        """Run function(sandbox) on the loop's thread and return its result, awaited where it can be.

        On that thread itself, the result comes back as it is.
        """
        if self._loop is None:
            raise RuntimeError("the sandbox is not running")
        if threading.get_ident() == self._loop_thread:
            return function(self)

        async def run() -> Any:
            result = function(self)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def __enter__(self) -> "Sandbox":
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
            loop.close()
            self._loop = None


def _report(clock: "asyncio.Task[None]") -> None:
    """Say at once, not only when the sandbox stops, what has ended the block clock."""
    if not clock.cancelled() and clock.exception():
        traceback.print_exception(clock.exception())


class _Server:
    """One application on one port of the local host."""

    def __init__(self, app: web.Application, port: int) -> None:
        self.port = port  # the real one as soon as it listens
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        self._site: Optional[web.TCPSite] = None

    async def start(self) -> None:
        await self._runner.setup()
        await self.listen()

    async def listen(self) -> None:
        self._site = web.TCPSite(self._runner, HOST, self.port)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def pause(self) -> None:
        """Close the port and every connection; `listen` opens the port again."""
        if self._site:
            await self._site.stop()
        await self._runner.app.shutdown()
        if self._runner.server:
            await self._runner.server.shutdown(PATIENCE)

    async def stop(self) -> None:
        await self._runner.cleanup()
