"""Chapter 10: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands
from llm_core.generation import SamplingConfig, penalize_repetition


def right_softmax(logits, temperature):
    z = np.array(logits, dtype=float)
    if temperature == 0:
        return np.eye(len(z))[z.argmax()].tolist()
    p = np.exp((z - z.max()) / temperature)
    return (p / p.sum()).tolist()


def softmax(scale, finish=lambda p, t: p / p.sum()):
    def answer(logits, temperature):
        z = np.array(logits)
        if temperature == 0:
            return right_softmax(logits, 0)
        return finish(np.exp(scale(z - z.max(), temperature)), temperature).tolist()

    return answer


def cold(limit):
    def answer(logits, temperature):
        if temperature == 0:
            return limit(logits)
        return right_softmax(logits, temperature)

    return answer


def unshifted(logits, temperature):
    if temperature == 0:
        return right_softmax(logits, 0)
    terms = [math.exp(z / temperature) for z in logits]
    return [term / sum(terms) for term in terms]


def right_top_p(probabilities, p):
    x = np.array(probabilities)
    order = np.argsort(-x, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(x[order])[:-1]])
    keep = np.zeros(len(x), dtype=bool)
    keep[order] = before < p
    keep[order[0]] = True
    x = np.where(keep, x, 0.0)
    return (x / x.sum()).tolist()


def top_p(keeps, key=lambda i, x: -x, finish=lambda x, order, p: x / x.sum()):
    def answer(probabilities, p):
        x = np.array(probabilities)
        order = sorted(range(len(x)), key=lambda i: key(i, x[i]))
        after = np.cumsum(x[order])
        keep = np.zeros(len(x), dtype=bool)
        keep[order] = keeps(after - x[order], after, p)
        return finish(np.where(keep, x, 0.0), order, p).tolist()

    return answer


def usual(before, after, p):
    return (before < p) | (np.arange(len(before)) == 0)


def too_early(before, after, p):
    return (after <= p) | (np.arange(len(before)) == 0)


def one_more(before, after, p):
    kept = usual(before, after, p)
    return kept | np.concatenate([[True], kept[:-1]])


def right_penalty(logits, ids, penalty):
    row, seen = torch.tensor([logits], dtype=torch.float64), torch.tensor([ids]).long()
    return penalize_repetition(row, seen, penalty)[0].tolist()


def unmended(logits, ids, penalty):
    result = list(logits)
    for i in ids:
        result[i] = result[i] / penalty
    return result


def penalty(change, of=set):
    def answer(logits, ids, penalty):
        result = list(logits)
        for i in of(ids):
            result[i] = change(result[i], penalty)
        return result

    return answer


def in_place(logits, ids, penalty):
    for i in set(ids):
        logits[i] *= 1 / penalty if logits[i] > 0 else penalty
    return logits


def proper(z, r):
    return z / r if z > 0 else z * r


def right_walk(table, start, length, n):
    text = list(start)
    while len(text) < length:
        rows = {tuple(text[i - n : i]) for i in range(n, len(text) + 1)}
        options = sorted(table.get(text[-1], {}).items(), key=lambda pair: -pair[1])
        tail = text[-(n - 1) :] if n > 1 else []
        free = [word for word, _ in options if tuple([*tail, word]) not in rows]
        if not free:
            return text
        text.append(free[0])
    return text


def greedy_walk(table, start, length, n):
    text = list(start)
    while len(text) < length and table.get(text[-1]):
        text.append(max(table[text[-1]], key=table[text[-1]].get))
    return text


def new_words_only(table, start, length, n):
    text = list(start)
    while len(text) < length:
        options = {w: p for w, p in table.get(text[-1], {}).items() if w not in text}
        if not options:
            break
        text.append(max(options, key=options.get))
    return text


def gives_in(table, start, length, n):
    text = list(start)
    while len(text) < length and table.get(text[-1]):
        rows = {tuple(text[i - n : i]) for i in range(n, len(text) + 1)}
        options = table[text[-1]]
        free = [
            w for w in options if tuple([*text[len(text) - n + 1 :], w]) not in rows
        ]
        text.append(max(free or options, key=options.get))
    return text


def right_beam(table, start, steps, width):
    beams = {(start,): 0.0}
    for _ in range(steps):
        longer = {
            (*path, word): cost - math.log(p)
            for path, cost in beams.items()
            for word, p in table.get(path[-1], {}).items()
        }
        best = sorted(longer, key=longer.get)[:width]
        beams = {path: longer[path] for path in best}
    return list(min(beams, key=beams.get))


def beam(join, width_of=lambda width: width, most=True):
    def answer(table, start, steps, width):
        beams = [([start], 1.0)]
        for _ in range(steps):
            longer = [
                ([*path, word], join(p, q))
                for path, p in beams
                for word, q in table.get(path[-1], {}).items()
            ]
            longer.sort(key=lambda pair: pair[1], reverse=most)
            beams = longer[: width_of(width)]
        return beams[0][0]

    return answer


RIGHT = {
    "10.1": right_softmax,
    "10.2": right_top_p,
    "10.3": right_penalty,
    "10.4": {
        "ties at top_k = 3": 3,
        "top_k = 50": 8,
        "top_p = 1": 8,
        "top_p = 0": 1,
        "min_p = 1": 2,
        "temperature = 0": 1,
        "min_p = 0.5, masked": 1,
    },
    "10.5": {
        "equal, T = 1": 3,
        "equal, T = 10": 3.0,
        "equal, T = 0": 0,
        "hot": 3,
        "top_k = 4": 2,
        "half and half": 2,
    },
    "10.6": right_walk,
    "10.7": right_beam,
}
SURVIVE, BITS = RIGHT["10.4"], RIGHT["10.5"]
WRONG = {
    "10.1": {
        "times T": (softmax(lambda z, t: z * t), "you multiply by the temperature"),
        "no T": (softmax(lambda z, t: z), "is not used"),
        "divided probabilities": (
            softmax(lambda z, t: z, lambda p, t: p / p.sum() / t),
            "no longer add up to 1",
        ),
        "twice": (
            softmax(
                lambda z, t: z,
                lambda p, t: np.array(right_softmax((p / p.sum()).tolist(), t)),
            ),
            "softmax twice",
        ),
        "undivided": (softmax(lambda z, t: z / t, lambda p, t: p), "by their sum"),
        "overflow": (unshifted, "Subtract the largest"),
        "division by zero": (cold(lambda z: [x / 0 for x in z]), "divide by zero"),
        "last of equals": (
            cold(lambda z: right_softmax(z[::-1], 0)[::-1]),
            "to the last",
        ),
        "shared": (
            cold(lambda z: [(x == max(z)) / z.count(max(z)) for x in z]),
            "share in your answer",
        ),
        "smallest": (cold(lambda z: right_softmax([-x for x in z], 0)), "*largest*"),
        "uniform at 0": (cold(lambda z: [1 / len(z)] * len(z)), "a high temperature"),
        "one at 0": (cold(lambda z: right_softmax(z, 1)), "fall back"),
    },
    "10.2": {
        "before the crossing": (top_p(too_early), "that crosses p, so that"),
        "reaching": (top_p(lambda b, a, p: usual(b - 1e-12, a, p)), "one more"),
        "one too many": (top_p(one_more), "one too many"),
        "ascending": (top_p(usual, lambda i, x: x), "least probable"),
        "given order": (top_p(usual, lambda i, x: i), "order of the ids"),
        "last of equals": (top_p(usual, lambda i, x: (-x, -i)), "keeps the last"),
        "not divided": (top_p(usual, finish=lambda x, o, p: x), "divide by its sum"),
        "divided by p": (
            top_p(usual, finish=lambda x, o, p: x / (p or 0.7)),
            "you divide by p",
        ),
        "sorted": (
            top_p(usual, finish=lambda x, o, p: (x / x.sum())[o]),
            "in sorted order",
        ),
        "unsorted wrongly": (
            top_p(usual, finish=lambda x, o, p: (x / x.sum())[o][o]),
            "applying it again",
        ),
        "only kept": (
            top_p(usual, finish=lambda x, o, p: np.sort(x[x > 0] / x.sum())[::-1]),
            "a number for every id",
        ),
        "each": (
            lambda x, p: (
                right_top_p([v if v >= p else 0.0 for v in x], 1.0)
                if max(x) >= p
                else [x[i] / 0.0 for i in range(len(x))]
            ),
            "every single probability",
        ),
        "min-p": (
            lambda x, p: (
                np.where(np.array(x) >= p * max(x), x, 0)
                / sum(v for v in x if v >= p * max(x))
            ).tolist(),
            "this is min-p",
        ),
    },
    "10.3": {
        "unmended": (unmended, "less likely than before"),
        "divides": (penalty(lambda z, r: z / r), "is *larger* than before"),
        "twice": (penalty(proper, list), "punished twice"),
        "multiplies": (penalty(lambda z, r: z * r), "positive logits become larger"),
        "wrong way": (
            penalty(lambda z, r: z * r if z > 0 else z / r),
            "wrong way round",
        ),
        "subtracts": (penalty(lambda z, r: z - r), "you subtract. "),
        "subtracts a logarithm": (
            penalty(lambda z, r: z - math.log(r)),
            "subtract the logarithm",
        ),
        "last only": (penalty(proper, lambda ids: ids[-1:]), "only the last id"),
        "in place": (in_place, "alters its input"),
    },
    "10.4": {
        "ties": ({**SURVIVE, "ties at top_k = 3": 4}, "k is a count"),
        "too many": ({**SURVIVE, "top_k = 50": 50}, "only eight"),
        "nothing": ({**SURVIVE, "top_p = 0": 0}, "always stays"),
        "alone": ({**SURVIVE, "min_p = 1": 1}, "Two tie"),
        "shared": ({**SURVIVE, "temperature = 0": 2}, "definite choice"),
        "masked": ({**SURVIVE, "min_p = 0.5, masked": 0}, "however small"),
    },
    "10.5": {
        "perplexity": ({**BITS, "equal, T = 1": 8}, "perplexity"),
        "scaled": ({**BITS, "equal, T = 10": 30}, "not entropy"),
        "cold": ({**BITS, "equal, T = 0": 3}, "first of equals"),
        "half": ({**BITS, "top_k = 4": 1.5}, "one bit less"),
        "five": ({**BITS, "half and half": math.log2(5)}, "equally likely"),
    },
    "10.6": {
        "greedy": (greedy_walk, "it loops"),
        "words": (new_words_only, "every word that has occurred"),
        "gives in": (gives_in, "stop there"),
        "n - 1": (
            lambda t, s, length, n: right_walk(t, s, length, n - 1),
            "rows of n - 1",
        ),
        "n + 1": (
            lambda t, s, length, n: right_walk(t, s, length, n + 1),
            "rows of n + 1",
        ),
        "new only": (
            lambda t, s, length, n: right_walk(t, s, length, n)[len(s) :],
            "with its start",
        ),
    },
    "10.7": {
        "greedy": (beam(lambda p, q: p * q, lambda width: 1), "this is greedy"),
        "last": (beam(lambda p, q: q), "last word's probability"),
        "sum": (beam(lambda p, q: p + q), "they multiply"),
        "all": (beam(lambda p, q: p * q, lambda width: 10**6), "every beginning"),
        "worst": (beam(lambda p, q: p * q, most=False), "least likely"),
        "new only": (lambda *given: right_beam(*given)[1:], "with its start"),
    },
}


@pytest.fixture(scope="module")
def bands():
    found, _ = read_bands(find_expected(NOTEBOOKS), "10")
    return found


@pytest.fixture(scope="module")
def benchmark():
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_10.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_10", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def multiplied(logits, temperature):
    return logits * temperature


def of_probabilities(logits, temperature):
    return logits.softmax(dim=-1) / temperature


def before_the_crossing(logits, p):
    ordered, order = logits.sort(dim=-1, descending=True)
    out = ordered.softmax(dim=-1).cumsum(dim=-1) > p
    out[:, 0] = False
    return logits.scatter(-1, order, ordered.masked_fill(out, float("-inf")))


def absolute(logits, p):
    return logits.masked_fill(logits.softmax(dim=-1) < p, float("-inf"))


def test_the_first_seed_lies_in_chapter_10s_bands_of_places(bands, benchmark):
    for name, value in benchmark.look(0).items():
        assert bands[name].holds(value)


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ({"heat": multiplied}, ["entropy_2"]),
        ({"heat": of_probabilities}, ["entropy_1", "entropy_2"]),
        ({"top_p": before_the_crossing}, ["kept_top_p"]),
        ({"min_p": absolute}, ["kept_min_p"]),
    ],
)
def test_a_planted_fault_leaves_chapter_10s_bands(bands, benchmark, fault, names):
    faulty = benchmark.look(0, **fault)
    for name in names:
        assert not bands[name].holds(faulty[name])


def test_drawing_without_min_p_leaves_chapter_10s_band(bands, benchmark):
    assert not bands["drawn_bits"].holds(benchmark.draw(0, SamplingConfig()))
