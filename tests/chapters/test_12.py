"""Chapter 12: right and wrong answers to its exercises, and what leaves its bands."""

import pytest
import torch

from llm_core.course.quote import NOTEBOOKS, Chapter
from llm_core.course.results import find_expected, read_bands

CHAPTER = "12"


def right_lens(x, weight, table):
    normed = torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps=1e-5)
    return torch.einsum("tc,vc->tv", normed, table).softmax(-1)


def right_without_head(mixed, weight, head, num_heads, usual):
    parts = list(mixed.chunk(num_heads, dim=-1))
    parts[head] = usual.chunk(num_heads)[head].expand_as(parts[head])
    columns = weight.chunk(num_heads, dim=1)
    return sum(parts[h] @ columns[h].T for h in range(num_heads))


def right_prefix(weights, ids):
    found = []
    for t in range(len(ids)):
        share = sum(
            weights[t, s] for s in range(1, t + 1) if s - 1 < t and ids[s - 1] == ids[t]
        )
        if any(ids[s] == ids[t] for s in range(t)):
            found.append(float(share))
    return sum(found) / len(found)


def right_control(labels, stories, order):
    label = {int(s): int(y) for s, y in zip(stories, labels, strict=True)}
    return torch.tensor([label[int(order[s])] for s in stories])


def normed_by(norm):
    return lambda x, weight, table: (norm(x, weight) @ table.T).softmax(-1)


def silent(channels):
    def answer(mixed, weight, head, num_heads, usual):
        chosen = torch.zeros(mixed.shape[1], dtype=torch.bool)
        chosen[channels(head, num_heads, mixed.shape[1] // num_heads)] = True
        return torch.where(chosen, usual, mixed) @ weight.T

    return answer


def late(mixed, weight, head, num_heads, usual):
    D = mixed.shape[1] // num_heads
    out = torch.nn.functional.linear(mixed, weight)
    out[:, head * D : head * D + D] = usual[head * D : head * D + D]
    return out


def in_place(mixed, weight, head, num_heads, usual):
    D = mixed.shape[1] // num_heads
    mixed[:, head * D : head * D + D] = usual[head * D : head * D + D]
    return mixed @ weight.T


def viewed(mixed, weight, head, num_heads, usual):
    T, C = mixed.shape
    split = mixed.clone().view(num_heads, T, C // num_heads)
    split[head] = usual.view(num_heads, -1)[head]
    return split.view(T, C) @ weight.T


def scored(counts, divide=None):
    def answer(weights, ids):
        ids = ids.tolist()
        readers = [t for t in range(len(ids)) if ids[t] in ids[:t]]
        total = sum(
            float(weights[t, s])
            for t in readers
            for s in range(t + 1)
            if counts(t, s, ids)
        )
        return total / (divide(ids) if divide else len(readers))

    return answer


def following(t, s, ids):
    return s > 0 and s <= t and ids[s - 1] == ids[t]


def transposed_map(weights, ids):
    return right_prefix(weights.T, ids)


def best_place(weights, ids):
    found = [
        max(float(weights[t, s + 1]) for s in range(t) if ids[s] == ids[t])
        for t in range(len(ids))
        if ids[t] in ids[:t]
    ]
    return sum(found) / len(found)


PATCHES = {
    "all places before told, after 2 blocks": False,
    "all places but told, before the first block": False,
    "told and all places after it, after 2 blocks": True,
    "all places but the reader, after the last block": False,
    "all places, after the last block": True,
}
WRONG = {
    "12.1": {
        "no norm": (normed_by(lambda x, w: x), "final norm is missing"),
        "weight only": (normed_by(lambda x, w: x * w), "do not divide"),
        "no weight": (
            normed_by(
                lambda x, w: x / (x.square().mean(-1, keepdim=True) + 1e-5) ** 0.5
            ),
            "weight is missing",
        ),
        "positions": (
            normed_by(lambda x, w: x / (x.square().mean(0) + 1e-5).sqrt() * w),
            "along the positions",
        ),
        "whole": (
            normed_by(lambda x, w: x / (x.square().mean() + 1e-5).sqrt() * w),
            "the whole stream at once",
        ),
        "length": (
            normed_by(lambda x, w: x / x.norm(dim=-1, keepdim=True) * w),
            "divide by the length",
        ),
        "no root": (
            normed_by(lambda x, w: x / (x.square().mean(-1, keepdim=True) + 1e-5) * w),
            "root is missing",
        ),
        "layer norm": (
            normed_by(lambda x, w: torch.nn.functional.layer_norm(x, x.shape[-1:]) * w),
            "subtract the mean",
        ),
        "logits": (
            lambda x, w, t: (
                torch.nn.functional.rms_norm(x, x.shape[-1:], w, 1e-5) @ t.T
            ),
            "a softmax is missing",
        ),
        "softmax": (
            lambda x, w, t: (
                torch.nn.functional.rms_norm(x, x.shape[-1:], w, 1e-5) @ t.T
            ).softmax(0),
            "along the positions: the chances",
        ),
        "best": (lambda x, w, t: right_lens(x, w, t).argmax(-1), "likeliest ids"),
        "last": (lambda x, w, t: right_lens(x, w, t)[-1], "last position only"),
    },
    "12.2": {
        "late": (late, "after the output projection"),
        "cards": (silent(lambda h, H, D: slice(h, None, H)), "every H-th"),
        "h * H": (silent(lambda h, H, D: slice(h * H, h * H + H)), "begins at h * H"),
        "one channel": (silent(lambda h, H, D: h), "a single channel"),
        "counts from 1": (
            silent(
                lambda h, H, D: slice((h - 1) % H * D, (h - 1) % H * D + D),
            ),
            "count from 0",
        ),
        "to the end": (
            silent(lambda h, H, D: slice(h * D, None)),
            "its slice also ends",
        ),
        "only": (
            lambda m, w, h, H, u: (
                torch.cat(
                    [
                        own if i == h else u.chunk(H)[i].expand_as(own)
                        for i, own in enumerate(m.chunk(H, -1))
                    ],
                    dim=1,
                )
                @ w.T
            ),
            "keep this head",
        ),
        "zero": (
            lambda m, w, h, H, u: right_without_head(m, w, h, H, 0 * u),
            "put to zero",
        ),
        "this text": (
            lambda m, w, h, H, u: right_without_head(m, w, h, H, m.mean(0)),
            "positions of this text",
        ),
        "transposed": (
            lambda m, w, h, H, u: right_without_head(m, w.T, h, H, u),
            "projection is transposed",
        ),
        "view": (viewed, "not a split into heads"),
        "not projected": (
            lambda m, w, h, H, u: right_without_head(m, torch.eye(len(u)), h, H, u),
            "nothing is projected",
        ),
        "nothing": (lambda m, w, h, H, u: m @ w.T, "nothing is silent"),
        "in place": (in_place, "alters its input"),
    },
    "12.3": {
        "itself": (
            scored(lambda t, s, i: s < t and i[s] == i[t]),
            "earlier token itself",
        ),
        "itself too": (
            scored(lambda t, s, i: i[s] == i[t]),
            "one of its earlier places",
        ),
        "before": (
            scored(lambda t, s, i: s + 1 < t and i[s + 1] == i[t]),
            "the other way",
        ),
        "latest": (
            scored(lambda t, s, i: following(t, s, i) and i[t] not in i[s:t]),
            "latest earlier place",
        ),
        "first": (
            scored(lambda t, s, i: following(t, s, i) and i.index(i[t]) == s - 1),
            "first earlier place",
        ),
        "all": (scored(following, len), "number of all positions"),
        "sum": (scored(following, lambda i: 1), "take the mean of those"),
        "transposed": (transposed_map, "rows and columns"),
        "pairs": (
            scored(
                following,
                lambda i: sum(i[s] == i[t] for t in range(len(i)) for s in range(t)),
            ),
            "over pairs of places",
        ),
        "largest": (best_place, "largest weight"),
        "tensor": (
            lambda w, i: torch.tensor(right_prefix(w, i)),
            "type float",
        ),
    },
    "12.4": {
        name: (PATCHES | {name: not value}, hint)
        for (name, value), hint in zip(
            PATCHES.items(),
            (
                "causal mask",
                "different ones",
                "what is left",
                "which vector",
                "own vector",
            ),
            strict=True,
        )
    },
    "12.5": {
        "true labels": (lambda y, s, o: y.clone(), "a control has to know nothing"),
        "backwards": (
            lambda y, s, o: right_control(y, s, o.argsort()),
            "follow the order backwards",
        ),
        "activations": (lambda y, s, o: y[o[s]], "on activations"),
        "stories": (lambda y, s, o: o[s], "number of the story"),
        "reversed": (lambda y, s, o: y.flip(0), "turn the list"),
        "per story": (
            lambda y, s, o: torch.tensor(
                [int(y[(s == o[i]).nonzero()[0, 0]]) for i in range(len(o))]
            ),
            "one label to each story",
        ),
    },
}
RIGHT = {
    "12.1": right_lens,
    "12.2": right_without_head,
    "12.3": right_prefix,
    "12.4": PATCHES,
    "12.5": right_control,
}


@pytest.fixture(scope="module")
def names():
    """What the notebook's cells on induction define."""
    cells = {"imports", "deal", "scores", "examine", "tiny", "train"}
    found = {}
    for cell in Chapter(NOTEBOOKS / "12_inside.ipynb").notebook["cells"]:
        if cell["id"] in cells:
            exec("".join(cell["source"]), found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "in_order", "band"),
    [(1, False, "two_layers"), (1, True, "one_layer"), (2, True, "prefix_matching")],
)
def test_a_planted_fault_leaves_its_band(names, layers, in_order, band):
    """One layer for two, or an order that positions can fake."""
    _, curve = names["train"](layers, in_order)
    _, right, _, matched = curve[-1]
    value = matched[-1].item() if band == "prefix_matching" else right
    bands, _ = read_bands(find_expected(NOTEBOOKS), CHAPTER)
    assert not bands[band].holds(value)
