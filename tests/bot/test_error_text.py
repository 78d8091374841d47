"""bot/transport/error_text.py and bot/logs.py: what a server, a file or the environment says, as lines for the log."""

import logging
import sys

import pytest

from bot.logs import RedactingFormatter
from bot.transport.error_text import MAX_LENGTH, MAX_LINE_LENGTH, escape, redact, root_cause, without_numbers

FORGED = "2026-11-27 16:00:00,000 Stopped: no open orders left on the market"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢字 …", "plain é 漢字 …"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nb\r\nc\x0b\x0c\x85\u2028\u2029d", r"a\nb\r\nc\x0b\x0c\x85\u2028\u2029d"),
        ("\u202eabc\u202c \u2066x\u2069 \u200e\u200f\u061c", r"\u202eabc\u202c \u2066x\u2069 \u200e\u200f\u061c"),
        ("\x00\x7f\x9b\ud800\ue000\ufeff\u200b", r"\x00\x7f\x9b\ud800\ue000\ufeff\u200b"),
        ("a\xa0b\u3000c", "a b c"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_characters_that_a_terminal_would_act_on_are_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown
    escape(text).encode()  # no surrogates


def test_a_field_of_a_hundred_thousand_letters_is_cut_and_what_follows_stays() -> None:
    assert escape(f"order {'x' * 100_000}: STATUS_REJECTED") == f"order {'x' * MAX_LENGTH}… STATUS_REJECTED"


def test_a_line_of_many_ids_stays_whole() -> None:
    ids = ", ".join(f"{number:064x}" for number in range(30))
    assert escape(ids) == ids


def test_an_endless_line_is_cut() -> None:
    assert len(escape("ab " * 100_000)) == MAX_LINE_LENGTH + 1


def log_line(message: str, *args: object, exc_info: bool = False) -> str:
    record = logging.LogRecord("bot", logging.INFO, __file__, 1, message, args, sys.exc_info() if exc_info else None)
    return RedactingFormatter("s3cr3tT0k3n").format(record)


def test_a_message_cannot_forge_a_line() -> None:
    line = log_line("stream orders: %s", f"x\n{FORGED}")
    assert line.endswith(f"stream orders: x\\n{FORGED}")
    assert "\n" not in line


def test_an_exception_cannot_forge_a_line() -> None:
    try:
        raise ValueError(f"x\n{FORGED}\x1b[2J")
    except ValueError:
        lines = log_line("quotes() failed", exc_info=True).split("\n")
    assert lines[0].endswith("quotes() failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == f"  {FORGED}\\x1b[2J"


def test_the_token_is_not_shown_where_the_line_is_cut() -> None:
    assert "s3cr3tT0" not in log_line("x" * 190 + "s3cr3tT0k3n" + "y" * 500)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("retry in 12.5 s", "retry in 3 s"),
        ("order 3f2a99 unknown", "order ab12cd unknown"),
        ("id deadbeefcafebabe", "id 0123456789abcdef"),
        ("at 2026-11-27T16:00:00Z", "at 2026-11-28T17:11:12Z"),
        ("a frame of 67108865 bytes is too large", "a frame of 99999999 bytes is too large"),
    ],
)
def test_messages_that_differ_only_in_numbers_are_one_kind(first: str, second: str) -> None:
    assert without_numbers(first) == without_numbers(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("answered HTTP 404", "answered HTTP 503"), ("[Errno 111] x", "[Errno 113] x"), ("no pong", "no market data"), ("facade", "decade")],
)
def test_other_messages_are_other_kinds(first: str, second: str) -> None:
    assert without_numbers(first) != without_numbers(second)


def test_the_cause_of_an_error_ends_where_it_says_so() -> None:
    def fail(suppress: bool) -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            if suppress:
                raise OSError("outer") from None
            raise OSError("outer")  # noqa: B904

    for suppress, message in ((True, "outer"), (False, "'inner'")):
        with pytest.raises(OSError, match="outer") as caught:
            fail(suppress)
        assert root_cause(caught.value) == message


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 21, 64])
def test_nothing_is_left_of_a_secret_that_is_echoed(length: int) -> None:
    secret = "".join(chr(ord("A") + place % 26) if place % 3 else str(place % 10) for place in range(length))
    assert redact(secret, f"<{secret}> <{secret}>") == "<…> <…>"
    assert redact(secret, f"<{secret.lower()}>") == "<…>"  # the host of an address, for example
    for end in range(8, length):
        assert redact(secret, f"<{secret[:end]}> <{secret[-end:]}>") == "<…> <…>"
