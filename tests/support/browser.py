"""A headless Chromium for the tests of the page. Tests that need it are skipped, with the reason, where it is not installed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"),
)


def missing_browser() -> str:
    """Return what is not installed, as the reason for a skip; "" where the tests can run."""
    missing = [program for program in ("chromium", "chromedriver") if not shutil.which(program)]
    return f"needs {' and '.join(missing)} (Debian: apt install chromium chromium-driver)" if missing else ""


@contextlib.contextmanager
def chromium(width: int = 1280, height: int = 800) -> Iterator[Any]:
    """Start a browser with a temporary profile, and yield its selenium driver."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def resize(driver: Any, width: int, height: int) -> None:
    """Set the size of the viewport, in CSS pixels."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    )


def set_colour_scheme(driver: Any, scheme: str) -> None:
    """Make the browser prefer `light` or `dark`."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
