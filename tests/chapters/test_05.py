"""Chapter 05: right and wrong answers to its exercises, and what leaves its bands."""

import math
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import torch
from torch import nn

from llm_core import GPTConfig, TransformerBlock
from llm_core.course import checks
from llm_core.course.checks import chapter_05
from llm_core.course.checks.judge import Predict, WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands


def right_norm(x, gain, bias):
    norm = nn.LayerNorm(x.shape[-1], eps=1e-5)
    norm.weight.data, norm.bias.data = gain, bias
    return norm(x).detach()


def the_stub(x, gain, bias):
    return (x - x.mean()) / (x.std() + 1e-5) * gain + bias


def half_mended(x, gain, bias):
    mean, deviation = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    return (x - mean) / (deviation + 1e-5) * gain + bias


def nearly_mended(x, gain, bias):
    mean = x.mean(-1, keepdim=True)
    deviation = x.std(-1, keepdim=True, unbiased=False)
    return gain * ((x - mean) / (deviation + 1e-5)) + bias


def of_time(x, gain, bias):
    return (
        right_norm(x.mT, torch.ones(x.shape[1]), torch.zeros(x.shape[1])).mT * (gain)
        + bias
    )


def of_batch(x, gain, bias):
    centred = x - x.mean(0)
    return centred / (centred.square().mean(0) + 1e-5) ** 0.5 * gain + bias


def of_text(x, gain, bias):
    flat = x.flatten(1)
    mean, variance = flat.mean(1), flat.var(1, correction=0)
    return (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt() * (
        gain
    ) + bias


def no_epsilon(x, gain, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / centred.square().mean(-1, keepdim=True).sqrt() * gain + bias


def right_block(x, norm, attend, other_norm, think):
    after = attend(norm(x)) + x
    return think(other_norm(after)) + after


def post_norm_block(x, norm, attend, other_norm, think):
    x = norm(x + attend(x))
    return other_norm(x + think(x))


def in_place_block(x, norm, attend, other_norm, think):
    x += attend(norm(x))
    x += think(other_norm(x))
    return x


def right_rms(x, gain):
    return gain * x * (x.pow(2).mean(dim=2, keepdim=True) + 1e-5).rsqrt()


def right_gelu(x):
    inner = (2 / math.pi) ** 0.5 * (x + 0.044715 * x * x * x)
    return x / 2 + x / 2 * inner.tanh()


def right_gradients(slopes, residual):
    factors = [s + residual for s in slopes]
    return [math.prod(factors[i:]) for i in range(len(factors))] + [1.0]


WRONG = {
    "05.1": {
        "stub": (the_stub, "over the whole tensor"),
        "half mended": (half_mended, "divided by C - 1"),
        "nearly mended": (nearly_mended, "belongs under it"),
        "time": (of_time, "you norm over time"),
        "batch": (of_batch, "that is batch norm"),
        "text": (of_text, "over time as well"),
        "no epsilon": (no_epsilon, "there is no epsilon"),
        "no gain": (lambda x, gain, bias: right_norm(x, gain**0, bias), "gain is miss"),
        "no bias": (lambda x, gain, bias: right_norm(x, gain, 0 * bias), "bias is mis"),
        "neither": (
            lambda x, gain, bias: right_norm(x, gain**0, 0 * bias),
            "gain and bias are missing",
        ),
        "bias first": (
            lambda x, gain, bias: right_norm(x, gain**0, bias) * gain,
            "before the gain",
        ),
        "rms": (lambda x, gain, bias: right_rms(x, gain) + bias, "that is RMS norm"),
        "variance": (
            lambda x, gain, bias: (
                (x - x.mean(-1, True)) / (x.var(-1, False, keepdim=True) + 1e-5) * gain
                + bias
            ),
            "divide by the variance",
        ),
        "no mean": (
            lambda x, gain, bias: (
                gain * x / (x.var(-1, False, keepdim=True) + 1e-5) ** 0.5 + bias
            ),
            "mean is not subtracted",
        ),
    },
    "05.2": {
        "post": (post_norm_block, "that is post-norm"),
        "norm of output": (
            lambda x, n, a, m, f: (y := x + n(a(x))) + m(f(y)),
            "norm what a part puts out",
        ),
        "both": (
            lambda x, n, a, m, f: m((y := n(x + a(n(x)))) + f(m(y))),
            "again after the addition",
        ),
        "normed stream": (
            lambda x, n, a, m, f: m(y := n(x) + a(n(x))) + f(m(y)),
            "to the normed copy",
        ),
        "no residual": (lambda x, n, a, m, f: f(m(a(n(x)))), "both parts replace"),
        "first missing": (
            lambda x, n, a, m, f: (y := a(n(x))) + f(m(y)),
            "attention replaces",
        ),
        "second missing": (
            lambda x, n, a, m, f: f(m(x + a(n(x)))),
            "feed-forward replaces",
        ),
        "parallel": (
            lambda x, n, a, m, f: x + f(m(x)) + a(n(x)),
            "as it was before attention",
        ),
        "old stream": (
            lambda x, n, a, m, f: f(m(x + a(n(x)))) + x,
            "added to the old stream",
        ),
        "chain": (
            lambda x, n, a, m, f: x + (y := a(n(x))) + f(m(y)),
            "only what attention put out",
        ),
        "one norm": (lambda x, n, a, m, f: right_block(x, n, a, n, f), "one norm for"),
        "other norm": (lambda x, n, a, m, f: right_block(x, m, a, n, f), "changed pl"),
        "no norms": (lambda x, n, a, m, f: (y := x + a(x)) + f(y), "norms are missing"),
        "no second norm": (
            lambda x, n, a, m, f: (y := x + a(n(x))) + f(y),
            "feed-forward reads the stream without",
        ),
        "no first norm": (
            lambda x, n, a, m, f: (y := x + a(x)) + f(m(y)),
            "attention reads the stream without",
        ),
        "order": (lambda x, n, a, m, f: right_block(x, m, f, n, a), "comes first in"),
        "in place": (in_place_block, "alters its input"),
        "halves": (lambda x, n, a, m, f: right_block(x, n, a, m, f) / 2, "by hand"),
    },
    "05.3": {
        "no biases": (
            {"attention": 400, "feed_forward": 850, "norms": 40},
            "leaves out the biases",
        ),
        "three": (
            {"attention": 330, "feed_forward": 850, "norms": 40},
            "output matrix is the fourth",
        ),
        "heads": (
            {"attention": 880, "feed_forward": 850, "norms": 40},
            "heads do not multiply",
        ),
        "up only": (
            {"attention": 440, "feed_forward": 440, "norms": 40},
            "the way back down is missing",
        ),
        "one bias": (
            {"attention": 440, "feed_forward": 840, "norms": 40},
            "the way down has a bias",
        ),
        "square": (
            {"attention": 440, "feed_forward": 220, "norms": 40},
            "four times as wide",
        ),
        "one norm": (
            {"attention": 440, "feed_forward": 850, "norms": 20},
            "two norms in a block",
        ),
        "scalars": (
            {"attention": 440, "feed_forward": 850, "norms": 4},
            "one for each channel",
        ),
        "no norms": (
            {"attention": 440, "feed_forward": 850, "norms": 0},
            "gain and bias are",
        ),
    },
    "05.4": {
        "unscaled": (
            lambda x, k, p, training: x * k if training else x,
            "not scaled up",
        ),
        "by p": (
            lambda x, k, p, training: x * k / (p or 1) if training else x,
            "you divide by p",
        ),
        "by p, or by 0": (
            lambda x, k, p, training: x * k / p if training else x,
            "and that may be 0",
        ),
        "smaller still": (
            lambda x, k, p, training: x.where(k, 0 * x) * (1 - p) if training else x,
            "smaller still",
        ),
        "old style": (
            lambda x, k, p, training: x * k if training else x * (1 - p),
            "in evaluation and not in training",
        ),
        "always": (lambda x, k, p, training: x * k / (1 - p), "you drop as well"),
        "unscaled in evaluation": (
            lambda x, k, p, training: x * k / (1 - p) if training else x * k,
            "still drop in evaluation",
        ),
        "scaled in evaluation": (
            lambda x, k, p, training: (k * x if training else x) / (1 - p),
            "you still scale",
        ),
        "reversed": (
            lambda x, k, p, training: x if training else x * k / (1 - p),
            "the other way round",
        ),
        "inverted": (
            lambda x, k, p, training: (
                x.masked_fill(k, 0.0) / (1 - p) if training else x
            ),
            "True means that a number stays",
        ),
        "by count": (
            lambda x, k, p, training: x * k * k.numel() / k.sum() if training else x,
            "happened to be kept",
        ),
        "shorter": (
            lambda x, k, p, training: x[k] / (1 - p) if training else x,
            "the shape changes",
        ),
        "nothing": (lambda x, k, p, training: x, "nothing is dropped"),
    },
    "05.5": {
        "layer norm": (lambda x, g: right_norm(x, g, 0 * g), "subtract the mean"),
        "no root": (
            lambda x, g: x / (x.pow(2).mean(-1, True) + 1e-5) * g,
            "the root is missing",
        ),
        "sum": (
            lambda x, g: x / (x.pow(2).sum(-1, True) + 1e-5) ** 0.5 * g,
            "the sum of the squares",
        ),
        "whole": (
            lambda x, g: x * (x.pow(2).mean() + 1e-5).rsqrt() * g,
            "whole tensor",
        ),
        "time": (
            lambda x, g: x * (x.pow(2).mean(1, True) + 1e-5).rsqrt() * g,
            "over time",
        ),
        "no gain": (lambda x, g: right_rms(x, 1.0), "gain is missing"),
        "beside": (
            lambda x, g: x / (x.pow(2).mean(-1, True).sqrt() + 1e-5) * g,
            "belongs under it",
        ),
        "no epsilon": (
            lambda x, g: x * x.pow(2).mean(-1, True).rsqrt() * g,
            "there is no epsilon",
        ),
        "variance": (
            lambda x, g: x * (x.var(-1, False, keepdim=True) + 1e-5).rsqrt() * g,
            "root of the variance",
        ),
        "sizes": (
            lambda x, g: x / (x.abs().mean(-1, True) + 1e-5) * g,
            "without their signs",
        ),
    },
    "05.6": {
        "exact": (nn.GELU(), "by the error function"),
        "sigmoid": (lambda x: x / (1 + torch.exp(-1.702 * x)), "by the sigmoid"),
        "relu": (lambda x: x.clamp(min=0), "ReLU"),
        "silu": (nn.SiLU(), "SiLU"),
        "no cube": (
            lambda x: 0.5 * x * (1 + torch.tanh((2 / math.pi) ** 0.5 * x)),
            "cubic term is missing",
        ),
        "no root of 2 / pi": (
            lambda x: 0.5 * x * (1 + torch.tanh(x + 0.044715 * x**3)),
            "in front of the bracket",
        ),
        "2 / pi": (
            lambda x: 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3))),
            "it is its root",
        ),
        "root of 2": (
            lambda x: (
                0.5 * x * (1 + torch.tanh(2**0.5 / math.pi * (x + 0.044715 * x**3)))
            ),
            "over 2 alone",
        ),
        "bracket": (
            lambda x: (
                0.5 * x * (1 + torch.tanh((2 / math.pi) ** 0.5 * x + 0.044715 * x**3))
            ),
            "to the cube as well",
        ),
        "square": (
            lambda x: (
                0.5 * x * (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**2)))
            ),
            "you square x",
        ),
        "cube of all": (
            lambda x: (
                0.5
                * x
                * (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + (0.044715 * x) ** 3)))
            ),
            "only x is cubed",
        ),
        "no half": (lambda x: 2 * right_gelu(x), "half is missing"),
        "no x": (
            lambda x: (
                (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2
            ),
            "factor x is missing",
        ),
        "no 1": (
            lambda x: x * torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)) / 2,
            "the 1 before tanh",
        ),
    },
    "05.7": {
        "from the top": (lambda s, r: right_gradients(s, r)[::-1], "begins at the top"),
        "upwards": (
            lambda s, r: [math.prod(x + r for x in s[:i]) for i in range(len(s) + 1)],
            "on the way up",
        ),
        "no residual": (lambda s, r: right_gradients(s, False), "is 1 + s. Yours is s"),
        "residual": (lambda s, r: right_gradients(s, True), "you always use 1 + s"),
        "reversed": (lambda s, r: right_gradients(s, not r), "the other way round"),
        "1 + product": (
            lambda s, r: [math.prod(s[i:]) + r for i in range(len(s))] + [1.0],
            "to the product of the slopes",
        ),
        "sum": (
            lambda s, r: [1.0 + sum(s[i:]) for i in range(len(s) + 1)],
            "not added",
        ),
        "own slopes": (lambda s, r: [x + r for x in s] + [1.0], "parts' own slopes"),
        "no top": (lambda s, r: right_gradients(s, r)[:-1], "1 at the top is missing"),
        "bottom": (lambda s, r: right_gradients(s, r)[0], "at the bottom only"),
        "tuple": (lambda s, r: tuple(right_gradients(s, r)), "should be of type list"),
    },
}
RIGHT = {
    "05.1": right_norm,
    "05.2": right_block,
    "05.3": {"attention": 440, "feed_forward": 850, "norms": 40},
    "05.4": lambda x, kept, p, training: (
        x.masked_fill(~kept, 0.0) * (1 / (1 - p)) if training else x.clone()
    ),
    "05.5": right_rms,
    "05.6": right_gelu,
    "05.7": right_gradients,
}


def test_chapter_05s_count_is_what_a_block_has():
    block = TransformerBlock(
        GPTConfig(vocab_size=60, d_model=10, num_heads=2, num_layers=1, max_seq_len=8)
    )
    counts = dict.fromkeys(RIGHT["05.3"], 0)
    for name, weight in block.named_parameters():
        counts["norms" if "norm" in name else name.split(".")[0]] += weight.numel()
    assert counts == chapter_05.COUNT.truth() == RIGHT["05.3"]


def test_chapter_05_has_a_prediction_and_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("05").values()]
    assert kinds.count(WriteFunction) == 6
    assert kinds.count(Predict) == 1


# --- its bands ------------------------------------------------------------------------


@cache
def chapter():
    """The chapter's own functions, and their results, as its benchmark takes them."""
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_05.py"
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def bands():
    return read_bands(find_expected(NOTEBOOKS), "05")[0]


def test_a_stack_before_training_lies_in_chapter_05s_bands():
    results = chapter().measure_stacks(seed=2)
    assert results.keys() < bands().keys()
    assert not [name for name in results if not bands()[name].holds(results[name])]


@pytest.mark.parametrize(
    ("fault", "leaves"),
    [
        ({"norm": "post"}, ["gradient_pre", "likeness_pre", "size_pre"]),
        ({"norm": "none"}, ["gradient_pre", "likeness_pre", "size_pre"]),
        ({"residual": False}, ["gradient_pre", "likeness_pre", "size_pre"]),
    ],
    ids=str,
)
def test_a_part_switched_off_leaves_chapter_05s_bands(fault, leaves):
    results = chapter().pre_norm_stack(seed=2, **fault)
    outside = sorted(n for n in results if not bands()[n].holds(results[n]))
    assert outside == leaves


def test_a_residual_connection_leaves_the_bands_of_the_stack_without():
    likeness = chapter().pre_norm_stack(seed=2)["likeness_pre"]
    assert not bands()["likeness_replaced"].holds(likeness)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"residual": True, "norm": "post"}, "loss_pre"),
        ({"residual": True, "norm": "pre", "rate": 3e-2}, "loss_pre"),
        ({"residual": True, "norm": "pre", "rate": 3e-4}, "loss_pre"),
        ({"residual": True, "norm": "pre"}, "loss_post"),
        ({"residual": True, "norm": "pre"}, "loss_replaced"),
        ({"residual": False, "norm": "pre"}, "loss_pre_small"),
    ],
    ids=str,
)
def test_a_planted_fault_leaves_the_bands_of_chapter_05s_training(fault, name):
    loss = chapter().final_loss(**fault)
    assert not bands()[name].holds(loss)
