"""Chapter 04: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
from math import sqrt

import pytest
import torch

from llm_core.attention import (
    MultiHeadAttention,
    attention_weights,
    merge_heads,
    split_heads,
)
from llm_core.course import checks
from llm_core.course.checks import chapter_04
from llm_core.course.checks.judge import WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands

INF = float("inf")


def right_weights(q, k):
    scores = torch.einsum("td,sd->ts", q, k) * q.shape[-1] ** -0.5
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def right_mask(scores):
    weights = torch.zeros_like(scores)
    for t in range(len(scores)):
        weights[t, : t + 1] = scores[t, : t + 1].softmax(0)
    return weights


def right_mix(x, weights):
    slices = x.chunk(weights.shape[1], dim=-1)
    mixed = [weights[:, h] @ part for h, part in enumerate(slices)]
    return torch.cat(mixed, dim=-1)


def right_window(T, window):
    rows = [[t - window < s <= t for s in range(T)] for t in range(T)]
    return torch.tensor(rows)


def right_blind(layer, x):
    for _ in range(20):
        order = torch.randperm(len(x))
        if not torch.allclose(layer(x[order]), layer(x)[order], atol=1e-5):
            return False
    return True


def lower(scores, diagonal=0):
    return torch.tril(torch.ones_like(scores), diagonal).bool()


def unnormalized(scores):
    return scores.softmax(-1).masked_fill(~lower(scores), 0.0)


def with_nan(scores):
    mask = torch.zeros_like(scores)
    mask += (1 - torch.tril(torch.ones_like(scores))) * -INF
    return (scores + mask).softmax(-1)


def view_split(x, weights):
    B, T, C = x.shape
    H = weights.shape[1]
    mixed = weights @ x.reshape(B, H, T, C // H)
    return mixed.permute(0, 2, 1, 3).reshape(B, T, C)


def view_merge(x, weights):
    return (weights @ split_heads(x, x.shape[2] // weights.shape[1])).reshape(x.shape)


def view_both(x, weights):
    B, T, C = x.shape
    H = weights.shape[1]
    return (weights @ x.reshape(B, H, T, C // H)).reshape(B, T, C)


def cards(x, weights):
    H = weights.shape[1]
    out = torch.empty_like(x)
    for h in range(H):
        out[:, :, h::H] = weights[:, h] @ x[:, :, h::H]
    return out


def cards_in_the_split(x, weights):
    H = weights.shape[1]
    parts = [weights[:, h] @ x[:, :, h::H] for h in range(H)]
    return torch.cat(parts, dim=-1)


def cards_in_the_merge(x, weights):
    H = weights.shape[1]
    parts = [weights[:, h] @ s for h, s in enumerate(x.chunk(H, -1))]
    return torch.stack(parts, dim=-1).flatten(2)


def heads_behind(x, weights):
    B, T, C = x.shape
    H = weights.shape[1]
    return torch.matmul(weights, x.view(B, T, H, C // H)).flatten(2)


def heads_apart(x, weights):
    return weights @ split_heads(x, x.shape[2] // weights.shape[1])


def same_weights(weights):
    return lambda x, w: right_mix(x, weights(w))


def bools(keep):
    return lambda T, window: torch.tensor(
        [[keep(t, s, window) for s in range(T)] for t in range(T)]
    )


def compare(shuffle, back):
    return lambda layer, x: torch.allclose(layer(shuffle(x)), back(layer(x)), atol=1e-5)


MIXED_UP = torch.tensor([3, 0, 6, 1, 7, 2, 5, 4])


WRONG = {
    "04.1": {
        "axis": (
            lambda q, k: torch.softmax(q @ k.T / sqrt(q.shape[-1]), dim=0),
            "its columns sum to 1",
        ),
        "whole table": (
            lambda q, k: (lambda e: e / e.sum())(
                (q @ k.T / q.shape[-1] ** 0.5).double().exp()
            ).float(),
            "the whole table",
        ),
        "no scale": (lambda q, k: (q @ k.T).softmax(-1), "the scale is missing"),
        "over d": (lambda q, k: (q @ k.T / q.shape[-1]).softmax(-1), "divide by D"),
        "both scaled": (
            lambda q, k: (
                (q / sqrt(q.shape[1])) @ (k / sqrt(k.shape[1])).T / sqrt(q.shape[1])
            ).softmax(-1),
            "by hand",
        ),
        "times": (
            lambda q, k: (q @ k.T * sqrt(q.shape[-1])).softmax(-1),
            "you multiply",
        ),
        "keys": (
            lambda q, k: (q @ k.T / sqrt(k.shape[0])).softmax(-1),
            "number of keys",
        ),
        "queries": (
            lambda q, k: (q @ k.T / sqrt(len(q))).softmax(-1),
            "number of queries",
        ),
        "after": (
            lambda q, k: (q @ k.T).softmax(-1) / sqrt(q.shape[-1]),
            "divide after the softmax",
        ),
        "scores": (lambda q, k: q @ k.T / q.shape[1] ** 0.5, "these are the scores"),
        "dots": (lambda q, k: torch.einsum("td,sd->ts", q, k), "bare dot products"),
        "log": (
            lambda q, k: (q @ k.T / sqrt(q.shape[-1])).log_softmax(-1),
            "log_softmax",
        ),
        "swapped": (
            lambda q, k: (k @ q.T / sqrt(q.shape[-1])).softmax(-1),
            "changed places",
        ),
        "no exponentials": (
            lambda q, k: q @ k.T / (q @ k.T).sum(1)[:, None],
            "without exponentials",
        ),
        "cosine": (
            lambda q, k: torch.cosine_similarity(q[:, None], k, dim=-1).softmax(-1),
            "directions only",
        ),
        "causal": (
            lambda q, k: (
                attention_weights(q[None, None], k[None, None])[0, 0]
                if len(q) == len(k)
                else (q @ k.T / sqrt(q.shape[1]))
                .masked_fill(~torch.ones(len(q), len(k)).tril().bool(), -INF)
                .softmax(-1)
            ),
            "you mask the future",
        ),
        "overflow": (
            lambda q, k: (
                torch.exp(q @ k.T / sqrt(q.shape[1]))
                / torch.exp(q @ k.T / sqrt(q.shape[1])).sum(-1, keepdim=True)
            ),
            "overflows",
        ),
        "list": (lambda q, k: right_weights(q, k).tolist(), "type Tensor"),
    },
    "04.2": {
        "the stub": (
            lambda scores: scores.softmax(-1) * torch.ones_like(scores).triu(),
            "both faults",
        ),
        "triangle": (
            lambda scores: scores.masked_fill(lower(scores, -1), -INF).softmax(-1),
            "you hide the past",
        ),
        "future only": (
            lambda scores: scores.masked_fill(lower(scores), -INF).softmax(-1),
            "only the future",
        ),
        "after": (unnormalized, "you mask after the softmax: a row"),
        "after, divided": (
            lambda scores: (
                unnormalized(scores) / unnormalized(scores).sum(-1, keepdim=True)
            ),
            "divide again",
        ),
        "zero": (
            lambda scores: (scores * lower(scores)).softmax(-1),
            "e to the 0 is 1",
        ),
        "not itself": (
            lambda scores: scores.masked_fill(~lower(scores, -1), -INF).softmax(-1),
            "may not read themselves",
        ),
        "one ahead": (
            lambda scores: scores.masked_fill(~lower(scores, 1), -INF).softmax(-1),
            "one place into the future",
        ),
        "axis": (
            lambda scores: scores.masked_fill(~lower(scores), -INF).softmax(0),
            "down the columns",
        ),
        "thousand": (
            lambda scores: torch.where(lower(scores), scores, -1000.0).softmax(-1),
            "not small enough",
        ),
        "ten": (
            lambda scores: torch.where(lower(scores), scores, -10.0).softmax(-1),
            "too close to the scores",
        ),
        "nan": (with_nan, "0 times minus infinity"),
        "scores": (
            lambda scores: scores.masked_fill(~lower(scores), -INF),
            "the softmax is missing",
        ),
        "in place": (
            lambda scores: scores.masked_fill_(~lower(scores), -INF).softmax(-1),
            "alters its input",
        ),
    },
    "04.3": {
        "view": (view_split, "your split is a view alone"),
        "reshape": (view_merge, "your merge is a reshape alone"),
        "both": (view_both, "They undo each other"),
        "cards": (cards, "head h gets channels"),
        "cards, split": (cards_in_the_split, "your split deals"),
        "cards, merge": (cards_in_the_merge, "your merge collects"),
        "heads behind": (heads_behind, "mix heads and not positions"),
        "transposed": (same_weights(lambda w: w.mT), "weights are transposed"),
        "one head": (
            same_weights(lambda w: w[:, [0] * w.shape[1]]),
            "by the same weights",
        ),
        "mean": (
            same_weights(lambda w: w * 0 + w.mean(1, keepdim=True)),
            "by the mean",
        ),
        "sum": (lambda x, w: heads_apart(x, w).sum(1), "not added up"),
        "not merged": (heads_apart, "still apart"),
        "nothing": (lambda x, w: x.clone(), "nothing is mixed"),
        "view after transpose": (
            lambda x, w: heads_apart(x, w).transpose(1, 2).view(x.shape),
            "view size is not compatible",
        ),
    },
    "04.4": {
        name: (
            {
                "parameters": 1,
                "projections": 2,
                "scores": 4,
                "maps": 4,
                "scores, twice the heads": 1,
                "maps, twice the heads": 2,
            }
            | wrong,
            hint,
        )
        for name, wrong, hint in [
            ("parameters", {"parameters": 2}, "belong to none"),
            ("parameters squared", {"parameters": 4}, "computed, not learned"),
            ("projections", {"projections": 4}, "projected once"),
            ("projections fixed", {"projections": 1}, "used more often"),
            ("scores", {"scores": 2}, "meets how many keys"),
            ("scores cubed", {"scores": 8}, "queries and keys"),
            ("maps", {"maps": 2}, "how long is each"),
            ("maps cubed", {"maps": 8}, "rows and columns"),
            ("heads", {"scores, twice the heads": 2}, "how many channels"),
            ("heads in maps", {"maps, twice the heads": 1}, "a map of its own"),
        ]
    },
    "04.5": {
        "one more": (bools(lambda t, s, w: 0 <= t - s <= w), "itself is one of"),
        "without itself": (bools(lambda t, s, w: 0 < t - s <= w), "ends before"),
        "one less": (bools(lambda t, s, w: 0 <= t - s < w - 1), "too little by one"),
        "both sides": (bools(lambda t, s, w: abs(t - s) < w), "looks ahead as well"),
        "ahead": (bools(lambda t, s, w: 0 <= s - t < w), "looks ahead only"),
        "causal": (bools(lambda t, s, w: s <= t), "the plain causal mask"),
        "blocks": (
            bools(lambda t, s, w: s <= t and t // w == s // w),
            "cut the text into blocks",
        ),
        "inverted": (bools(lambda t, s, w: not t - w < s <= t), "may not look"),
        "numbers": (lambda T, w: right_window(T, w).int(), "these are numbers"),
        "list": (lambda T, w: right_window(T, w).tolist(), "type Tensor"),
    },
    "04.6": {
        "short": ({"shared": (1, 1), "never": "the"}, "the direction is right"),
        "green": ({"shared": (3, 2), "never": "the"}, "more for green"),
        "umbrella": ({"shared": (2, 3), "never": "the"}, "more for umbrella"),
        "away": ({"shared": (-2, -2), "never": "the"}, "asks for something else"),
        "gone": ({"shared": (3, 3), "never": "gone"}, "reads gone most"),
        "unknown": ({"shared": (3, 3), "never": "lost"}, "should be one of"),
        "infinite": ({"shared": (INF, INF), "never": "the"}, "finite"),
        "no pair": ({"shared": 3, "never": "the"}, "two numbers"),
        "one": ((3, 3), "give a dictionary"),
        "half": ({"shared": None, "never": "the"}, "still open"),
    },
    "04.7": {
        "outputs as they were": (
            compare(lambda x: x[MIXED_UP], lambda y: y),
            "the rows have moved",
        ),
        "inverse": (
            compare(lambda x: x[MIXED_UP], lambda y: y[MIXED_UP.argsort()]),
            "by the inverse order",
        ),
        "sums": (
            lambda layer, x: torch.allclose(
                layer(x[MIXED_UP]).sum(0), layer(x).sum(0), atol=1e-3
            ),
            "you compare sums",
        ),
        "sorted": (
            lambda layer, x: torch.allclose(
                layer(x[MIXED_UP]).sort(0).values, layer(x).sort(0).values, atol=1e-4
            ),
            "in sorted order",
        ),
        "backwards": (
            compare(lambda x: x.flip(0), lambda y: y.flip(0)),
            "turn the order around",
        ),
        "circle": (
            compare(lambda x: x.roll(3, 0), lambda y: y.roll(3, 0)),
            "round in a circle",
        ),
        "two": (
            compare(
                lambda x: x[[1, 0, *range(2, len(x))]],
                lambda y: y[[1, 0, *range(2, len(y))]],
            ),
            "exchange the first two",
        ),
        "channels": (
            compare(lambda x: x[:, [3, 2, 1, 0]], lambda y: y[:, [3, 2, 1, 0]]),
            "shuffle the channels",
        ),
        "yes": (lambda layer, x: True, "answer True"),
        "no": (lambda layer, x: False, "answer False"),
        "tensor": (
            lambda layer, x: torch.tensor(right_blind(layer, x)),
            "type bool",
        ),
    },
}
RIGHT = {
    "04.1": right_weights,
    "04.2": right_mask,
    "04.3": right_mix,
    "04.4": {
        "parameters": 1,
        "projections": 2,
        "scores": 4,
        "maps": 4,
        "scores, twice the heads": 1,
        "maps, twice the heads": 2,
    },
    "04.5": right_window,
    "04.6": {"shared": [3, 3], "never": "the"},
    "04.7": right_blind,
}


def test_equal_bits_are_too_much_to_ask():
    """Whether a shuffled sum is rounded another way depends on the machine."""

    def exact(layer, x):
        return torch.equal(layer(x[MIXED_UP]), layer(x)[MIXED_UP])

    verdict = checks.verdict_on("04.7", exact)
    hints = ("equal bits", "the rows have moved")  # the second where some bits agree
    assert verdict.status == "right" or any(h in verdict.message for h in hints)


@pytest.mark.parametrize("number", [-1e9, -INF, torch.finfo(torch.float32).min])
def test_any_score_that_is_small_enough_will_do(number):
    def answer(scores):
        return scores.masked_fill(~lower(scores), number).softmax(-1)

    assert checks.verdict_on("04.2", answer).status == "right"


def test_chapter_04s_oracles_agree_with_the_core():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 4, generator=generator) for _ in range(3))
    weights = attention_weights(q, k)
    scores = q[0, 0] @ k[0, 0].T / sqrt(4)
    assert torch.allclose(chapter_04.mask(scores), weights[0, 0])
    assert torch.allclose(
        chapter_04.weigh(q[0, 0, -1:], k[0, 0]), weights[0, 0, -1:], atol=1e-6
    )
    mixed = merge_heads(weights @ v)
    assert torch.allclose(chapter_04.mix(merge_heads(v), weights), mixed, atol=1e-6)


def test_what_attention_costs_is_what_the_core_has():
    with torch.device("meta"):
        layer = MultiHeadAttention(128, 4, bias=False)
    parameters = sum(p.numel() for p in layer.parameters())
    assert chapter_04.cost(512, 128, 4)["parameters"] == parameters


def test_no_query_reads_the_shorter_key_most():
    for x in range(-30, 31):
        for y in range(-30, 31):
            weights = chapter_04.read_by((x / 10, y / 10))
            assert weights["the"] <= max(weights.values())
            if (x, y) != (0, 0):
                assert max(weights, key=weights.get) != "the"


def test_a_text_is_no_query():
    answer = {"shared": "33", "never": "the"}
    assert "two numbers" in checks.verdict_on("04.6", answer).message


def test_chapter_04_has_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("04").values()]
    assert kinds.count(WriteFunction) >= 3
    assert len(set(kinds)) == 3  # predict, write or mend, find


def benchmark():
    """The script that measures the chapter's bands."""
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_04.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_04", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_planted_fault_leaves_chapter_04s_bands():
    bands, _ = read_bands(find_expected(NOTEBOOKS), "04")
    measure = benchmark()
    right = measure.measure(0)
    assert all(bands[name].holds(value) for name, value in right.items())
    scaled = bands["entropy_scaled"]
    for scale in (1.0, 1 / 256, 16.0, 1 / sqrt(64)):
        entropy, _ = measure.entropy_and_spread(0, scale)
        assert not scaled.holds(entropy), scale
    plain = bands["entropy_unscaled"]
    assert not plain.holds(measure.entropy_and_spread(0, 1 / 16)[0])
    assert not plain.holds(measure.entropy_and_spread(0, 1.0, axis=0)[0])
    assert not scaled.holds(measure.entropy_and_spread(0, 1 / 16, axis=0)[0])
    stories = measure.stories(0)
    from_the_start = measure.share_beyond(stories, 200, nearest=False)
    assert not bands["needed_beyond_200"].holds(from_the_start)
