"""A corpus and a tokenizer in, batches of ids out; does not know what a model is.

Every batch is a pure function of (seed, step), so that a run stopped anywhere goes on
with the rows it would have seen. Shapes: N ids in a stream, B batch, T time.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llm_core.corpus import Corpus, Floor
from llm_core.tokenizer import END_OF_TEXT, Tokenizer


class Ids(Protocol):
    """What a stream needs of its ids: an array has it, and so have shards on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any, /) -> npt.NDArray[np.integer]: ...

    def max(self) -> Any:
        """Return the greatest id."""


@dataclass(frozen=True)
class TokenStream:
    """Documents as one row of ids, in memory or memory-mapped.

    `ids` (N,) are the documents one after another, each preceded by the end-of-text id
    where the tokenizer has one, and that id once more at the end. `starts` (documents,)
    are the positions where documents begin. `num_characters` is what the ids decode to,
    which turns nats per token into bits per character; `floor` is what no model can
    beat, where that is known. `weights` (N,) say how much each id counts as a target in
    training, where they do not all count alike.
    """

    ids: Ids
    starts: npt.NDArray[np.int64]
    num_characters: int
    floor: Floor | None = None
    weights: npt.NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        if len(self.ids) < 2 or not len(self.starts):
            raise ValueError(
                "a stream needs one document and two ids at least, "
                f"got {len(self.starts)} and {len(self.ids)}"
            )
        if self.starts[0] != 0 or (np.diff(self.starts) <= 0).any():
            raise ValueError("the documents of a stream must start at 0, and ascend")
        if self.weights is not None and self.weights.shape != (len(self.ids),):
            raise ValueError(
                f"each of the {len(self.ids)} ids needs one weight, "
                f"got weights of shape {self.weights.shape}"
            )

    @property
    def characters_per_token(self) -> float:
        """How much text an id stands for, on average."""
        return self.num_characters / (len(self.ids) - 1)


def encode_corpus(corpus: Corpus, tokenizer: Tokenizer) -> TokenStream:
    """Turn the documents of a corpus into one stream of ids."""
    special_tokens = tokenizer.special_tokens.items()
    boundary = [id for token, id in special_tokens if token == END_OF_TEXT]  # or none
    ids = array("I")  # four bytes an id while they come, not a Python object
    starts = []
    for document in corpus.documents:
        starts.append(len(ids))
        ids.extend(boundary)
        ids.extend(tokenizer.encode(document))
    ids.extend(boundary)
    # Two bytes an id are enough for every vocabulary up to GPT-2's.
    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    return TokenStream(
        ids=np.array(ids, dtype=dtype),
        starts=np.array(starts, dtype=np.int64),
        num_characters=corpus.num_characters,
        floor=corpus.floor,
    )


def sample_batch(
    stream: TokenStream, batch_size: int, length: int, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw rows for one step of training: inputs, targets and their weights, (B, T).

    Targets are the inputs moved on by one. A row is drawn by a random position, and
    ends there unless its document starts later than T ids before: then it starts with
    the document, and runs on into the next. So no row lacks the beginning that its
    facts need, and long documents are read everywhere.
    """
    random = np.random.default_rng((seed, step))
    position = random.integers(len(stream.ids), size=batch_size)  # (B,)
    document = np.searchsorted(stream.starts, position, side="right") - 1
    start = np.maximum(stream.starts[document], position - length + 1)
    window = (start[:, None] + np.arange(length + 1)) % len(stream.ids)  # (B, T + 1)
    rows = torch.from_numpy(stream.ids[window].astype(np.int64))
    weights = torch.ones(batch_size, length)
    if stream.weights is not None:
        weights = torch.from_numpy(stream.weights[window[:, 1:]].astype(np.float32))
    return rows[:, :-1], rows[:, 1:], weights


def evaluation_batches(
    stream: TokenStream, batch_size: int, length: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each id after the first as a target once: inputs, targets, weights (B, T).

    Each document begins a row, so that what is measured is a reader who starts at the
    beginning; one longer than `length` goes on in rows of its own, without what came
    before. Rows are padded to the longest of their batch, with weight 0.
    """
    ends = np.append(stream.starts[1:], len(stream.ids) - 1)
    rows = [
        (row, min(row + length, end))
        for start, end in zip(stream.starts, ends, strict=True)
        for row in range(start, end, length)
    ]
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        shape = (len(batch), max(end - start for start, end in batch))
        inputs, targets = np.zeros((2, *shape), dtype=np.int64)
        weights = np.zeros(shape, dtype=np.float32)
        for i, (start, end) in enumerate(batch):
            inputs[i, : end - start] = stream.ids[start:end]
            targets[i, : end - start] = stream.ids[start + 1 : end + 1]
            weights[i, : end - start] = 1.0
        yield (
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            torch.from_numpy(weights),
        )
