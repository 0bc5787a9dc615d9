"""Measure chapter 07's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_07.py            about ten minutes on two cores
python benchmarks/bands_chapter_07.py mask       one run with a planted fault: mask,
                                                 targets, rate or wild

Run it after a change to the stories, the model or the trainer that was meant.
"""

import sys
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from math import log
from statistics import fmean, stdev
from time import process_time
from unittest.mock import patch

import torch
import torch.nn.functional as F

from llm_core import (
    END_OF_TEXT,
    BPETokenizer,
    GPTConfig,
    GPTModel,
    TrainConfig,
    Trainer,
    encode_corpus,
    load_corpus,
    sample_batch,
)
from llm_core.trainer import evaluate

SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
CONFIG = TrainConfig(
    steps=700,
    batch_size=4,
    learning_rate=4e-3,
    warmup_steps=50,
    final_fraction=0.05,
)
LOOKS = (0, 100, CONFIG.steps)
BANDS = {
    "first_loss_above_ln_v": "first held-out loss, above ln V (nats per token)",
    "bits_per_character_after_100_steps": "held-out bits per character after 100 steps",
    "bits_per_character_at_the_end": "held-out bits per character after 700 steps",
}


def see_all(q, k, v, dropout=0.0):
    """Attend without a mask."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def unmoved(*arguments):
    """Make a batch whose targets are its inputs."""
    inputs, _, weights = sample_batch(*arguments)
    return inputs, inputs, weights


def measure(seed: int, fault: str = "", looks: tuple[int, ...] = LOOKS) -> dict:
    """Do what the chapter does, with other stories, weights and batches.

    Returns the held-out loss after each number of steps in `looks`, and the results
    that the chapter reports, as far as these steps lead.
    """
    stories = load_corpus("stories", num_stories=6_000, seed=seed)
    held_out = load_corpus("stories", num_stories=100, seed=seed + 3)
    tokenizer = BPETokenizer(2048, special_tokens=[END_OF_TEXT])
    tokenizer.train(stories.documents[:2_000])
    stream, watched = (encode_corpus(part, tokenizer) for part in (stories, held_out))
    shape = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=128,
        num_heads=4,
        num_layers=2,
        max_seq_len=224,
    )
    rate = CONFIG.learning_rate * (10 if fault == "rate" else 1)
    config = replace(CONFIG, seed=seed, learning_rate=rate)
    torch.manual_seed(seed)
    model = GPTModel(shape)
    if fault == "wild":  # first weights five times too large
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 5
    with ExitStack() as planted:
        if fault == "mask":
            planted.enter_context(patch("llm_core.attention.causal_attention", see_all))
        if fault == "targets":
            planted.enter_context(patch("llm_core.trainer.sample_batch", unmoved))
        losses = {0: evaluate(model, watched)}
        trainer = Trainer(model, stream, watched, config)
        for report in islice(trainer.run(), max(looks)):
            if report.step in looks:
                losses[report.step] = evaluate(model, watched)
    bits = {step: loss.bits_per_character for step, loss in losses.items()}
    names = dict(zip((100, CONFIG.steps), list(BANDS)[1:], strict=True))
    return {
        "bits": bits,
        "first_loss_above_ln_v": losses[0].loss - log(tokenizer.vocab_size),
        **{name: bits[step] for step, name in names.items() if step in bits},
    }


def main() -> None:
    """Print the bands as expected.toml holds them, or what a fault does."""
    if sys.argv[1:]:
        print(measure(0, sys.argv[1]))
        return
    runs = []
    for seed in SEEDS:
        started = process_time()
        runs.append(measure(seed))
        spent = process_time() - started
        print(f"# seed {seed}: {runs[-1]['bits']}, {spent:.0f} CPU seconds", flush=True)
    for name, text in BANDS.items():
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2
        half = max(1.5 * stdev(values), 0.01 * fmean(values))
        print(f"\n[chapter_07.{name}]")
        print(f'text = "{text}"')
        print(f"low = {middle - half:.4f}")
        print(f"high = {middle + half:.4f}")
        print(f"measured = [{', '.join(f'{value:.4f}' for value in values)}]")


if __name__ == "__main__":
    main()
