"""A query and a few keys in the plane in, the scores, weights and mix they make out."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt

import traitlets

from llm_core.course.widgets.base import Widget, table, visible

Vector = Sequence[float]


class QueryKey(Widget):
    """One reader's attention by hand: the query can be moved, the keys stay.

    `keys` and `values` are pairs of numbers, one pair for each token. `reader` is the
    place where the query stands, from 0: keys after it are masked.
    """

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    key_vectors = traitlets.List(traitlets.List()).tag(sync=True)
    value_vectors = traitlets.List(traitlets.List()).tag(sync=True)
    x = traitlets.Float(0.0).tag(sync=True)
    y = traitlets.Float(0.0).tag(sync=True)
    reader = traitlets.Int(0).tag(sync=True)
    scaled = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str],
        keys: Sequence[Vector],
        values: Sequence[Vector],
        query: Vector = (1.0, 0.0),
        reader: int | None = None,
        scaled: bool = False,
    ) -> None:
        pairs = [[float(number) for number in pair] for pair in (*keys, *values, query)]
        if not len(tokens) == len(keys) == len(values) > 0:
            raise ValueError(
                "expected as many keys and values as tokens, "
                f"got {len(tokens)}, {len(keys)} and {len(values)}"
            )
        if {len(pair) for pair in pairs} != {2}:
            raise ValueError("query, keys and values must be pairs of numbers")
        *both, (x, y) = pairs
        super().__init__(
            tokens=list(tokens),
            key_vectors=both[: len(tokens)],
            value_vectors=both[len(tokens) :],
            x=x,
            y=y,
            reader=len(tokens) - 1 if reader is None else reader,
            scaled=scaled,
        )

    def weights(self) -> list[tuple[float, float]]:
        """Return the score and the weight of each key that the reader may see."""
        scale = sqrt(2) if self.scaled else 1.0
        seen = self.key_vectors[: self.reader + 1]
        scores = [(self.x * a + self.y * b) / scale for a, b in seen]
        total = sum(map(exp, scores))
        return [(score, exp(score) / total) for score in scores]

    def fallback(self) -> str:
        """Return the computation for the first query as a table."""
        rows = [
            [visible(token), _pair(key), f"{score:.2f}", f"{100 * weight:.1f} %"]
            for token, key, (score, weight) in zip(
                self.tokens, self.key_vectors, self.weights(), strict=False
            )
        ]
        caption = f"The query {_pair([self.x, self.y])} against each key"
        header = ["token", "key", "score", "weight"]
        return f'<div class="llm-scroll">{table(header, rows, caption)}</div>'


def _pair(vector: Vector) -> str:
    """Return a pair of numbers as it is written on paper.

    >>> _pair([1.0, -0.5])
    '(1, −0.5)'
    """
    return "({})".format(", ".join(f"{x:g}".replace("-", "−") for x in vector))
