"""The network parameters that the sandbox follows, by key, with the values of the recorded network."""

from decimal import Decimal

from tests.sandbox.chain.engine import MIN_ORDER_VALUE
from tests.sandbox.chain.market import MARK_INTERVAL
from tests.sandbox.chain.network_checks import MAX_BATCH_SIZE

NETWORK_PARAMETERS = {
    "market.margin.scalingFactors": '{"search_level":1.1,"initial_margin":1.5,"collateral_release":1.7}',
    "network.markPriceUpdateMaximumFrequency": f"{MARK_INTERVAL // 10**9}s",
    "spam.order.minimumMarginQuantumMultiple": f"{Decimal(1) / MIN_ORDER_VALUE:f}",
    "spam.protection.max.batchSize": str(MAX_BATCH_SIZE),
}
