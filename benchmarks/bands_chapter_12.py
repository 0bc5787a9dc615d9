"""Measure chapter 12's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_12.py

It computes with the notebook's own functions, in about a minute on one core.
"""

import contextlib
import io
from functools import cache
from statistics import stdev
from typing import Any

from llm_core.course.quote import NOTEBOOKS, Chapter

SEEDS = (0, 1, 2, 3, 4)  # the notebook's own first
# The cells that define what is needed here, by their ids.
CELLS = {"imports", "deal", "scores", "examine", "tiny", "train"}


@cache
def chapter() -> dict[str, Any]:
    """Return what the notebook's cells define, by name."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in Chapter(NOTEBOOKS / "12_inside.ipynb").notebook["cells"]:
            if cell["id"] in CELLS:
                exec("".join(cell["source"]), names)
    return names


def train(layers: int, in_order: bool, seed: int = 0) -> tuple[float, float]:
    """Train a model; return its share of right answers and its last layer's score."""
    _, curve = chapter()["train"](layers, in_order, seed)
    _, right, _, matched = curve[-1]
    return right, matched[-1].item()


def measure(seed: int) -> dict[str, float]:
    """Return what the chapter reports, with a seed."""
    right, matched = train(2, False, seed)
    return {
        "two_layers": right,
        "prefix_matching": matched,
        "one_layer": train(1, False, seed)[0],
        "one_layer_fixed": train(1, True, seed)[0],
    }


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2  # a band holds all five
        # 2 % wide, or three standard deviations, if that is more.
        half = max(0.0099 * abs(middle), 1.49 * stdev(values))
        print(f"\n[chapter_12.{name}]")
        print(f"low = {middle - half:.4f}")
        print(f"high = {min(1.0, middle + half):.4f}")  # they are shares
        print(f"measured = [{', '.join(f'{value:.4f}' for value in values)}]")


if __name__ == "__main__":
    main()
