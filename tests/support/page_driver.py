"""Actions on the page in a browser, and on the sandbox behind it, for the tests of the page."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.sandbox import Sandbox
from tests.support.browser import resize
from tests.support.waiting import wait_until


@contextlib.contextmanager
def open_page(browser: Any, sandbox: Sandbox) -> Iterator[Any]:
    """Open the page, and check at the end that the browser's console is empty."""
    resize(browser, 1280, 800)
    browser.get_log("browser")  # clears the entries of an earlier test
    load(browser, sandbox)
    yield browser
    entries = [entry["message"] for entry in browser.get_log("browser")]
    browser.get("about:blank")
    assert entries == []


def load(browser: Any, sandbox: Sandbox, query: str = "") -> None:
    """Load the page and wait until it is connected."""
    browser.get(sandbox.url() + query)
    wait_until(lambda: text(browser, "connection") == "Live")


def text(browser: Any, element_id: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).innerText", element_id))


def texts(browser: Any, selector: str) -> list[str]:
    """Return the text of each matching element, all read at one moment, because the page rebuilds its rows all the time."""
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def wait_for_text(browser: Any, element_id: str, expected: str) -> None:
    """Wait until an element has exactly that text."""
    wait_until(lambda: text(browser, element_id) == expected, message=lambda: f"#{element_id} is {text(browser, element_id)!r}")


def click(browser: Any, selector: str) -> None:
    element = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def choose(browser: Any, element_id: str, value: str) -> None:
    """Choose an option of a select."""
    script = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    browser.execute_script(script, element_id, value)


def chart_image(browser: Any, chart: str) -> str:
    """Return a chart's picture as a data URL."""
    return str(browser.execute_script("return document.querySelector(`#${arguments[0]} canvas`).toDataURL()", chart))


PIXELS = """
    function pixels(id, top = 0, height = undefined) {  // of a copy: the browser warns where a canvas itself is read often
        const canvas = document.querySelector(`#${id} canvas`);
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return copy.getImageData(0, top, canvas.width, height ?? canvas.height);
    }"""
FIND_RECTANGLE = """
    const [id, name, width, height] = arguments;
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const { data, width: columns, height: rows } = pixels(id);
    const runs = new Int32Array(columns); // by column: rows in a row in which a run of that width ends there
    for (let y = 0; y < rows; y += 1) {
        for (let x = 0, run = 0; x < columns; x += 1) {
            const at = 4 * (y * columns + x);
            run = data[at] === red && data[at + 1] === green && data[at + 2] === blue ? run + 1 : 0;
            runs[x] = run >= width ? runs[x] + 1 : 0;
            if (runs[x] >= height) return [x, y];
        }
    }
    return null;"""


def find_rectangle(browser: Any, chart: str, colour: str, width: int, height: int) -> Any:
    """Return where the first solid rectangle of a colour (a CSS variable) and size ends in a chart, None where there is none."""
    return browser.execute_script(PIXELS + FIND_RECTANGLE, chart, colour, width, height)


def send_market_order(sandbox: Sandbox, party: str = "bot", side: str = "SIDE_BUY", product: str = "future") -> None:
    """Let a party trade with the best price, and make the block."""
    order = {"marketId": sandbox.markets[product], "side": side, "size": "100", "type": "TYPE_MARKET", "timeInForce": "TIME_IN_FORCE_IOC"}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties[party], {"orderSubmission": order}))
    sandbox.block()


def send_limit_order(sandbox: Sandbox, party: str = "bot", price: str = "9000000") -> None:
    """Let a party place a bid that stays on the book, and make the block."""
    order = {"marketId": sandbox.markets["future"], "side": "SIDE_BUY", "size": "2500", "price": price}
    terms = {**order, "type": "TYPE_LIMIT", "timeInForce": "TIME_IN_FORCE_GTC"}
    sandbox.call(lambda inside: inside.chain.submit(inside.parties[party], {"orderSubmission": terms}))
    sandbox.block()
