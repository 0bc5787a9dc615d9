"""A page made fit for paper has all that it had, and nothing that could be pressed."""

import doctest

import pytest
from offline import command, drawings, pages, pdf, source

TOC = """
root: book/intro
parts:
  - caption: I Text
    chapters:
      - file: notebooks/01
        sections:
          - file: notebooks/02
"""
INTRO = """<nav>Menu</nav><article class="bd-article"><section id="top"><h1>A book
<a class="headerlink" href="#top">#</a></h1>
<p><a href="../notebooks/01.html#first">there</a> <a href="../search.html">search</a>
<a href="https://example.org">outside</a> <a href="#top">here</a></p>
<div class="llm-widget" data-llm-widget="attention_map"><script>{"a": "</p>"}</script>
<div class="llm-fallback"><table class="llm-table"><caption>Head 1</caption>
<thead><tr><th></th><th>a</th><th>b</th></tr></thead><tbody>
<tr><th>a</th><td>100.0</td></tr><tr><th>b</th><td>25.0</td><td>75.0</td></tr>
</tbody></table></div></div></section></article>"""
CHAPTER = """<article class="bd-article"><section id="one"><h1>One</h1>
<section id="first"><h2>1.1 Do it</h2><p>Exercise</p><div class="cell">
<details class="hide above-input"><summary>Show the solution</summary>
<div class="cell_input"><pre>return 42</pre></div></details></div>
<p>After it</p></section>
<section id="more"><h2>More</h2><details><summary>All numbers</summary>seven</details>
<svg role="img" aria-label="A &gt; B" class="figure" width="96" height="48"><path
style="stroke: var(--llm-query); fill: currentColor"/></svg>
<button>Copy</button></section></section></article>"""


@pytest.fixture
def book(tmp_path):
    """A built book of three pages, read."""
    for name, text in {"book/intro": INTRO, "notebooks/01": CHAPTER}.items():
        path = tmp_path / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<html><body>{text}</body></html>", encoding="utf-8")
    other = '<article><section id="two"><h1>Two</h1></section></article>'
    (tmp_path / "notebooks" / "02.html").write_text(other, encoding="utf-8")
    (tmp_path / "_toc.yml").write_text(TOC, encoding="utf-8")
    return pages.read_pages(tmp_path, tmp_path / "_toc.yml")


@pytest.mark.parametrize("module", [drawings, pages, pdf, source])
def test_the_examples_are_right(module):
    assert doctest.testmod(module).failed == 0


def test_pages_come_in_the_order_of_the_contents(book):
    assert [(page.part, page.title) for page in book] == [
        ("", "A book"),
        ("I Text", "One"),
        ("I Text", "Two"),
    ]


def test_a_missing_page_is_named(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"intro\.html, which is missing: make book"):
        pages.read_pages(tmp_path, tmp_path / "_toc.yml")


def test_links_lead_to_pages_of_the_book_or_outside_it(book):
    links = {a.get_text(): a["href"] for a in book[0].body.find_all("a")}
    assert links == {
        "there": "notebooks-01.xhtml#notebooks-01--first",
        "outside": "https://example.org",
        "here": "book-intro.xhtml#book-intro--top",
    }
    assert "search" in book[0].body.get_text()  # the word stays, the link goes


def test_a_map_of_attention_becomes_a_picture(book):
    [image] = book[0].body.find_all("img")
    drawing = book[0].pictures[image["src"].removeprefix("pictures/")]
    assert image["alt"] == "Attention map. Head 1"
    assert drawing.count("<rect") == 3
    assert book[0].maps == [[[1.0], [0.25, 0.75]]]
    assert not book[0].body.table


def test_a_widget_says_where_it_is_alive(book, monkeypatch, tmp_path):
    assert "alive on the web" in book[0].body.get_text()
    assert not [a for a in book[0].body.find_all("a") if "on the web" in a.get_text()]
    monkeypatch.setattr(pages, "ADDRESS", "https://example.org/llm/")
    [page, *_] = pages.read_pages(tmp_path, tmp_path / "_toc.yml")
    [link] = [a for a in page.body.find_all("a") if a.get_text() == "on the web"]
    assert link["href"] == "https://example.org/llm/book/intro.html#top"


def test_a_solution_stands_behind_the_chapter_and_is_linked_both_ways(book):
    body = book[1].body
    exercise = body.find(id="notebooks-01--first")
    solution = body.find(id="notebooks-01--first-solution")
    assert "return 42" not in exercise.get_text()
    assert "return 42" in solution.get_text()
    assert exercise.find("a", "paged")["href"].endswith("#" + solution["id"])
    assert solution.a["href"].endswith("#" + exercise["id"])
    text = body.get_text()
    assert text.index("After it") < text.index("seven") < text.index("Solutions")


def test_nothing_is_folded_or_can_be_pressed(book):
    for page in book:
        for name in ("details", "summary", "button", "script", "svg"):
            assert not page.body.find(name)
        assert not page.body.find(class_="headerlink")
    assert "All numbers" in book[1].body.get_text()
    assert "Show the solution" not in book[1].body.get_text()


def test_a_drawing_is_a_file_in_the_colours_of_a_light_page(book):
    [(name, svg)] = book[1].pictures.items()
    assert "stroke: #0b68b0; fill: #222222" in svg
    image = book[1].body.img
    assert (image["src"], image["alt"]) == (f"pictures/{name}", "A > B")


def test_numbers_come_from_the_first_print():
    text = '<a class="paged" href="#x">X</a> <a href="#x">Y</a>'
    assert '<span class="number">000</span>' in pdf.with_numbers(text, {})
    numbered = pdf.with_numbers(text, {"x": 12})
    assert numbered.count('<span class="number">12</span>') == 1


def test_a_site_has_no_link_to_what_was_not_made(tmp_path):
    page = tmp_path / "html" / "book" / "intro.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p><strong>Read.</strong> All.</p><p>x</p>", encoding="utf-8")
    command.write_site(tmp_path / "html", [], tmp_path / "site")
    copy = tmp_path / "site" / "book" / "intro.html"
    assert copy.read_bytes() == page.read_bytes()
    page.write_text("<p>Other words</p>", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"expected .*Read.* on book/intro\.html"):
        command.write_site(tmp_path / "html", [], tmp_path / "site")


def test_an_unknown_argument_is_refused():
    with pytest.raises(SystemExit, match=r"^usage: .*got 'mobi'"):
        command.main(["mobi"])
