"""The markets file: reading and validating it. Errors are one line."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Union

DEFAULT_FILE = Path(__file__).with_name("markets.json")
PRODUCTS = ("future", "perpetual", "spot")
NUMBERS = ("price_decimals", "size_decimals", "tick_size")
FEE_KINDS = ("maker", "infrastructure", "liquidity")
TRIGGER_KEYS = {"horizon", "probability", "auction_extension"}


def read_markets(source: Union[str, Path, dict[str, Any], None] = None) -> dict[str, Any]:
    """Return the validated assets and markets of a file or dict.

    Raises:
        ValueError: the file cannot be read or is invalid; the message names the place.
    """
    if isinstance(source, dict):
        return _checked(source)
    path = Path(source or DEFAULT_FILE)
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _checked(config: Any) -> dict[str, Any]:
    if not isinstance(config, dict) or not isinstance(config.get("assets"), dict) or not isinstance(config.get("markets"), list):
        raise ValueError('expected {"assets": {…}, "markets": […]}')
    for symbol, terms in config["assets"].items():
        decimals: Any = terms.get("decimals") if isinstance(terms, dict) else terms
        if not _is_whole(decimals) or decimals < 0:
            raise ValueError(f"asset {symbol}: decimals must be a whole number, not {decimals!r}")
        quantum = terms.get("quantum", "1") if isinstance(terms, dict) else "1"
        if not isinstance(quantum, str) or not quantum.isdecimal() or not int(quantum):
            raise ValueError(f'asset {symbol}: quantum must be a padded amount such as "1000000", not {quantum!r}')
    if not config["markets"]:
        raise ValueError("there is no market in it")
    for number, market in enumerate(config["markets"], start=1):
        if not isinstance(market, dict):
            raise ValueError(f"market {number}: expected an object")
        problem = _problem(market, config["assets"])
        if problem:
            raise ValueError(f"market {number} ({market.get('name', 'no name')}): {problem}")
    return config


def _problem(market: dict[str, Any], assets: dict[str, Any]) -> str:
    if not isinstance(market.get("name"), str):
        return "name is missing"
    if market.get("product") not in PRODUCTS:
        return f"product must be one of {', '.join(PRODUCTS)}, not {market.get('product')!r}"
    for key in NUMBERS:
        if not _is_whole(market.get(key)):
            return f"{key} must be a whole number, not {market.get(key)!r}"
    if market["price_decimals"] < 0 or market["tick_size"] < 1:
        return "price_decimals cannot be negative, and tick_size must be at least 1"
    for key in ("quote_asset", "base_asset") if market["product"] == "spot" else ("settlement_asset",):
        if market.get(key) not in assets:
            return f"{key} must be one of {', '.join(assets)}, not {market.get(key)!r}"
    if not _is_number(market.get("first_price"), above=0):
        return f'first_price must be a price such as "100.5", not {market.get("first_price")!r}'
    return _optional_problem(market)


def _optional_problem(market: dict[str, Any]) -> str:
    """Return what is wrong with the entries that a market may leave out."""
    fees = market.get("fees", {})
    if not isinstance(fees, dict) or not all(kind in FEE_KINDS and _is_number(factor, above=-1) for kind, factor in fees.items()):
        return 'fees must look like {"maker": "0.0002", "infrastructure": "0.0005", "liquidity": "0"}'
    if any(Fraction(factor) < 0 for factor in fees.values()):
        return "fees cannot be negative"
    if not isinstance(market.get("reorders_transactions", False), bool):
        return "reorders_transactions must be true or false"
    triggers = market.get("price_monitoring", [])
    if not isinstance(triggers, list) or not all(_is_trigger(trigger) for trigger in triggers):
        return 'price_monitoring must be a list such as [{"horizon": 3600, "probability": "0.9999", "auction_extension": 60}]'
    for key in ("epoch_length", "mark_phase"):
        if not _is_whole(market.get(key, 0)) or market.get(key, 0) < 0:
            return f"{key} must be a whole number of seconds, not {market[key]!r}"
    return ""


def _is_trigger(trigger: Any) -> bool:
    if not isinstance(trigger, dict) or set(trigger) != TRIGGER_KEYS:
        return False
    seconds = (trigger["horizon"], trigger["auction_extension"])
    return all(_is_whole(value) and value > 0 for value in seconds) and _is_number(trigger["probability"], above=0, below=1)


def _is_number(text: Any, above: int, below: float = float("inf")) -> bool:
    try:
        return isinstance(text, str) and above < Fraction(text) < below
    except (ValueError, ZeroDivisionError):
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
