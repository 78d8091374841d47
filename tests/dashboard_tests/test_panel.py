"""The page in a real browser: its controls, and how it shows which faults are on."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import websocket

from tests.sandbox import Sandbox
from tests.sandbox.chain.records import SELL
from tests.sandbox.control import CONTROLS, STREAMS
from tests.sandbox.dashboard.panel import HINTS
from tests.support.browser import missing_browser, resize
from tests.support.page_driver import click, load, text, texts, wait_for_text
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

LIST = "#active-list li"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=2) as running:
        running.block(3)
        yield running


def future(inside: Any) -> Any:
    return inside.chain.markets[inside.markets["future"]]


EFFECTS: dict[str, Callable[[Any], bool]] = {  # control -> is true on the sandbox after its button and the next block
    "suspend": lambda inside: future(inside).state == "STATE_SUSPENDED_VIA_GOVERNANCE",
    "resume": lambda inside: future(inside).state == "STATE_ACTIVE",
    "empty_side": lambda inside: not future(inside).depth(SELL),
    "refill_side": lambda inside: bool(future(inside).depth(SELL)),
    "reject_orders": lambda inside: inside.chain.reject_orders == "ORDER_ERROR_MARGIN_CHECK_FAILED",
    "set_state": lambda inside: future(inside).trading_mode == "TRADING_MODE_MONITORING_AUCTION",
    "update_market": lambda inside: future(inside).tick_size == 10,
    "drop_streams": lambda inside: not inside.node.open_connections,
    "silence_streams": lambda inside: len(inside.faults.silent_streams) == len(STREAMS),
    "fail_handshakes": lambda inside: inside.faults.stream_status == 503,
    "delay_rest": lambda inside: inside.faults.rest_delay == 2.0,
    "fail_rest": lambda inside: inside.faults.rest_status == 503,
    "delay_wallet": lambda inside: inside.faults.wallet_delay == 2.0,
    "fail_wallet": lambda inside: inside.faults.wallet_status == 401,
    "hold_blocks": lambda inside: inside.faults.hold_blocks,
    "pause_chain": lambda inside: 0 < inside.faults.pause_left <= 10,
    "lose_transactions": lambda inside: inside.faults.transactions_to_lose == 1,
    "delay_transactions": lambda inside: inside.faults.transaction_delay == 2.0,
    "block": lambda inside: True,  # tested by the height in the result
    "reset": lambda inside: not inside.faults.rest_status and future(inside).state == "STATE_ACTIVE",
    "start_round": lambda inside: bool(inside.rounds.running),
    "end_round": lambda inside: not inside.rounds.running,
    "reissue_code": lambda inside: inside.room.participants["p01"].codes_issued == 2,
}
BEFORE: dict[str, Callable[[Sandbox], Any]] = {  # what a control needs to have an effect
    "resume": lambda sandbox: sandbox.suspend("future"),
    "refill_side": lambda sandbox: sandbox.empty_side("future", SELL),
    "reset": lambda sandbox: sandbox.suspend("future"),
    "drop_streams": lambda sandbox: open_stream(sandbox),
}


def open_stream(sandbox: Sandbox) -> Any:
    """Open a stream. The caller must keep the connection, or it is closed."""
    stream = websocket.create_connection(f"{sandbox.ws_url}/stream/markets/data?marketIds={sandbox.markets['future']}", timeout=30)
    wait_until(lambda: sandbox.call(lambda inside: inside.node.open_connections))
    return stream


def test_every_control_has_a_button_and_a_hint(page: Any) -> None:
    forms = page.find_elements("css selector", "#controls form")
    assert {form.get_attribute("id").removeprefix("control-") for form in forms} == set(CONTROLS) == set(HINTS) == set(EFFECTS)
    assert all(form.find_element("css selector", ".hint").text.endswith((".", "”.")) for form in forms)


def test_every_button_has_its_effect(page: Any, sandbox: Sandbox) -> None:
    for name, effect in EFFECTS.items():
        connection = BEFORE[name](sandbox) if name in BEFORE else None
        sandbox.block()
        height = sandbox.call(lambda inside: inside.chain.height)
        click(page, f"#control-{name} button")
        done = f"{name}: done at block {height + (name == 'block')}"
        wait_for_text(page, "result", done if name != "reissue_code" else f"{name}: {sandbox.room.participants['p01'].code}")
        sandbox.block()
        assert sandbox.call(effect), name
        if connection:
            connection.shutdown()
        sandbox.reset()


def result_starts_with(page: Any, beginning: str) -> bool:
    return text(page, "result").startswith(beginning)


def result_ends_with(page: Any, end: str) -> bool:
    return text(page, "result").endswith(end)


def has_ended(page: Any, number: int) -> bool:
    return texts(page, f"{LIST}:nth-child({number}) button") == ["Ended"]


FAULTS = 13


def break_everything(sandbox: Sandbox) -> None:
    sandbox.suspend("spot")
    sandbox.empty_side("future", SELL)
    sandbox.reject_orders("ORDER_ERROR_MARKET_CLOSED")
    sandbox.silence_streams("orders")
    sandbox.hold_blocks()
    sandbox.fail_handshakes(502)
    sandbox.delay_rest(0.5)
    sandbox.fail_rest(500)
    sandbox.delay_wallet(0.25)
    sandbox.fail_wallet(403)
    sandbox.pause_chain(600)
    sandbox.lose_transactions(7)
    sandbox.delay_transactions(0.5)
    sandbox.block()


def test_active_faults_are_counted_and_listed_with_their_hints(page: Any, sandbox: Sandbox) -> None:
    assert text(page, "active-count") == "No fault is on"
    sandbox.delay_wallet(0.25)
    wait_until(lambda: text(page, "active-count") == "1 fault is on")
    assert text(page, "newest-fault") == f"The wallet answers 0.25 s late {HINTS['delay_wallet'].text}"
    break_everything(sandbox)
    wait_until(lambda: text(page, "active-count") == f"{FAULTS} faults are on")
    assert not page.find_element("css selector", LIST).is_displayed()
    click(page, "#active-count")
    assert len(texts(page, LIST)) == FAULTS
    shown = text(page, "active-list")
    assert "BTC/EUR spot is STATE_SUSPENDED_VIA_GOVERNANCE\n" in shown  # and its trading mode, which is of the same name, not again
    assert "SOL/DAI future has no offers" in shown
    assert "REST answers 0.5 s late" in shown
    assert "The wallet fails with HTTP 403" in shown
    assert HINTS["fail_rest"].text in shown


def test_each_fault_can_be_ended_in_the_list_without_moving_its_rows(page: Any, sandbox: Sandbox) -> None:
    break_everything(sandbox)
    click(page, "#active-count")
    wait_until(lambda: len(texts(page, LIST)) == FAULTS)
    for number in range(1, FAULTS + 1):
        click(page, f"{LIST}:nth-child({number}) button")
        wait_until(functools.partial(result_ends_with, page, f": done at block {number + 3}"))
        sandbox.block()
        wait_until(functools.partial(has_ended, page, number))
        assert len(texts(page, LIST)) == FAULTS
    assert text(page, "active-count") == "No fault is on"
    state = sandbox.call(lambda inside: (vars(inside.faults), inside.chain.reject_orders, inside.chain.emptied_sides))
    assert not any([*state[0].values(), *state[1:]])
    click(page, "#view-market")  # outside the list
    wait_until(lambda: not texts(page, LIST))


def test_reset_everything_is_always_visible(page: Any, sandbox: Sandbox) -> None:
    sandbox.fail_rest(500)
    wait_until(lambda: text(page, "active-count") == "1 fault is on")
    page.execute_script("scrollTo(0, document.body.scrollHeight)")
    page.find_element("id", "reset-all").click()
    wait_until(lambda: text(page, "active-count") == "No fault is on")
    assert text(page, "newest-fault") == ""
    assert sandbox.call(lambda inside: inside.faults.rest_status) is None


def test_a_control_is_marked_while_its_fault_is_on(page: Any, sandbox: Sandbox) -> None:
    def marked() -> list[str]:
        found: list[str] = page.execute_script(
            "return [...document.querySelectorAll('#controls form:has(.mark:not([hidden]))')].map((f) => f.id)"
        )
        return found

    assert marked() == []
    sandbox.fail_rest(500)
    sandbox.suspend("future")
    sandbox.block()
    wait_until(lambda: marked() == ["control-suspend", "control-fail_rest"])
    assert text(page, "control-fail_rest").startswith("Fail REST\non")
    page.refresh()
    wait_until(lambda: marked() == ["control-suspend", "control-fail_rest"])
    sandbox.reset()
    sandbox.block()
    wait_until(lambda: marked() == [])


BUTTON_POSITIONS = "return [...document.querySelectorAll('#controls button')].map((button) => button.getBoundingClientRect().top)"
IS_VISIBLE = """
    const { top, bottom, left, right } = document.getElementById(arguments[0]).getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight && left >= 0 && right <= innerWidth && bottom > top && right > left"""


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080), (1024, 768), (390, 844)])
def test_the_result_of_a_control_is_visible_and_nothing_moves(page: Any, sandbox: Sandbox, width: int, height: int) -> None:
    resize(page, width, height)
    for name in ("suspend", "fail_wallet", "silence_streams", "hold_blocks", "reset"):
        element = page.find_element("css selector", f"#control-{name} button")
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        positions = page.execute_script(BUTTON_POSITIONS)
        element.click()
        wait_until(functools.partial(result_starts_with, page, f"{name}: done"))
        sandbox.block(4)  # with trades
        wait_for_text(page, "height", str(sandbox.call(lambda inside: inside.chain.height)))
        assert page.execute_script(BUTTON_POSITIONS) == pytest.approx(positions, abs=0.5), name
        assert all(page.execute_script(IS_VISIBLE, one) for one in ("result", "active-count")), name


def test_no_option_of_a_control_is_cut(page: Any) -> None:
    narrow = page.execute_script("""
        const context = document.createElement("canvas").getContext("2d");
        return [...document.querySelectorAll("#controls select")].flatMap((select) => {
            context.font = getComputedStyle(select).font;
            const room = select.clientWidth - 2 * parseFloat(getComputedStyle(select).paddingLeft) - 16;  // the arrow
            const cut = [...select.options].filter((option) => context.measureText(option.text).width > room);
            return select.name === "reason" ? cut.filter((option) => option.selected) : cut;  // its longest is a sentence
        }).map((option) => option.text)""")
    assert narrow == []


def test_an_invalid_value_shows_an_error_message(page: Any) -> None:
    field = page.find_element("css selector", "#control-fail_rest input")
    page.execute_script("arguments[0].value = 200", field)
    click(page, "#control-fail_rest button")
    wait_until(lambda: text(page, "result") == "fail_rest: status must be 400 to 599, not 200")
    page.get_log("browser")  # the browser logs every 400


def test_an_empty_field_ends_no_fault(page: Any, sandbox: Sandbox) -> None:
    sandbox.fail_rest(500)
    sandbox.delay_wallet(0.5)
    sandbox.reject_orders("ORDER_ERROR_MARKET_CLOSED")
    wait_for_text(page, "active-count", "3 faults are on")
    for name in ("fail_rest", "delay_wallet"):
        page.execute_script("document.querySelector(`#control-${arguments[0]} input`).value = ''", name)
        click(page, f"#control-{name} button")
        assert page.execute_script("return document.querySelector(`#control-${arguments[0]} input`).validity.valueMissing", name)
    assert page.execute_script(
        "return [...document.querySelectorAll('#controls option')].filter((one) => !one.value).map((one) => one.text)"
    ) == [
        "all streams",
        "all streams",
    ]
    assert sandbox.call(lambda inside: (inside.faults.rest_status, inside.faults.wallet_delay)) == (500, 0.5)
    for name in ("fail_rest?status=", "delay_wallet?seconds=", "reject_orders?reason="):
        assert requests.post(f"{sandbox.control_url}/{name}", timeout=30).status_code == 400
    assert sandbox.call(lambda inside: (inside.faults.rest_status, inside.faults.wallet_delay)) == (500, 0.5)
    assert sandbox.call(lambda inside: inside.chain.reject_orders) == "ORDER_ERROR_MARKET_CLOSED"


def test_on_other_machines_the_controls_need_the_teachers_key(page: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.room.room.is_loopback", lambda address: False)
    load(page, sandbox)
    button = page.find_element("css selector", "#control-fail_rest button")
    assert not button.is_enabled()
    page.find_element("id", "key").send_keys("wrong\n")
    click(page, "#control-fail_rest button")
    wait_until(lambda: text(page, "result").startswith("controls work on the teacher's machine"))
    page.get_log("browser")  # the browser logs every 403
    assert not button.is_enabled()
    page.get("about:blank")
    load(page, sandbox, f"#key={sandbox.room.teacher_key}")
    assert page.current_url == sandbox.url()  # the key is removed from the address
    click(page, "#control-fail_rest button")
    wait_until(lambda: text(page, "result").startswith("fail_rest: done"))
    page.execute_script("sessionStorage.clear()")


def test_a_link_with_the_teachers_key_works_in_an_open_page(page: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.room.room.is_loopback", lambda address: False)
    load(page, sandbox)
    assert not page.find_element("id", "reset-all").is_enabled()
    page.execute_script("window.same = true")
    page.get(f"{sandbox.url()}#key={sandbox.room.teacher_key}")
    wait_until(lambda: page.current_url == sandbox.url())  # the key is removed from the address
    assert page.execute_script("return window.same")
    click(page, "#control-fail_rest button")
    wait_until(lambda: text(page, "result").startswith("fail_rest: done"))
    page.execute_script("sessionStorage.clear()")
