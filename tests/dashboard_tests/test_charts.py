"""The page in a real browser: its charts, read from their pixels and from the labels drawn on them."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.browser import chromium, missing_browser
from tests.support.page_driver import (
    PIXELS,
    choose,
    find_rectangle,
    load,
    open_page,
    send_limit_order,
    send_market_order,
    text,
    wait_for_text,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

FILL = (4, 4)  # width and height in pixels of one colour: a fill's triangle contains such a rectangle, a line does not
QUOTE = (12, 3)  # only the lines of the party's quotes are 3 pixels thick; those of best bid and best offer are thinner

# Records each text that is drawn, with its position in pixels of the canvas: left, top, right, bottom.
RECORD_LABELS = """
    const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...where) {
        this.canvas.labels = [];
        clearRect.apply(this, where);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const size = this.measureText(text);
        const above = [x - size.actualBoundingBoxLeft, y - size.actualBoundingBoxAscent];
        const corners = [above, [x + size.actualBoundingBoxRight, y + size.actualBoundingBoxDescent]];
        const points = corners.map(([a, b]) => this.getTransform().transformPoint({ x: a, y: b }));
        const [across, down] = ["x", "y"].map((axis) => points.map((point) => point[axis]));
        this.canvas.labels.push([text, Math.min(...across), Math.min(...down), Math.max(...across), Math.max(...down)]);
        fillText.call(this, text, x, y);
    };"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RECORD_LABELS})
        yield driver


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31) as running:
        running.block(3)
        yield running


def labels(page: Any, chart: str) -> list[list[Any]]:
    found: list[list[Any]] = page.execute_script("return document.querySelector(`#${arguments[0]} canvas`).labels", chart)
    return found


@pytest.mark.parametrize(("side", "colour", "other"), [("SIDE_BUY", "bid", "offer"), ("SIDE_SELL", "offer", "bid")])
def test_a_fill_is_marked_at_its_time_in_the_colour_of_its_side(page: Any, sandbox: Sandbox, side: str, colour: str, other: str) -> None:
    sandbox.block(60)
    wait_for_text(page, "height", "63")
    assert find_rectangle(page, "price-chart", colour, *FILL) is None
    send_market_order(sandbox, side=side)
    wait_until(lambda: find_rectangle(page, "price-chart", colour, *FILL))
    assert find_rectangle(page, "price-chart", other, *FILL) is None
    newest = find_rectangle(page, "price-chart", colour, *FILL)
    sandbox.block(100)
    wait_until(lambda: (find_rectangle(page, "price-chart", colour, *FILL) or newest)[0] < newest[0] - 100)


def test_the_chart_begins_where_the_data_begin(page: Any, sandbox: Sandbox) -> None:
    send_limit_order(sandbox)
    sandbox.block(96)
    wait_for_text(page, "height", "100")
    wait_until(lambda: "over 100 blocks" in page.find_element("id", "price-chart").get_attribute("aria-label"))
    numbers = [label for label in labels(page, "price-chart") if ":" not in label[0]]
    times = [label for label in labels(page, "price-chart") if ":" in label[0]]
    left = max(label[3] for label in numbers)  # of the plot
    assert len(times) >= 2
    first = page.execute_script(PIXELS + FIRST_COLOURED_COLUMN, "offer")
    assert first - left < 30  # with five minutes on the axis, the first price would be in the middle


FIRST_COLOURED_COLUMN = """
    const { data, width } = pixels("price-chart");
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${arguments[0]}`).trim();
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    let first = width;
    for (let at = 0; at < data.length; at += 4)
        if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) first = Math.min(first, (at / 4) % width);
    return first"""


def test_quotes_of_the_party_are_thick_lines(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(10)
    wait_until(lambda: text(page, "height") == "13")
    assert find_rectangle(page, "price-chart", "bid", *QUOTE) is None
    send_limit_order(sandbox)
    sandbox.block(10)
    wait_until(lambda: find_rectangle(page, "price-chart", "bid", *QUOTE))
    assert find_rectangle(page, "price-chart", "offer", *QUOTE) is None


COUNT_BLUE_PIXELS = """
    const { data } = pixels("price-chart", arguments[0], 1);
    return data.filter((_, at) => at % 4 === 2 && data[at] - data[at - 2] > 40).length"""  # a line half a pixel wide has twice as much


def test_the_line_of_quotes_has_a_gap_where_there_was_no_quote(page: Any, sandbox: Sandbox) -> None:
    market = sandbox.markets["future"]
    cancel = {"batchMarketInstructions": {"cancellations": [{"marketId": market}]}}
    send_limit_order(sandbox, price="8000000")
    sandbox.block(10)
    wait_until(lambda: find_rectangle(page, "price-chart", "bid", *QUOTE))
    sandbox.call(lambda inside: inside.chain.submit(inside.parties["bot"], cancel))
    sandbox.block(10)
    send_limit_order(sandbox, price="9000000")
    sandbox.block(10)
    wait_until(lambda: text(page, "height") == "35")
    wait_until(lambda: "over 35 blocks" in page.find_element("id", "price-chart").get_attribute("aria-label"))
    higher = find_rectangle(page, "price-chart", "bid", *QUOTE)
    assert page.execute_script(PIXELS + COUNT_BLUE_PIXELS, higher[1] - 1) >= QUOTE[0]
    assert page.execute_script(PIXELS + COUNT_BLUE_PIXELS, higher[1] + 25) == 0  # between the prices of both quotes


def test_numbers_at_the_axes_are_complete_and_do_not_overlap(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(300)
    load(page, sandbox, "?market=spot&party=taker")
    assert max(len(label[0]) for label in labels(page, "pnl-chart")) >= 6  # thousands
    for chart in ("price-chart", "pnl-chart"):
        width = page.execute_script("return document.querySelector(`#${arguments[0]} canvas`).width", chart)
        wait_until(functools.partial(has_labels, page, chart))
        found = labels(page, chart)
        assert [label for label in found if label[1] < 0 or label[3] > width] == []
        assert [(one[0], other[0]) for one in found for other in found if one is not other and overlap(one, other)] == []


def has_labels(page: Any, chart: str) -> bool:
    return len(labels(page, chart)) > 5


def overlap(one: list[Any], other: list[Any]) -> bool:
    return bool(one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4])


def test_the_time_axes_of_both_charts_line_up(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(300)
    load(page, sandbox, "?market=spot&party=taker")

    def times(chart: str) -> list[Any]:
        return [label[:2] for label in labels(page, chart) if ":" in label[0]]

    wait_until(lambda: len(times("price-chart")) > 3 and times("price-chart") == times("pnl-chart"))


def test_without_prices_the_chart_has_a_message_and_no_numbers(browser: Any) -> None:
    with Sandbox(block_time=0, seed=31, traders=False) as sandbox, open_page(browser, sandbox) as page:
        sandbox.block(2)
        wait_until(lambda: text(page, "height") == "2")
        assert page.find_element("id", "no-prices").is_displayed()
        assert [label[0] for label in labels(page, "price-chart") if ":" not in label[0]] == []
        send_limit_order(sandbox)
        wait_until(lambda: not page.find_element("id", "no-prices").is_displayed())
        wait_until(lambda: [label[0] for label in labels(page, "price-chart") if ":" not in label[0]])
        choose(page, "market", sandbox.markets["spot"])
        wait_until(lambda: page.find_element("id", "no-prices").is_displayed())
