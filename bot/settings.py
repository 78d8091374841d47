"""Settings: `.env` and the environment are read into checked, frozen records. Main thread, once, before anything connects.

Not on the page, which reads `os.environ` where it needs a value. The values stay there too: later pages read them there.
"""

import dataclasses
import logging
import math
import os
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar
from urllib.parse import urlsplit

import dotenv

from bot.transport.certificates import certificate_problems
from bot.transport.error_text import REDACTED_RUN, escape, truncate
from bot.transport.proxies import proxy_problems

Own = TypeVar("Own")

_KEY_NAMES = {"MARKET_ID": "the market's id", "PARTY_ID": "your wallet's public key"}
_URL_SCHEMES = {"NODE_URL": ("http", "https"), "WS_URL": ("ws", "wss"), "WALLET_URL": ("http", "https")}
_WALLET_KEYS = ("WALLET_URL", "WALLET_TOKEN")  # a dry run needs neither
_OPTIONAL_KEYS = ("LOG_LEVEL", "MAX_ABS_POSITION", "LOOP_INTERVAL", "DRY_RUN")
_BOT_KEYS = (*_KEY_NAMES, *_URL_SCHEMES, "WALLET_TOKEN", *_OPTIONAL_KEYS, "ENV_FILE")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_ENVIRONMENT = "the environment"
MAX_POSITION_LIMIT = 1e12  # contracts
MIN_LOOP_INTERVAL, MAX_LOOP_INTERVAL = 0.01, 3600  # seconds


class SettingsError(Exception):
    """Everything that is wrong with the settings: one line each, with what to do. Shows no value: it may be a secret."""


@dataclass(frozen=True)
class Settings:
    """The settings of the bot. `.env.example` says where each value comes from."""

    market_id: str  # 64 hex digits
    party_id: str  # 64 hex digits
    node_rest_url: str  # ends in /api/v2
    node_ws_url: str  # ends in /api/v2
    wallet_url: str  # without a path; may be empty in a dry run
    token: str = field(repr=False)  # may be empty in a dry run
    log_level: int = logging.INFO
    max_abs_position: float = 1.0  # contracts
    loop_interval: float = 1.0  # seconds
    dry_run: bool = False


def load_settings(own: type[Own]) -> tuple[Settings, Own]:
    """Read `.env`, or the file that `ENV_FILE` names, then the environment, whose values win.

    `.env` is searched in the working directory and above it.

    Args:
        own: a dataclass whose fields are settings too. A field is read from the variable of its name in capitals, and may be a
            str, int, float or bool with a default. A ValueError that its `__post_init__` raises is a problem of the settings.

    Raises:
        SettingsError: with all problems at once.
    """
    sources = _load_file()
    problems: list[str] = []

    def optional(key: str, parse: Callable[[str], Any], default: Any) -> Any:
        try:
            return parse(_value_of(key)) if _value_of(key) else default
        except ValueError as error:
            problems.append(f"{key} in {sources[key]} {error}")
            return default

    dry_run = optional("DRY_RUN", _parse_bool, False)
    keys = [key for key in (*_KEY_NAMES, *_URL_SCHEMES, "WALLET_TOKEN") if not (dry_run and key in _WALLET_KEYS)]
    problems = [problem for key in keys if (problem := _problem(key, _value_of(key), sources.get(key, "")))] + problems
    settings = Settings(
        market_id=_value_of("MARKET_ID").lower(),
        party_id=_value_of("PARTY_ID").lower(),
        node_rest_url=_normalized(_value_of("NODE_URL")),
        node_ws_url=_normalized(_value_of("WS_URL")),
        wallet_url=_normalized(_value_of("WALLET_URL")),
        token=_value_of("WALLET_TOKEN"),
        log_level=optional("LOG_LEVEL", _parse_log_level, logging.INFO),
        max_abs_position=optional("MAX_ABS_POSITION", _parse_position_limit, 1.0),
        loop_interval=optional("LOOP_INTERVAL", _parse_interval, 1.0),
        dry_run=dry_run,
    )
    own_settings = _build_own(own, sources, problems)
    problems += [*proxy_problems(map(_value_of, _URL_SCHEMES)), *certificate_problems()]
    if problems or own_settings is None:
        raise _error(problems)
    return settings, own_settings


def load_own_settings(own: type[Own]) -> Own:
    """Read a fork's settings alone, as `load_settings` does.

    Raises:
        SettingsError: with all problems at once.
    """
    sources, problems = _load_file(), list[str]()
    settings = _build_own(own, sources, problems)
    if settings is None:
        raise _error(problems)
    return settings


def _build_own(own: type[Own], sources: dict[str, str], problems: list[str]) -> Optional[Own]:
    """Return a fork's settings; None if anything is wrong with them, which is added to the problems."""
    before = len(problems)
    try:
        types = typing.get_type_hints(own)
    except NameError as error:
        problems.append(f"{own.__name__} cannot be read: {error}")
        return None
    values: dict[str, Any] = {}  # of the variables that are set; the dataclass has the other defaults
    for item in dataclasses.fields(own):  # type: ignore[arg-type]  # TypeVar bounds cannot say "a dataclass"
        key = item.name.upper()
        if key in _BOT_KEYS:
            problems.append(f"{key} is a setting of the bot itself: give the field {item.name} of {own.__name__} another name")
        elif _value_of(key) and item.init:
            try:
                values[item.name] = _PARSERS.get(types[item.name], _reject_type)(_value_of(key))
            except ValueError as error:
                problems.append(f"{key} in {sources[key]} {error}")
        elif item.init and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            problems.append(f"{key} is missing: add it to .env or to the environment, or give the field {item.name} a default")
    if len(problems) > before:
        return None
    try:
        return own(**values)
    except (ValueError, TypeError) as error:  # from its __post_init__
        problems.append(f"{own.__name__}: {error}")
        return None


def _error(problems: list[str]) -> SettingsError:
    """Return the error without the token, which somebody may have pasted where a path belongs."""
    token = _value_of("WALLET_TOKEN")
    if len(token) >= REDACTED_RUN:
        problems = [problem.replace(token, "…") for problem in problems]
    return SettingsError("\n".join(map(escape, problems)))


def _load_file() -> dict[str, str]:
    """Load the file into `os.environ`; return name -> where its value comes from."""
    sources = dict.fromkeys(os.environ, _ENVIRONMENT)
    chosen = os.environ.get("ENV_FILE", "")
    path = chosen or dotenv.find_dotenv(usecwd=True) or (".env" if os.path.isdir(".env") else "")  # dotenv overlooks a directory
    if not path:
        return sources
    shown = truncate(chosen or os.path.relpath(path))
    try:
        if chosen or os.path.isdir(path):  # dotenv takes a file that does not exist for an empty one
            open(path, "rb").close()
        dotenv.load_dotenv(path, encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (OSError, ValueError) as error:  # unreadable, not UTF-8, or with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else "save it as UTF-8 text"  # the rest may show what is in it
        raise _error([f"{shown}{' (ENV_FILE)' if chosen else ''} cannot be read: {reason}"]) from None
    return {**dict.fromkeys(os.environ, shown), **sources}


def _value_of(key: str) -> str:
    return os.environ.get(key, "").strip()


def _parse_bool(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ValueError("must be true or false")
    return _BOOLEANS[value.lower()]


def _parse_int(value: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        raise ValueError("must be an integer")
    return int(value)


def _parse_float(value: str) -> float:
    try:
        number = float(value)
    except ValueError:  # whose message shows the value
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number


def _parse_position_limit(value: str) -> float:
    limit = _parse_float(value)
    if not 0 < limit <= MAX_POSITION_LIMIT:
        raise ValueError(f"must be a number of contracts above 0, and at most {MAX_POSITION_LIMIT:.0e}")
    return limit


def _parse_interval(value: str) -> float:
    seconds = _parse_float(value)
    if not MIN_LOOP_INTERVAL <= seconds <= MAX_LOOP_INTERVAL:
        raise ValueError(f"must be from {MIN_LOOP_INTERVAL} to {MAX_LOOP_INTERVAL} seconds")
    return seconds


def _parse_log_level(value: str) -> int:
    if value.upper() not in _LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(_LOG_LEVELS)}")
    level: int = logging.getLevelName(value.upper())
    return level


def _reject_type(value: str) -> None:
    raise ValueError("cannot be read: its field must be a str, int, float or bool")


_PARSERS: dict[Any, Callable[[str], Any]] = {str: str, int: _parse_int, float: _parse_float, bool: _parse_bool}


def _problem(key: str, value: str, source: str) -> Optional[str]:
    """Return what is wrong with one necessary setting, and what to do; None if nothing is."""
    if not source:
        return f"{key} is missing: add it to .env (cp .env.example .env) or to the environment"
    problem = _value_problem(key, value)
    return f"{key} in {source} {problem}" if problem else None


def _value_problem(key: str, value: str) -> Optional[str]:
    if not value:
        return "is empty: fill it in, .env.example says where it comes from"
    if "<" in value or ">" in value:
        return "still has its placeholder in angle brackets: put the value in their place"
    if key in _KEY_NAMES:
        return _key_problem(key, value)
    if key in _URL_SCHEMES:
        return _url_problem(key, value)
    if not (value.isascii() and value.isprintable()) or " " in value:
        return "has characters that no token has: copy it again, without quotes or blanks"
    return None


def _key_problem(key: str, value: str) -> Optional[str]:
    if value[:2].lower() == "0x":
        return "starts with 0x: leave that out, Vega's ids have no prefix"
    if not re.fullmatch("[0-9a-fA-F]{64}", value):
        length = "has other characters" if len(value) == 64 else f"has {len(value)} character{'' if len(value) == 1 else 's'}"
        return f"{length}, but {_KEY_NAMES[key]} has 64 hex digits (0-9, a-f)"
    return None


def _url_problem(key: str, value: str) -> Optional[str]:
    schemes = _URL_SCHEMES[key]
    example = "http://127.0.0.1:1789" if key == "WALLET_URL" else f"{schemes[0]}://127.0.0.1:3008/api/v2"
    if "@" in value:
        return "has a user or a password in it, which the bot does not send: leave out what is before the @"
    if "?" in value or "#" in value:
        return "has a query or a fragment in it, which the bot does not send: leave out what begins with ? or #"
    try:
        url = urlsplit(value)
        complete = bool(url.hostname and url.hostname.encode("idna")) and (url.port is None or url.port > 0)
        complete = complete and value.isprintable() and " " not in value
    except ValueError:  # a bad host name, port or IPv6 address
        complete = False
    if not complete:
        return f"is not an address: write it like {example}"
    if not value.isascii():  # streams and REST would encode it by different rules, and could reach two hosts
        return "has letters that are not ASCII: write the host in the form that begins with xn--"
    if url.scheme not in schemes:
        has = f"starts with {url.scheme}://, but" if url.scheme in ("http", "https", "ws", "wss") else "has another scheme, but"
        return f"{has} must start with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    return None


def _normalized(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme.lower()}{separator}{rest.rstrip('/')}"  # websocket-client knows schemes in small letters only
