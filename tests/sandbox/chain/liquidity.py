"""Liquidity commitments of one market: bonds, the liquidity fee, and what providers earn and lose.

A commitment moves money to the provider's bond account at once, and takes effect with the next epoch. From then on trades pay a liquidity
fee. It collects in the providers' `LP_LIQUIDITY_FEES` accounts until the epoch ends. A provider who kept enough volume near the middle
price for half of the epoch then gets it; one who did not loses it, and a part of the bond.

Two things are simpler than in Vega: providers share fees by commitment alone, not by the age of their stake and the quality of their
orders; and a bond that pays for margin costs no penalty.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Optional

from tests.sandbox.chain.journal import Journal
from tests.sandbox.chain.ledger import BOND, BONUS, GENERAL, INSURANCE, LIQUIDITY_FEES, MARGIN, PARTY_LIQUIDITY_FEES
from tests.sandbox.chain.margin import SHORT_RISK
from tests.sandbox.chain.market import FINAL_STATES, OPENING, SECOND, Market
from tests.sandbox.chain.records import BUY, NETWORK, SELL, Account
from tests.sandbox.chain.service_level import Performance
from tests.sandbox.chain.uint_limits import read_uint

MAX_FEE = Fraction("0.1")  # the recorded network accepted 0.001 and rejected 0.5
EARLY_EXIT_PENALTY = Fraction("0.05")  # of the bond that is withdrawn while the market needs it
TARGET_STAKE_FACTOR = Fraction("0.05")  # of the margin of the open interest
PRICE_RANGE = Fraction("0.05")  # how far from the middle orders count, up and down
FEE_INTERVAL = SECOND  # fees are allocated in the first block later than this after the last time


@dataclass
class Provision:
    """What a party has committed."""

    party_id: str
    amount: int
    fee: Fraction


class Liquidity:
    """The commitments on one market."""

    def __init__(self, market: Market, journal: Journal) -> None:
        self._market = market
        self._journal = journal
        self._ledger = journal.ledger
        self._fee_without_providers = market.fees.liquidity
        self._active: dict[str, Provision] = {}
        self._pending: dict[str, Provision] = {}  # of the next epoch; amount 0: withdrawn
        self._performance: dict[str, Performance] = {}
        self._is_epoch_over = False
        self._last_allocation = 0

    # --- Instructions ---

    def commit(self, party_id: str, command: dict[str, Any]) -> None:
        """Commit liquidity. A second commitment, one beyond the party's balance, or a fee that is too high has no effect."""
        amount, fee = read_uint(command["commitmentAmount"]), Fraction(command["fee"])
        if amount is None or self._market.state in FINAL_STATES or amount < self._market.settlement_asset.quantum or fee > MAX_FEE:
            return
        if party_id in self._active or party_id in self._pending or not self._set_bond(party_id, amount):
            return
        self._account(party_id, PARTY_LIQUIDITY_FEES)
        if self._market.trading_mode == OPENING:
            self._activate(Provision(party_id, amount, fee))
        else:
            self._pending[party_id] = Provision(party_id, amount, fee)

    def amend(self, party_id: str, command: dict[str, Any]) -> None:
        """Amend a commitment. More money moves at once, less with the next epoch; what is not active yet can be released at once."""
        amount, fee = read_uint(command.get("commitmentAmount", "")), Fraction(command.get("fee") or 0)
        pending, active = self._pending.get(party_id), self._active.get(party_id)
        base = active or pending
        if base is None or amount is None or fee > MAX_FEE or not (fee or amount):
            return
        if command.get("commitmentAmount") and amount < self._market.settlement_asset.quantum:
            return
        amended = Provision(party_id, amount or base.amount, fee or base.fee)
        if pending and amended.amount < pending.amount:
            if not self._release(party_id, pending.amount - amended.amount):
                return
        elif amended.amount > base.amount and not self._set_bond(party_id, amended.amount):
            return
        if amended.amount == base.amount:
            self._active[party_id] = amended
        elif self._market.trading_mode != OPENING:
            self._pending[party_id] = amended
        elif amended.amount > base.amount or self._release(party_id, base.amount - amended.amount):
            self._active[party_id] = amended

    def cancel(self, party_id: str) -> None:
        """Withdraw a commitment with the next epoch. What is not active yet is released at once."""
        pending, active = self._pending.get(party_id), self._active.get(party_id)
        if pending and pending.amount and not self._release(party_id, pending.amount):
            return
        if active and self._market.trading_mode == OPENING:
            self._release(party_id, active.amount)
            self._remove(party_id)
        elif active or pending:
            self._pending[party_id] = Provision(party_id, 0, Fraction(0))

    # --- Time ---

    def begin_block(self) -> None:
        """End the epoch if it is over, allocate the fees since the last time, and set the market's liquidity fee."""
        now = self._journal.now
        if self._is_epoch_over:
            self._end_epoch()
            self._start_epoch()
        if now - self._last_allocation > FEE_INTERVAL:
            self._allocate_fees()
            self._last_allocation = now
        self._market.fees.liquidity = self._fee()

    def end_block(self) -> None:
        """Note which providers have enough volume in the book; an epoch ends with the first block later than its length."""
        market, now = self._market, self._journal.now
        if market.trading_mode != OPENING:
            for party_id, performance in self._performance.items():
                performance.note(self._keeps_commitment(party_id), now)
        self._is_epoch_over = now > market.epoch_start + market.epoch_length

    def top_up_bonds(self) -> None:
        """Refill bonds that paid for margin, from the general accounts; in each block, as `checkAuction` of core/execution/future does."""
        for provision in self._active.values():
            bond, general = self._account(provision.party_id, BOND), self._general(provision.party_id)
            self._ledger.collect([general], bond, max(0, provision.amount - bond.balance))

    # --- Fees ---

    def _fee(self) -> Fraction:
        """Return the fee that the provider asks for whose commitment, added to the cheaper ones, reaches the target stake."""
        total, fee, target = 0, self._fee_without_providers, self.target_stake()
        for provision in sorted(self._active.values(), key=lambda provision: (provision.fee, provision.party_id)):
            total, fee = total + provision.amount, provision.fee
            if total >= target:
                break
        return fee

    def target_stake(self) -> int:
        """Return how much the market needs: a part of the open interest's margin; on spot of what is committed."""
        market = self._market
        if market.is_spot:
            return int(sum(provision.amount for provision in self._active.values()) * TARGET_STAKE_FACTOR)
        return int(Fraction(*market.value(market.mark_asset_price, market.open_interest)) * SHORT_RISK * TARGET_STAKE_FACTOR)

    def _allocate_fees(self) -> None:
        fees = self._ledger.accounts.get((NETWORK, self._market.id, LIQUIDITY_FEES, self._market.settlement_asset.id))
        if fees is None or not fees.balance or not self._active:
            return
        total, commitments = fees.balance, sum(provision.amount for provision in self._active.values())
        for party_id in sorted(self._active):
            share = total * self._active[party_id].amount // commitments
            self._ledger.move(fees, self._account(party_id, PARTY_LIQUIDITY_FEES), share)
        self._ledger.move(fees, self._account(max(self._active), PARTY_LIQUIDITY_FEES), fees.balance)

    # --- Epochs ---

    def _end_epoch(self) -> None:
        """Penalise the providers that did not keep their commitment; the others get their fees, and share what those do not get."""
        if self._market.trading_mode == OPENING:
            return
        now, start = self._journal.now, self._market.epoch_start
        penalties = {party_id: self._performance[party_id].penalties(start, now) for party_id in sorted(self._performance)}
        insurance, bonus = self._network_account(INSURANCE), self._network_account(BONUS)
        for party_id, penalty in penalties.items():
            provision = self._active.get(party_id)
            lost = int(penalty.bond * provision.amount) if provision else 0
            self._ledger.collect([self._account(party_id, BOND), *self._margin(party_id)], insurance, lost)
        accrued = {party_id: self._account(party_id, PARTY_LIQUIDITY_FEES).balance for party_id in penalties}
        is_all_lost = all(penalty.fee == 1 for penalty in penalties.values())
        for party_id, penalty in penalties.items():
            fees = self._account(party_id, PARTY_LIQUIDITY_FEES)
            if is_all_lost:
                self._ledger.move(fees, insurance, fees.balance)
            else:
                self._ledger.move(fees, self._general(party_id), int((1 - penalty.fee) * fees.balance))
                self._ledger.move(fees, bonus, fees.balance)
        self._share_bonus(bonus, {party_id: (1 - penalties[party_id].fee) * accrued[party_id] for party_id in penalties})

    def _share_bonus(self, bonus: Account, shares: dict[str, Fraction]) -> None:
        """Pay the fees that were lost to the providers that kept their commitment; the first one gets what rounding leaves."""
        total, amount = sum(shares.values()), bonus.balance
        if not total or not amount:
            return
        for party_id, share in shares.items():
            self._ledger.move(bonus, self._general(party_id), int(amount * share / total))
        self._ledger.move(bonus, self._general(min(shares)), bonus.balance)

    def _start_epoch(self) -> None:
        market, now = self._market, self._journal.now
        market.epoch_start, self._is_epoch_over = now, False
        for party_id, performance in self._performance.items():
            performance.begin(self._keeps_commitment(party_id), now)
        self._withdraw()
        for provision in self._pending.values():
            if provision.amount:
                self._activate(provision)
            else:
                self._remove(provision.party_id)
        self._pending.clear()
        for provision in list(self._active.values()):
            provision.amount = self._account(provision.party_id, BOND).balance
            if not provision.amount:
                self._remove(provision.party_id)

    def _withdraw(self) -> None:
        """Give back the bond of smaller commitments; what the market needs costs a penalty."""
        reductions = {}
        for party_id, provision in self._active.items():
            pending = self._pending.get(party_id)
            reduction = provision.amount - pending.amount if pending else 0
            if reduction > 0:
                reductions[party_id] = min(reduction, self._account(party_id, BOND).balance)
        supplied, total = sum(provision.amount for provision in self._active.values()), sum(reductions.values())
        free = max(0, supplied - self.target_stake())
        for party_id in sorted(reductions):
            reduction = reductions[party_id]
            if not reduction:
                continue
            own_free = min(Fraction(reduction), Fraction(reduction * free, total))
            bond = self._account(party_id, BOND)
            released = int(own_free) + int((1 - EARLY_EXIT_PENALTY) * (reduction - own_free))
            self._ledger.move(bond, self._general(party_id), released)
            self._ledger.move(bond, self._network_account(INSURANCE), int(EARLY_EXIT_PENALTY * (reduction - own_free)))

    def _activate(self, provision: Provision) -> None:
        self._active[provision.party_id] = provision
        self._performance.setdefault(provision.party_id, Performance())

    def _remove(self, party_id: str) -> None:
        self._active.pop(party_id, None)
        self._performance.pop(party_id, None)

    def _keeps_commitment(self, party_id: str) -> bool:
        """Return whether both sides of the book hold enough of the provider's volume near the middle, at the mark price."""
        market, provision = self._market, self._active.get(party_id)
        if provision is None:
            return False
        low = high = market.mid_asset_price
        if market.in_auction:
            prices = (market.last_asset_price, market.book.uncrossing()[0])
            low, high = min(prices), max(prices)
        elif not low:
            return False
        volumes = {BUY: 0, SELL: 0}
        for order in market.book.orders_of_party(party_id):
            if low * (1 - PRICE_RANGE) <= order.asset_price <= high * (1 + PRICE_RANGE):
                volumes[order.side] += order.total_remaining
        return all(Fraction(*market.value(market.mark_asset_price, volume)) >= provision.amount for volume in volumes.values())

    # --- Accounts ---

    def _set_bond(self, party_id: str, amount: int) -> bool:
        """Move money so that the bond is `amount`. Return False if the party has not enough."""
        general = self._general(party_id)
        key = (party_id, self._market.id, BOND, self._market.settlement_asset.id)
        present = self._ledger.accounts[key].balance if key in self._ledger.accounts else 0
        if general.balance + present < amount:
            return False
        self._ledger.move(general, self._account(party_id, BOND), amount - present)
        return True

    def _release(self, party_id: str, amount: int) -> bool:
        bond = self._account(party_id, BOND)
        if bond.balance < amount:
            return False
        self._ledger.move(bond, self._general(party_id), amount)
        return True

    def _account(self, party_id: str, kind: str) -> Account:
        return self._ledger.account(party_id, kind, self._market.settlement_asset.id, self._market.id)

    def _network_account(self, kind: str) -> Account:
        return self._account(NETWORK, kind)

    def _general(self, party_id: str) -> Account:
        return self._ledger.account(party_id, GENERAL, self._market.settlement_asset.id)

    def _margin(self, party_id: str) -> list[Account]:
        margin: Optional[Account] = self._ledger.accounts.get((party_id, self._market.id, MARGIN, self._market.settlement_asset.id))
        return [margin] if margin else []
