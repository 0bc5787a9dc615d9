"""Attention weights in, maps to browse out, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import traitlets

from llm_core.course.widgets.base import Widget, table, visible


class AttentionMap(Widget):
    """Whom each token of a sentence reads, in one head after another.

    `weights` is (layers, heads, T, T): how much row t reads column s <= t. Layers,
    heads and tokens count from 0 here, and from 1 in the figure's words.
    """

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.List(traitlets.List()).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    focus = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str],
        weights: Any,
        layer: int = 0,
        head: int = 0,
        focus: int | None = None,
    ) -> None:
        weights = np.asarray(weights)
        length = len(tokens)
        if weights.ndim != 4 or weights.shape[2:] != (length, length):
            raise ValueError(
                f"weights must be (layers, heads, {length}, {length}) for {length} "
                f"tokens, got {weights.shape}"
            )
        super().__init__(
            tokens=list(tokens),
            weights=[[_past(head) for head in heads] for heads in weights],
            layer=layer,
            head=head,
            focus=length - 1 if focus is None else focus,
        )

    def fallback(self) -> str:
        """Return the map of the first head on show as a table, in percent."""
        names = [visible(token) for token in self.tokens]
        rows = [
            [name, *(f"{100 * weight:.1f}" for weight in row)]
            for name, row in zip(
                names, self.weights[self.layer][self.head], strict=True
            )
        ]
        caption = f"Layer {self.layer + 1}, head {self.head + 1}: rows read columns (%)"
        return f'<div class="llm-scroll">{table(["", *names], rows, caption)}</div>'


def _past(head: npt.NDArray[np.floating[Any]]) -> list[list[float]]:
    """Return the part of a (T, T) map that is not the future, short enough to send."""
    # Most weights of a long text are 0, and "0" is a third of "0.0".
    return [
        [round(float(w), 3) or 0 for w in row[: t + 1]] for t, row in enumerate(head)
    ]
