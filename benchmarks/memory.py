"""The most memory that `llm-core prepare` and `train` take, for 1 to 100 MB of text.

Each command runs in a process of its own. What it reads are stories, written to a file.
"""

import os
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import Row, alone, at_most, main, peak_memory

from llm_core.cli import main as llm_core
from llm_core.stories import sample_texts

_FLAT = 1.5  # times as much for a hundred times the text


def write_stories(path: Path, characters: int) -> None:
    """Write stories until there are so many characters."""
    with open(path, "w", encoding="utf-8") as file:
        for text, _ in sample_texts(characters // 400):  # more than it takes
            characters -= file.write(text)
            if characters <= 0:
                return


def peak(*arguments: str) -> int:
    """Run a command of `llm-core` here, and return the most bytes that it took."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        if llm_core(arguments):
            raise AssertionError(f"llm-core {' '.join(arguments)} failed")
    return peak_memory()


def peaks(folder: Path, megabytes: float) -> tuple[int, int]:
    """Prepare so much text, and train on it; return the peak of each."""
    text, ids = folder / f"{megabytes}.txt", folder / f"{megabytes}-ids"
    write_stories(text, int(1e6 * megabytes))
    run = str(folder / f"{megabytes}-run")
    train = ("train", "--data", str(ids), "--steps", "10", "--out", run)
    return alone(peak, "prepare", str(text), "--out", str(ids)), alone(peak, *train)


def rows(text: str, quick: bool = False) -> list[Row]:
    """Compare the least text with the most; the benchmark's own text is not needed."""
    sizes = (0.1, 0.2) if quick else (1, 10, 100)
    with TemporaryDirectory() as folder:
        found = [peaks(Path(folder), size) for size in sizes]
    return [
        at_most(
            _FLAT,
            taken[-1] / taken[0],
            target=f"6. Memory of `llm-core {name}`",
            claim=f"flat: for {sizes[-1]} MB at most {_FLAT} × that for {sizes[0]} MB",
            measured=", ".join(
                f"{size} MB: {bytes / 1e6:,.0f} MB"
                for size, bytes in zip(sizes, taken, strict=True)
            ),
            limit="Pages of the file of ids that the system keeps in memory",
        )
        for name, taken in zip(
            ("prepare", "train"), zip(*found, strict=True), strict=True
        )
    ]


if __name__ == "__main__":
    main(__doc__, rows)
