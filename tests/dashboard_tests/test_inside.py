"""“Inside the bot”: the observer in the bot's process, its feed, and the view in a real browser."""

import functools
import inspect
import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.dashboard import observer
from tests.support.browser import missing_browser, resize, set_colour_scheme
from tests.support.page_driver import click, text, texts, wait_for_text
from tests.support.processes import ROOT, Process
from tests.support.waiting import wait_until

BLOCK_TIME = 0.5  # s
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
STREAMS = ("markets/data", "orders", "positions", "accounts")
STEPS = {f"{kind} {stream}" for kind in ("frame", "record", "store") for stream in STREAMS} | {"quotes", "batch", "wallet", "order"}
needs_browser = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())


class ObservedBot(Process):
    """`python -m tests.sandbox -m main`, and where its page is."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "tests.sandbox", "--json", "--block-time", str(BLOCK_TIME), *options, "-m", "main"]
        super().__init__(command, {})
        line = self.wait_for(r'^{"node_url"')
        self.announced: dict[str, Any] = json.loads(self.lines[line - 1])
        self.url = self.announced["node_url"].removesuffix("/api/v2")

    def messages(self) -> Iterator[dict[str, Any]]:
        with requests.get(f"{self.url}/page/inside", stream=True, timeout=30) as response:
            for line in response.iter_lines(decode_unicode=True):
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))


@pytest.fixture(scope="module")
def bot() -> Iterator[ObservedBot]:
    with ObservedBot() as running:
        running.wait_for(r"\| quoted$")
        yield running


def complete_message(bot: ObservedBot) -> dict[str, Any]:
    """Return the first message in which every step has happened."""
    return next(message for message in bot.messages() if message["steps"].keys() == STEPS)


def test_every_step_names_a_function_of_the_repository_and_the_thread_that_called_it(bot: ObservedBot) -> None:
    steps = complete_message(bot)["steps"]
    for step, note in steps.items():
        path, _, name = note["function"].partition(" ")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {name.rpartition('.')[2]}(" in source, step
        is_of_the_loop = step in ("quotes", "batch", "wallet")
        assert (note["thread"] == "MainThread") is not is_of_the_loop, step
        assert 0 <= note["age"] < 60, step
    assert {steps[step]["thread"] for step in ("quotes", "batch", "wallet")} == {steps["quotes"]["thread"]}
    assert steps["quotes"]["function"] == "main.py quotes"


def test_a_price_can_be_followed_from_the_frame_to_the_next_frame(bot: ObservedBot) -> None:
    def is_consistent(message: dict[str, Any]) -> bool:
        steps = message["steps"]
        frame = json.loads(steps["frame markets/data"]["raw"])["result"]["marketData"][0]
        records = steps["record markets/data"]["records"]
        given = steps["quotes"]["market"]["fields"]
        returned = {order["fields"]["side"]: order["fields"]["price"] for order in steps["quotes"]["returned"] or []}
        sent = {order["side"]: order["price"] for order in steps["batch"]["transaction"]["batchMarketInstructions"]["submissions"]}
        return bool(
            records[0]["fields"]["best_bid_price"] == int(frame["bestBidPrice"]) / 10**5
            and returned.get("SIDE_BUY") == given["best_bid_price"]
            and int(sent.get("SIDE_BUY", 0)) == round(given["best_bid_price"] * 10**5)
            and any(order["fields"]["price"] == given["best_bid_price"] for order in steps["order"]["records"])
        )

    deadline = time.monotonic() + 60
    assert any(is_consistent(message) or time.monotonic() > deadline for message in bot.messages() if message["steps"].keys() == STEPS)
    assert time.monotonic() < deadline
    wallet = complete_message(bot)["steps"]["wallet"]
    assert re.fullmatch("[0-9A-F]{64}", wallet["answer"])
    assert wallet["seconds"] > 0


def test_the_store_is_shown_as_its_getters_return_it(bot: ObservedBot) -> None:
    steps = complete_message(bot)["steps"]
    assert {stream: steps[f"store {stream}"]["getter"] for stream in STREAMS} == {
        "markets/data": "get_market_by_id",
        "orders": "get_orders",
        "positions": "get_positions",
        "accounts": "get_accounts",
    }
    (market,) = steps["store markets/data"]["records"]
    assert market["fields"]["market_id"] == bot.announced["markets"]["future"]
    assert all(len(steps[f"store {stream}"]["records"]) <= steps[f"store {stream}"]["count"] for stream in STREAMS)


def test_the_token_is_in_no_message(bot: ObservedBot) -> None:
    messages = bot.messages()
    text = json.dumps([next(messages) for _ in range(6)])
    assert bot.announced["parties"]["bot"] in text
    assert bot.announced["token"] not in text


def watched_observer() -> observer.Observer:
    seen = observer.Observer("http://127.0.0.1:1/", "key", "s3cret")
    seen.is_watched = True
    return seen


def test_an_observer_removes_the_token_from_everything() -> None:
    seen = watched_observer()
    seen.before_message("f", None, "a frame with s3cret in it", Callbacks._update_order)
    seen.after_submit("f", None, ValueError("rejected: s3cret"), None, {}, seconds=0.1)
    message = seen._message()
    assert "a frame with … in it" in json.loads(message)["steps"]["frame orders"]["raw"]
    assert "s3cret" not in message


def test_without_a_page_that_shows_the_view_no_notes_are_sent() -> None:
    seen = watched_observer()
    seen.is_watched = False
    seen.before_message("f", None, "frame", Callbacks._update_order)
    assert json.loads(seen._message())["steps"] == {}
    seen.is_watched = True
    assert json.loads(seen._message())["steps"].keys() == {"frame orders"}


class Callbacks:
    @staticmethod
    def _update_order(result: Any) -> None:
        """Has the name by which the observer knows the stream."""


def test_observing_a_turn_takes_less_than_a_millisecond_at_the_median() -> None:
    from bot.models import Market, Order
    from bot.submission import BatchMarketInstruction, OrderCancellation, OrderSubmission

    seen = watched_observer()
    market = Market("m" * 64, "STATE_ACTIVE", "TRADING_MODE_CONTINUOUS", 5, 3, "SOL/DAI", "SOL/DAI", "a" * 64)
    order = Order("o" * 64, "m" * 64, 1.0, 1.0, 100.0, "TYPE_LIMIT", "TIME_IN_FORCE_GTC", "STATUS_ACTIVE", "p" * 64)
    submission = OrderSubmission("m" * 64, 1, 100.0, "TIME_IN_FORCE_GTC", "TYPE_LIMIT", "SIDE_BUY")
    batch = BatchMarketInstruction([submission] * 2, [OrderCancellation("m" * 64)], [])
    transaction = {"batchMarketInstructions": {"submissions": [{"price": "10000000", "size": "1000"}] * 2}}

    class Store:
        get_markets = get_orders = get_positions = get_accounts = staticmethod(lambda: [order] * 4)
        get_market_by_id = staticmethod(lambda market_id: market)

    def wrapped(method: str, result: Any, name: str = "f") -> Any:
        def function(*_args: Any, **_kwargs: Any) -> Any:
            return result

        function.__qualname__ = name
        return observer.wrap(seen, function, method)

    message = wrapped("before_message", None)
    parsers = {stream: wrapped("after_parse", order, f"VegaStore.{name}") for name, stream in observer.PARSERS.items()}
    updates = {stream: wrapped("after_update", None, f"VegaStore.{name}") for name, stream in observer.STREAMS.items()}
    ask, to_json, submit = wrapped("after_ask", [submission] * 2), wrapped("after_json", transaction), wrapped("after_submit", "HASH")
    begin_turn = wrapped("after_turn", None)
    seconds = []
    for _ in range(100):
        began = time.thread_time()
        begin_turn(None)
        for name, stream in observer.STREAMS.items():
            callback = functools.partial(Callbacks._update_order)
            callback.__name__ = name  # type: ignore[attr-defined]
            message(None, "x" * 2000, callback)
            for _ in range(4):
                parsers[stream](Store, {})
            updates[stream](Store, {})
        ask(None, Callbacks._update_order, market, 0.5)
        to_json(batch, 5, 3)
        submit(None, transaction)
        for _ in range(math.ceil(1 / observer.SEND_INTERVAL)):
            seen._message()
        seconds.append(time.thread_time() - began)
    assert {"quotes", "batch", "wallet", "frame orders", "record orders", "store orders"} <= seen.notes.keys()
    assert sorted(seconds)[50] < 0.001


def test_a_hook_that_fails_does_not_reach_the_bot() -> None:
    class Broken(observer.Observer):
        def before_message(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError

        def after_submit(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError

    def fail(_wallet: Any, transaction: Any) -> None:
        raise ValueError(transaction)

    seen = Broken("http://127.0.0.1:1/", "key", "")
    assert observer.wrap(seen, lambda message: message * 2, "before_message")(21) == 42
    with pytest.raises(ValueError, match="the bot's own"):
        observer.wrap(seen, fail, "after_submit")(None, "the bot's own")


def test_every_hook_names_a_function_of_the_bot() -> None:
    for name, hooks in observer.HOOKS.items():
        module = __import__(name, fromlist=["*"])
        for hook in hooks:
            owner = getattr(module, hook.owner) if hook.owner else module
            assert inspect.isfunction(inspect.getattr_static(owner, hook.function)), hook


def test_only_the_sandboxs_own_module_can_post(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(block_time=0) as sandbox:
        url = sandbox.url(path="/page/inside")
        body = json.dumps({"steps": {}, "cost": None, "turns": 0})
        key = sandbox.inside.environment(sandbox.url())[observer.KEY_VARIABLE]
        assert requests.post(url, data=body, timeout=30).status_code == 403
        assert requests.post(url, data=body, headers={"X-Inside-Key": "wrong"}, timeout=30).status_code == 403
        assert requests.post(url, data=body, headers={"X-Inside-Key": key}, timeout=30).status_code == 204
        assert requests.post(url, data="{", headers={"X-Inside-Key": key}, timeout=30).status_code == 400
        monkeypatch.setattr("tests.sandbox.dashboard.inside._is_from_this_machine", lambda request: False)
        assert requests.post(url, data=body, headers={"X-Inside-Key": key}, timeout=30).status_code == 403


@needs_browser
def test_without_observing_the_page_says_how_to_start_it_and_python_runs_the_bot_itself(browser: Any) -> None:
    with ObservedBot("--no-inside") as bot:
        bot.wait_for(r"\| quoted$")
        browser.get(f"{bot.url}/?view=inside")
        wait_for_text(browser, "connection", "Live")
        assert "--no-inside" in text(browser, "inside-empty")
        assert not browser.find_element("id", "inside-steps").is_displayed()
        browser.get("about:blank")


@pytest.fixture
def view(browser: Any, bot: ObservedBot) -> Iterator[Any]:
    resize(browser, 1280, 720)
    browser.get_log("browser")
    browser.get(f"{bot.url}/?view=inside")
    wait_until(lambda: "nothing yet" not in text(browser, "inside-steps") and texts(browser, "mark"))
    yield browser
    entries = [entry["message"] for entry in browser.get_log("browser")]
    browser.get("about:blank")
    assert entries == []


@needs_browser
def test_the_view_shows_each_step_with_age_thread_and_function(view: Any) -> None:
    cards = view.execute_script("""
        return [...document.querySelectorAll(".step")].map((card) => [
            card.id, card.querySelector(".thread").innerText, card.querySelector(".age").innerText,
            card.querySelector(".source").innerText, card.querySelector(".content").innerText])""")
    assert len(cards) == len(STEPS)
    for name, thread, age, source, content in cards:
        assert (thread == "MainThread") is (name not in ("step-quotes", "step-batch", "step-wallet")), name
        assert re.fullmatch(r"\d+(\.\d)? s ago", age), name
        assert re.fullmatch(r"[\w/]+\.py [\w.]+", source), name
        assert content, name
    by_name = {name: content for name, *_, content in cards}
    assert '"bestBidPrice":"' in by_name["step-frame-markets-data"]
    (price,) = re.findall(r"^best_bid_price = (\d+ / 10\*\*5)$", by_name["step-record-markets-data"], re.MULTILINE)
    assert f"Market(best_bid_price={eval(price):.7g}," in by_name["step-record-markets-data"]
    assert by_name["step-store-orders"].startswith("get_orders() → ")
    assert "accepted, transaction" in by_name["step-wallet"]
    assert "cancel all orders of the market" in by_name["step-batch"]


@needs_browser
def test_the_view_says_when_the_store_has_a_newer_market_than_quotes_was_given(view: Any) -> None:
    def is_shown() -> bool:
        return "# by now the store has a newer Market" in text(view, "step-quotes")

    wait_until(is_shown)
    wait_until(lambda: "# Market: get_market_by_id() of the store" in text(view, "step-quotes"))
    wait_until(is_shown)


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_on_a_projector_the_way_of_the_price_is_not_cut(view: Any, width: int, height: int) -> None:
    resize(view, width, height)
    hidden = """
        return ["frame-markets-data", "record-markets-data", "store-markets-data", "quotes", "batch"].flatMap((step) => {
            const card = document.getElementById(`step-${step}`);
            const bottom = card.getBoundingClientRect().bottom;
            const marks = [...card.querySelectorAll("mark")].filter((one) => one.getBoundingClientRect().bottom > bottom);
            return marks.map((one) => one.textContent);
        })"""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert view.execute_script(hidden) == []


@needs_browser
def test_the_view_says_when_a_size_is_cut_to_the_limit(view: Any) -> None:
    batch = {"submissions": [{"side": "SIDE_BUY", "price": "9998000", "size": "646"}]}
    bought = {"type": "OrderSubmission", "fields": {"side": "SIDE_BUY", "price": 99.98, "size": 1}}
    market = {"type": "Market", "fields": {"position_decimal_places": 3}}
    shown = view.execute_async_script(
        """
        const [batch, returned, market, done] = arguments;
        import("/page/inside.js").then(({ batchLines }) => {
            const lines = batchLines({ transaction: { batchMarketInstructions: batch } }, { returned, market });
            done(lines.map((line) => line.textContent));
        })""",
        batch,
        [bought],
        market,
    )
    order, comment = shown
    assert order == '{"side": "SIDE_BUY", "price": "9998000", "size": "646"}'
    assert comment == "# SIDE_BUY cut, so that the position stays within the limit"


@needs_browser
def test_pausing_the_view_does_not_pause_the_bot(view: Any, bot: ObservedBot) -> None:
    click(view, "#inside-pause")
    frozen = text(view, "inside-steps")
    turns = next(bot.messages())["turns"]
    assert any(message["turns"] >= turns + 2 for message in bot.messages())
    bot.wait_for(r"\| Position is", after=len(bot.lines))
    assert text(view, "inside-steps") == frozen
    click(view, "#inside-pause")
    wait_until(lambda: text(view, "inside-steps") != frozen)
    assert "ms of each turn" in text(view, "inside-cost")


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_the_view_fills_a_projector_without_controls(view: Any, width: int, height: int) -> None:
    resize(view, width, height)
    assert view.execute_script("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [width, height]
    bottom = view.execute_script(
        "return Math.max(...[...document.querySelectorAll('.step')].map((one) => one.getBoundingClientRect().bottom))"
    )
    assert 0.93 * height < bottom < height
    assert not view.find_element("id", "active").is_displayed()
    assert not view.find_element("id", "reset-all").is_displayed()


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(view: Any, scheme: str) -> None:
    set_colour_scheme(view, scheme)
    view.execute_script(AXE)
    found = view.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]] == []
    set_colour_scheme(view, "light")


@needs_browser
def test_on_a_phone_the_cards_are_in_one_column(view: Any) -> None:
    resize(view, 390, 844)
    assert view.execute_script("return document.documentElement.scrollWidth") == 390
    assert (
        view.execute_script("return new Set([...document.querySelectorAll('.step')].map((one) => one.getBoundingClientRect().left)).size")
        == 1
    )
