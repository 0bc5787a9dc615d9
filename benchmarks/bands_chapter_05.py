"""Measure chapter 05's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_05.py

It computes with the notebook's own functions, in about two minutes on one core.
"""

import contextlib
import io
import math
from functools import cache
from statistics import fmean, stdev
from typing import Any

from llm_core.course.quote import NOTEBOOKS, Chapter

STACK_SEEDS = (2, 1, 3, 4, 5)  # the notebook's own first
TRAINING_SEEDS = (0, 1, 2, 3, 4)
# The cells that define what is needed here, by their ids.
CELLS = {"imports", "draw", "likeness-code", "flow", "measure"}
CELLS |= {"ff-agrees", "naive-ff", "measure-all", "text", "tiny-model", "train"}
LOSSES: dict[str, dict[str, Any]] = {
    "loss_replaced": {"residual": False, "norm": "pre"},
    "loss_post": {"residual": True, "norm": "post"},
    "loss_pre": {"residual": True, "norm": "pre"},
    "loss_pre_small": {"residual": True, "norm": "pre", "small_outputs": True},
}


@cache
def chapter() -> dict[str, Any]:
    """Return what the notebook's cells define, by name."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in Chapter(NOTEBOOKS / "05_block.ipynb").notebook["cells"]:
            if cell["id"] in CELLS:
                exec("".join(cell["source"]), names)
    return names


def measure(seed: int, **switches: Any) -> tuple[list[float], ...]:
    """Draw 32 attentions; return size, gradient and likeness by depth."""
    names = chapter()
    attention = names["MultiHeadAttention"]
    parts = names["draw"]([attention(32, 4) for _ in range(32)], seed)
    return names["measure"](parts, seed=seed, **switches)


def pre_norm_stack(seed: int, **fault: Any) -> dict[str, float]:
    """Measure the stack with pre-norm, or with a fault."""
    sizes, gradients, likenesses = measure(seed, **{"norm": "pre", **fault})
    top = {"size_pre": sizes[-1], "likeness_pre": likenesses[-1]}
    return top | {"gradient_pre": gradients[0]}


def measure_stacks(seed: int) -> dict[str, float]:
    """Measure the stacks before training."""
    added, replaced = measure(seed), measure(seed, residual=False)
    return {
        "size_added": math.log10(added[0][-1]),
        "likeness_replaced": replaced[2][-1],
        **pre_norm_stack(seed),
    }


def final_loss(seed: int = 0, **switches: Any) -> float:
    """Train a stack; return its mean loss over the last twenty steps."""
    return fmean(chapter()["train"](seed=seed, **switches)[-20:])


def main() -> None:
    """Print the bands as expected.toml holds them."""
    stacks = [measure_stacks(seed) for seed in STACK_SEEDS]
    results = {name: [stack[name] for stack in stacks] for name in stacks[0]}
    for name, switches in LOSSES.items():
        results[name] = [final_loss(seed, **switches) for seed in TRAINING_SEEDS]
    for name, values in results.items():
        middle = (min(values) + max(values)) / 2  # a band holds all five
        # 2 % wide, or three standard deviations, if that is more.
        half = max(0.0099 * abs(middle), 1.5 * stdev(values))
        print(f"\n[chapter_05.{name}]")
        print(f"low = {middle - half:.4g}")
        print(f"high = {middle + half:.4g}")
        print(f"measured = [{', '.join(f'{value:.4g}' for value in values)}]")


if __name__ == "__main__":
    main()
