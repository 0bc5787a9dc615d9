"""What each part of the speedrun's recipe is worth: SPEEDRUN.md, written by a program.

    python benchmarks/speedrun_log.py [--data NAME]

One thing at a time is put back to what the baseline has, or changed by one step, and
the model trained again. A line says what the change does to the loss, with the same
steps, and to the time of a step. Every variant has the same seeds, and their steps are
made in turn, so that what else the machine does falls on all alike.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from side_by_side import hardware, parse

from llm_core.cli.speedrun import CONTEXT, recipe, shape
from llm_core.corpus import Corpus
from llm_core.data import TokenStream, encode_corpus
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import CharacterTokenizer
from llm_core.trainer import Trainer

LOG = Path(__file__).with_name("SPEEDRUN.md")
STEPS, SEEDS = 250, 3


@dataclass(frozen=True)
class Variant:
    """One change to the recipe."""

    name: str
    shape: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    make: Callable[[GPTConfig], GPTModel] = GPTModel

    def trainer(
        self, streams: list[TokenStream], vocab_size: int, steps: int, seed: int
    ) -> Trainer:
        """Begin a run."""
        torch.manual_seed(seed)
        model = self.make(replace(shape(vocab_size), **self.shape))
        return Trainer(model, *streams, replace(recipe(steps, seed), **self.training))


def silent(config: GPTConfig) -> GPTModel:
    """Make a model whose blocks at first add nothing to what they read."""
    model = GPTModel(config)
    for name, parameter in model.named_parameters():
        if name.endswith(("attention.output.weight", "feed_forward.down.weight")):
            torch.nn.init.zeros_(parameter)
    return model


VARIANTS = (
    Variant("the recipe"),
    Variant("learned positions, not rotary", {"positions": "learned"}),
    Variant("queries and keys without a norm", {"qk_norm": False}),
    Variant("GELU, not squared ReLU", {"feed_forward": "gelu"}),
    Variant("LayerNorm, not RMSNorm", {"norm": "layer"}),
    Variant("the head tied to the embedding", {"tie_embeddings": True}),
    Variant("at first zeros in the matrices by which a block writes", make=silent),
    Variant(
        "AdamW alone, not Muon", {}, {"optimizer": "adamw", "learning_rate": 0.005}
    ),
    Variant("AdamW alone, at four times that rate", {}, {"optimizer": "adamw"}),
    Variant("half the rate of Muon", {}, {"matrix_learning_rate": 0.01}),
    Variant("twice the rate of Muon", {}, {"matrix_learning_rate": 0.04}),
    Variant("half the rate of AdamW", {}, {"learning_rate": 0.01}),
    Variant("twice the rate of AdamW", {}, {"learning_rate": 0.04}),
    Variant("level rate, then down, not a cosine", {}, {"schedule": "stable-decay"}),
    Variant("batches of 16", {}, {"batch_size": 16}),
    Variant("one layer", {"num_layers": 1}),
    Variant("three layers", {"num_layers": 3}),
    Variant("64 channels", {"d_model": 64}),
    Variant(
        "128 channels, 4 layers, 4 heads: the baseline's shape",
        {"d_model": 128, "num_layers": 4, "num_heads": 4},
    ),
)


class Result(NamedTuple):
    """What a variant came to."""

    loss: float  # nats per character of the last tenth, mean over the seeds
    milliseconds: float  # of a step, the median


def measure(text: str, steps: int, seeds: int) -> list[Result]:
    """Train every variant with every seed, step by step in turn."""
    tokenizer = CharacterTokenizer()
    tokenizer.train(text)
    end = len(text) * 9 // 10
    parts = (Corpus("text", (part,), None) for part in (text[:end], text[end:]))
    streams = [encode_corpus(part, tokenizer) for part in parts]
    losses: list[list[float]] = [[] for _ in VARIANTS]
    times: list[list[float]] = [[] for _ in VARIANTS]
    for seed in range(seeds):
        trainers = [
            variant.trainer(streams, tokenizer.vocab_size, steps, seed)
            for variant in VARIANTS
        ]
        for reports in zip(*(trainer.run() for trainer in trainers), strict=True):
            for at, report in enumerate(reports):
                tokens = trainers[at].config.batch_size * CONTEXT
                times[at].append(1000 * tokens / report.tokens_per_second)
                if report.evaluation is not None:
                    losses[at].append(report.evaluation.loss)
        print(f"seed {seed} is done", file=sys.stderr, flush=True)
    return [
        Result(mean(loss), median(time))
        for loss, time in zip(losses, times, strict=True)
    ]


def written(results: list[Result], steps: int, seeds: int) -> str:
    """Render the log."""
    first = results[0]
    lines = [
        "# What makes the speedrun fast\n",
        "Written by `python benchmarks/speedrun_log.py`. One thing at a time is",
        f"changed, and the model trained for the same {steps} steps, with {seeds}",
        "seeds. The loss is the mean on the last tenth of Tiny Shakespeare, in nats",
        "per character, the time the median of all steps, made in turn.\n",
        *(f"- {name}: {value}" for name, value in hardware().items()),
        "\n| change | loss | more than the recipe | time of a step |",
        "| --- | --- | --- | --- |",
    ]
    for variant, result in zip(VARIANTS, results, strict=True):
        lines.append(
            f"| {variant.name} | {result.loss:.3f} | {result.loss - first.loss:+.3f} | "
            f"{result.milliseconds / first.milliseconds:.2f} × |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    arguments = parse(__doc__, sys.argv[1:])
    steps, seeds = (10, 1) if arguments.quick else (STEPS, SEEDS)
    said = written(measure(arguments.text, steps, seeds), steps, seeds)
    print(said)
    if not arguments.quick:
        LOG.write_text(said, encoding="utf-8", newline="\n")
