"""Error messages of servers and libraries as one line for the log. Any thread. Not on the page, which loses most of them."""

import json
import re

import websocket

MAX_LENGTH = 200  # characters of a foreign message
REDACTED_RUN = 8  # characters of the secret in a row that are made unreadable


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
    parts = {secret[start : start + REDACTED_RUN] for start in range(max(1, len(secret) - REDACTED_RUN + 1))}
    return re.sub("|".join(map(re.escape, parts)), "…", message) if secret else message


def root_cause(error: BaseException) -> str:
    """Return the message at the bottom of a chain of errors: requests wraps `Connection refused` four times."""
    while (wrapped := error.__cause__ or error.__context__) is not None:
        error = wrapped
    return truncate(str(error) or type(error).__name__)


def close_message(body: bytes) -> str:
    """Return what a WebSocket close frame says."""
    code, reason = int.from_bytes(body[:2], "big"), body[2:].decode(errors="replace")
    return f"closed by the node ({code or 'no code'}{': ' if reason else ''}{truncate(reason)})"


def disconnect_message(reason: object, not_found_hint: str = "") -> str:
    """Return why a connection failed or ended; `not_found_hint` says what to check when the handshake got HTTP 404."""
    if isinstance(reason, websocket.WebSocketBadStatusException):  # its own text holds all headers
        hint = f" ({not_found_hint})" if reason.status_code == 404 and not_found_hint else ""
        body = (reason.resp_body or b"").decode(errors="replace")
        return f"handshake answered HTTP {reason.status_code}: {truncate(body)}{hint}"
    return truncate(str(reason) or repr(reason)).rstrip(".")
