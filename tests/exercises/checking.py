"""Helpers for all checks: report facts, call the learner's code, and reject it with a message that the learner can act on."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Optional, TypeVar, Union, overload

MAX_TEXT_LENGTH = 400  # characters of a value in a message

Result = TypeVar("Result")
Hint = Union[str, Callable[[Exception], str]]


class NotSolved(Exception):
    """The exercise is not solved. The fields say what the check saw, what it expected, and what to try next."""

    def __init__(self, saw: str, expected: str, hint: str) -> None:
        super().__init__(saw)
        self.saw, self.expected, self.hint = saw, expected, hint


def expect(condition: object, saw: str, expected: str, hint: str) -> None:
    """Raise NotSolved unless the condition is true."""
    if not condition:
        raise NotSolved(saw=saw, expected=expected, hint=hint)


def report(fact: str) -> None:
    """Print something that the check has just seen."""
    print(f"  - {fact}", flush=True)


def get_required(owner: object, name: str) -> Any:
    """Return a function or class of the learner's file, or a method of an object.

    Raises:
        NotSolved: there is no such name.
    """
    owner_name = Path(str(owner.__file__)).name if isinstance(owner, ModuleType) else type(owner).__name__
    expect(
        hasattr(owner, name),
        saw=f"{owner_name} has no {name!r}",
        expected="every name that the starting point has",
        hint="put it back, with its parameters",
    )
    return getattr(owner, name)


@overload
def call(owner: object, name: str, *args: object, errors: tuple[type[Exception], ...] = (), hint: Hint = "") -> Any: ...


@overload
def call(
    owner: object, name: str, *args: object, returns: type[Result], errors: tuple[type[Exception], ...] = (), hint: Hint = ""
) -> Result: ...


def call(
    owner: object, name: str, *args: object, returns: type[Any] = object, errors: tuple[type[Exception], ...] = (), hint: Hint = ""
) -> Any:
    """Call a function, a class or a method of the learner.

    Args:
        owner: the learner's module, or an object of one of its classes.
        name: of the function, the class or the method.
        args: the arguments of the call.
        returns: the type that the result must have.
        errors: exceptions that are common in this exercise. They end the check with `hint`. All others end it with their line.
        hint: for these exceptions; a function if it depends on the exception.

    Raises:
        NotSolved: the name is missing, cannot be called like this, raised one of `errors` or returned another type.
    """
    try:
        result = get_required(owner, name)(*args)
    except NotSolved:
        raise
    except Exception as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself failed: no code of the learner ran
            raise _not_callable(name, args, error) from error
        if not isinstance(error, errors):
            raise
        frame = last_frame(error.__traceback__, _exercise_file())
        line = f", in line {frame.lineno}" if frame else ""
        raise NotSolved(
            saw=f"{name} raised {type(error).__name__}: {error}{line}\n{_called_with(args)}".rstrip(),
            expected="a result, not an exception",
            hint=hint(error) if callable(hint) else hint,
        ) from error
    if not isinstance(result, returns):
        raise _wrong_type(name, args, result, returns)
    return result


def last_frame(trace: Optional[TracebackType], file: str) -> Optional[traceback.FrameSummary]:
    """Return the innermost frame of a traceback that belongs to a file."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == file]
    return frames[-1] if frames else None


def format_values(*values: object) -> str:
    """Return values as Python code, cut to MAX_TEXT_LENGTH."""
    text = ", ".join(map(repr, values))
    return text if len(text) <= MAX_TEXT_LENGTH else text[:MAX_TEXT_LENGTH] + "…"


def _exercise_file() -> str:
    return str(getattr(sys.modules.get("exercise"), "__file__", ""))


def _not_callable(name: str, args: tuple[object, ...], error: Exception) -> NotSolved:
    return NotSolved(
        saw=f"{name} cannot be called: {error}\n{_called_with(args)}".rstrip(),
        expected="a function or class with the parameters of the starting point",
        hint=f"compare the line that begins {name} with the starting point",
    )


def _wrong_type(name: str, args: tuple[object, ...], result: object, returns: type[object]) -> NotSolved:
    return NotSolved(
        saw=f"{name} returned {format_values(result)}\n{_called_with(args)}".rstrip(),
        expected=f"a value of type {returns.__name__}" + ("" if result is None else f", not {type(result).__name__}"),
        hint=f"does every path through {name} end in a return?" if result is None else "the starting point shows the type, after ->",
    )


def _called_with(args: tuple[object, ...]) -> str:
    return f"when called with ({format_values(*args)})" if args else ""
