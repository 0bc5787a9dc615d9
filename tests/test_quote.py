"""What the notebooks quote is what the core says."""

import json
from pathlib import Path

import pytest

from llm_core.course import quote
from llm_core.course.quote import Chapter, Module, Quote, show

CORE = {
    "llm_core/pairs.py": Module(
        '''"""Words in, pairs out."""

from collections import Counter

from regex import compile as compile_pattern

LIMIT = 3


def count_pairs(words: list[str]) -> Counter:
    """Count."""
    total = Counter(words)
    return most(total)


@compile_pattern
def most(total):
    return total[:LIMIT]


class Pairs:
    """Not quotable."""
'''
    )
}
COUNT_PAIRS = CORE["llm_core/pairs.py"].text_of("count_pairs")
IMPORT = "from collections import Counter\nfrom llm_core.pairs import most"


def notebook(*code: str, prose: str = "") -> str:
    def cell(name: str, kind: str, text: str) -> dict:
        extra = {"execution_count": None, "outputs": []} if kind == "code" else {}
        lines = text.splitlines(keepends=True)
        return {"cell_type": kind, "id": name, "metadata": {}, "source": lines} | extra

    cells = [cell(f"code-{i}", "code", text) for i, text in enumerate(code)]
    cells.insert(0, cell("prose", "markdown", prose))
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return quote.to_json(content)


@pytest.fixture
def chapter(tmp_path):
    def make(*cells: str, number: int = 2, prose: str = "**`most`**") -> Chapter:
        path = tmp_path / f"{number:02}_pairs.ipynb"
        path.write_text(notebook(*cells, prose=prose), encoding="utf-8")
        return Chapter(path)

    return make


def problems(*chapters: Chapter) -> list[str]:
    return [p for c in chapters for p in quote.check_chapter(c, chapters, CORE)]


def test_a_faithful_quote_is_no_problem(chapter):
    cell = f"# llm_core/pairs.py: count_pairs\n{COUNT_PAIRS}"
    assert problems(chapter(IMPORT, cell)) == []


def test_one_changed_character_is_drift_and_the_diff_shows_it(chapter):
    cell = f"# llm_core/pairs.py: count_pairs\n{COUNT_PAIRS}".replace("total)", "totl)")
    [problem] = problems(chapter(IMPORT, cell))
    assert problem.startswith("02_pairs.ipynb, cell 3: the quote has drifted")
    assert "-    return most(totl)" in problem
    assert "+    return most(total)" in problem


def test_a_decorator_belongs_to_the_definition():
    text = CORE["llm_core/pairs.py"].text_of("most")
    assert text.startswith("@compile_pattern\ndef most")


def test_write_refreshes_the_quote_and_leaves_the_rest_alone(chapter):
    made = chapter(IMPORT, "# llm_core/pairs.py: count_pairs", "x = 1")
    assert made.refresh(CORE)
    after = Chapter(made.path)
    assert after.cells[1].source == f"# llm_core/pairs.py: count_pairs\n{COUNT_PAIRS}"
    assert [after.cells[0].source, after.cells[2].source] == [IMPORT, "x = 1"]
    assert not after.refresh(CORE)


def test_write_keeps_the_line_that_lists_later_names(chapter):
    made = chapter("# llm_core/pairs.py: count_pairs\n# later: most (13)\ndef old(): 0")
    made.refresh(CORE)
    lines = Chapter(made.path).cells[0].source.splitlines()
    assert lines[1:3] == ["# later: most (13)", COUNT_PAIRS.splitlines()[0]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("# llm_core/pears.py: count_pairs", "no such module"),
        ("# llm_core/pairs.py: Pairs", "no function Pairs"),
        ("# llm_core/pairs.py: gone", "no function gone"),
    ],
)
def test_a_quote_of_what_is_not_there_is_named(chapter, header, message):
    made = chapter(header)
    made.refresh(CORE)
    assert any(message in problem for problem in problems(made))


def test_a_quote_says_which_of_its_names_come_later(chapter):
    cell = f"# llm_core/pairs.py: count_pairs\n{COUNT_PAIRS}"
    [problem] = problems(chapter("from collections import Counter", cell))
    assert "count_pairs uses most" in problem
    later = cell.replace("\n", "\n# later: most (13)\n", 1)
    assert problems(chapter("from collections import Counter", later)) == []


def test_a_name_listed_as_later_without_need_is_stale(chapter):
    lines = f"# llm_core/pairs.py: count_pairs\n# later: LIMIT (13)\n{COUNT_PAIRS}"
    [problem] = problems(chapter(IMPORT, lines))
    assert "does not use it" in problem


def test_a_later_chapter_must_keep_the_promise(chapter):
    lines = f"# llm_core/pairs.py: count_pairs\n# later: most (13)\n{COUNT_PAIRS}"
    first = chapter("from collections import Counter", lines, prose="")

    def later(prose):
        return chapter("x = 1", number=13, prose=prose)

    assert problems(first, later(""))
    assert not problems(first, later("Here is **`most`**."))


@pytest.mark.parametrize(
    "cell",
    [
        "def count_pairs(): 0",
        "class Pairs: 0",
        "LIMIT = 4",
        "def outer():\n    def most(): 0",
        "count_pairs = lambda: 0",
        " # llm_core/pairs.py: count_pairs\ndef count_pairs(): 0",
    ],
)
def test_an_unmarked_redefinition_is_an_error(chapter, cell):
    assert any("which the core has" in problem for problem in problems(chapter(cell)))


def test_a_learners_class_may_have_methods_of_any_name(chapter):
    assert problems(chapter("class Mine:\n    def most(self): 0")) == []


@pytest.mark.parametrize(
    "cell", ["def mine():\n    most = 1", "x = [most for most in range(3)]"]
)
def test_a_local_variable_may_have_any_name(chapter, cell):
    assert problems(chapter(cell)) == []


def test_a_loop_variable_of_a_module_is_not_a_name_it_offers():
    module = Module("for word in []:\n    pass\nWORDS = [each for each in []]")
    assert module.own_names == {"WORDS"}


def test_only_introduced_names_are_imported(chapter):
    cell = "from llm_core.pairs import most"
    [problem] = problems(chapter(cell, prose="Some call `most`, not yet."))
    assert "imports most" in problem
    assert problems(chapter(cell, prose="Meet **`most(total)`** here.")) == []


def test_an_earlier_chapter_may_introduce_and_a_later_one_may_not(chapter):
    user = chapter("from llm_core import Pairs")
    assert problems(user, chapter("x = 1", number=3, prose="**`Pairs`**"))
    assert not problems(user, chapter("x = 1", number=1, prose="**`Pairs`**"))


def test_the_course_itself_may_always_be_imported(chapter):
    cell = "from llm_core.course import check, plots\nfrom llm_core import course"
    assert problems(chapter(cell)) == []


def test_showing_a_method_introduces_its_class(chapter):
    assert "Pairs" in chapter("show(Pairs.merge)").introduces


def test_a_naive_version_ends_in_a_comparison(chapter):
    naive = "def naive_pairs(): return 1"
    [problem] = problems(chapter(naive))
    assert "never compared" in problem
    assert problems(chapter(naive, "assert naive_pairs() == 1")) == []
    assert problems(chapter(naive, "torch.allclose(naive_pairs(), x)")) == []


def test_a_cell_that_is_not_plain_python_is_named(chapter):
    [problem] = problems(chapter("%matplotlib inline", prose=""))
    assert "not plain Python" in problem


def test_every_public_name_is_introduced_or_waits(chapter):
    made = [chapter("x = 1", prose="**`here`**")]

    def found(public, waits_for):
        return list(quote.check_public_names(made, public, waits_for))

    assert found(["here", "__version__"], {}) == []
    assert found(["here", "absent"], {"absent": 9}) == []
    assert "no chapter introduces absent" in found(["here", "absent"], {})[0]
    assert "introduces it already" in found(["here"], {"here": 9})[0]
    assert "not public" in found(["here"], {"gone": 9})[0]
    assert "chapter 02 is there" in found(["here", "absent"], {"absent": 2})[0]


def test_a_cell_without_the_exact_mark_is_no_quote():
    assert Quote.read("") is None
    assert Quote.read("# see llm_core/pairs.py: most") is None
    assert Quote.read("#llm_core/pairs.py: most") is None


def test_show_renders_the_method_as_it_is_now():
    text = repr(show(Chapter.refresh))
    assert text.startswith("# llm_core/course/quote.py: Chapter.refresh\ndef refresh(")
    source = Path(quote.__file__).read_text(encoding="utf-8")
    assert all(line.strip() in source for line in text.splitlines()[1:])
    assert show(Chapter.number).text.startswith("@property\ndef number(")
    assert show(Chapter)._repr_markdown_().startswith("````python\n# llm_core/")


def test_the_command_checks_and_refreshes(tmp_path, capsys):
    path = tmp_path / "02_x.ipynb"
    cell = "# llm_core/course_gone.py: nothing"
    path.write_text(notebook(cell), encoding="utf-8")
    assert quote.main(["--check", str(tmp_path)]) == 1
    assert (
        "02_x.ipynb, cell 2: quotes llm_core/course_gone.py" in capsys.readouterr().err
    )
    assert quote.main(["--write", str(tmp_path)]) == 0


def test_the_books_notebooks_quote_truly():
    assert quote.check() == []


def test_notebooks_are_written_the_way_jupyter_writes_them():
    nbformat = pytest.importorskip("nbformat")
    text = notebook("x = 1\ny = 2", prose="Ünï")
    assert nbformat.writes(nbformat.reads(text, 4)) + "\n" == text
    assert json.loads(text)["cells"][1]["source"] == ["x = 1\n", "y = 2"]


QUOTED = [
    (chapter, cell)
    for chapter in quote.read_chapters()
    for cell in chapter.cells
    if cell.quote
]


@pytest.mark.parametrize(
    ("chapter", "cell"),
    QUOTED,
    ids=[f"{c.number:02}-{q.quote.name}" for c, q in QUOTED],
)
def test_one_changed_character_of_the_core_is_drift_in_the_book(chapter, cell):
    core, (path, name) = quote.core_modules(), (cell.quote.path, cell.quote.name)
    assert list(quote.drift(cell, core)) == []
    text = core[path].text_of(name)
    for at in (text.index("("), len(text) - 1):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        core[path] = Changed(core[path].source, changed)
        assert len(list(quote.drift(cell, core))) == 1


class Changed(Module):
    """A module of the core in which one definition reads otherwise."""

    def __init__(self, source, text):
        super().__init__(source)
        object.__setattr__(self, "text", text)

    def text_of(self, name):
        return self.text
