"""What several suites share: a real browser, for those that ask for one."""

import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_BROWSER = (
    "These tests need Chromium. Install it (Debian and Ubuntu: `apt install chromium`; "
    "elsewhere: `python -m playwright install chromium`), or set CHROMIUM to the path "
    "of a Chromium or Chrome."
)


def chromium(playwright):
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in NAMES]
    found.append(playwright.chromium.executable_path)
    for path in found:
        if path and Path(path).exists():
            return path
    pytest.exit(NO_BROWSER, returncode=1)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(playwright), args=QUIET
        )
        yield browser
        browser.close()
