"""How a decision becomes orders, safely: checks before trading, the one sender of transactions, the start and the end."""
