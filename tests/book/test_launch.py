"""The buttons above a chapter lead somewhere, or are not there."""

import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement

ON_CI = {
    "GITHUB_REPOSITORY": "someone/llm",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
}


@pytest.fixture(scope="module")
def launch(program):
    return program("_ext/launch")


def buttons(launch, environment, page):
    """What the extension puts above a page, beside the theme's own button."""
    branch = launch.publishing_branch(environment)
    app = SimpleNamespace(config=SimpleNamespace(publishing_branch=branch))
    context = {"header_buttons": ["the theme's own"]}
    launch.add_buttons(app, page, "page.html", context, None)
    *ours, theirs = context["header_buttons"]
    assert theirs == "the theme's own"
    return {link["text"]: link["url"] for group in ours for link in group["buttons"]}


def test_on_ci_a_chapter_leads_to_the_repository_that_publishes_it(launch):
    assert buttons(launch, ON_CI, "notebooks/04_attention") == {
        "Binder": "https://mybinder.org/v2/gh/someone/llm/main"
        "?urlpath=lab/tree/notebooks/04_attention.ipynb",
        "Colab": "https://colab.research.google.com/github/someone/llm/blob/colab/"
        "04_attention.ipynb",
        "Codespaces": "https://codespaces.new/someone/llm/tree/main?quickstart=1",
    }


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"GITHUB_REPOSITORY": "someone/llm"},
        {**ON_CI, "GITHUB_REF": "refs/pull/5/merge", "GITHUB_REF_NAME": "5/merge"},
        {**ON_CI, "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1"},
    ],
    ids=["at home", "no branch", "a pull request", "a tag"],
)
def test_elsewhere_there_is_no_button(launch, environment):
    assert buttons(launch, environment, "notebooks/04_attention") == {}


def test_a_page_that_is_no_chapter_has_none(launch):
    assert buttons(launch, ON_CI, "book/intro") == {}


# ---------------------------------------------------------------- the copies for Colab


@pytest.fixture(scope="module")
def copies(launch, program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies") / "colab"
    launch.write_copies(program("build").ROOT, folder, "someone/llm", "abc123")
    return folder


def test_a_copy_is_the_notebook_behind_one_more_cell(copies, program):
    originals = sorted((program("build").ROOT / "notebooks").glob("*.ipynb"))
    assert [p.name for p in sorted(copies.iterdir())] == [p.name for p in originals]
    for path in originals:
        original = json.loads(path.read_text(encoding="utf-8"))
        copy = json.loads((copies / path.name).read_text(encoding="utf-8"))
        first, *rest = copy.pop("cells")
        assert rest == original.pop("cells")
        assert copy == original
        assert first["source"][0].startswith("# @title ")


def run_first_cell(copies, monkeypatch, *, in_colab, has_package):
    """Run the cell as Colab would; what it asks pip for."""
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda line, check: asked.append(line))
    spec = ModuleSpec("llm_core", None) if has_package else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    text = (copies / "04_attention.ipynb").read_text(encoding="utf-8")
    exec("".join(json.loads(text)["cells"][0]["source"]), {})
    return asked


def test_in_colab_the_cell_installs_the_package_of_that_commit(copies, monkeypatch):
    [line] = run_first_cell(copies, monkeypatch, in_colab=True, has_package=False)
    assert line[:5] == [sys.executable, "-m", "pip", "install", "--quiet"]
    widgets, package = map(Requirement, line[5:])
    assert widgets.name == "anywidget"
    assert package.name == "my-own-llm"
    assert package.url == "git+https://github.com/someone/llm@abc123"


@pytest.mark.parametrize(
    ("in_colab", "has_package"), [(False, False), (False, True), (True, True)]
)
def test_elsewhere_and_a_second_time_it_does_nothing(
    copies, monkeypatch, in_colab, has_package
):
    state = {"in_colab": in_colab, "has_package": has_package}
    assert run_first_cell(copies, monkeypatch, **state) == []
