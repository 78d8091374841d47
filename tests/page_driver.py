"""What a test does with the live page in a browser: for test_page and test_page_access."""

import time
from collections.abc import Callable
from typing import Any

from .sandbox import Sandbox

PATIENCE = 10.0  # seconds for what takes a tick of the page


def show(browser: Any, sandbox: Sandbox, query: str = "") -> None:
    browser.get(sandbox.url() + query)
    until(lambda: text(browser, "connection") == "Live")


def until(fact: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def text(browser: Any, element_id: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).innerText", element_id))


def texts(browser: Any, selector: str) -> list[str]:
    """Return the text of each such element, all at one moment: the page makes its rows anew all the time."""
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def click(browser: Any, selector: str) -> None:
    element = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def choose(browser: Any, element_id: str, value: str) -> None:
    script = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    browser.execute_script(script, element_id, value)


def drawing(browser: Any, chart: str) -> str:
    return str(browser.execute_script("return document.querySelector(`#${arguments[0]} canvas`).toDataURL()", chart))


def trade(sandbox: Sandbox, party: str = "bot", side: str = "SIDE_BUY", product: str = "future") -> None:
    """Have a party hit the best price, and make the block."""
    order = {"marketId": sandbox.markets[product], "side": side, "size": "100", "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties[party], {"orderSubmission": order}))
    sandbox.block()


def rest(sandbox: Sandbox, party: str = "bot", price: str = "9000000") -> None:
    """Have a party place an order that rests, and make the block."""
    order = {"marketId": sandbox.markets["future"], "side": "SIDE_BUY", "size": "2500", "price": price}
    terms = {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties[party], {"orderSubmission": terms}))
    sandbox.block()
