"""Queries, keys, values in, mixed values out; does not know what a token or block is.

Positions and the cache are handed in as two callables, `rotate` and `remember`, which
do nothing by default. Shapes: B batch, T queries, S keys (S = T without a cache),
C = d_model, H query heads, K key heads (= H unless queries are grouped), D = head_dim.
"""

from collections.abc import Callable
from math import log, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rotate = Callable[[Tensor], Tensor]
Remember = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """(B, T, H * D) -> (B, H, T, D): each head gets its own slice of the channels."""
    B, T, C = x.shape
    return x.view(B, T, C // head_dim, head_dim).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, H * D): the inverse of `split_heads`."""
    B, H, T, D = x.shape
    return x.transpose(1, 2).reshape(B, T, H * D)


def causal_mask(num_queries: int, num_keys: int) -> Tensor:
    """(T, S) of bool: True where a query may look. The last query sees every key.

    With a cache there are more keys than queries: query t stands at position S - T + t.

    >>> causal_mask(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    mask = torch.ones(num_queries, num_keys, dtype=torch.bool)
    return mask.tril(diagonal=num_keys - num_queries)


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Say who reads whom: (B, H, T, D), (B, K, S, D) -> (B, H, T, S), rows sum to 1.

    softmax(q k^T / sqrt(D)) under the causal mask (Vaswani et al., 2017). With fewer
    key heads than query heads, each serves H / K of them (Ainslie et al., 2023).
    """
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # (B, H, S, D)
    scores = q @ k.transpose(-2, -1) / sqrt(q.shape[-1])  # (B, H, T, S)
    allowed = causal_mask(q.shape[-2], k.shape[-2]).to(scores.device)
    return scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Mix the values by `attention_weights` in one fused step, without storing the map.

    (B, H, T, D), (B, K, S, D), (B, K, S, D) -> (B, H, T, D).
    """
    T, S = q.shape[-2], k.shape[-2]
    # `is_causal` lines up query 0 with key 0, which is right only when T = S; a single
    # query, the newest, may look everywhere.
    mask = None if T in (1, S) else causal_mask(T, S).to(q.device)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=T == S,
        enable_gqa=q.shape[1] != k.shape[1],
    )


def unrotated(x: Tensor) -> Tensor:
    """Leave queries and keys as they are: positions come from elsewhere."""
    return x


def remember_nothing(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attend to the keys and values at hand: there is no cache."""
    return k, v


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own slice of the channels."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        head_dim = d_model // num_heads
        kv_dim = (num_kv_heads or num_heads) * head_dim
        self.head_dim, self.dropout = head_dim, dropout
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_model, kv_dim, bias=bias)
        self.value = nn.Linear(d_model, kv_dim, bias=bias)
        self.output = nn.Linear(d_model, d_model, bias=bias)
        # Bounded queries and keys keep the scores from exploding (Henry et al., 2020).
        self.query_norm = nn.RMSNorm(head_dim) if qk_norm else nn.Identity()
        self.key_norm = nn.RMSNorm(head_dim) if qk_norm else nn.Identity()

    def project(
        self, x: Tensor, rotate: Rotate = unrotated
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, C) -> q (B, H, T, D), k and v (B, K, T, D)."""
        q = self.query_norm(split_heads(self.query(x), self.head_dim))
        k = self.key_norm(split_heads(self.key(x), self.head_dim))
        v = split_heads(self.value(x), self.head_dim)
        return rotate(q), rotate(k), v

    def forward(
        self,
        x: Tensor,
        rotate: Rotate = unrotated,
        remember: Remember = remember_nothing,
    ) -> Tensor:
        """(B, T, C) -> (B, T, C): every position reads itself and those before it."""
        q, k, v = self.project(x, rotate)
        k, v = remember(k, v)  # (B, K, S, D)
        mixed = causal_attention(q, k, v, self.dropout if self.training else 0.0)
        out: Tensor = self.output(merge_heads(mixed))
        return out


def sinusoidal_positions(max_seq_len: int, d_model: int) -> Tensor:
    """(T, C): sines in the even channels, cosines in the odd (Vaswani et al., 2017).

    Wavelengths run geometrically from 2 pi to 10,000 * 2 pi positions.
    """
    angles = rotary_angles(max_seq_len, d_model)  # (T, C / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def rotary_angles(max_seq_len: int, head_dim: int) -> Tensor:
    """(T, D / 2): by how many radians each pair of channels turns at each position."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    frequencies = torch.exp(-log(10_000.0) * exponents)  # (D / 2,)
    positions = torch.arange(max_seq_len, dtype=torch.float64)
    return torch.outer(positions, frequencies).float()


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs of channels of x by the angles: (B, H, T, D) -> (B, H, T, D).

    cos and sin are (T, D / 2). Channel i is paired with i + D / 2, as in GPT-NeoX and
    in Hugging Face's LLaMA; the paper pairs neighbours (Su et al., 2021), for which see
    `neighbours_to_halves`.
    """
    first, second = x.chunk(2, dim=-1)  # (B, H, T, D / 2) each
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def neighbours_to_halves(weight: Tensor, head_dim: int) -> Tensor:
    """Reorder a query or key projection from pairs (2i, 2i + 1) to (i, i + D / 2).

    Rows of a weight, (H * D, C) -> (H * D, C), or a bias, (H * D,) -> (H * D,).
    Attention is unchanged, because queries and keys are reordered alike.
    """
    pairs = weight.view(-1, head_dim // 2, 2, *weight.shape[1:])  # (H, D / 2, 2, ...)
    return pairs.transpose(1, 2).flatten(0, 2)


class KeyValueCache:
    """Keys and values of the positions already read, for every layer, allocated once.

    All rows of a batch have the same length. A model that is called with a cache reads
    `length` to know the position of its first id and, when it is done, calls `advance`.
    """

    def __init__(self, keys: Tensor) -> None:
        """Own `keys`, (num_layers, B, K, S, D), and as many values, all empty."""
        self.keys, self.values = keys, torch.empty_like(keys)
        self.length = 0

    def remember(self, layer: int) -> Remember:
        """Return the callable that stores a layer's k and v and returns all so far."""

        keys, values = self.keys[layer], self.values[layer]  # (B, K, S, D)

        def store(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            new = k.shape[2]
            end = self.length + new
            # `narrow` is what a slice becomes, in half the time.
            keys.narrow(2, self.length, new).copy_(k)
            values.narrow(2, self.length, new).copy_(v)
            return keys.narrow(2, 0, end), values.narrow(2, 0, end)

        return store

    def advance(self, num_positions: int) -> None:
        """Count positions as read, once every layer has stored them."""
        self.length += num_positions

    def clear(self) -> None:
        """Forget everything; the memory stays allocated."""
        self.length = 0
