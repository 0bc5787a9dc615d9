"""The built book in; what a printed book and an EPUB are made from, out.

That is what the book says of itself, its pages, and a folder with all files beside
their text: pictures, style sheets, the font for formulas.
"""

import base64
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from drawings import write_cover
from pages import ROOT, Page, read_pages

import llm_core

HERE = Path(__file__).resolve().parent
COLOPHON = """<div class="colophon"><p><strong>{title}</strong></p>
<p>{description}</p>
<p>{author}. {rights} Version {version}, built on {day}.</p>
<p>This is the book at rest. On the web and in JupyterLab its figures move and its code
runs; here stands what they showed when it was built. What the pages fold away there,
the solutions of the exercises, is at the end of each chapter.</p></div>
"""


@dataclass(frozen=True)
class Book:
    """What the book says of itself, and its pages in their order."""

    title: str
    subtitle: str
    author: str
    description: str
    rights: str
    modified: str  # when the pages were built
    pages: list[Page]

    @property
    def colophon(self):
        return COLOPHON.format(
            **vars(self), version=llm_core.__version__, day=self.modified[:10]
        )


def read_book(html, folder, toc=ROOT / "_toc.yml"):
    """Return the book of the pages in html; what they need goes into the folder."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    built = datetime.fromtimestamp((html / "index.html").stat().st_mtime, UTC)
    book = Book(
        title=config["title"],
        subtitle="Build a GPT from nothing, on your laptop",
        author=", ".join(author["name"] for author in citation["authors"]),
        description=config["sphinx"]["config"]["myst_html_meta"]["description"],
        rights=f"{citation['license']} licence.",
        modified=built.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pages=read_pages(html, toc),
    )
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    for page in book.pages:
        for name, svg in page.pictures.items():
            (folder / "pictures" / name).write_text(svg, encoding="utf-8")
    write_cover(book, folder / "pictures")
    write_styles(html / "_static", folder)
    return book


def write_styles(static, folder):
    """Write the style sheets, the pages' colours of code, and the font for formulas."""
    rules = (static / "pygments.css").read_text(encoding="utf-8")
    code = re.findall(r'^html\[data-theme="light"\] (.*)', rules, re.MULTILINE)
    ours = (HERE / "book.css").read_text(encoding="utf-8")
    (folder / "book.css").write_text("\n".join([ours, *code]), encoding="utf-8")
    for name in ("pdf.css", "epub.css"):
        shutil.copy(HERE / name, folder)
    math = (static / "math.css").read_text(encoding="utf-8")
    [font] = re.findall(r"base64,([^)]*)\)", math)
    (folder / "math.woff2").write_bytes(base64.b64decode(font))
