"""Every page is whole, wherever it is opened, and readable by everyone."""

import importlib.util
from pathlib import Path

import pytest

AXE = Path(importlib.util.find_spec("axe_playwright_python").origin).parent
# Most of axe's time would go into words of code. Of those with the same ink, weight and
# grounds behind them it gets the first; the others become a part of their line.
ONE_OF_EACH_INK = """() => {
  const words = [...document.querySelectorAll(".highlight pre span")];
  const inks = words.map((word) => {
    const { color, fontWeight } = getComputedStyle(word);
    const ink = [color, fontWeight];
    for (let box = word; box; box = box.parentElement)
      ink.push(getComputedStyle(box).backgroundColor);
    return ink.join();
  });
  words.forEach((word, at) => {
    if (inks.indexOf(inks[at]) < at) word.replaceWith(...word.childNodes);
  });
}"""
# The theme looks which boxes scroll 300 ms after it has heard of a new width, which is
# just before the page is drawn.
SETTLED = "() => new Promise((d) => requestAnimationFrame(() => setTimeout(d, 350)))"


def test_a_page_opens_from_the_disk_without_an_error_or_a_request(visit, name):
    with visit(name, "disk"):
        pass


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_and_no_wider_than_its_window(visit, name, scheme):
    widths = [1280, 390] if scheme == "light" else [390, 1280]
    with visit(name, color_scheme=scheme, width=widths[0]) as page:
        page.add_script_tag(content=(AXE / "axe.min.js").read_text(encoding="utf-8"))
        page.evaluate(ONE_OF_EACH_INK)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(SETTLED)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
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
