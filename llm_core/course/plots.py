"""Data in, Axes out: every picture of the book, in one style.

A picture is drawn in the palette's light colours and in INK, on nothing. The book puts
it into the page as SVG, where its colours follow the theme; JupyterLab shows the same
SVG on a light ground. Words that describe a picture belong to its cell's metadata, as
`mystnb: {image: {alt: …}}`, since only the author knows what is to be seen in it.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter

from llm_core.course.palette import INK, color
from llm_core.course.widgets import table, visible

NO_PAPER = "none"
STYLE: Any = {
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor"], INK),
    **dict.fromkeys(["axes.titlecolor", "xtick.color", "ytick.color"], INK),
    **dict.fromkeys(["grid.color", "patch.edgecolor", "legend.edgecolor"], INK),
    **dict.fromkeys(["figure.facecolor", "axes.facecolor"], NO_PAPER),
    **dict.fromkeys(["savefig.facecolor", "legend.facecolor"], NO_PAPER),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "font.family": "sans-serif",
    "font.size": 11.5,
    "grid.alpha": 0.18,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "book",  # the same picture is the same file
}
in_style = mpl.rc_context(STYLE)  # a decorator

# Curves differ in colour, in dashes and in markers, so that colour is never alone.
STROKES: Any = (
    {"color": color("sequence"), "linestyle": "-", "marker": "o"},
    {"color": color("highlight"), "linestyle": "--", "marker": "s"},
    {"color": color("key"), "linestyle": "-.", "marker": "^"},
    {"color": color("value"), "linestyle": ":", "marker": "D"},
)


class Drawing(Axes):
    """Axes that show themselves when they are the last line of a cell.

    The figure belongs to no window and to no list of open figures.
    """

    def _repr_mimebundle_(
        self, **options: Any
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the SVG, and that JupyterLab should put it on a light ground."""
        svg = "image/svg+xml"
        data = {svg: to_svg(self), "text/plain": repr(self)}
        return data, {svg: {"needs_background": "light"}}


@in_style
def axes(width: float = 6.0, height: float = 3.5) -> Drawing:
    """Return empty axes in the book's style; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    drawing: Drawing = figure.add_subplot(axes_class=Drawing)  # type: ignore[assignment]
    return drawing


@in_style
def to_svg(ax: Axes) -> str:
    """Return a picture as SVG text, the same for the same data."""
    figure: Any = ax.get_figure(root=True)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


@in_style
def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    floor: float | None = None,
) -> Drawing:
    """Draw up to four named curves, each given as its x and its y values.

    Curves of losses may have a `floor`, which no model passes.
    Raises ValueError for more than four: nobody can tell five apart.
    """
    if not 1 <= len(series) <= len(STROKES):
        raise ValueError(f"expected 1 to {len(STROKES)} curves, got {len(series)}")
    ax = axes()
    for (name, (x, y)), stroke in zip(series.items(), STROKES, strict=False):
        each = max(1, len(x) // 10)  # a marker on every point would hide a long curve
        ax.plot(x, y, label=name, markevery=each, **stroke)
    if log_x:
        ax.set_xscale("log", base=2)
        ticks = sorted({value for x, _ in series.values() for value in x})
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    if log_y:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: power_of_ten(y)))
        ax.minorticks_off()
    if floor is not None:
        ax.axhline(floor, color=color("floor"), linestyle="--", label="floor")
    return _finish(ax, x_label, y_label, legend=len(ax.lines) > 1)


def power_of_ten(value: float) -> str:
    """Write a tick of a logarithmic axis as people do.

    >>> power_of_ten(0.1), power_of_ten(1000), power_of_ten(1e-7)
    ('0.1', '1,000', '10⁻⁷')
    """
    exponent = round(math.log10(value))
    if -3 <= exponent <= 4:
        return f"{10**exponent:,}" if exponent >= 0 else f"{value:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


@in_style
def distribution(
    shares: Mapping[str, float], *, x_label: str, role: str = "sequence"
) -> Drawing:
    """Draw one bar for each name, the first on top, with its value written beside it.

    Spaces and line ends in the names are made visible.
    """
    ax = axes(height=0.5 + 0.36 * len(shares))
    names = [visible(name) for name in shares]
    places = range(len(names))
    bars = ax.barh(places, list(shares.values()), color=color(role), height=0.7)
    ax.set_yticks(places, names)
    ax.bar_label(bars, fmt="{:.3g}", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(x_label)
    return ax


@in_style
def loss_curve(
    steps: Sequence[float],
    losses: Sequence[float],
    *,
    validation: tuple[Sequence[float], Sequence[float]] | None = None,
    floor: float | None = None,
    levels: Mapping[str, float] | None = None,
    y_label: str = "bits per character",
) -> Drawing:
    """Draw a loss over the steps of a training, and the floor that no model passes.

    `validation` holds the steps and the losses on text that was held out; `levels`
    names other losses to compare with, each a line across.
    """
    ax = axes()
    ax.plot(steps, losses, color=color("loss"), alpha=0.55, label="training")
    if validation is not None:
        ax.plot(*validation, color=color("loss"), marker="o", label="validation")
    for (name, level), stroke in zip((levels or {}).items(), STROKES, strict=False):
        ax.axhline(level, color=stroke["color"], linestyle="-.", label=name)
    if floor is not None:
        ax.axhline(floor, color=color("floor"), linestyle="--", label="floor")
    return _finish(ax, "step", y_label, legend=True, loc="upper right")


@in_style
def attention_map(weights: Any, tokens: Sequence[str]) -> Drawing:
    """Draw attention weights (T, T): a row for each token that reads, its sum 1.

    Give `attention_table` beside it, for those who cannot see the picture.
    Raises ValueError unless the weights have a row and a column for each token.
    """
    rows = _square(weights, tokens)
    size = len(rows)
    ax = axes(width=1.2 + 0.42 * size, height=1.2 + 0.42 * size)
    for i, row in enumerate(rows):
        for j, weight in enumerate(row):
            patch = Rectangle((j, i), 1, 1, facecolor=color("sequence"), alpha=weight)
            patch.set_edgecolor(NO_PAPER)
            ax.add_patch(patch)
    centres = [i + 0.5 for i in range(size)]
    names = [visible(token) for token in tokens]
    ax.set_xticks(centres, names, rotation=90)
    ax.set_yticks(centres, names)
    ax.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    ax.set(xlabel="is read", ylabel="reads")
    return ax


@in_style
def shades(
    values: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x_label: str,
    y_label: str,
) -> Drawing:
    """Draw shares from 0 to 1 as a table of shaded boxes, each with its percentage.

    Give `shades_table` beside it, for those who cannot see the picture.
    """
    ax = axes(width=1.4 + 0.62 * len(columns), height=1.3 + 0.3 * len(rows))
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            share = min(1.0, max(0.0, float(value)))
            box = Rectangle((j, i), 1, 1, facecolor=color("sequence"))
            box.set(alpha=0.6 * share, edgecolor=NO_PAPER)
            ax.add_patch(box)
            if share >= 0.005:
                ax.text(j + 0.5, i + 0.5, f"{share:.0%}"[:-1], ha="center", va="center")
    ax.set_xticks([j + 0.5 for j in range(len(columns))], columns, rotation=90)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set(xlabel=x_label, ylabel=y_label)
    return ax


@in_style
def points(
    groups: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
) -> Drawing:
    """Draw named points, given as name -> (x, y), in up to four groups.

    Groups differ in colour and in marker. Raises ValueError for more than four.
    """
    if not 1 <= len(groups) <= len(STROKES):
        raise ValueError(f"expected 1 to {len(STROKES)} groups, got {len(groups)}")
    ax = axes(height=5.0)
    every = [place for places in groups.values() for place in places.values()]
    width, height = (max(along) - min(along) for along in zip(*every, strict=True))
    line = {"arrowstyle": "-", "color": INK, "linewidth": 0.6, "alpha": 0.6}
    for (group, places), stroke in zip(groups.items(), STROKES, strict=False):
        x, y = zip(*places.values(), strict=True)
        look = {"color": stroke["color"], "marker": stroke["marker"]}
        ax.plot(x, y, linestyle="", label=group, **look)
        names = sorted(places, key=lambda name: places[name][1])
        for name, level in zip(names, _apart(sorted(y), 0.05 * height), strict=True):
            beside = (max(x) + 0.04 * width, level)
            ax.annotate(
                visible(name), places[name], beside, va="center", arrowprops=line
            )
    ax.margins(0.18, 0.1)
    return legend_above(_finish(ax, x_label, y_label, legend=False))


@in_style
def legend_above(ax: Drawing) -> Drawing:
    """Put the names of a picture's curves in a row above it, and return the picture."""
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(handles))
    return ax


@in_style
def tradeoff(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    marks: Mapping[str, tuple[float, float]],
    *,
    x_label: str,
    y_label: str,
) -> Drawing:
    """Draw up to four ways to trade one good thing for another, and marks to aim at.

    Every point of a curve is a measurement, and so has its marker.
    """
    ax = axes(height=4.2)
    for (name, (x, y)), stroke in zip(series.items(), STROKES, strict=False):
        ax.plot(x, y, label=name, **stroke)
    for name, place in marks.items():
        ax.plot(*place, label=name, color=INK, marker="*", markersize=12, linestyle="")
    return _finish(ax, x_label, y_label, legend=True)


@in_style
def graph(
    nodes: Mapping[str, tuple[float, float, str, str]],
    edges: Sequence[tuple[str, str]],
) -> Drawing:
    """Draw what is computed from what: a box for each node, an arrow for each edge.

    A node has its place (x, y), what it holds, and below that a line in the colour of
    the loss, such as its gradient. Boxes are 1.5 wide and 1 high.
    """
    right = max(node[0] for node in nodes.values())
    top = max(node[1] for node in nodes.values())
    ax = axes(width=1.2 + 0.8 * right, height=0.9 + 0.8 * top)
    ax.set(xlim=(-1, right + 1), ylim=(-0.7, top + 0.7))
    ax.set_axis_off()
    for x, y, above, below in nodes.values():
        ax.add_patch(Rectangle((x - 0.75, y - 0.5), 1.5, 1, fill=False))
        ax.text(x, y + 0.2, above, ha="center", va="center")
        ax.text(x, y - 0.22, below, ha="center", va="center", color=color("loss"))
    for start, end in edges:
        (x0, y0, *_), (x1, y1, *_) = nodes[start], nodes[end]
        arrow = {"arrowstyle": "->", "color": INK}
        ax.annotate("", (x1 - 0.75, y1), (x0 + 0.75, y0), arrowprops=arrow)
    return ax


@in_style
def stream(parts: Sequence[str], norm: Literal["pre", "post"] = "pre") -> Drawing:
    """Draw a residual stream from left to right, and the parts that add to it.

    Each part leaves the stream, computes, and comes back to a plus. The norm stands
    before each part (pre) or after each plus (post).
    """
    is_pre = norm == "pre"
    apart = 5.25 if is_pre else 5.1  # from one part's beginning to the next's
    end = apart * len(parts) + 0.9
    ax = axes(width=0.6 * end + 0.1, height=1.55)
    ax.set(xlim=(0, end), ylim=(-0.5, 2.0), aspect="equal")
    ax.set_axis_off()
    here = 0.0  # how far the stream is drawn
    for i, name in enumerate(parts):
        fork = apart * i + 0.5
        plus = fork + (4.55 if is_pre else 3.0)
        stops = [("norm", fork + 1.05, 1.1)] if is_pre else []
        stops.append((name, plus - 1.5, 2.1))
        _arrow(ax, (here, 0), (plus - 0.2, 0), "sequence")
        ax.plot([fork, fork], [0, 1.5], color=INK, lw=1.4)
        _boxes(ax, fork, 1.5, stops)
        ax.plot([plus - 0.45, plus], [1.5, 1.5], color=INK, lw=1.4)
        _arrow(ax, (plus, 1.5), (plus, 0.2))
        ax.add_patch(Circle((plus, 0), 0.2, fill=False, ec=INK, lw=1.4))
        ax.text(plus, -0.01, "+", ha="center", va="center")
        here = plus + 0.2
        if not is_pre:
            here = _boxes(ax, here, 0, [("norm", plus + 1.15, 1.1)], "sequence")
    _arrow(ax, (here, 0), (end, 0), "sequence")
    return ax


def _boxes(
    ax: Axes,
    x: float,
    y: float,
    stops: Sequence[tuple[str, float, float]],
    role: str = "",
) -> float:
    """Draw boxes (name, middle, width) and arrows into them; return where they end."""
    for name, middle, width in stops:
        left = middle - width / 2
        _arrow(ax, (x, y), (left, y), role)
        ax.add_patch(Rectangle((left, y - 0.4), width, 0.8, fill=False, ec=INK))
        ax.text(middle, y, name, ha="center", va="center")
        x = left + width
    return x


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], role: str = ""
) -> None:
    """Draw an arrow in ink, or broad and in the colour of a role."""
    look = {"color": color(role) if role else INK, "lw": 3.0 if role else 1.4}
    arrow = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, **look}
    ax.annotate("", end, start, arrowprops=arrow)


@in_style
def grids(
    rows: Sequence[Mapping[str, Sequence[Sequence[str]]]], shades: Mapping[str, float]
) -> Drawing:
    """Draw tables of words, a row of named tables for each mapping.

    A word's shade lies from 0, for nothing, to 1; a word that has none stays unshaded.
    """
    gap = 1.5  # between tables, in boxes
    widths = [sum(len(table[0]) + gap for table in row.values()) - gap for row in rows]
    heights = [max(map(len, row.values())) + 1.2 for row in rows]
    ax = axes(width=0.42 * max(widths), height=0.42 * sum(heights))
    for place, row in enumerate(rows):
        left, top = 0.0, sum(heights[:place])
        for name, words in row.items():
            middle = left + len(words[0]) / 2
            ax.text(middle, top - 0.4, name, ha="center", va="center")
            _draw_words(ax, left, top, words, shades)
            left += len(words[0]) + gap
    ax.set(xlim=(-0.1, max(widths) + 0.1), ylim=(sum(heights) - 1, -1), aspect="equal")
    ax.axis("off")
    return ax


def _draw_words(
    ax: Axes,
    left: float,
    top: float,
    words: Sequence[Sequence[str]],
    shades: Mapping[str, float],
) -> None:
    """Draw rows of words, each in a shaded box, from their left upper corner."""
    for i, row in enumerate(words):
        for j, word in enumerate(row):
            shade = Rectangle((left + j, top + i), 1, 1, facecolor=color("sequence"))
            shade.set(alpha=shades.get(word, 0), edgecolor=NO_PAPER)
            ax.add_patch(shade)
            frame = Rectangle((left + j, top + i), 1, 1, facecolor=NO_PAPER, lw=0.6)
            ax.add_patch(frame)
            ax.text(left + j + 0.5, top + i + 0.5, word, ha="center", va="center")


def _finish(
    ax: Drawing, x_label: str, y_label: str, legend: bool, **placing: Any
) -> Drawing:
    """Give axes their labels, a faint grid, and a legend where curves need names.

    The legend stands where it hides least, which takes time to find, or is placed.
    """
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.grid(axis="y")
    if legend:
        ax.legend(**placing)
    return ax


def _apart(rising: Sequence[float], gap: float) -> list[float]:
    """Return rising numbers moved until none is nearer than a gap to the next.

    >>> _apart([0.0, 0.0, 4.0], 2.0)
    [-0.666..., 1.333..., 3.333...]
    """
    moved: list[float] = []
    for number in rising:
        moved.append(max(number, moved[-1] + gap) if moved else number)
    shift = (sum(rising) - sum(moved)) / len(moved)
    return [number + shift for number in moved]


def _square(weights: Any, tokens: Sequence[str]) -> list[list[float]]:
    """Return weights as nested lists, once their shape is what the tokens ask for."""
    rows = [[float(weight) for weight in row] for row in weights]
    if {len(rows), *map(len, rows)} != {len(tokens)}:
        shape = (len(rows), *{len(row) for row in rows})
        raise ValueError(f"expected weights ({len(tokens)},) * 2, got {shape}")
    return rows


# --- pictures made of text ------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """HTML for JupyterLab and the page, and plain text for everywhere else."""

    markup: str
    text: str

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


def piece_text(piece: str | bytes) -> str:
    """Return a token as a reader can see it; bytes that are no text as hex.

    >>> piece_text(b" the"), piece_text("é".encode()[:1])
    ('␣the', '‹c3›')
    """
    if isinstance(piece, str):
        return visible(piece)
    try:
        return visible(piece.decode("utf-8"))
    except UnicodeDecodeError:
        return f"‹{piece.hex(' ')}›"


def tokens(pieces: Sequence[str | bytes]) -> Picture:
    """Show a text cut into tokens, a box for each."""
    texts = [piece_text(piece) for piece in pieces]
    tint = (
        f"color-mix(in srgb, var(--llm-sequence, {color('sequence')}) 16%, transparent)"
    )
    box = (
        "border:1px solid currentColor;border-radius:3px;padding:1px 2px;margin:2px 1px"
    )
    spans = "".join(
        f'<span style="display:inline-block;{box};'
        f'{f"background:{tint}" if i % 2 else ""}">{html.escape(text)}</span>'
        for i, text in enumerate(texts)
    )
    style = "font-family:monospace;white-space:normal;line-height:1.7;margin:.6em 0"
    return Picture(f'<div style="{style}">{spans}</div>', "|".join(texts))


def attention_table(weights: Any, tokens: Sequence[str]) -> Picture:
    """Show attention weights as a table that can be opened: the twin of the map."""
    rows, names = _square(weights, tokens), [visible(token) for token in tokens]
    cells = [
        [name, *(f"{weight:.2f}" for weight in row)]
        for name, row in zip(names, rows, strict=True)
    ]
    markup = table(["", *names], cells, "Each row reads, each column is read")
    return Picture(
        f"<details><summary>The weights as a table</summary>{markup}</details>",
        "\n".join(map(" ".join, cells)),
    )


def shades_table(
    values: Any, rows: Sequence[str], columns: Sequence[str], caption: str
) -> Picture:
    """Show shares in percent as a table that can be opened: the twin of `shades`."""
    cells = [
        [name, *(f"{100 * float(value):.0f}" for value in row)]
        for name, row in zip(rows, values, strict=True)
    ]
    markup = table(["", *columns], cells, f"{caption}, in percent")
    return Picture(
        f"<details><summary>The numbers as a table</summary>{markup}</details>",
        "\n".join(map(" ".join, [["", *columns], *cells])),
    )
