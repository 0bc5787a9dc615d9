"""The reference has every module and every command, in words that can be read."""

import doctest
import inspect
import re
from importlib import import_module
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document

import llm_core
from llm_core.cli.options import build_parser
from llm_core.course.files import NOTEBOOKS
from llm_core.course.quote import PACKAGE

NOT_FOR_READERS = {"__init__", "__main__"}


@pytest.fixture(scope="module")
def reference(program):
    return program("_ext/reference")


@pytest.fixture(scope="module")
def pages(program):
    root = program("build").ROOT
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    folder = root / "book" / "reference"
    for path in folder.iterdir():
        assert f"book/reference/{path.stem}\n" in toc, "not in the table of contents"
    return {p.stem: p.read_text(encoding="utf-8") for p in folder.iterdir()}


def test_every_module_of_the_core_has_its_page_and_its_line(pages):
    modules = {path.stem for path in PACKAGE.glob("*.py")} - NOT_FOR_READERS
    text = "\n".join(pages.values())
    described = re.findall(r"automodule:: llm_core\.(\w+)$", text, re.MULTILINE)
    assert sorted(described) == sorted(modules)
    assert set(re.findall(r"{py:mod}`llm_core\.(\w+)`", pages["index"])) == modules


def test_constants_that_are_told_of_exist(pages):
    pattern = r"py:data:: (\w+)\n   :module: ([\w.]+)$"
    told = re.findall(pattern, "\n".join(pages.values()), re.MULTILINE)
    assert "PRESETS" in dict(told)
    for name, module in told:
        assert hasattr(import_module(module), name)


def test_the_examples_in_the_extension_are_right(reference):
    assert doctest.testmod(reference).failed == 0


def test_every_option_of_every_command_is_told_with_its_meaning(reference):
    listed = re.findall(r"^    (\w+)  ", build_parser().format_help(), re.MULTILINE)
    assert sorted(reference.commands()) == sorted(listed)
    for name, parser in reference.commands().items():
        text = reference.describe(name, parser)
        assert f"## llm-core {name}" in text
        assert "%(" not in text
        assert "--" not in re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        for action in parser._actions:
            if action.option_strings and action.dest != "help":
                assert f"`{', '.join(action.option_strings)}" in text
    train = reference.describe("train", reference.commands()["train"])
    assert "`--steps N`\n: steps to make (default: 900)" in train


def parse(lines):
    """A docstring as Sphinx would read it, with its links as plain code."""
    document = new_document("a docstring", get_default_settings(Parser))
    Parser().parse(re.sub(r":py:obj:", "", "\n".join(lines)), document)
    return document


@pytest.mark.parametrize("name", sorted(llm_core._HOME))
def test_a_docstring_has_no_mark_that_is_read_as_another(reference, name):
    thing = getattr(llm_core, name)
    if not (isinstance(thing, type) or callable(thing)):
        return
    lines = (inspect.getdoc(thing) or "").splitlines()
    reference.rewrite(None, "", f"{thing.__module__}.{name}", thing, None, lines)
    problems = list(parse(lines).findall(nodes.system_message))
    assert not problems, problems[0].astext()


def paragraph(*names):
    return nodes.paragraph("", "", *(nodes.literal("", name) for name in names))


def test_a_chapter_links_what_it_introduces_once_and_again_at_its_end(reference):
    full = {"llm_core.attention.causal_mask": "function"}
    full |= {"llm_core.data.encode_corpus": "function"}  # of a later chapter
    objects = {
        name: SimpleNamespace(objtype=kind, docname="book/reference/attention")
        for name, kind in full.items()
    }
    env = SimpleNamespace(
        get_domain=lambda name: SimpleNamespace(objects=objects),
        doc2path=lambda page: str(NOTEBOOKS / "04_attention.ipynb"),
    )
    builder = SimpleNamespace(get_relative_uri=lambda here, there: f"{there}.html")
    app = SimpleNamespace(env=env, builder=builder)
    first, second = paragraph("causal_mask(2, 3)", "encode_corpus"), paragraph("other")
    third = paragraph("causal_mask")
    chapter = nodes.section("", first, second, nodes.section("", third))
    document = new_document("a chapter")
    document += chapter

    reference.link_chapter(app, document, "notebooks/04_attention")
    links = list(document.findall(nodes.reference))
    assert [link.astext() for link in links] == ["causal_mask(2, 3)", "causal_mask"]
    assert links[0].parent is first
    assert links[1].parent.parent is chapter[-1]
    target = "book/reference/attention.html#llm_core.attention.causal_mask"
    assert {link["refuri"] for link in links} == {target}


def test_a_page_that_is_no_chapter_is_left_as_it_is(reference):
    document = new_document("a page")
    document += paragraph("causal_mask")
    reference.link_chapter(None, document, "book/trouble")
    assert not list(document.findall(nodes.reference))
