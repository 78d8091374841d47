"""What every check uses to speak to the learner."""

from collections.abc import Callable
from typing import Any


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


def call(function: Callable[..., Any], *args: Any, hint: str, errors: tuple[type[Exception], ...] = (KeyError,)) -> Any:
    """Call the learner's function, with a hint for an error that beginners of this exercise meet."""
    try:
        return function(*args)
    except errors as error:
        raise NotYet(
            saw=f"{function.__name__} raised {type(error).__name__}: {error}\nwhen called with {_short(args)}",
            expected="that it can deal with this",
            hint=hint,
        ) from error


def _short(args: tuple[Any, ...]) -> str:
    text = ", ".join(map(repr, args))
    return text if len(text) <= 400 else text[:400] + "…"
