"""The markets file: reading and validating it. Errors are one line."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Union

DEFAULT_FILE = Path(__file__).with_name("markets.json")
PRODUCTS = ("future", "perpetual", "spot")
NUMBERS = ("price_decimals", "size_decimals", "tick_size")


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
    for symbol, decimals in config["assets"].items():
        if not _is_whole(decimals) or decimals < 0:
            raise ValueError(f"asset {symbol}: decimals must be a whole number, not {decimals!r}")
    if not config["markets"]:
        raise ValueError("there is no market in it")
    for number, market in enumerate(config["markets"], start=1):
        if not isinstance(market, dict):
            raise ValueError(f"market {number}: expected an object")
        problem = _problem(market, config["assets"])
        if problem:
            raise ValueError(f"market {number} ({market.get('name', 'no name')}): {problem}")
    return config


def _problem(market: dict[str, Any], assets: dict[str, int]) -> str:
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
    try:
        positive = Fraction(market.get("first_price", "")) > 0
    except (ValueError, TypeError, ZeroDivisionError):
        positive = False
    return "" if positive else f'first_price must be a price such as "100.5", not {market.get("first_price")!r}'


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
