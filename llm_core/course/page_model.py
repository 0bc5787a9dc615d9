"""A model and its tokenizer in, what `web/model.js` runs in a page out.

Matrices are sent in 8 bits: of each row, the largest weight becomes 127, and the others
are rounded to whole numbers in between (as in Dettmers et al., 2022, without outliers).
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llm_core.model import GPTModel
from llm_core.tokenizer import GPT2_PATTERN, BPETokenizer, Tokenizer


@dataclass(frozen=True)
class Packed:
    """`header`, plain JSON, says how to read `weights`, and holds the tokenizer."""

    header: dict[str, Any]
    weights: bytes


def quantize_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Round a matrix to 8 bits: (R, C) -> (R, C) of int8, and a scale a row, (R,).

    `whole * scale[:, None]` is the matrix again, off by half a scale at most.

    >>> quantize_rows(torch.tensor([[1.27, -0.5], [0.0, 0.0]]))
    (tensor([[127, -50],
            [  0,   0]], dtype=torch.int8), tensor([0.0100, 1.0000]))
    """
    scale = matrix.abs().amax(dim=1).float() / 127  # (R,)
    scale[scale == 0] = 1.0
    return (matrix / scale[:, None]).round().to(torch.int8), scale


def quantized(model: GPTModel) -> GPTModel:
    """Return a copy of the model with the weights that the page computes with."""
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in _sent(rounded).values():
            if tensor.ndim == 2:
                whole, scale = quantize_rows(tensor)
                tensor.copy_(whole * scale[:, None])
    return rounded


def pack(model: GPTModel, tokenizer: Tokenizer) -> Packed:
    """Write a model and its tokenizer for the page.

    Raises ValueError for a tokenizer whose pattern is not GPT2_PATTERN: the page knows
    no other.
    """
    tensors = _sent(model)
    parts = [_to_bytes(tensor) for tensor in tensors.values()]
    config = asdict(model.config)
    # In JavaScript a model has one name for each thing: `norm` is a function there.
    config["norm_kind"] = config.pop("norm")
    config["num_kv_heads"] = model.config.key_value_heads
    header = {
        "config": config,
        "layout": [{"name": n, "shape": list(t.shape)} for n, t in tensors.items()],
        "tokenizer": _tokenizer(tokenizer),
    }
    return Packed(header, b"".join(parts))


def _sent(model: GPTModel) -> dict[str, Tensor]:
    """Return the tensors that the page needs, by name; they share their memory."""
    tensors = dict(model.state_dict())
    if model.config.tie_embeddings:
        del tensors["head.weight"]
    if model.config.positions == "sinusoidal":
        tensors["positions"] = model.positions
    return tensors


def _to_bytes(tensor: Tensor) -> bytes:
    """Return a vector's floats; of a matrix, the scales, then its rows in 8 bits."""
    if tensor.ndim == 1:
        return tensor.float().cpu().numpy().astype("<f4").tobytes()
    whole, scale = quantize_rows(tensor.float().cpu())
    rows: bytes = whole.numpy().astype(np.int8).tobytes()
    padding = bytes(-len(rows) % 4)  # floats begin at multiples of four bytes
    return scale.numpy().astype("<f4").tobytes() + rows + padding


def _tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a tokenizer in JSON; a token is a text with a character for each byte."""
    ids = range(tokenizer.vocab_size)
    merges: list[list[int]] = []
    if isinstance(tokenizer, BPETokenizer):
        if tokenizer.pattern != GPT2_PATTERN:
            raise ValueError(
                "a page can cut text by GPT2_PATTERN only, and this tokenizer's "
                f"pattern is {tokenizer.pattern!r:.60}: train one without a pattern"
            )
        merges = [[left, right, id] for (left, right), id in tokenizer.merges.items()]
    return {
        "kind": "bpe" if isinstance(tokenizer, BPETokenizer) else "character",
        "tokens": [tokenizer.token_bytes(id).decode("latin-1") for id in ids],
        "merges": merges,
        "special": dict(tokenizer.special_tokens),
    }
