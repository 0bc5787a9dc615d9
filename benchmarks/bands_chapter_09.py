"""Measure chapter 09's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_09.py            about a minute on two cores
python benchmarks/bands_chapter_09.py rate       one run with a planted fault: rate,
                                                 targets, wild, half or long

Run it after a change to the stories, the model or the trainer that was meant.
"""

import sys
from contextlib import ExitStack
from statistics import fmean, stdev
from unittest.mock import patch

from llm_core import GPTModel, sample_batch
from llm_core.course.experiments import chapter_09 as runs
from llm_core.trainer import TrainConfig

SEEDS = (0, 1, 2, 3, 4)  # the notebook's own first
WIDTH = 8
TEXT = "bits per character of the smallest model"


def unmoved(*arguments):
    """Make a batch whose targets are its inputs."""
    inputs, _, weights = sample_batch(*arguments)
    return inputs, inputs, weights


def ten_times(**choices):
    """Choose a learning rate ten times too high."""
    return TrainConfig(**choices | {"learning_rate": 10 * choices["learning_rate"]})


class Wild(GPTModel):
    """A model whose first weights are twenty times too large."""

    def initialize(self, generator=None):
        """Draw the usual weights, and enlarge them."""
        super().initialize(generator)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                parameter.data *= 20


FAULTS = {
    "rate": ("TrainConfig", ten_times),
    "wild": ("GPTModel", Wild),
}


def measure(seed: int, fault: str = "") -> float:
    """Do what the chapter does, with other first weights and batches."""
    tokens = runs.RATIO * runs.matrix_numbers(runs.shape(WIDTH))
    tokens *= {"half": 0.5, "long": 2}.get(fault, 1)  # another budget of tokens
    with ExitStack() as planted:
        if fault in FAULTS:
            name, faulty = FAULTS[fault]
            planted.enter_context(patch.object(runs, name, faulty))
        if fault == "targets":
            planted.enter_context(patch("llm_core.trainer.sample_batch", unmoved))
        bits: float = runs.train(WIDTH, tokens, seed)["bits"]
    return bits


def main() -> None:
    """Print the bands as expected.toml holds them, or what a fault does."""
    if sys.argv[1:]:
        print(measure(0, sys.argv[1]))
        return
    values = [measure(seed) for seed in SEEDS]
    middle = (min(values) + max(values)) / 2
    half = max(1.5 * stdev(values), 0.01 * fmean(values))
    flops = runs.training_flops(runs.shape(WIDTH))
    print("[chapter_09.flops_of_a_token]")
    print('text = "FLOPs of a token, in training the smallest model"')
    print(f"low = {flops}\nhigh = {flops}\nmeasured = {[flops] * 5}\n")
    print("[chapter_09.bits_of_the_smallest]")
    print(f'text = "{TEXT}"')
    print(f"low = {middle - half:.4f}")
    print(f"high = {middle + half:.4f}")
    print(f"measured = [{', '.join(f'{value:.4f}' for value in values)}]")


if __name__ == "__main__":
    main()
