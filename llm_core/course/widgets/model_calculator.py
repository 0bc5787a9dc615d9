"""The shapes of some models in, what any shape costs out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import traitlets

import llm_core  # lazily: the other widgets need no torch
from llm_core.course.widgets.base import Widget, table

if TYPE_CHECKING:
    from llm_core import GPTConfig

NUMBERS = ("vocab_size", "d_model", "num_layers", "num_heads", "max_seq_len")


class ModelCalculator(Widget):
    """Parameters, memory and work of a GPT, from five numbers and a batch size.

    `shapes` are the models that the reader may begin from, by name, and `name` is the
    one that is there first. The script repeats the formulas of `llm_core.model` for
    GPT-2's form, with 32-bit numbers; tests hold it to `estimate_model_size`, and the
    work to PyTorch's own counter. Raises ValueError for a shape of another form.
    """

    shapes = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    vocab_size = traitlets.Int().tag(sync=True)
    d_model = traitlets.Int().tag(sync=True)
    num_layers = traitlets.Int().tag(sync=True)
    num_heads = traitlets.Int().tag(sync=True)
    max_seq_len = traitlets.Int().tag(sync=True)
    batch_size = traitlets.Int().tag(sync=True)

    def __init__(
        self, shapes: Mapping[str, GPTConfig], name: str, batch_size: int = 1
    ) -> None:
        if name not in shapes:
            raise ValueError(f"name must be one of {', '.join(shapes)}, got {name!r}")
        numbers = {n: _five_numbers(n, shape) for n, shape in shapes.items()}
        super().__init__(
            shapes=numbers, chosen=name, batch_size=batch_size, **numbers[name]
        )

    def fallback(self) -> str:
        """Return a table of what the named models cost."""
        rows = []
        for name, numbers in self.shapes.items():
            config = llm_core.GPTConfig(**numbers)
            size = llm_core.estimate_model_size(config, batch_size=self.batch_size)
            gigabytes = (size.weights / 1e9, size.training / 1e9, size.cache / 1e9)
            shape = [str(numbers[each]) for each in NUMBERS]
            costs = [f"{number:,.2f}" for number in gigabytes]
            rows.append([name, *shape, f"{size.parameters:,}", *costs])
        header = ["model", *NUMBERS, "parameters"]
        header += ["weights (GB)", "training (GB)", "cache (GB)"]
        caption = f"What some models cost, with batches of {self.batch_size}"
        return f'<div class="llm-scroll">{table(header, rows, caption)}</div>'


def _five_numbers(name: str, shape: GPTConfig) -> dict[str, int]:
    """Return the numbers that describe a shape, if they do."""
    numbers = {each: int(getattr(shape, each)) for each in NUMBERS}
    if llm_core.GPTConfig(**numbers) != shape:
        raise ValueError(f"{name} is not of GPT-2's form: got {shape}")
    return numbers
