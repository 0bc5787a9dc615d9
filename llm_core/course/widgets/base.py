"""A widget's state in, its two faces out: the live one, and HTML for a page.

How a widget is made is told in `llm_core/course/widgets/__init__.py`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget

from llm_core.course.palette import css_variables

WEB = Path(__file__).parent.parent / "web"
EXPORT = "export default "
SHARED = {"common", "heads", "hydrate", "model", "oracle"}  # no widget's own scripts
# A young model may write them, and HTML must not hold them.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
Bundle = tuple[dict[str, Any], dict[str, Any]]  # data by MIME type, metadata


def read(name: str) -> str:
    """Return the text of a file in web/, or nothing when there is no such file."""
    path = WEB / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def needed(name: str) -> list[str]:
    """Return the shared scripts that a widget's own one needs.

    It says so in its first line: `// With model.js and oracle.js.`
    """
    first = read(f"{name}.js").partition("\n")[0]
    return re.findall(r"(\w+)\.js", first) if first.startswith("// With ") else []


def script(name: str) -> str:
    """Return a widget's module: the shared helpers, then its own script."""
    return "".join(read(f"{file}.js") for file in ("common", *needed(name), name))


def styles(name: str) -> str:
    """Return a widget's style sheet: the book's colours and rules, then its own."""
    files = ("widgets", *needed(name), name)
    return css_variables() + "".join(read(f"{file}.css") for file in files)


class Widget(anywidget.AnyWidget):
    """An interactive figure with a JavaScript half in web/.

    A subclass declares synced traits, which are its state, and `fallback`.
    """

    name: ClassVar[str]  # of the script in web/
    css_classes: ClassVar[tuple[str, str]]

    def __init_subclass__(cls, **options: Any) -> None:
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        cls.css_classes = ("llm-widget", "llm-" + cls.name.replace("_", "-"))
        super().__init_subclass__(**options)

    def __init__(self, **state: Any) -> None:
        self._esm = script(self.name)  # anywidget reads these two
        self._css = styles(self.name)
        super().__init__(**state, _dom_classes=self.css_classes)

    def fallback(self) -> str:
        """Return the HTML that stands in the figure until its script has run."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return what the script reads: the synced traits that a subclass added."""
        own = set(self.trait_names(sync=True)) - set(
            anywidget.AnyWidget.class_trait_names(sync=True)
        )
        return {name: getattr(self, name) for name in sorted(own) if name[0] != "_"}

    def to_html(self) -> str:
        """Return the figure for a page without a kernel; web/hydrate.js wakes it."""
        state = json.dumps(self.state(), separators=(",", ":"), allow_nan=False)
        state = state.replace("<", "\\u003c")
        fallback = CONTROL_CHARACTERS.sub("\ufffd", self.fallback())
        return (
            f'<div class="{" ".join(self.css_classes)}"'
            f' data-llm-widget="{self.name}">'
            f'<script type="application/json">{state}</script>'
            f'<div class="llm-fallback">{fallback}</div></div>'
        )

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        """Offer the live view to JupyterLab and the HTML to everyone else."""
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/html": self.to_html()}, metadata


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return an HTML table; the first cell of each row names the row.

    >>> table(["token", "p"], [["a", "0.9"]], "One token")
    '<table class="llm-table"><caption>One token</caption><thead>...'
    """
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<table class="llm-table"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def visible(token: str) -> str:
    """Return a token with its spaces and line ends made visible.

    >>> visible(" once\\n")
    '␣once↵'
    """
    return token.replace(" ", "␣").replace("\n", "↵")
