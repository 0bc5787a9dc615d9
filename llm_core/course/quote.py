"""Notebooks and the core in; proof that they say the same out.

`llm_core` is the only source of its code. A notebook that explains a function quotes
it: the cell names the file and the function, then holds the definition, byte for byte.

    # llm_core/tokenizer.py: count_pairs
    # later: rotate (13), remember (11)

The second line is there only when the function uses names that a later chapter
introduces. `--write` refreshes the quotes, `--check` fails and shows a diff:

    python -m llm_core.course.quote --check

A method or a class is shown with `show(GPTModel.forward)`, read live from the package.

A name is *introduced* by the chapter that quotes it, shows it, or sets it in bold code,
**`like_this`**, in its text. Chapters are ordered by the number in their file's name.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import llm_core
from llm_core.course.files import NOTEBOOKS

PACKAGE = Path(llm_core.__file__).parent
NOT_CORE = {"__init__", "__main__", "cli"}
FIRST_LINE = re.compile(r"# (llm_core/\w+\.py): (\w+)")
LATER_LINE = re.compile(r"# later: \w+ \(\d+\)(?:, \w+ \(\d+\))*")
BOLD_CODE = re.compile(r"\*\*`(\w+)[^`]*`\*\*")

# Public names that no chapter introduces yet, by the chapter that will. An entry that a
# chapter has made true is an error, so that the list can only shrink.
WAITING = {
    13: "Muon",
    15: "from_pretrained load_gpt2 save_gpt2",
}
WAITS_FOR = {
    name: number for number, names in WAITING.items() for name in names.split()
}


@dataclass(frozen=True)
class Source:
    """Source code that JupyterLab and the page highlight, each in its own theme."""

    title: str
    text: str

    def __repr__(self) -> str:
        return f"# {self.title}\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"````python\n{self!r}\n````"


def show(thing: Any) -> Source:
    """Show the source of a class, function or method, as the package has it now.

    >>> show(Source.__repr__)
    # llm_core/course/quote.py: Source.__repr__
    def __repr__(self) -> str:
        return f"# {self.title}\\n{self.text}"
    """
    target: Any = thing.fget if isinstance(thing, property) else thing
    target = inspect.unwrap(target)
    path = "/".join(target.__module__.split(".")) + ".py"
    text = textwrap.dedent(inspect.getsource(target)).rstrip()
    return Source(f"{path}: {target.__qualname__}", text)


# --- the core, as text ----------------------------------------------------------------


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code binds in its own scope, not in one inside it.

    >>> list(bound_names(ast.parse("import re as r\\ndef f(): x = 1\\na, b = 1, 2")))
    ['r', 'f', 'a', 'b']
    """
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, comprehensions):
            continue
        if isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        else:
            yield from bound_names(node)


@dataclass(frozen=True)
class Module:
    """One module of the core: what it defines, and what its functions use."""

    source: str

    @cached_property
    def body(self) -> list[ast.stmt]:
        """Return the top-level statements."""
        return ast.parse(self.source).body

    @cached_property
    def names(self) -> frozenset[str]:
        """Return every name that is bound at the top level, imports included."""
        return frozenset(bound_names(ast.Module(self.body, [])))

    @cached_property
    def own_names(self) -> frozenset[str]:
        """Return the public names that this module itself defines."""
        made = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
        own = ast.Module([node for node in self.body if isinstance(node, made)], [])
        return frozenset(name for name in bound_names(own) if name[0] != "_")

    def function(self, name: str) -> ast.FunctionDef:
        """Return the top-level function of that name.

        Raises ValueError if the module has no such function.
        """
        for node in self.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        raise ValueError(f"it has no function {name}")

    def text_of(self, name: str) -> str:
        """Return a function's definition as it stands in the file, decorators too."""
        node = self.function(name)
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        return "\n".join(self.source.splitlines()[first - 1 : node.end_lineno])

    def needs(self, name: str) -> frozenset[str]:
        """Return the names of this module that a function uses."""
        nodes = ast.walk(self.function(name))
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        return frozenset(used - {name}) & self.names


def core_modules(package: Path = PACKAGE) -> dict[str, Module]:
    """Return the core: path as a quote writes it -> module."""
    return {
        f"llm_core/{path.name}": Module(path.read_text(encoding="utf-8"))
        for path in sorted(package.glob("*.py"))
        if path.stem not in NOT_CORE
    }


# --- a notebook, as text --------------------------------------------------------------


@dataclass(frozen=True)
class Quote:
    """A quote cell's first lines: where the definition lives, what comes later."""

    path: str
    name: str
    later: dict[str, int]  # name -> chapter
    header: str

    @classmethod
    def read(cls, source: str) -> Quote | None:
        """Return what a cell quotes, or None if it is not a quote."""
        lines = source.splitlines()
        first = FIRST_LINE.fullmatch(lines[0]) if lines else None
        if not first:
            return None
        has_later = len(lines) > 1 and LATER_LINE.fullmatch(lines[1])
        pairs = re.findall(r"(\w+) \((\d+)\)", lines[1]) if has_later else []
        header = "\n".join(lines[: 2 if has_later else 1])
        later = {name: int(chapter) for name, chapter in pairs}
        return cls(first[1], first[2], later, header)

    def text(self, core: dict[str, Module]) -> str:
        """Return what the cell should hold.

        Raises ValueError if the core has no such module or function.
        """
        if self.path not in core:
            raise ValueError("the core has no such module")
        return f"{self.header}\n{core[self.path].text_of(self.name)}"


@dataclass(frozen=True)
class Cell:
    """A code cell: its place in the notebook (from 1) and its source."""

    place: int
    source: str

    @cached_property
    def is_python(self) -> bool:
        """Return whether Python alone can read this cell: no magic, no shell."""
        try:
            compile(self.source, "a cell", "exec", ast.PyCF_ONLY_AST)
        except SyntaxError:
            return False
        return True

    @cached_property
    def tree(self) -> ast.Module:
        """Return the parsed source; nothing at all if it is not plain Python."""
        return ast.parse(self.source if self.is_python else "")

    @cached_property
    def quote(self) -> Quote | None:
        """Return what this cell quotes, if it is a quote."""
        return Quote.read(self.source)

    @cached_property
    def definitions(self) -> frozenset[str]:
        """Return what this cell binds, and the functions and classes inside it."""
        made = (ast.FunctionDef, ast.ClassDef)
        scopes = [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef)]
        inner = {n.name for s in scopes for n in s.body if isinstance(n, made)}
        return frozenset(inner | set(bound_names(self.tree)))

    @cached_property
    def core_imports(self) -> frozenset[str]:
        """Return what this cell imports from the core, by the name it has there."""
        return frozenset(
            alias.name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] == "llm_core"
            and not f"{node.module}.".startswith("llm_core.course.")
            for alias in node.names
            if alias.name != "course"
        )

    @cached_property
    def shown(self) -> frozenset[str]:
        """Return the names that this cell shows: GPTModel for `GPTModel.forward`."""
        calls = [n for n in ast.walk(self.tree) if isinstance(n, ast.Call)]
        arguments = [a for c in calls if ast.unparse(c.func) == "show" for a in c.args]
        return frozenset(ast.unparse(argument).split(".")[0] for argument in arguments)

    @cached_property
    def compares(self) -> bool:
        """Return whether this cell sets two results against each other."""
        text = self.source
        return any(isinstance(n, ast.Compare) for n in ast.walk(self.tree)) or bool(
            re.search(r"\b(allclose|assert_close|equal|array_equal)\(", text)
        )


@dataclass(frozen=True)
class Chapter:
    """A notebook: its number, its code cells and its prose."""

    path: Path

    @property
    def number(self) -> int:
        """Return the chapter's number, the first two digits of its file's name."""
        return int(self.path.name[:2])

    @cached_property
    def notebook(self) -> dict[str, Any]:
        """Return the notebook as its file has it."""
        content: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return content

    def sources(self, kind: str) -> dict[int, str]:
        """Return the cells of a kind, code or markdown: place (from 1) -> source."""
        numbered = enumerate(self.notebook["cells"], start=1)
        return {i: "".join(c["source"]) for i, c in numbered if c["cell_type"] == kind}

    @cached_property
    def cells(self) -> list[Cell]:
        """Return the code cells."""
        return [Cell(place, text) for place, text in self.sources("code").items()]

    @cached_property
    def prose(self) -> str:
        """Return the text of all markdown cells."""
        return "\n\n".join(self.sources("markdown").values())

    @cached_property
    def introduces(self) -> frozenset[str]:
        """Return the names that this chapter quotes, shows or sets in bold code."""
        quoted = {cell.quote.name for cell in self.cells if cell.quote}
        shown = {name for cell in self.cells for name in cell.shown}
        return frozenset(quoted | shown | set(BOLD_CODE.findall(self.prose)))

    def refresh(self, core: dict[str, Module]) -> bool:
        """Rewrite the quotes in the file as the core has them; say if any changed."""
        changed = False
        for cell in self.cells:
            with contextlib.suppress(ValueError):  # `--check` names what is gone
                text = cell.quote.text(core) if cell.quote else cell.source
                changed |= text != cell.source
                lines = text.splitlines(keepends=True)
                self.notebook["cells"][cell.place - 1]["source"] = lines
        if changed:
            self.path.write_text(to_json(self.notebook), encoding="utf-8", newline="\n")
        return changed


def to_json(notebook: dict[str, Any]) -> str:
    """Return a notebook as Jupyter itself would write it, so that diffs stay small."""
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return text + "\n"


def read_chapters(folder: Path = NOTEBOOKS) -> list[Chapter]:
    """Return the chapters of a folder in the order of their numbers."""
    return [Chapter(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


# --- the rules ------------------------------------------------------------------------


def drift(cell: Cell, core: dict[str, Module]) -> Iterator[str]:
    """Yield a diff if a quote is not what the core says."""
    assert cell.quote
    try:
        expected = cell.quote.text(core)
    except ValueError as error:
        yield f"quotes {cell.quote.path}: {cell.quote.name}, but {error}"
        return
    if expected != cell.source:
        old, new = cell.source.splitlines(), expected.splitlines()
        diff = difflib.unified_diff(
            old, new, "the notebook", cell.quote.path, "", "", 2
        )
        yield "the quote has drifted; run with --write\n" + "\n".join(diff)


def missing_names(
    cell: Cell, core: dict[str, Module], known: set[str], chapters: Sequence[Chapter]
) -> Iterator[str]:
    """Yield each name that a quote uses and neither the notebook nor `later` gives."""
    quote = cell.quote
    if not quote or quote.path not in core:
        return
    try:
        needs = core[quote.path].needs(quote.name)
    except ValueError:
        return
    for name in sorted(needs - known - quote.later.keys()):
        yield f"{quote.name} uses {name}: import or quote it above, or list it as later"
    for name, number in quote.later.items():
        if name not in needs:
            yield f"lists {name} as later, but {quote.name} does not use it"
        for chapter in chapters:
            if chapter.number == number and name not in chapter.introduces:
                yield f"says that {name} comes in {number:02}, which has no such name"


def check_chapter(
    chapter: Chapter, chapters: Sequence[Chapter], core: dict[str, Module]
) -> Iterator[str]:
    """Yield what is wrong with one chapter, a sentence each."""
    core_names = {name for module in core.values() for name in module.own_names}
    past = [other for other in chapters if other.number <= chapter.number]
    introduced = {name for other in past for name in other.introduces}
    known: set[str] = set()
    for cell in chapter.cells:
        where = f"{chapter.path.name}, cell {cell.place}: "
        known |= set(bound_names(cell.tree))
        if not cell.is_python:
            yield f"{where}not plain Python"
        if cell.quote:
            yield from (where + p for p in drift(cell, core))
            yield from (where + p for p in missing_names(cell, core, known, chapters))
        imports = cell.core_imports
        if not cell.quote:
            for name in sorted((cell.definitions & core_names) - imports):
                yield f"{where}defines {name}, which the core has: quote it or rename"
        for name in sorted(imports - introduced):
            yield f"{where}imports {name}, which no chapter has introduced so far"
    yield from uncompared(chapter)


def uncompared(chapter: Chapter) -> Iterator[str]:
    """Yield each naive function that no later cell compares with anything."""
    for i, cell in enumerate(chapter.cells):
        for name in sorted(n for n in cell.definitions if n.startswith("naive_")):
            rest = [c for c in chapter.cells[i:] if c.compares and name in c.source]
            if not rest:
                where = f"{chapter.path.name}, cell {cell.place}: "
                yield f"{where}{name} is never compared with the core's version"


def check_public_names(
    chapters: Sequence[Chapter],
    public: Iterable[str] | None = None,
    waits_for: dict[str, int] | None = None,
) -> Iterator[str]:
    """Yield each public name that no chapter introduces and that waits for none."""
    names = set(llm_core.__all__ if public is None else public) - {"__version__"}
    waits_for = WAITS_FOR if waits_for is None else waits_for
    numbers = {chapter.number for chapter in chapters}
    introduced = {name for chapter in chapters for name in chapter.introduces}
    for name in sorted(names - introduced - waits_for.keys()):
        yield f"no chapter introduces {name}; list it in WAITING if a later one will"
    for name, number in sorted(waits_for.items()):
        if name not in names:
            yield f"WAITING lists {name}, which is not public"
        elif name in introduced:
            yield f"WAITING lists {name}, but a chapter introduces it already"
        elif number in numbers:
            yield f"chapter {number:02} is there, but does not introduce {name}"


def check(folder: Path = NOTEBOOKS) -> list[str]:
    """Return everything that is wrong with the notebooks of a folder."""
    chapters, core = read_chapters(folder), core_modules()
    problems = [p for c in chapters for p in check_chapter(c, chapters, core)]
    return problems + list(check_public_names(chapters))


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh or check the notebooks; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_core.course.quote",
        description="Keep the code that notebooks quote equal to llm_core.",
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="refresh the quotes")
    mode.add_argument("--check", action="store_true", help="fail if anything is wrong")
    parser.add_argument("folder", nargs="?", type=Path, default=NOTEBOOKS)
    options = parser.parse_args(arguments)
    if options.write:
        core = core_modules()
        for chapter in read_chapters(options.folder):
            if chapter.refresh(core):
                print(f"refreshed {chapter.path.name}")
        return 0
    problems = check(options.folder)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
