"""Makes what can be taken along of the built book: a zip, a PDF or an EPUB.

    python book/offline zip     the pages as they are, which work from the disk
    python book/offline pdf     for paper; printed by Chromium or Chrome
    python book/offline epub    for readers of e-books
    python book/offline site    a copy of the pages, as they are published: with those
                                of the above that were made, and links to them

All start from the pages in _build/html, which `make book` writes: nothing is executed
here. What is made lies beside them: _build/my-own-llm.zip and so on. With BOOK_ADDRESS
in the environment, figures that are alive on the web say where.
"""

import shutil
import sys
import zipfile

from epub import add, write_epub
from pages import ROOT
from pdf import write_pdf
from source import read_book

BUILD = ROOT / "_build"
HTML, FOLDER, SITE = BUILD / "html", BUILD / "offline", BUILD / "site"
NAME = "my-own-llm"
FIRST_PAGE, PLACE = "book/intro.html", "<p><strong>Read.</strong>"


def main(arguments):
    makers = {
        "zip": lambda path: write_zip(HTML, path),
        "pdf": lambda path: write_pdf(read_book(HTML, FOLDER), path, FOLDER),
        "epub": lambda path: write_epub(read_book(HTML, FOLDER), path, FOLDER),
    }
    names = [*makers, "site"]
    if not arguments or set(arguments) - set(names):
        usage = " ".join(f"[{name}]" for name in names)
        sys.exit(f"usage: python book/offline {usage}; got {' '.join(arguments)!r}")
    if not (HTML / "index.html").exists():
        sys.exit(f"expected the built book in {HTML}, found none: make book")
    files = {name: BUILD / f"{NAME}.{name}" for name in makers}
    for name in arguments:
        if name in makers:
            makers[name](files[name])
            size = files[name].stat().st_size / 1e6
            print(f"{files[name].relative_to(ROOT)}: {size:.1f} MB")
    if "site" in arguments:
        write_site(HTML, [path for path in files.values() if path.exists()], SITE)


def write_zip(html, path):
    """Put all pages, and what they need, into one folder of a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(html.rglob("*")):
            if file.is_file() and file.name != ".buildinfo":
                name = f"{NAME}/{file.relative_to(html).as_posix()}"
                add(archive, name, file.read_bytes())


def write_site(html, files, site):
    """Copy the pages, and put files beside them to which the first page leads."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(html, site)
    for path in files:
        shutil.copy(path, site)
    page = site / FIRST_PAGE
    before, place, after = page.read_text(encoding="utf-8").partition(PLACE)
    if not place:
        sys.exit(
            f"expected {PLACE} on {FIRST_PAGE}, behind which the links could stand"
        )
    links = ", ".join(
        f'<a href="../{path.name}">{path.suffix[1:].upper()}</a>' for path in files
    )
    if links:
        after = after.replace("</p>", f" To take along: {links}.</p>", 1)
    page.write_text(before + place + after, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
