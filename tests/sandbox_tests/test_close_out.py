"""A party that cannot pay any more: the recorded close-out, step by step."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.chain.records import NETWORK, Block
from tests.sandbox.node.serializers import order_node, position_node, trade_node
from tests.support.chain_network import SECOND, Network

RECORDINGS = Path(__file__).parents[1] / "recordings" / "second_network"
UNIT = 10**18
MARKET = {
    "name": "Future",
    "product": "future",
    "price_decimals": 5,
    "size_decimals": 3,
    "tick_size": 1,
    "settlement_asset": "tDAI",
    "first_price": "99.55",
    "fees": {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0.001"},
}
FIRST_BLOCK = 1_795_642_418  # s; recorded chain time of the chain's first block
TRADE_TYPES = ("", "TYPE_DEFAULT", "TYPE_NETWORK_CLOSE_OUT_GOOD", "TYPE_NETWORK_CLOSE_OUT_BAD")


def recorded(name: str, key: str) -> list[dict[str, Any]]:
    body = json.loads((RECORDINGS / f"rest-closeout-{name}.json").read_text(encoding="utf-8"))["body"]
    return [edge["node"] for edge in body[key]["edges"]]


class CloseOut:
    """The recorded course of events. `party` is closed out; `maker` and `other` are two other parties."""

    def __init__(self) -> None:
        self.network = Network({"assets": {"tDAI": 18}, "markets": [MARKET]})
        chain = self.network.chain
        self.party, self.maker, self.other = (chain.parties[name] for name in ("bot", "a", "b"))
        self._asset_id = next(iter(chain.assets))
        chain.accounts[self.party, "", "ACCOUNT_TYPE_GENERAL", self._asset_id].balance = 20 * UNIT
        self._offset = FIRST_BLOCK * SECOND - chain.time - SECOND

    def run(self) -> dict[int, Block]:
        """Play the recorded orders; return the blocks by recorded second."""
        orders: dict[int, list[tuple[str, str, int, int, str]]] = {
            419: [("a", "SELL", 2000, 10_000_000, "")],
            420: [("bot", "BUY", 2000, 10_000_000, "gov100")],
            423: [("bot", "SELL", 2000, 11_000_000, "gov110")],
            426: [("c", "BUY", 50_000, 8_000_000, ""), ("c", "SELL", 50_000, 12_000_000, "")],
            429: [("a", "SELL", 100, 9_700_000, ""), ("b", "BUY", 100, 9_700_000, "")],
            435: [("a", "SELL", 100, 9_400_000, ""), ("b", "BUY", 100, 9_400_000, "")],
        }
        blocks = {}
        for second in range(418, 444):
            for party, side, size, price, reference in orders.get(second, []):
                order = self.network.order(side, size, price, reference=reference)
                self.network.chain.submit(self.network.chain.parties[party], {"orderSubmission": order})
            blocks[second] = self.network.chain.block()
        return blocks

    def as_recorded(self, node: dict[str, Any]) -> dict[str, Any]:
        """Move times to the recording's, and leave out ids, which differ."""
        times = {key: str(int(node[key]) + self._offset) for key in ("createdAt", "updatedAt", "timestamp") if int(node.get(key, 0))}
        return without_ids(node | times, self.party)

    def changes(self, block: Block) -> dict[str, int]:
        return {account.type.removeprefix("ACCOUNT_TYPE_"): account.balance for account in block.accounts if account.owner == self.party}


def without_ids(node: dict[str, Any], party: str) -> dict[str, Any]:
    ids = ("id", "marketId", "partyId", "buyOrder", "sellOrder", "buyer", "seller", "batchId")  # the auctions before are not replayed
    short = {key: value for key, value in node.items() if key not in ids and key not in ("liquidityProvisionId", "icebergOrder")}
    return {key: value.replace(party, "PARTY") if isinstance(value, str) else value for key, value in short.items()}


@pytest.fixture(scope="module")
def case() -> CloseOut:
    return CloseOut()


@pytest.fixture(scope="module")
def blocks(case: CloseOut) -> dict[int, Block]:
    return case.run()


def recorded_party() -> str:
    return str(recorded("positions", "positions")[0]["partyId"])


def test_money_moves_in_the_recorded_blocks(case: CloseOut, blocks: dict[int, Block]) -> None:
    found = {second: changes for second, block in blocks.items() if (changes := case.changes(block))}
    assert found == {
        420: {"MARGIN": 15_389_858_835_463_083_139, "GENERAL": 4_270_141_164_536_916_861},
        432: {"GENERAL": 0, "MARGIN": 13_660_000_000_000_000_000},
        437: {"MARGIN": 0},
    }


def test_the_orders_are_as_recorded(case: CloseOut, blocks: dict[int, Block]) -> None:
    orders = case.network.chain.newest_orders([case.party])
    party = recorded_party()
    assert [case.as_recorded(order_node(order)) for order in orders] == [without_ids(node, party) for node in recorded("orders", "orders")]


def test_the_position_is_as_recorded(case: CloseOut, blocks: dict[int, Block]) -> None:
    position = case.network.chain.positions[case.party, case.network.market.id]
    assert case.as_recorded(position_node(position)) == without_ids(recorded("positions", "positions")[0], recorded_party())
    seconds = [second for second, block in blocks.items() if any(changed.party_id == case.party for changed in block.positions)]
    assert seconds == [420, 422, 432, 437]


def test_the_network_takes_the_position_over_and_sells_it_a_second_later(case: CloseOut, blocks: dict[int, Block]) -> None:
    lines = (RECORDINGS / "ws-closeout-trades.jsonl").read_text(encoding="utf-8").splitlines()
    expected = [trade for line in lines for trade in json.loads(json.loads(line)["text"])["result"]["trades"]]
    trades = [trade for second in range(418, 441) for trade in blocks[second].trades]
    assert [(trade.price, trade.size, trade.type) for trade in trades] == [
        (int(node["price"]), int(node["size"]), TRADE_TYPES[node["type"]]) for node in expected[: len(trades)]
    ]
    for trade, node in zip(trades, expected[: len(trades)], strict=True):
        shown = case.as_recorded(trade_node(trade))
        assert (shown["timestamp"], shown["buyerFee"], shown["sellerFee"]) == (node["timestamp"], node["buyerFee"], node["sellerFee"])
    assert [(trade.buyer == NETWORK, trade.seller == NETWORK) for trade in trades[-2:]] == [(True, False), (False, True)]


def test_the_book_and_the_prices_afterwards_are_as_recorded(case: CloseOut, blocks: dict[int, Block]) -> None:
    market = case.network.market
    assert (market.best_bid, market.best_offer, market.mark_price) == ((8_000_000, 48_000), (12_000_000, 50_000), 9_400_000)
    assert market.last_traded_price == 9_400_000
