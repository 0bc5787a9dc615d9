"""Each of the book's extensions does what its first line says."""

import base64
import doctest
import io
import struct
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest
from fontTools.ttLib import TTFont

from llm_core.course.palette import COLORS, INK
from llm_core.course.widgets.playground import shared_scripts

FORMULAS = [
    r"\frac{e^{z_i / T}}{\sum_j e^{z_j / T}}",
    r"\operatorname{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}",
    r"f(x) = \begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}",
    r"\hat{p} = \underbrace{a + b}_{n}, \quad \theta \in \mathbb{R}^{T \times d}",
    r"\mathcal{L} = -\frac{1}{N} \sum_{t=1}^{N} \ln p_\theta(x_t \mid x_{<t})",
    r"a &= b \\ &= c",
    r"\begin{align} a &= b \\ &= \boldsymbol{c} \end{align}",
]


@pytest.fixture(scope="module")
def math(program):
    return program("_ext/static_math")


@pytest.fixture(scope="module")
def light(program):
    return program("_ext/light_pages")


@pytest.fixture(scope="module")
def pictures(program):
    return program("_ext/pictures")


@pytest.mark.parametrize("tex", FORMULAS)
def test_a_formula_becomes_valid_mathml(math, tex):
    mathml = math.to_mathml(math.one_block(tex), node=None, display=True)
    root = ET.fromstring(mathml)
    assert root.tag == "math"
    assert root.get("display") == "block"
    for element in root.iter():
        if element.tag not in ("math", "mstyle", "mtable"):
            assert not {"displaystyle", "scriptlevel"} & set(element.keys())


def test_a_formula_that_cannot_be_read_is_a_warning(math, monkeypatch):
    warnings = []
    logger = SimpleNamespace(warning=lambda *a, **k: warnings.append(a))
    monkeypatch.setattr(math, "logger", logger)
    assert math.to_mathml(r"\frac{1}", node=None, display=False).startswith("<code>")
    assert len(warnings) == 1


def test_no_line_begins_with_the_punctuation_behind_a_formula(math):
    one, two = (
        f'<span class="math notranslate">{math.to_mathml(tex, None, False)}</span>'
        for tex in ("a^2", r"\sqrt{d}")
    )
    context = {"body": f"<p>Both ({one} and {two}) hold: {one} = 4, {two}, {one}</p>"}
    math.hold_punctuation(None, "page", "page.html", context, None)
    kept = '<span class="whole-formula">'
    assert context["body"] == (
        f"<p>Both ({one} and {kept}{two})</span> hold: {one} = 4, {kept}{two},</span> "
        f"{one}</p>"
    )


def test_the_examples_in_the_extensions_are_right(math):
    assert doctest.testmod(math).failed == 0


def test_unused_rules_leave_the_style_sheet_and_used_ones_stay(light):
    css = """
    p, .used { color: red } .used.unused { color: red } #gone { color: red }
    .used:not(.unused)::after { content: "," } a[href$=".unused"] { color: red }
    @media (max-width: 30rem) { .used { color: red } .unused { color: red } }
    @media print { .unused { color: red } }
    @keyframes turn { to { rotate: 1turn } }
    """
    kept = light.purge(css, {"used"})
    for part in ("p,.used{", ".used:not(.unused)::after{", "a[href", "@keyframes"):
        assert part in kept
    assert ".used.unused" not in kept
    assert "#gone" not in kept
    assert "print" not in kept
    assert kept.count(".unused") == 2  # in :not() and in [href]


def test_a_class_that_a_script_sets_is_used_and_a_word_of_the_weights_is_not(
    light, tmp_path
):
    scripts = {
        "model_calculator.js": 'node.classList.toggle("llm-void", !valid);',
        "model_stories.js": light.WEIGHTS + '"model_stories"] = "weights";',
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = light.words_of(tmp_path, ['<p class="note">'])
    assert {"llm-void", "note"} <= words
    assert "weights" not in words


def test_the_scripts_of_weights_begin_as_the_style_sheet_expects(light):
    scripts = shared_scripts()
    assert scripts
    assert all(text.startswith(light.WEIGHTS) for text in scripts.values())


def test_the_math_font_has_every_letter_of_a_formula(light, math, program):
    pages = [math.to_mathml(math.one_block(tex), None, True) for tex in FORMULAS]
    points = light.math_in(pages)
    font = program("build").ROOT / "book" / "_static" / light.MATH_FONT
    data = base64.b64decode(light.subset_font(font, points))
    shown = set(TTFont(io.BytesIO(data))["cmap"].getBestCmap())
    assert {0x1D467, 0x1D43E, 0x1D703, 0x221A, 0x2211} <= shown  # z K theta root sum
    assert len(data) < 60_000
    invisible = {0x2061, 0x2062, 0x2063, 0x20, 0xA0, 0xFE00}
    nowhere = {0x1D455}  # the italic h, which stands at U+210E
    assert points - invisible - nowhere <= shown


def test_a_drawing_takes_the_colours_of_its_page(pictures, tmp_path):
    query = COLORS["query"][0]
    drawing = (
        '<?xml version="1.0"?><svg width="72pt" height="36pt" viewBox="0 0 72 36">'
        f'<metadata>x</metadata><path id="a" style="fill: {INK}"/>'
        f'<use href="#a" style="stroke: {query}"/></svg>'
    )
    (tmp_path / "drawing.svg").write_text(drawing, encoding="utf-8")
    tag = '<img alt="A bar" src="../_images/drawing.svg"/>'
    context = {"body": f"<p>{tag}</p><p>{tag}</p>"}
    images = SimpleNamespace(images={"drawing.svg": "drawing.svg"})
    app = SimpleNamespace(builder=images, srcdir=tmp_path)
    pictures.mend_pictures(app, "page", "page.html", context, None)
    body = context["body"]
    assert body.count('<svg role="img" aria-label="A bar" class="figure"') == 2
    assert 'width="96" height="48"' in body
    assert "fill: currentColor" in body
    assert "stroke: var(--llm-query)" in body
    assert 'id="figure-1-a"' in body
    assert 'href="#figure-2-a"' in body
    assert "metadata" not in body


def test_a_png_says_its_size(pictures, tmp_path):
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480)
    (tmp_path / "p.png").write_bytes(header)
    context = {"body": '<img alt="A" src="../_images/p.png"/>'}
    images = SimpleNamespace(images={"p.png": "p.png"})
    app = SimpleNamespace(builder=images, srcdir=tmp_path)
    pictures.mend_pictures(app, "page", "page.html", context, None)
    assert '<img width="640" height="480" alt="A"' in context["body"]
