"""Makes pictures right on light and dark pages, and keeps them from moving the text.

A figure drawn in the course's style is an SVG whose colours have meanings. It is put
into the page itself, with its ids made unique, and its colours become those of the
page's theme. A PNG gets its width and height, so that the page does not jump when it
arrives.
"""

import html
import re
import struct
from pathlib import Path

from llm_core.course.palette import INK, inline_svg

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
            svg = Path(app.srcdir, path).read_text(encoding="utf-8")
            alt = re.search(r'alt="([^"]*)"', match[0])
            words = html.unescape(alt[1]) if alt else ""
            prefix = f"figure-{next(count)}-"
            return inline_svg(svg, words, prefix) if INK in svg else match[0]
        if path.endswith(".png") and " width=" not in match[0]:
            return with_size(match[0], Path(app.srcdir, path))
        return match[0]

    context["body"] = IMAGE.sub(mend, context["body"])


def with_size(tag, path):
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return tag.replace("<img", f'<img width="{width}" height="{height}"', 1)
