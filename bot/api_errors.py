"""The error messages of a Vega node. Any thread. Not on the page, which loses them behind a `KeyError`."""

from typing import Any

from bot.transport.error_text import truncate


def api_error_message(content: Any) -> tuple[str, str]:
    """Return a node's error message, and the details that say more; both empty if the content is not an error.

    REST errors and unknown paths are the object itself. The errors of streams are inside its `error`.
    """
    try:
        error = content.get("error") or content
        detail = (error.get("details") or [{}])[0]
        parts = [error["message"], detail.get("message"), detail.get("inner")]
    except (LookupError, TypeError, AttributeError):
        return "", ""
    message, *details = [truncate(part) if isinstance(part, str) else "" for part in parts]
    return message, ": ".join(filter(None, details))
