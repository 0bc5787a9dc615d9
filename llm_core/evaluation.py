"""A model and stories in, what it has understood out; does not know how it learned.

A loss alone hides whether a model remembers who lost what: it can lie close to the
floor while no sample is consistent. So facts are counted, by how far back they were
set.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from llm_core.generation import SamplingConfig, encode_prompt, sample
from llm_core.model import GPTModel, evaluation_mode
from llm_core.stories import Need, Story, check_story
from llm_core.tokenizer import END_OF_TEXT, Tokenizer

# Where one distance ends and the next begins, in characters.
DISTANCES = (0, 50, 100, 200, 400, 1000)


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Of `total` facts needed at some distance, in characters: how many were right.

    A fact is right if, where it is needed, the model finds its value more probable than
    any other value it could have had.
    """

    nearest: int
    farthest: int
    right: int
    total: int


def recall_by_distance(
    model: GPTModel, tokenizer: Tokenizer, stories: Iterable[Story]
) -> list[Recall]:
    """Count the facts that the model recalls, by the characters since they were set.

    Facts that lie beyond the model's max_seq_len are left out.
    """
    right = [0] * (len(DISTANCES) - 1)
    total = [0] * (len(DISTANCES) - 1)
    for story in stories:
        scores = next_token_scores(model, tokenizer, story.text)
        for fact in story.facts:
            for need in fact.needs:
                duels = list(rivals(tokenizer, story.text, need))
                if any(position >= len(scores) for position, *_ in duels):
                    continue
                distance = bisect_right(DISTANCES, need.position - fact.set_at) - 1
                total[distance] += 1
                right[distance] += all(
                    scores[position, true] > scores[position, rival]
                    for position, true, rival in duels
                )
    return [
        Recall(nearest=nearest, farthest=farthest, right=right[i], total=total[i])
        for i, (nearest, farthest) in enumerate(pairwise(DISTANCES))
    ]


@torch.no_grad()
def next_token_scores(model: GPTModel, tokenizer: Tokenizer, text: str) -> Tensor:
    """(T, V): the logits at the place of each token of a text, from its beginning on.

    Row t is what the model expects in place of token t of `tokenizer.encode(text)`.
    """
    ids = encode_prompt(tokenizer, text)[: model.config.max_seq_len]
    device = model.token_embedding.weight.device
    with evaluation_mode(model):
        scores: Tensor = model(torch.tensor([ids], device=device))[0]
    if END_OF_TEXT in tokenizer.special_tokens:
        return scores
    # Without a start token nothing is expected in place of the first.
    return torch.cat([torch.zeros_like(scores[:1]), scores])


def rivals(
    tokenizer: Tokenizer, text: str, need: Need
) -> Iterator[tuple[int, int, int]]:
    """Find the tokens that tell the needed value of a fact from each other value.

    Yields the index in `tokenizer.encode(text)` where the two part, the id that stands
    there, and the id that the other value would put in its place.
    """
    # Words are encoded alone, so it is enough to look from the word before on.
    start = max(0, text.rfind(" ", 0, max(0, need.position - 1)))
    end = need.position + len(need.value)
    before, after = text[start : need.position], text[end : end + 1]
    first = len(tokenizer.encode(text[:start]))
    true = tokenizer.encode(before + need.value + after)
    for alternative in need.alternatives:
        other = tokenizer.encode(before + alternative + after)
        pairs = zip(true, other, strict=False)
        shared = next(i for i, (a, b) in enumerate(pairs) if a != b)
        yield first + shared, true[shared], other[shared]


def needed_tokens(tokenizer: Tokenizer, story: Story) -> list[bool]:
    """Say of each token in `tokenizer.encode(story.text)` whether it tells a fact."""
    ids = tokenizer.encode(story.text)
    ends = list(accumulate(len(tokenizer.token_bytes(id)) for id in ids))
    needed = [False] * len(ids)
    for fact in story.facts:
        for need in fact.needs:
            start = len(story.text[: need.position].encode())
            end = start + len(need.value.encode())
            for i in range(bisect_right(ends, start), bisect_left(ends, end) + 1):
                needed[i] = True
    return needed


def sample_documents(
    model: GPTModel,
    tokenizer: Tokenizer,
    count: int,
    sampling: SamplingConfig,
    generator: torch.Generator | None = None,
) -> list[str]:
    """Let the model write whole documents, from end-of-text id to end-of-text id.

    One that does not end within max_seq_len ids is returned as far as it came.
    """
    end = tokenizer.special_tokens[END_OF_TEXT]
    device = model.token_embedding.weight.device
    ids = torch.full((count, 1), end, device=device)
    columns: list[Tensor] = []
    ended = torch.zeros(count, dtype=torch.bool, device=device)
    limit = model.config.max_seq_len - 1
    for step in sample(model, ids, limit, sampling, generator):
        columns.append(step.ids)
        ended |= step.ids == end
        if ended.all():
            break
    rows = torch.stack(columns, dim=1).tolist()
    return [
        tokenizer.decode(row[: row.index(end)] if end in row else row) for row in rows
    ]


def share_consistent(texts: Sequence[str]) -> float:
    """Return the share of texts that are whole stories with no broken fact."""
    return sum(not check_story(text) for text in texts) / len(texts)
