"""Chapter 00: right and wrong answers to its exercises, and what leaves its bands."""

from itertools import pairwise

import pytest
import torch

from llm_core.attention import split_heads
from llm_core.course import checks
from llm_core.course.checks import chapter_00
from llm_core.course.checks.judge import Predict, WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands

# --- 00.1 and 00.2: predictions -------------------------------------------------------

READY = {
    "comprehension": [3, 5],
    "dictionary": 3,
    "function": 13,
    "logarithm": -3.0,
    "exponential": 5,
    "probability": 0.0625,
}
SHAPES = {
    "x[:, -1]": (2, 8),
    "x[0, 1:]": (4, 8),
    "x.mean(dim=1)": (2, 8),
    "x - x.mean(dim=1)": "error",
    "x - x.mean(dim=1, keepdim=True)": [2, 5, 8],  # a list will do
    "x @ W": torch.Size([2, 5, 3]),
    "x @ x.transpose(1, 2)": (2, 5, 5),
    "a - b": (4, 4),
}

# --- 00.3: standardize ----------------------------------------------------------------


def standardized(dim=-1, keepdim=True, correction=0, inside=1e-5, outside=0.0):
    def standardize(x):
        mean = x.mean(dim, keepdim=keepdim)
        variance = x.var(dim, keepdim=keepdim, correction=correction)
        return (x - mean) / (torch.sqrt(variance + inside) + outside)

    return standardize


def in_loops(x):
    out = torch.empty_like(x)
    for b, story in enumerate(x):
        for t, position in enumerate(story):
            squares = sum((n - position.mean()) ** 2 for n in position)
            root = (squares / len(position) + 1e-5) ** 0.5
            out[b, t] = (position - position.mean()) / root
    return out


def in_place(x):
    x -= x.mean(-1, keepdim=True)
    x /= (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x


def by_variance(x):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, True, keepdim=True) * 0 + 1)


def by_square(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5)


def to_length_one(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.norm(dim=-1, keepdim=True) ** 2 + 1e-5).sqrt()


def by_mean_size(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.abs().mean(-1, keepdim=True) + 1e-5)


def not_centred(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)


# --- 00.4: split into heads -----------------------------------------------------------


def by_slices(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


def batch_and_heads_first(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=0)


def as_a_view(x, num_heads):
    return x.reshape(len(x), num_heads, x.shape[1], -1)


def every_other_channel(x, num_heads):
    return torch.stack([x[..., h::num_heads] for h in range(num_heads)], dim=1)


def time_last(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1).mT


def channels_before(x, num_heads):
    return x.mT.reshape(len(x), num_heads, x.shape[1], -1)


def heads_behind(x, num_heads):
    return x.unflatten(-1, (num_heads, -1))


def whole_width(x, num_heads):
    return torch.stack([x] * num_heads, dim=1)


# --- 00.5: mend the loss --------------------------------------------------------------


def loss(predictions, targets):
    return torch.nn.functional.mse_loss(predictions.flatten(), targets)


# --- 00.6: find the place -------------------------------------------------------------


def place(index, shape):
    return torch.arange(torch.Size(shape).numel()).view(shape)[tuple(index)].item()


def strides_of(shape, include_own=False):
    strides = []
    for axis in range(len(shape)):
        stride = 1
        for size in shape[axis + (not include_own) :]:
            stride *= size
        strides.append(stride)
    return strides


def dot(index, strides):
    return sum(i * stride for i, stride in zip(index, strides, strict=True))


def column_major(index, shape):
    return dot(index, strides_of(shape[::-1])[::-1])


# --- 00.7: windows --------------------------------------------------------------------


def windows(ids, size):
    step = ids.stride(0)
    return torch.as_strided(ids, (len(ids) + 1 - size, size), (step, step))


def copied_windows(ids, size):
    return torch.stack([ids[i : i + size] for i in range(len(ids) - size + 1)])


def windows_of(rows, strides, *offset):
    return lambda ids, size: ids.as_strided(
        (rows(len(ids), size), size), strides(ids.stride(0), size), *offset
    )


def all_of_them(n, size):
    return n - size + 1


def missed(**answers):
    return READY | answers


WRONG = {
    "00.1": {
        "condition": (missed(comprehension=[3, 3, 5]), "leaves words out"),
        "words": (missed(comprehension=["the", "slept"]), "what is kept"),
        "tuple": (missed(comprehension=(3, 5)), "make a list"),
        "comprehension": (missed(comprehension="[3, 5]"), "list comprehensions"),
        "once": (missed(dictionary=1), "more than once"),
        "dictionary": (missed(dictionary=0), "their method get"),
        "inner": (missed(function=5), "a step of its own"),
        "function": (missed(function=0), "keyword arguments"),
        "fraction": (missed(logarithm=3), "mind the fraction"),
        "logarithm": (missed(logarithm=4), "Below 1"),
        "product": (missed(exponential=6), "add up"),
        "exponential": (missed(exponential=0), "laws of exponents"),
        "sum": (missed(probability=1.25), "larger than 1"),
        "any order": (missed(probability=3 / 16), "the order is given"),
        "probability": (missed(probability=0.5), "independent events"),
        "two at once": (missed(dictionary=2, logarithm=3), "count of n"),
    },
    "00.2": {
        "second axis": (SHAPES | {"x[:, -1]": (2, 5)}, "not for C"),
        "axis kept": (SHAPES | {"x[0, 1:]": (1, 4, 8)}, "takes its axis away"),
        "dim from 1": (SHAPES | {"x.mean(dim=1)": (5, 8)}, "not B"),
        "left ends": (SHAPES | {"x - x.mean(dim=1)": (2, 5, 8)}, "under T"),
        "no stretch": (
            SHAPES | {"x - x.mean(dim=1, keepdim=True)": "error"},
            "a 1 is stretched",
        ),
        "not summed": (SHAPES | {"x @ W": (2, 5, 8, 3)}, "summed away"),
        "no batch": (SHAPES | {"x @ x.transpose(1, 2)": (5, 5)}, "batch axis stays"),
        "channels": (SHAPES | {"x @ x.transpose(1, 2)": (2, 8, 8)}, "in the middle"),
        "no broadcast": (SHAPES | {"a - b": (4,)}, "under the last one of b"),
        "refused": (SHAPES | {"a - b": "error"}, "that would be kind"),
        "odd": (SHAPES | {"a - b": (4, 4, 4)}, "one by one"),
        "works": (SHAPES | {"x[:, -1]": "error"}, "this one works"),
        "number": (SHAPES | {"a - b": 4}, "that is one number"),
        "words": (SHAPES | {"a - b": ("B", "B")}, "write a shape as a tuple"),
        "nested": (SHAPES | {"x @ W": ([2], 5)}, "x @ W: write a shape"),
    },
    "00.3": {
        "no keepdim": (standardized(keepdim=False), "without keepdim"),
        "time": (standardized(dim=1), "dim=1"),
        "batch": (standardized(dim=0), "dim=0"),
        "all": (standardized(dim=(0, 1, 2)), "everything"),
        "a text": (standardized(dim=(1, 2)), "T and C together"),
        "unbiased": (standardized(correction=1), "correction=0"),
        "no epsilon": (standardized(inside=0), "no number (nan)"),
        "epsilon last": (standardized(inside=0, outside=1e-5), "after the root"),
        "variance": (by_square, "Its root brings"),
        "length": (to_length_one, "the length 1"),
        "sizes": (by_mean_size, "not of the squares"),
        "centred only": (by_variance, "leave the variance"),
        "not centred": (not_centred, "take the mean away first"),
        "in place": (in_place, "alters its input"),
        "a list": (lambda x: in_loops(x).tolist(), "type Tensor; yours is list"),
    },
    "00.4": {
        "view": (as_a_view, "moves nothing"),
        "dealt": (every_other_channel, "D neighbours"),
        "flipped": (channels_before, "before you cut"),
        "not moved": (heads_behind, "behind time"),
        "heads first": (batch_and_heads_first, "batch axis stays first"),
        "inside": (time_last, "exchanged T and D"),
        "wide": (whole_width, "C numbers of every position"),
        "head size": (
            lambda x, num_heads: split_heads(x, num_heads),
            "for the size of a head",
        ),
        "a list": (
            lambda x, num_heads: list(by_slices(x, num_heads)),
            "type Tensor; yours is list",
        ),
    },
    "00.5": {
        "all pairs": (lambda p, t: (p - t).pow(2).mean(), "every prediction"),
        "all pairs, added": (lambda p, t: (p - t).pow(2).sum(), "now you also add"),
        "all pairs, by B": (
            lambda p, t: (p - t).pow(2).sum() / t.numel(),
            "does not mend that",
        ),
        "no pairs": (lambda p, t: (p - t[:, None]).pow(2).sum(), "larger batch"),
        "no square": (lambda p, t: (p.flatten() - t).mean(), "cancel"),
        "sizes": (lambda p, t: (p.flatten() - t).abs().mean(), "not their square"),
        "means": (lambda p, t: (p.mean() - t.mean()).square(), "compare the means"),
        "no mean": (lambda p, t: (p.T[0] - t).square(), "the mean, is missing"),
        "root": (lambda p, t: loss(p, t) ** 0.5, "the root at the end"),
        "number": (lambda p, t: loss(p, t).item(), "type Tensor; yours is float"),
    },
    "00.6": {
        "columns": (column_major, "moves fastest"),
        "own sizes": (dot, "size of its own axis"),
        "next size": (lambda i, s: dot(i, [*s[1:], 1]), "next axis alone"),
        "one axis more": (
            lambda i, s: dot(i, strides_of(s, include_own=True)),
            "includes the axis itself",
        ),
        "from one": (lambda i, s: 1 + place(i, s), "count from 1"),
        "sum": (lambda i, s: sum(i), "every stride were 1"),
        "sums": (
            lambda i, s: dot(i, [sum(s[k + 1 :]) or 1 for k in range(len(s))]),
            "skips their product",
        ),
        "a tensor": (lambda i, s: torch.tensor(place(i, s)), "type int"),
    },
    "00.7": {
        "no overlap": (lambda ids, size: ids.unfold(0, size, size), "overlap"),
        "one short": (
            windows_of(lambda n, s: n - s, lambda k, s: (k, k)),
            "one window is missing",
        ),
        "too many": (
            windows_of(lambda n, s: n, lambda k, s: (k, k)),
            "beyond the end",
        ),
        "columns": (lambda ids, size: windows(ids, size).T, "stand in the columns"),
        "no step": (windows_of(all_of_them, lambda k, s: (0, k)), "is not 0"),
        "step of 1": (windows_of(all_of_them, lambda k, s: (1, 1)), "ids.stride(0)"),
        "from 0": (
            windows_of(all_of_them, lambda k, s: (k, k), 0),
            "storage_offset out",
        ),
        "step of 1, from 0": (
            windows_of(all_of_them, lambda k, s: (1, 1), 0),
            "neither does",
        ),
        "copies": (copied_windows, "they are copies"),
    },
}
RIGHT = {
    "00.1": READY,
    "00.2": SHAPES,
    "00.3": in_loops,
    "00.4": by_slices,
    "00.5": loss,
    "00.6": place,
    "00.7": windows,
}


def test_00s_self_test_names_everything_there_is_to_read_up_on():
    verdict = checks.verdict_on("00.1", missed(dictionary=2, logarithm=3))
    assert "dictionary: " in verdict.message
    assert "logarithm: " in verdict.message
    assert "function: " not in verdict.message
    assert verdict.evidence == {"dictionary": "2", "logarithm": "3"}


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("00.3", lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:])),
        ("00.3", standardized()),
        ("00.4", lambda x, num_heads: split_heads(x, x.shape[-1] // num_heads)),
        ("00.5", lambda p, t: ((p - t[:, None]) ** 2).mean()),
        ("00.5", lambda p, t: ((p.squeeze() - t) ** 2).mean()),
        ("00.6", lambda i, s: dot(i, strides_of(s))),
        ("00.6", lambda i, s: dot(i, torch.empty(s).stride())),
        ("00.7", lambda ids, size: ids.unfold(0, size, 1)),
    ],
)
def test_00_accepts_other_ways_to_be_right(number, answer):
    assert checks.verdict_on(number, answer).status == "right"


def test_00s_windows_may_not_be_laid_over_a_copy():
    answer = checks.verdict_on("00.7", lambda ids, size: windows(ids.clone(), size))
    assert answer.message == chapter_00.COPIED


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("inside", [0, 1e-5])
def test_00_names_a_lost_axis_however_the_rest_is_written(correction, inside):
    answers = [
        standardized(keepdim=False, correction=correction, inside=inside),
        lambda x: (
            (x - x.mean(-1, keepdim=True))
            / (x.var(-1, correction=correction) + inside).sqrt()
        ),
    ]
    for answer in answers:
        verdict = checks.verdict_on("00.3", answer)
        assert verdict.message == chapter_00.NOT_KEPT


def test_an_accident_in_00_is_no_misconception():
    """An error that has nothing to do with broadcasting gets no hint about it."""
    for number in ("00.3", "00.7"):
        verdict = checks.verdict_on(number, lambda *_: torch.ones(2) + torch.ones(3))
        assert verdict.message.startswith("your function stopped with RuntimeError")


def test_a_planted_fault_leaves_chapter_00s_bands():
    bands, _ = read_bands(find_expected(NOTEBOOKS), "00")
    text = ["the cat sat", "the hen ate", "the dog ran"]
    characters = sorted(set("".join(text)))
    counts = torch.zeros(12, 12)
    for story in text:
        for a, b in pairwise(story):
            counts[characters.index(a), characters.index(b)] += 1

    def rows(chances):
        return torch.isclose(chances.sum(1), torch.ones(12)).sum().item()

    band = bands["rows_that_add_up_to_1"]
    assert band.holds(rows(counts / counts.sum(1, keepdim=True)))
    assert not band.holds(rows(counts / counts.sum(1)))
    assert not band.holds(rows(counts / counts.sum(0)))

    def touched(split):
        x = torch.arange(44.0).view(1, 11, 4)
        changed = x.clone()
        changed[0, 5] += 0.5
        return (split(changed, 2) != split(x, 2)).any(-1).any(1).sum().item()

    band = bands["positions_touched"]
    assert band.holds(touched(by_slices))
    assert not band.holds(touched(as_a_view))
    assert not band.holds(touched(channels_before))

    def spread(draw, size=64, dim=1):
        a, b = draw(2, 20_000, size, generator=torch.Generator().manual_seed(5))
        return (a * b).sum(dim).std().item()

    band = bands["dot_product_spread"]
    assert band.holds(spread(torch.randn))
    assert not band.holds(spread(torch.rand))
    assert not band.holds(spread(torch.randn, size=60))
    assert not band.holds(spread(torch.randn, dim=0))


def test_chapter_00_has_predictions_and_functions():
    exercises = checks.exercises("00").values()
    assert sum(isinstance(e, Predict) for e in exercises) == 2
    assert sum(isinstance(e, WriteFunction) for e in exercises) == 5
