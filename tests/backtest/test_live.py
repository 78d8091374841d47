"""The live bot on a sandbox whose blocks are made one by one, after each of its turns: the backtest predicts its orders and fills."""

from collections.abc import Iterable
from pathlib import Path

from tests.backtest.engine import Backtest
from tests.sandbox import Sandbox
from tests.sandbox.chain.chain import SECOND, Chain
from tests.sandbox.chain.records import Order
from tests.support.example_rule import quotes
from tests.support.fork import Fork

TURNS = 300
SEED = 12
TIMEOUT = 240  # s for all turns, on a busy machine
# After each turn: ask for a block, and wait until the store has what REST has. Then the next turn begins.
ONE_BLOCK_PER_TURN = f"""
import requests, time
from tests.support.example_rule import quotes

turns = []

def after_turn(market, position, outcome, vega_store):
    turns.append(outcome)
    if len(turns) > {TURNS}:
        time.sleep(3600)
    party_id = vega_store.get_accounts()[0].owner
    blocks = vega_store.get_block_count(market.market_id)
    requests.post("CONTROL_URL/block", timeout=30).raise_for_status()
    while True:
        live = {{order["id"] for order in client.get_open_orders(party_id=party_id, node_url="NODE_URL")}}
        held = [int(node["updatedAt"]) for node in client.get_positions(party_id=party_id, node_url="NODE_URL")]
        if (
            vega_store.get_block_count(market.market_id) > blocks
            and live == {{order.order_id for order in vega_store.get_orders()}}
            and held == [position.updated_at for position in vega_store.get_positions()]
        ):
            break
        time.sleep(0.002)
    if len(turns) == {TURNS}:
        logger.info("all turns done")
"""


def history(orders: Iterable[Order], begin: int) -> list[tuple[int, str, int, int, int, str]]:
    """Return a party's orders, oldest first: block, side, price, size, what remained, and status. Ids depend on the other markets."""
    rows = [((order.created_at - begin) // SECOND, order.side, order.price, order.size, order.remaining, order.status) for order in orders]
    return sorted(rows)


def orders_of(chain: Chain, market_id: str) -> list[Order]:
    return [order for order in chain.newest_orders([chain.parties["bot"]]) if order.market_id == market_id]


def test_the_live_bots_orders_and_fills_are_those_of_the_backtest(tmp_path: Path) -> None:
    with Sandbox(block_time=0, seed=SEED) as sandbox:
        market_id = sandbox.markets["future"]
        sandbox.block()  # so that there are prices
        begin: int = sandbox.call(lambda box: box.chain.time)
        code = ONE_BLOCK_PER_TURN.replace("CONTROL_URL", sandbox.control_url).replace("NODE_URL", sandbox.node_url)
        with Fork(tmp_path, sandbox, market_id, code, loop_interval=0.01) as bot:
            bot.wait_for("all turns done", timeout=TIMEOUT)
            live = sandbox.call(lambda box: history(orders_of(box.chain, market_id), begin))
            live_fills = sandbox.call(lambda box: box.fills[box.parties["bot"], market_id])
            live_position = sandbox.call(lambda box: box.chain.positions[box.parties["bot"], market_id].open_volume)

    backtest = Backtest(quotes, SEED)
    begin = backtest.chain.time + SECOND  # of the first block, as above
    result = backtest.run(TURNS)

    predicted = history(orders_of(backtest.chain, backtest.market.id), begin)
    assert live == predicted
    assert live[0][0] == 1  # what a turn sends is in the next block
    assert live_fills == result.fills > TURNS / 20
    assert live_position == backtest.chain.positions[backtest.chain.parties["bot"], backtest.market.id].open_volume
