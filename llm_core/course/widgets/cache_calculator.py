"""The shapes of some models and devices in, what it takes to serve them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import traitlets

import llm_core  # lazily: the other widgets need no torch
from llm_core.course.widgets.base import Widget, table

if TYPE_CHECKING:
    from llm_core import GPTConfig

BITS = (4, 8, 16, 32)


class CacheCalculator(Widget):
    """Memory for weights and cache, and how fast memory lets a model write.

    `shapes` are models by name, `devices` their memory (GB) and bandwidth (GB/s) by
    name; `name` and `device` are there first, with rows of the model's max_seq_len. A
    GB is 10⁹ bytes. Scales of rounded weights are not counted, nor what a program needs
    beside, so that speeds are upper bounds. Raises ValueError for an unknown name or
    number of bits.
    """

    models = traitlets.Dict().tag(sync=True)
    devices = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    device = traitlets.Unicode().tag(sync=True)
    weight_bits = traitlets.Int().tag(sync=True)
    cache_bits = traitlets.Int().tag(sync=True)
    context = traitlets.Int().tag(sync=True)
    batch_size = traitlets.Int().tag(sync=True)
    memory = traitlets.Int().tag(sync=True)
    bandwidth = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        shapes: Mapping[str, GPTConfig],
        name: str,
        devices: Mapping[str, tuple[int, int]],
        device: str,
        *,
        weight_bits: int = 16,
        cache_bits: int = 16,
        batch_size: int = 1,
    ) -> None:
        for known, got in ((shapes, name), (devices, device)):
            if got not in known:
                raise ValueError(f"expected one of {', '.join(known)}, got {got!r}")
        for bits in (weight_bits, cache_bits):
            if bits not in BITS:
                raise ValueError(f"bits must be one of {BITS}, got {bits}")
        memory, bandwidth = devices[device]
        super().__init__(
            models={each: served(shape) for each, shape in shapes.items()},
            devices={each: list(numbers) for each, numbers in devices.items()},
            chosen=name,
            device=device,
            weight_bits=weight_bits,
            cache_bits=cache_bits,
            context=shapes[name].max_seq_len,
            batch_size=batch_size,
            memory=memory,
            bandwidth=bandwidth,
        )

    def fallback(self) -> str:
        """Return a table of what the models need, each with full rows."""
        rows = []
        for name, model in self.models.items():
            weights = model["parameters"] * self.weight_bits / 8
            row = cache_numbers(model) * model["max_seq_len"] * self.cache_bits / 8
            fit = max(0, int((self.memory * 1e9 - weights) // row))
            read = model["read"] * self.weight_bits / 8 + row
            speed = f"{float(f'{self.bandwidth * 1e9 / read:.3g}'):,.6g}"
            speed = speed if fit else "does not fit"
            numbers = [f"{weights / 1e9:,.2f}", f"{row / 1e9:,.3f}", f"{fit:,}", speed]
            rows.append([name, f"{model['max_seq_len']:,}", *numbers])
        header = ["model", "tokens in a row", "weights (GB)", "cache of a row (GB)"]
        header += ["rows that fit", "tokens per second of one row, at most"]
        caption = (
            f"{self.weight_bits} bits for a weight, {self.cache_bits} in the cache, "
            f"{self.memory:,} GB at {self.bandwidth:,} GB/s"
        )
        return f'<div class="llm-scroll">{table(header, rows, caption)}</div>'


def served(shape: GPTConfig) -> dict[str, int]:
    """Return the numbers of a model on which its serving depends.

    `read` counts the parameters that every step reads: all but the tables of which it
    looks up a row.
    """
    parameters = llm_core.estimate_model_size(shape).parameters
    tables = 0 if shape.tie_embeddings else shape.vocab_size * shape.d_model
    if shape.positions == "learned":
        tables += shape.max_seq_len * shape.d_model
    return {
        "parameters": parameters,
        "read": parameters - tables,
        "num_layers": shape.num_layers,
        "num_heads": shape.num_heads,
        "kv_heads": shape.key_value_heads,
        "head_dim": shape.head_dim,
        "max_seq_len": shape.max_seq_len,
    }


def cache_numbers(model: Mapping[str, int]) -> int:
    """Return how many numbers a position keeps: a key and a value a head and layer."""
    return 2 * model["num_layers"] * model["kv_heads"] * model["head_dim"]
