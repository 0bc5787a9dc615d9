"""The sizes of some trainings in, what any training costs and how long it takes out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import traitlets

from llm_core.course.widgets.base import Widget, table

# What was published: parameters and tokens, and the width and context of the model.
Training = tuple[float, float, int, int]
TRAININGS: Mapping[str, Training] = {
    "GPT-3": (175e9, 300e9, 12_288, 2048),  # Brown et al., 2020, tables 2.1 and D.1
    "Gopher": (280e9, 300e9, 16_384, 2048),  # Rae et al., 2021, table 1
    "Chinchilla": (70e9, 1.4e12, 8192, 2048),  # Hoffmann et al., 2022, table 4
    "LLaMA-7B": (6.7e9, 1.0e12, 4096, 2048),  # Touvron et al., 2023, table 2
    "LLaMA-65B": (65.2e9, 1.4e12, 8192, 2048),
}
# FLOPs in a second at most, as NVIDIA states them: bfloat16, dense, summed in float32.
DEVICES: Mapping[str, float] = {
    "RTX 4090": 165.2e12,
    "A100": 312e12,
    "H100 (SXM)": 989.4e12,
}
HERE = "this page's computer"  # on which a notebook runs, or the book was built


def plan(
    parameters: float,
    tokens: float,
    width: int,
    context: int,
    *,
    peak: float,
    utilization: float = 40,
    count: int = 1,
    ratio: float = 20,
) -> dict[str, float]:
    """Return what a training costs: FLOPs, hours, and the best use of as many FLOPs.

    `utilization` is in percent of the peak; `ratio` is in tokens a parameter. Attention
    is counted whole, for a model that is all blocks: N / 12 C^2 of them. The best use
    keeps width and context.

    >>> round(plan(175e9, 300e9, 12_288, 2048, peak=312e12)["6 N D"] / 1e23, 2)
    3.15
    """
    dense = 6 * parameters * tokens
    attention = parameters * tokens * context / width
    hours = (dense + attention) / (peak * utilization / 100) / 3600
    best = math.sqrt((dense + attention) / (6 + context / width) / ratio)
    return {
        "blocks": parameters / (12 * width**2),
        "6 N D": dense,
        "attention": attention,
        "FLOPs": dense + attention,
        "tokens a parameter": tokens / parameters,
        "device-hours": hours,
        "hours": hours / count,
        "best parameters": best,
        "best tokens": ratio * best,
    }


class ComputePlanner(Widget):
    """FLOPs and hours of a training, from its parameters, tokens and hardware.

    Begins with the training called `name`. `speed` is what the computer at hand does
    at most, in FLOPs a second; `trainings` are others to begin from, beside the
    published ones. Raises ValueError for a name that is none of these.
    """

    trainings = traitlets.Dict().tag(sync=True)
    peaks = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    parameters = traitlets.Float().tag(sync=True)
    tokens = traitlets.Float().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    context = traitlets.Int().tag(sync=True)
    device = traitlets.Unicode("A100").tag(sync=True)
    utilization = traitlets.Int(40).tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)
    ratio = traitlets.Int(20).tag(sync=True)

    def __init__(
        self, name: str, speed: float, trainings: Mapping[str, Training] | None = None
    ) -> None:
        known = {**TRAININGS, **(trainings or {})}
        if name not in known:
            raise ValueError(f"name must be one of {', '.join(known)}, got {name!r}")
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be a positive number, got {speed!r}")
        parameters, tokens, width, context = known[name]
        super().__init__(
            trainings={each: list(numbers) for each, numbers in known.items()},
            peaks={**DEVICES, HERE: speed},
            chosen=name,
            parameters=parameters,
            tokens=tokens,
            width=width,
            context=context,
        )

    def fallback(self) -> str:
        """Return a table of what the named trainings cost on one device."""
        rows = []
        for name, (parameters, tokens, width, context) in self.trainings.items():
            peak = self.peaks[self.device]
            costs = plan(
                parameters,
                tokens,
                width,
                context,
                peak=peak,
                utilization=self.utilization,
            )
            numbers = [parameters, tokens, costs["FLOPs"], costs["device-hours"]]
            rows.append([name, *map(_in_words, numbers)])
        header = ["training", "parameters", "tokens", "FLOPs", "device-hours"]
        caption = f"What some trainings cost: {self.device} at {self.utilization} %"
        return f'<div class="llm-scroll">{table(header, rows, caption)}</div>'


def _in_words(number: float) -> str:
    """Write a number with three digits that count, without an "e".

    >>> _in_words(3.15e23), _in_words(9.34e-7), _in_words(0.0123456), _in_words(23_456)
    ('3.15 · 10²³', '9.34 · 10⁻⁷', '0.0123', '23,456')
    """
    if 999.5 <= number < 999_999.5:
        return f"{number:,.0f}"
    if 0.001 <= number < 999.5:
        return f"{number:.3g}"
    digits, power = f"{number:.2e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits} · 10{raised}"
