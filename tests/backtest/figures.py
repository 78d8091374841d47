"""The figures of one run: profit and loss and its parts, positions, and what became of the orders."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Optional

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL, Block, Trade

MOVE_BLOCKS = 5  # blocks after a fill over which the price is compared
NO_QUOTE = "no quote: "
REJECTED_STATUSES = ("STATUS_REJECTED", "STATUS_STOPPED")


@dataclass(frozen=True)
class Result:
    """What a rule did with one seed. Amounts are in the settlement asset (on spot the quote asset), sizes in contracts.

    `pnl` is `spread_earned + price_moves + later_moves + fees_received - fees_paid`.
    """

    seed: int
    blocks: int  # in which the rule was asked
    pnl: float  # after fees; what is still held is valued as the node values it: at the last trade or mark price
    spread_earned: float  # difference of each fill's price to the mid price that the rule saw
    price_moves: float  # change of that mid price until MOVE_BLOCKS blocks after the fill; below zero is a loss
    later_moves: float  # all later changes of value of what was held
    fees_paid: float
    fees_received: float
    fills: int  # trades
    blocks_with_fills: int
    largest_position: float  # long or short, after any block
    time_at_limit: float  # share of the blocks after which the position was at its limit, 0 to 1
    sent: int  # orders
    rejected: dict[str, int] = field(default_factory=dict)  # reason, status if there is none, or error message -> orders
    vanished: int = 0  # orders that the network took in and made nothing of
    no_quotes: dict[str, int] = field(default_factory=dict)  # reason -> blocks without new orders


@dataclass(frozen=True)
class Snapshot:
    """One block as a plot shows it. Prices are in units, None where there is none."""

    block: int  # number of the rule's turn, 1 for the first
    bid: float  # best price of the others, before the rule's turn
    offer: float
    own_bid: Optional[float]  # the rule's best orders of this turn
    own_offer: Optional[float]
    bought: list[float]  # prices of the fills
    sold: list[float]
    position: float
    pnl: float


class Figures:
    """Adds up one party's figures on one market, block by block."""

    def __init__(self, chain: Chain, market: Market, party_id: str, max_abs_position: float) -> None:
        self._chain, self._market, self._party_id = chain, market, party_id
        self._asset_unit: float = 10.0**market.settlement_asset.decimals
        self._size_unit: float = 10.0**market.size_decimals
        self._price_unit: float = 10.0**market.price_decimals
        self._limit = max_abs_position * self._size_unit - 0.5  # padded size; positions are whole numbers
        self._pending: deque[tuple[int, float, float]] = deque()  # block at which the price is compared, signed size, mid price seen
        self._mid = self._last_mid = 0.0  # before the rule's turn, and after the newest block
        self._net_bought = 0  # padded size
        self._net_paid = 0  # padded price * size
        self._blocks = self._blocks_at_limit = self._blocks_with_fills = self._fills = self._sent = self._largest = 0
        self._spread_earned = self._price_moves = 0.0
        self._fees_paid = self._fees_received = 0  # padded amount
        self._orders: dict[str, str] = {}  # order id -> why it was rejected, empty if it was not
        self._rejected_batches: Counter[str] = Counter()  # the wallet's error message -> orders
        self._no_quotes: Counter[str] = Counter()  # reason -> blocks
        self.bid = self.offer = 0.0  # best price of the others

    def begin_turn(self) -> None:
        """Note the prices that the rule is about to see."""
        self.bid, self.offer = self._best_of_others(BUY), self._best_of_others(SELL)
        if self.bid and self.offer:
            self._mid = (self.bid + self.offer) / 2

    def add(self, block: Block, sent: int, outcome: str, error_message: str) -> tuple[list[float], list[float]]:
        """Add a block with the rule's orders. Return the prices at which it bought and sold.

        Args:
            block: what it changed.
            sent: orders in it.
            outcome: of the rule's turn, as the bot logs it.
            error_message: of the wallet, if it has rejected the orders.
        """
        self._blocks += 1
        self._sent += sent
        if error_message:
            self._rejected_batches[error_message] += sent
        elif outcome.startswith(NO_QUOTE):
            self._no_quotes[outcome.removeprefix(NO_QUOTE)] += 1
        bought: list[float] = []
        sold: list[float] = []
        for trade in block.trades:
            if self._party_id not in (trade.buyer, trade.seller):
                continue
            sign = 1 if trade.buyer == self._party_id else -1
            (bought if sign > 0 else sold).append(self._add_fill(sign, trade))
        for order in block.orders:
            if order.party_id == self._party_id:
                self._orders[order.id] = (order.reason or order.status) if order.status in REJECTED_STATUSES else ""
        self._blocks_with_fills += bool(bought or sold)
        self._largest = max(self._largest, abs(self._net_bought))
        self._blocks_at_limit += abs(self._net_bought) >= self._limit
        while self._pending and self._pending[0][0] <= self._blocks:
            self._compare_price(*self._pending.popleft()[1:])
        return bought, sold

    def result(self, seed: int) -> Result:
        """Return the figures; call this once, at the end."""
        while self._pending:
            self._compare_price(*self._pending.popleft()[1:])
        pnl, fees_paid, fees_received = self.pnl(), self._fees_paid / self._asset_unit, self._fees_received / self._asset_unit
        parts = self._spread_earned + self._price_moves + fees_received - fees_paid
        return Result(
            seed=seed,
            blocks=self._blocks,
            pnl=pnl,
            spread_earned=self._spread_earned,
            price_moves=self._price_moves,
            later_moves=pnl - parts,
            fees_paid=fees_paid,
            fees_received=fees_received,
            fills=self._fills,
            blocks_with_fills=self._blocks_with_fills,
            largest_position=self._largest / self._size_unit,
            time_at_limit=self._blocks_at_limit / max(1, self._blocks),
            sent=self._sent,
            rejected=dict(Counter(reason for reason in self._orders.values() if reason) + self._rejected_batches),
            vanished=self._sent - len(self._orders) - self._rejected_batches.total(),
            no_quotes=dict(self._no_quotes),
        )

    @property
    def position(self) -> float:
        """What the rule bought minus what it sold."""
        return self._net_bought / self._size_unit

    def pnl(self) -> float:
        """Profit and loss up to now, after fees."""
        position = self._chain.positions.get((self._party_id, self._market.id))
        fees = (self._fees_received - self._fees_paid) / self._asset_unit
        if position:
            return float((position.realised_pnl + position.unrealised_pnl) / self._asset_unit) + fees
        value = self._net_bought * self._market.last_traded_price - self._net_paid  # spot: there is no position
        return value / (self._price_unit * self._size_unit) + fees

    def _add_fill(self, sign: int, trade: Trade) -> float:
        price, size = trade.price / self._price_unit, sign * trade.size / self._size_unit
        self._fills += 1
        self._net_bought += sign * trade.size
        self._net_paid += sign * trade.size * trade.price
        self._spread_earned += size * (self._mid - price)
        self._pending.append((self._blocks + MOVE_BLOCKS, size, self._mid))
        own, other = (trade.buyer_fees, trade.seller_fees) if sign > 0 else (trade.seller_fees, trade.buyer_fees)
        self._fees_paid += own.total
        self._fees_received += other.maker  # the maker fee goes to the other side of the trade
        return price

    def _compare_price(self, size: float, mid_price_seen: float) -> None:
        bid, offer = self._best_of_others(BUY), self._best_of_others(SELL)
        mid_price = (bid + offer) / 2 if bid and offer else self._mid
        self._price_moves += size * (mid_price - mid_price_seen)

    def _best_of_others(self, side: str) -> float:
        """Return the best price of all other parties, 0 if there is none: the rule's own orders do not move the price it is measured by."""
        price = next((order.price for order in self._market.book.orders(side) if order.party_id != self._party_id), 0)
        return price / self._price_unit
