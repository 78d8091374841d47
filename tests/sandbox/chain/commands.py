"""Transaction formats: decoding, and the wallet's validation with its error messages.

Two steps, as in the real wallet: `decode` reads the JSON into known commands with known fields, `problems` validates a command that is
sent alone. The wallet rejects a batch only if it is empty; the network validates its instructions one by one.
"""

import functools
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Union

ENUMS = json.loads(Path(__file__).with_name("enums.json").read_text(encoding="utf-8"))
STRING, BOOLEAN, INT64, UINT64, ANYTHING = "string", "bool", "int64", "uint64", "anything"
RANGES = {INT64: range(-(2**63), 2**63), UINT64: range(2**64)}


class InvalidCommandError(ValueError):
    """A transaction that the wallet cannot decode; the text is the wallet's error message."""


@dataclass(frozen=True)
class Enum:
    name: str  # as in enums.json


@dataclass(frozen=True)
class Message:
    """The fields are in the order of Vega's protobuf files: the first invalid one is reported."""

    name: str
    fields: dict[str, "Kind"]


@dataclass(frozen=True)
class Repeated:
    message: Message


Kind = Union[str, Enum, Message, Repeated]

ORDER_SUBMISSION = Message(
    "vega.commands.v1.OrderSubmission",
    {
        "marketId": STRING,
        "price": STRING,
        "size": UINT64,
        "side": Enum("Side"),
        "timeInForce": Enum("Order.TimeInForce"),
        "expiresAt": INT64,
        "type": Enum("Order.Type"),
        "reference": STRING,
        "peggedOrder": ANYTHING,
        "postOnly": BOOLEAN,
        "reduceOnly": BOOLEAN,
        "icebergOpts": ANYTHING,
    },
)
ORDER_CANCELLATION = Message("vega.commands.v1.OrderCancellation", {"orderId": STRING, "marketId": STRING})
ORDER_AMENDMENT = Message(
    "vega.commands.v1.OrderAmendment",
    {
        "orderId": STRING,
        "marketId": STRING,
        "price": STRING,
        "sizeDelta": INT64,
        "expiresAt": INT64,
        "timeInForce": Enum("Order.TimeInForce"),
        "peggedOffset": STRING,
        "peggedReference": ANYTHING,
        "size": UINT64,
    },
)
BATCH = Message(
    "vega.commands.v1.BatchMarketInstructions",
    {
        "cancellations": Repeated(ORDER_CANCELLATION),
        "amendments": Repeated(ORDER_AMENDMENT),
        "submissions": Repeated(ORDER_SUBMISSION),
        "stopOrdersCancellation": ANYTHING,
        "stopOrdersSubmission": ANYTHING,
        "updateMarginMode": ANYTHING,
    },
)
LIQUIDITY_PROVISION_SUBMISSION = Message(
    "vega.commands.v1.LiquidityProvisionSubmission",
    {"marketId": STRING, "commitmentAmount": STRING, "fee": STRING, "reference": STRING},
)
# The chain executes the kinds with a Message; it accepts the others, without any effect.
TRANSACTION = Message(
    "vega.wallet.v1.SubmitTransactionRequest",
    {
        "orderSubmission": ORDER_SUBMISSION,
        "orderCancellation": ORDER_CANCELLATION,
        "orderAmendment": ORDER_AMENDMENT,
        "withdrawSubmission": ANYTHING,
        "proposalSubmission": ANYTHING,
        "voteSubmission": ANYTHING,
        "liquidityProvisionSubmission": LIQUIDITY_PROVISION_SUBMISSION,
        "delegateSubmission": ANYTHING,
        "undelegateSubmission": ANYTHING,
        "liquidityProvisionCancellation": ANYTHING,
        "liquidityProvisionAmendment": ANYTHING,
        "transfer": ANYTHING,
        "cancelTransfer": ANYTHING,
        "announceNode": ANYTHING,
        "batchMarketInstructions": BATCH,
        "stopOrdersSubmission": ANYTHING,
        "stopOrdersCancellation": ANYTHING,
        "createReferralSet": ANYTHING,
        "updateReferralSet": ANYTHING,
        "applyReferralCode": ANYTHING,
        "updateMarginMode": ANYTHING,
        "joinTeam": ANYTHING,
        "batchProposalSubmission": ANYTHING,
        "updatePartyProfile": ANYTHING,
    },
)


def decode(value: Any, kind: Kind = TRANSACTION) -> Any:
    """Return the value with camelCase keys, integers as int and enums by name.

    Raises:
        InvalidCommandError: the value does not match `kind`.
    """
    if isinstance(kind, Message):
        return _decode_message(value, kind)
    if isinstance(kind, Repeated):
        if not isinstance(value, list):
            raise _mismatch(value, "[]json.RawMessage")
        return [decode(item, kind.message) for item in value]
    if isinstance(kind, Enum):
        return _decode_enum(value, kind)
    if kind in RANGES:
        return _decode_integer(value, kind)
    if kind == STRING and not isinstance(value, str):
        raise _mismatch(value, "string")
    if kind == BOOLEAN and not isinstance(value, bool):
        raise _mismatch(value, "bool")
    return value


def _decode_message(value: Any, message: Message) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch(value, "map[string]json.RawMessage")
    rest, decoded = dict(value), {}
    for name, kind in message.fields.items():
        either = [rest.pop(key, None) for key in (_snake_case(name), name)]
        given = [item for item in either if item is not None]  # null counts as absent
        if given:
            decoded[name] = decode(given[-1], kind)
    for unknown in rest:
        raise InvalidCommandError(f'unknown field "{unknown}" in {message.name}')
    return decoded


def _decode_enum(value: Any, enum: Enum) -> Union[str, int]:
    """Return the name. A number without a name stays a number; `problems` reports it."""
    numbers: dict[str, int] = ENUMS[enum.name]
    if isinstance(value, str):
        if value not in numbers:
            raise InvalidCommandError(f'unknown value "\\"{value}\\"" for enum vega.{enum.name}')
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch(value, "protoreflect.EnumNumber")
    return next((name for name, number in numbers.items() if number == value), value)


def _decode_integer(value: Any, kind: str) -> int:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise _mismatch(value, kind)
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not re.fullmatch("-?(0|[1-9][0-9]{0,18})|[1-9][0-9]{19}", text) or int(text) not in RANGES[kind]:
        raise InvalidCommandError(f"json: cannot unmarshal number {text} into Go value of type {kind}")
    return int(text)


def _mismatch(value: Any, expected: str) -> InvalidCommandError:
    names = {bool: "bool", str: "string", list: "array", dict: "object"}
    return InvalidCommandError(f"json: cannot unmarshal {names.get(type(value), 'number')} into Go value of type {expected}")


@functools.cache
def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def problems(kind: str, command: dict[str, Any]) -> str:
    """Return the problems of a decoded command as `property (reason), …`; empty if there are none."""
    checks = {
        "orderSubmission": _submission_problems,
        "orderCancellation": _cancellation_problems,
        "orderAmendment": _amendment_problems,
        "batchMarketInstructions": _batch_problems,
        "liquidityProvisionSubmission": _liquidity_problems,
    }
    found = checks[kind](command) if kind in checks else []
    where = {"": _snake_case(kind), "*": "*"}  # the command as a whole, and an error without a property
    return ", ".join(sorted(f"{where.get(field, f'{_snake_case(kind)}.{field}')} ({reason})" for field, reason in found))


Problems = list[tuple[str, str]]  # (field, reason); field "" means the command as a whole, "*" no property
IMMEDIATE = ("TIME_IN_FORCE_IOC", "TIME_IN_FORCE_FOK")


def _submission_problems(order: dict[str, Any]) -> Problems:
    kind, time_in_force, expires_at = order.get("type"), order.get("timeInForce"), order.get("expiresAt", 0)
    post_only, reduce_only = order.get("postOnly"), order.get("reduceOnly")
    market, expiring = kind == "TYPE_MARKET", time_in_force == "TIME_IN_FORCE_GTT"
    found = _id_problems(order, "marketId")
    for field in ("side", "type", "timeInForce"):
        found += _enum_problems(order, field)
    if kind == "TYPE_LIMIT" and "peggedOrder" not in order:
        required = "is required when the order is of type LIMIT"
        found += _number_problems("price", order.get("price", ""), required, "must be positive when the order is of type LIMIT")
    return found + _failed(
        (not order.get("size"), "size", "must be positive"),
        (kind == "TYPE_NETWORK", "type", "is unauthorised"),
        (expiring and expires_at <= 0, "expires_at", "must be positive"),
        (not expiring and expires_at != 0, "expires_at", "is only available when the time in force is of type GTT"),
        (post_only and reduce_only, "post_only", "cannot be true at the same time as order_submission.reduce_only"),
        (post_only and not reduce_only and kind != "TYPE_LIMIT", "post_only", "only valid for limit orders"),
        (post_only and not reduce_only and time_in_force in IMMEDIATE, "post_only", "only valid for persistent orders"),
        (reduce_only and not post_only and time_in_force not in IMMEDIATE, "reduce_only", "only valid for non-persistent orders"),
        (market and order.get("price"), "price", "is unavailable when the order is of type MARKET"),
        (market and time_in_force not in IMMEDIATE, "time_in_force", "is expected to be of type FOK or IOC when order is of type MARKET"),
    )


def _cancellation_problems(cancellation: dict[str, Any]) -> Problems:
    return [problem for field in ("marketId", "orderId") if cancellation.get(field) for problem in _id_problems(cancellation, field)]


def _amendment_problems(amendment: dict[str, Any]) -> Problems:
    time_in_force, expires_at = amendment.get("timeInForce", "TIME_IN_FORCE_UNSPECIFIED"), amendment.get("expiresAt")
    same_time_in_force = time_in_force == "TIME_IN_FORCE_UNSPECIFIED"
    found = _id_problems(amendment, "orderId") + _id_problems(amendment, "marketId")
    if "price" in amendment:
        found += _number_problems("price", amendment["price"], "not a valid integer", "is required")
    two_sizes = "size" in amendment and amendment.get("sizeDelta")
    changes = amendment.keys() & {"price", "size", "peggedOffset", "peggedReference"} or amendment.get("sizeDelta")
    return found + _failed(
        (two_sizes, "size_delta", 'must be set to 0 if the property "order_amendment.size" is set'),
        (isinstance(time_in_force, int), "time_in_force", "is not a valid value"),
        (time_in_force == "TIME_IN_FORCE_GFA", "time_in_force", "cannot amend to time in force GFA"),
        (time_in_force == "TIME_IN_FORCE_GFN", "time_in_force", "cannot amend to time in force GFN"),
        (time_in_force == "TIME_IN_FORCE_GTT" and expires_at is None, "time_in_force", "GTT order without expiry"),
        (expires_at and not same_time_in_force and time_in_force != "TIME_IN_FORCE_GTT", "expires_at", "non GTT order with expiry"),
        (not changes and same_time_in_force and not expires_at, "*", "order_amendment does not amend anything"),
    )


def _batch_problems(batch: dict[str, Any]) -> Problems:
    return _failed((not any(batch.values()), "", "empty batch market instructions"))


def _liquidity_problems(submission: dict[str, Any]) -> Problems:
    amount, fee = submission.get("commitmentAmount", ""), submission.get("fee", "")
    number = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", fee, re.IGNORECASE)
    found = _id_problems(submission, "marketId") + _number_problems("commitment_amount", amount, "is required", "is not a valid number")
    return found + _failed(
        (not fee, "fee", "is required"),
        (fee and not number, "fee", "is not a valid value"),
        (number and Decimal(fee) < 0, "fee", "must be positive"),
    )


def _id_problems(command: dict[str, Any], field: str) -> Problems:
    given = command.get(field, "")
    return _failed(
        (not given, _snake_case(field), "is required"),
        (given and not re.fullmatch("[0-9a-fA-F]{64}", given), _snake_case(field), "should be a valid Vega ID"),
    )


def _enum_problems(command: dict[str, Any], field: str) -> Problems:
    given = command.get(field, "")
    return _failed(
        (not given or str(given).endswith("_UNSPECIFIED"), _snake_case(field), "is required"),
        (isinstance(given, int), _snake_case(field), "is not a valid value"),
    )


def _number_problems(field: str, text: str, if_empty: str, if_not_positive: str) -> Problems:
    if not text:
        return [(field, if_empty)]
    if not re.fullmatch("[+-]?[0-9]+", text):
        return [(field, "not a valid integer")]
    return [] if text.strip("+-0") and text[0] != "-" else [(field, if_not_positive)]


def _failed(*checks: tuple[Any, str, str]) -> Problems:
    """Return (field, reason) of each (failed, field, reason) that failed."""
    return [(field, reason) for wrong, field, reason in checks if wrong]
