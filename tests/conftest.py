"""For all tests: one thread, nothing of the reader's own touched, no way to the net.

And a real browser, for the suites that ask for one.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

# A program that a script starts in the background is deaf to Ctrl-C, and so are those
# that it starts: the tests of stopping need it to be heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests compute with tiny tensors, where a second thread costs more than it brings. What
# the tests start inherits all this; it must be set before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "agg"

# A reader's progress and downloads stay the reader's.
OWN = tempfile.TemporaryDirectory(prefix="llm-core-", ignore_cleanup_errors=True)
os.environ["LLM_CORE_HOME"] = str(Path(OWN.name, "home"))
os.environ["LLM_CORE_CACHE"] = str(Path(OWN.name, "cache"))

# The workers of pytest-xdist do not inherit -X, so it travels to them, and no further.
ENCODINGS = "PYTHONWARNDEFAULTENCODING"
os.environ.pop(ENCODINGS, None)


def pytest_configure(config):
    here = not hasattr(config, "workerinput")
    if here and sys.flags.warn_default_encoding and config.getoption("numprocesses"):
        os.environ[ENCODINGS] = "1"


@pytest.fixture(scope="session", autouse=True)
def offline():
    """A test that reaches for another machine fails, on every machine alike."""
    connect = socket.socket.connect

    def connect_here(self, address):
        if isinstance(address, tuple):
            host = address[0]
            if host != "localhost" and not host.startswith(("127.", "::1")):
                raise OSError(f"tests are offline, and {host} is another machine")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-renderer-backgrounding",  # or a busy machine starves the page
    "--disable-backgrounding-occluded-windows",
)
NO_BROWSER = (
    "These tests need Chromium. Install it (Debian and Ubuntu: `apt install chromium`; "
    "elsewhere: `python -m playwright install chromium`), or set CHROMIUM to the path "
    "of a Chromium or Chrome."
)


def chromium(playwright):
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in BROWSERS]
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
