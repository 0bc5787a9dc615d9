"""What no reader should meet is found, and what is right passes."""

import pytest

GOOD = """<!doctype html><html><head>
<link rel="stylesheet" href="a.css"><script src="a.js"></script></head><body>
<h1 id="top">Title</h1><img src="a.png" alt="A falling curve">
<svg role="img" aria-label="Three bars"></svg>
<a href="#top">up</a> <a href="other.html#end">on</a> <a href="https://example.org">out</a>
</body></html>"""


@pytest.fixture
def faults(program, tmp_path):
    """faults(old, new) -> what the gates say when new stands for old in a good page."""
    (tmp_path / "other.html").write_text("<p id='end'>The end</p>", encoding="utf-8")

    def look(old="", new="", css=""):
        assert old in GOOD
        page = GOOD.replace(old, new) if old else GOOD
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        (tmp_path / "a.css").write_text(css, encoding="utf-8")
        return program("_ext/gates").faults(tmp_path)

    return look


def test_a_good_page_passes(faults):
    assert faults(css="p { background: url(data:image/png;base64,AA) }") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('src="a.js"', 'src="https://example.org/a.js"', "loads https://example.org"),
        ('src="a.js"', 'src="//example.org/a.js"', "loads //example.org/a.js"),
        ('href="a.css"', 'href="https://example.org/a.css"', "from another site"),
        ('src="a.png"', 'src="HTTP://example.org/a.png"', "from another site"),
        (' alt="A falling curve"', "", "needs an alt text of its own"),
        ("A falling curve", " ", "needs an alt text of its own"),
        ("A falling curve", "_images/0a1b.png", "needs an alt text of its own"),
        ("A falling curve", "0a1b.svg", "needs an alt text of its own"),
        (' aria-label="Three bars"', "", "<svg> needs an alt text"),
        ("other.html#end", "gone.html", "gone.html, which does not exist"),
        ("other.html#end", "other.html#middle", "#middle, which other.html lacks"),
        ("#top", "#bottom", "#bottom, which page.html lacks"),
    ],
)
def test_a_planted_fault_is_named(faults, old, new, said):
    (found,) = faults(old, new)
    assert found.startswith("page.html: ")
    assert said in found


def test_a_style_sheet_that_loads_from_elsewhere_is_named(faults):
    (found,) = faults(css='@font-face { src: url("https://example.org/f.woff2") }')
    assert found == "a.css: loads from another site"
