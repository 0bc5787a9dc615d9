"""Measure chapter 10's bands over five seeds: python benchmarks/bands_chapter_10.py.

The seeds choose the true stories whose places are looked at, and the draws; the model
is the one that ships, so the bands are measured anew when it changes.
"""

import math

import torch

from llm_core import load_pretrained, sample_stories
from llm_core.course.experiments.chapter_10 import measure, told_by_model
from llm_core.evaluation import next_token_scores
from llm_core.generation import (
    SamplingConfig,
    keep_min_p,
    keep_top_p,
    scale_by_temperature,
)


def entropy(logits):
    """Return the mean entropy of rows of logits, in bits."""
    nats = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)
    return nats.mean().item() / math.log(2)


def left(logits):
    """Return how many tokens of a row may be drawn, on average."""
    return (logits > float("-inf")).sum(dim=-1).float().mean().item()


def look(seed, heat=scale_by_temperature, top_p=keep_top_p, min_p=keep_min_p):
    """Return what the chapter says of the places of twenty true stories."""
    model, tokenizer = load_pretrained("stories")
    stories = sample_stories(20, seed=seed + 10)
    scores = torch.cat(
        [next_token_scores(model, tokenizer, story.text)[:-1] for story in stories]
    )
    return {
        "entropy_1": entropy(heat(scores, 1.0)),
        "entropy_2": entropy(heat(scores, 2.0)),
        "kept_top_p": left(top_p(scores, 0.9)),
        "kept_min_p": left(min_p(scores, 0.05)),
    }


def draw(seed, sampling=SamplingConfig(min_p=0.1)):  # noqa: B008
    """Return the bits per character of a hundred stories that the model tells."""
    return measure(told_by_model(sampling, 100, seed=seed + 1))["bits"]


if __name__ == "__main__":
    runs = [look(seed) | {"drawn_bits": draw(seed)} for seed in range(5)]
    for name in runs[0]:
        values = [run[name] for run in runs]
        spread = torch.tensor(values).std().item()
        print(f"{name}: {[round(v, 5) for v in values]}, 3 sd {3 * spread:.4f}")
