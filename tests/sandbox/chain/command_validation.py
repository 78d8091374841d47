"""The wallet's validation of commands, with its error messages.

The wallet validates a command that is sent alone. It rejects a batch only if it is empty; the network validates the instructions of a
batch one by one, by the same rules.
"""

import re
from decimal import Decimal
from typing import Any

from tests.sandbox.chain.commands import snake_case

Problems = list[tuple[str, str]]  # (property, reason); property "*" means none
IMMEDIATE = ("TIME_IN_FORCE_IOC", "TIME_IN_FORCE_FOK")
MAX_REFERENCE = 100  # bytes
MAX_SIZE = (2**63 - 1) // 2
REWARDED_ACCOUNTS = (
    *("ACCOUNT_TYPE_REWARD_MAKER_PAID_FEES", "ACCOUNT_TYPE_REWARD_MAKER_RECEIVED_FEES", "ACCOUNT_TYPE_REWARD_LP_RECEIVED_FEES"),
    *("ACCOUNT_TYPE_REWARD_MARKET_PROPOSERS", "ACCOUNT_TYPE_REWARD_AVERAGE_POSITION", "ACCOUNT_TYPE_REWARD_RELATIVE_RETURN"),
    *("ACCOUNT_TYPE_REWARD_RETURN_VOLATILITY", "ACCOUNT_TYPE_REWARD_REALISED_RETURN", "ACCOUNT_TYPE_REWARD_VALIDATOR_RANKING"),
)
ONE_OFF_ACCOUNTS = (
    *("ACCOUNT_TYPE_GENERAL", "ACCOUNT_TYPE_GLOBAL_REWARD", "ACCOUNT_TYPE_NETWORK_TREASURY", "ACCOUNT_TYPE_UNSPECIFIED", ""),
)


_ID = re.compile("[0-9a-fA-F]{64}")
_WHOLE_NUMBER = re.compile("[+-]?[0-9]+")


def problems(kind: str, command: dict[str, Any]) -> str:
    """Return the problems of a decoded command as `property (reason, …), …`; empty if there are none."""
    checks = {
        "orderSubmission": _submission_problems,
        "orderCancellation": _cancellation_problems,
        "orderAmendment": _amendment_problems,
        "batchMarketInstructions": _batch_problems,
        "liquidityProvisionSubmission": _commitment_problems,
        "liquidityProvisionAmendment": _commitment_amendment_problems,
        "liquidityProvisionCancellation": _commitment_cancellation_problems,
        "voteSubmission": _vote_problems,
        "transfer": _transfer_problems,
        "cancelTransfer": _transfer_cancellation_problems,
        "stopOrdersSubmission": _stop_orders_problems,
        "stopOrdersCancellation": _stop_cancellation_problems,
        "updateMarginMode": _margin_mode_problems,
    }
    reasons: dict[str, list[str]] = {}
    for place, reason in checks[kind](command) if kind in checks else []:
        reasons.setdefault(place, []).append(reason)
    return ", ".join(sorted(f"{place} ({', '.join(texts)})" for place, texts in reasons.items()))


def _submission_problems(order: dict[str, Any]) -> Problems:
    kind, time_in_force, expires_at = order.get("type"), order.get("timeInForce"), order.get("expiresAt", 0)
    post_only, reduce_only = order.get("postOnly"), order.get("reduceOnly")
    expiring = time_in_force == "TIME_IN_FORCE_GTT"
    name = "order_submission"
    found = _reference_problems(name, order) + _id_problems(name, order, "marketId")
    for field in ("side", "type", "timeInForce"):
        found += _enum_problems(name, order, field)
    found += _failed(
        name,
        (kind == "TYPE_NETWORK", "type", "is unauthorised"),
        (not order.get("size"), "size", "must be positive"),
        (order.get("size", 0) > MAX_SIZE, "size", "size is too large"),
        (expiring and expires_at <= 0, "expires_at", "must be positive"),
        (not expiring and expires_at != 0, "expires_at", "is only available when the time in force is of type GTT"),
        (post_only and reduce_only, "post_only", "cannot be true at the same time as order_submission.reduce_only"),
        (post_only and not reduce_only and kind != "TYPE_LIMIT", "post_only", "only valid for limit orders"),
        (post_only and not reduce_only and time_in_force in IMMEDIATE, "post_only", "only valid for persistent orders"),
        (reduce_only and not post_only and time_in_force not in IMMEDIATE, "reduce_only", "only valid for non-persistent orders"),
        (reduce_only and not post_only and "peggedOrder" in order, "reduce_only", "cannot be pegged"),
    )
    if "icebergOpts" in order:
        found += _iceberg_problems(order)
    return found + (_peg_problems(order) if "peggedOrder" in order else _price_problems(order))


def _price_problems(order: dict[str, Any]) -> Problems:
    name, kind = "order_submission", order.get("type")
    if kind == "TYPE_LIMIT":
        required = "is required when the order is of type LIMIT"
        return _number_problems(name, "price", order.get("price", ""), required, "must be positive when the order is of type LIMIT")
    reason = "is expected to be of type FOK or IOC when order is of type MARKET"
    return _failed(
        name,
        (kind == "TYPE_MARKET" and order.get("price"), "price", "is unavailable when the order is of type MARKET"),
        (kind == "TYPE_MARKET" and order.get("timeInForce") not in IMMEDIATE, "time_in_force", reason),
    )


def _iceberg_problems(order: dict[str, Any]) -> Problems:
    iceberg = order["icebergOpts"]
    peak, minimum = iceberg.get("peakSize", 0), iceberg.get("minimumVisibleSize", 0)
    return _failed(
        "order_submission",
        (peak < minimum, "iceberg_opts.peak_size", "must be >= order_submission.iceberg_opts.minimum_visible_size"),
        (not minimum, "iceberg_opts.minimum_visible_size", "must be positive"),
        (peak > order.get("size", 0), "iceberg_opts.peak_size", "must be <= order_submission.size"),
        (order.get("type") != "TYPE_LIMIT", "type", "iceberg order must be of type LIMIT"),
        (order.get("timeInForce") in IMMEDIATE, "time_in_force", "iceberg order must be a persistent order"),
        (order.get("reduceOnly"), "reduce_only", "iceberg order must not be reduce-only"),
    )


def _peg_problems(order: dict[str, Any]) -> Problems:
    peg = order["peggedOrder"]
    reference, is_buy = peg.get("reference", ""), order.get("side") == "SIDE_BUY"
    persistent = ("TIME_IN_FORCE_GTT", "TIME_IN_FORCE_GTC", "TIME_IN_FORCE_GFN")
    reason = "is expected to have a time in force of type GTT, GTC or GFN when the order is pegged"
    found = _enum_problems("order_submission.pegged_order", peg, "reference") + _failed(
        "order_submission",
        (order.get("type") != "TYPE_LIMIT", "type", "is expected to be an order of type LIMIT when the order is pegged"),
        (order.get("timeInForce") not in persistent, "time_in_force", reason),
    )
    wrong, side = ("BEST_ASK", "BUY") if is_buy else ("BEST_BID", "SELL")
    if reference == f"PEGGED_REFERENCE_{wrong}":
        return [*found, ("order_submission.pegged_order.reference", f"cannot have a reference of type {wrong} when on {side} side")]
    if reference == "PEGGED_REFERENCE_UNSPECIFIED" or not isinstance(reference, str) or not reference:
        return found
    offset, place = peg.get("offset", ""), "order_submission.pegged_order.offset"
    if not re.fullmatch("[+-]?[0-9]+", offset):
        return [*found, (place, "not a valid integer")]
    sign = -1 if offset[0] == "-" and offset.strip("-0") else 1 if offset.strip("+-0") else 0
    if reference == "PEGGED_REFERENCE_MID" and sign <= 0:
        return [*found, (place, "must be positive")]
    return [*found, (place, "must be positive or zero")] if sign < 0 else found


def _cancellation_problems(cancellation: dict[str, Any]) -> Problems:
    given = [field for field in ("marketId", "orderId") if cancellation.get(field)]
    return [problem for field in given for problem in _id_problems("order_cancellation", cancellation, field)]


def _amendment_problems(amendment: dict[str, Any]) -> Problems:
    name = "order_amendment"
    time_in_force, expires_at = amendment.get("timeInForce", "TIME_IN_FORCE_UNSPECIFIED"), amendment.get("expiresAt")
    same_time_in_force = time_in_force == "TIME_IN_FORCE_UNSPECIFIED"
    reference, offset = amendment.get("peggedReference", "PEGGED_REFERENCE_UNSPECIFIED"), amendment.get("peggedOffset", "")
    found = _id_problems(name, amendment, "orderId") + _id_problems(name, amendment, "marketId")
    if "price" in amendment:
        found += _number_problems(name, "price", amendment["price"], "not a valid integer", "is required")
    if offset:
        found += _number_problems(name, "pegged_offset", offset, "not a valid integer", "must be positive")
    two_sizes = "size" in amendment and amendment.get("sizeDelta")
    changes = amendment.keys() & {"price", "size"} or amendment.get("sizeDelta") or offset or not str(reference).endswith("UNSPECIFIED")
    found += _failed(
        name,
        (time_in_force == "TIME_IN_FORCE_GFA", "time_in_force", "cannot amend to time in force GFA"),
        (time_in_force == "TIME_IN_FORCE_GFN", "time_in_force", "cannot amend to time in force GFN"),
        (amendment.get("size", 0) > MAX_SIZE, "size", "size is too large"),
        (two_sizes, "size_delta", 'must be set to 0 if the property "order_amendment.size" is set'),
        (time_in_force == "TIME_IN_FORCE_GTT" and expires_at is None, "time_in_force", "GTT order without expiry"),
        (isinstance(time_in_force, int), "time_in_force", "is not a valid value"),
        (isinstance(reference, int), "pegged_reference", "is not a valid value"),
        (
            (expires_at or 0) > 0 and not same_time_in_force and time_in_force != "TIME_IN_FORCE_GTT",
            "expires_at",
            "non GTT order with expiry",
        ),
    )
    if not changes and same_time_in_force and not (expires_at or 0) > 0:
        found.append(("*", "order_amendment does not amend anything"))
    return found


def _batch_problems(batch: dict[str, Any]) -> Problems:
    return [] if any(batch.values()) else [("batch_market_instructions", "empty batch market instructions")]


def _commitment_problems(submission: dict[str, Any]) -> Problems:
    name = "liquidity_provision_submission"
    amount, fee = submission.get("commitmentAmount", ""), submission.get("fee", "")
    number = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", fee, re.IGNORECASE)
    found = _id_problems(name, submission, "marketId") + _reference_problems(name, submission)
    amounts = _number_problems(name, "commitment_amount", amount, "is required", "is not a valid number")
    if amounts and amounts[0][1] == "is not a valid number":
        return found + amounts
    return (
        found
        + amounts
        + _failed(
            name,
            (not fee, "fee", "is required"),
            (fee and not number, "fee", "is not a valid value"),
            (number and Decimal(fee) < 0, "fee", "must be positive"),
        )
    )


def _commitment_amendment_problems(amendment: dict[str, Any]) -> Problems:
    name = "liquidity_provision_amendment"
    if not amendment.get("marketId"):
        return [(f"{name}.market_id", "is required")]
    if not any(amendment.get(field) for field in ("commitmentAmount", "fee", "reference")):
        return [(name, "is required")]
    return _reference_problems(name, amendment)


def _commitment_cancellation_problems(cancellation: dict[str, Any]) -> Problems:
    return _id_problems("liquidity_provision_cancellation", cancellation, "marketId")


def _vote_problems(vote: dict[str, Any]) -> Problems:
    return _id_problems("vote_submission", vote, "proposalId") + _enum_problems("vote_submission", vote, "value")


def _transfer_problems(transfer: dict[str, Any]) -> Problems:
    name = "transfer"
    to, to_type, from_type = transfer.get("to", ""), transfer.get("toAccountType", ""), transfer.get("fromAccountType", "")
    amount = transfer.get("amount", "")
    found = _number_problems(name, "amount", amount, "is required", "is required" if not amount.strip("+-0") else "must be positive")
    unknown = not to_type or isinstance(to_type, int) or to_type.endswith("_UNSPECIFIED")
    found += _failed(
        name,
        (not to, "to", "is required"),
        (to and not _is_id(to), "to", "should be a valid Vega public key"),
        (unknown, "to_account_type", "is not a valid value"),
        (to_type == "ACCOUNT_TYPE_GLOBAL_REWARD" and to != "0" * 64, "to_account_type", "is not a valid value"),
        (
            from_type not in ("ACCOUNT_TYPE_GENERAL", "ACCOUNT_TYPE_VESTED_REWARDS"),
            "from_account_type",
            "is not a valid value",
        ),
    )
    found += _id_problems(name, transfer, "asset")
    found += _failed(
        name,
        (len(transfer.get("reference", "").encode()) > MAX_REFERENCE, "reference", "must be less than 100 characters"),
        ("from" in transfer and not _is_id(transfer["from"]), "from", "should be a valid Vega public key"),
        ("from" in transfer and from_type != "ACCOUNT_TYPE_VESTED_REWARDS", "from", "from can only be set for vested rewards"),
        (
            "from" in transfer and to_type != "ACCOUNT_TYPE_GENERAL",
            "from",
            "from can only be set when transferring to general account",
        ),
        (not transfer.keys() & {"oneOff", "recurring"}, "kind", "is required"),
    )
    if "recurring" in transfer:
        return found + _recurring_problems(transfer["recurring"], to_type, from_type)
    if "oneOff" in transfer:
        rewarded = "transfers to metric-based reward accounts must be recurring transfers that specify a distribution metric"
        found += _failed(
            name,
            (to_type not in ONE_OFF_ACCOUNTS, "to_account_type", "account type is not valid for one off transfer"),
            (transfer["oneOff"].get("deliverOn", 0) < 0, "kind.deliver_on", "must be positive or zero"),
            (to_type in REWARDED_ACCOUNTS, "account.to", rewarded),
        )
    return found


def _recurring_problems(recurring: dict[str, Any], to_type: str, from_type: str) -> Problems:
    start, end, factor = recurring.get("startEpoch", 0), recurring.get("endEpoch"), recurring.get("factor", "")
    number = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", factor, re.IGNORECASE)
    return _failed(
        "transfer",
        (from_type == "ACCOUNT_TYPE_VESTED_REWARDS", "from_account_type", "account type is not valid for one recurring transfer"),
        (end == 0, "kind.end_epoch", "must be positive"),
        (not start, "kind.start_epoch", "must be positive"),
        (end is not None and start > end, "kind.end_epoch", "must be after start_epoch"),
        (not number, "kind.factor", "not a valid float"),
        (number and Decimal(factor) <= 0, "kind.factor", "must be positive"),
        (to_type in REWARDED_ACCOUNTS and "dispatchStrategy" not in recurring, "kind.dispatch_strategy", "is required"),
    )


def _transfer_cancellation_problems(cancellation: dict[str, Any]) -> Problems:
    return _id_problems("cancel_transfer", cancellation, "transferId")


def _stop_orders_problems(submission: dict[str, Any]) -> Problems:
    found: Problems = []
    sides = [(side, submission[side]) for side in ("fallsBelow", "risesAbove") if side in submission]
    for side, setup in sides:
        # As in the real wallet, the properties of a setup that rises above are called `rises_below`.
        found += _stop_setup_problems(f"stop_orders_submission.{'falls' if side == 'fallsBelow' else 'rises'}_below", setup, len(sides) > 1)
        value = setup.get("sizeOverrideValue")
        if setup.get("sizeOverrideSetting") == "SIZE_OVERRIDE_SETTING_POSITION" and value is not None:
            place, percentage = f"stop_orders_submission.{snake_case(side)}.size_override_value", value.get("percentage", "")
            if not _is_decimal(percentage):
                return [*found, (place, "is not a valid number")]
            if not 0 < Decimal(percentage) <= 1:
                return [*found, (place, "must be between 0 (excluded) and 1 (included)")]
    if not sides:
        return [("*", "must have at least one of rises above or falls below")]
    if len({setup.get("orderSubmission", {}).get("marketId", "") for _, setup in sides}) > 1:
        found.append(("*", "market ID for falls below and rises above must be the same"))
    return found


def _stop_setup_problems(name: str, setup: dict[str, Any], is_one_of_two: bool) -> Problems:
    order, strategy = setup.get("orderSubmission"), setup.get("expiryStrategy")
    found = [("order_submission", "is required")] if order is None else _submission_problems(order)
    if order is not None and order.get("timeInForce") == "TIME_IN_FORCE_GFA":
        found.append((f"{name}.order_submission.time_in_force", "is not a valid value"))
    if "expiresAt" in setup:
        found += _failed(
            name,
            (setup["expiresAt"] < 0, "expires_at", "must be positive"),
            (strategy is None, "expiry_strategy", "expiry strategy required when expires_at set"),
            (strategy == "EXPIRY_STRATEGY_UNSPECIFIED", "expiry_strategy", "is required"),
            (isinstance(strategy, int), "expiry_strategy", "is not a valid value"),
            (is_one_of_two and strategy == "EXPIRY_STRATEGY_SUBMIT", "expiry_strategy", "is not a valid with one cancel other"),
        )
    if "price" in setup:
        return found + _number_problems(f"{name}.trigger", "price", setup["price"], "is required", "must be positive")
    if "trailingPercentOffset" not in setup:
        return [*found, (f"{name}.trigger", "must have a stop order trigger")]
    offset, place = setup["trailingPercentOffset"], f"{name}.trigger.trailing_percent_offset"
    if not offset:
        return [*found, (place, "is required")]
    if not _is_decimal(offset):
        return [*found, (place, "not a valid float")]
    if not 0 < Decimal(offset) < 1:
        return [*found, (place, "must be between 0 and 1")]
    if Decimal(offset) % Decimal("0.001"):
        return [*found, (place, "trailing percent offset minimal increment must be >= 0.001")]
    return found


def _stop_cancellation_problems(cancellation: dict[str, Any]) -> Problems:
    given = [field for field in ("marketId", "stopOrderId") if cancellation.get(field)]
    return [problem for field in given for problem in _id_problems("stop_orders_cancellation", cancellation, field)]


def _margin_mode_problems(update: dict[str, Any]) -> Problems:
    mode, factor = update.get("mode", "MODE_UNSPECIFIED"), update.get("marginFactor")
    isolated, missing = mode == "MODE_ISOLATED_MARGIN", "margin factor must be defined when margin mode is isolated margin"
    return _failed(
        "update_margin_mode",
        (mode == "MODE_UNSPECIFIED" or isinstance(mode, int), "margin_mode", "is not a valid value"),
        (
            mode == "MODE_CROSS_MARGIN" and factor is not None,
            "margin_factor",
            "margin factor must not be defined when margin mode is cross margin",
        ),
        (isolated and not factor, "margin_factor", missing),
        (isolated and factor and not _is_decimal(factor), "margin_factor", "is not a valid number"),
        (isolated and factor and _is_decimal(factor) and Decimal(factor) <= 0, "margin_factor", "must be positive"),
        (not update.get("marketId"), "market_id", "is required"),
    )


def _id_problems(name: str, command: dict[str, Any], field: str) -> Problems:
    given = command.get(field, "")
    return _failed(
        name,
        (not given, snake_case(field), "is required"),
        (given and not _is_id(given), snake_case(field), "should be a valid Vega ID"),
    )


def _reference_problems(name: str, command: dict[str, Any]) -> Problems:
    too_long = len(command.get("reference", "").encode()) > MAX_REFERENCE
    return _failed(name, (too_long, "reference", "reference is too long"))


def _enum_problems(name: str, command: dict[str, Any], field: str) -> Problems:
    given = command.get(field, "")
    return _failed(
        name,
        (not given or str(given).endswith("_UNSPECIFIED"), snake_case(field), "is required"),
        (isinstance(given, int), snake_case(field), "is not a valid value"),
    )


def _number_problems(name: str, field: str, text: str, if_empty: str, if_not_positive: str) -> Problems:
    place = f"{name}.{field}"
    if not text:
        return [(place, if_empty)]
    if not _WHOLE_NUMBER.fullmatch(text):
        return [(place, "not a valid integer")]
    return [] if text.strip("+-0") and text[0] != "-" else [(place, if_not_positive)]


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _is_decimal(text: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", text, re.IGNORECASE) is not None


def _failed(name: str, *checks: tuple[Any, str, str]) -> Problems:
    """Return the property and the reason of each (failed, field, reason) that failed."""
    return [(f"{name}.{field}", reason) for failed, field, reason in checks if failed]
