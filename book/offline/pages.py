"""The built pages in, the same pages for paper out: nothing moves, nothing is folded.

A picture becomes a file of its own, in the colours of a light page. A widget leaves
what readers without JavaScript see, and a note that it is alive on the web. Solutions
go to the end of their chapter. Every id gets the name of its page in front, so that
all pages can stand in one document; links follow.
"""

import html
import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from drawings import INK, draw_map

from llm_core.course.palette import COLORS

ROOT = Path(__file__).resolve().parents[2]
# Where the book is published, with / at its end, when whoever builds knows that.
ADDRESS = os.environ.get("BOOK_ADDRESS", "")
NOT_ON_PAPER = "button, .headerlink, .llm-frames-text:not(.llm-shown), .expanded"
DRAWING = re.compile(
    r'<svg role="img" aria-label="([^"]*)"[^>]* width="(\d+)" height="(\d+)".*?</svg>',
    re.DOTALL,
)


@dataclass
class Page:
    """A page of the book: where its HTML lies, what stands on it, and its pictures."""

    name: str  # notebooks/04_attention
    part: str  # the caption above it in the contents; none for the first page
    title: str
    body: BeautifulSoup
    pictures: dict[str, str]  # name of a file -> SVG
    maps: list[list[list[float]]]  # the weights of its attention maps

    @property
    def slug(self):
        return slug(self.name)


def slug(name):
    """Return a page's name as part of an id, or of a file's name."""
    return name.replace("/", "-")


def read_pages(folder, toc):
    """Return the pages below a folder in the order of the contents."""
    named = list(in_order(yaml.safe_load(toc.read_text(encoding="utf-8"))))
    known = {name for _, name in named}
    return [read_page(folder, name, part, known) for part, name in named]


def in_order(toc):
    """Yield (caption of its part, name) for each page of a table of contents."""
    yield "", toc["root"]
    parts = toc.get("parts", [toc])
    waiting = [(p.get("caption", ""), e) for p in parts for e in p["chapters"]]
    while waiting:
        part, entry = waiting.pop(0)
        yield part, entry["file"]
        waiting[:0] = [(part, each) for each in entry.get("sections", [])]


def read_page(folder, name, part, known):
    path = folder / f"{name}.html"
    if not path.exists():
        raise SystemExit(f"expected the page {path}, which is missing: make book")
    text = path.read_text(encoding="utf-8")
    text = in_light_colours(text[text.index("<article") : text.index("</article>")])
    text = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    pictures = {}
    text = DRAWING.sub(lambda match: as_file(match, slug(name), pictures), text)
    body = BeautifulSoup(text, "html.parser").article
    [title] = body.find_all("h1")
    page = Page(name, part, "", body, pictures, [])
    for widget in body.find_all(attrs={"data-llm-widget": True}):
        make_still(widget, page)
    for unwanted in body.select(NOT_ON_PAPER):
        unwanted.decompose()
    for caption in body.find_all("p", role="heading"):
        del caption["role"], caption["aria-level"]  # a bookmark leads to it else
    page.title = title.get_text().strip()
    gather_solutions(body)
    unfold(body)
    rename(page, known)
    return page


# --- pictures -------------------------------------------------------------------------


def in_light_colours(text):
    """Write the colours of a light page where a page asks for those of its theme.

    >>> in_light_colours("color-mix(in srgb, var(--llm-query, #123) 16%, transparent)")
    '#0b68b029'
    """

    def colour(match):
        return COLORS[match[1]][0]

    def thin(match):
        return f"{match[1]}{round(255 * float(match[2]) / 100):02x}"

    text = re.sub(r"var\(--llm-(\w+)[^)]*\)", colour, text)
    mix = r"color-mix\(in srgb, *(#\w{6}) ([\d.]+)%, *transparent\)"
    return re.sub(mix, thin, text)


def as_file(match, stem, pictures):
    """Put a drawing among the pictures, and return the tag that shows it."""
    name = f"{stem}-{len(pictures) + 1}.svg"
    pictures[name] = match[0].replace("currentColor", INK)
    words, width, height = match.groups()
    return (
        f'<img class="drawing" src="pictures/{name}" alt="{words}"'
        f' width="{width}" height="{height}"/>'
    )


def make_still(widget, page):
    """Leave of a widget what it is without its script, and a note."""
    if widget["data-llm-widget"] == "attention_map":
        draw_instead(widget.find("table"), page)
    place = f"{page.name}.html#{widget.find_parent('section')['id']}"
    where = f'<a href="{ADDRESS}{place}">on the web</a>' if ADDRESS else "on the web"
    note = f'<p class="alive">This figure is alive {where}: there, you can move it.</p>'
    widget.append(BeautifulSoup(note, "html.parser"))
    widget["class"] = ["widget", widget["data-llm-widget"].replace("_", "-")]
    del widget["data-llm-widget"]


def draw_instead(table, page):
    """Put a picture of attention where a table of percents would be too wide."""
    rows = table.select("tbody tr")
    tokens = [row.th.get_text() for row in rows]
    weights = [[float(d.get_text()) / 100 for d in row("td")] for row in rows]
    page.maps.append(weights)
    words = html.escape(f"Attention map. {table.caption.get_text()}")
    name = f"{page.slug}-map-{len(page.maps)}.svg"
    page.pictures[name] = draw_map(tokens, weights)
    caption = f"<p>{table.caption.decode_contents()}: the darker, the more</p>"
    image = f'<img src="pictures/{name}" alt="{words}"/>'
    table.replace_with(BeautifulSoup(caption + image, "html.parser"))


# --- what is folded -------------------------------------------------------------------


def gather_solutions(body):
    """Put the solutions, which a page folds away, behind its last section."""
    solved = []  # (its section, what stands there), one for each exercise
    for details in body.find_all("details", "hide"):
        section = details.find_parent("section")
        link = '<p class="see"><a class="paged" href="#{}">A solution</a></p>'
        if not solved or solved[-1][0] is not section:
            solved.append((section, []))
            link = link.format(f"{section['id']}-solution")
            details.insert_before(BeautifulSoup(link, "html.parser"))
        details.summary.decompose()
        solved[-1][1].append(details.extract())
    if solved:
        title = '<section id="solutions"><h2>Solutions</h2></section>'
        last = BeautifulSoup(title, "html.parser").section
        for section, parts in solved:
            last.append(solution(section, parts))
        body.find("section").append(last)


def solution(section, parts):
    heading = section.find(re.compile(r"h\d")).get_text().strip()
    text = (
        f'<section id="{section["id"]}-solution">'
        f'<h3><a href="#{section["id"]}">{html.escape(heading)}</a></h3></section>'
    )
    made = BeautifulSoup(text, "html.parser").section
    for part in parts:
        part.name, part.attrs = "div", {"class": "cell"}
        made.append(part)
    return made


def unfold(body):
    """Show what else can be opened, under its title."""
    for details in body.find_all("details"):
        details.name = "div"
        details.summary.name = "p"
        details.p["class"] = "unfolded"


# --- ids and links --------------------------------------------------------------------


def rename(page, known):
    """Make every id one of the whole book, and lead every link to such an id."""
    for tag in page.body.find_all(id=True):
        tag["id"] = f"{page.slug}--{tag['id']}"
    for link in page.body.find_all("a", href=True):
        link["href"] = of_book(link["href"], page, known)
        if not link["href"]:
            link.unwrap()


def of_book(address, page, known):
    """Return a link as PAGE.xhtml#ID, or nothing for what only the site has."""
    if re.match(r"[a-z]+:", address):
        return address
    path, _, place = address.partition("#")
    folder = posixpath.dirname(page.name)
    name = posixpath.normpath(posixpath.join(folder, path)) if path else page.name
    name = name.removesuffix(".html")
    if name not in known:
        return ""
    return f"{slug(name)}.xhtml#{slug(name)}" + (f"--{place}" if place else "")
