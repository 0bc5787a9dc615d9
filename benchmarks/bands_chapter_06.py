"""Measure chapter 06's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_06.py

A seed draws the first weights; the text is the chapter's own.
"""

from math import log
from statistics import stdev

import torch
from torch import Tensor

from llm_core import (
    END_OF_TEXT,
    BPETokenizer,
    GPTConfig,
    GPTModel,
    load_corpus,
    next_token_loss,
)

SEEDS = (0, 1, 2, 3, 4)  # the notebook's own first
CONFIG = {"vocab_size": 512, "d_model": 64, "num_heads": 4, "max_seq_len": 128}


def chapter_batch() -> Tensor:
    """Return the chapter's eight rows of 25 ids, which begin differently."""
    stories = load_corpus("stories", num_stories=500)
    tokenizer = BPETokenizer(512, special_tokens=[END_OF_TEXT])
    tokenizer.train(stories.documents)
    beginnings: dict[int, list[int]] = {}
    for text in stories.documents[:100]:
        ids = tokenizer.encode(END_OF_TEXT + text)[:25]
        beginnings.setdefault(ids[1], ids)
    return torch.tensor(list(beginnings.values())[:8])


def fresh(seed: int, num_layers: int = 2) -> GPTModel:
    """Make an untrained model."""
    torch.manual_seed(seed)
    return GPTModel(GPTConfig(**CONFIG, num_layers=num_layers))


@torch.no_grad()
def stream_growth(model: GPTModel, inputs: Tensor) -> float:
    """Return how much larger the residual stream is after the blocks than before."""
    x = model.embed(inputs)
    before = x.std().item()
    for block in model.blocks:
        x = block(x)
    return x.std().item() / before


def learn_by_heart(
    model: GPTModel,
    inputs: Tensor,
    targets: Tensor,
    learning_rate: float = 4e-3,
    steps: int = 150,
) -> list[float]:
    """Train on one batch, over and over; return the loss before each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def recited(model: GPTModel, rows: Tensor) -> int:
    """Count the ids that a model gets right when it continues each row's first two."""
    written = rows[:, :2]
    while written.shape[1] < rows.shape[1]:
        best = model(written)[:, -1:].argmax(dim=-1)
        written = torch.cat([written, best], dim=1)
    return int((written[:, 2:] == rows[:, 2:]).sum())


def measure(seed: int, rows: Tensor) -> dict[str, float]:
    """Do what the chapter does, with other first weights."""
    inputs, targets = rows[:, :-1], rows[:, 1:]
    model = fresh(seed)
    losses = learn_by_heart(model, inputs, targets)
    return {
        "first_loss": losses[0],
        "stream_growth": stream_growth(fresh(seed, num_layers=32), inputs),
        "one_batch_loss": losses[-1],
        "one_batch_recited": recited(model, rows),
    }


def main() -> None:
    """Print the bands as expected.toml holds them."""
    rows = chapter_batch()
    print(f"floor of the batch: {log(len(rows)) / (rows.shape[1] - 1):.5f}")
    runs = [measure(seed, rows) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        digits = 4
        middle = (min(values) + max(values)) / 2
        half = max(1.49 * stdev(values), 0.0099 * middle)
        print(f"\n[chapter_06.{name}]")
        print(f"low = {middle - half:.{digits}f}")
        print(f"high = {middle + half:.{digits}f}")
        print(f"measured = [{', '.join(f'{value:.{digits}f}' for value in values)}]")


if __name__ == "__main__":
    main()
