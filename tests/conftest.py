"""Fixtures that several modules share: a sandbox with traders, a bot that quotes on it, and the sandbox's page in a browser."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.support.browser import chromium
from tests.support.page_driver import open_page
from tests.support.processes import BotProcess

# With this variable, tests would not see what users see: the messages of Python at exit when it cannot flush its output.
os.environ.pop("PYTHONUNBUFFERED", None)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(block_time=0.25, seed=11) as running:
        yield running


@pytest.fixture
def healthy(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.reset()
    sandbox.block(1)


@pytest.fixture
def future(sandbox: Sandbox) -> str:
    return sandbox.markets["future"]


@pytest.fixture
def bot(sandbox: Sandbox, future: str) -> Iterator[BotProcess]:
    with BotProcess(sandbox, future) as running:
        running.wait_for(r"\| quoted$")
        yield running
        assert running.stop() == 0, running.output


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser: Any, sandbox: Sandbox) -> Iterator[Any]:
    with open_page(browser, sandbox):
        yield browser
