"""Every chapter keeps the form of the course: what is written, not what it computes.

That a chapter runs, alone and within its bands, is shown by building the book.
"""

import ast
import copy
import json
import re

import pytest

from llm_core.course import checks, plots
from llm_core.course.quote import Cell, read_chapters, to_json
from llm_core.course.results import find_expected, read_bands

CHAPTERS = read_chapters()
DRAWINGS = {
    name
    for name, function in vars(plots).items()
    if getattr(function, "__annotations__", {}).get("return") == "Drawing"
}
OPENING = (
    "**What you need.**",
    "**How long it takes.**",
    "**What you will be able to do",
)
CLOSING = ("## What you can now do", "**Further reading.**")
GLUED = re.compile(r"\{glue:text\}`(\w+)")
FOLDED = {"jupyter": {"source_hidden": True}}


def source(cell):
    return "".join(cell["source"])


def source_of(cell):
    return cell.source


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def prose(notebook):
    cells = notebook["cells"]
    return "\n\n".join(source(c) for c in cells if c["cell_type"] == "markdown")


def calls(cell, prefix=""):
    """The names that a cell calls, of those that begin so, without the beginning."""
    nodes = ast.walk(Cell(0, source(cell)).tree)
    names = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


# --- the rules: each takes a notebook and yields what is wrong ------------------------


def kept_outputs(notebook):
    for cell in code_cells(notebook):
        if cell["outputs"] or cell["execution_count"] is not None:
            yield f"{cell['id']}: has outputs; clear them before committing"
        if "execution" in cell["metadata"]:
            yield f"{cell['id']}: says when it was run; clear its outputs in JupyterLab"


def imports_only(cell):
    """Whether a cell is a list of names, which nobody has to follow."""
    body = cell.tree.body
    return all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)


def long_cells(notebook):
    for cell in code_cells(notebook):
        parsed = Cell(0, source(cell))
        limit = 45 if imports_only(parsed) else 30 if parsed.quote else 15
        if len(cell["source"]) > limit:
            yield f"{cell['id']}: {len(cell['source'])} lines, at most {limit}"


def late_imports(notebook):
    for cell in code_cells(notebook)[1:]:
        tree = Cell(0, source(cell)).tree
        if any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(tree)):
            yield f"{cell['id']}: imports belong into the first cell"


def form(notebook):
    text = prose(notebook)
    for needed in (*OPENING, *CLOSING):
        if needed not in text:
            yield f"there is no {needed}"
    if not any("report_results" in calls(cell) for cell in code_cells(notebook)):
        yield "its results are not set beside the expected ones"


def called(nodes):
    """The names that are called among nodes and below, functions' bodies left out."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).removeprefix("plots.")
        yield from called(ast.iter_child_nodes(node))


def drawings(notebook):
    """For each code cell, what it draws: itself, or by a function of the notebook."""
    drawn_by = {name: {name} for name in DRAWINGS}
    for cell in code_cells(notebook):
        body = Cell(0, source(cell)).tree.body
        for node in body:
            if isinstance(node, ast.FunctionDef):
                kinds = [drawn_by.get(name, set()) for name in called(node.body)]
                drawn_by[node.name] = set().union(*kinds)
        yield set().union(*(drawn_by.get(name, set()) for name in called(body)))


def pictures(notebook):
    seen = set()
    code = code_cells(notebook)
    # A cell with a caption shows one thing, so a map's table stands in the next.
    following = zip(code, [*code[1:], None], drawings(notebook), strict=True)
    for cell, after, drawn in following:
        figure = cell["metadata"].get("mystnb", {})
        alt = figure.get("image", {}).get("alt", "")
        if drawn and len(alt.split()) < 8:
            yield f"{cell['id']}: a picture needs alt text that says what it shows"
        if drawn and (alt in seen or alt == figure.get("figure", {}).get("caption")):
            yield f"{cell['id']}: the alt text is not this picture's own"
        if drawn and "figure" not in figure:
            yield f"{cell['id']}: a picture needs a caption and a label"
        twins = calls(after, "plots.") if after else []
        if "attention_map" in drawn and "attention_table" not in twins:
            yield f"{cell['id']}: an attention map needs its table"
        seen |= {alt} if drawn else set()


def glued_numbers(notebook):
    used = set(GLUED.findall(prose(notebook)))
    calls_ = [
        node
        for cell in code_cells(notebook)
        for node in ast.walk(Cell(0, source(cell)).tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "glue"
    ]
    given = [keyword.arg for call in calls_ for keyword in call.keywords]
    for name in sorted(used - set(given)):
        yield f"the prose pastes {name}, which no cell glues"
    for name in sorted(set(given) - used):
        yield f"{name} is glued, but the prose does not paste it"
    for name in sorted({name for name in given if given.count(name) > 1}):
        yield f"{name} is glued twice"


def solutions(notebook):
    for cell in code_cells(notebook):
        if "solution_" not in source(cell):
            continue
        if "hide-cell" not in cell["metadata"].get("tags", []):
            yield f"{cell['id']}: a solution is hidden in the page: tag hide-cell"
        if cell["metadata"].get("jupyter") != FOLDED["jupyter"]:
            yield f"{cell['id']}: a solution is folded in JupyterLab: source_hidden"


def leaning(notebook):
    """Names of answers and solutions that anything but their own exercise uses."""
    place = ""
    home = {}
    for cell in notebook["cells"]:
        text = source(cell)
        if heading := re.search(r"(?m)^#{2,3} (.*)", text):
            place = heading[1]
        if cell["cell_type"] == "markdown":
            continue
        names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
        names |= Cell(0, text).definitions
        for name in sorted(n for n in names if n.startswith(("my_", "solution_"))):
            if home.setdefault(name, place) != place:
                yield f"{cell['id']}: {name} belongs to {home[name]}, not to {place}"


def comments(notebook):
    """Markdown for MyST: a line that begins with % is not shown."""
    for line in prose(notebook).splitlines():
        if line.startswith("%"):
            yield f"{line!r} begins with % and would be hidden; break it elsewhere"


RULES = (
    comments,
    kept_outputs,
    long_cells,
    late_imports,
    form,
    pictures,
    glued_numbers,
    solutions,
    leaning,
)


@pytest.fixture(params=CHAPTERS, ids=lambda chapter: chapter.path.name)
def chapter(request):
    return request.param


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_chapter_keeps_the_rule(chapter, rule):
    assert list(rule(chapter.notebook)) == []


def test_the_file_is_as_jupyter_would_write_it(chapter):
    text = chapter.path.read_text(encoding="utf-8")
    assert to_json(json.loads(text)) == text
    ids = [cell["id"] for cell in chapter.notebook["cells"]]
    assert len(set(ids)) == len(ids)


def test_every_exercise_has_a_task_a_check_and_a_solution(chapter):
    number = f"{chapter.number:02}"
    exercises = checks.exercises(number)
    checked = re.findall(
        r'check\("([\d.]+)", (\w+)\)', "\n".join(map(source_of, chapter.cells))
    )
    for name, exercise in exercises.items():
        assert f"### {name} {exercise.title}" in chapter.prose
        first, second = (answer for n, answer in checked if n == name)
        assert first.startswith("my_")
        assert second.startswith("solution_")
    assert {n for n, _ in checked} == set(exercises)
    assert len(exercises) >= 3


def test_every_solution_passes_and_every_task_is_still_open(chapter):
    namespace = {}
    exec(chapter.cells[0].source, namespace)
    kept = [
        node for cell in chapter.cells for node in cell.tree.body if is_answer(node)
    ]
    exec(compile(ast.Module(kept, []), chapter.path.name, "exec"), namespace)
    code = "\n".join(map(source_of, chapter.cells))
    for number in checks.exercises(f"{chapter.number:02}"):
        mine, solution = re.findall(rf'check\("{number}", (\w+)\)', code)
        assert checks.verdict_on(number, namespace[solution]).status == "right"
        assert checks.verdict_on(number, namespace[mine]).status != "right"


def is_answer(node):
    """Whether a statement defines an answer, or what answers may use."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]).startswith(("my_", "solution_"))
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def test_results_are_exactly_those_that_have_a_band(chapter):
    number = f"{chapter.number:02}"
    bands, seconds = read_bands(find_expected(chapter.path.parent), number)
    call = next(
        node
        for cell in chapter.cells
        for node in ast.walk(cell.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "report_results"
    )
    assert ast.literal_eval(call.args[0]) == number
    assert {keyword.arg for keyword in call.keywords} == set(bands)
    assert 0 < seconds <= 120


# --- a rule that never fails is no rule: plant each fault -----------------------------


def cell(kind, name, text, **metadata):
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    lines = text.splitlines(keepends=True)
    return {
        "cell_type": kind,
        "id": name,
        "source": lines,
        "metadata": metadata,
    } | extra


ALT = {"alt": "A line that falls steeply at first and then ever more slowly."}
FIGURE = {"image": ALT, "figure": {"name": "fig-a", "caption": "A curve."}}
SOUND = {
    "cells": [
        cell("markdown", "open", "\n".join(OPENING)),
        cell("code", "first", "from llm_core.course import plots"),
        cell("code", "draw", "plots.curves(x)\nglue(loss=1)", mystnb=FIGURE),
        cell("markdown", "prose", "The loss is {glue:text}`loss:.2f`.\n\n### 1 A"),
        cell("code", "stub", "my_answer = None"),
        cell("code", "solve", "solution_answer = 1", tags=["hide-cell"], **FOLDED),
        cell("code", "report", "report_results('02')"),
        cell("markdown", "close", "\n".join(CLOSING)),
    ]
}


def faults(notebook):
    return [fault for rule in RULES for fault in rule(notebook)]


def test_a_sound_notebook_has_no_fault():
    assert faults(SOUND) == []


@pytest.mark.parametrize(
    ("place", "change", "fault"),
    [
        (2, {"outputs": [{}]}, "has outputs"),
        (2, {"execution_count": 3}, "has outputs"),
        (2, {"metadata": {"execution": {}}}, "when it was run"),
        (2, {"source": ["x = 1\n"] * 16}, "16 lines, at most 15"),
        (4, {"source": ["import os"]}, "imports belong"),
        (0, {"source": ["**What you need.**"]}, "no **How long it takes.**"),
        (7, {"source": []}, "no ## What you can now do"),
        (6, {"source": ["pass"]}, "not set beside"),
        (2, {"metadata": {}}, "needs alt text"),
        (2, {"metadata": {"mystnb": {"image": ALT}}}, "needs a caption"),
        (
            2,
            {"metadata": {"mystnb": FIGURE | {"figure": {"caption": ALT["alt"]}}}},
            "not this picture's own",
        ),
        (2, {"source": ["plots.attention_map(w, t)"]}, "needs its table"),
        (3, {"source": ["{glue:text}`loss` {glue:text}`gone:d`"]}, "no cell glues"),
        (3, {"source": ["It was {glue:text}`loss`\n", "%. So"]}, "would be hidden"),
        (3, {"source": ["A loss of 2.13.\n", "### 1 A"]}, "does not paste it"),
        (4, {"source": ["glue(loss=2)"]}, "glued twice"),
        (5, {"metadata": FOLDED}, "tag hide-cell"),
        (5, {"metadata": {"tags": ["hide-cell"]}}, "source_hidden"),
        (2, {"source": ["my_answer = 1"]}, "my_answer belongs to"),
    ],
)
def test_a_planted_fault_is_found(place, change, fault):
    notebook = copy.deepcopy(SOUND)
    notebook["cells"][place] |= change
    assert any(fault in found for found in faults(notebook))


def test_a_picture_counts_where_it_is_shown_not_where_it_could_be():
    notebook = copy.deepcopy(SOUND)
    frames = "def at(x):\n    return curve(x)\nFrames(at, x=[1, 2])"
    helper = cell("code", "helper", "def curve(x):\n    return plots.curves(x)")
    notebook["cells"][3:3] = [helper, cell("code", "frames", frames)]
    assert faults(notebook) == []
    notebook["cells"][3:3] = [cell("code", "before", "curve(3)")]
    assert "before: a picture needs a caption and a label" not in faults(notebook)
    notebook["cells"][5:5] = [cell("code", "after", "curve(3)")]
    assert "after: a picture needs a caption and a label" in faults(notebook)


def test_two_pictures_may_not_share_an_alt_text():
    notebook = copy.deepcopy(SOUND)
    twin = cell("code", "twin", "plots.curves(y)", mystnb=FIGURE)
    notebook["cells"].insert(3, twin)
    assert faults(notebook) == ["twin: the alt text is not this picture's own"]
