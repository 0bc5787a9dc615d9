"""Chapter 09: answers, planted mistakes, and faults that leave its bands."""

import importlib.util
import math

import numpy as np
import pytest
import torch
from chapters.test_02 import NOTEBOOKS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llm_core import GPTModel, next_token_loss
from llm_core.course.checks import chapter_09
from llm_core.course.experiments import chapter_09 as runs
from llm_core.course.results import find_expected, read_bands

# --- answers, written independently of the book's -------------------------------------


def right_bill(num_parameters, num_layers, d_model, length, num_tokens):
    pairs = sum(range(1, length + 1)) / length  # keys a token reads, on average
    forward = 2 * num_parameters + num_layers * pairs * (2 * d_model + 2 * d_model)
    return 3 * forward * num_tokens


def bill(forward=2, whole=4, keys=lambda t: (t + 1) / 2, times=3, per=None):
    """A bill with a mistake in it."""

    def counted(num_parameters, num_layers, d_model, length, num_tokens):
        attention = num_layers * whole * d_model * keys(length)
        total = times * (forward * num_parameters + attention)
        return total * (num_tokens if per is None else per)

    return counted


def right_fit(sizes, losses, floor):
    slope, level = np.polyfit(np.log10(sizes), np.log10(np.array(losses) - floor), 1)
    return float(10**level), float(-slope)


def fit(gap=lambda y, floor: y - floor, x=np.log, y=np.log, back=None):
    """A fit with a mistake in it."""
    back = back or (lambda slope, level: (math.exp(level), -slope))

    def fitted(sizes, losses, floor):
        gaps = gap(np.array(losses), floor)
        slope, level = np.polyfit(x(np.array(sizes)), y(gaps), 1)
        return tuple(map(float, back(float(slope), float(level))))

    return fitted


def same(values):
    return values


def right_forecast(sizes, losses, floor, size):
    a, alpha = right_fit(sizes, losses, floor)
    return floor + a / size**alpha


def forecast(end, floor_off=True):
    """A forecast that ends in a mistake."""

    def predicted(sizes, losses, floor, size):
        a, alpha = right_fit(sizes, losses, floor if floor_off else 0)
        return end(a, alpha, size, floor)

    return predicted


def right_split(flops, ratio):
    tokens = (flops * ratio / 6) ** 0.5
    return tokens / ratio, tokens


def right_optimum(flops, a, alpha, b, beta):
    """Look for the lowest place by halving, not by a formula."""
    low, high = 0.0, math.log(flops)

    def slope(x):
        n = math.exp(x)
        return -alpha * a * n**-alpha + beta * b * (flops / 6 / n) ** -beta

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return math.exp(low), flops / 6 / math.exp(low)


def optimum(quotient=None, share=None, six=6):
    quotient = quotient or (lambda a, alpha, b, beta: alpha * a / beta / b)
    share = share or (lambda alpha, beta: beta / (alpha + beta))

    def found(flops, a, alpha, b, beta):
        n = quotient(a, alpha, b, beta) ** (1 / (alpha + beta))
        n *= (flops / six) ** share(alpha, beta)
        return n, flops / six / n

    return found


PREDICTED = {"parameters": 10, "gap": 0.25, "share of attention": 1 / 7}
RIGHT = {
    "09.1": right_bill,
    "09.2": right_fit,
    "09.3": right_forecast,
    "09.4": right_split,
    "09.5": PREDICTED,
    "09.6": right_optimum,
}
WRONG = {
    "09.1": {
        "six n d": (bill(whole=0), "6 N D alone"),
        "whole": (bill(keys=same), "all T keys"),
        "half": (bill(keys=lambda t: t / 2), "(T + 1) / 2, not T / 2"),
        "forward": (bill(times=1), "the forward pass"),
        "forward attention": (bill(whole=4 / 3), "forward only"),
        "one product": (bill(whole=2), "you count one"),
        "one FLOP": (bill(times=1.5), "count them as one"),
        "backward once": (bill(times=2), "as one forward pass"),
        "one token": (bill(per=1), "for one token"),
        "one block": (
            lambda n, layers, c, t, d: right_bill(n, 1, c, t, d),
            "count one block",
        ),
        "attention once": (
            lambda n, layers, c, t, d: 6 * n * d + right_bill(0, layers, c, t, 1),
            "the attention not",
        ),
    },
    "09.2": {
        "no floor": (fit(gap=lambda y, floor: y), "The floor comes off first"),
        "sign": (
            fit(back=lambda slope, level: (math.exp(level), slope)),
            "exponent is negative",
        ),
        "ln a": (fit(back=lambda slope, level: (level, -slope)), "this is ln a"),
        "both": (fit(back=lambda slope, level: (level, slope)), "both mistakes"),
        "base 10": (fit(x=np.log10, y=np.log10), "base 10"),
        "base 2": (fit(x=np.log2, y=np.log2), "base 2"),
        "two bases": (fit(x=np.log10), "different bases"),
        "linear": (
            fit(x=same, y=same, back=lambda slope, level: (level, -slope)),
            "to the gaps themselves",
        ),
        "half log": (fit(x=same), "the size is not in logarithms"),
        "added": (fit(gap=lambda y, floor: y + floor), "add the floor"),
        "late floor": (
            lambda sizes, losses, floor: fit(
                gap=lambda y, floor: y, y=lambda y: np.log(y) - floor
            )(sizes, losses, floor),
            "after the logarithm",
        ),
        "two points": (
            lambda sizes, losses, floor: right_fit(
                [sizes[0], sizes[-1]], [losses[0], losses[-1]], floor
            ),
            "first and the last point",
        ),
        "order": (
            lambda sizes, losses, floor: right_fit(sizes, losses, floor)[::-1],
            "a first, then alpha",
        ),
        "axes": (
            lambda sizes, losses, floor: fit()(
                np.array(losses) - floor, np.array(sizes), 0.0
            ),
            "axes swapped",
        ),
        "array": (
            lambda sizes, losses, floor: np.array(right_fit(sizes, losses, floor)),
            "of type tuple",
        ),
    },
    "09.3": {
        "unmended": (
            forecast(lambda a, alpha, size, floor: a * size**alpha),
            "both faults",
        ),
        "gap": (
            forecast(lambda a, alpha, size, floor: a * size**-alpha),
            "what you return is the gap",
        ),
        "grows": (
            forecast(lambda a, alpha, size, floor: floor + a * size**alpha),
            "grows with the size",
        ),
        "no floor": (
            forecast(lambda a, alpha, size, floor: a * size**-alpha, floor_off=False),
            "no longer take the floor off",
        ),
        "twice": (
            forecast(
                lambda a, alpha, size, floor: floor + a * size**-alpha, floor_off=False
            ),
            "was not taken off",
        ),
    },
    "09.4": {
        "no six": (
            lambda flops, ratio: ((flops / ratio) ** 0.5, (flops * ratio) ** 0.5),
            "the 6 is missing",
        ),
        "no root": (
            lambda flops, ratio: (flops / (6 * ratio), flops / 6),
            "without the root",
        ),
        "equal": (lambda flops, ratio: ((flops / 6) ** 0.5,) * 2, "equally"),
        "half right": (
            lambda flops, ratio: ((flops / 6 / ratio) ** 0.5, (flops / 6) ** 0.5),
            "D is `ratio` times",
        ),
        "too dear": (
            lambda flops, ratio: ((flops / 6) ** 0.5, ratio * (flops / 6) ** 0.5),
            "times the budget",
        ),
        "order": (
            lambda flops, ratio: right_split(flops, ratio)[::-1],
            "more parameters than",
        ),
    },
    "09.5": {
        "hundred": (PREDICTED | {"parameters": 100}, "nothing for more tokens"),
        "fifty": (PREDICTED | {"parameters": 50}, "a product"),
        "exponent": (PREDICTED | {"gap": 0.5}, "the exponent"),
        "larger": (PREDICTED | {"gap": 4}, "smaller"),
        "sixteenth": (PREDICTED | {"gap": 1 / 16}, "exponent of 1"),
        "sixth": (PREDICTED | {"share of attention": 1 / 6}, "both together"),
        "half": (PREDICTED | {"share of attention": 0.5}, "make them equal"),
    },
    "09.6": {
        "six": (optimum(six=1), "leave out the 6"),
        "plain": (optimum(lambda a, alpha, b, beta: a / b), "both terms are equal"),
        "upside down": (
            optimum(lambda a, alpha, b, beta: beta * b / alpha / a),
            "upside down",
        ),
        "other power": (
            optimum(share=lambda alpha, beta: alpha / (alpha + beta)),
            "the power beta",
        ),
        "root": (optimum(share=lambda alpha, beta: 0.5), "by the root"),
        "order": (
            lambda *arguments: chapter_09.optimum(*arguments)[::-1],
            "parameters first",
        ),
    },
}


# --- the chapter's numbers, by other ways ---------------------------------------------


def test_chapter_09s_counting_is_pytorchs():
    for width in (8, 24):
        config = runs.shape(width)
        with torch.device("meta"):
            model = GPTModel(config)
            ids = torch.zeros(1, config.max_seq_len, dtype=torch.int64)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            next_token_loss(model(ids), ids).backward()
        counted = counter.get_total_flops() / ids.numel()
        assert counted == runs.training_flops(config)
        matrices = [p for p in model.parameters() if p.ndim == 2]
        assert sum(p.numel() for p in matrices) == runs.matrix_numbers(config)


def test_chapter_09s_fit_is_numpys_and_its_optimum_is_the_lowest():
    for case in chapter_09.FIT.cases:
        assert chapter_09.fit_law(*case) == pytest.approx(right_fit(*case))
    for flops, a, alpha, b, beta in chapter_09.OPTIMUM.cases:
        best, _ = chapter_09.optimum(flops, a, alpha, b, beta)

        def loss(n, flops=flops, a=a, alpha=alpha, b=b, beta=beta):
            return a * n**-alpha + b * (flops / 6 / n) ** -beta

        assert loss(best) < min(loss(0.9 * best), loss(1.1 * best))


@pytest.fixture(scope="module")
def bench():
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_09.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_09", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "rate", "targets", "wild", "half", "long"])
def test_a_planted_fault_leaves_chapter_09s_bands(bench, fault):
    bands, _ = read_bands(find_expected(NOTEBOOKS), "09")
    assert bands["bits_of_the_smallest"].holds(bench.measure(0, fault)) == (not fault)


def test_forgetting_attention_or_the_head_leaves_chapter_09s_bands():
    bands, _ = read_bands(find_expected(NOTEBOOKS), "09")
    band, config = bands["flops_of_a_token"], runs.shape(8)
    assert band.holds(runs.training_flops(config))
    assert not band.holds(6 * runs.matrix_numbers(config))
    head = 6 * config.vocab_size * config.d_model
    assert not band.holds(runs.training_flops(config) - head)
