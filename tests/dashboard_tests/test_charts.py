"""The live page in a real browser: what stands on its charts, read from their pixels and from the words written on them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.browser import chromium, why_not
from tests.support.page_driver import PIXELS, choose, rest, show, spot, text, trade, watched
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

MARK = (4, 4)  # pixels wide and high of one colour: a fill's triangle has that much in it, no line has
QUOTE = (12, 3)  # only the lines of the party's quotes are so thick; those of best bid and best offer are not

# Notes where each text of a drawing stands, in pixels of its canvas: left, top, right, bottom.
WORDS = """
    const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...where) {
        this.canvas.words = [];
        clearRect.apply(this, where);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const size = this.measureText(text);
        const above = [x - size.actualBoundingBoxLeft, y - size.actualBoundingBoxAscent];
        const corners = [above, [x + size.actualBoundingBoxRight, y + size.actualBoundingBoxDescent]];
        const points = corners.map(([a, b]) => this.getTransform().transformPoint({ x: a, y: b }));
        const [across, down] = ["x", "y"].map((axis) => points.map((point) => point[axis]));
        this.canvas.words.push([text, Math.min(...across), Math.min(...down), Math.max(...across), Math.max(...down)]);
        fillText.call(this, text, x, y);
    };"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WORDS})
        yield driver


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31) as running:
        running.block(3)
        yield running


def words(page: Any, chart: str) -> list[list[Any]]:
    found: list[list[Any]] = page.execute_script("return document.querySelector(`#${arguments[0]} canvas`).words", chart)
    return found


@pytest.mark.parametrize(("side", "colour", "other"), [("SIDE_BUY", "bid", "offer"), ("SIDE_SELL", "offer", "bid")])
def test_a_fill_is_marked_at_its_time_in_the_colour_of_its_side(page: Any, sandbox: Sandbox, side: str, colour: str, other: str) -> None:
    assert spot(page, "price-chart", colour, *MARK) is None
    trade(sandbox, side=side)
    wait_until(lambda: spot(page, "price-chart", colour, *MARK))
    assert spot(page, "price-chart", other, *MARK) is None
    newest = spot(page, "price-chart", colour, *MARK)
    sandbox.block(100)
    wait_until(lambda: (spot(page, "price-chart", colour, *MARK) or newest)[0] < newest[0] - 100)


def test_the_partys_own_quotes_are_thick_lines(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(10)
    wait_until(lambda: text(page, "height") == "13")
    assert spot(page, "price-chart", "bid", *QUOTE) is None
    rest(sandbox)
    sandbox.block(10)
    wait_until(lambda: spot(page, "price-chart", "bid", *QUOTE))
    assert spot(page, "price-chart", "offer", *QUOTE) is None


BLUE_IN_ROW = """
    const { data } = pixels("price-chart", arguments[0], 1);
    return data.filter((_, at) => at % 4 === 2 && data[at] - data[at - 2] > 40).length"""  # a line of half a pixel has twice that


def test_nothing_is_drawn_where_there_was_no_quote(page: Any, sandbox: Sandbox) -> None:
    market = sandbox.markets["future"]
    withdraw = {"batchMarketInstructions": {"cancellations": [{"marketId": market}]}}
    rest(sandbox, price="8000000")
    sandbox.block(10)
    wait_until(lambda: spot(page, "price-chart", "bid", *QUOTE))
    sandbox.call(lambda inside: inside.chain.submit(inside.parties["bot"], withdraw))
    sandbox.block(10)
    rest(sandbox, price="9000000")
    sandbox.block(10)
    wait_until(lambda: text(page, "height") == "35")
    wait_until(lambda: "over 35 blocks" in page.find_element("id", "price-chart").get_attribute("aria-label"))
    higher = spot(page, "price-chart", "bid", *QUOTE)
    assert page.execute_script(PIXELS + BLUE_IN_ROW, higher[1] - 1) >= QUOTE[0]
    assert page.execute_script(PIXELS + BLUE_IN_ROW, higher[1] + 25) == 0  # between both quotes


def test_numbers_at_the_axes_are_whole_and_touch_nothing(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(300)
    show(page, sandbox, "?market=spot&party=taker")
    assert max(len(word[0]) for word in words(page, "profit-chart")) >= 6  # thousands, won or lost
    for chart in ("price-chart", "profit-chart"):
        width = page.execute_script("return document.querySelector(`#${arguments[0]} canvas`).width", chart)
        wait_until(lambda name=chart: len(words(page, name)) > 5)  # type: ignore[misc]
        found = words(page, chart)
        assert [word for word in found if word[1] < 0 or word[3] > width] == []
        assert [(one[0], other[0]) for one in found for other in found if one is not other and touch(one, other)] == []


def touch(one: list[Any], other: list[Any]) -> bool:
    return bool(one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4])


def test_both_charts_have_their_times_above_each_other(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(300)
    show(page, sandbox, "?market=spot&party=taker")

    def times(chart: str) -> list[Any]:
        return [word[:2] for word in words(page, chart) if ":" in word[0]]

    wait_until(lambda: len(times("price-chart")) > 3 and times("price-chart") == times("profit-chart"))


def test_without_prices_it_says_so_and_makes_up_none(browser: Any) -> None:
    with Sandbox(block_time=0, seed=31, traders=False) as sandbox, watched(browser, sandbox) as page:
        sandbox.block(2)
        wait_until(lambda: text(page, "height") == "2")
        assert page.find_element("id", "no-prices").is_displayed()
        assert [word[0] for word in words(page, "price-chart") if ":" not in word[0]] == []
        rest(sandbox)
        wait_until(lambda: not page.find_element("id", "no-prices").is_displayed())
        wait_until(lambda: [word[0] for word in words(page, "price-chart") if ":" not in word[0]])
        choose(page, "market", sandbox.markets["spot"])
        wait_until(lambda: page.find_element("id", "no-prices").is_displayed())
