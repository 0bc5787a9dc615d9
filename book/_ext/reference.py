"""Pages on the package from its docstrings, on the commands from their help; and links.

Docstrings are read by autodoc, which wants reStructuredText; what ours have in common
with Markdown is put into its words here. A chapter leads to these pages where its text
first mentions a name that it introduces (see llm_core/course/quote.py), and at its end.
"""

import argparse
import inspect
import re
import textwrap
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import make_refnode, nested_parse_with_titles

import llm_core
from llm_core.cli.options import build_parser
from llm_core.course.quote import Chapter

CODE = re.compile(r"`([^`]+)`")
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
OPTION = re.compile(r"(?<![\w`-])--[a-z][\w-]*")


def setup(app):
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("doctree-resolved", link_chapter)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- docstrings -----------------------------------------------------------------------


def skip_fields(app, what, name, obj, skip, options):
    """Leave out what Python says of a named tuple's fields: the signature has them."""
    return True if inspect.isdatadescriptor(obj) and is_alias(obj) else None


def is_alias(field):
    """Tell whether a field's docstring is the one that Python wrote."""
    return (inspect.getdoc(field) or "").startswith("Alias for field number")


def rewrite(app, what, name, obj, options, lines):
    """Put a docstring into reStructuredText, in place."""
    module = ".".join(name.split(".")[:2])
    lines[:] = blocks([spans(line, module) for line in lines])


def spans(line, module):
    """Turn code in single backticks into code, or into a link where it has a page.

    >>> spans("as `x + 1`, see `GPTModel`", "llm_core.data")
    'as ``x + 1``, see :py:obj:`GPTModel <llm_core.model.GPTModel>`'
    """
    if line.lstrip().startswith(">>>"):
        return line

    def span(match):
        text = match[1]
        if not NAME.fullmatch(text):
            return f"``{text}``"
        home = llm_core._HOME.get(text.partition(".")[0])
        place = f"llm_core.{home}" if home else module
        return f":py:obj:`{text} <{place}.{text}>`"

    return CODE.sub(span, line)


def blocks(lines):
    """Mark what is indented after a colon as code: `:` becomes `::`.

    >>> blocks(["Call it:", "", "    f(x)", "", "Then: done."])
    ['Call it::', '', '    f(x)', '', 'Then: done.']
    """
    marked = list(lines)
    for i in range(len(lines) - 2):
        first, empty, second = lines[i : i + 3]
        width = len(first) - len(first.lstrip())
        deeper = second[: width + 4].isspace() and len(second) > width + 4
        if first and not empty and deeper:
            marked[i] = first.removesuffix(":") + "::"
    return marked


# --- from a chapter -------------------------------------------------------------------


def link_chapter(app, doctree, page):
    """Link the first mention of each name that a chapter introduces, and list all."""
    if not page.startswith("notebooks/"):
        return
    places = documented(app.env.get_domain("py"))
    introduced = Chapter(Path(app.env.doc2path(page))).introduces & places.keys()

    def link(name, child):
        target, target_page = places[name]
        return make_refnode(app.builder, page, target_page, target, child, target)

    waiting = set(introduced)
    for literal in list(doctree.findall(nodes.literal)):
        name = re.match(r"\w*", literal.astext())[0]
        if name in waiting and not in_a_link_or_title(literal):
            waiting.remove(name)
            literal.parent.replace(literal, link(name, literal.deepcopy()))
    if introduced:
        *_, last = doctree.findall(nodes.section)
        last += more_to_read(sorted(introduced, key=places.get), link)


def in_a_link_or_title(node):
    above = []
    while node := node.parent:
        above.append(node)
    return any(isinstance(a, nodes.reference | nodes.title) for a in above)


def documented(domain):
    """Return what has a place in the reference: name -> (its full name, its page).

    A name that two modules define is left out, unless the package itself offers one.
    """
    found = {}
    for full, entry in domain.objects.items():
        module, _, name = full.rpartition(".")
        home = llm_core._HOME.get(name)
        if entry.objtype in ("function", "class", "exception", "data"):
            if name in found and module != f"llm_core.{home}":
                found[name] = found[name] if home else None
            else:
                found[name] = (full, entry.docname)
    return {name: place for name, place in found.items() if place}


def more_to_read(names, link):
    """Return a line that leads to each name."""
    title = nodes.strong("", "In the reference.")
    line = nodes.paragraph("", "", title)
    for i, name in enumerate(names):
        line += nodes.Text(", " if i else " ")
        line += link(name, nodes.literal("", name))
    line += nodes.Text(".")
    return line


# --- the command line -----------------------------------------------------------------


class CommandLine(Directive):
    """A section for each command of llm-core, from its own help."""

    def run(self):
        text = "\n\n".join(describe(*pair) for pair in commands().items())
        section = nodes.section()
        section.document = self.state.document
        source = inspect.getsourcefile(build_parser)
        nested_parse_with_titles(
            self.state, StringList(text.splitlines(), source), section
        )
        return section.children


def commands():
    """Return the parser of each command, by name."""
    [action] = build_parser()._subparsers._group_actions
    return action.choices


def describe(name, parser):
    """Return a command's help as Markdown."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines = [f"## llm-core {name}", in_code(parser.description)]
    lines.append(f"```text\n{textwrap.fill(usage, 80, subsequent_indent='  ')}\n```")
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.dest != "help"]
        if actions:
            lines.append(f"**{group.title.removeprefix('positional ').capitalize()}**")
            lines += [option(action, parser) for action in actions]
    return "\n\n".join(lines)


def option(action, parser):
    """Return an option or an argument, and what it means, as a list of definitions."""
    value = action.metavar or action.dest.upper()
    if action.choices:
        value = "{" + ",".join(action.choices) + "}"
    named = ", ".join(action.option_strings)
    takes = not isinstance(action, argparse._StoreTrueAction)
    term = f"{named} {value}" if named and takes else named or value
    meaning = (action.help or "") % {**vars(action), "prog": parser.prog}
    return f"`{term}`\n: {in_code(meaning.replace('<', '&lt;'))}"


def in_code(text):
    """Mark options in a sentence as code; of text, Sphinx would join the two hyphens.

    >>> in_code("as of train --data; two words -- so")
    'as of train `--data`; two words -- so'
    """
    return OPTION.sub(r"`\g<0>`", text)
