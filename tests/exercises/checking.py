"""What every check uses: to speak to the learner, and to use what the learner wrote without stumbling over it."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Optional, Union

LONGEST_TEXT = 400  # characters of what is shown of a value


class NotYet(Exception):
    """The exercise is not solved: what was seen, what was expected instead, and how to go on."""

    def __init__(self, saw: str, expected: str, hint: str) -> None:
        super().__init__(saw)
        self.saw, self.expected, self.hint = saw, expected, hint


def expect(fine: object, saw: str, expected: str, hint: str) -> None:
    """Raise NotYet unless all is fine."""
    if not fine:
        raise NotYet(saw=saw, expected=expected, hint=hint)


def say(fact: str) -> None:
    """Tell the learner a fact that the check has just seen."""
    print(f"  - {fact}", flush=True)


def wanted(owner: Any, name: str) -> Any:
    """Return a function or class of the learner's file, or a method of one of its objects."""
    whose = Path(str(owner.__file__)).name if isinstance(owner, ModuleType) else type(owner).__name__
    expect(
        hasattr(owner, name),
        saw=f"{whose} has no {name!r}",
        expected="every name that the starting point had",
        hint="put it back, with its parameters",
    )
    return getattr(owner, name)


def call(
    owner: Any,
    name: str,
    *args: Any,
    gives: Any = object,
    errors: tuple[type[Exception], ...] = (),
    hint: Union[str, Callable[[Exception], str]] = "",
) -> Any:
    """Call something of the learner's, and say it in words where that cannot be done or brings what nobody can use.

    Args:
        owner: the learner's module, or an object made of one of its classes.
        name: of the function, the class or the method.
        args: what to call it with.
        gives: the type that it must return, or a tuple of types.
        errors: those that beginners of this exercise meet; all others go on to the learner with their line.
        hint: for these errors; a function where it hangs on the error.
    """
    try:
        result = wanted(owner, name)(*args)
    except NotYet:
        raise
    except Exception as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # nothing of the learner's has run
            raise _not_callable(name, args, error) from error
        if not isinstance(error, errors):
            raise
        place = last_frame(error.__traceback__, _learners_file())
        raise NotYet(
            saw=f"{name} raised {type(error).__name__}: {error}{f', in line {place.lineno}' if place else ''}\n{_when(args)}".rstrip(),
            expected="that it can deal with this",
            hint=hint(error) if callable(hint) else hint,
        ) from error
    if not isinstance(result, gives):
        raise _useless(name, args, result, gives)
    return result


def last_frame(trace: Optional[TracebackType], file: str) -> Optional[traceback.FrameSummary]:
    """Return the innermost place in a file that an exception went through."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == file]
    return frames[-1] if frames else None


def _learners_file() -> str:
    return str(getattr(sys.modules.get("exercise"), "__file__", ""))


def _not_callable(name: str, args: tuple[Any, ...], error: Exception) -> NotYet:
    return NotYet(
        saw=f"{name} cannot be called: {error}\n{_when(args)}".rstrip(),
        expected="a function or class with the parameters that the starting point had",
        hint=f"compare the line that begins {name} with the starting point's",
    )


def _useless(name: str, args: tuple[Any, ...], result: Any, gives: Any) -> NotYet:
    kinds = " or ".join(kind.__name__ for kind in (gives if isinstance(gives, tuple) else (gives,)))
    return NotYet(
        saw=f"{name} returned {shown(result)}\n{_when(args)}".rstrip(),
        expected=f"a value of type {kinds}" + ("" if result is None else f", not {type(result).__name__}"),
        hint=f"does each way through {name} end in a return?" if result is None else "the starting point says what it returns, behind ->",
    )


def _when(args: tuple[Any, ...]) -> str:
    return f"when called with ({shown(*args)})" if args else ""


def shown(*values: Any) -> str:
    """Return values as one would write them in Python, shortened."""
    text = ", ".join(map(repr, values))
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
