"""The runs of chapter 09: one family of models, at many sizes, budgets and diets."""

from functools import cache

import torch

from llm_core.corpus import Corpus, load_corpus
from llm_core.course.recordings import Results, recorded
from llm_core.data import TokenStream, encode_corpus
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer
from llm_core.trainer import TrainConfig, Trainer, evaluate

BATCH_SIZE = 2
RATIO = 2.5  # tokens for each number in the matrices
BUDGETS = (1e10, 5e10)  # FLOPs of the runs at matched compute


@cache
def texts() -> tuple[Corpus, Corpus, BPETokenizer]:
    """Return stories to learn from, others held out, and a tokenizer for both."""
    stories = load_corpus("stories", num_stories=4_000)
    held_out = load_corpus("stories", num_stories=100, seed=3)
    tokenizer = BPETokenizer(2048, special_tokens=[END_OF_TEXT])
    tokenizer.train(stories.documents[:1_000])
    return stories, held_out, tokenizer


@cache
def streams(num_stories: int) -> tuple[TokenStream, TokenStream]:
    """Return the first of the stories as ids, and the held-out ones."""
    stories, held_out, tokenizer = texts()
    few = Corpus("stories", stories.documents[:num_stories], None)
    return encode_corpus(few, tokenizer), encode_corpus(held_out, tokenizer)


def shape(width: int) -> GPTConfig:
    """Return a member of the family: two blocks, as wide as you like.

    Its parts are those of newer models, which need fewer steps before a law holds.
    """
    return GPTConfig(
        vocab_size=2048,
        d_model=width,
        num_heads=2,
        num_layers=2,
        max_seq_len=224,
        positions="rotary",
        norm="rms",
        feed_forward="relu2",
        qk_norm=True,
        bias=False,
    )


def matrix_numbers(config: GPTConfig) -> int:
    """Count the numbers that multiply: N. The head does; looking up a row does not."""
    C = config.d_model
    return 12 * config.num_layers * C * C + config.vocab_size * C


def training_flops(config: GPTConfig) -> int:
    """Count the FLOPs that training spends on a token: 6 N and attention's 12 L T d."""
    attention = 12 * config.num_layers * config.max_seq_len * config.d_model
    return 6 * matrix_numbers(config) + attention


def train(width: int, tokens: float, seed: int, num_stories: int = 4_000) -> Results:
    """Train one model on about so many tokens, and measure it on held-out stories.

    Rows are drawn at random; a story seen again is a story seen again. The learning
    rate goes down as the model gets wider.
    """
    stream, held_out = streams(num_stories)
    config = shape(width)
    steps = round(tokens / (BATCH_SIZE * config.max_seq_len))
    recipe = TrainConfig(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=0.4 / width,
        warmup_steps=steps // 10,
        final_fraction=0.05,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = GPTModel(config)
    trainer = Trainer(model, stream, held_out, recipe)
    losses = [report.bits_per_character for report in trainer.run()]
    return {
        "tokens": steps * BATCH_SIZE * config.max_seq_len,
        "training_bits": sum(losses[-50:]) / len(losses[-50:]),
        "bits": evaluate(model, held_out).bits_per_character,
    }


WIDTHS = (8, 12, 16, 24)
WIDE = (4, 8, 16, 32, 64)  # at one budget
FIFTH = 40


@recorded(
    points=[{"width": width, "seed": seed} for seed in range(3) for width in WIDTHS],
    tolerance=0.03,
)
def four_sizes(width: int, seed: int) -> Results:
    """Train a model, and let its text grow with its size."""
    return train(width, RATIO * matrix_numbers(shape(width)), seed)


@recorded(
    points=[{"width": FIFTH, "seed": seed} for seed in range(2)],
    tolerance=0.03,
)
def fifth_size(width: int, seed: int) -> Results:
    """Do the same with a larger model, which took no part in the fit."""
    return train(width, RATIO * matrix_numbers(shape(width)), seed)


@recorded(
    points=[
        {"width": width, "budget": budget, "seed": seed}
        for seed in range(3)
        for budget, widths in zip(BUDGETS, (WIDE[:-1], WIDE), strict=True)
        for width in widths
    ],
    tolerance=0.03,
)
def matched_compute(width: int, budget: float, seed: int) -> Results:
    """Spend one budget on a model: on its size, or on how much it reads."""
    return train(width, budget / training_flops(shape(width)), seed)


@recorded(
    points=[{"num_stories": count, "seed": 0} for count in (16, 64, 256, 1024)],
    tolerance=0.03,
)
def few_stories(num_stories: int, seed: int) -> Results:
    """Train the same model for the same time on more and more different stories."""
    return train(24, 160_000, seed, num_stories)
