"""The ranking in a real browser: its order, rounds and their results, and its size on a projector."""

import csv
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.browser import missing_browser, resize
from tests.support.page_driver import choose, click, load, open_page, send_market_order, text, texts, wait_for_text
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

MINUS = "\u2212"
ROWS = "#ranking tbody tr"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=3) as running:
        running.block(3)
        yield running


def cells(page: Any) -> list[list[str]]:
    """Return the texts of each row: rank, name, score, PnL, largest position, fills, …"""
    return [[cell.replace(MINUS, "-").replace(",", "") for cell in row.split("\t")] for row in texts(page, ROWS)]


def has_rows(page: Any, count: int) -> bool:
    return len(texts(page, "#ranking tbody th")) == count


def test_the_ranking_lists_all_trading_parties_by_score(page: Any, sandbox: Sandbox) -> None:
    for party in ("p01", "a", "p01"):
        send_market_order(sandbox, party)
    send_market_order(sandbox, "p02", "SIDE_SELL")
    sandbox.block(10)
    click(page, "#view-ranking")
    wait_until(functools.partial(has_rows, page, 3))
    rows = cells(page)
    scores = [float(row[2]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([float(row[3]) - 0.5 * float(row[4]) for row in rows], abs=2e-4)
    assert {row[1].strip(): float(row[4]) for row in rows} == {"p01": 0.2, "spare party a": 0.1, "p02": 0.1}
    assert {len(row[2].partition(".")[2]) for row in rows} == {4}  # the same number of decimals in each row
    assert text(page, "inactive") == "No orders yet: p03"
    assert not page.find_element("id", "market-view").is_displayed()


def test_a_round_has_a_clock_and_its_results_stay_until_the_next_one(page: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.room.participants["p02"].display_name = "Grace"
    send_market_order(sandbox, "p02")
    load(page, sandbox)
    click(page, "#control-start_round button")
    wait_for_text(page, "result", "start_round: done at block 4")
    click(page, "#view-ranking")
    wait_for_text(page, "ranking-title", "Round 1")
    wait_for_text(page, "round-clock", "5:00 left")
    send_market_order(sandbox, "p02")
    wait_for_text(page, "round-clock", "4:59 left")
    wait_until(lambda: [row[1:2] + row[4:6] for row in cells(page)] == [["Grace p02", "0.2", "1"]])
    sandbox.end_round()
    wait_for_text(page, "ranking-title", "Round 1: results")
    assert text(page, "round-clock").startswith("ended at ")
    send_market_order(sandbox, "p02")
    wait_for_text(page, "height", "6")
    assert [row[1:2] + row[4:6] for row in cells(page)] == [["Grace p02", "0.2", "1"]]
    sandbox.start_round()
    sandbox.block()
    wait_for_text(page, "ranking-title", "Round 2")
    choose(page, "round-select", "1")
    wait_for_text(page, "ranking-title", "Round 1: results")
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    click(page, "#round-choice a")
    wait_until(lambda: (tmp_path / "rounds.csv").exists())
    with (tmp_path / "rounds.csv").open(encoding="utf-8") as file:
        assert {(row["round"], row["name"], row["fills"]) for row in csv.DictReader(file)} >= {("1", "Grace", "1")}


VISIBLE_CONTROLS = """
    return [...document.querySelectorAll("button, select, input, summary, a")]
        .filter((element) => element.checkVisibility() && !element.classList.contains("skip")).map((element) => element.id)"""
OUTSIDE = """
    return [...document.querySelectorAll("#ranking :is(th, td)")].filter((cell) => cell.checkVisibility()).filter((cell) => {
        const { right, bottom, height } = cell.getBoundingClientRect();
        return right > innerWidth || bottom > innerHeight || !height || cell.scrollWidth > cell.clientWidth + 1;
    }).map((cell) => cell.textContent)"""
FILLED = """
    const tables = [...document.querySelectorAll("#ranking table")].map((table) => table.getBoundingClientRect());
    const right = Math.max(...tables.map((table) => table.right)), bottom = Math.max(...tables.map((table) => table.bottom));
    const text = parseFloat(getComputedStyle(document.querySelector("#ranking tbody th")).fontSize);
    return [tables.length, right / innerWidth, bottom / innerHeight, text / innerHeight]"""


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1280, 720), (1366, 768), (1920, 1080)])
@pytest.mark.parametrize(("count", "tables", "text_size"), [(3, 1, 0.03), (30, 2, 0.016)])
def test_the_ranking_fills_a_projector_without_controls(
    browser: Any, width: int, height: int, count: int, tables: int, text_size: float
) -> None:
    with Sandbox(block_time=0, seed=31, participants=count) as sandbox, open_page(browser, sandbox) as page:
        sandbox.block(3)
        for number, participant in enumerate(sandbox.room.participants.values()):
            participant.display_name = "A name of sixteen"[: number % 16]
            send_market_order(sandbox, participant.name)
        resize(page, width, height)
        load(page, sandbox, "?view=ranking")
        wait_until(functools.partial(has_rows, page, count))
        assert page.execute_script("const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]") == [width, height]
        assert page.execute_script(OUTSIDE) == []
        found, right, bottom, size = page.execute_script(FILLED)
        assert found == tables
        assert 0.95 < right < 0.999
        assert 0.93 < bottom < 0.999
        assert size > text_size  # of the height
        assert page.execute_script(VISIBLE_CONTROLS) == ["market", "view-market", "view-ranking", "view-inside"]


def test_on_a_phone_the_ranking_scrolls_and_keeps_rank_name_and_score(page: Any, sandbox: Sandbox) -> None:
    sandbox.room.participants["p01"].display_name = "Sixteen letters!"
    for party in ("p01", "p02", "p03"):
        send_market_order(sandbox, party)
    resize(page, 390, 844)
    load(page, sandbox, "?view=ranking")
    wait_until(functools.partial(has_rows, page, 3))
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
    assert page.execute_script("const one = document.getElementById('ranking'); return one.scrollWidth - one.clientWidth") == 0
    assert texts(page, "#ranking thead th")[:4] == ["#", "Name", "Score", "PnL in tDAI"]
    assert page.execute_script("return parseFloat(getComputedStyle(document.querySelector('#ranking td')).fontSize)") >= 12
