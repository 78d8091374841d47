"""`python -m tests.benchmark.chain`: how long the sandbox takes for a block of 1,000 transactions on a book of 50,000 orders.

CPU time in this process, without clock and sockets: of the chain, and of the history and the data node after it.
"""

import gc
import statistics
import time

from tests.sandbox import Sandbox

PARTIES = 4
RESTING, TRANSACTIONS, BLOCKS = 50_000, 1_000, 5
BATCH = 30  # instructions
MAX_BLOCK_TIME = 0.2  # s


def fill(sandbox: Sandbox) -> None:
    """Let the parties place resting orders on both sides, at many prices."""
    for number in range(0, RESTING, BATCH):
        orders = [order(sandbox, number + each, 9_000_000, 11_000_000) for each in range(BATCH)]
        submit(sandbox, number // BATCH, {"batchMarketInstructions": {"submissions": orders}})
        if number % (50 * BATCH) == 0:
            sandbox.make_block()
    sandbox.make_block()


def order(sandbox: Sandbox, number: int, bid: int, offer: int) -> dict[str, str]:
    distance = number // 2 % 5_000
    side, price = ("SIDE_BUY", bid - distance) if number % 2 else ("SIDE_SELL", offer + distance)
    terms = {"marketId": sandbox.markets["future"], "size": "1000", "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    return {**terms, "side": side, "price": str(price)}


def submit(sandbox: Sandbox, number: int, transaction: dict[str, object]) -> None:
    parties = list(sandbox.room.participants.values())
    sandbox.chain.submit(parties[number % PARTIES].key, transaction)


def measure() -> list[tuple[float, float]]:
    """Return for each block the seconds that the chain took, and those of everything after it."""
    sandbox = Sandbox(block_time=0, traders=False, participants=PARTIES)
    fill(sandbox)
    gc.collect()
    gc.freeze()  # as the sandbox does
    times = []
    for block in range(BLOCKS):
        for number in range(TRANSACTIONS):
            submit(sandbox, number, {"orderSubmission": order(sandbox, number + block * TRANSACTIONS, 8_900_000, 11_100_000)})
        began = time.process_time()
        made = sandbox.chain.block()
        executed = time.process_time()
        sandbox.history.record(made)
        sandbox.node.publish(made)
        times.append((executed - began, time.process_time() - executed))
    return times


def main() -> None:
    times = measure()
    chain, rest = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{TRANSACTIONS} transactions on {RESTING} resting orders: chain {chain * 1000:.0f} ms, rest {rest * 1000:.0f} ms")
    if chain + rest > MAX_BLOCK_TIME:
        raise SystemExit(f"too slow: more than {MAX_BLOCK_TIME * 1000:.0f} ms")


if __name__ == "__main__":
    main()
