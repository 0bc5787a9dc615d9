"""Parameters and gradients in, better parameters out; knows no model and no data."""

from collections.abc import Callable, Iterable
from inspect import unwrap
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def parameter_groups(
    parameters: Iterable[Tensor], weight_decay: float
) -> list[dict[str, Any]]:
    """Sort parameters into those that decay, the matrices, and those that do not.

    Pulling a bias or a norm's scale towards zero changes what the network computes
    rather than how large its weights are.
    """
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def warmup_cosine(step: int, steps: int, warmup_steps: int, final: float) -> float:
    """Share of the peak learning rate at `step`, from 0 on: up, then half a cosine.

    It climbs to 1 in `warmup_steps` steps and ends at `final` (Loshchilov and Hutter,
    2017).

    >>> [round(warmup_cosine(step, 5, 2, 0.0), 2) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - 1 - warmup_steps)
    return final + (1 - final) * (1 + cos(pi * min(1.0, progress))) / 2


def warmup_stable_decay(
    step: int, steps: int, warmup_steps: int, final: float
) -> float:
    """Share of the peak learning rate at `step`: up, level, down in the last fifth.

    The descent is a straight line to `final` (Hu et al., 2024).

    >>> [round(warmup_stable_decay(step, 10, 2, 0.0), 2) for step in (0, 1, 7, 8, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decay_steps = max(1, steps // 5)
    left = max(0, steps - 1 - step) / decay_steps
    return final + (1 - final) * min(1.0, left)


def orthogonalize(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Move the singular values of each matrix close to 1: (N, rows, columns) to same.

    Five steps of a Newton-Schulz iteration, whose quintic was tuned for speed rather
    than exactness: values end between about 0.7 and 1.2 (Jordan et al., 2024). The
    matrices of a batch are worked on at once.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # the smaller side makes the smaller product
    for _ in range(iterations):
        product = x @ x.mT
        x = a * x + (b * product + c * product @ product) @ x
    return x.mT if tall else x


class _NotCompiled(Optimizer):
    """An optimizer whose methods do not import torch's compiler, which takes seconds.

    Torch wraps its own, to tell the compiler to leave them alone. Here nothing compiles
    them.
    """

    add_param_group = unwrap(Optimizer.add_param_group)


class AdamW(_NotCompiled, torch.optim.AdamW):
    """Torch's AdamW: steps of like size for every weight (Loshchilov and Hutter, 2019).

    The same in all but that it is ready at once.
    """

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class Muon(_NotCompiled):
    """Momentum whose update is orthogonalized, for the matrices inside the blocks.

    Every direction of a matrix then moves by a like amount, however weak its gradient
    (Jordan et al., 2024). Embeddings, the head and vectors belong to AdamW.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters of two dimensions; raises ValueError for others."""
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.ndim != 2:
                raise ValueError(
                    "Muon updates matrices, "
                    f"got a parameter of shape {tuple(parameter.shape)}"
                )
        defaults = {
            "lr": learning_rate,
            "momentum": momentum,
            "weight_decay": weight_decay,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Step parameters of one shape together: one batched product is faster."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        momenta = torch.stack([self.state[p]["momentum_buffer"] for p in parameters])
        # Nesterov: look one step of momentum ahead.
        ahead = torch.stack(gradients).lerp(momenta, group["momentum"])
        updates = orthogonalize(ahead)
        # A tall matrix has fewer directions than rows: keep the size of each row's
        # change.
        rows, columns = parameters[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)


def block_matrices(model: nn.Module) -> list[Tensor]:
    """Return the matrices that Muon is for: those of the model's `blocks`."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith("blocks.") and parameter.ndim == 2
    ]
