"""Makes what can be taken along of the built book: a zip, a PDF or an EPUB.

    python book/offline zip     the pages as they are, which work from the disk
    python book/offline pdf     for paper; printed by Chromium or Chrome
    python book/offline epub    for readers of e-books

All start from the pages in _build/html, which `make book` writes: nothing is executed
here. What is made lies beside them: _build/my-own-llm.zip and so on. With BOOK_ADDRESS
in the environment, figures that are alive on the web say where.
"""

import sys
import zipfile

from epub import add, write_epub
from pages import ROOT
from pdf import write_pdf
from source import read_book

BUILD = ROOT / "_build"
HTML, FOLDER = BUILD / "html", BUILD / "offline"
NAME = "my-own-llm"


def main(arguments):
    makers = {
        "zip": lambda path: write_zip(HTML, path),
        "pdf": lambda path: write_pdf(read_book(HTML, FOLDER), path, FOLDER),
        "epub": lambda path: write_epub(read_book(HTML, FOLDER), path, FOLDER),
    }
    if not arguments or set(arguments) - set(makers):
        names = " ".join(f"[{name}]" for name in makers)
        sys.exit(f"usage: python book/offline {names}; got {' '.join(arguments)!r}")
    if not (HTML / "index.html").exists():
        sys.exit(f"expected the built book in {HTML}, found none: make book")
    for name in arguments:
        path = BUILD / f"{NAME}.{name}"
        makers[name](path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")


def write_zip(html, path):
    """Put all pages, and what they need, into one folder of a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(html.rglob("*")):
            if file.is_file() and file.name != ".buildinfo":
                name = f"{NAME}/{file.relative_to(html).as_posix()}"
                add(archive, name, file.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
