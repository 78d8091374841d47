"""Whatever orders, fills, faults and restarts come in whatever order: once all is well again, the store equals the node's REST answers.

Another seed: `CONVERGENCE_SEED=7 python -m pytest tests/faults/test_convergence.py`.
"""

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import ACTIVE, BUY, SELL
from tests.sandbox.control import DISCONNECT_MODES
from tests.support.fault_proxy import DOWN, STREAMS, FaultProxy
from tests.support.processes import Process, StoreProcess
from tests.support.waiting import DEFAULT_TIMEOUT

SEED = int(os.environ.get("CONVERGENCE_SEED", "0"))
SEQUENCES = 200
STEPS = 8  # of a sequence, at most
MOST_LIVE = 250  # orders: several pages of a snapshot
LIVE = ("STATUS_ACTIVE", "STATUS_PARKED")

State = dict[str, dict[str, Any]]


class QuietStore(StoreProcess):
    """A StoreProcess that logs to a file, so that no line of the log falls into one of its long answers."""

    def __init__(self, log: Path, ws_url: str, rest_url: str, market_id: str, party_id: str, options: str) -> None:
        code = "import logging, runpy, sys; logging.basicConfig(filename=sys.argv.pop(1), level='INFO', format='%(message)s')"
        run = "runpy.run_module('tests.support.processes', run_name='__main__')"
        Process.__init__(self, [sys.executable, "-c", f"{code}; {run}", str(log), ws_url, rest_url, market_id, party_id, options], {})


def in_store(store: StoreProcess) -> State:
    """Return what a store holds, by what tells one record from the others."""
    return {
        "orders": {order["order_id"]: order for order in store.ask("get_orders")},
        "positions": {position["market_id"]: position for position in store.ask("get_positions")},
        "accounts": {(each["market_id"], each["account_type"], each["asset_id"]): each for each in store.ask("get_accounts")},
    }


class Node:
    """A sandbox's REST answers, turned into the store's records without the bot's own parsers."""

    def __init__(self, sandbox: Sandbox, party: str) -> None:
        self._url, self._party, self._session = sandbox.node_url, sandbox.parties[party], requests.Session()
        self._markets, self._assets = sandbox.chain.markets, sandbox.chain.assets  # neither changes while it runs

    def close(self) -> None:
        self._session.close()

    def state(self) -> State:
        return {
            "orders": {order["id"]: self._order(order) for order in self._ask("orders", "&filter.liveOnly=true")},
            "positions": {position["marketId"]: self._position(position) for position in self._ask("positions")},
            "accounts": {(each["marketId"], each["type"], each["asset"]): self._account(each) for each in self._ask("accounts")},
        }

    def _ask(self, name: str, more: str = "") -> list[dict[str, Any]]:
        answer = self._session.get(f"{self._url}/{name}?filter.partyIds={self._party}{more}", timeout=DEFAULT_TIMEOUT).json()[name]
        assert not answer["pageInfo"]["hasNextPage"]
        return [edge["node"] for edge in answer["edges"]]

    def _order(self, node: dict[str, Any]) -> dict[str, Any]:
        market = self._markets[node["marketId"]]
        return {
            "order_id": node["id"],
            "market_id": node["marketId"],
            "size": int(node["size"]) / 10**market.size_decimals,
            "remaining_size": int(node["remaining"]) / 10**market.size_decimals,
            "price": int(node["price"]) / 10**market.price_decimals,
            "order_type": node["type"],
            "time_in_force": node["timeInForce"],
            "status": node["status"],
            "party_id": node["partyId"],
            "side": node["side"],
            "reason": node.get("reason", ""),
        }

    def _position(self, node: dict[str, Any]) -> dict[str, Any]:
        market = self._markets[node["marketId"]]
        money = 10**market.settlement_asset.decimals
        return {
            "party_id": node["partyId"],
            "market_id": node["marketId"],
            "open_volume": int(node["openVolume"]) / 10**market.size_decimals,
            "average_entry_price": int(node["averageEntryPrice"]) / 10**market.price_decimals,
            "unrealised_pnl": int(node["unrealisedPnl"]) / money,
            "realised_pnl": int(node["realisedPnl"]) / money,
        }

    def _account(self, node: dict[str, Any]) -> dict[str, Any]:
        return {
            "owner": node["owner"],
            "account_type": node["type"],
            "balance": int(node["balance"]) / 10 ** self._assets[node["asset"]].decimals,
            "asset_id": node["asset"],
            "market_id": node["marketId"],
        }


class Story:
    """Draws what happens next, and does it."""

    def __init__(self, seed: int, sandbox: Sandbox, proxy: FaultProxy) -> None:
        self._random, self._sandbox, self._proxy = random.Random(seed), sandbox, proxy
        self.told: list[str] = []
        self._steps: dict[Callable[[], Any], int] = {  # what can happen -> how often
            self._place: 6,
            self._fill: 4,
            self._amend: 3,
            self._cancel: 2,
            self._place_many: 1,
            self._block: 4,
            self._drop: 3,
            self._cut_later: 2,
            self._hang: 2,
            self._refuse: 1,
            self._restart: 1,
            self._refuse_connections: 1,
        }

    def tell(self) -> None:
        """Let a few things happen; then make everything healthy, in a block that shows it."""
        self.told = []
        for step in self._random.choices(list(self._steps), list(self._steps.values()), k=self._random.randint(2, STEPS)):
            self.told.append(f"{step.__name__.strip('_')} {step() or ''}")
        self._proxy.turn("pass")
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
        live = self._live()
        room = max(0, min(30, MOST_LIVE - len(live)))
        market = self._sandbox.chain.markets[self._sandbox.markets["perpetual"]]
        far = {"marketId": market.id, "side": BUY, "price": str(market.mark_price - 800 * market.tick_size)}
        if room:
            self._submit("bot", batchMarketInstructions={"submissions": [self._order(**far) for _ in range(room)]})

    def _fill(self) -> None:
        terms = {"type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
        self._submit(self._random.choice(("a", "bot")), orderSubmission=self._order(**terms))

    def _live(self) -> list[Any]:
        found: list[Any] = self._sandbox.call(
            lambda box: [order for order in box.chain.orders.values() if order.party_id == box.parties["bot"] and order.status == ACTIVE]
        )
        return found

    def _amend(self) -> None:
        if live := self._live():
            order = self._random.choice(live)
            change = self._random.choice(({"sizeDelta": str(self._random.randint(-5, 5) or 1)}, {"price": str(order.price)}))
            self._submit("bot", orderAmendment={"orderId": order.id, "marketId": order.market_id, **change})

    def _cancel(self) -> None:
        if live := self._live():
            order = self._random.choice(live)
            every = {} if self._random.random() < 0.3 else {"orderId": order.id}
            self._submit("bot", orderCancellation={"marketId": order.market_id, **every})

    def _block(self) -> None:
        self._sandbox.block(self._random.randint(1, 3))

    def _some_streams(self) -> list[str]:
        return self._random.sample(STREAMS, self._random.randint(1, 4))

    def _drop(self) -> str:
        how, streams = self._random.choice(DISCONNECT_MODES), self._some_streams()
        for stream in streams:
            self._sandbox.drop_streams(how, stream)
        return f"{how} {streams}"

    def _cut_later(self) -> str:
        how, streams, after = self._random.choice(("reset", "cut")), self._some_streams(), self._random.randint(0, 40_000)
        self._proxy.turn(how, *streams, directions=(DOWN,), after=after)
        return f"{how} {streams} after {after}"

    def _hang(self) -> str:
        mode, streams, after = self._random.choice(("freeze", "trickle")), self._some_streams(), self._random.randint(0, 2000)
        self._proxy.turn(mode, *streams, after=after)
        return f"{mode} {streams} after {after}"

    def _refuse(self) -> str:
        status = self._random.choice((429, 502, 503))
        self._sandbox.fail_handshakes(status)
        return f"{status} {self._drop()}"

    def _refuse_connections(self) -> str:
        self._proxy.refuse()
        return self._drop()

    def _restart(self) -> None:
        self._sandbox.restart(down=0.02)


def test_after_any_sequence_of_orders_and_faults_the_store_equals_the_nodes_answers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Sandbox(block_time=0, seed=SEED) as sandbox, FaultProxy(sandbox.node_url) as proxy:
        sandbox.block(1)
        story, node = Story(SEED, sandbox, proxy), Node(sandbox, "bot")
        market, party = sandbox.markets["future"], sandbox.parties["bot"]
        fills, orders, longest = 0, 0, 0
        with QuietStore(log, proxy.ws_url, sandbox.node_url, market, party, '{"reconnect": 0.05}') as store:
            store.wait_for("READY")
            for number in range(SEQUENCES):
                story.tell()
                expected, found = node.state(), in_store(store)
                deadline = time.monotonic() + DEFAULT_TIMEOUT
                while found != expected and time.monotonic() < deadline:
                    time.sleep(0.005)  # between two looks, not instead of one
                    found = in_store(store)
                what = f"seed {SEED}, sequence {number}: {'; '.join(story.told)}\n{log.read_text()[-3000:]}"
                for kind in expected:
                    assert found[kind] == expected[kind], f"{kind} differ after {what}"
                longest = max(longest, len(expected["orders"]))
        node.close()
        fills, orders = sum(sandbox.fills[party, each] for each in sandbox.chain.markets), len(sandbox.chain.orders)
        assert min(fills, orders) > SEQUENCES / 4, "nothing happened"
        assert longest > 50, "no snapshot had a second page"
        assert log.read_text().count(": back") > SEQUENCES / 4, "no stream was lost"
