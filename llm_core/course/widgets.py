"""Data in, an interactive figure out: alive in JupyterLab and in the built page.

A widget is one class here and one script in `web/`, which both hosts run. To add
one, called Clock:

1. Write `class Clock(Widget)` with one synced trait for each thing the script must
   know, and a `fallback()`: the HTML that readers without JavaScript see.
2. Write `web/clock.js` (the class name in snake case). It ends in
   `export default { render };`, where `render({ model, el })` fills `el` from
   `model.get(trait)`, calls `model.set(trait, value)` when the reader moves a
   control, and redraws in `model.on("change:trait", draw)`.
3. Build every control with the helpers of `web/common.js`, which stands in front of
   each script: they give it a label and keep JupyterLab's shortcuts off it.
4. Write `web/clock.css` if it needs one. Reserve the height there (`min-height`).

In JupyterLab, anywidget runs the script as a module. In the page, the cell's HTML
carries the state, and `web/hydrate.js` loads the script when its figure comes near.
Modules and fetch do not work on a page opened from disk, so `page_files()` turns each
script into a classic one.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import numpy.typing as npt
import traitlets

from llm_core.course.palette import css_variables
from llm_core.tokenizer import (
    GPT2_PATTERN,
    best_pair,
    count_pairs,
    count_words,
    merge_pair,
)

WEB = Path(__file__).parent / "web"
EXPORT = "export default "
Bundle = tuple[dict[str, Any], dict[str, Any]]  # data by MIME type, metadata


def _read(name: str) -> str:
    """Return the text of a file in web/, or nothing when there is no such file."""
    path = WEB / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _script(name: str) -> str:
    """Return a widget's module: the shared helpers, then its own script."""
    return _read("common.js") + _read(f"{name}.js")


def page_files() -> dict[str, str]:
    """Return what the built book serves: file name -> text.

    Each widget becomes a classic script that registers itself under its name.
    """
    shared = {"common", "hydrate"}
    names = sorted(path.stem for path in WEB.glob("*.js") if path.stem not in shared)
    files = {
        f"{name}.js": "(() => {\n"
        + _script(name).replace(EXPORT, f'globalThis.llmWidgets["{name}"] = ')
        + "})();\n"
        for name in names
    }
    styles = [css_variables(), _read("widgets.css")]
    styles += [_read(f"{name}.css") for name in names]
    return {**files, "hydrate.js": _read("hydrate.js"), "widgets.css": "".join(styles)}


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
        self._esm = _script(self.name)  # anywidget reads these two
        self._css = css_variables() + _read("widgets.css") + _read(f"{self.name}.css")
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
        return (
            f'<div class="{" ".join(self.css_classes)}"'
            f' data-llm-widget="{self.name}">'
            f'<script type="application/json">{state}</script>'
            f'<div class="llm-fallback">{self.fallback()}</div></div>'
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


class Sampler(Widget):
    """The next token's distribution, under temperature, top-k, top-p, and a draw.

    `tokens` are the texts of the vocabulary, `logits` one number for each, and
    `context` the text they continue.
    """

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    logits = traitlets.List(traitlets.Float()).tag(sync=True)
    context = traitlets.Unicode().tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int().tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self, tokens: Sequence[str], logits: Sequence[float], context: str = ""
    ) -> None:
        if not tokens or len(tokens) != len(logits):
            raise ValueError(
                "expected one logit for each of at least one token, "
                f"got {len(tokens)} tokens and {len(logits)} logits"
            )
        super().__init__(
            tokens=list(tokens),
            logits=[round(float(logit), 4) for logit in logits],
            context=context,
            top_k=len(tokens),
        )

    def fallback(self) -> str:
        """Return a table of the twelve likeliest tokens, at temperature 1."""
        top = max(self.logits)
        terms = [math.exp(logit - top) for logit in self.logits]
        ranked = sorted(range(len(terms)), key=lambda i: (-terms[i], i))[:12]
        rows = [
            (visible(self.tokens[i]), f"{100 * terms[i] / sum(terms):.1f} %")
            for i in ranked
        ]
        return table(["token", "chance"], rows, f"Next after “{visible(self.context)}”")


class AttentionMap(Widget):
    """Whom each token of a sentence reads, in one head after another.

    `weights` is (layers, heads, T, T): how much row t reads column s <= t. Layers,
    heads and tokens count from 0 here, and from 1 in the figure's words.
    """

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.List(traitlets.List()).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    focus = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str],
        weights: Any,
        layer: int = 0,
        head: int = 0,
        focus: int | None = None,
    ) -> None:
        weights = np.asarray(weights)
        length = len(tokens)
        if weights.ndim != 4 or weights.shape[2:] != (length, length):
            raise ValueError(
                f"weights must be (layers, heads, {length}, {length}) for {length} "
                f"tokens, got {weights.shape}"
            )
        super().__init__(
            tokens=list(tokens),
            weights=[[_past(head) for head in heads] for heads in weights],
            layer=layer,
            head=head,
            focus=length - 1 if focus is None else focus,
        )

    def fallback(self) -> str:
        """Return the map of the first head on show as a table, in percent."""
        names = [visible(token) for token in self.tokens]
        rows = [
            [name, *(f"{100 * weight:.1f}" for weight in row)]
            for name, row in zip(
                names, self.weights[self.layer][self.head], strict=True
            )
        ]
        caption = f"Layer {self.layer + 1}, head {self.head + 1}: rows read columns (%)"
        return f'<div class="llm-scroll">{table(["", *names], rows, caption)}</div>'


def _past(head: npt.NDArray[np.floating[Any]]) -> list[list[float]]:
    """Return the part of a (T, T) map that is not the future, short enough to send."""
    return [[round(float(w), 3) for w in row[: t + 1]] for t, row in enumerate(head)]


def visible(token: str) -> str:
    """Return a token with its spaces and line ends made visible.

    >>> visible(" once\\n")
    '␣once↵'
    """
    return token.replace(" ", "␣").replace("\n", "↵")


class MergeStepper(Widget):
    """Byte-pair encoding on a text of the reader's, one merge at a time.

    It learns as BPETokenizer does, in the page: the script repeats the rules of
    `llm_core.tokenizer`, and a test holds it to them.
    """

    text = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, text: str, step: int = 0) -> None:
        super().__init__(text=text, step=step)

    def fallback(self) -> str:
        """Return a table of the first ten merges."""
        rows: list[list[str]] = []
        words = count_words([self.text], GPT2_PATTERN)
        tokens = [bytes([byte]) for byte in range(256)]
        pieces = [(list(word), count) for word, count in words.items()]
        while len(rows) < 10 and (counts := count_pairs(pieces)):
            pair = best_pair(counts, tokens)
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            new = len(tokens) - 1
            pieces = [(merge_pair(ids, pair, new), count) for ids, count in pieces]
            texts = (tokens[id].decode(errors="replace") for id in (*pair, new))
            left, right, both = map(visible, texts)
            rows.append([str(len(rows) + 1), left, right, both, str(counts[pair])])
        header = ["merge", "left", "right", "new token", "count"]
        return table(header, rows, f"The first merges on “{self.text}”")
