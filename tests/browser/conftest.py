"""A real browser on the built book, over http and from the disk.

A page opened here fails its test when it logs an error, or asks for anything that does
not come from the book.
"""

import functools
import http.server
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from llm_core.course.widgets import page_files

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"


def pytest_configure(config):
    if not (BOOK / "index.html").exists():
        raise pytest.UsageError("These tests look at the built book: make it first.")


def pytest_generate_tests(metafunc):
    """Run a test for each page (name) and place (host) that it asks for."""
    found = sorted(path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html"))
    no_pages = ("_static/", "index.html")  # the second leads to the first page
    pages = [page for page in found if not page.startswith(no_pages)]
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", pages)
    if "host" in metafunc.fixturenames:
        metafunc.parametrize("host", ["http", "disk"])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def addresses(tmp_path_factory):
    """The book's address on a server of our own, and on the disk; that of the stage."""
    handler = functools.partial(Quiet, directory=BOOK)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "http": f"http://127.0.0.1:{server.server_port}/",
        "disk": BOOK.as_uri() + "/",
        "stage": tmp_path_factory.mktemp("stage").as_uri() + "/",
    }
    server.shutdown()
    server.server_close()


STAGE = """<!doctype html><html lang="en"><head><title>A stage</title>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><link rel="stylesheet" href="widgets.css">
<script defer src="hydrate.js"></script></head>
<body><main><h1>A stage</h1>%s</main></body></html>"""


@pytest.fixture
def stage(addresses, visit):
    """stage(widgets, …) -> an open page that holds them, which is not in the book."""

    def put_on(*widgets, **view):
        folder = Path(urllib.request.url2pathname(addresses["stage"][len("file:") :]))
        for name, text in page_files().items():
            (folder / name).write_text(text, encoding="utf-8")
        page = STAGE % "".join(widget.to_html() for widget in widgets)
        (folder / "page.html").write_text(page, encoding="utf-8")
        return visit("page.html", "stage", **view)

    return put_on


@pytest.fixture
def visit(browser, addresses):
    """visit(page, host="http", color_scheme="light", width=1280) -> an open page.

    Every widget of the page has been scrolled to, and is alive. With touch=True the
    page is on a telephone.
    """

    @contextmanager
    def open_page(name, host="http", color_scheme="light", width=1280, touch=False):
        faults = []
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=color_scheme,
            has_touch=touch,
            is_mobile=touch,
        )

        def allow(route):
            address = route.request.url
            if address.startswith((addresses[host], "data:", "blob:")):
                route.continue_()
            else:
                faults.append(f"asked for {address}")
                route.abort()

        page.set_default_timeout(90_000)  # a busy machine is no fault of the page
        page.route("**/*", allow)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("requestfailed", lambda request: faults.append(f"no {request.url}"))
        page.on(
            "response",
            lambda r: r.status >= 400 and faults.append(f"{r.status} for {r.url}"),
        )
        page.on(
            "console",
            lambda m: m.type in ("error", "warning") and faults.append(m.text),
        )
        page.goto(addresses[host] + name, wait_until="load")
        for widget in page.locator("[data-llm-widget]").all():
            widget.scroll_into_view_if_needed()
            widget.and_(page.locator("[data-ready]")).wait_for()
        yield page
        page.close()
        assert not faults

    return open_page
