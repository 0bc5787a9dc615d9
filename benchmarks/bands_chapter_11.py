"""Measure chapter 11's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_11.py

A seed draws the matrix that is rounded, the distributions and the guesses of
speculative decoding, and the beginning that both loops continue. The rest is counted.
"""

from statistics import stdev

import torch
from torch import Tensor

from llm_core import (
    END_OF_TEXT,
    GPTConfig,
    GPTModel,
    Tokenizer,
    generate,
    load_pretrained,
    sample_story,
)

SEEDS = (0, 1, 2, 3, 4)  # the notebook's own first
BANDS = {
    "greedy_alike": "ids that are the same with and without a cache, of 300",
    "work_saved": "work without a cache over work with it, 200 tokens",
    "cache_token_70b": "bytes that LLaMA-2 70B keeps of a token, in 16 bits",
    "error_rows": "error of rounding to 8 bits, a scale for each row",
    "error_all": "error of rounding to 8 bits, one scale for the matrix",
    "chi_squared": "chi squared of accepted and redrawn ids, by 7",
}


def beginning(seed: int, tokenizer: Tokenizer) -> Tensor:
    """Return a prompt: the chapter's own, or the first words of a story."""
    text = "Once there was"
    if seed:
        text = " ".join(sample_story(seed, seed=2).text.split()[:4])
    return torch.tensor([tokenizer.encode(END_OF_TEXT + text)])


@torch.no_grad()
def continue_plainly(model: GPTModel, ids: Tensor, count: int) -> Tensor:
    """Continue by the likeliest ids, and read the whole text for each."""
    limit, start = model.config.max_seq_len, 0
    for _ in range(count):
        if ids.shape[1] - start > limit:
            start = ids.shape[1] - limit // 2
        logits = model(ids[:, start:])[:, -1]
        ids = torch.cat([ids, logits.argmax(dim=-1, keepdim=True)], dim=1)
    return ids


def work_saved(config: GPTConfig, start: int = 8, new: int = 200) -> float:
    """Return the FLOPs without a cache over the FLOPs with one."""
    layers, width = config.num_layers, config.d_model
    matrices = layers * (4 * width**2 + 2 * width * config.feed_forward_dim)
    matrices += config.vocab_size * width

    def cost(t: int) -> int:
        return 2 * matrices + 4 * layers * t * width

    steps = range(start, start + new)
    with_cache = start * cost(start) + sum(cost(t) for t in steps[1:])
    return sum(t * cost(t) for t in steps) / with_cache


def rounded(matrix: Tensor, group: int, bits: int = 8) -> Tensor:
    """Round a matrix to multiples of a scale for each group."""
    groups = matrix.reshape(-1, group)
    scale = groups.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((groups / scale).round() * scale).view_as(matrix)


def rounding_errors(seed: int, bits: int = 8) -> tuple[float, float]:
    """Return the mean error of a row: with a scale for each, and with one for all."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(-1, 1, 128)
    matrix = torch.randn(128, 128, generator=generator) * sizes[:, None]

    def error(group: int) -> float:
        off = (rounded(matrix, group, bits) - matrix).norm(dim=1)
        return (off / matrix.norm(dim=1)).mean().item()

    return error(128), error(128 * 128)


def accept(
    p: Tensor, q: Tensor, guess: int, generator: torch.Generator
) -> tuple[int, bool]:
    """Keep a guess, or draw what p has more than q."""
    if torch.rand(1, generator=generator) * q[guess] < p[guess]:
        return guess, True
    rest = (p - q).clamp(min=0)
    return int(torch.multinomial(rest, 1, generator=generator)), False


def trial(seed: int, rule=accept, draws: int = 20_000) -> float:
    """Draw by a rule, and return chi squared by its degrees of freedom."""
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, 8, generator=generator).softmax(dim=-1)
    guesses = torch.multinomial(q, draws, replacement=True, generator=generator)
    ids = [rule(p, q, guess, generator)[0] for guess in guesses.tolist()]
    counts = torch.bincount(torch.tensor(ids), minlength=8)
    return ((counts - draws * p) ** 2 / (draws * p)).sum().item() / 7


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with another seed."""
    model, tokenizer = load_pretrained("stories")
    prompt = beginning(seed, tokenizer)
    plain = continue_plainly(model, prompt, 300)
    cached = generate(model, prompt, 300, temperature=0.0)
    error_rows, error_all = rounding_errors(seed)
    return {
        "greedy_alike": int((plain == cached)[0, -300:].sum()),
        "work_saved": work_saved(model.config),
        "cache_token_70b": 2 * 80 * 8 * 128 * 2,
        "error_rows": error_rows,
        "error_all": error_all,
        "chi_squared": trial(seed),
    }


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name, text in BANDS.items():
        values = [run[name] for run in runs]
        middle = (min(values) + max(values)) / 2
        half = max(1.49 * stdev(values), 0.0099 * abs(middle))
        low, high, digits = middle - half, middle + half, ".5f"
        if all(isinstance(value, int) for value in values):
            low, high, digits = min(values), max(values), "d"
        print(f"\n[chapter_11.{name}]")
        print(f'text = "{text}"')
        print(f"low = {low:{digits}}")
        print(f"high = {high:{digits}}")
        print(f"measured = [{', '.join(f'{value:{digits}}' for value in values)}]")


if __name__ == "__main__":
    main()
