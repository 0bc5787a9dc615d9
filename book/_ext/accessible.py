"""Mends HTML that is not this course's own: what axe and vnu find, and one name.

Each entry of REPAIRS is a pattern of HTML as it is written, what replaces it, and why.
"""

import re

REPAIRS = (
    # a list role whose children are no list items
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    # a role that ARIA has withdrawn
    (r' role="doc-biblioentry"', ""),
    # a name that is not the one to be read; and a summary may not hold paragraphs
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    (r'<p (class="(?:collapsed|expanded) [^>]*>)(.*?)</p>', r"<span \1\2</span>"),
    # the name of a solution, where only what a cell prints is folded away
    (
        r'(<details class="[^"]*below-input">\s*<summary>\s*<span[^>]*>Show the )'
        r"solution"
        r"(</span>\s*<span[^>]*>Hide the )solution",
        r"\1output\2output",
    ),
)


def setup(app):
    app.connect("html-page-context", mend_body, priority=800)
    app.connect("html-page-context", mend_sidebar, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mend_body(app, pagename, templatename, context, doctree):
    if "body" in context:
        for written, mended in REPAIRS:
            context["body"] = re.sub(written, mended, context["body"])


def mend_sidebar(app, pagename, templatename, context, doctree):
    """Give the arrow beside an entry with pages below it a name of its own."""
    draw = context.get("generate_toctree_html")

    def draw_and_name(*arguments, **more):
        drawn = str(draw(*arguments, **more))
        return drawn.replace("<summary>", '<summary aria-label="Its pages">')

    if draw:
        context["generate_toctree_html"] = draw_and_name
