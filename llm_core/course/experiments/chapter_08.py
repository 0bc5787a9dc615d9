"""Chapter 08's recorded runs: sweeps, too little text, and a ward of sick trainings.

The second half says what is wrong with each patient. Read the chapter first.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.attention import causal_mask, remember_nothing, unrotated
from llm_core.corpus import Corpus, load_corpus
from llm_core.course.recordings import Results, recorded
from llm_core.data import TokenStream, encode_corpus, evaluation_batches, sample_batch
from llm_core.generation import generate_text
from llm_core.model import GPTConfig, GPTModel, TransformerBlock
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer
from llm_core.trainer import TrainConfig, Trainer, TrainingDivergedError, evaluate

CONFIG = TrainConfig(
    steps=150,
    batch_size=8,
    learning_rate=1e-2,
    warmup_steps=10,
    evaluate_every=30,
)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What a run reads: stories to learn from, stories to be judged by."""

    tokenizer: BPETokenizer
    train: TokenStream
    held_out: TokenStream


@cache
def ordinary_texts(seed: int, num_stories: int = 1000) -> Texts:
    """Make stories, and other stories to hold out; the tokenizer knows neither well."""
    tokenizer = BPETokenizer(1024, special_tokens=[END_OF_TEXT])
    tokenizer.train(load_corpus("stories", num_stories=400, seed=seed + 6).documents)
    stories = load_corpus("stories", num_stories=num_stories, seed=seed)
    held_out = load_corpus("stories", num_stories=30, seed=seed + 3)
    return encoded(tokenizer, stories, held_out)


def encoded(tokenizer: BPETokenizer, stories: Corpus, held_out: Corpus) -> Texts:
    """Turn both parts into ids."""
    train, judge = (encode_corpus(part, tokenizer) for part in (stories, held_out))
    return Texts(tokenizer=tokenizer, train=train, held_out=judge)


def small_model(texts: Texts, seed: int, d_model: int = 64) -> GPTModel:
    """Make the model of this chapter: two blocks, and contexts of 64 tokens."""
    torch.manual_seed(seed)
    return GPTModel(
        GPTConfig(
            vocab_size=texts.tokenizer.vocab_size,
            d_model=d_model,
            num_heads=4,
            num_layers=2,
            max_seq_len=64,
            positions="rotary",
            tie_embeddings=False,
        )
    )


def train(model: GPTModel, texts: Texts, config: TrainConfig) -> Results:
    """Train, and write down the curve and what the model then writes.

    `training` has the loss of every second batch, `validation` that on held-out stories
    before the first step and after every `evaluate_every`, in bits per character;
    `gradient` has the length of every second gradient, and `untouched` counts the
    tensors that had none. A run that diverged ends early.
    """
    first = evaluate(model, texts.held_out)
    run = Trainer(model, texts.train, texts.held_out, config)
    reports = []
    with suppress(TrainingDivergedError):
        for report in run.run():
            reports.append(report)
    looks = [report.evaluation for report in reports if report.evaluation]
    return {
        "first_loss": first.loss,
        "training": [report.bits_per_character for report in reports[::2]],
        "gradient": [report.grad_norm for report in reports[::2]],
        "validation": [look.bits_per_character for look in (first, *looks)],
        "untouched": sum(p.grad is None for p in model.parameters()),
        "sample": sample(model, texts),
    }


def sample(model: GPTModel, texts: Texts) -> str:
    """Let the model write on from the words with which many stories begin."""
    generator = torch.Generator().manual_seed(1)
    start = "Once upon a time"
    more = generate_text(model, texts.tokenizer, start, 44, generator=generator)
    return (start + more)[:400]


# --- sweeps ---------------------------------------------------------------------------

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 0.1, 0.3)


@recorded(points=[{"rate": rate, "seed": 0} for rate in RATES], tolerance=0.05)
def learning_rate_sweep(rate: float, seed: int) -> Results:
    """Train the same model on the same batches, at one learning rate."""
    texts = ordinary_texts(seed)
    config = replace(CONFIG, learning_rate=rate, seed=seed)
    return train(small_model(texts, seed), texts, config)


@recorded(
    points=[{"rate": rate, "seed": 0} for rate in (1e-2, 4e-2, 0.3)],
    tolerance=0.05,
    again={"rate": 1e-2, "seed": 0},
)
def sweep_without_clipping(rate: float, seed: int) -> Results:
    """Do the same, and let every gradient be as long as it comes."""
    texts = ordinary_texts(seed)
    config = replace(CONFIG, learning_rate=rate, seed=seed, clip_norm=1e9)
    return train(small_model(texts, seed), texts, config)


@recorded(
    points=[
        {"rows": rows, "rate": rate, "seed": 0}
        for rows in (4, 32)
        for rate in (3e-3, 1e-2, 4e-2)
    ],
    tolerance=0.05,
)
def batch_sweep(rows: int, rate: float, seed: int) -> Results:
    """Read as many tokens, in smaller or larger batches: more or fewer steps."""
    texts = ordinary_texts(seed)
    steps = CONFIG.steps * CONFIG.batch_size // rows
    config = replace(
        CONFIG,
        steps=steps,
        batch_size=rows,
        warmup_steps=steps // 12,
        learning_rate=rate,
        seed=seed,
        evaluate_every=steps,
    )
    return train(small_model(texts, seed), texts, config)


@recorded(
    points=[
        {"num_stories": 8, "d_model": 64, "seed": 0},
        {"num_stories": 1000, "d_model": 64, "seed": 0},
        {"num_stories": 1000, "d_model": 8, "seed": 0},
    ],
    tolerance=0.05,
)
def fit_sweep(num_stories: int, d_model: int, seed: int) -> Results:
    """Train twice as long: on few stories, on many, and with a narrow model."""
    texts = ordinary_texts(seed, num_stories)
    config = replace(CONFIG, steps=2 * CONFIG.steps, seed=seed)
    return train(small_model(texts, seed, d_model), texts, config)


# --- the ward: do not read on before you have diagnosed it ----------------------------

PATIENTS = {
    "A": "rate too high",
    "B": "wrong softmax axis",
    "C": "leaked validation",
    "D": "no residual",
    "E": "targets not shifted",
    "F": "untrained positions",
    "G": "no zero_grad",
    "H": "collapsed tokenizer",
    "I": "frozen embeddings",
    "J": "no mask",
}


# Some show what they have much sooner than others.
STEPS = {
    "targets not shifted": 60,
    "collapsed tokenizer": 60,
    "no mask": 400,
    "untrained positions": 300,
}


@recorded(
    points=[{"name": name, "seed": 0} for name in ("sound", *PATIENTS)],
    tolerance=0.05,
)
def patient(name: str, seed: int) -> Results:
    """Train a patient of the ward, or the sound run, and examine it."""
    return train_with(PATIENTS.get(name, ""), seed)


def train_with(fault: str, seed: int) -> Results:
    """Train as always, with one fault planted."""
    steps = STEPS.get(fault, CONFIG.steps)
    texts, config = ordinary_texts(seed), replace(CONFIG, steps=steps, seed=seed)
    if fault == "leaked validation":
        texts = repeated_stories(seed)
    if fault == "collapsed tokenizer":
        texts = swallowed_story(seed)
    if fault == "rate too high":
        config = replace(config, learning_rate=30 * config.learning_rate)
    model = small_model(texts, seed)
    if fault == "untrained positions":
        model = with_table_of_positions(model, seed)
    if fault == "frozen embeddings":
        model.token_embedding.weight.requires_grad_(False)
    with planted(fault):
        return train(model, texts, config) | examine(model, texts)


def repeated_stories(seed: int) -> Texts:
    """Take four stories fifty times each; then hold out a tenth of that pile."""
    stories = load_corpus("stories", num_stories=4, seed=seed)
    pile = Corpus("pile", stories.documents * 50)
    return encoded(ordinary_texts(seed).tokenizer, *pile.split(0.1))


def swallowed_story(seed: int) -> Texts:
    """Train BPE on one story fifty times, without first cutting it into words."""
    story = load_corpus("stories", num_stories=1, seed=seed)
    pile = Corpus("pile", story.documents * 50)
    tokenizer = BPETokenizer(1024, [END_OF_TEXT], pattern=r"(?s).+")
    tokenizer.train(pile.documents)
    return encoded(tokenizer, *pile.split(0.1))


def see_everything(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Attend without a mask: what comes next lies open."""
    return F.scaled_dot_product_attention(q, k, v)


def softmax_over_queries(
    q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0
) -> Tensor:
    """Attend with weights that sum to 1 down the columns of the map."""
    scores = q @ k.transpose(-2, -1) / sqrt(q.shape[-1])  # (B, H, T, S)
    allowed = causal_mask(q.shape[-2], k.shape[-2])
    return scores.masked_fill(~allowed, float("-inf")).softmax(dim=-2) @ v


def unshifted_batch(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a batch in which every token is asked for itself."""
    inputs, _, weights = sample_batch(*arguments)
    return inputs, inputs, weights


def unshifted_batches(*arguments: Any) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Judge by the same wrong question."""
    for inputs, _, weights in evaluation_batches(*arguments):
        yield inputs, inputs, weights


def with_table_of_positions(model: GPTModel, seed: int) -> GPTModel:
    """Make the model anew, with learned positions."""
    torch.manual_seed(seed)
    return GPTModel(replace(model.config, positions="learned"))


def short_rows(
    stream: TokenStream, batch_size: int, length: int, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw eight times as many rows, each an eighth as long."""
    return sample_batch(stream, 8 * batch_size, length // 8, seed, step)


def keep_gradients(model: GPTModel, set_to_none: bool = True) -> None:
    """Leave all gradients as they are, for the next ones to be added to."""


def replace_stream(
    block: TransformerBlock,
    x: Tensor,
    rotate: Callable[..., Any] = unrotated,
    remember: Callable[..., Any] = remember_nothing,
) -> Tensor:
    """Let each part replace the stream, where it should add to it."""
    assert block.feed_forward is not None
    assert block.feed_forward_norm is not None
    x = block.attention(block.attention_norm(x), rotate, remember)
    out: Tensor = block.feed_forward(block.feed_forward_norm(x))
    return out


# Which piece of the core is replaced, and by what.
REPLACED: dict[str, dict[str, Callable[..., Any]]] = {
    "no mask": {"llm_core.attention.causal_attention": see_everything},
    "wrong softmax axis": {"llm_core.attention.causal_attention": softmax_over_queries},
    "targets not shifted": {
        "llm_core.trainer.sample_batch": unshifted_batch,
        "llm_core.trainer.evaluation_batches": unshifted_batches,
    },
    "untrained positions": {"llm_core.trainer.sample_batch": short_rows},
    "no zero_grad": {"llm_core.model.GPTModel.zero_grad": keep_gradients},
    "no residual": {"llm_core.model.TransformerBlock.forward": replace_stream},
}


def planted(fault: str) -> AbstractContextManager[Any]:
    """Put the faulty piece in the place of the sound one, for a while."""
    stack = ExitStack()
    for place, faulty in REPLACED.get(fault, {}).items():
        stack.enter_context(patch(place, faulty))
    return stack


@torch.no_grad()
def examine(model: GPTModel, texts: Texts) -> Results:
    """Measure what a curve does not show."""
    return {
        "characters_per_token": texts.train.characters_per_token,
        "future": future_shift(model, texts),
        "by_position": loss_by_position(model, texts),
    }


def future_shift(model: GPTModel, texts: Texts) -> float:
    """Change the last id of a row: how far do the scores before it move, at most?"""
    ids = torch.from_numpy(texts.held_out.ids[:10].astype("int64"))[None]
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % model.config.vocab_size
    moved: Tensor = (model(ids) - model(changed))[:, :-1].abs().max()
    return round(moved.item(), 3)


def loss_by_position(model: GPTModel, texts: Texts) -> list[float]:
    """Return the mean loss in nats at each place in a row of held-out text."""
    nats, counts = torch.zeros(2, model.config.max_seq_len)
    batches = evaluation_batches(texts.held_out, 32, len(nats))
    for inputs, targets, weights in batches:
        losses = F.cross_entropy(model(inputs).mT, targets, reduction="none")
        nats[: losses.shape[1]] += (losses * weights).sum(dim=0)
        counts[: losses.shape[1]] += weights.sum(dim=0)
    read = counts > 0
    result: list[float] = (nats[read] / counts[read]).tolist()
    return result
