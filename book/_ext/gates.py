"""Looks at the written pages, and fails the build on what no reader should meet.

That is a picture without words, a link to nowhere, and anything that another site would
have to serve; and code that is said to be the core's and differs from it. A fault is
reported as a warning, and warnings are errors here. By hand, without the last:

    python book/_ext/gates.py _build/html
"""

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

from llm_core.course.quote import core_modules, drift, read_chapters

logger = logging.getLogger(__name__)

ELSEWHERE = re.compile(r"(https?:)?//", re.I)
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
}
LOADING_LINKS = {"stylesheet", "preload", "modulepreload", "icon"}
A_PATH = re.compile(r"\S*[/\\]\S*\.\w+|\S+\.(png|svg|jpe?g|gif)", re.I)


def setup(app):
    app.connect("build-finished", report, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def report(app, error):
    if error or app.builder.name != "html":
        return
    notebooks = Path(app.srcdir, "notebooks")
    for fault in [*faults(Path(app.outdir)), *drifted(notebooks, app.env.found_docs)]:
        logger.warning("%s", fault, type="gate")


def drifted(folder, pages):
    """Yield each quote of a chapter in the book that is not what the core says."""
    core = core_modules()
    for chapter in read_chapters(folder) if folder.exists() else []:
        if f"{folder.name}/{chapter.path.stem}" in pages:
            for cell in chapter.cells:
                for problem in drift(cell, core) if cell.quote else []:
                    yield f"{chapter.path.name}, cell {cell.place}: {problem}"


def faults(folder):
    """Return a sentence for each fault in the pages below a folder."""
    page_of.cache_clear()
    pages = sorted(folder.rglob("*.html"))
    found = [
        f"{path.relative_to(folder).as_posix()}: {fault}"
        for path in pages
        if "_static" not in path.parts
        for check in (loads_from_elsewhere, without_words, leads_nowhere)
        for fault in check(path)
    ]
    for path in sorted(folder.rglob("*.css")):
        if re.search(r"url\(\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")):
            found.append(f"{path.name}: loads from another site")
    return found


class Page(HTMLParser):
    """The tags of a page, each as (name, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)
        self.ids = {a.get("id") for _, a in self.tags} | {
            a.get("name") for _, a in self.tags
        }

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, {name: value or "" for name, value in attributes}))


@cache
def page_of(path):
    return Page(path.read_text(encoding="utf-8"))


def loads_from_elsewhere(path):
    for tag, attributes in page_of(path).tags:
        address = attributes.get(LOADS.get(tag, ""), "")
        if tag == "link" and LOADING_LINKS & set(attributes.get("rel", "").split()):
            address = attributes.get("href", "")
        if ELSEWHERE.match(address):
            yield f"<{tag}> loads {address} from another site"


def without_words(path):
    for tag, attributes in page_of(path).tags:
        if tag == "img":
            words, name = attributes.get("alt", ""), attributes.get("src", "")
        elif attributes.get("role") == "img":
            words, name = attributes.get("aria-label", ""), f"<{tag}>"
        else:
            continue
        if not words.strip() or A_PATH.fullmatch(words.strip()):
            yield f"the picture {name} needs an alt text of its own, has {words!r}"


def leads_nowhere(path):
    for tag, attributes in page_of(path).tags:
        address = urlsplit(attributes.get("href", "")) if tag == "a" else None
        if not address or address.scheme or address.netloc:
            continue
        target = (
            (path.parent / unquote(address.path)).resolve() if address.path else path
        )
        place = unquote(address.fragment)
        if not target.exists():
            yield f"a link leads to {address.geturl()}, which does not exist"
        elif place and target.suffix == ".html" and place not in page_of(target).ids:
            yield f"a link leads to #{place}, which {target.name} lacks"


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]).resolve())
    sys.exit("\n".join(found) or None)
