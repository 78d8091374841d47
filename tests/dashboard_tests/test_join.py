"""`/join` in a real browser: settings as text and as a file, names, errors, and coming back."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox import Sandbox
from tests.sandbox.room.join import COOKIE, FILE_NAME
from tests.sandbox.room.private_files import env_lines
from tests.support.browser import missing_browser, set_colour_scheme
from tests.support.page_driver import click, load, text, texts, wait_for_text
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
HTML = {"Accept": "text/html"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0, seed=31, participants=3) as running:
        running.block(3)
        yield running


def join(page: Any, sandbox: Sandbox, code: str, name: str = "") -> None:
    """Send the form, as a participant does."""
    page.get(sandbox.url(path="/join"))
    page.find_element("id", "code").send_keys(code)
    page.find_element("id", "name").send_keys(name)
    click(page, "button[type=submit]")


def shows(page: Any, message: str) -> bool:
    return texts(page, ".message") == [message]


def settings_of(sandbox: Sandbox, name: str) -> str:
    return env_lines(sandbox.settings_of(sandbox.room.participants[name], "127.0.0.1"))


def test_a_code_shows_the_settings_as_text_and_as_a_file_and_the_next_steps(page: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    join(page, sandbox, sandbox.room.participants["p02"].code.lower(), "Ada")
    wait_until(lambda: page.title.startswith("Your settings"))
    assert texts(page, ".message") == ["The code is used: you are p02."]
    assert page.execute_script("return document.getElementById('settings').textContent") == settings_of(sandbox, "p02")
    assert f"mv ~/Downloads/{FILE_NAME} .env" in texts(page, "pre")
    click(page, "#copy")
    wait_until(lambda: text(page, "copied") in ("Copied", "Selected: press Ctrl+C"))
    click(page, "a.button")
    wait_until(lambda: (tmp_path / FILE_NAME).exists())
    assert (tmp_path / FILE_NAME).read_text(encoding="utf-8") == settings_of(sandbox, "p02")
    assert sandbox.room.participants["p02"].display_name == "Ada"


def test_the_same_browser_can_come_back_and_no_other_one(page: Any, sandbox: Sandbox) -> None:
    code = sandbox.room.participants["p01"].code
    join(page, sandbox, code)
    wait_until(lambda: page.title.startswith("Your settings"))
    page.get(sandbox.url(path="/join"))
    assert page.execute_script("return document.getElementById('settings').textContent") == settings_of(sandbox, "p01")
    cookie = next(cookie for cookie in page.get_cookies() if cookie["name"] == COOKIE)
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/join")
    other = requests.post(sandbox.url(path="/join"), data={"code": code}, headers=HTML, timeout=30)
    assert (other.status_code, sandbox.room.participants["p01"].token in other.text) == (410, False)
    for forged in ("p01.", "p01.None", "p02.x", "p99.x", ""):
        answer = requests.get(sandbox.url(path="/join/settings"), cookies={COOKIE: forged}, timeout=30)
        assert answer.status_code == 403


def test_a_teacher_can_issue_a_new_code_without_a_restart(page: Any, sandbox: Sandbox) -> None:
    old = sandbox.room.participants["p03"].code
    join(page, sandbox, old)
    wait_until(lambda: page.title.startswith("Your settings"))
    load(page, sandbox)
    page.execute_script("document.querySelector('#control-reissue_code select').value = 'p03'")
    click(page, "#control-reissue_code button")
    wait_until(lambda: sandbox.room.participants["p03"].code != old)
    new = sandbox.room.participants["p03"].code
    wait_for_text(page, "result", f"reissue_code: {new}")
    page.get(sandbox.url(path="/join"))
    assert page.title.startswith("Join")  # this browser has to use the new code
    assert requests.post(sandbox.url(path="/join"), data={"code": old}, timeout=30).status_code == 403
    answer = requests.post(sandbox.url(path="/join"), data={"code": new}, timeout=30)
    assert answer.text == settings_of(sandbox, "p03")
    wrong = requests.post(f"{sandbox.control_url}/reissue_code?party=p99", timeout=30)
    assert (wrong.status_code, "p01, p02, p03" in wrong.text) == (400, True)


def test_people_choose_their_names(page: Any, sandbox: Sandbox) -> None:
    join(page, sandbox, sandbox.room.participants["p01"].code, "Ada")
    wait_until(lambda: page.title.startswith("Your settings"))
    form = {"code": sandbox.room.participants["p02"].code, "name": "ADA"}
    taken = requests.post(sandbox.url(path="/join"), data=form, timeout=30)
    assert (taken.status_code, taken.text) == (400, "The name ADA is taken. Choose another one.\n")
    for name in ("x" * 17, "a\x00b", "p03", "bot"):
        assert requests.post(sandbox.url(path="/join"), data={**form, "name": name}, timeout=30).status_code == 400
    assert requests.post(sandbox.url(path="/join"), data={**form, "name": "<b>Bob</b>"}, timeout=30).status_code == 200
    field = page.find_element("id", "name")
    field.clear()
    field.send_keys("Grace  Hopper")
    click(page, "form button")
    wait_until(lambda: texts(page, ".message") == ["The ranking shows you as Grace Hopper."])
    load(page, sandbox)
    wait_until(lambda: texts(page, "#party option")[:2] == ["p01 · Grace Hopper", "p02 · <b>Bob</b>"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_error_pages_and_settings_look_like_the_page_and_axe_finds_no_violation(page: Any, sandbox: Sandbox, scheme: str) -> None:
    set_colour_scheme(page, scheme)
    used = sandbox.room.participants["p01"].code
    requests.post(sandbox.url(path="/join"), data={"code": used}, timeout=30)
    for code, message in (
        ("AAAA-2222", "Unknown code. Check it, or ask your teacher."),
        (used, "This code has already been used. If not by you, tell your teacher."),
        (sandbox.room.participants["p02"].code, "The code is used: you are p02."),
    ):
        join(page, sandbox, code)
        wait_until(functools.partial(shows, page, message))
        page.execute_script(AXE)
        found = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]] == []
        background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert background != "rgba(0, 0, 0, 0)"  # the style sheet is loaded
    page.get_log("browser")  # the browser logs every 403 and 410


def test_pages_with_settings_are_never_stored(sandbox: Sandbox) -> None:
    session = requests.Session()
    form = {"code": sandbox.room.participants["p01"].code}
    for answer in (
        session.post(sandbox.url(path="/join"), data=form, headers=HTML, timeout=30),
        session.get(sandbox.url(path="/join"), headers=HTML, timeout=30),
        session.get(sandbox.url(path="/join/settings"), timeout=30),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert sandbox.room.participants["p01"].token in answer.text
