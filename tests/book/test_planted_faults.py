"""A small book of the real configuration: sound, it builds; with a fault, never."""

import shutil
import subprocess

import nbformat
import pytest

from llm_core.course.quote import core_modules

PAGE = """---
file_format: mystnb
kernelspec: {name: python3}
---

# A page

A {term}`token`, and {cite:t}`shannon1951`, and $x^2$, see {eq}`square` and
[the glossary](glossary.md).

$$ y = x^2 $$ (square)

```{code-cell} ipython3
from IPython.display import HTML
HTML("<p>made by a cell</p>")
```
"""
FAULTS = {
    "a cell raises": ("made by a cell", '" + 1 / 0 + "', "ZeroDivisionError"),
    "an equation is not there": ("{eq}`square`", "{eq}`cube`", "cube"),
    "a term has no entry": ("{term}`token`", "{term}`tokem`", "tokem"),
    "a source is not listed": ("shannon1951", "shannon1591", "shannon1591"),
    "a page is not there": ("(glossary.md)", "(glosary.md)", "glosary.md"),
    "a formula cannot be read": ("$x^2$", r"$\frac{x}$", "math:"),
    "a picture has no words": ("made by", "<img src='data:,'>", "alt text of its own"),
    "a script comes from elsewhere": (
        "made by",
        "<script src='https://example.org/a.js'></script>",
        "loads https://example.org/a.js from another site",
    ),
    "a link leads nowhere": ("made by", "<a href='gone.html'>", "does not exist"),
    "a figure has no words": (
        'HTML("<p>made by a cell</p>")',
        "from llm_core.course import plots\nplots.axes()",
        "alt text of its own",
    ),
}
# A chapter whose one quote differs from the core by one character.
DRIFTED = "90_drifted.ipynb"


def drifted():
    text = core_modules()["llm_core/tokenizer.py"].text_of("count_pairs")
    quote = "# llm_core/tokenizer.py: count_pairs\n" + text.replace(" += ", " -= ", 1)
    cell = nbformat.v4.new_code_cell("from collections import Counter", id="first")
    cells = [nbformat.v4.new_markdown_cell("# A page that drifted", id="title"), cell]
    cells += [nbformat.v4.new_code_cell(quote, id="quote")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="module")
def builds(program, tmp_path_factory):
    """Exit status and output of a sound build, and of one with every fault in it."""
    build = program("build")
    running = {}
    for name in ("sound", "faulty"):
        folder = tmp_path_factory.mktemp(name)
        copy_book(build.ROOT, folder)
        (folder / "book" / "intro.md").write_text(PAGE, encoding="utf-8")
        if name == "faulty":
            (folder / "notebooks").mkdir()
            nbformat.write(drifted(), folder / "notebooks" / DRIFTED)
            with (folder / "_toc.yml").open("a", encoding="utf-8") as toc:
                toc.write(f"  - file: notebooks/{DRIFTED}\n")
            for number, (old, new, _) in enumerate(FAULTS.values()):
                page = PAGE.replace("# A page", f"# Page {number}").replace(old, new)
                page = page.replace(" (square)", f" (square-{number})", 1)
                page = page.replace("{eq}`square`", f"{{eq}}`square-{number}`")
                path = folder / "book" / f"page{number}.md"
                path.write_text(page, encoding="utf-8")
                with (folder / "_toc.yml").open("a", encoding="utf-8") as toc:
                    toc.write(f"  - file: book/page{number}\n")
        running[name] = subprocess.Popen(
            build.BOOK,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
    return {
        name: (process.communicate(timeout=300)[0], process.returncode)
        for name, process in running.items()
    }


def copy_book(root, folder):
    shutil.copy(root / "_config.yml", folder)
    for name in ("_ext", "_static", "_templates"):
        shutil.copytree(root / "book" / name, folder / "book" / name)
    for name in ("references.bib", "references.md", "glossary.md"):
        shutil.copy(root / "book" / name, folder / "book")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n"
        "  - file: book/glossary\n  - file: book/references\n",
        encoding="utf-8",
    )


@pytest.mark.slow
def test_a_sound_book_builds_without_a_warning(builds):
    output, status = builds["sound"]
    assert status == 0, output
    assert "WARNING:" not in output
    assert "all chapters" in output  # the table of times


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_stops_the_build_and_is_named(builds, fault):
    output, status = builds["faulty"]
    assert status != 0
    assert FAULTS[fault][2] in output, output


@pytest.mark.slow
def test_a_quote_that_drifted_by_one_character_stops_the_build(builds):
    output, status = builds["faulty"]
    assert status != 0
    assert f"{DRIFTED}, cell 3: the quote has drifted" in output, output
