"""Logits in, the next token's distribution in the reader's hands out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import traitlets

from llm_core.course.widgets.base import Widget, table, visible


class Sampler(Widget):
    """The next token's distribution, under temperature, top-k, top-p, and a draw.

    `tokens` are the texts of the vocabulary, `logits` one number for each, and
    `context` the text they continue.
    """

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    logits = traitlets.List(traitlets.Float()).tag(sync=True)
    context = traitlets.Unicode().tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int().tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self, tokens: Sequence[str], logits: Sequence[float], context: str = ""
    ) -> None:
        if not tokens or len(tokens) != len(logits):
            raise ValueError(
                "expected one logit for each of at least one token, "
                f"got {len(tokens)} tokens and {len(logits)} logits"
            )
        super().__init__(
            tokens=list(tokens),
            logits=[round(float(logit), 4) for logit in logits],
            context=context,
            top_k=len(tokens),
        )

    def fallback(self) -> str:
        """Return a table of the twelve likeliest tokens, at temperature 1."""
        top = max(self.logits)
        terms = [math.exp(logit - top) for logit in self.logits]
        ranked = sorted(range(len(terms)), key=lambda i: (-terms[i], i))[:12]
        rows = [
            (visible(self.tokens[i]), f"{100 * terms[i] / sum(terms):.1f} %")
            for i in ranked
        ]
        return table(["token", "chance"], rows, f"Next after “{visible(self.context)}”")
