"""Money: the accounts, and transfers between them.

Amounts are padded integers of one asset. Only `deposit` creates money; a transfer takes from one account what it gives to another.
"""

from collections.abc import Sequence

from tests.sandbox.chain.records import NETWORK, Account, Fees

GENERAL, MARGIN, ORDER_MARGIN, BOND = "ACCOUNT_TYPE_GENERAL", "ACCOUNT_TYPE_MARGIN", "ACCOUNT_TYPE_ORDER_MARGIN", "ACCOUNT_TYPE_BOND"
HOLDING, SETTLEMENT, INSURANCE = "ACCOUNT_TYPE_HOLDING", "ACCOUNT_TYPE_SETTLEMENT", "ACCOUNT_TYPE_INSURANCE"
MAKER_FEES, INFRASTRUCTURE_FEES = "ACCOUNT_TYPE_FEES_MAKER", "ACCOUNT_TYPE_FEES_INFRASTRUCTURE"
LIQUIDITY_FEES, PARTY_LIQUIDITY_FEES = "ACCOUNT_TYPE_FEES_LIQUIDITY", "ACCOUNT_TYPE_LP_LIQUIDITY_FEES"
BONUS = "ACCOUNT_TYPE_LIQUIDITY_FEES_BONUS_DISTRIBUTION"

Key = tuple[str, str, str, str]  # owner, market id or "", type, asset id


class Ledger:
    """All accounts, and which of them changed since the last block."""

    def __init__(self) -> None:
        self.accounts: dict[Key, Account] = {}
        self.changed: dict[Key, Account] = {}

    def account(self, owner: str, kind: str, asset_id: str, market_id: str = "") -> Account:
        """Return an account; create it with balance 0 if it does not exist."""
        key = (owner, market_id, kind, asset_id)
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = self.changed[key] = Account(owner=owner, asset_id=asset_id, market_id=market_id, type=kind)
        return account

    def balance(self, owner: str, kind: str, asset_id: str, market_id: str = "") -> int:
        """Return a balance without creating the account."""
        account = self.accounts.get((owner, market_id, kind, asset_id))
        return account.balance if account else 0

    def of_party(self, owner: str) -> list[Account]:
        return [account for account in self.accounts.values() if account.owner == owner]

    def remove(self, account: Account) -> None:
        """Remove an empty account; clients have seen its last balance."""
        self.accounts.pop((account.owner, account.market_id, account.type, account.asset_id), None)

    def deposit(self, owner: str, asset_id: str, amount: int) -> None:
        self.account(owner, GENERAL, asset_id).balance += amount

    def move(self, source: Account, target: Account, amount: int) -> None:
        if amount and source is not target:
            for account, change in ((source, -amount), (target, amount)):
                account.balance += change
                self.changed[account.owner, account.market_id, account.type, account.asset_id] = account

    def collect(self, sources: Sequence[Account], target: Account, amount: int) -> int:
        """Move up to `amount` from the sources, in order, and return how much there was."""
        missing = amount
        for source in sources:
            part = min(missing, source.balance)
            self.move(source, target, part)
            missing -= part
        return amount - missing

    def pay_fees(self, payers: Sequence[Account], fees: Fees, market_id: str) -> None:
        """Collect fees from a party's accounts, in order, into the fee accounts of the market and of the asset."""
        asset_id = payers[0].asset_id
        for kind, amount, market in (
            (MAKER_FEES, fees.maker, market_id),
            (INFRASTRUCTURE_FEES, fees.infrastructure, ""),
            (LIQUIDITY_FEES, fees.liquidity, market_id),
        ):
            if amount:
                self.collect(payers, self.account(NETWORK, kind, asset_id, market), amount)

    def pay_maker(self, maker: str, asset_id: str, market_id: str, amount: int) -> None:
        """Hand a maker fee on to the party whose resting order traded."""
        if amount:
            source = self.account(NETWORK, MAKER_FEES, asset_id, market_id)
            self.move(source, self.account(maker, GENERAL, asset_id), min(amount, source.balance))
