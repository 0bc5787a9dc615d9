"""A model and ids in, what happened inside it out; the model carries no flag for that.

Shapes: B batch, T time, L layers, H heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llm_core.attention import MultiHeadAttention, attention_weights
from llm_core.model import GPTModel, evaluation_mode


def attention_maps(model: GPTModel, ids: Tensor) -> Tensor:
    """Say who reads whom in every head: (B, T) of ids -> (B, L, H, T, T).

    The model runs once. What enters each attention is caught on the way, and its map is
    computed from it explicitly; a test holds it equal to what the model did.
    """
    caught: list[tuple[Tensor, Tensor, Tensor]] = []

    def catch(attention: MultiHeadAttention, inputs: tuple[Any, ...]) -> None:
        x, rotate, _ = inputs
        caught.append(attention.project(x, rotate))

    attentions = [m for m in model.modules() if isinstance(m, MultiHeadAttention)]
    hooks = [module.register_forward_pre_hook(catch) for module in attentions]
    try:
        with evaluation_mode(model), torch.no_grad():
            model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([attention_weights(q, k) for q, k, _ in caught], dim=1)
