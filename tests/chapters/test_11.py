"""Chapter 11: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
import math
import random
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from llm_core.attention import KeyValueCache, MultiHeadAttention
from llm_core.checkpoint import load_pretrained
from llm_core.course import checks
from llm_core.course.checks import chapter_11
from llm_core.course.checks.judge import Predict, WriteFunction
from llm_core.course.page_model import quantize_rows
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands
from llm_core.generation import generate
from llm_core.model import GPTConfig, GPTModel, estimate_model_size

# --- 11.1 -----------------------------------------------------------------------------


def right_cached(q, k, v, keys, values):
    keys, values = torch.hstack([keys, k]), torch.hstack([values, v])
    mixed = torch.zeros_like(q)
    for h in range(len(q)):
        for t in range(q.shape[1]):
            end = keys.shape[1] - q.shape[1] + t + 1
            scores = keys[h, :end] @ q[h, t] / math.sqrt(q.shape[2])
            mixed[h, t] = scores.softmax(0) @ values[h, :end]
    return mixed, keys, values


def fused(mask, scale=None):
    def attend(q, k, v, keys, values):
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        allowed = mask(q.shape[1], keys.shape[1])
        mixed = F.scaled_dot_product_attention(
            q, keys, values, attn_mask=allowed, scale=scale
        )
        return mixed, keys, values

    return attend


def lower(offset):
    return lambda T, S: torch.ones(T, S).tril(S - T + offset).bool()


def at_the_start(q, k, v, keys, values):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    mixed = F.scaled_dot_product_attention(q, keys, values, is_causal=True)
    return mixed, keys, values


def along(axis, ahead=1):
    def attend(q, k, v, keys, values):
        keys, values = torch.cat([keys, k], axis), torch.cat([values, v], axis)
        scores = q @ keys.transpose(1, 2) / q.shape[-1] ** 0.5
        T, S = scores.shape[1:]
        future = torch.ones(T, S).triu(S - T + ahead).bool()
        return scores.masked_fill(future, -math.inf).softmax(-1) @ values, keys, values

    return attend


def past_only(q, k, v, keys, values):
    weights = (q @ keys.mT / q.shape[-1] ** 0.5).softmax(-1)
    return weights @ values, torch.cat([keys, k], 1), torch.cat([values, v], 1)


def new_in_front(q, k, v, keys, values):
    keys, values = torch.cat([k, keys], 1), torch.cat([v, values], 1)
    allowed = lower(0)(q.shape[1], keys.shape[1])
    mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=allowed)
    return mixed, keys, values


def of_new(q, k, v, keys, values):
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return mixed, torch.cat([keys, k], 1), torch.cat([values, v], 1)


def zeroed(q, k, v, keys, values):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    weights = (q @ keys.mT / q.shape[-1] ** 0.5).softmax(-1)
    return (weights * lower(0)(*weights.shape[1:])) @ values, keys, values


def over_queries(q, k, v, keys, values):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    scores = q @ keys.mT / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~lower(0)(*scores.shape[1:]), -math.inf)
    return scores.softmax(1) @ values, keys, values


# --- 11.2 -----------------------------------------------------------------------------


def right_quantize(matrix):
    rows, scales = [], []
    for row in matrix.tolist():
        scale = max(map(abs, row)) / 127 or 1.0
        rows.append([round(x / scale) for x in row])
        scales.append(scale)
    return torch.tensor(rows, dtype=torch.int8), torch.tensor(scales)


def divided_by(number):
    def quantize(matrix):
        scale = matrix.abs().amax(1) / number
        scale[scale == 0] = 1
        whole = (matrix / scale[:, None]).round().int()
        return ((whole + 128) % 256 - 128).to(torch.int8), scale

    return quantize


def rounded_by(rounding):
    def quantize(matrix):
        scale = right_quantize(matrix)[1]
        return rounding(matrix / scale[:, None]).to(torch.int8), scale

    return quantize


def one_scale(matrix):
    scale = matrix.abs().max() / 127
    return (matrix / scale).round().to(torch.int8), scale


def one_scale_repeated(matrix):
    whole, scale = one_scale(matrix)
    return whole, scale.expand(len(matrix))


def signed(matrix):
    scale = matrix.max(dim=1).values / 127
    scale[scale == 0] = 1
    whole = (matrix / scale[:, None]).round().int()
    return ((whole + 128) % 256 - 128).to(torch.int8), scale


def columns(matrix):
    whole, scale = right_quantize(matrix.T)
    return whole.T, scale


def upright(matrix):
    whole, scale = right_quantize(matrix)
    return whole, scale[:, None]


def no_zero_row(matrix):
    scale = matrix.abs().max(dim=1).values / 127
    whole = torch.nan_to_num(matrix / scale[:, None]).round()
    return whole.to(torch.int8), scale


def asymmetric(matrix):
    low, high = matrix.min(1).values, matrix.max(1).values
    scale = (high - low) / 255
    scale[scale == 0] = 1
    return ((matrix - low[:, None]) / scale[:, None] - 128).round().to(
        torch.int8
    ), scale


# --- 11.3 -----------------------------------------------------------------------------


def right_rule(p, q, guess):
    rest = torch.relu(p - q)
    return min(1.0, p[guess].item() / q[guess].item()), rest / rest.sum()


def kept(chance):
    return lambda p, q, guess: (chance(p, q, guess), right_rule(p, q, guess)[1])


def redrawn(rest):
    return lambda p, q, guess: (right_rule(p, q, guess)[0], rest(p, q, guess))


def struck(p, q, guess):
    others = p.clone()
    others[guess] = 0
    return others / others.sum()


# --- 11.5, 11.6 -----------------------------------------------------------------------


def right_bytes(config, tokens, rows, bits):
    kv = (config.num_kv_heads or config.num_heads) * (
        config.d_model // config.num_heads
    )
    return config.num_layers * 2 * kv * tokens * rows * bits // 8


def times(factor):
    return lambda c, t, r, b: int(right_bytes(c, t, r, b) * factor(c, t, r, b))


def right_rows(memory, bandwidth, weights, row, least):
    rows = 0
    while True:
        needed = weights + (rows + 1) * row
        if needed > memory or least * needed > bandwidth:
            return rows
        rows += 1


def by_hand(memory_weights=1, fetched_weights=1):
    def rows(memory, bandwidth, weights, row, least):
        fitting = (memory - memory_weights * weights) // row
        timely = (bandwidth // least - fetched_weights * weights) // row
        return max(0, min(fitting, timely))

    return rows


FACTORS = chapter_11.PREDICT.truth()
WRONG = {
    "11.1": {
        "no past": (
            lambda q, k, v, keys, values: fused(lower(0))(q, k, v, k[:, :0], v[:, :0]),
            "the past is lost",
        ),
        "mixed without": (of_new, "mix the new values only"),
        "looked first": (past_only, "look before you store"),
        "old cache": (
            lambda q, k, v, keys, values: (
                right_cached(q, k, v, keys, values)[0],
                keys,
                values,
            ),
            "the cache as it was",
        ),
        "new cache": (
            lambda q, k, v, keys, values: (
                right_cached(q, k, v, keys, values)[0],
                k,
                v,
            ),
            "new keys and values only",
        ),
        "in front": (new_in_front, "in front of the old"),
        "as heads": (along(0), "more heads"),
        "as channels": (along(2), "two shapes do not fit"),
        "no mask": (fused(lambda T, S: None), "nothing is hidden"),
        "is_causal": (at_the_start, "upper left corner"),
        "not itself": (along(1, 0), "no position reads itself"),
        "one ahead": (fused(lower(1)), "reads the one after"),
        "after the softmax": (zeroed, "after the softmax"),
        "no scale": (fused(lower(0), scale=1.0), "root of D"),
        "columns": (over_queries, "down the columns"),
        "only mixed": (lambda *case: right_cached(*case)[0], "type tuple"),
    },
    "11.2": {
        "one for all": (one_scale_repeated, "one scale for the whole matrix"),
        "a single one": (one_scale, "a single scale"),
        "128": (divided_by(128), "divide by 128"),
        "127.5": (divided_by(127.5), "127.5, half of 255"),
        "255": (divided_by(255), "divide by 255"),
        "signed": (signed, "ignores the sign"),
        "keepdim": (upright, "shape (R, 1)"),
        "cut off": (rounded_by(torch.trunc), "cut off"),
        "down": (rounded_by(torch.floor), "always round down"),
        "columns": (columns, "belong to the columns"),
        "zeros": (no_zero_row, "0 / 0"),
        "moved": (asymmetric, "and move it"),
        "turned": (
            lambda m: (right_quantize(m)[0], 1 / right_quantize(m)[1]),
            "turned round",
        ),
        "weights": (
            lambda m: (
                right_quantize(m)[0] * right_quantize(m)[1][:, None],
                right_quantize(m)[1],
            ),
            "return the rounded weights",
        ),
        "floats": (
            lambda m: (right_quantize(m)[0].float(), right_quantize(m)[1]),
            "stored as torch.float32",
        ),
        "longs": (
            lambda m: (right_quantize(m)[0].long(), right_quantize(m)[1]),
            "stored as torch.int64",
        ),
    },
    "11.3": {
        "likeliest": (
            kept(lambda p, q, x: 1.0 if p[x] == p.max() else 0.0),
            "only if it is the likeliest",
        ),
        "p": (kept(lambda p, q, x: p[x].item()), "as if it had been drawn evenly"),
        "turned": (
            kept(lambda p, q, x: min(1.0, (q[x] / p[x]).item())),
            "ratio is turned round",
        ),
        "above 1": (kept(lambda p, q, x: (p[x] / q[x]).item()), "larger than 1"),
        "min(p, q)": (
            kept(lambda p, q, x: min(p[x].item(), q[x].item())),
            "*and* kept",
        ),
        "tensor": (
            kept(lambda p, q, x: torch.minimum(torch.ones(()), p[x] / q[x])),
            "as a float",
        ),
        "all of p": (redrawn(lambda p, q, x: p), "all of p"),
        "no sum": (redrawn(lambda p, q, x: torch.relu(p - q)), "does not sum to 1"),
        "negative": (redrawn(lambda p, q, x: p - q), "negative entries"),
        "absolute": (
            redrawn(lambda p, q, x: (q - p).abs() / (q - p).abs().sum()),
            "without its sign",
        ),
        "q - p": (
            redrawn(lambda p, q, x: torch.relu(q - p) / torch.relu(q - p).sum()),
            "what q has too much",
        ),
        "struck out": (redrawn(struck), "strike the guess out"),
        "softmax": (redrawn(lambda p, q, x: (p - q).softmax(0)), "a softmax"),
        "q": (redrawn(lambda p, q, x: q), "again from the draft"),
        "swapped": (lambda p, q, x: right_rule(p, q, x)[::-1], "by hand"),
    },
    "11.4": {
        "context": (FACTORS | {chapter_11.CONTEXT: 4}, "not for each pair"),
        "rows": (FACTORS | {chapter_11.ROWS: 1}, "rows share the weights"),
        "weights": (FACTORS | {chapter_11.WEIGHTS: 2}, "point of a batch"),
        "heads": (FACTORS | {chapter_11.HEADS: 1}, "fewer of them now"),
        "squared": (FACTORS | {chapter_11.HEADS: 0.0625}, "added, not"),
        "bits": (FACTORS | {chapter_11.BITS: 0.25}, "are not weights"),
        "cached": (FACTORS | {chapter_11.CACHED_WORK: 2}, "only the new token"),
        "plain": (FACTORS | {chapter_11.PLAIN_WORK: 4}, "for one token it is"),
        "level": (FACTORS | {chapter_11.PLAIN_WORK: 1}, "every token before it"),
    },
    "11.5": {
        "keys": (times(lambda *a: 0.5), "keys or values"),
        "queries": (times(lambda *a: 1.5), "count queries"),
        "all heads": (
            times(lambda c, *a: c.num_heads / (c.num_kv_heads or c.num_heads)),
            "as large as without",
        ),
        "one layer": (times(lambda c, *a: 1 / c.num_layers), "a single layer"),
        "full length": (
            lambda c, t, r, b: right_bytes(c, c.max_seq_len, r, b),
            "count max_seq_len",
        ),
        "one row": (lambda c, t, r, b: right_bytes(c, t, 1, b), "count one row"),
        "bits": (times(lambda *a: 8), "in bits"),
        "32": (lambda c, t, r, b: right_bytes(c, t, r, 32), "4 bytes for a number"),
        "wide heads": (times(lambda c, *a: c.num_heads), "all d_model channels"),
        "pairs": (times(lambda c, t, *a: t), "pairs of tokens"),
    },
    "11.6": {
        "room": (lambda m, b, w, r, n: max(0, (m - w) // r), "only what fits"),
        "time": (lambda m, b, w, r, n: max(0, (b // n - w) // r), "must also fit"),
        "no weights": (by_hand(0, 0), "leave the weights out"),
        "not fetched": (by_hand(1, 0), "but no time"),
        "not stored": (by_hand(0, 1), "but no room"),
        "negative": (
            lambda m, b, w, r, n: (min(m, b // n) - w) // r,
            "fewer than no rows",
        ),
        "up": (
            lambda m, b, w, r, n: max(0, math.ceil((min(m, b // n) - w) / r)),
            "round up",
        ),
        "weights for each": (
            lambda m, b, w, r, n: min(max(0, (m - w) // r), b // (n * (w + r))),
            "once for each row",
        ),
        "together": (chapter_11.least_of_all, "from all rows together"),
    },
}
RIGHT = {
    "11.1": right_cached,
    "11.2": right_quantize,
    "11.3": right_rule,
    "11.4": FACTORS,
    "11.5": right_bytes,
    "11.6": right_rows,
}


# --- the oracles of the exercises against the core ------------------------------------


def test_chapter_11_attends_as_the_cores_layer_with_its_cache():
    torch.manual_seed(0)
    layer = MultiHeadAttention(d_model=12, num_heads=3)
    x = torch.randn(1, 7, 12)
    with torch.no_grad():
        q, k, v = (y[0] for y in layer.project(x))
        keys = values = k[:, :0]
        cache = KeyValueCache(torch.empty(1, 1, 3, 7, 4))
        for start, end in [(0, 3), (3, 4), (4, 7)]:
            new = (y[:, start:end] for y in (q, k, v))
            mixed, keys, values = chapter_11.attend(*new, keys, values)
            out = layer(x[:, start:end], remember=cache.remember(0))
            cache.advance(end - start)
            merged = layer.output(mixed.transpose(0, 1).reshape(1, end - start, 12))
            torch.testing.assert_close(merged, out)


def test_chapter_11_quantizes_as_the_page_does():
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    matrix[3] = 0
    for ours, theirs in zip(
        chapter_11.quantize(matrix), quantize_rows(matrix), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_chapter_11s_rule_gives_back_p():
    rng = torch.Generator().manual_seed(0)
    for _ in range(50):
        p, q = torch.randn(2, 6, generator=rng, dtype=torch.float64).softmax(-1)
        chances, rests = zip(
            *(chapter_11.keep_or_redraw(p, q, x) for x in range(6)), strict=True
        )
        chances = torch.tensor(chances, dtype=torch.float64)
        written = q * chances + (q * (1 - chances)).sum() * rests[0]
        torch.testing.assert_close(written, p)


def test_chapter_11_counts_the_bytes_that_the_core_allocates():
    rng = random.Random(0)
    for _ in range(20):
        kv, group = rng.randint(1, 4), rng.randint(1, 4)
        config = GPTConfig(
            vocab_size=9,
            d_model=kv * group * rng.randint(1, 8),
            num_heads=kv * group,
            num_layers=rng.randint(1, 4),
            max_seq_len=rng.randint(1, 40),
            num_kv_heads=kv,
        )
        rows = rng.randint(1, 5)
        size = estimate_model_size(config, batch_size=rows, bytes_per_number=2)
        counted = chapter_11.cache_bytes(config, config.max_seq_len, rows, 16)
        assert counted == size.cache


def test_chapter_11_has_functions_to_write():
    found = checks.exercises("11").values()
    assert sum(isinstance(exercise, WriteFunction) for exercise in found) == 5
    assert sum(isinstance(exercise, Predict) for exercise in found) == 1


# --- planted faults leave the bands ---------------------------------------------------


@pytest.fixture(scope="module")
def holds():
    bands = read_bands(find_expected(NOTEBOOKS), "11")[0]
    return lambda name, value: bands[name].holds(value)


@pytest.fixture(scope="module")
def bench():
    """The computations of the chapter, as its bands were measured."""
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_11.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_11", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def early(cache, layer):
    """Return the keys and values of the past, without the new ones."""

    def store(k, v):
        end = cache.length + k.shape[2]
        cache.keys[layer, :, :, cache.length : end] = k
        cache.values[layer, :, :, cache.length : end] = v
        seen = max(1, end - 1)
        return cache.keys[layer, :, :, :seen], cache.values[layer, :, :, :seen]

    return store


def stuck(self, start, num_positions, rotation=GPTModel.rotation):
    """Tell every new token that it stands at position 0."""
    return rotation(self, 0, num_positions)


def test_planted_faults_of_a_cache_leave_chapter_11s_band(holds, bench):
    model, tokenizer = load_pretrained("stories")
    prompt = bench.beginning(0, tokenizer)
    plain = bench.continue_plainly(model, prompt, 40)

    def alike():
        cached = generate(model, prompt, 40, temperature=0.0)
        return 260 + int((plain == cached)[0, -40:].sum())

    assert holds("greedy_alike", alike())
    with patch.object(KeyValueCache, "remember", early):
        assert not holds("greedy_alike", alike())
    with patch.object(GPTModel, "rotation", stuck):
        assert not holds("greedy_alike", alike())


def test_a_cache_that_is_not_used_leaves_chapter_11s_bands_of_counts(holds, bench):
    config = load_pretrained("stories")[0].config
    saved = bench.work_saved(config)
    assert holds("work_saved", saved)
    assert not holds("work_saved", 1.0)
    assert not holds("work_saved", bench.work_saved(config, start=40))
    llama = GPTConfig(
        vocab_size=32_000,
        d_model=8_192,
        num_heads=64,
        num_layers=80,
        max_seq_len=1,
        num_kv_heads=8,
    )
    assert holds("cache_token_70b", right_bytes(llama, 1, 1, 16))
    ungrouped = replace(llama, num_kv_heads=None)
    assert not holds("cache_token_70b", right_bytes(ungrouped, 1, 1, 16))


def test_other_scales_leave_chapter_11s_bands_of_rounding(holds, bench):
    rows, at_once = bench.rounding_errors(0)
    assert holds("error_rows", rows)
    assert holds("error_all", at_once)
    assert not holds("error_rows", at_once)
    assert not holds("error_all", rows)
    for value, name in zip(
        bench.rounding_errors(0, bits=7), ("error_rows", "error_all"), strict=True
    ):
        assert not holds(name, value)


def test_wrong_rules_leave_chapter_11s_band_of_chi_squared(holds, bench):
    def likeliest_only(p, q, guess, generator):
        if guess == p.argmax():
            return guess, True
        return int(torch.multinomial(p, 1, generator=generator)), False

    def from_p(p, q, guess, generator):
        if torch.rand(1, generator=generator) * q[guess] < p[guess]:
            return guess, True
        return int(torch.multinomial(p, 1, generator=generator)), False

    def always(p, q, guess, generator):
        return guess, True

    assert holds("chi_squared", bench.trial(0))
    for rule in (likeliest_only, from_p, always):
        assert not holds("chi_squared", bench.trial(0, rule))
