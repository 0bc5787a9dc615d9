"""Mends what axe finds in the theme's and docutils' HTML, in the fewest places.

Each entry of REPAIRS is a piece of HTML as it is written, what replaces it, and why.
"""

REPAIRS = (
    # a list role whose children are no list items
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
    # a role that ARIA has withdrawn
    (' role="doc-biblioentry"', ""),
)


def setup(app):
    app.connect("html-page-context", mend_body, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mend_body(app, pagename, templatename, context, doctree):
    if "body" in context:
        for written, mended in REPAIRS:
            context["body"] = context["body"].replace(written, mended)
