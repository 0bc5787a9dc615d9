"""A text in, a model out that predicts its last tenth well, trained in a few seconds.

The text is cut into single characters, and read in windows of 64. The recipe is what is
left of many trials on Tiny Shakespeare; benchmarks/SPEEDRUN.md says what each part of
it is worth.
"""

import argparse
from pathlib import Path
from time import perf_counter

import torch

from llm_core.cli.console import StatusLine, UserError, quoted
from llm_core.cli.train import check_is_new
from llm_core.corpus import Corpus, load_corpus
from llm_core.data import encode_corpus
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import CharacterTokenizer
from llm_core.trainer import TrainConfig, Trainer

HELD_OUT = "held-out.txt"  # in the run's folder, for `llm-core evaluate`
CONTEXT = 64


def speedrun(arguments: argparse.Namespace) -> int:
    """Train by the recipe; keep the model, and the text that it has not seen."""
    folder, line = Path(arguments.out), StatusLine()
    check_is_new(folder)
    text = "".join(load_corpus(arguments.data, encoding=arguments.encoding).documents)
    if len(text) < 20 * CONTEXT:
        raise UserError(
            f"a speedrun needs {20 * CONTEXT:,} characters at least, "
            f"{arguments.data} has {len(text):,}"
        )
    tokenizer = CharacterTokenizer()
    tokenizer.train(text)
    end = len(text) * 9 // 10
    training, held_out = (
        encode_corpus(Corpus(name, (part,), None), tokenizer)
        for name, part in (("training", text[:end]), ("held out", text[end:]))
    )
    started = perf_counter()
    torch.manual_seed(arguments.seed)
    model = GPTModel(shape(tokenizer.vocab_size))
    config = recipe(arguments.steps, arguments.seed)
    trainer = Trainer(model, training, held_out, config)
    seconds = perf_counter() - started
    for report in trainer.run():
        # The last report comes with an evaluation, which is not training.
        seconds += config.batch_size * CONTEXT / report.tokens_per_second
        line.show(f"step {report.step:,} of {config.steps:,}, loss {report.loss:.3f}")
    assert report.evaluation is not None
    trainer.save(folder, tokenizer)
    (folder / HELD_OUT).write_text(text[end:], encoding="utf-8", newline="")
    line.print(
        f"{config.steps:,} steps in {seconds:.2f} s; "
        f"{report.evaluation.loss:.4f} nats per character on the last tenth"
    )
    kept = quoted(folder), quoted(folder / HELD_OUT)
    print(f"Check it: llm-core evaluate {kept[0]} --data {kept[1]}")
    return 0


def shape(vocab_size: int) -> GPTConfig:
    """Return what to train: small, with what helps from later years than GPT-2's."""
    return GPTConfig(
        vocab_size=vocab_size,
        d_model=48,
        num_heads=2,
        num_layers=2,
        max_seq_len=CONTEXT,
        positions="rotary",
        norm="rms",
        feed_forward="relu2",
        qk_norm=True,
        bias=False,
        tie_embeddings=False,
    )


def recipe(steps: int, seed: int) -> TrainConfig:
    """Return how to train it."""
    return TrainConfig(
        steps=steps,
        batch_size=32,
        optimizer="muon",
        learning_rate=0.02,
        matrix_learning_rate=0.02,
        warmup_steps=10,
        final_fraction=0.0,
        weight_decay=0.0,
        evaluate_every=steps,
        seed=seed,
    )
