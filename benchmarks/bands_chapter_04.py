"""Measure chapter 04's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_04.py

Run it after a change to the stories or to the chapter's sizes that was meant.
"""

from math import sqrt
from statistics import fmean, stdev

import torch

from llm_core.stories import Story, sample_stories

SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
CHANNELS = 256


def stories(seed: int) -> list[Story]:
    """Return the stories in which the chapter measures distances."""
    return list(sample_stories(1_000, seed=seed))


def share_beyond(stories: list[Story], window: int, nearest: bool = True) -> float:
    """Return the share of needed facts that were last told farther back than that.

    With `nearest` false the distance is that to the first time: the planted fault.
    """
    beyond = []
    for story in stories:
        for fact in story.facts:
            for place in fact.needed_at if fact.name != "pronoun" else ():
                told = story.text.lower().rfind(fact.value.lower(), 0, place)
                beyond.append(place - (told if nearest else fact.set_at) > window)
    return fmean(beyond)


def entropy_and_spread(
    seed: int, scale: float, d: int = CHANNELS, axis: int = 1
) -> tuple[float, float]:
    """Return the softmax's entropy in bits, and the standard deviation of the scores.

    1,000 random queries meet 64 random keys. Axis 0, over the queries, is a fault.
    """
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(1_000, d, generator=generator)
    scores = queries @ torch.randn(64, d, generator=generator).T
    weights = (scores * scale).softmax(dim=axis)
    bits = -(weights * weights.clamp_min(1e-30).log2()).sum(dim=axis)
    return bits.mean().item(), scores.std().item()


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with other stories and other vectors."""
    plain, spread = entropy_and_spread(seed, 1.0)
    return {
        "needed_beyond_200": share_beyond(stories(seed), 200),
        "score_spread": spread,
        "entropy_unscaled": plain,
        "entropy_scaled": entropy_and_spread(seed, 1 / sqrt(CHANNELS))[0],
    }


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2  # so that it holds all five
        half = max(1.49 * stdev(values), 0.0099 * fmean(values))  # as wide as may be
        print(f"\n[chapter_04.{name}]")
        print(f"low = {middle - half:.4f}")
        print(f"high = {middle + half:.4f}")
        print(f"measured = [{', '.join(f'{value:.4f}' for value in values)}]")


if __name__ == "__main__":
    main()
