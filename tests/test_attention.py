"""Attention, positions and the cache, against loops and other implementations."""

from functools import partial
from math import cos, exp, sin, sqrt

import pytest
import torch
import torch.nn.functional as F

from llm_core.attention import (
    KeyValueCache,
    MultiHeadAttention,
    attention_weights,
    causal_attention,
    causal_mask,
    merge_heads,
    neighbours_to_halves,
    rotary_angles,
    rotate_pairs,
    sinusoidal_positions,
    split_heads,
)

# (queries T, keys S, query heads H, key heads K): whole texts, a cache, one new id.
SHAPES = [
    (T, S, 4, K) for T, S in [(6, 6), (3, 7), (1, 5), (1, 1), (2, 3)] for K in (4, 2, 1)
]


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


def queries_keys_values(T, S, H, K, D=8):
    return drawn(2, H, T, D), drawn(2, K, S, D, seed=1), drawn(2, K, S, D, seed=2)


def repeat_heads(x, H):
    return torch.stack([x[:, h * x.shape[1] // H] for h in range(H)], dim=1)


def rotated(x, start=0):
    angles = rotary_angles(start + x.shape[-2], x.shape[-1])[start:]
    return rotate_pairs(x, angles.cos(), angles.sin())


def test_each_head_gets_its_own_slice_of_the_channels():
    x = drawn(2, 5, 12)
    heads = split_heads(x, head_dim=3)
    assert heads.shape == (2, 4, 5, 3)
    for head in range(4):
        assert torch.equal(heads[:, head], x[:, :, 3 * head : 3 * head + 3])


def test_merging_heads_undoes_splitting_them():
    x = drawn(2, 5, 12)
    assert torch.equal(merge_heads(split_heads(x, head_dim=4)), x)


@pytest.mark.parametrize(("T", "S"), [(1, 1), (4, 4), (1, 6), (2, 5)])
def test_the_mask_lets_the_last_query_see_every_key(T, S):
    mask = causal_mask(T, S)
    expected = [[s <= S - T + t for s in range(S)] for t in range(T)]
    assert mask.tolist() == expected


@pytest.mark.parametrize(("T", "S", "H", "K"), SHAPES)
def test_attention_weights_equal_a_scalar_loop(T, S, H, K):
    q, k, _ = queries_keys_values(T, S, H, K)
    weights = attention_weights(q, k)
    assert weights.shape == (2, H, T, S)
    for b, h, t in torch.cartesian_prod(*map(torch.arange, (2, H, T))).tolist():
        key_head, seen = h * K // H, S - T + t + 1
        scores = [
            sum((q[b, h, t] * k[b, key_head, s]).tolist()) / sqrt(8)
            for s in range(seen)
        ]
        total = sum(map(exp, scores))
        row = [exp(score) / total for score in scores] + [0.0] * (S - seen)
        torch.testing.assert_close(weights[b, h, t], torch.tensor(row))


@pytest.mark.parametrize(("T", "S", "H", "K"), SHAPES)
def test_fused_attention_equals_the_explicit_one(T, S, H, K):
    q, k, v = queries_keys_values(T, S, H, K)
    explicit = attention_weights(q, k) @ repeat_heads(v, H)
    torch.testing.assert_close(causal_attention(q, k, v), explicit)


@pytest.mark.parametrize(("T", "S", "H", "K"), SHAPES)
def test_fused_and_explicit_attention_have_the_same_gradients(T, S, H, K):
    def gradients(attend):
        qkv = [x.requires_grad_() for x in queries_keys_values(T, S, H, K)]
        return torch.autograd.grad(
            (attend(*qkv) * drawn(2, H, T, 8, seed=3)).sum(), qkv
        )

    fused = gradients(causal_attention)
    explicit = gradients(
        lambda q, k, v: attention_weights(q, k) @ v.repeat_interleave(H // K, dim=1)
    )
    for one, other in zip(fused, explicit, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_single_query_reads_every_key_although_the_kernel_would_not():
    q, k, v = queries_keys_values(1, 5, 4, 4)
    trap = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(trap, v[:, :, :1])  # key 0 and nothing else
    assert (causal_attention(q, k, v) - trap).abs().max() > 0.1


def test_queries_that_prefer_nothing_read_all_they_may_alike():
    weights = attention_weights(torch.zeros(1, 1, 4, 8), drawn(1, 1, 4, 8))
    expected = torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None]
    torch.testing.assert_close(weights[0, 0], expected)


def test_multi_head_attention_equals_pytorchs_own():
    ours = MultiHeadAttention(16, 4)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(drawn(*parameter.shape, seed=parameter.numel()))
        parts = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = drawn(2, 6, 16)
    expected, weights = theirs(
        x, x, x, attn_mask=~causal_mask(6, 6), average_attn_weights=False
    )
    torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-4)
    q, k, _ = ours.project(x)
    torch.testing.assert_close(attention_weights(q, k), weights, rtol=1e-4, atol=1e-5)


def test_grouped_queries_equal_key_heads_repeated():
    grouped = MultiHeadAttention(16, 4, num_kv_heads=2)
    full = MultiHeadAttention(16, 4)
    state = grouped.state_dict()
    for name in ("key.weight", "key.bias", "value.weight", "value.bias"):
        heads = state[name].unflatten(0, (2, 4))  # (K, D, ...)
        state[name] = heads[[0, 0, 1, 1]].flatten(0, 1)
    full.load_state_dict(state)
    x = drawn(2, 6, 16)
    torch.testing.assert_close(grouped(x), full(x))


def test_only_training_drops_attention():
    attention = MultiHeadAttention(16, 4, dropout=0.5)
    x = drawn(1, 6, 16)
    torch.manual_seed(0)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


def test_queries_and_keys_are_rotated_and_values_are_not():
    attention = MultiHeadAttention(16, 4)
    x = drawn(1, 6, 16)
    q, k, v = attention.project(x)
    turned_q, turned_k, same_v = attention.project(x, rotated)
    assert torch.equal(turned_q, rotated(q))
    assert torch.equal(turned_k, rotated(k))
    assert torch.equal(same_v, v)


def test_qk_norm_makes_scores_deaf_to_the_size_of_the_input():
    attention = MultiHeadAttention(16, 4, bias=False, qk_norm=True)
    x = drawn(1, 6, 16)
    q, k, _ = attention.project(x)
    loud_q, loud_k, _ = attention.project(1000 * x)
    torch.testing.assert_close(loud_q @ loud_k.mT, q @ k.mT, rtol=1e-3, atol=1e-3)
    assert (loud_q @ loud_k.mT / 2).abs().max() <= sqrt(4) + 1e-4  # sqrt(head_dim)


@pytest.mark.parametrize("size", [2, 6, 16])
def test_sinusoidal_positions_equal_the_papers_formula(size):
    table = sinusoidal_positions(20, size)
    for position in range(20):
        for i in range(size // 2):
            angle = position / 10_000 ** (2 * i / size)
            pair = table[position, 2 * i : 2 * i + 2].tolist()
            assert pair == pytest.approx([sin(angle), cos(angle)], abs=1e-6)


def test_rotation_multiplies_pairs_as_complex_numbers():
    x, angles = drawn(2, 3, 7, 8), rotary_angles(7, 8)
    numbers = torch.complex(x[..., :4], x[..., 4:])
    turned = numbers * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(rotated(x), torch.cat([turned.real, turned.imag], -1))


def test_rotation_keeps_the_length_of_every_pair():
    x = drawn(1, 2, 50, 8)
    before = x.unflatten(-1, (2, 4)).norm(dim=-2)
    after = rotated(x).unflatten(-1, (2, 4)).norm(dim=-2)
    torch.testing.assert_close(before, after)


def test_rotation_leaves_position_zero_alone():
    x = drawn(1, 1, 1, 8)
    assert torch.equal(rotated(x), x)


def test_rotated_scores_depend_on_the_distance_only():
    q, k = drawn(1, 1, 1, 16), drawn(1, 1, 1, 16, seed=1)

    def score(i, j):
        return (rotated(q, i) * rotated(k, j)).sum().item()

    for distance in (0, 1, 5):
        scores = [score(i + distance, i) for i in (0, 3, 40)]
        assert scores == pytest.approx(scores[:1] * 3, abs=1e-4)
    assert abs(score(6, 1) - score(6, 2)) > 1e-2


def rotate_neighbours(x):
    """The paper's rotation, channel 2i with 2i + 1, one number at a time."""
    turned = torch.empty_like(x)
    for t in range(x.shape[-2]):
        for i in range(x.shape[-1] // 2):
            angle = t / 10_000 ** (2 * i / x.shape[-1])
            a, b = x[..., t, 2 * i], x[..., t, 2 * i + 1]
            turned[..., t, 2 * i] = a * cos(angle) - b * sin(angle)
            turned[..., t, 2 * i + 1] = a * sin(angle) + b * cos(angle)
    return turned


def test_reordered_projections_rotate_as_the_paper_does():
    paper, ours = MultiHeadAttention(24, 3), MultiHeadAttention(24, 3)
    state = paper.state_dict()
    for name in ("query.weight", "query.bias", "key.weight", "key.bias"):
        state[name] = neighbours_to_halves(state[name], head_dim=8)
    ours.load_state_dict(state)
    x = drawn(2, 6, 24)
    q, k, _ = paper.project(x, rotate_neighbours)
    expected = attention_weights(q, k)
    q, k, _ = ours.project(x, rotated)
    torch.testing.assert_close(attention_weights(q, k), expected)
    torch.testing.assert_close(ours(x, rotated), paper(x, rotate_neighbours))


def test_reordering_moves_pairs_within_each_head():
    bias = torch.arange(12.0)
    moved = neighbours_to_halves(bias, head_dim=6)
    assert moved.tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]


def test_the_cache_returns_all_that_a_layer_was_shown():
    cache = KeyValueCache(torch.empty(2, 1, 3, 10, 4))
    k, v = drawn(2, 1, 3, 7, 4), drawn(2, 1, 3, 7, 4, seed=1)
    for start, end in [(0, 4), (4, 5), (5, 7)]:
        for layer in range(2):
            keys, values = cache.remember(layer)(
                k[layer, :, :, start:end], v[layer, :, :, start:end]
            )
            assert torch.equal(keys, k[layer, :, :, :end])
            assert torch.equal(values, v[layer, :, :, :end])
        cache.advance(end - start)
    assert cache.length == 7


def test_the_cache_is_allocated_once():
    cache = KeyValueCache(torch.empty(1, 1, 1, 10, 4))
    places = cache.keys.data_ptr(), cache.values.data_ptr()
    for _ in range(2):
        cache.remember(0)(drawn(1, 1, 6, 4), drawn(1, 1, 6, 4))
        cache.advance(6)
        cache.clear()
    assert (cache.keys.data_ptr(), cache.values.data_ptr()) == places
    assert cache.length == 0


@pytest.mark.parametrize("chunks", [[6], [1] * 6, [3, 1, 2], [5, 1]])
def test_attention_in_pieces_with_a_cache_equals_attention_at_once(chunks):
    attention = MultiHeadAttention(16, 4, num_kv_heads=2)
    x = drawn(2, 6, 16)
    cache = KeyValueCache(torch.empty(1, 2, 2, 6, 4))
    pieces = []
    with torch.no_grad():
        for piece in x.split(chunks, dim=1):
            rotate = partial(rotated, start=cache.length)
            pieces.append(attention(piece, rotate, cache.remember(0)))
            cache.advance(piece.shape[1])
        torch.testing.assert_close(torch.cat(pieces, 1), attention(x, rotated))
