"""What servers and libraries said, as one line for a log. Any thread. Not on the page, which loses most of it."""

import json
import re
from typing import Any

import websocket


def shortened(evidence: object) -> str:
    """Return at most 200 characters of what a server sent, on one line, fit for a log."""
    try:
        shown = evidence if isinstance(evidence, str) else json.dumps(evidence)
    except (TypeError, ValueError, RecursionError):
        shown = repr(type(evidence))
    shown = " ".join(shown[:1000].split())
    return shown if len(shown) <= 200 else shown[:200] + "…"


def without(secret: str, words: str) -> str:
    """Return words with every eight characters of the secret in a row made unreadable: a server may echo all or part of it."""
    parts = {secret[start : start + 8] for start in range(max(1, len(secret) - 7))}
    return re.sub("|".join(map(re.escape, parts)), "…", words) if secret else words


def root_cause(error: BaseException) -> str:
    """Return what was at the bottom of a chain of errors: requests wraps `Connection refused` four times."""
    while error.__context__ is not None:
        error = error.__context__
    return shortened(str(error) or type(error).__name__)


def node_words(content: Any) -> tuple[str, str]:
    """Return a node's own words where it sent an error: its message, and the details that say more. Empty if it is none.

    REST errors and unknown paths come bare, the streams' errors inside of `error`.
    """
    try:
        error = content.get("error") or content
        detail = (error.get("details") or [{}])[0]
        words = [error["message"], detail.get("message"), detail.get("inner")]
    except (LookupError, TypeError, AttributeError):
        return "", ""
    message, *details = [shortened(word) if isinstance(word, str) else "" for word in words]
    return message, ": ".join(filter(None, details))


def stream_name(url: str) -> str:
    """Return a stream's name: what stands between `/stream/` and the parameters."""
    return url.partition("/stream/")[2].partition("?")[0] or url


def close_words(body: bytes) -> str:
    code, words = int.from_bytes(body[:2], "big"), body[2:].decode(errors="replace")
    return f"closed by the node ({code or 'no code'}{': ' if words else ''}{shortened(words)})"


def failure_words(reason: object) -> str:
    if isinstance(reason, websocket.WebSocketBadStatusException):  # its own text has all headers
        hint = " (check WS_URL: it ends in /api/v2)" if reason.status_code == 404 else ""
        return f"handshake answered HTTP {reason.status_code}: {shortened((reason.resp_body or b'').decode(errors='replace'))}{hint}"
    return shortened(str(reason) or repr(reason)).rstrip(".")
