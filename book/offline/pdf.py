"""The pages in, one PDF out, printed by Chromium or Chrome.

A browser does not tell a style sheet on which page something stands. So the book is
printed twice: in the first print, the place of each link's target is looked up, and the
second has the numbers in its contents. Nothing is printed that is wider than a page.
"""

import html
import re
import shutil
from itertools import groupby

from playwright.sync_api import sync_playwright

CHROME = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu"]
WIDTH, HEIGHT = 658, 930  # of the text on a page of pdf.css, in pixels
WAIT = 600_000  # milliseconds, for a busy machine

DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="book.css"><link rel="stylesheet" href="pdf.css">
<style>{heads}</style></head><body>
<section class="cover"><img src="pictures/cover.svg" alt="{title}"></section>
<section class="colophon">{colophon}</section>
<nav class="contents"><p class="level-1">Contents</p>{contents}</nav>
<main>{pages}</main></body></html>
"""
HEAD = """
@page {slug} {{ @top-left {{ content: "{part}" }} @top-right {{ content: "{title}" }} }}
#{slug} {{ page: {slug} }}"""

# Tables and formulas that are too wide are made smaller, down to half their size; code
# that is long may break. What sticks out of the page after that is named.
FIT = """(width) => {
  for (const box of document.querySelectorAll("table, math[display=block]")) {
    const room = box.parentElement.getBoundingClientRect().width;
    const wide = Math.max(box.scrollWidth, box.getBoundingClientRect().width);
    if (wide > room) box.style.zoom = Math.max(0.5, 0.99 * room / wide);
  }
  for (const code of document.querySelectorAll(".cell_input")) {
    if (code.offsetHeight > 400) code.style.breakInside = "auto";
  }
  const left = document.querySelector("main").getBoundingClientRect().left;
  const out = (box) => box.getBoundingClientRect().right > left + width + 1
    || (getComputedStyle(box).display !== "inline" && box.clientWidth
        && box.scrollWidth > box.clientWidth + 1);
  return [...document.querySelectorAll("main *:not(math *)")].filter(out).map((box) =>
    `${box.closest("[id]")?.id}: <${box.localName}> ${box.textContent.slice(0, 60)}`);
}"""


def write_pdf(book, path, folder):
    """Print the book, from files that are left in the folder."""
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, CHROME)), None)
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        path.write_bytes(printed(browser, book, folder))
        browser.close()


def printed(browser, book, folder):
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(WAIT)
    page.emulate_media(media="print", color_scheme="light")
    source, text, pdf = folder / "book.html", document(book), b""
    for _ in range(2):
        source.write_text(with_numbers(text, page_numbers(pdf)), encoding="utf-8")
        page.goto(source.as_uri())
        refuse(page.evaluate(FIT, WIDTH))
        pdf = page.pdf(
            prefer_css_page_size=True, print_background=True, outline=True, tagged=True
        )
    page.close()
    return pdf


def refuse(too_wide):
    """End with the innermost of the elements that do not fit, if there are any."""
    if too_wide:
        shown = "\n  ".join(too_wide[-20:])
        raise SystemExit(f"expected lines that fit on a page, these do not:\n  {shown}")


def document(book):
    pages = book.pages
    heads = "".join(
        HEAD.format(slug=p.slug, part=quoted(p.part), title=quoted(p.title))
        for p in pages
    )
    return DOCUMENT.format(
        title=html.escape(book.title),
        heads=heads,
        colophon=book.colophon,
        contents=contents(pages),
        pages="".join(
            chapter(page, page.part if first else "")
            for _, part in groupby(pages, key=lambda page: page.part)
            for first, page in zip([True, *[False] * len(pages)], part, strict=False)
        ),
    )


def quoted(text):
    """Return a text as it may stand in a style sheet's quotation marks."""
    return re.sub(r"[\"\\<]", "", text)


def contents(pages):
    """Return the parts, their pages, and the sections of those that are chapters."""
    lines = []
    for part, group in groupby(pages, key=lambda page: page.part):
        if part:
            lines.append(f'<p class="part">{html.escape(part)}</p>')
        for page in group:
            lines.append(line(page.slug, page.title, "page"))
            if page.name.startswith("notebooks/"):
                for title in page.body.find_all("h2"):
                    section = title.parent["id"]
                    lines.append(line(section, title.get_text().strip(), "section"))
    return "".join(lines)


def line(target, title, kind):
    words = f"<span>{html.escape(title)}</span>"
    return f'<p class="{kind}"><a class="paged" href="#{target}">{words}</a></p>'


def chapter(page, part):
    """Return a page of the book, one level below its part's heading."""
    text = str(page.body)
    text = re.sub(r'href="[\w-]+\.xhtml#', 'href="#', text)
    deeper = 1 if page.part else 0
    text = re.sub(
        r"<(/?)h([1-5])",
        lambda m: (
            f"<{m[1]}h{int(m[2]) + deeper}" + ("" if m[1] else f' class="level-{m[2]}"')
        ),
        text,
    )
    above = f'<h1 class="part">{html.escape(part)}</h1>' if part else ""
    return f'<section class="page" id="{page.slug}">{above}{text}</section>'


# --- the numbers of pages -------------------------------------------------------------


def page_numbers(pdf):
    """Return the page of each target of a link, as Chromium wrote them: id -> number.

    >>> page_numbers(b"\\n7 0 obj\\n<</Type /Page\\n ... <</x [7 0 R /XYZ 6 8 0]>>")
    {'x': 1}
    """
    pages = re.findall(rb"\n(\d+) 0 obj\n<</Type /Page\n", pdf)
    number = {page: at for at, page in enumerate(pages, start=1)}
    targets = re.findall(rb"/(\S+) \[(\d+) 0 R /XYZ", pdf)
    return {name.decode("latin-1"): number[page] for name, page in targets}


def with_numbers(text, numbers):
    """Put the number of its target's page behind each link that should have one."""

    def numbered(match):
        number = numbers.get(match[2], "000")
        return f'{match[1]}{match[3]}<span class="number">{number}</span></a>'

    paged = r'(<a class="paged" href="#([^"]*)">)(.*?)</a>'
    return re.sub(paged, numbered, text)
