"""The built-in traders, block by block, with a bot that quotes beside them."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sandbox.chain.chain import Chain, Market
from tests.sandbox.chain.records import BUY, SELL, Block, Order, Trade
from tests.sandbox.chain.traders import Traders, Transactions
from tests.sandbox.markets import read_markets

BLOCKS = 120
PRODUCTS = ("future", "perpetual", "spot")


class Run:
    """A chain with traders and, on one market, bots that join the best prices with size 1, as `main.py` does.

    The bots send in the same order in every block, because each turns at its own moment of the second.
    """

    def __init__(self, product: str, seed: int, bots: int = 1) -> None:
        names = [f"p{number:02}" for number in range(1, bots + 1)]
        self.chain = Chain(read_markets(), seed=seed, participants=names)
        self.traders = Traders(self.chain, seed)
        self.bots = [self.chain.parties[name] for name in names]
        self.market = next(market for market in self.chain.markets.values() if market.product == product)
        self.positions: Counter[str] = Counter()  # padded size by bot
        self.fill_counts: Counter[str] = Counter()  # by bot

    def blocks(self, count: int, quoting: bool = True) -> Iterator[Block]:
        for _ in range(count):
            if quoting:
                prices = (self.market.best_bid[0], self.market.best_offer[0])
                for bot in self.bots:
                    self.quote(bot, *prices)
            for party_id, transaction in self.traders.transactions():
                self.chain.submit(party_id, transaction)
            block = self.chain.block()
            for trade in self.fills(block):
                for party, sign in ((trade.buyer, 1), (trade.seller, -1)):
                    self.positions[party] += sign * trade.size
                    self.fill_counts[party] += 1
            yield block

    def quote(self, bot: str, best_bid: int, best_offer: int, limit: int = 1) -> None:
        """Cancel all orders, then quote size 1 at the best prices. Sizes are cut to the position limit."""
        contract = 10**self.market.size_decimals
        sides = (
            (BUY, best_bid, limit * contract - self.positions[bot]),
            (SELL, best_offer, limit * contract + self.positions[bot]),
        )
        submissions = [
            {
                "marketId": self.market.id,
                "side": side,
                "price": str(price),
                "size": str(min(contract, room)),
                "timeInForce": "TIME_IN_FORCE_GTC",
                "type": "TYPE_LIMIT",
            }
            for side, price, room in sides
            if price and room > 0
        ]
        batch = {"cancellations": [{"marketId": self.market.id}], "submissions": submissions}
        self.chain.submit(bot, {"batchMarketInstructions": batch})

    def fills(self, block: Block) -> list[Trade]:
        return [trade for trade in block.trades if trade.market_id == self.market.id and {trade.buyer, trade.seller} & set(self.bots)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_bot_at_the_best_prices_is_filled_in_at_least_one_block_of_ten(product: str, seed: int) -> None:
    run = Run(product, seed)

    assert sum(bool(run.fills(block)) for block in run.blocks(BLOCKS)) >= BLOCKS / 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_twelve_equal_bots_none_has_more_than_three_times_the_fills_of_another_after_five_minutes(seed: int) -> None:
    run = Run("future", seed, bots=12)
    spreads = [run.market.best_offer[0] - run.market.best_bid[0] for _ in run.blocks(300)]
    counts = [run.fill_counts[bot] for bot in run.bots]

    assert max(counts) <= 3 * min(counts)
    assert min(counts) >= 300 / 10
    assert min(spreads) > 0


@pytest.mark.parametrize("quoting", [True, False], ids=["beside a bot", "alone"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_the_maker_quotes_both_sides_in_every_block_without_crossing(product: str, quoting: bool) -> None:
    run = Run(product, seed=3)

    for _ in run.blocks(BLOCKS, quoting):
        assert 0 < run.market.best_bid[0] < run.market.best_offer[0]
        makers = {order.side for order in live_orders(run.chain, run.market) if order.party_id == run.chain.traders["maker"]}
        assert makers == {BUY, SELL}


@pytest.mark.parametrize("product", PRODUCTS)
def test_prices_move_and_revert_to_the_mean(product: str) -> None:
    run = Run(product, seed=4)
    begin = run.market.mark_price
    seen = [run.market.best_bid[0] for _ in run.blocks(BLOCKS)]

    assert len(set(seen)) > BLOCKS / 4
    assert all(abs(price - begin) < begin / 100 for price in seen)


def test_every_market_trades() -> None:
    run = Run("future", seed=5)

    assert {trade.market_id for block in run.blocks(50) for trade in block.trades} == set(run.chain.markets)


def test_the_same_seed_gives_the_same_transactions_in_every_block() -> None:
    first, second, other = (transactions(seed) for seed in (6, 6, 7))

    assert first == second
    assert first != other


def transactions(seed: int) -> list[Transactions]:
    chain = Chain(read_markets(), seed=1)
    traders = Traders(chain, seed)
    sent = []
    for _ in range(30):
        sent.append(traders.transactions())
        for party_id, transaction in sent[-1]:
            chain.submit(party_id, transaction)
        chain.block()
    return sent


def test_the_traders_only_quote_a_suspended_market_and_ignore_a_settled_one() -> None:
    run = Run("future", seed=8)
    taker, maker = run.chain.traders["taker"], run.chain.traders["maker"]

    def senders(market: Market) -> set[str]:
        sent = [(party, transaction) for _ in range(20) for party, transaction in run.traders.transactions()]
        return {party for party, transaction in sent if market.id in str(transaction)}

    run.chain.suspend(run.market.id)
    run.chain.block()
    assert senders(run.market) == {maker}
    run.chain.set_state(run.market.id, "STATE_SETTLED", "TRADING_MODE_NO_TRADING")
    run.chain.block()
    assert senders(run.market) == set()
    run.chain.resume(run.market.id)
    run.chain.block()
    assert senders(run.market) == {maker, taker}


def test_the_maker_quotes_a_market_at_a_price_of_one_tick() -> None:
    market = {"name": "Penny", "product": "perpetual", "price_decimals": 0, "size_decimals": -1, "tick_size": 2, "settlement_asset": "tX"}
    chain = Chain({"assets": {"tX": 3}, "markets": [{**market, "first_price": "2"}]})
    traders = Traders(chain, seed=9)
    for _ in range(BLOCKS):
        for party_id, transaction in traders.transactions():
            chain.submit(party_id, transaction)
        chain.block()
        (penny,) = chain.markets.values()
        assert 0 < penny.best_bid[0] < penny.best_offer[0]


def test_the_maker_quotes_whole_ticks_if_the_first_price_is_off_the_tick_size() -> None:
    market = {"name": "Odd", "product": "future", "price_decimals": 2, "size_decimals": 1, "tick_size": 25, "settlement_asset": "tX"}
    chain = Chain({"assets": {"tX": 6}, "markets": [{**market, "first_price": "100.07"}]})
    traders = Traders(chain, seed=10)
    for _ in range(20):
        for party_id, transaction in traders.transactions():
            chain.submit(party_id, transaction)
        chain.block()
        (odd,) = chain.markets.values()
        assert 0 < odd.best_bid[0] < odd.best_offer[0]
        assert (odd.best_bid[0] % 25, odd.best_offer[0] % 25) == (0, 0)


def live_orders(chain: Chain, market: Market) -> list[Order]:
    return [order for order in chain.orders.values() if order.market_id == market.id and order.status == "STATUS_ACTIVE"]
