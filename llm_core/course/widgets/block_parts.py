"""Measurements of stacks with parts switched off in, a figure to compare them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import traitlets

from llm_core.course.widgets.base import Widget, table

CURVES = ("size", "gradient", "likeness")


class BlockParts(Widget):
    """What flows up and down a stack of blocks, with each of its parts on or off.

    Each of `runs` has its setting, as the traits below name it, and three curves, one
    value before the first block and one after each: the `size` of the numbers, the
    `gradient` that arrives there, and the `likeness` of the positions. Every
    combination of the settings that occur must be there. Nothing is computed in the
    page but the choice.
    """

    runs = traitlets.List(traitlets.Dict()).tag(sync=True)
    residual = traitlets.Bool(True).tag(sync=True)
    norm = traitlets.Unicode("pre").tag(sync=True)  # none, pre or post
    feed_forward = traitlets.Bool(True).tag(sync=True)
    small_outputs = traitlets.Bool(False).tag(sync=True)
    depth = traitlets.Int().tag(sync=True)

    SETTINGS = ("residual", "norm", "feed_forward", "small_outputs", "depth")

    def __init__(self, runs: Sequence[Mapping[str, Any]], **setting: Any) -> None:
        found = [tuple(run[name] for name in self.SETTINGS) for run in runs]
        needed = set(product(*({*values} for values in zip(*found, strict=True))))
        if len(found) != len(needed) or not runs:
            raise ValueError(
                f"expected one run for each of {len(needed)} settings, got {len(found)}"
            )
        for run in runs:
            lengths = {len(run[name]) for name in CURVES}
            if lengths != {run["depth"] + 1}:
                raise ValueError(
                    f"a run through {run['depth']} blocks has {run['depth'] + 1} "
                    f"values in each curve, got {sorted(lengths)}"
                )
        short = [
            {**run, **{name: _short(run[name]) for name in CURVES}} for run in runs
        ]
        deepest = max(run["depth"] for run in runs)
        super().__init__(runs=short, **{"depth": deepest, **setting})

    def fallback(self) -> str:
        """Return what every combination comes to after the chosen number of blocks."""
        rows = [
            [
                "added" if run["residual"] else "replaced",
                run["norm"],
                "yes" if run["feed_forward"] else "no",
                "yes" if run["small_outputs"] else "no",
                f"{run['size'][-1]:.2g}",
                f"{run['gradient'][0]:.2g}",
                f"{run['likeness'][-1]:.2f}",
            ]
            for run in self.runs
            if run["depth"] == self.depth
        ]
        header = ["output is", "norm", "feed-forward", "small outputs"]
        header += ["size at the top", "gradient at the bottom", "likeness at the top"]
        caption = f"{self.depth} blocks, with parts switched on and off"
        return f'<div class="llm-scroll">{table(header, rows, caption)}</div>'


def _short(values: Sequence[float]) -> list[float]:
    """Return values with four digits that count, enough for a picture and a table."""
    return [float(f"{value:.4g}") for value in values]
