"""A chapter's results in; "yours 2.13, expected 2.05 to 2.25" on the screen out.

The bands stand in `notebooks/expected.toml`:

    [chapter_02]
    seconds = 12                                # a note for the reader, never enforced

    [chapter_02.bytes_per_token]
    text = "bytes per token"
    low = 2.91
    high = 2.97
    measured = [2.93, 2.94, 2.95, 2.93, 2.94]   # with five seeds

A reader sees where a result lies. Where LLM_CORE_STRICT is set, as it is when the book
is built, a result outside its band is an error.
"""

from __future__ import annotations

import html
import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.display import display

from llm_core.course.files import NOTEBOOKS

STARTED = time.perf_counter()  # a notebook imports this in its first cell
HEADER = ("result", "yours", "expected", "")
PLAIN = "padding:.2em .8em .2em 0;text-align:left"
HEAD = f'style="{PLAIN};font-weight:bold"'
STYLE = f'style="{PLAIN};font-weight:normal"'
WHOLE = f'style="{PLAIN};white-space:nowrap"'  # what a narrow page may not break
MARKS = {"as expected": "✓"}  # as short, for the same reason
ADVICE = (
    "Outside means that something differs from the notebook as published: an edited "
    "cell, cells run out of order, or another version of the package. Restart the "
    "kernel and run all cells to find out which."
)


class OutsideBand(AssertionError):
    """A chapter's result is not where its band says, or has no band."""


@dataclass(frozen=True)
class Band:
    """Where a result should lie, both ends included."""

    text: str
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies in the band."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        low, high = written(self.low), written(self.high)
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Report:
    """A chapter's results beside their bands, and the time it took."""

    values: Mapping[str, float]
    bands: Mapping[str, Band]
    seconds: str

    @property
    def outside(self) -> list[str]:
        """Return the names of the results that are not in their bands."""
        return [n for n, value in self.values.items() if not self.bands[n].holds(value)]

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return what was measured, yours, expected, and the verdict, a row each."""
        verdicts = {name: "outside" for name in self.outside}
        return [
            (band.text, written(value), str(band), verdicts.get(name, "as expected"))
            for name, value in self.values.items()
            for band in [self.bands[name]]
        ]

    @property
    def notes(self) -> list[str]:
        """Return what to do if a result lies outside, and how long it all took."""
        return [ADVICE, self.seconds] if self.outside else [self.seconds]

    def __repr__(self) -> str:
        rows = [HEADER, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<th {HEAD}>{name or 'verdict'}</th>" for name in HEADER)
        body = "".join(
            f'<tr><th scope="row" {STYLE}>{html.escape(first)}</th>'
            + "".join(f"<td {WHOLE}>{MARKS.get(cell, cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
        )


def written(value: float) -> str:
    """Return a number with four digits that count, or all of them if it is whole.

    >>> written(12345), written(3.02), written(0.0213456)
    ('12,345', '3.020', '0.02135')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:#.4g}"


def find_expected(folder: Path) -> Path:
    """Return the nearest expected.toml, in notebooks/ or not, from a folder upwards.

    Where there is none, as beside a notebook that travels alone, it is the one that
    came with the package. Raises FileNotFoundError if that is missing too.
    """
    for place in [folder, *folder.parents, NOTEBOOKS]:
        for path in (place / "expected.toml", place / "notebooks" / "expected.toml"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"no expected.toml in {folder} or above it")


def read_bands(path: Path, chapter: str) -> tuple[dict[str, Band], float]:
    """Return a chapter's bands by name, and the seconds that it usually takes.

    Raises ValueError if the file has no such chapter.
    """
    section = tomllib.loads(path.read_text(encoding="utf-8")).get(f"chapter_{chapter}")
    if section is None:
        raise ValueError(f"{path.name} has no section chapter_{chapter}")
    tables = {name: table for name, table in section.items() if name != "seconds"}
    bands = {n: Band(t["text"], t["low"], t["high"]) for n, t in tables.items()}
    return bands, section["seconds"]


@dataclass(frozen=True)
class Expected:
    """The bands of all chapters, by chapter."""

    bands: Mapping[str, Mapping[str, Band]]

    def __repr__(self) -> str:
        return "\n".join(
            f"{chapter}  {band.text}: {band}"
            for chapter, bands in self.bands.items()
            for band in bands.values()
        )

    def _repr_html_(self) -> str:
        titles = ("chapter", "result", "expected")
        head = "".join(f"<th {HEAD}>{title}</th>" for title in titles)
        body = "".join(
            f'<tr><td {STYLE}>{chapter}</td><th scope="row" {STYLE}>'
            f"{html.escape(band.text)}</th><td {WHOLE}>{band}</td></tr>"
            for chapter, bands in self.bands.items()
            for band in bands.values()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def expected_results() -> Expected:
    """Return what every chapter should find."""
    path = find_expected(Path.cwd())
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    chapters = [name.removeprefix("chapter_") for name in sections]
    return Expected({number: read_bands(path, number)[0] for number in chapters})


def report_results(chapter: str, **values: float) -> None:
    """Show a chapter's results beside their bands.

    Raises OutsideBand, where LLM_CORE_STRICT is set, for a result outside its band,
    without a band, or missing. Raises FileNotFoundError if there are no bands at all.
    """
    seconds = time.perf_counter() - STARTED
    bands, usual = read_bands(find_expected(Path.cwd()), chapter)
    unknown = values.keys() - bands.keys()
    if unknown:
        raise ValueError(f"expected.toml has no band for {', '.join(sorted(unknown))}")
    took = f"This run took {seconds:.0f} s; on two processor cores it takes about "
    report = Report(values, bands, f"{took}{usual:.0f} s.")
    display(report)  # type: ignore[no-untyped-call]
    problems = [*report.outside, *(bands.keys() - values.keys())]
    if problems and os.environ.get("LLM_CORE_STRICT"):
        raise OutsideBand(f"chapter {chapter}: {', '.join(problems)}\n{report!r}")


def glue(**values: Any) -> None:
    """Keep values for the prose, which pastes them with {glue:text}`name`.

    Nothing is shown. A value is a number or a text; a tensor with one element counts
    as a number.
    """
    for name, value in values.items():
        plain = value.item() if hasattr(value, "item") else value
        prefix = "application/papermill.record/"
        metadata = {"scrapbook": {"name": name, "mime_prefix": prefix}}
        data = {f"{prefix}text/plain": repr(plain)}
        display(data, raw=True, metadata=metadata)  # type: ignore[no-untyped-call]
