"""Counts of three next characters in, gradient descent towards them out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import traitlets

from llm_core.course.widgets.base import Widget, table, visible


class GradientSteps(Widget):
    """Gradient descent on the logits of three characters, a step at a time.

    `counts` says how often each character came next. The logits of the first two are
    free and begin at `start`; the third stays 0, since only differences matter. The
    path is a function of the start, the rate and the number of steps, nothing else.

    Raises ValueError unless there are three characters that all occur.
    """

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    counts = traitlets.List(traitlets.Int()).tag(sync=True)
    rate = traitlets.Float().tag(sync=True)
    first = traitlets.Float().tag(sync=True)
    second = traitlets.Float().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        counts: Mapping[str, int],
        rate: float = 1.0,
        start: tuple[float, float] = (-3.0, 3.0),
    ) -> None:
        if len(counts) != 3 or min(counts.values()) < 1:
            raise ValueError(
                f"expected three characters with counts above 0, got {dict(counts)}"
            )
        super().__init__(
            names=list(counts),
            counts=list(counts.values()),
            rate=rate,
            first=start[0],
            second=start[1],
        )

    def fallback(self) -> str:
        """Return a table of the first steps."""
        names = [visible(name) for name in self.names]
        shares = [count / sum(self.counts) for count in self.counts]
        logits = [self.first, self.second, 0.0]
        rows = []
        for step in range(11):
            terms = [math.exp(z) for z in logits]
            p = [term / sum(terms) for term in terms]
            loss = -sum(q * math.log(each) for q, each in zip(shares, p, strict=True))
            chances = [f"{100 * each:.1f} %" for each in p]
            rows.append([str(step), *chances, f"{loss:.4f}"])
            for i in (0, 1):
                logits[i] -= self.rate * (p[i] - shares[i])
        goal = ", ".join(
            f"{name} {100 * q:.1f} %" for name, q in zip(names, shares, strict=True)
        )
        caption = f"Gradient descent with rate {self.rate:g}; counted: {goal}"
        return table(["step", *names, "loss"], rows, caption)
