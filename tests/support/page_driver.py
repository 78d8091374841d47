"""What a test does with the live page in a browser: for the files test_page*."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.sandbox import Sandbox
from tests.support.browser import resize
from tests.support.waiting import wait_until


@contextlib.contextmanager
def watched(browser: Any, sandbox: Sandbox) -> Iterator[Any]:
    """The page, live; and at the end, nothing on the browser's console."""
    resize(browser, 1280, 800)
    browser.get_log("browser")  # what a test before has left
    show(browser, sandbox)
    yield browser
    entries = [entry["message"] for entry in browser.get_log("browser")]
    browser.get("about:blank")
    assert entries == []


def show(browser: Any, sandbox: Sandbox, query: str = "") -> None:
    browser.get(sandbox.url() + query)
    wait_until(lambda: text(browser, "connection") == "Live")


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


PIXELS = """
    function pixels(id, top = 0, height = undefined) {  // of a copy: the browser complains where a canvas itself is read often
        const drawn = document.querySelector(`#${id} canvas`);
        const copy = new OffscreenCanvas(drawn.width, drawn.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(drawn, 0, 0);
        return copy.getImageData(0, top, drawn.width, height ?? drawn.height);
    }"""
SPOT = """
    const [id, name, width, height] = arguments;
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const { data, width: across, height: down } = pixels(id);
    const runs = new Int32Array(across); // how many rows above have had so wide a run that ends here
    for (let y = 0; y < down; y += 1) {
        for (let x = 0, run = 0; x < across; x += 1) {
            const at = 4 * (y * across + x);
            run = data[at] === red && data[at + 1] === green && data[at + 2] === blue ? run + 1 : 0;
            runs[x] = run >= width ? runs[x] + 1 : 0;
            if (runs[x] >= height) return [x, y];
        }
    }
    return null;"""


def spot(browser: Any, chart: str, colour: str, width: int, height: int) -> Any:
    """Return where the first solid rectangle of such a colour and size ends in a chart, None where there is none."""
    return browser.execute_script(PIXELS + SPOT, chart, colour, width, height)


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
