"""Error messages of servers and libraries as one line for the log. Any thread. Not on the page, which loses most of them."""

import json
import re
import unicodedata

import websocket

MAX_LENGTH = 200  # characters of a foreign message, and of a word in the log
MAX_LINE_LENGTH = 10_000  # characters of a line in the log
REDACTED_RUN = 8  # characters of the secret in a row that are made unreadable


def escape(line: str) -> str:
    """Return a line that is safe for the log and the terminal, with text of a server, a file or the environment in it.

    Control characters could move the cursor or change what was written before, line breaks could forge a line, and characters
    for right-to-left text could change the order of what is read. They are shown as in Python, `\\x1b` for example. Words of
    more than MAX_LENGTH characters are cut.
    """
    if len(line) > MAX_LENGTH:
        line = re.sub(rf"(\S{{{MAX_LENGTH}}})\S+", r"\1…", line)
    if len(line) > MAX_LINE_LENGTH:
        line = line[:MAX_LINE_LENGTH] + "…"
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else _escaped(char) for char in line)


def _escaped(char: str) -> str:
    if unicodedata.category(char) == "Zs":  # a wide or narrow blank
        return " "
    return char.encode("unicode_escape").decode()


def without_numbers(message: str) -> str:
    """Return a message without what changes from one occurrence to the next: numbers, ids and times, but not HTTP statuses."""
    return re.sub(r"(?<!HTTP )(?<!\[Errno )\b(?:\w*\d\w*(?:[.,:-]\w*\d\w*)*|[0-9a-fA-F]{8,})\b", "#", message)


def truncate(evidence: object) -> str:
    """Return at most MAX_LENGTH characters of what a server sent, on one line."""
    try:
        shown = evidence if isinstance(evidence, str) else json.dumps(evidence)
    except (TypeError, ValueError, RecursionError):
        shown = repr(type(evidence))
    shown = " ".join(shown[: 5 * MAX_LENGTH].split())
    return shown if len(shown) <= MAX_LENGTH else shown[:MAX_LENGTH] + "…"


def redact(secret: str, message: str) -> str:
    """Return the message without the secret, or any part of it: a server may echo all or some of what it got."""
    run = min(len(secret), REDACTED_RUN)
    parts = {re.escape(secret[start : start + run]) for start in range(len(secret) - run + 1)}
    # All characters at which a part begins, and the rest of the last one. A server may also change capitals, in a host name for example.
    pattern = rf"(?:(?={'|'.join(parts)}).)+.{{{run - 1}}}"
    return re.sub(pattern, "…", message, flags=re.DOTALL | re.IGNORECASE) if secret else message


def root_cause(error: BaseException) -> str:
    """Return the message at the bottom of a chain of errors: requests wraps `Connection refused` four times."""
    while (wrapped := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = wrapped
    return truncate(str(error) or type(error).__name__)


def close_message(body: bytes) -> str:
    """Return what a WebSocket close frame says."""
    code, reason = int.from_bytes(body[:2], "big"), body[2:].decode(errors="replace")
    return f"closed by the node ({code or 'no code'}{': ' if reason else ''}{truncate(reason)})"


def disconnect_message(reason: object, hint: str = "") -> str:
    """Return why a connection failed or ended, and what to check."""
    message = str(reason) or repr(reason)
    if isinstance(reason, websocket.WebSocketBadStatusException):  # its own text holds all headers
        body = (reason.resp_body or b"").decode(errors="replace")
        message = f"handshake answered HTTP {reason.status_code}: {truncate(body)}"
    return truncate(message).rstrip(".") + (f" ({hint})" if hint else "")
