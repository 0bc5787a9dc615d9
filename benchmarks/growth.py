"""How time and memory grow with the text, the context and the model, beside theory.

Each size is measured in a process of its own. A power of the size is fitted to the
larger half of the sizes, where what is constant has faded; plots have the line of
theory beside the points.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from side_by_side import PLOTS, Row, alone, at_most, main, peak_memory

from llm_core.model import GPTConfig, GPTModel, next_token_loss
from llm_core.optim import parameter_groups
from llm_core.tokenizer import BPETokenizer

TOLERANCE = 0.15  # of an exponent
_BOUND = 1e9  # bytes that training a tokenizer on the longest text may take


def zipfian(characters: int, seed: int = 0) -> Iterator[str]:
    """Yield text in pieces, with new words as real text has them (Zipf, 1949).

    The chance of the r-th word falls as r to the power -1.3, so that the number of
    different words grows as the length to the power 1 / 1.3.
    """
    random, written = np.random.default_rng(seed), 0
    while written < characters:
        ranks = random.zipf(1.3, 20_000)
        piece = "".join(map(spelled, ranks.clip(max=10**9).tolist()))
        written += len(piece)
        yield piece[: len(piece) - max(0, written - characters)]


@lru_cache(10_000)
def spelled(number: int) -> str:
    """Spell a number with letters, as a word.

    >>> spelled(1), spelled(30)
    (' b', ' eb')
    """
    letters = " "
    while number:
        number, digit = divmod(number, 26)
        letters += chr(ord("a") + digit)
    return letters


class Cost(NamedTuple):
    """What one size took."""

    seconds: float
    bytes: int


def of_corpus(characters: int) -> Cost:
    """Train a tokenizer of 1,024 tokens, and turn the text into ids."""
    before, started = peak_memory(), perf_counter()
    tokenizer = BPETokenizer(1024)
    tokenizer.train(zipfian(characters))
    for _ in tokenizer.encode_iterable(zipfian(characters)):
        pass
    return Cost(perf_counter() - started, peak_memory() - before)


def of_training(config: GPTConfig, batch_size: int, steps: int = 3) -> Cost:
    """Make steps of training, and take the fastest; memory is that of all."""
    before = peak_memory()
    model = GPTModel(config)
    optimizer = torch.optim.AdamW(parameter_groups(model.parameters(), 0.1))
    ids = torch.randint(config.vocab_size, (batch_size, config.max_seq_len))
    times = []
    for _ in range(steps):
        started = perf_counter()
        next_token_loss(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(perf_counter() - started)
    return Cost(min(times), peak_memory() - before)


def of_context(length: int) -> Cost:
    """Train on one row of so many positions, in a shape where attention weighs."""
    config = GPTConfig(
        vocab_size=256, d_model=64, num_heads=2, num_layers=4, max_seq_len=length
    )
    return of_training(config, batch_size=4)


def of_parameters(width: int) -> Cost:
    """Train on 128 positions a model of 12 layers: 144 width² parameters."""
    config = GPTConfig(
        vocab_size=256, d_model=width, num_heads=2, num_layers=12, max_seq_len=64
    )
    return of_training(config, batch_size=2)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit a power to the larger half of the sizes: the slope between logarithms.

    >>> round(exponent([1, 2, 4, 8], [9, 5, 10, 20]), 2)
    1.0
    """
    half = min(len(sizes) // 2, len(sizes) - 2)
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)
    return float(slope)


class Law(NamedTuple):
    """One way to grow: what to measure at which sizes, and what theory says."""

    name: str
    measure: Callable[[int], Cost]
    settings: tuple[int, ...]
    size: Callable[[int], float]  # of a setting, on the plot
    seconds: tuple[float, float]  # the exponents that theory allows
    bytes: tuple[float, float]
    theory: str


def laws(quick: bool) -> list[Law]:
    """List what grows, over fewer and smaller sizes where it has to be quick."""
    texts = (1, 3, 10, 30, 100)
    contexts, widths = (64, 128, 256, 512, 1024, 2048), (26, 48, 84, 152, 264, 472, 834)
    chosen = [(10**6 * n for n in texts), contexts, widths]
    if quick:
        chosen = [(20_000, 40_000), (16, 32), (8, 16)]
    corpus, context, parameters = map(tuple, chosen)
    words = 1 / 1.3  # different words, in zipfian text
    return [
        Law(
            "characters of text",
            of_corpus,
            corpus,
            float,
            (words, 1.0),
            (0.0, words),
            "time between the different words' and the text's, memory of words",
        ),
        Law(
            "positions of context",
            of_context,
            context,
            float,
            (1.0, 2.0),
            (0.0, 1.0),
            "time T + T², memory T, because attention's map is not kept",
        ),
        Law(
            "parameters",
            of_parameters,
            parameters,
            lambda width: 144.0 * width**2,
            (0.5, 1.0),
            (0.5, 1.0),
            "6 FLOP and 16 bytes each; activations grow as the width",
        ),
    ]


def judge(law: Law, costs: Sequence[Cost]) -> list[Row]:
    """Compare the fitted exponents with theory's."""
    sizes = [law.size(setting) for setting in law.settings]
    found = []
    for unit, (low, high) in (("seconds", law.seconds), ("bytes", law.bytes)):
        values = [max(1e-9, getattr(cost, unit)) for cost in costs]
        power = exponent(sizes, values)
        met = low - TOLERANCE <= power <= high + TOLERANCE
        end = (
            f"{values[-1]:.3g} s"
            if unit == "seconds"
            else f"{values[-1] / 1e6:,.0f} MB"
        )
        found.append(
            Row(
                target=f"6. Growth with {law.name}, {unit}",
                claim=f"an exponent from {low:.2f} to {high:.2f} (± {TOLERANCE})",
                measured=f"{power:.2f}, and {end} at {sizes[-1]:,.0f}",
                met=met,
                limit=law.theory,
            )
        )
    return found


def bounded(characters: int, cost: Cost) -> Row:
    """Say how much memory the longest text took."""
    return at_most(
        _BOUND,
        cost.bytes,
        target="4. BPE, memory",
        claim=f"training on {characters / 1e6:.0f} MB in ≤ {_BOUND / 1e6:.0f} MB",
        measured=f"{cost.bytes / 1e6:.0f} MB, without Python and its libraries",
        limit="Each different word is kept, with its pairs; words come by Zipf's law",
    )


def plot(law: Law, costs: Sequence[Cost]) -> None:
    """Draw time and memory on two logarithmic axes, with theory's bounds."""
    from matplotlib.figure import Figure

    sizes = np.array([law.size(setting) for setting in law.settings])
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, unit in zip(figure.subplots(1, 2), ("seconds", "bytes"), strict=True):
        values = np.array([max(1e-9, getattr(cost, unit)) for cost in costs])
        power = exponent(sizes, values)
        axes.loglog(sizes, values, "o-", label=f"measured, {power:.2f}")
        for bound in getattr(law, unit):
            line = values[-1] * (sizes / sizes[-1]) ** bound
            axes.loglog(sizes, line, "--", label=f"theory, {bound:.2f}")
        axes.set(xlabel=law.name, ylabel=unit)
        axes.legend()
    PLOTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOTS / f"growth-{law.name.split()[0]}.svg")


def rows(text: str, quick: bool = False) -> list[Row]:
    """Measure and plot each law. Text is made here, since it must be long."""
    found = []
    for law in laws(quick):
        costs = [alone(law.measure, setting) for setting in law.settings]
        if not quick:
            plot(law, costs)
        found += judge(law, costs)
        if law.measure is of_corpus:
            found.append(bounded(law.settings[-1], costs[-1]))
    return found


if __name__ == "__main__":
    main(__doc__, rows)
