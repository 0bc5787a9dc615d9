"""Measure chapter 08's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_08.py                 a minute or two
python benchmarks/bands_chapter_08.py "no residual"   one run with a fault of the ward

Run it after a change to the stories, the model or the trainer that was meant.
"""

import sys
from dataclasses import replace
from math import log
from statistics import fmean, stdev

import torch

from llm_core import next_token_loss, sample_batch
from llm_core.course.experiments.chapter_08 import (
    CONFIG,
    ordinary_texts,
    planted,
    small_model,
    train,
    train_with,
)

SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
BANDS = {
    "first_loss_above_ln_v": "first held-out loss, above ln V (nats per token)",
    "bits_per_character_at_the_end": "held-out bits per character after 150 steps",
    "agreement_of_8_rows": "cosine of the gradients of 8 rows and of 256",
    "live_patient_at_the_end": "the live patient, bits per character after 60 steps",
}


def measure(seed: int, fault: str = "", live: bool = True) -> dict[str, float]:
    """Do what the chapter does, with other stories, weights and batches.

    Of the ward's faults, those that stand in a piece of the core can be planted, and
    "rate too high"; "wild" are first weights that are too large; "healed" is a live
    patient without its fault.
    """
    texts = ordinary_texts(seed)
    rate = CONFIG.learning_rate * (30 if fault == "rate too high" else 1)
    config = replace(CONFIG, seed=seed, learning_rate=rate)
    model = small_model(texts, seed)
    if fault == "wild":  # first weights three times too large
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 3
    with planted(fault):
        run = train(model, texts, config)

    def gradient(num_rows: int, draw: int) -> torch.Tensor:
        inputs, targets, _ = sample_batch(texts.train, num_rows, 64, seed + draw, 0)
        model.zero_grad()
        next_token_loss(model(inputs), targets).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    many = gradient(256, 99)
    few = [gradient(8, draw) for draw in range(1, 9)]
    results = {
        "first_loss_above_ln_v": run["first_loss"] - log(model.config.vocab_size),
        "bits_per_character_at_the_end": run["validation"][-1],
        "agreement_of_8_rows": fmean(
            torch.cosine_similarity(each, many, dim=0).item() for each in few
        ),
    }
    if live:
        patient = train_with("" if fault == "healed" else "targets not shifted", seed)
        results["live_patient_at_the_end"] = patient["validation"][-1]
    return results


def main() -> None:
    """Print the bands as expected.toml holds them, or what a fault does."""
    if sys.argv[1:]:
        print(measure(0, sys.argv[1]))
        return
    runs = []
    for seed in SEEDS:
        runs.append(measure(seed))
        print(f"# seed {seed}: {runs[-1]}", flush=True)
    for name, text in BANDS.items():
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2
        half = max(1.5 * stdev(values), 0.01 * abs(fmean(values)))
        print(f"\n[chapter_08.{name}]")
        print(f'text = "{text}"')
        print(f"low = {middle - half:.5g}")
        print(f"high = {middle + half:.5g}")
        print(f"measured = [{', '.join(f'{value:.5g}' for value in values)}]")


if __name__ == "__main__":
    main()
