"""The pages in, one EPUB out, which epubcheck finds no fault with.

An EPUB is a zip of XHTML pages, with two lists: what it holds, and in which order it is
read. Everything that a page needs lies inside.
"""

import html
import re
import zipfile
from itertools import groupby

IDENTIFIER = "urn:uuid:5c0b2e0a-9d0f-4c55-8f3e-3a0c7b1c2d84"  # of this book, for ever
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/book.opf"
media-type="application/oebps-package+xml"/></rootfiles></container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" xml:lang="en"
 unique-identifier="identifier">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="identifier">{identifier}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:creator>{author}</dc:creator>
<dc:language>en</dc:language>
<dc:description>{description}</dc:description>
<dc:rights>{rights}</dc:rights>
<meta property="dcterms:modified">{modified}</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
</metadata>
<manifest>{manifest}</manifest>
<spine>{spine}</spine>
</package>
"""
XHTML = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"
 lang="en" xml:lang="en"><head><title>{title}</title>
<link rel="stylesheet" type="text/css" href="book.css"/>
<link rel="stylesheet" type="text/css" href="epub.css"/></head>
<body{kind}>{body}</body></html>
"""
TYPES = {
    ".xhtml": "application/xhtml+xml",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


def write_epub(book, path, folder):
    """Write the book, with the pictures and style sheets that lie in the folder."""
    files = {"cover.xhtml": cover(book), "contents.xhtml": contents(book)}
    files |= {f"{page.slug}.xhtml": xhtml(page) for page in book.pages}
    files = {name: text.encode("utf-8") for name, text in files.items()}
    spine = list(files)
    for name in ("book.css", "epub.css", "math.woff2"):
        files[name] = (folder / name).read_bytes()
    for picture in sorted(folder.glob("pictures/*")):
        files[f"pictures/{picture.name}"] = picture.read_bytes()
    del files["pictures/cover.svg"]  # the PDF's
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        add(archive, "mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        add(archive, "META-INF/container.xml", CONTAINER.encode("utf-8"))
        package = package_of(book, files, spine)
        add(archive, "book/book.opf", package.encode("utf-8"))
        for name, data in files.items():
            add(archive, f"book/{name}", data)


def add(archive, name, data, method=zipfile.ZIP_DEFLATED):
    """Put a file into a zip without the time of day, so that equal books are equal."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o644 << 16
    archive.writestr(info, data, method)


def package_of(book, files, spine):
    """Return the list of what the book holds and in which order it is read."""
    return PACKAGE.format(
        identifier=IDENTIFIER,
        title=html.escape(book.title),
        author=html.escape(book.author),
        description=html.escape(book.description),
        rights=html.escape(book.rights),
        modified=book.modified,
        manifest="\n".join(item(name, data) for name, data in files.items()),
        spine="".join(f'<itemref idref="{key(name)}"/>' for name in spine),
    )


def key(name):
    return "file-" + re.sub(r"[^\w.-]", "-", name)


def item(name, data):
    kind = TYPES["." + name.rpartition(".")[2]]
    properties = {"contents.xhtml": "nav", "pictures/cover.png": "cover-image"}
    says = properties.get(name, "mathml" if b"<math" in data else "")
    says = f' properties="{says}"' if says and "svg" not in kind else ""
    return f'<item id="{key(name)}" href="{name}" media-type="{kind}"{says}/>'


def cover(book):
    picture = f'<img src="pictures/cover.png" alt="{html.escape(book.title)}"/>'
    return XHTML.format(title="Cover", kind=' class="cover"', body=picture)


def contents(book):
    """Return the page that readers find their way by, parts around their pages."""
    lines = []
    for part, group in groupby(book.pages, key=lambda page: page.part):
        links = "\n".join(
            f'<li><a href="{page.slug}.xhtml">{html.escape(page.title)}</a></li>'
            for page in group
        )
        if part:
            caption = f"<span>{html.escape(part)}</span>"
            links = f"<li>{caption}<ol>{links}</ol></li>"
        lines.append(links)
    nav = f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(lines)}</ol></nav>'
    return XHTML.format(title="Contents", kind="", body=nav + book.colophon)


def xhtml(page):
    text = str(page.body)
    math = 'xmlns="http://www.w3.org/1998/Math/MathML"'
    text = re.sub(r"<math\b", f"<math {math}", text)
    body = f'<section id="{page.slug}">{text}</section>'
    return XHTML.format(title=html.escape(page.title), kind="", body=body)
