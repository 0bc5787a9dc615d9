"""Token ids in, logits out; knows nothing of text, data, training or sampling.

Shapes: B batch, T time, C = d_model, D = head_dim, V = vocab_size.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from llm_core.attention import (
    KeyValueCache,
    MultiHeadAttention,
    Remember,
    Rotate,
    remember_nothing,
    rotary_angles,
    rotate_pairs,
    sinusoidal_positions,
    unrotated,
)

_CHOICES = {
    "positions": ("learned", "sinusoidal", "rotary"),
    "norm": ("layer", "rms"),
    "feed_forward": ("gelu", "relu2", "swiglu", "none"),
}


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The shape of a GPT. The defaults are GPT-2's choices (Radford et al., 2019).

    Raises ValueError where a size is not positive or two sizes do not fit.
    """

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    max_seq_len: int
    dropout: float = 0.0
    d_ff: int | None = None  # None: 4 * d_model
    num_kv_heads: int | None = None  # None: num_heads; fewer: grouped queries
    positions: Literal["learned", "sinusoidal", "rotary"] = "learned"
    norm: Literal["layer", "rms"] = "layer"
    feed_forward: Literal["gelu", "relu2", "swiglu", "none"] = "gelu"
    qk_norm: bool = False
    bias: bool = True
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in _SIZES:
            size = getattr(self, name)
            if size is None and name in ("d_ff", "num_kv_heads"):
                continue
            if type(size) is not int or size < 1:
                raise ValueError(f"{name} must be a positive integer, got {size!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                got = getattr(self, name)
                raise ValueError(f"{name} must be one of {choices}, got {got!r}")
        if self.d_model % self.num_heads:
            raise ValueError(
                "num_heads must divide d_model, "
                f"got {self.num_heads} and {self.d_model}"
            )
        if self.num_heads % self.key_value_heads:
            raise ValueError(
                f"num_kv_heads must divide num_heads, got {self.num_kv_heads} "
                f"and {self.num_heads}"
            )
        paired = {"rotary": self.head_dim, "sinusoidal": self.d_model}
        if paired.get(self.positions, 2) % 2:
            raise ValueError(
                f"{self.positions} positions pair channels up and need an even number "
                f"of them, got {paired[self.positions]}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout!r}")

    @property
    def head_dim(self) -> int:
        """Channels per head, D."""
        return self.d_model // self.num_heads

    @property
    def key_value_heads(self) -> int:
        """Heads of the keys and values: `num_kv_heads`, or as many as queries have."""
        return self.num_kv_heads or self.num_heads

    @property
    def feed_forward_dim(self) -> int:
        """Width of the feed-forward part in the middle: `d_ff`, or 4 * d_model."""
        return self.d_ff or 4 * self.d_model


_SIZES = (
    "vocab_size",
    "d_model",
    "num_heads",
    "num_layers",
    "max_seq_len",
    "d_ff",
    "num_kv_heads",
)
_GPT2_VOCAB = 50_257


def _preset(d_model: int, heads: int, layers: int, length: int) -> GPTConfig:
    return GPTConfig(
        vocab_size=_GPT2_VOCAB,
        d_model=d_model,
        num_heads=heads,
        num_layers=layers,
        max_seq_len=length,
    )


# Named shapes, with GPT-2's vocabulary; `dataclasses.replace` sets the one at hand.
PRESETS: Mapping[str, GPTConfig] = {
    "tiny": _preset(64, 4, 2, 128),
    "small": _preset(128, 4, 4, 256),
    "medium": _preset(256, 8, 6, 512),
    "large": _preset(512, 8, 8, 1024),
    "gpt2-small": _preset(768, 12, 12, 1024),
    # The choices of LLaMA (Touvron et al., 2023) at the size of `small`.
    "llama-small": GPTConfig(
        vocab_size=_GPT2_VOCAB,
        d_model=128,
        num_heads=4,
        num_layers=4,
        max_seq_len=256,
        d_ff=344,  # 8 / 3 * d_model: three matrices then cost what GELU's two do
        num_kv_heads=2,
        positions="rotary",
        norm="rms",
        feed_forward="swiglu",
        bias=False,
        tie_embeddings=False,
    ),
}


def _norm(config: GPTConfig) -> nn.Module:
    if config.norm == "rms":  # Zhang and Sennrich, 2019
        return nn.RMSNorm(config.d_model, eps=1e-5)
    return nn.LayerNorm(config.d_model, eps=1e-5, bias=config.bias)


def _dropout(config: GPTConfig) -> nn.Module:
    """Drop a share of the numbers; where that is none, do not even ask."""
    return nn.Dropout(config.dropout) if config.dropout else nn.Identity()


def relu_squared(x: Tensor) -> Tensor:
    """max(0, x)^2, elementwise (So et al., 2021)."""
    return F.relu(x).square()


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": partial(F.gelu, approximate="tanh"),  # Hendrycks and Gimpel, 2016
    "relu2": relu_squared,
    "swiglu": F.silu,  # Shazeer, 2020: times a second projection of the input
}


class FeedForward(nn.Module):
    """Two matrices with a bend between (SwiGLU has three), at each position alone."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        C, hidden = config.d_model, config.feed_forward_dim
        self.up = nn.Linear(C, hidden, bias=config.bias)
        self.down = nn.Linear(hidden, C, bias=config.bias)
        self.gate = None
        if config.feed_forward == "swiglu":
            self.gate = nn.Linear(C, hidden, bias=config.bias)
        self.activation = _ACTIVATIONS[config.feed_forward]

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        hidden = self.up(x)  # (B, T, d_ff)
        if self.gate is None:
            hidden = self.activation(hidden)
        else:
            hidden = self.activation(self.gate(x)) * hidden
        out: Tensor = self.down(hidden)
        return out


class TransformerBlock(nn.Module):
    """Attention moves information between positions, feed-forward works on each."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = MultiHeadAttention(
            config.d_model,
            config.num_heads,
            num_kv_heads=config.num_kv_heads,
            dropout=config.dropout,
            bias=config.bias,
            qk_norm=config.qk_norm,
        )
        self.feed_forward_norm = self.feed_forward = None
        if config.feed_forward != "none":
            self.feed_forward_norm = _norm(config)
            self.feed_forward = FeedForward(config)
        self.dropout = _dropout(config)

    def forward(
        self,
        x: Tensor,
        rotate: Rotate = unrotated,
        remember: Remember = remember_nothing,
    ) -> Tensor:
        """(B, T, C) -> (B, T, C): each part reads a normed copy and adds to x."""
        attended = self.attention(self.attention_norm(x), rotate, remember)
        x = x + self.dropout(attended)
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x


class GPTModel(nn.Module):
    """Embed the ids, pass them through the blocks, and score every possible next id."""

    positions: Tensor  # (max_seq_len, C), learned or sinusoidal; empty with rotary
    angles: Tensor  # (max_seq_len, D / 2), with rotary positions; else empty

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        T, C = config.max_seq_len, config.d_model
        self.token_embedding = nn.Embedding(config.vocab_size, C)
        # Fixed tables are buffers: they move with the model, untrained and unsaved.
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.zeros(T, C))
        elif config.positions == "sinusoidal":
            waves = sinusoidal_positions(T, C)
            self.register_buffer("positions", waves, persistent=False)
        else:
            angles = rotary_angles(T, config.head_dim)
            self.register_buffer("angles", angles, persistent=False)
        self.dropout = _dropout(config)
        self.blocks = nn.ModuleList(
            TransformerBlock(config) for _ in range(config.num_layers)
        )
        self.final_norm = _norm(config)
        self.head = nn.Linear(C, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.token_embedding.weight  # Press and Wolf, 2017
        self.initialize()

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Draw every matrix from N(0, 0.02^2), as GPT-2 does; biases 0, norms 1.

        Each block adds to the residual stream twice, so the matrices that write to it
        are scaled down by sqrt(2 * num_layers), and the sum keeps its size.
        """
        shrink = (2 * self.config.num_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                writes = name.endswith(("attention.output.weight", "down.weight"))
                std = 0.02 * shrink if writes else 0.02
                parameter.normal_(0.0, std, generator=generator)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """(B, T) -> (B, T, C): what each id is, and where it is, from `start` on."""
        x: Tensor = self.token_embedding(ids)
        if self.config.positions != "rotary":
            x = x + self.positions[start : start + ids.shape[1]]
        x = self.dropout(x)
        return x

    def rotation(self, start: int, num_positions: int) -> Rotate:
        """Return the callable that tells queries and keys where they stand."""
        if self.config.positions != "rotary":
            return unrotated
        angles = self.angles[start : start + num_positions]  # (T, D / 2)
        return partial(rotate_pairs, cos=angles.cos(), sin=angles.sin())

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """(B, T) of ids -> (B, T, V) of logits, one row of scores per position.

        With a cache, the ids continue what the cache holds. Raises ValueError where the
        positions pass max_seq_len, or the cache is for another number of rows.
        """
        self._check(ids, cache)
        start = 0 if cache is None else cache.length
        x = self.embed(ids, start)
        rotate = self.rotation(start, ids.shape[1])
        for layer, block in enumerate(self.blocks):
            remember = remember_nothing if cache is None else cache.remember(layer)
            x = block(x, rotate, remember)
        if cache is not None:
            cache.advance(ids.shape[1])
        logits: Tensor = self.head(self.final_norm(x))
        return logits

    def _check(self, ids: Tensor, cache: KeyValueCache | None) -> None:
        if ids.ndim != 2 or ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                "ids must be integers of shape (batch, time), "
                f"got {ids.dtype} of shape {tuple(ids.shape)}"
            )
        rows = len(ids) if cache is None else cache.keys.shape[1]
        if rows != len(ids):
            raise ValueError(f"the cache has {rows} rows, the ids have {len(ids)}")
        end = ids.shape[1] + (0 if cache is None else cache.length)
        if end > self.config.max_seq_len:
            raise ValueError(
                f"the model reads at most {self.config.max_seq_len} positions, "
                f"got {end}: pass fewer ids or a larger max_seq_len"
            )

    def new_cache(self, batch_size: int) -> KeyValueCache:
        """Allocate an empty cache for `batch_size` rows of max_seq_len positions."""
        config, weight = self.config, self.token_embedding.weight
        shape = (
            config.num_layers,
            batch_size,
            config.key_value_heads,
            config.max_seq_len,
            config.head_dim,
        )
        return KeyValueCache(weight.new_empty(shape))


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off for a with block, and then back to what it was."""
    if not model.training:  # to tell every module would cost as much as some do
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()


def next_token_loss(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy in nats: (B, T, V), (B, T) -> a scalar.

    `weights`, (B, T), say how much each position counts; 0 leaves padding out.
    """
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    if weights is None:
        return losses.mean()
    weights = weights.flatten().to(losses.dtype)
    return (losses * weights).sum() / weights.sum()


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """How many parameters a model has, and the bytes that training and use take."""

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    cache: int

    @property
    def training(self) -> int:
        """Bytes in use at the peak of a training step."""
        return self.weights + self.gradients + self.optimizer + self.activations


class _DrawNothing(TorchFunctionMode):
    """Leave new parameters as they are, where only their shape is asked for.

    To draw numbers into what has no storage, torch imports its compiler: two seconds.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):
            return None
        return function(*args, **(kwargs or {}))


def _activations_per_position(config: GPTConfig) -> int:
    """Numbers that each position leaves behind for the backward pass, to about 2 %."""
    C, hidden = config.d_model, config.feed_forward_dim
    kv = config.key_value_heads * config.head_dim
    norm = 3 * C if config.norm == "rms" else 2 * C  # what goes in, what comes out
    attention = norm + 2 * C + 2 * kv
    if config.qk_norm:
        attention += 2 * (C + kv)
    if config.qk_norm or config.positions == "rotary":
        attention += C  # heads made anew have to be copied where they are merged
    feed_forward = norm + (4 if config.feed_forward == "swiglu" else 2) * hidden
    if config.feed_forward == "none":
        feed_forward = 0
    return config.num_layers * (attention + feed_forward) + norm + config.vocab_size


def estimate_model_size(
    config: GPTConfig, *, batch_size: int = 1, bytes_per_number: int = 4
) -> ModelSize:
    """Count parameters exactly, and memory in bytes, for full rows of max_seq_len.

    Parameters are counted on a model without storage. The optimizer is AdamW, with two
    numbers a parameter. Activations are estimated, for a backward pass without dropout;
    the cache is that of generation.

    >>> estimate_model_size(PRESETS["gpt2-small"]).parameters
    124439808
    """
    with torch.device("meta"), _DrawNothing():
        model = GPTModel(config)
        cache = model.new_cache(batch_size)
    parameters = sum(p.numel() for p in model.parameters())
    numbers = batch_size * config.max_seq_len * _activations_per_position(config)
    return ModelSize(
        parameters=parameters,
        weights=parameters * bytes_per_number,
        gradients=parameters * bytes_per_number,
        optimizer=2 * parameters * bytes_per_number,
        activations=numbers * bytes_per_number,
        cache=(cache.keys.numel() + cache.values.numel()) * bytes_per_number,
    )
