"""Transaction formats: decoding a transaction's JSON into known commands with known fields. `command_validation` checks their values."""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

ENUMS = json.loads(Path(__file__).with_name("enums.json").read_text(encoding="utf-8"))
STRING, BOOLEAN, INT64, UINT64, ANYTHING = "string", "bool", "int64", "uint64", "anything"
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,18})|[1-9][0-9]{19}")
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

PEGGED_ORDER = Message("vega.PeggedOrder", {"reference": Enum("PeggedReference"), "offset": STRING})
ICEBERG_OPTS = Message("vega.commands.v1.IcebergOpts", {"peakSize": UINT64, "minimumVisibleSize": UINT64})
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
        "peggedOrder": PEGGED_ORDER,
        "postOnly": BOOLEAN,
        "reduceOnly": BOOLEAN,
        "icebergOpts": ICEBERG_OPTS,
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
        "peggedReference": Enum("PeggedReference"),
        "size": UINT64,
    },
)
STOP_ORDER_SETUP = Message(
    "vega.commands.v1.StopOrderSetup",
    {
        "orderSubmission": ORDER_SUBMISSION,
        "expiresAt": INT64,
        "expiryStrategy": Enum("StopOrder.ExpiryStrategy"),
        "sizeOverrideSetting": Enum("StopOrder.SizeOverrideSetting"),
        "sizeOverrideValue": Message("vega.StopOrder.SizeOverrideValue", {"percentage": STRING}),
        "price": STRING,
        "trailingPercentOffset": STRING,
    },
)
STOP_ORDERS_SUBMISSION = Message("vega.commands.v1.StopOrdersSubmission", {"risesAbove": STOP_ORDER_SETUP, "fallsBelow": STOP_ORDER_SETUP})
STOP_ORDERS_CANCELLATION = Message("vega.commands.v1.StopOrdersCancellation", {"marketId": STRING, "stopOrderId": STRING})
UPDATE_MARGIN_MODE = Message(
    "vega.commands.v1.UpdateMarginMode", {"marketId": STRING, "mode": Enum("commands.v1.UpdateMarginMode.Mode"), "marginFactor": STRING}
)
BATCH = Message(
    "vega.commands.v1.BatchMarketInstructions",
    {
        "cancellations": Repeated(ORDER_CANCELLATION),
        "amendments": Repeated(ORDER_AMENDMENT),
        "submissions": Repeated(ORDER_SUBMISSION),
        "stopOrdersCancellation": Repeated(STOP_ORDERS_CANCELLATION),
        "stopOrdersSubmission": Repeated(STOP_ORDERS_SUBMISSION),
        "updateMarginMode": Repeated(UPDATE_MARGIN_MODE),
    },
)
LIQUIDITY_TERMS: dict[str, Kind] = {"marketId": STRING, "commitmentAmount": STRING, "fee": STRING, "reference": STRING}
TRANSFER = Message(
    "vega.commands.v1.Transfer",
    {
        "fromAccountType": Enum("AccountType"),
        "to": STRING,
        "toAccountType": Enum("AccountType"),
        "asset": STRING,
        "amount": STRING,
        "reference": STRING,
        "from": STRING,
        "oneOff": Message("vega.commands.v1.OneOffTransfer", {"deliverOn": INT64}),
        "recurring": Message(
            "vega.commands.v1.RecurringTransfer",
            {"startEpoch": UINT64, "endEpoch": UINT64, "factor": STRING, "dispatchStrategy": ANYTHING},
        ),
    },
)
# The chain executes orders, stop orders and liquidity provision; it checks the others, and they have no effect.
TRANSACTION = Message(
    "vega.wallet.v1.SubmitTransactionRequest",
    {
        "orderSubmission": ORDER_SUBMISSION,
        "orderCancellation": ORDER_CANCELLATION,
        "orderAmendment": ORDER_AMENDMENT,
        "withdrawSubmission": ANYTHING,
        "proposalSubmission": ANYTHING,
        "voteSubmission": Message("vega.commands.v1.VoteSubmission", {"proposalId": STRING, "value": Enum("Vote.Value")}),
        "liquidityProvisionSubmission": Message("vega.commands.v1.LiquidityProvisionSubmission", LIQUIDITY_TERMS),
        "delegateSubmission": ANYTHING,
        "undelegateSubmission": ANYTHING,
        "liquidityProvisionCancellation": Message("vega.commands.v1.LiquidityProvisionCancellation", {"marketId": STRING}),
        "liquidityProvisionAmendment": Message("vega.commands.v1.LiquidityProvisionAmendment", LIQUIDITY_TERMS),
        "transfer": TRANSFER,
        "cancelTransfer": Message("vega.commands.v1.CancelTransfer", {"transferId": STRING}),
        "announceNode": ANYTHING,
        "batchMarketInstructions": BATCH,
        "stopOrdersSubmission": STOP_ORDERS_SUBMISSION,
        "stopOrdersCancellation": STOP_ORDERS_CANCELLATION,
        "createReferralSet": ANYTHING,
        "updateReferralSet": ANYTHING,
        "applyReferralCode": ANYTHING,
        "updateMarginMode": UPDATE_MARGIN_MODE,
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
    unknown = None
    if not value.keys() <= message.fields.keys():
        value, unknown = _camel_case_keys(value, message)
    # The first invalid field in the message's order is reported; null counts as absent.
    decoded = {name: decode(value[name], kind) for name, kind in message.fields.items() if value.get(name) is not None}
    if unknown is not None:
        raise InvalidCommandError(f'unknown field "{unknown}" in {message.name}')
    return decoded


def _camel_case_keys(value: dict[str, Any], message: Message) -> tuple[dict[str, Any], Optional[str]]:
    """Return the message with camelCase keys, and the first key that it does not know. The camelCase form of a key wins."""
    rest, renamed = dict(value), {}
    for name in message.fields:
        given = [item for key in (snake_case(name), name) if (item := rest.pop(key, None)) is not None]
        if given:
            renamed[name] = given[-1]
    return renamed, next(iter(rest), None)


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
    if not _INTEGER.fullmatch(text) or int(text) not in RANGES[kind]:
        raise InvalidCommandError(f"json: cannot unmarshal number {text} into Go value of type {kind}")
    return int(text)


def _mismatch(value: Any, expected: str) -> InvalidCommandError:
    names = {bool: "bool", str: "string", list: "array", dict: "object"}
    return InvalidCommandError(f"json: cannot unmarshal {names.get(type(value), 'number')} into Go value of type {expected}")


@functools.cache
def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
