"""The page in a real browser: accessibility, window sizes, and that it loads nothing from elsewhere."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.support.browser import missing_browser, resize, set_colour_scheme
from tests.support.page_driver import click, load, send_limit_order, send_market_order, text, texts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

FOCUSABLE = """[...document.querySelectorAll('a, button, input, select, summary, [tabindex="0"]')].filter(e => e.checkVisibility())"""
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=2) as running:
        running.block(3)
        yield running


@pytest.mark.parametrize("view", ["", "?view=ranking", "join"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page: Any, sandbox: Sandbox, view: str, scheme: str) -> None:
    set_colour_scheme(page, scheme)
    sandbox.fail_rest(500)
    requests.get(f"{sandbox.node_url}/assets", timeout=30)
    send_limit_order(sandbox)
    send_market_order(sandbox)
    page.get(sandbox.url() + view)
    if view == "":
        wait_until(lambda: text(page, "active-count") == "1 fault is on")
        click(page, "#active-count")
    elif view == "?view=ranking":
        wait_until(lambda: texts(page, "#ranking tbody th"))
    page.execute_script(AXE)
    found = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    violations = [(rule["id"], rule["impact"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]]
    assert violations == []
    assert len(found["passes"]) > 10


def test_the_tab_key_reaches_every_focusable_element_in_document_order(page: Any, sandbox: Sandbox) -> None:
    from selenium.webdriver.common.keys import Keys

    sandbox.fail_rest(500)
    wait_until(lambda: text(page, "active-count") == "1 fault is on")
    page.execute_script(f"window.focusable = {FOCUSABLE}")
    page.execute_script("window.reached = []; addEventListener('focusin', (event) => reached.push(focusable.indexOf(event.target)))")
    count = page.execute_script("return focusable.length")
    page.switch_to.active_element.send_keys(Keys.TAB * count)
    assert page.execute_script("return reached") == list(range(count))
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_list_of_faults_works_with_the_keyboard_and_keeps_the_focus(page: Any, sandbox: Sandbox) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "#control-fail_rest button").send_keys(Keys.ENTER)
    wait_until(lambda: text(page, "active-count") == "1 fault is on")
    page.find_element("id", "active-count").send_keys(Keys.ENTER)
    end = page.find_element("css selector", "#active-list button")
    end.send_keys(Keys.SPACE)
    wait_until(lambda: end.text == "Ended")
    assert page.switch_to.active_element == end
    end.send_keys(Keys.ESCAPE)
    wait_until(lambda: not page.find_elements("css selector", "#active-list li"))
    assert page.switch_to.active_element.get_attribute("id") == "active-count"


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1024, 768), (390, 844)])
def test_the_sticky_header_never_covers_the_focused_element(page: Any, sandbox: Sandbox, width: int, height: int) -> None:
    from selenium.webdriver.common.keys import Keys

    resize(page, width, height)
    sandbox.suspend("future")
    sandbox.block()
    wait_until(lambda: text(page, "active-count") == "1 fault is on")
    page.execute_script(f"window.focusable = {FOCUSABLE}.filter(e => !e.closest('.top, .skip')); window.covered = []; window.visited = 0")
    page.execute_script("""
        addEventListener("focusin", ({ target }) => requestAnimationFrame(() => {
            if (!focusable.includes(target)) return;
            visited += 1;
            if (target.getBoundingClientRect().top < document.getElementById("status").getBoundingClientRect().bottom)
                covered.push(target.id || target.textContent);
        }))""")
    count = page.execute_script("scrollTo(0, document.body.scrollHeight); focusable.at(-1).focus(); return focusable.length")
    for number in range(1, count):
        wait_until(functools.partial(has_visited, page, number))
        page.switch_to.active_element.send_keys(Keys.SHIFT + Keys.TAB)
    wait_until(functools.partial(has_visited, page, count))
    assert page.execute_script("return covered") == []


def has_visited(page: Any, count: int) -> bool:
    return bool(page.execute_script("return visited") == count)


def test_on_a_phone_only_the_status_line_is_sticky(page: Any) -> None:
    resize(page, 390, 844)
    page.execute_script("scrollTo(0, 2000)")
    wait_until(lambda: page.execute_script("return document.querySelector('header').getBoundingClientRect().bottom") < 0)
    assert page.execute_script("return document.getElementById('status').getBoundingClientRect().top") == 0
    assert page.execute_script("return document.getElementById('status').offsetHeight") < 844 / 15


@pytest.mark.parametrize("view", ["", "?view=ranking", "?view=inside"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080), (1366, 768), (1024, 768), (700, 900), (390, 844)])
def test_nothing_overflows_horizontally(page: Any, sandbox: Sandbox, width: int, height: int, view: str) -> None:
    resize(page, width, height)
    sandbox.room.participants["p01"].display_name = "Sixteen letters!"
    sandbox.reject_orders("ORDER_ERROR_EXPIRYAT_BEFORE_CREATEDAT")
    sandbox.start_round()
    send_market_order(sandbox, "p01")
    sandbox.set_state("future", "STATE_SUSPENDED", "TRADING_MODE_MONITORING_AUCTION")
    sandbox.block()
    load(page, sandbox, view)
    wait_until(lambda: page.execute_script("return document.getElementById('active-count').textContent") == "2 faults are on")
    script = """
        const overflowing = [...document.querySelectorAll("header, main, section, form, .row")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth);
        return [document.documentElement.scrollWidth, overflowing.map((e) => e.id || e.className)]"""
    assert page.execute_script(script) == [width, []]


def test_every_resource_is_loaded_from_the_sandbox(page: Any, sandbox: Sandbox) -> None:
    loaded = json.loads(page.execute_script("return JSON.stringify(performance.getEntriesByType('resource').map((e) => e.name))"))
    assert loaded
    assert all(address.startswith(sandbox.url()) for address in loaded)
    policy = requests.get(sandbox.url(), timeout=30).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")


def test_text_from_requests_is_never_interpreted_as_html(page: Any, sandbox: Sandbox) -> None:
    requests.get(f"{sandbox.node_url}/<img src=x onerror=alert(1)>", timeout=30)
    wait_until(lambda: "<img src=x onerror=alert(1)>" in text(page, "requests-body"))
    assert not page.find_elements("css selector", "#requests img")
