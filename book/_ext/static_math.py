"""TeX in, MathML out, when the book is built: a page needs no script for its formulas.

math-core writes the MathML; this file calls it from Sphinx, numbers the equations, and
turns a formula it cannot read into a warning, which fails the build.
"""

import html
import re
import xml.etree.ElementTree as ET

from docutils import nodes
from math_core import LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
converter = LatexToMathML(annotation=False)

PUNCTUATED = re.compile(
    r'\(?<span class="math notranslate"><math>(?:(?!</math>).)*</math></span>'
    "[.,:;?!)]+",
    re.DOTALL,
)

# Sphinx numbers a block as a whole, so an environment that numbers its rows becomes
# the one that does not.
UNNUMBERED = {"align": "aligned", "gather": "gathered", "multline": "gathered"}


def setup(app):
    app.add_html_math_renderer(
        "static", inline_renderers=(inline, None), block_renderers=(block, None)
    )
    app.connect("html-page-context", hold_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline(self, node):
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    self.body.append(to_mathml(node.astext(), node, display=False) + "</span>")
    raise nodes.SkipNode


def block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    mathml = to_mathml(one_block(node.astext()), node, display=True)
    self.body.append(f'<div class="scroll-box">{mathml}</div></div>\n')
    raise nodes.SkipNode


def hold_punctuation(app, pagename, templatename, context, doctree):
    """Let no line begin with what stands behind a formula."""
    if "body" in context:
        whole = r'<span class="whole-formula">\g<0></span>'
        context["body"] = PUNCTUATED.sub(whole, context["body"])


def one_block(tex):
    r"""Return TeX without numbered environments, and with its line breaks aligned.

    >>> one_block(r"a &= b \\ &= c")
    '\\begin{aligned}a &= b \\\\ &= c\\end{aligned}'
    """
    tex = re.sub(r"\\(begin|end)\{equation\*?\}", "", tex.strip())
    for numbered, plain in UNNUMBERED.items():
        tex = re.sub(rf"\\(begin|end)\{{{numbered}\*?\}}", rf"\\\1{{{plain}}}", tex)
    outside = re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "", tex, flags=re.S)
    return rf"\begin{{aligned}}{tex}\end{{aligned}}" if r"\\" in outside else tex


def to_mathml(tex, node, display):
    try:
        mathml = converter.convert_with_local_state(tex, displaystyle=display)
    except Exception as error:
        logger.warning("math: %s in %r", error, tex, location=node, type="math")
        return f"<code>{html.escape(tex)}</code>"
    return valid_html(mathml)


def valid_html(mathml):
    """Move displaystyle and scriptlevel to <mstyle>, where HTML wants them."""
    entities = r"&(?!(?:lt|gt|amp|quot|apos);|#)\w+;"
    root = ET.fromstring(re.sub(entities, lambda m: html.unescape(m[0]), mathml))
    for parent in list(root.iter()):
        for i, child in enumerate(list(parent)):
            if child.tag in ("math", "mstyle"):
                continue
            moved = {k: v for k, v in child.items() if k in STYLE_ATTRIBUTES}
            if child.tag == "mtable":
                moved.pop("displaystyle", None)
            if moved:
                parent[i] = in_mstyle(child, moved)
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


STYLE_ATTRIBUTES = ("displaystyle", "scriptlevel")


def in_mstyle(element, attributes):
    for name in attributes:
        del element.attrib[name]
    wrapper = ET.Element("mstyle", attributes)
    wrapper.append(element)
    wrapper.tail, element.tail = element.tail, None
    return wrapper
