"""Optimizers and schedules against plain loops and the theory they stand on."""

from math import cos, pi, sqrt

import pytest
import torch
from samples import KINDS, lively_model, random_ids, small_config
from torch import nn

from llm_core import GPTModel, Muon, next_token_loss, parameter_groups
from llm_core.optim import (
    AdamW,
    block_matrices,
    orthogonalize,
    warmup_cosine,
    warmup_stable_decay,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- groups


@pytest.mark.parametrize("kind", KINDS)
def test_only_matrices_decay_and_every_parameter_is_in_one_group(kind):
    model = GPTModel(small_config(**KINDS[kind]))
    decaying, others = parameter_groups(model.parameters(), 0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim >= 2 for p in decaying["params"])
    assert all(p.ndim < 2 for p in others["params"])
    grouped = [id(p) for p in decaying["params"] + others["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters()))


def test_frozen_parameters_are_in_no_group():
    layer = nn.Linear(3, 4)
    layer.weight.requires_grad_(False)
    decaying, others = parameter_groups(layer.parameters(), 0.1)
    assert (decaying["params"], others["params"]) == ([], [layer.bias])


@pytest.mark.parametrize("kind", KINDS)
def test_muon_is_for_the_matrices_inside_the_blocks_and_nothing_else(kind):
    model = GPTModel(small_config(**KINDS[kind]))
    expected = [
        module.weight
        for module in model.blocks.modules()
        if isinstance(module, nn.Linear)
    ]
    assert {*map(id, block_matrices(model))} == {*map(id, expected)}
    assert len(block_matrices(model)) == len(expected)


# ---------------------------------------------------------------- AdamW


@pytest.mark.parametrize("fused", [False, True])
def test_adamw_is_bit_for_bit_that_of_torch(fused):
    weights = {kind: nn.Parameter(drawn(3, 4)) for kind in (AdamW, torch.optim.AdamW)}
    for kind, weight in weights.items():
        optimizer = kind([weight], lr=0.1, weight_decay=0.1, fused=fused)
        for step in range(5):
            weight.grad = drawn(3, 4, seed=step)
            optimizer.step()
    ours, theirs = weights.values()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, drawn(3, 4))


# ---------------------------------------------------------------- schedules

SCHEDULES = [warmup_cosine, warmup_stable_decay]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("steps", "warmup", "final"),
    [(100, 10, 0.1), (50, 0, 0.0), (7, 3, 0.5), (2, 0, 0.1), (3, 1, 0.0)],
)
def test_a_schedule_climbs_evenly_never_rises_again_and_ends_at_its_end(
    schedule, steps, warmup, final
):
    shares = [schedule(step, steps, warmup, final) for step in range(steps)]
    climb = [(step + 1) / warmup for step in range(warmup)]
    assert shares[:warmup] == pytest.approx(climb)
    assert shares[warmup] == pytest.approx(1.0)
    descent = shares[warmup:]
    assert descent == sorted(descent, reverse=True)
    assert shares[-1] == pytest.approx(final)


def test_the_cosine_is_half_way_down_in_the_middle():
    assert warmup_cosine(60, 111, 10, 0.2) == pytest.approx(0.6)
    for step in range(10, 111):
        expected = 0.2 + 0.8 * (1 + cos(pi * (step - 10) / 100)) / 2
        assert warmup_cosine(step, 111, 10, 0.2) == pytest.approx(expected)


def test_the_stable_schedule_is_level_and_then_a_straight_line_in_the_last_fifth():
    shares = [warmup_stable_decay(step, 100, 10, 0.0) for step in range(100)]
    assert set(shares[9:80]) == {1.0}
    assert shares[79:] == pytest.approx([1 - i / 20 for i in range(21)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("steps", "warmup"), [(1, 0), (1, 1), (3, 3), (3, 100), (2, 1)]
)
def test_a_schedule_without_room_is_still_a_share_of_the_peak(schedule, steps, warmup):
    for step in range(steps + 1):
        assert 0.0 <= schedule(step, steps, warmup, 0.1) <= 1.0


# ---------------------------------------------------------------- Muon


def with_singular_values(rows, columns, values, seed=0):
    u, _ = torch.linalg.qr(drawn(rows, len(values), seed=seed))
    v, _ = torch.linalg.qr(drawn(columns, len(values), seed=seed + 1))
    return u @ torch.diag(torch.as_tensor(values)) @ v.T


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (16, 64), (64, 16)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_orthogonalizing_moves_singular_values_close_to_one(rows, columns, scale):
    matrix = with_singular_values(rows, columns, torch.linspace(0.02, 1.0, 16)) * scale
    values = torch.linalg.svdvals(orthogonalize(matrix[None])[0])
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (4, 12), (12, 4)])
def test_orthogonalizing_keeps_the_directions(rows, columns):
    """It changes singular values alone: U S V^T becomes U S' V^T."""
    matrix = with_singular_values(rows, columns, torch.linspace(0.2, 1.0, 4))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    inner = (u.T @ orthogonalize(matrix[None])[0] @ vt.T)[:4, :4]
    torch.testing.assert_close(inner, inner.diagonal().diag(), atol=1e-5, rtol=0)


def test_a_batch_of_matrices_is_orthogonalized_as_each_alone():
    matrices = drawn(5, 8, 6)
    together = orthogonalize(matrices)
    alone = torch.cat([orthogonalize(matrix[None]) for matrix in matrices])
    torch.testing.assert_close(together, alone)


def test_a_matrix_and_its_transpose_are_orthogonalized_alike():
    matrices = drawn(2, 8, 3)
    torch.testing.assert_close(orthogonalize(matrices.mT), orthogonalize(matrices).mT)


def test_no_gradient_is_no_direction():
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def muon_by_hand(matrix, gradients, lr, momentum, decay):
    """One matrix at a time, as the method is usually written down."""
    average = torch.zeros_like(matrix)
    for gradient in gradients:
        average = momentum * average + (1 - momentum) * gradient
        x = (1 - momentum) * gradient + momentum * average
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
        scale = sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
        matrix = matrix - lr * decay * matrix - lr * scale * x
    return matrix


@pytest.mark.parametrize(
    ("settings", "momentum", "decay"),
    [({"momentum": 0.9, "weight_decay": 0.2}, 0.9, 0.2), ({}, 0.95, 0.0)],
)
def test_muon_equals_its_definition_matrix_by_matrix(settings, momentum, decay):
    shapes = [(6, 6), (12, 4), (4, 12), (6, 6), (6, 6), (12, 4)]
    matrices = [drawn(*shape, seed=i) for i, shape in enumerate(shapes)]
    parameters = [nn.Parameter(matrix.clone()) for matrix in matrices]
    gradients = [
        [drawn(*shape, seed=100 * step + i) for i, shape in enumerate(shapes)]
        for step in range(1, 4)
    ]
    for step in gradients:
        step[3] *= 1e-8  # so weak that what keeps it from a division by 0 counts
    muon = Muon(parameters, learning_rate=0.1, **settings)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        muon.step()
    for i, (parameter, matrix) in enumerate(zip(parameters, matrices, strict=True)):
        given = [step[i] for step in gradients]
        expected = muon_by_hand(matrix, given, 0.1, momentum, decay)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-5)


def test_muon_leaves_alone_what_has_no_gradient():
    still, moved = nn.Parameter(drawn(3, 3)), nn.Parameter(drawn(3, 3))
    before = still.detach().clone()
    muon = Muon([still, moved], learning_rate=0.1, weight_decay=0.5)
    moved.grad = drawn(3, 3, seed=1)
    muon.step()
    assert torch.equal(still, before)
    assert not torch.equal(moved, before)


def test_muon_moves_by_the_same_amount_however_weak_the_gradient():
    def moved(scale):
        parameter = nn.Parameter(torch.zeros(8, 8))
        parameter.grad = scale * drawn(8, 8)
        Muon([parameter], learning_rate=0.1).step()
        return parameter.detach()

    torch.testing.assert_close(moved(1.0), moved(1e-3), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), ()])
def test_muon_refuses_what_is_not_a_matrix(shape):
    with pytest.raises(ValueError, match="Muon updates matrices, got a parameter"):
        Muon([torch.zeros(shape, requires_grad=True)], learning_rate=0.1)


def test_muon_takes_parameters_one_by_one_too():
    parameters = [nn.Parameter(drawn(3, 3)), nn.Parameter(drawn(2, 3))]
    muon = Muon((parameter for parameter in parameters), learning_rate=0.1)
    assert [*map(id, muon.param_groups[0]["params"])] == [*map(id, parameters)]


def test_muon_learns():
    model = lively_model(small_config()).train()
    ids = random_ids(model.config, 4, 17)
    muon = Muon(block_matrices(model), learning_rate=0.02)
    losses = []
    for _ in range(20):
        loss = next_token_loss(model(ids[:, :-1]), ids[:, 1:])
        model.zero_grad()
        loss.backward()
        muon.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
