"""Settings: `.env` and the environment become one checked, frozen record. Main thread, once, before anything connects.

Not on the page, which reads `os.environ` where it needs a value. The values stay there too: later pages read them there.
"""

import logging
import os
import re
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import urlsplit

import dotenv

_KEY_NAMES = {"MARKET_ID": "the market's id", "PARTY_ID": "your wallet's public key"}
_URL_SCHEMES = {"NODE_URL": ("http", "https"), "WS_URL": ("ws", "wss"), "WALLET_URL": ("http", "https")}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """Everything that is wrong with the settings: one line each, with what to do."""


@dataclass(frozen=True)
class Settings:
    """What the bot needs before it starts. `.env.example` says where each value comes from."""

    market_id: str  # 64 hex digits
    party_id: str  # 64 hex digits
    node_rest_url: str  # ends in /api/v2
    node_ws_url: str  # ends in /api/v2
    wallet_url: str  # without a path
    token: str = field(repr=False)
    log_level: int = logging.INFO


def load_settings() -> Settings:
    """Read `.env` from the working directory or above it, then the environment, whose values win.

    Raises:
        SettingsError: with all problems at once.
    """
    path = dotenv.find_dotenv(usecwd=True)
    try:
        dotenv.load_dotenv(path)
    except (OSError, ValueError) as error:  # unreadable, not UTF-8, or with a NUL in it
        raise SettingsError(f"{path} cannot be read; save it as UTF-8 text: {error}") from error
    keys = [*_KEY_NAMES, *_URL_SCHEMES, "WALLET_TOKEN"]
    values = {key: os.environ.get(key, "").strip() for key in keys}
    log_level = os.environ.get("LOG_LEVEL", "").strip().upper() or "INFO"
    problems = [problem for key in keys if (problem := _problem(key, values[key]))]
    if log_level not in _LOG_LEVELS:
        problems.append(f"LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}")
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(
        market_id=values["MARKET_ID"].lower(),
        party_id=values["PARTY_ID"].lower(),
        node_rest_url=values["NODE_URL"].rstrip("/"),
        node_ws_url=values["WS_URL"].rstrip("/"),
        wallet_url=values["WALLET_URL"].rstrip("/"),
        token=values["WALLET_TOKEN"],
        log_level=logging.getLevelName(log_level),
    )


def _problem(key: str, value: str) -> Optional[str]:
    """Return what is wrong with one setting, and what to do; None if nothing is. Never shows a token."""
    if key not in os.environ:
        return f"{key} is missing: add it to .env (cp .env.example .env) or to the environment"
    if not value:
        return f"{key} is empty: fill it in, .env.example says where it comes from"
    if "<" in value or ">" in value:
        return f"{key} still has its placeholder in angle brackets: put the value in their place"
    if key in _KEY_NAMES:
        return _key_problem(key, value)
    if key in _URL_SCHEMES:
        return _url_problem(key, value)
    if not value.isascii() or len(value.split()) > 1:
        return f"{key} has characters that no token has: copy it again, without quotes or blanks"
    return None


def _key_problem(key: str, value: str) -> Optional[str]:
    if value[:2].lower() == "0x":
        return f"{key} starts with 0x: leave that out, Vega's ids have no prefix"
    if not re.fullmatch("[0-9a-fA-F]{64}", value):
        return f"{key} is {value!r}, but {_KEY_NAMES[key]} has 64 hex digits (0-9, a-f)"
    return None


def _url_problem(key: str, value: str) -> Optional[str]:
    schemes = _URL_SCHEMES[key]
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    example = "http://127.0.0.1:1789" if key == "WALLET_URL" else f"{schemes[0]}://127.0.0.1:3008/api/v2"
    try:
        url = urlsplit(value)
        complete = bool(url.hostname and url.hostname.encode("idna")) and (url.port is None or url.port > 0)
    except ValueError:  # a bad host name, port or IPv6 address
        complete = False
    if not complete:
        return f"{key} is {value!r}, which is not an address: write it like {example}"
    if url.scheme not in schemes:
        return f"{key} starts with {url.scheme}://, but must start with {expected}"
    return None
