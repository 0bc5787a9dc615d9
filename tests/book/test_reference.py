"""The reference has every module and every command, in words that can be read."""

import doctest
import inspect
import re
from importlib import import_module

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document

import llm_core
from llm_core.cli.options import build_parser
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
