"""The page in a real browser: the data it shows. test_panel has its controls, test_charts its charts."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.support.browser import missing_browser, resize
from tests.support.page_driver import (
    chart_image,
    choose,
    load,
    open_page,
    send_limit_order,
    send_market_order,
    text,
    texts,
    wait_for_text,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

OUTAGE = "net::ERR_"  # the browser logs each request to a closed port; a page cannot prevent that
MINUS = "\u2212"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=2) as running:
        running.block(3)
        yield running


def test_the_chart_moves_with_each_block(page: Any, sandbox: Sandbox) -> None:
    before, label = chart_image(page, "price-chart"), page.find_element("id", "price-chart").get_attribute("aria-label")
    sandbox.block(5)
    wait_until(lambda: text(page, "height") == "8")
    wait_until(lambda: chart_image(page, "price-chart") != before)
    assert page.find_element("id", "price-chart").get_attribute("aria-label") != label
    assert text(page, "time").count(":") == 2


def test_a_fill_is_shown_with_position_and_pnl(page: Any, sandbox: Sandbox) -> None:
    before = chart_image(page, "pnl-chart")
    send_market_order(sandbox)
    wait_until(lambda: text(page, "own-fills") == "1")
    assert text(page, "own-position") == "0.1"
    assert text(page, "own-pnl").endswith("tDAI")
    assert "bot ← maker" in text(page, "trade-rows")
    assert "1 fills of bot" in page.find_element("id", "price-chart").get_attribute("aria-label")
    wait_until(lambda: chart_image(page, "pnl-chart") != before)


def test_own_orders_are_marked_in_the_book(page: Any, sandbox: Sandbox) -> None:
    send_limit_order(sandbox)
    wait_until(lambda: "◆ 2.500" in text(page, "bids"))
    assert "90.00000" in texts(page, "#bids tr.own")[0]
    assert text(page, "own-orders") == "1"
    choose(page, "party", "p02")
    wait_until(lambda: text(page, "own-title") == "p02" and "◆" not in text(page, "bids"))


def test_the_selected_party_and_market_are_kept_in_the_address(page: Any, sandbox: Sandbox) -> None:
    send_market_order(sandbox, "p02", "SIDE_SELL", "spot")
    choose(page, "party", "p02")
    choose(page, "market", sandbox.markets["spot"])
    wait_until(lambda: text(page, "own-fills") == "1")
    assert text(page, "own-position") == f"{MINUS}0.00001"
    page.refresh()
    wait_until(lambda: text(page, "own-title") == "p02" and text(page, "own-fills") == "1")


def test_the_page_opens_on_the_first_bot_that_quotes(browser: Any, sandbox: Sandbox) -> None:
    with open_page(browser, sandbox) as page:
        assert text(page, "own-title") == "p01"
        send_limit_order(sandbox, "p02")
        wait_for_text(page, "own-title", "p02")
        send_limit_order(sandbox, "p01")
        wait_for_text(page, "height", "5")
        assert text(page, "own-title") == "p02"
        load(page, sandbox)
        assert text(page, "own-title") == "p01"
        load(page, sandbox, "?party=bot")
        assert text(page, "own-title") == "bot"


def test_a_party_that_is_not_listed_does_not_make_the_page_reconnect(page: Any, sandbox: Sandbox) -> None:
    page.execute_script("""
        window.states = [];
        const close = EventSource.prototype.close;
        EventSource.prototype.close = function () { states.push("reconnected"); close.call(this); };""")
    send_market_order(sandbox, "a")
    wait_for_text(page, "height", "4")
    sandbox.block(3)
    wait_for_text(page, "height", "7")
    assert text(page, "own-title") == "p01"
    assert page.execute_script("return states") == []


GROUPS = """
    return [...document.querySelectorAll("#party optgroup")]
        .map((group) => [group.label, [...group.querySelectorAll("option")].map((option) => option.text)])"""


def test_the_spare_parties_are_explained_and_absent_from_a_room(browser: Any, sandbox: Sandbox) -> None:
    traders = ["Built-in traders", ["maker", "taker"]]
    sandbox.room.participants["p02"].display_name = "Ada"
    with open_page(browser, sandbox) as page:
        wait_until(
            lambda: page.execute_script(GROUPS) == [["Participants", ["p01", "p02 · Ada"]], ["Bot of the teacher", ["bot"]], traders]
        )
    with Sandbox(block_time=0, seed=31) as alone, open_page(browser, alone) as page:
        spare = ["a · spare party", "b · spare party", "c · spare party"]
        assert page.execute_script(GROUPS) == [["Bot", ["bot"]], ["Spare parties for your own tests", spare], traders]


def test_tables_say_which_clock_their_times_are_from(page: Any, sandbox: Sandbox) -> None:
    sandbox.block(3600)
    send_market_order(sandbox)
    requests.get(f"{sandbox.node_url}/assets", timeout=30)
    wait_until(lambda: texts(page, "#requests-body td") and len(texts(page, "#requests-body td")) > 1)
    assert texts(page, "#trades th")[0] == "Chain time"
    assert texts(page, "#requests th")[0] == "Wall time"
    chain_time, wall_time = texts(page, "#trade-rows td")[0], texts(page, "#requests-body td")[0]
    assert chain_time == text(page, "time")
    hours = [int(clock[:2]) for clock in (wall_time, chain_time)]
    assert (hours[1] - hours[0]) % 24 in (1, 2)  # an hour of blocks, and the time of this test


def test_on_a_phone_labels_stay_and_no_word_is_broken(page: Any, sandbox: Sandbox) -> None:
    resize(page, 390, 844)
    send_market_order(sandbox, "p01")
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.send_transaction", "params": {"publicKey": sandbox.parties["p01"]}}
    requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=call, headers={"Origin": "test"}, timeout=30)
    requests.get(f"{sandbox.node_url}/orders", params={"filter.partyIds": sandbox.parties["p01"], "filter.liveOnly": "true"}, timeout=30)
    load(page, sandbox)
    wait_until(lambda: len(texts(page, "#requests-body tr")) == 2)
    assert "send_transaction" in text(page, "requests-body")
    for label in page.find_elements("css selector", "header label span"):
        assert label.is_displayed()
        assert label.rect["width"] > 20
    broken = page.execute_script("""
        const range = document.createRange();
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = [];
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            if (!node.parentElement.checkVisibility() || node.parentElement.closest("script, .visually-hidden, option")) continue;
            for (const { index, 0: word } of node.data.matchAll(/[A-Za-z_]+/g)) {
                if (/^[a-f]+$/.test(word)) continue;  // a part of an id
                range.setStart(node, index);
                range.setEnd(node, index + word.length);
                if (new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size > 1) found.push(word);
            }
        }
        return found""")
    assert broken == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
def test_no_column_of_a_table_is_cut(page: Any, sandbox: Sandbox, width: int, height: int) -> None:
    websocket = pytest.importorskip("websocket")
    query = f"orders?partyIds={sandbox.parties['p01']}"
    client = websocket.create_connection(f"{sandbox.ws_url}/stream/{query}")
    sandbox.room.participants["p01"].display_name = "Sixteen letters!"
    for _ in range(5):
        send_market_order(sandbox, "p01")
        send_market_order(sandbox, "p02", "SIDE_SELL")
    send_limit_order(sandbox, "p01")
    requests.get(f"{sandbox.node_url}/orders", params={"filter.partyIds": sandbox.parties["p01"]}, timeout=30)
    resize(page, width, height)
    load(page, sandbox, "?party=p01")
    wait_until(lambda: "● open" in text(page, "streams-body"))
    cut = page.execute_script("""
        return [...document.querySelectorAll("#market-view table :is(th, td)")].filter((cell) => {
            const box = (cell.closest(".scroll") ?? cell.closest("section")).getBoundingClientRect();
            return cell.scrollWidth > cell.clientWidth + 1 || cell.getBoundingClientRect().right > box.right + 1;
        }).map((cell) => cell.innerText)""")
    assert cut == []
    client.shutdown()


def test_streams_are_shown_open_and_closed(page: Any, sandbox: Sandbox) -> None:
    websocket = pytest.importorskip("websocket")
    assert text(page, "streams-body") == "No open streams"
    party = sandbox.parties["p01"]
    queries = [f"orders?partyIds={party}", f"positions?partyId={party}", f"markets/data?marketIds={sandbox.markets['future']}"]
    clients = [websocket.create_connection(f"{sandbox.ws_url}/stream/{query}") for query in queries]
    wait_until(lambda: text(page, "streams-body").count("● open") == 3)
    assert texts(page, "#streams-body th") == ["p01"]
    sandbox.block()
    wait_until(lambda: "s ago" in text(page, "streams-body").split("accounts")[0].split("\t")[2])
    for client in clients:
        client.shutdown()
    wait_until(lambda: text(page, "streams-body").count("○ closed") == 3)


def test_requests_are_shown_and_failed_ones_with_their_error_message(page: Any, sandbox: Sandbox) -> None:
    requests.get(f"{sandbox.node_url}/orders", params={"filter.partyIds": sandbox.parties["p01"]}, timeout=30)
    requests.get(f"{sandbox.node_url}/market/{'0' * 64}", timeout=30)
    call = {"jsonrpc": "2.0", "id": "1", "method": "client.list_keys"}
    wrong = {"Origin": "test", "Authorization": f"VWT {'x' * 64}"}
    requests.post(f"{sandbox.wallet_url}/api/v2/requests", json=call, headers=wrong, timeout=30)
    wait_until(lambda: len(texts(page, "#requests-body tr")) == 3)
    failed = texts(page, "#requests-body tr.failed")
    assert "no connection associated to this authentication token" in failed[0]
    assert "✕ 401" in failed[0]
    assert "failed to get market for ID: no resource corresponding to this id" in failed[1]
    choose(page, "requests-filter", "failed")
    assert len(texts(page, "#requests-body tr")) == 2
    choose(page, "party", "p01")
    choose(page, "requests-filter", "party")
    wait_until(lambda: len(texts(page, "#requests-body tr")) == 1)
    assert "GET orders?filter.partyIds=" in text(page, "requests-body")


def test_the_page_shows_a_lost_connection_and_reconnects(page: Any, sandbox: Sandbox) -> None:
    send_market_order(sandbox)
    page.execute_script("""
        window.shown = [];
        const status = document.getElementById("connection");
        new MutationObserver(() => shown.push(status.textContent)).observe(status, {childList: true})""")
    sandbox.restart(down=1.5)
    wait_until(lambda: text(page, "connection") == "Live" and text(page, "own-fills") == "1")
    sandbox.block()
    wait_until(lambda: text(page, "height") == "5")
    assert page.execute_script("return shown") == ["Connection lost. Reconnecting …", "Live"]
    assert all(OUTAGE in entry["message"] for entry in page.get_log("browser"))


def test_another_sandbox_on_the_same_port_is_shown_with_its_own_markets(browser: Any) -> None:
    with Sandbox(block_time=0, seed=31) as first:
        first.block(40)
        port, market = int(first.url().split(":")[2].strip("/")), first.markets["future"]
        load(browser, first, f"?party=c&market={market}")
    wait_until(lambda: text(browser, "connection").startswith("Connection lost"))
    with Sandbox(block_time=0, seed=32, port=port) as second:
        second.block(7)
        wait_until(lambda: text(browser, "connection") == "Live")
        wait_until(lambda: text(browser, "height") == "7")
        assert browser.find_element("id", "market").get_attribute("value") == second.markets["future"]


def test_a_state_and_a_mode_of_the_same_name_are_shown_once(page: Any, sandbox: Sandbox) -> None:
    assert text(page, "state") == "Active"
    sandbox.suspend("future")
    sandbox.block()
    wait_until(lambda: text(page, "state") == "suspended via governance")
    sandbox.set_state("future", "STATE_SUSPENDED", "TRADING_MODE_MONITORING_AUCTION")
    sandbox.block()
    wait_until(lambda: text(page, "state") == "suspended · monitoring auction")
