"""A function and the values to call it with in, its frames behind a slider out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from html import escape as _escape
from typing import Any

import traitlets

from llm_core.course.palette import inline_svg
from llm_core.course.results import written
from llm_core.course.widgets.base import CONTROL_CHARACTERS, Widget, table

Value = float | str
CONTROLS = ("first", "second")  # the traits that say where the controls stand
ROOM = {1: "llm-one-control", 2: "llm-two-controls"}  # what the fallback keeps free


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a figure shows at one place of its controls: any of three parts.

    `picture` is a drawing of `llm_core.course.plots`, with an `alt` text that says what
    is to be seen in this very frame, or anything else that Jupyter can show as HTML.
    `text` is shown as it is, line ends included; only control characters are "�".
    `numbers` are a row of the figure's table; a number that should be written in some
    other way than four digits comes as text.
    """

    picture: Any = None
    alt: str = ""
    text: str = ""
    numbers: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.picture is None and not self.text and not self.numbers:
            raise ValueError("a frame needs a picture, a text or numbers; it has none")
        is_html = self.picture is None or hasattr(self.picture, "_repr_html_")
        if not is_html and not self.alt.strip():
            raise ValueError("a picture needs alt: what is to be seen in it")

    def markup(self, prefix: str) -> str:
        """Return the picture as HTML, with ids that begin with the prefix."""
        if self.picture is None:
            return ""
        if hasattr(self.picture, "_repr_html_"):
            return str(self.picture._repr_html_())
        data, _ = self.picture._repr_mimebundle_()
        return inline_svg(data["image/svg+xml"], self.alt, prefix)


class Frames(Widget):
    """What a Python function returns, at each of some values of its arguments.

        def at_step(step):
            return Frame(numbers={"loss": losses[step]}, text=samples[step])

        Frames(at_step, step=range(0, 400, 20))

    The function is called once for each value, or for each pair of values of its two
    arguments. Numbers get a slider, texts a choice. The page shows the frames made in
    that way, and says so; in JupyterLab each move also calls the function again.

    Raises ValueError unless there are one or two arguments with two or more different
    values each, and every frame has the same numbers.
    """

    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    values = traitlets.List(traitlets.List()).tag(sync=True)  # in words, by control
    numeric = traitlets.List(traitlets.Bool()).tag(sync=True)
    function = traitlets.Unicode().tag(sync=True)
    # One for each place of the controls; the last control's values run fastest.
    frames = traitlets.List(traitlets.Dict()).tag(sync=True)
    lines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)
    second = traitlets.Int(0).tag(sync=True)
    # Between JupyterLab and its kernel only; a page has neither.
    _live = traitlets.Bool(True).tag(sync=True)
    _answer = traitlets.Dict().tag(sync=True)

    def __init__(
        self, function: Callable[..., Frame], **controls: Sequence[Value]
    ) -> None:
        if not 1 <= len(controls) <= len(CONTROLS):
            raise ValueError(f"expected 1 or 2 controls, got {len(controls)}")
        for name, values in controls.items():
            if len(set(values)) < max(2, len(values)):
                raise ValueError(
                    f"expected two or more different values of {name}, got {values}"
                )
        self._function = function
        self._controls = {name: list(values) for name, values in controls.items()}
        name = getattr(function, "__name__", "")
        self._prefix = f"frames-{_digest([name, *map(str, controls.values())])}-"
        places = itertools.product(*(range(len(v)) for v in controls.values()))
        frames = [self._compute(place) for place in places]
        lines = frames[0]["picture"].split("\n")  # the others say how they differ
        for frame in frames:
            if frame["numbers"].keys() != frames[0]["numbers"].keys():
                raise ValueError(
                    "expected the same numbers in every frame, got "
                    f"{list(frames[0]['numbers'])} and {list(frame['numbers'])}"
                )
            frame["picture"] = changes(lines, frame["picture"])
        super().__init__(
            labels=[name.replace("_", " ").capitalize() for name in controls],
            values=[[_as_typed(v) for v in vs] for vs in controls.values()],
            numeric=[not isinstance(v[0], str) for v in self._controls.values()],
            function="" if name == "<lambda>" else name,
            frames=frames,
            lines=lines,
        )
        self.observe(self._call_again, CONTROLS)

    def _compute(self, place: Sequence[int]) -> dict[str, Any]:
        """Call the function at one place of the controls."""
        named = zip(self._controls.items(), place, strict=True)
        frame = self._function(**{name: values[at] for (name, values), at in named})
        return {
            "picture": frame.markup(self._prefix),
            "text": CONTROL_CHARACTERS.sub("\ufffd", frame.text),
            "numbers": {n: _in_words(v) for n, v in frame.numbers.items()},
        }

    def _call_again(self, _change: Any) -> None:
        """Answer a move in JupyterLab; a mistake in the function is part of that."""
        place = [self.first, self.second][: len(self._controls)]
        try:
            answer = self._compute(place)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self._answer = {**answer, "place": place}

    def fallback(self) -> str:
        """Return the first frame, and all frames' numbers and texts in a table."""
        frame = self.frames[0]
        firsts = [values[0] for values in self.values]
        place = ", ".join(f"{a} {b}" for a, b in zip(self.labels, firsts, strict=True))
        parts = [f'<p class="{ROOM[len(firsts)]}">{_escape(place)}</p>']
        if markup := "\n".join(self.lines):
            parts.append(f'<div class="llm-frames-picture">{markup}</div>')
        if frame["numbers"]:
            says = ", ".join(f"{name} {n}" for name, n in frame["numbers"].items())
            parts.append(f'<p class="llm-status">{_escape(says)}</p>')
        texts = [each["text"] for each in self.frames]
        if any(texts):
            # The longest lies under the first, so that the figure keeps its height.
            shown, longest = _escape(frame["text"]), _escape(max(texts, key=len))
            parts.append(
                '<div class="llm-frames-texts">'
                f'<p class="llm-frames-text llm-shown">{shown}</p>'
                f'<p class="llm-frames-text">{longest}</p></div>'
            )
        made = f"One of {len(self.frames)} frames, computed when the book was built."
        parts.append(f'<p class="llm-frames-note">{made}</p>')
        return "".join([*parts, self._twin()])

    def _twin(self) -> str:
        """Return the numbers and texts of all frames as a table that can be opened.

        A last control that changes pictures alone has no place in it.
        """
        last = ["text"] if any(frame["text"] for frame in self.frames) else []
        size = len(self.values[-1])
        said = [(frame["numbers"], frame["text"]) for frame in self.frames]
        firsts = [said[i - i % size] for i in range(len(said))]
        named = len(self.values) - (len(self.values) > 1 and said == firsts)
        header = [*self.labels[:named], *self.frames[0]["numbers"], *last]
        places = itertools.product(*self.values)
        rows = [
            [
                *place[:named],
                *frame["numbers"].values(),
                *(frame[name] for name in last),
            ]
            for place, frame in zip(places, self.frames, strict=True)
        ]
        if named < len(self.values):
            rows = rows[::size]
        twin = f'<div class="llm-scroll">{table(header, rows, "All frames")}</div>'
        return f"<details><summary>All frames as a table</summary>{twin}</details>"


def changes(lines: Sequence[str], text: str) -> list[str | list[int]]:
    """Write a text as ranges of lines that are already there, and lines that are not.

    >>> changes(["a", "b", "c"], "\\n".join(["a", "B", "c"]))
    [[0, 1], 'B', [2, 3]]
    """
    new = text.split("\n")
    pieces: list[str | list[int]] = []
    done = 0
    matcher = SequenceMatcher(None, lines, new, autojunk=False)
    for old_start, start, size in matcher.get_matching_blocks():
        pieces += new[done:start]
        pieces += [[old_start, old_start + size]] if size else []
        done = start + size
    return pieces


def _as_typed(value: Value) -> str:
    """Return a control's value as a reader would write it."""
    return value if isinstance(value, str) else f"{value:,.10g}"


def _in_words(value: Value) -> str:
    """Return a frame's number as the book writes numbers."""
    plain: Value = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, str) else written(plain)


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:6]
