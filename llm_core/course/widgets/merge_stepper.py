"""A text in, the merges that byte-pair encoding learns from it out."""

from __future__ import annotations

import traitlets

from llm_core.course.widgets.base import Widget, table, visible
from llm_core.tokenizer import (
    GPT2_PATTERN,
    best_pair,
    count_pairs,
    count_words,
    merge_pair,
)


class MergeStepper(Widget):
    """Byte-pair encoding on a text of the reader's, one merge at a time.

    It learns as BPETokenizer does, in the page: the script repeats the rules of
    `llm_core.tokenizer`, and a test holds it to them.
    """

    text = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, text: str, step: int = 0) -> None:
        super().__init__(text=text, step=step)

    def fallback(self) -> str:
        """Return a table of the first ten merges."""
        rows: list[list[str]] = []
        words = count_words([self.text], GPT2_PATTERN)
        tokens = [bytes([byte]) for byte in range(256)]
        pieces = [(list(word), count) for word, count in words.items()]
        while len(rows) < 10 and (counts := count_pairs(pieces)):
            pair = best_pair(counts, tokens)
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            new = len(tokens) - 1
            pieces = [(merge_pair(ids, pair, new), count) for ids, count in pieces]
            texts = (tokens[id].decode(errors="replace") for id in (*pair, new))
            left, right, both = map(visible, texts)
            rows.append([str(len(rows) + 1), left, right, both, str(counts[pair])])
        header = ["merge", "left", "right", "new token", "count"]
        return table(header, rows, f"The first merges on “{self.text}”")
