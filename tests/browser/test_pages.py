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


def test_search_finds_a_chapter(visit, host):
    with visit("book/intro.html", host) as page:
        page.get_by_role("button", name="Search").first.click()
        page.get_by_role("searchbox").first.fill("pre-tokenization")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=*")
        page.locator("#search-results a").first.wait_for()
        found = page.locator("#search-results").text_content()
        assert "Tokenization" in found


def test_the_reader_can_choose_the_theme(visit):
    with visit("book/intro.html") as page:
        ink = "getComputedStyle(document.querySelector('.llm-widget')).color"
        seen = set()
        for _ in range(3):
            page.get_by_role("button", name="Color mode").click()
            seen.add(page.evaluate("document.documentElement.dataset.mode"))
            seen.add(page.evaluate(ink))
        assert {"light", "dark", "auto"} < seen
        assert len(seen) == 5  # three modes, two inks
