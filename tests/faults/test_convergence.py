"""After any sequence of orders, fills, faults and restarts, a healthy store equals the node's REST answers.

Another seed: `CONVERGENCE_SEED=7 python -m pytest tests/faults/test_convergence.py`.
"""

import os
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import ACTIVE, BUY, SELL
from tests.sandbox.node.subscription import DISCONNECT_MODES
from tests.support.fault_proxy import DOWN, FaultProxy
from tests.support.frames import STREAMS
from tests.support.store_comparison import RestState, quiet_store, wait_for_state

SEED = int(os.environ.get("CONVERGENCE_SEED", "0"))
SEQUENCES = 200
MAX_STEPS = 8  # of a sequence
MAX_OPEN_ORDERS = 250  # several pages of a snapshot


class Scenario:
    """Draws random events and makes them happen."""

    def __init__(self, seed: int, sandbox: Sandbox, proxy: FaultProxy) -> None:
        self._random, self._sandbox, self._proxy = random.Random(seed), sandbox, proxy
        self.events: list[str] = []
        self._steps: dict[Callable[[], Any], int] = {  # event -> weight
            self._place: 6,
            self._fill: 4,
            self._amend: 3,
            self._cancel: 2,
            self._place_many: 1,
            self._block: 4,
            self._disconnect: 3,
            self._cut_later: 2,
            self._hang: 2,
            self._reject_handshakes: 1,
            self._restart: 1,
            self._refuse_connections: 1,
        }

    def run_sequence(self) -> None:
        """Make a few events happen; then make everything healthy, and a block."""
        self.events = []
        for step in self._random.choices(list(self._steps), list(self._steps.values()), k=self._random.randint(2, MAX_STEPS)):
            self.events.append(f"{step.__name__.strip('_')} {step() or ''}")
        self._proxy.set_mode("pass")
        self._proxy.listen()
        self._sandbox.fail_handshakes()
        self._sandbox.block(1)

    def _submit(self, party: str, **transaction: Any) -> None:
        self._sandbox.call(lambda box: box.chain.submit(box.parties[party], transaction))

    def _order(self, **terms: Any) -> dict[str, Any]:
        market = self._random.choice(list(self._sandbox.chain.markets.values()))
        ticks = market.mark_price // market.tick_size + self._random.randint(-30, 30)
        order = {
            "marketId": market.id,
            "side": self._random.choice((BUY, SELL)),
            "size": str(self._random.randint(1, 3 * 10**market.size_decimals)),
        }
        if terms.get("type") != "TYPE_MARKET":
            order |= {"type": "TYPE_LIMIT", "price": str(ticks * market.tick_size), "timeInForce": "TIME_IN_FORCE_GTC"}
        return order | terms

    def _place(self) -> None:
        self._submit("bot", orderSubmission=self._order(postOnly=self._random.random() < 0.3))

    def _place_many(self) -> None:
        orders = self._open_orders()
        room = max(0, min(30, MAX_OPEN_ORDERS - len(orders)))
        market = self._sandbox.chain.markets[self._sandbox.markets["perpetual"]]
        far = {"marketId": market.id, "side": BUY, "price": str(market.mark_price - 800 * market.tick_size)}
        if room:
            self._submit("bot", batchMarketInstructions={"submissions": [self._order(**far) for _ in range(room)]})

    def _fill(self) -> None:
        terms = {"type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
        self._submit(self._random.choice(("a", "bot")), orderSubmission=self._order(**terms))

    def _open_orders(self) -> list[Any]:
        found: list[Any] = self._sandbox.call(
            lambda box: [order for order in box.chain.orders.values() if order.party_id == box.parties["bot"] and order.status == ACTIVE]
        )
        return found

    def _amend(self) -> None:
        if orders := self._open_orders():
            order = self._random.choice(orders)
            change = self._random.choice(({"sizeDelta": str(self._random.randint(-5, 5) or 1)}, {"price": str(order.price)}))
            self._submit("bot", orderAmendment={"orderId": order.id, "marketId": order.market_id, **change})

    def _cancel(self) -> None:
        if orders := self._open_orders():
            order = self._random.choice(orders)
            which = {} if self._random.random() < 0.3 else {"orderId": order.id}
            self._submit("bot", orderCancellation={"marketId": order.market_id, **which})

    def _block(self) -> None:
        self._sandbox.block(self._random.randint(1, 3))

    def _some_streams(self) -> list[str]:
        return self._random.sample(STREAMS, self._random.randint(1, 4))

    def _disconnect(self) -> str:
        how, streams = self._random.choice(DISCONNECT_MODES), self._some_streams()
        for stream in streams:
            self._sandbox.drop_streams(how, stream)
        return f"{how} {streams}"

    def _cut_later(self) -> str:
        how, streams, after = self._random.choice(("reset", "cut")), self._some_streams(), self._random.randint(0, 40_000)
        self._proxy.set_mode(how, *streams, directions=(DOWN,), after=after)
        return f"{how} {streams} after {after}"

    def _hang(self) -> str:
        mode, streams, after = self._random.choice(("freeze", "trickle")), self._some_streams(), self._random.randint(0, 2000)
        self._proxy.set_mode(mode, *streams, after=after)
        return f"{mode} {streams} after {after}"

    def _reject_handshakes(self) -> str:
        status = self._random.choice((429, 502, 503))
        self._sandbox.fail_handshakes(status)
        return f"{status} {self._disconnect()}"

    def _refuse_connections(self) -> str:
        self._proxy.stop_listening()
        return self._disconnect()

    def _restart(self) -> None:
        self._sandbox.restart(down=0.02)


def test_after_any_sequence_of_orders_and_faults_the_store_equals_the_nodes_answers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Sandbox(block_time=0, seed=SEED) as sandbox, FaultProxy(sandbox.node_url) as proxy:
        sandbox.block(1)
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        scenario, max_orders = Scenario(SEED, sandbox, proxy), 0
        with (
            closing(RestState(sandbox, "bot")) as node,
            quiet_store(log, proxy.ws_url, sandbox.node_url, market, party, reconnect=0.05) as store,
        ):
            store.wait_for("READY")
            for number in range(SEQUENCES):
                scenario.run_sequence()
                expected = node.read()
                what = f"seed {SEED}, sequence {number}: {'; '.join(scenario.events)}"
                wait_for_state(store, expected, f"{what}\n{log.read_text()[-3000:]}")
                max_orders = max(max_orders, len(expected["orders"]))
        fills, orders = sum(sandbox.fills[party, each] for each in sandbox.chain.markets), len(sandbox.chain.orders)
        assert min(fills, orders) > SEQUENCES / 4, "nothing happened"
        assert max_orders > 50, "no snapshot had a second page"
        assert log.read_text().count(": reconnected") > SEQUENCES / 4, "no stream was disconnected"
