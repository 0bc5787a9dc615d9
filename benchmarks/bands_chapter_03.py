"""Measure chapter 03's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_03.py

What is measured is the chapter itself: its own cells, with other stories, other batches
and other first weights. Run it after a change to the stories that was meant.
"""

import contextlib
import io
import json
import os
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

os.environ.setdefault("MPLBACKEND", "agg")
NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "03_gradient.ipynb"
TABLE = ("imports", "stories", "counted", "train", "learn")
WORDS = ("words", "word-counts", "added", "factored", "train-words", "word-bits")
SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
RESULTS = {
    "counted": "counted",
    "halfway": "halfway",
    "learned": "learned",
    "above_counted": "learned - counted",
    "word_bits": "word_bits",
}


def run_cells(cells: tuple[str, ...], **changed: str) -> dict[str, Any]:
    """Run cells of the chapter, each change "old => new" made; return what they set.

    Raises ValueError for a change whose old text the cells do not have.
    """
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    code = "\n".join(sources[cell] for cell in cells)
    for change in changed.values():
        old, new = change.split(" => ")
        if old not in code:
            raise ValueError(f"the chapter has no {old!r}")
        code = code.replace(old, new)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code.replace("glue(", "dict("), names)
    return names


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with other chances."""
    names = run_cells(
        TABLE + WORDS,
        stories=f"num_stories=1_000 => num_stories=1_000, seed={seed}",
        fresh=f"num_stories=100, seed=1 => num_stories=100, seed={seed + 1}",
        first=f"seed=0): => seed={seed}):",
        second=f"falling, seed=1) => falling, seed={seed + 1})",
        weights=f"torch.manual_seed(0) => torch.manual_seed({seed})",
    )
    return {name: eval(value, names) for name, value in RESULTS.items()}


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2
        half = max(0.0099 * fmean(values), 1.49 * stdev(values))
        print(f"\n[chapter_03.{name}]")
        print(f"low = {middle - half:.5f}")
        print(f"high = {middle + half:.5f}")
        print(f"measured = [{', '.join(f'{value:.5f}' for value in values)}]")


if __name__ == "__main__":
    main()
