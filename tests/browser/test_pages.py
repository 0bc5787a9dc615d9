"""Every page is whole, wherever it is opened, and readable by everyone."""

import importlib.util
from pathlib import Path

AXE = Path(importlib.util.find_spec("axe_playwright_python").origin).parent


def test_a_page_loads_without_an_error_or_a_request_elsewhere(visit, name, host):
    with visit(name, host):
        pass


def test_a_page_is_accessible_and_no_wider_than_its_window(visit, name, view):
    with visit(name, **view) as page:
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= view["width"]
        page.add_script_tag(content=(AXE / "axe.min.js").read_text(encoding="utf-8"))
        found = page.evaluate("async () => (await axe.run()).violations")
        assert not [
            f"{fault['id']}: {node['html']} ({node['failureSummary']})"
            for fault in found
            for node in fault["nodes"]
        ]


def test_the_front_door_leads_to_the_first_page(visit, host):
    with visit("index.html", host) as page:
        page.wait_for_url("**/book/intro.html")
        page.locator("article h1").wait_for()
