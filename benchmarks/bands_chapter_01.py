"""Measure chapter 01's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_01.py

Run it after a change to the stories, or to what the chapter computes, that was meant.
The functions are the notebook's own.
"""

import ast
import zlib
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from llm_core import load_corpus, sample_stories
from llm_core.course.quote import Chapter

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_counting.ipynb"
SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
WEIGHT = 10  # what the chapter finds best, of the values that it tries
HALF_WIDTH = 0.0099  # of the mean; or one and a half standard deviations, if more


def chapter_functions() -> dict[str, Any]:
    """Return the functions that the chapter defines, exercises aside."""
    first, *cells = Chapter(NOTEBOOK).cells
    body = [node for cell in cells for node in cell.tree.body]
    made = [
        node
        for node in body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith(("my_", "solution_"))
    ]
    namespace: dict[str, Any] = {}
    exec(first.source, namespace)
    exec(compile(ast.Module(made, []), NOTEBOOK.name, "exec"), namespace)
    return namespace


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with other stories."""
    chapter = chapter_functions()
    stories = load_corpus("stories", num_stories=2_000, seed=seed)
    fresh = load_corpus("stories", num_stories=100, seed=seed + 1)
    tables = chapter["count_all"](stories.documents, 12)
    few = chapter["count_all"](stories.documents[:250], 12)
    chapter["alphabet"] = sorted(tables[1][""])
    bits = chapter["measure"](tables, fresh.documents, WEIGHT)
    few_bits = chapter["measure"](few, fresh.documents, WEIGHT)
    rows: list[Any] = []
    for story in sample_stories(100, seed=seed + 1):
        row = chapter["chances"](tables, story.text, WEIGHT)[:, int(bits.argmin())]
        rows += chapter["fact_costs"](story, -np.log2(row))
    packed = zlib.compress(fresh.text.encode("utf-8"), level=9)
    assert fresh.floor
    return {
        "floor": fresh.floor.rate,
        "bits_1": bits[0],
        "bits_3": bits[2],
        "bits_6": bits[5],
        "bits_12": bits[11],
        "bits_12_few": few_bits[11],
        "packed": 8 * len(packed) / fresh.num_characters,
        "fact_bits": fmean(cost for _, _, cost in rows),
    }


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        centre = fmean(values)
        reach = max(HALF_WIDTH * centre, 1.49 * stdev(values))
        low, high = centre - reach, centre + reach
        print(f"\n[chapter_01.{name}]")
        print(f"low = {low:.4f}")
        print(f"high = {high:.4f}")
        print(f"measured = [{', '.join(f'{value:.4f}' for value in values)}]")


if __name__ == "__main__":
    main()
