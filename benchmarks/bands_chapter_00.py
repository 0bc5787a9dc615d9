"""Measure chapter 00's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_00.py

The first two results are exact: they have the same value whatever the numbers.
"""

from statistics import fmean

import torch
from torch import Tensor

SEEDS = (0, 1, 2, 3, 4)  # the notebook's own first
HALF_WIDTH = 0.0099  # of the mean; a band may be 2 % wide
STORIES = ("the cat sat", "the hen ate", "the dog ran")


def split(x: Tensor) -> Tensor:
    """(T, C) -> (H, T, D), with H = 2."""
    return x.view(x.shape[0], 2, -1).transpose(0, 1)


def rows_that_add_up(generator: torch.Generator) -> int:
    """Count the rows of a table of chances that add up to 1."""
    V = len(set("".join(STORIES)))
    counts = torch.randint(1, 9, (V, V), generator=generator)
    chances = counts / counts.sum(dim=1, keepdim=True)
    return int(torch.isclose(chances.sum(dim=1), torch.ones(V)).sum())


def positions_touched(generator: torch.Generator) -> int:
    """Count the positions of the heads that change when one of x does."""
    x = torch.randn(len(STORIES[0]), 4, generator=generator)
    changed = x.clone()
    changed[5] += 1
    return int((split(changed) != split(x)).any(-1).any(0).sum())


def dot_product_spread(generator: torch.Generator) -> float:
    """Measure how far dot products of 64 random numbers lie from 0."""
    for C in (4, 16, 64):  # in the chapter's order, so that the draws are the same
        a, b = torch.randn(2, 20_000, C, generator=generator)
    return (a * b).sum(dim=1).std().item()


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with other numbers."""
    results = (rows_that_add_up, positions_touched, dot_product_spread)
    names = ("rows_that_add_up_to_1", "positions_touched", "dot_product_spread")
    generators = [torch.Generator().manual_seed(seed) for _ in results]
    values = [f(g) for f, g in zip(results, generators, strict=True)]
    return dict(zip(names, values, strict=True))


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        is_exact = isinstance(values[0], int)
        half = 0 if is_exact else HALF_WIDTH
        low, high = (fmean(values) * (1 + side * half) for side in (-1, 1))
        digits = 0 if is_exact else 3
        print(f"\n[chapter_00.{name}]")
        print(f"low = {low:.{digits}f}")
        print(f"high = {high:.{digits}f}")
        print(f"measured = [{', '.join(f'{value:.{digits}f}' for value in values)}]")


if __name__ == "__main__":
    main()
