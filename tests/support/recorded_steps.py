"""Replays a recording of transactions (`chain-*.json`, `scenarios-*.json`) on a chain, and lists where the outcome differs.

One step of a recording is one or more transactions in one block; its outcome was read a few blocks later. The chain makes one block for
each second between two steps, as the recorded network did.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.sandbox.chain import commands
from tests.sandbox.chain.command_validation import problems
from tests.sandbox.chain.records import Order
from tests.sandbox.node.serializers import rounded
from tests.support.chain_network import SECOND, Network

RECORDINGS = Path(__file__).parents[1] / "recordings"
FEES = {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0"}
BLOCKS_TO_OUTCOME = 3
BLOCKS_AFTER_VOTE = 4  # governance takes the chain time of a vote first; the next step follows its outcome
EPOCH_LENGTH = 120 * SECOND
FIRST_EPOCH = 188 * SECOND  # from the first step of the auction recordings to the first epoch; the bonds they show leave it little room
NEAR = 1000 * SECOND  # ns; expiries within this time of the step are relative to it, others are far in the past or future


@dataclass(frozen=True)
class Difference:
    kind: str  # orders, wallet, market, positions, money
    step: int
    text: str


def order_as_recorded(network: Network, order: Order) -> dict[str, Any]:
    """Return an order of the chain as the recordings have it; parties that they know by their names."""
    names = {key: name for name, key in network.chain.parties.items()}
    return {
        "party": names.get(order.party_id, order.party_id),
        "status": order.status,
        "side": order.side,
        "price": str(order.price),
        "size": str(order.size),
        "remaining": str(order.remaining),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reason": order.reason,
        "version": str(order.version),
        "postOnly": order.post_only,
        "expiresAt": str(order.expires_at),
    }


class Replay:
    """A chain with the market of a recording, at the point where the recording begins.

    Args:
        name: the recording's file name without `.json`.
        phase: how many blocks before the first step the chain makes; it decides in which blocks the chain marks to market.
    """

    def __init__(self, name: str, phase: int = 0) -> None:
        path = next(path for path in (RECORDINGS, RECORDINGS / "second_network") if (path / f"{name}.json").exists()) / f"{name}.json"
        self.recording = json.loads(path.read_text(encoding="utf-8"))
        self.steps: list[dict[str, Any]] = self.recording["steps"]
        self.is_spot = "spot" in name
        self.network = self._network()
        self.network.chain.is_null_chain = True
        self._set_funds()
        for _ in range(phase):
            self.network.chain.block()
        market = self.network.market
        market.epoch_start = self.network.chain.time + FIRST_EPOCH - EPOCH_LENGTH - 2 * SECOND  # an epoch ends two blocks after its length
        market.epoch_length = EPOCH_LENGTH
        self._offset = 0  # ns; recorded chain time minus the chain's
        self._expiries: dict[int, str] = {}  # expiry on the chain -> as recorded

    def _network(self) -> Network:
        terms, begin = self.recording["market"], self.recording["begin"]
        mark_price = Fraction(int(begin["markPrice"]) or 10_000_000, 10 ** int(terms["decimalPlaces"]))
        market = {
            "name": "M",
            "product": "spot" if self.is_spot else "future",
            "price_decimals": int(terms["decimalPlaces"]),
            "size_decimals": int(terms["positionDecimalPlaces"]),
            "tick_size": int(terms["tickSize"]),
            "first_price": str(mark_price),
            "fees": FEES if "fees" in terms else dict.fromkeys(FEES, "0"),
        }
        market |= {"quote_asset": "tDAI", "base_asset": "tBTC"} if self.is_spot else {"settlement_asset": "tDAI"}
        return Network({"assets": {"tDAI": 18, "tBTC": 8}, "markets": [market]})

    def _set_funds(self) -> None:
        """Give each party what it had before the first step."""
        chain = self.network.chain
        symbols = {asset.symbol: asset.id for asset in chain.assets.values()}
        funds: dict[tuple[str, str], int] = {}
        for account, balance in self.steps[0].get("money", {}).items():
            party, _, symbol = account.split()
            funds[party, symbol] = funds.get((party, symbol), 0) + int(balance)
        for (party, symbol), amount in funds.items():
            chain.accounts[chain.parties[party], "", "ACCOUNT_TYPE_GENERAL", symbols[symbol]].balance = amount

    def differences(self) -> Iterator[Difference]:
        chain = self.network.chain
        changed: dict[str, Order] = {}
        for number, step in enumerate(self.steps):
            self._offset = int(step.get("time", chain.time)) - chain.time
            blocks = self._blocks_between(number)
            if step.get("gov"):
                self._make_blocks(blocks - BLOCKS_AFTER_VOTE)
                self._govern(step["gov"])
                blocks = BLOCKS_AFTER_VOTE
            for sent in [step, *step.get("also", [])]:
                if sent["transaction"] is not None:
                    yield from self._send(number, sent)
            changed |= self._make_blocks(BLOCKS_TO_OUTCOME)
            yield from self._compare(step, changed)
            changed = self._make_blocks(blocks - BLOCKS_TO_OUTCOME)

    def _make_blocks(self, count: int) -> dict[str, Order]:
        """Make blocks, and return the orders that they changed."""
        return {order.reference: order for _ in range(count) for order in self.network.chain.block().orders}

    def _blocks_between(self, number: int) -> int:
        """Return the chain's seconds from one step to the next."""
        if number + 1 < len(self.steps) and "time" in self.steps[number]:
            return (int(self.steps[number + 1]["time"]) - int(self.steps[number]["time"])) // SECOND
        return BLOCKS_TO_OUTCOME

    def _govern(self, change: str) -> None:
        chain, market = self.network.chain, self.network.market
        if change == "suspend":
            chain.suspend(market.id)
        elif change in ("resume", "open"):
            chain.resume(market.id)
        elif change == "pending":
            market.last_asset_price = market.mark_asset_price = 0
            chain.set_state(market.id, "STATE_PENDING", "TRADING_MODE_OPENING_AUCTION")

    def _send(self, number: int, sent: dict[str, Any]) -> Iterator[Difference]:
        """Submit a transaction, unless the wallet rejects it."""
        chain = self.network.chain
        decoded = commands.decode(self._with_ids(sent["transaction"]))
        ((kind, command),) = decoded.items()
        found = problems(kind, command)
        recorded = sent.get("wallet") or {}
        expected = recorded.get("error", {}).get("data", "") if recorded.get("status", 200) != 200 else ""
        if found != expected:
            yield Difference("wallet", number, f"the wallet says {found!r}, not {expected!r}")
        if not found:
            chain.submit(chain.parties[sent["party"]], decoded)

    def _with_ids(self, transaction: dict[str, Any]) -> dict[str, Any]:
        """Set the market id, replace "@REF" by the id of the order with that reference, and move expiries to the chain's time."""
        ids = {order.reference: order.id for order in self.network.chain.orders.values()}
        text = re.sub(r'"@([^"]+)"', lambda match: json.dumps(ids.get(match[1], match[0].strip('"'))), json.dumps(transaction))
        filled: dict[str, Any] = json.loads(text, object_hook=self._with_market_and_time)
        for kind, command in filled.items():
            if isinstance(command, dict) and kind != "batchMarketInstructions":
                command.setdefault("marketId", self.network.market.id)
        return filled

    def _with_market_and_time(self, value: dict[str, Any]) -> dict[str, Any]:
        if "expiresAt" in value:
            recorded = int(value["expiresAt"])
            if abs(recorded - self._offset - self.network.chain.time) < NEAR:
                value["expiresAt"] = str(recorded - self._offset)
                self._expiries[recorded - self._offset] = str(recorded)
        for kind in ("submissions", "amendments", "cancellations"):
            for instruction in value.get(kind, []):
                instruction.setdefault("marketId", self.network.market.id)
        return value

    def _compare(self, step: dict[str, Any], changed: dict[str, Order]) -> Iterator[Difference]:
        found: dict[str, Any] = {reference: self._order(order) for reference, order in changed.items()}
        expected = {reference: {key: order[key] for key in self._order_keys()} for reference, order in step["changed"].items()}
        if found != expected:
            yield Difference("orders", step["step"], _changes(found, expected))
        market = self._market()
        if market != step["market"]:
            yield Difference("market", step["step"], _changes(market, step["market"]))
        for party, position in step["positions"].items():
            shown = self._position(party)
            if shown != {key: position[key] for key in shown}:
                yield Difference("positions", step["step"], f"{party}: {_changes(shown, position)}")
        money = self._money()
        for account in sorted(money.keys() | step.get("money", money).keys()):
            if money.get(account, 0) != int(step.get("money", money).get(account, 0)):
                difference = money.get(account, 0) - int(step["money"].get(account, 0))
                yield Difference("money", step["step"], f"{account} is {money.get(account, 0)}, {difference:+d} too much")

    @staticmethod
    def _order_keys() -> tuple[str, ...]:
        return (
            *("party", "status", "side", "price", "size", "remaining", "timeInForce", "type", "reason", "version", "postOnly"),
            "expiresAt",
        )

    def _order(self, order: Order) -> dict[str, Any]:
        expires_at = self._expiries.get(order.expires_at, str(order.expires_at))
        return {**order_as_recorded(self.network, order), "expiresAt": expires_at}

    def _market(self) -> dict[str, str]:
        market = self.network.market
        (bid, bid_volume), (offer, offer_volume) = market.best_bid, market.best_offer
        return {
            "bestBidPrice": str(bid),
            "bestBidVolume": str(bid_volume),
            "bestOfferPrice": str(offer),
            "bestOfferVolume": str(offer_volume),
            "markPrice": str(market.mark_price),
            "lastTradedPrice": str(market.last_traded_price),
            "openInterest": str(market.open_interest + int(self.recording["begin"]["openInterest"])),
            "marketTradingMode": market.trading_mode,
            "marketState": market.state,
        }

    def _position(self, party: str) -> dict[str, str]:
        chain, market = self.network.chain, self.network.market
        position = chain.positions.get((chain.parties[party], market.id))
        if position is None:
            return {"openVolume": "0", "averageEntryPrice": "0", "realisedPnl": "0", "unrealisedPnl": "0"}
        return {
            "openVolume": str(position.open_volume),
            "averageEntryPrice": str(rounded(position.average_entry_price)),
            "realisedPnl": str(rounded(position.realised_pnl)),
            "unrealisedPnl": str(rounded(position.unrealised_pnl)),
        }

    def _money(self) -> dict[str, int]:
        """Return every balance above zero of the recording's parties, as `party TYPE symbol`."""
        chain = self.network.chain
        names = {chain.parties[name]: name for name in "abc"}
        return {
            f"{names[account.owner]} {account.type.removeprefix('ACCOUNT_TYPE_')} {chain.assets[account.asset_id].symbol}": account.balance
            for account in chain.accounts.values()
            if account.owner in names and account.balance
        }


def _changes(found: dict[str, Any], expected: dict[str, Any]) -> str:
    keys = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
    return "; ".join(f"{key} is {found.get(key)}, not {expected.get(key)}" for key in keys)
