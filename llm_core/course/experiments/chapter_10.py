"""The runs of chapter 10: the same model, the same seeds, and many ways to draw."""

import json
import math
from functools import cache
from typing import Any

import torch

from llm_core.checkpoint import PRETRAINED, load_pretrained
from llm_core.course.recordings import Results, recorded
from llm_core.evaluation import share_consistent
from llm_core.generation import SamplingConfig, sample
from llm_core.model import GPTModel
from llm_core.stories import parse_story
from llm_core.tokenizer import END_OF_TEXT, Tokenizer

STORIES = 100  # in one run
WORDS = 4  # in a row, to be counted as different or not
ROWS = 10_000  # of so many words that are counted
Told = list[tuple[str, float]]  # texts, and what the model finds each to cost in bits


@cache
def shipped() -> tuple[GPTModel, Tokenizer]:
    """Return the model that tells the stories of this course, and its tokenizer."""
    return load_pretrained("stories")


def model_hash() -> str:
    """Return the first digits of the hash by which the shipped weights are known."""
    manifest = (PRETRAINED / "stories" / "manifest.json").read_text(encoding="utf-8")
    digits: str = json.loads(manifest)["model.safetensors"]
    return digits[:12]


def told_by_model(sampling: SamplingConfig, count: int, seed: int) -> Told:
    """Let the shipped model write whole documents; return each with its cost in bits.

    The cost is what the model itself says, before any filter.
    """
    model, tokenizer = shipped()
    end = tokenizer.special_tokens[END_OF_TEXT]
    ids = torch.full((count, 1), end)
    steps, running = [], torch.ones(count, dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    limit = model.config.max_seq_len - 1
    for step in sample(model, ids, limit, sampling, generator):
        steps.append(step)
        running &= step.ids != end
        if not running.any():
            break
    rows = torch.stack([step.ids for step in steps], dim=1)  # (B, T)
    nats = -torch.stack([step.log_probabilities for step in steps], dim=1)
    ended = (rows == end).int().cumsum(dim=1) > 0
    lengths = (~ended).sum(dim=1).tolist()
    return [
        (tokenizer.decode(row[:n].tolist()), float(costs[: n + 1].sum()) / math.log(2))
        for row, costs, n in zip(rows, nats, lengths, strict=True)
    ]


def distinct(texts: list[str], words: int = WORDS, rows: int = ROWS) -> float:
    """Return the share of different ones among the first so many rows of words."""
    found: list[tuple[str, ...]] = []
    for text in texts:
        split = text.split()
        found += zip(*(split[i:] for i in range(words)), strict=False)
    return len(set(found[:rows])) / len(found[:rows])


def measure(told: Told) -> Results:
    """Return what is good about stories, and how much they differ.

    `consistent` contradict themselves in nothing; `flawless` could have been told by
    the grammar itself, word by word. Bits are per character: `bits` under the model,
    `grammar_bits` of the flawless ones under the grammar, None if they are few.
    """
    texts = [text for text, _ in told]
    parsed = [(story, text) for text in texts for story in parse_story(text)[:1]]
    cost = sum(story.bits for story, _ in parsed)
    return {
        "consistent": share_consistent(texts),
        "flawless": len(parsed) / len(texts),
        "distinct": distinct(texts),
        "ended": sum(text.endswith("\n\n") for text in texts) / len(texts),
        "bits": sum(bits for _, bits in told) / sum(map(len, texts)),
        "grammar_bits": cost / sum(len(text) for _, text in parsed)
        if len(parsed) >= 10
        else None,
    }


def points(temperature: float, filter: str, *values: float) -> list[dict[str, Any]]:
    """Return a point for each value of one filter."""
    each = {"temperature": temperature, "filter": filter, "seed": 0}
    return [{**each, "value": value} for value in values]


@recorded(
    points=[
        *(
            {"temperature": temperature, "filter": "", "seed": 0, "value": None}
            for temperature in (0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
        ),
        *points(1.0, "top_k", 2, 4, 8, 16, 32),
        *points(1.0, "top_p", 0.3, 0.5, 0.7, 0.9, 0.97),
        *points(1.0, "min_p", 0.5, 0.3, 0.2, 0.1, 0.03),
        *points(1.0, "repetition_penalty", 1.1, 1.2, 1.4),
        *points(1.5, "top_k", 16),
        *points(1.5, "top_p", 0.9),
        *points(1.5, "min_p", 0.1),
    ],
    tolerance=0.15,
)
def frontier(
    temperature: float, filter: str, value: float | None, seed: int
) -> Results:
    """Tell stories in one way of drawing, and measure them."""
    chosen: dict[str, Any] = {filter: value} if filter else {}
    sampling = SamplingConfig(temperature=temperature, **chosen)
    return {"model": model_hash(), **measure(told_by_model(sampling, STORIES, seed))}
