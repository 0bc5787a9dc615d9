"""Makes pictures right on light and dark pages, and keeps them from moving the text.

A figure drawn in the course's style is an SVG whose colours have meanings. It is put
into the page itself, with its ids made unique, and its colours become those of the
page's theme. A PNG gets its width and height, so that the page does not jump when it
arrives.
"""

import re
import struct
from pathlib import Path

from llm_core.course.palette import INK, follow_theme

IMAGE = re.compile(r'<img\b[^>]*\bsrc="[^"]*_images/([^"/]+)"[^>]*>')


def setup(app):
    app.connect("html-page-context", mend_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mend_pictures(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    source = {name: path for path, name in app.builder.images.items()}
    count = iter(range(1, 10_000))

    def mend(match):
        path = source.get(match[1])
        if path is None:
            return match[0]
        if path.endswith(".svg"):
            return inline_svg(
                match[0], Path(app.srcdir, path), f"figure-{next(count)}-"
            )
        if path.endswith(".png") and " width=" not in match[0]:
            return with_size(match[0], Path(app.srcdir, path))
        return match[0]

    context["body"] = IMAGE.sub(mend, context["body"])


def with_size(tag, path):
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return tag.replace("<img", f'<img width="{width}" height="{height}"', 1)


def inline_svg(tag, path, prefix):
    """Return the drawing itself in place of the <img> that shows it."""
    svg = path.read_text(encoding="utf-8")
    if INK not in svg:
        return tag
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}", svg)
    svg = re.sub(r' (width|height)="([\d.]+)pt"', points_to_pixels, svg, count=2)
    alt = re.search(r'alt="([^"]*)"', tag)
    label = f'role="img" aria-label="{alt[1] if alt else ""}"'
    return follow_theme(svg).replace("<svg", f'<svg {label} class="figure"', 1)


def points_to_pixels(match):
    return f' {match[1]}="{float(match[2]) * 4 / 3:.0f}"'
