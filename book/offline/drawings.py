"""Attention drawn, where a page has a table of it; and the cover, which shows it."""

import html

from matplotlib import rc_context
from matplotlib.figure import Figure

from llm_core.course.palette import COLORS

INK, BLUE = "#222222", COLORS["sequence"][0]
CELL, LETTER = 12, 5.5  # pixels of a square, and of a letter's width

MAP = """<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}"
 viewBox="0 0 {size} {size}" font-family="sans-serif" font-size="9" text-anchor="end"
 fill="{ink}">
<g fill="{blue}">{squares}</g>{rows}{columns}</svg>
"""
SQUARE = '<rect x="{x}" y="{y}" width="11" height="11" opacity="{share}"/>'
READER = '<text x="{x}" y="{y}">{token}</text>'
READ = '<text transform="translate({x} {y}) rotate(-90)">{token}</text>'


def draw_map(tokens, weights):
    """Return SVG of who reads whom: a row of squares for each token that reads.

    >>> draw_map(["a", "b"], [[1.0], [0.5, 0.5]]).count("<rect")
    3
    """
    names = [html.escape(token) for token in tokens]
    room = 4 + LETTER * max(map(len, tokens))
    end = CELL * len(tokens)
    squares = [
        SQUARE.format(x=room + CELL * j, y=CELL * i, share=round(weight, 3))
        for i, row in enumerate(weights)
        for j, weight in enumerate(row)
        if weight >= 0.004  # fainter ones cannot be seen
    ]
    rows = [
        READER.format(x=room - 3, y=CELL * i + 9, token=name)
        for i, name in enumerate(names)
    ]
    columns = [
        READ.format(x=room + CELL * i + 9, y=end + 3, token=name)
        for i, name in enumerate(names)
    ]
    return MAP.format(
        size=round(room + end),
        ink=INK,
        blue=BLUE,
        squares="".join(squares),
        rows="".join(rows),
        columns="".join(columns),
    )


# --- the cover ------------------------------------------------------------------------

INCHES = (6.0, 8.0)  # as e-readers show it; on paper it is made larger
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "cover", "font.family": "sans-serif"}


def write_cover(book, folder):
    """Write cover.svg, for paper, and cover.png, which every e-reader can show."""
    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, facecolor="white")
        figure.text(0.08, 0.88, book.title, fontsize=44, fontweight="bold", color=INK)
        figure.text(0.08, 0.835, book.subtitle, fontsize=13, color=INK)
        figure.text(0.08, 0.05, book.author, fontsize=11, color=INK)
        for weights in book.pages[0].maps[:1]:
            axes = figure.add_axes((0.08, 0.12, 0.84, 0.63))
            size = len(weights)
            shares = [[*row, *[None] * (size - len(row))] for row in weights]
            draw_squares(axes, shares)
        figure.savefig(folder / "cover.svg", metadata={"Date": None})
        figure.savefig(folder / "cover.png", dpi=200, metadata={"Software": None})


def draw_squares(axes, shares):
    """Draw shares as squares, the darker the more; none for what has no share."""
    red, green, blue = (int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5))
    colours = [
        (red, green, blue, 0.0 if share is None else 0.06 + 0.94 * share**0.8)
        for row in shares
        for share in row
    ]
    places = range(len(shares) + 1)
    squares = axes.pcolormesh(places, places, [[0] * len(shares)] * len(shares))
    squares.set(array=None, facecolors=colours, edgecolors="white", linewidths=1.5)
    axes.set(ylim=(len(shares), 0), aspect="equal", anchor="SW")
    axes.axis("off")
