"""The live page in a real browser: whether everybody can use it, and whether it keeps to itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from .browser import chromium, prefer, resize, why_not
from .page_driver import rest, show, text, trade, until
from .sandbox import Sandbox

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=2) as running:
        running.block(3)
        yield running


@pytest.fixture
def page(browser: Any, sandbox: Sandbox) -> Iterator[Any]:
    """The page, live; and after the test, nothing on the browser's console."""
    resize(browser, 1280, 800)
    browser.get_log("browser")  # what a test before has left
    show(browser, sandbox)
    yield browser
    entries = [entry["message"] for entry in browser.get_log("browser")]
    browser.get("about:blank")
    assert entries == []


@pytest.mark.parametrize("view", ["", "?view=ranking", "join"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(page: Any, sandbox: Sandbox, view: str, scheme: str) -> None:
    prefer(page, scheme)
    sandbox.fail_rest(500)
    requests.get(f"{sandbox.node_url}/assets", timeout=5)
    rest(sandbox)
    trade(sandbox)
    page.get(sandbox.url() + view)
    if view != "join":
        until(lambda: page.find_element("id", "active").is_displayed())
    page.execute_script(AXE)
    found = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    faults = [(one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
    assert faults == []
    assert len(found["passes"]) > 10


def test_the_tab_key_reaches_every_control_in_the_order_of_the_page(page: Any, sandbox: Sandbox) -> None:
    from selenium.webdriver.common.keys import Keys

    sandbox.fail_rest(500)
    until(lambda: page.find_element("id", "active").is_displayed())
    page.execute_script(
        "window.controls = [...document.querySelectorAll('a, button, input, select, [tabindex=\"0\"]')].filter(e => e.checkVisibility())"
    )
    page.execute_script("window.reached = []; addEventListener('focusin', (event) => reached.push(controls.indexOf(event.target)))")
    count = page.execute_script("return controls.length")
    page.switch_to.active_element.send_keys(Keys.TAB * count)
    assert page.execute_script("return reached") == list(range(count))
    outlines = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outlines == "solid"


def test_a_button_works_with_the_keyboard_and_focus_is_not_lost(page: Any, sandbox: Sandbox) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "#control-fail_rest button").send_keys(Keys.ENTER)
    until(lambda: page.find_element("id", "active").is_displayed())
    page.find_element("css selector", "#active li button").send_keys(Keys.SPACE)
    until(lambda: not page.find_element("id", "active").is_displayed())
    assert page.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("view", ["", "?view=ranking"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080), (700, 900)])
def test_nothing_sticks_out_at_the_side(page: Any, sandbox: Sandbox, width: int, height: int, view: str) -> None:
    resize(page, width, height)
    sandbox.reject_orders("ORDER_ERROR_EXPIRYAT_BEFORE_CREATEDAT")
    trade(sandbox, "p01")
    show(page, sandbox, view)
    until(lambda: page.find_element("id", "active").is_displayed())
    script = """
        const wide = [...document.querySelectorAll("header, main, section, form, .row")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth);
        return [document.documentElement.scrollWidth, wide.map((e) => e.id || e.className)]"""
    assert page.execute_script(script) == [width, []]


def test_nothing_comes_from_elsewhere(page: Any, sandbox: Sandbox) -> None:
    loaded = json.loads(page.execute_script("return JSON.stringify(performance.getEntriesByType('resource').map((e) => e.name))"))
    assert loaded
    assert all(address.startswith(sandbox.url()) for address in loaded)
    policy = requests.get(sandbox.url(), timeout=5).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")


def test_text_from_the_network_stays_text(page: Any, sandbox: Sandbox) -> None:
    requests.get(f"{sandbox.node_url}/<img src=x onerror=alert(1)>", timeout=5)
    until(lambda: "<img src=x onerror=alert(1)>" in text(page, "calls-body"))
    assert not page.find_elements("css selector", "#calls img")
