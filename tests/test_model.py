"""The model against theory, hand formulas, and Hugging Face's GPT-2 and LLaMA."""

from dataclasses import FrozenInstanceError, replace
from math import erf, exp, log, pi, sqrt, tanh

import pytest
import torch
from oracles import as_transformers_gpt2, as_transformers_llama
from samples import KINDS, lively_model, random_ids, small_config
from torch import nn
from torch.nn.utils import parameters_to_vector

from llm_core import (
    PRESETS,
    FeedForward,
    GPTConfig,
    GPTModel,
    TransformerBlock,
    estimate_model_size,
    next_token_loss,
)
from llm_core.model import evaluation_mode, relu_squared

every_kind = pytest.mark.parametrize("kind", KINDS)


# ---------------------------------------------------------------- theory


@every_kind
def test_an_untrained_model_is_as_wrong_as_a_fair_guess(kind):
    torch.manual_seed(0)
    config = small_config(**KINDS[kind])
    model = GPTModel(config)
    ids, targets = random_ids(config, 32, 16), random_ids(config, 32, 16, seed=1)
    loss = next_token_loss(model(ids), targets).item()
    assert loss == pytest.approx(log(config.vocab_size), rel=0.02)


@pytest.mark.parametrize("name", ["tiny", "small", "llama-small"])
def test_the_loss_of_an_untrained_preset_is_the_logarithm_of_its_vocabulary(name):
    torch.manual_seed(0)
    config = replace(PRESETS[name], vocab_size=1000)
    ids = random_ids(config, 4, config.max_seq_len + 1)
    loss = next_token_loss(GPTModel(config)(ids[:, :-1]), ids[:, 1:]).item()
    assert loss == pytest.approx(log(1000), rel=0.02)


@every_kind
def test_one_batch_can_be_learned_by_heart(kind):
    torch.manual_seed(0)
    config = small_config(**KINDS[kind])
    model = GPTModel(config)
    ids = random_ids(config, 4, 17)
    ids[:, 0] = torch.arange(4)  # rows that begin alike could not be told apart
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(75):
        loss = next_token_loss(model(ids[:, :-1]), ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@every_kind
def test_attention_never_sees_the_future(kind):
    config = small_config(**KINDS[kind])
    model = lively_model(config)
    ids = random_ids(config, 2, 16)
    with torch.no_grad():
        logits = model(ids)
        for t in range(16):
            changed = ids.clone()
            changed[:, t] = (ids[:, t] + 1) % config.vocab_size
            difference = (model(changed) - logits).abs().amax(dim=(0, 2))  # (T,)
            assert (difference[:t] <= 1e-6).all()
            assert difference[t] > 1e-3  # and it does see the present


@every_kind
def test_gradients_never_flow_to_the_future(kind):
    config = small_config(**KINDS[kind])
    model = lively_model(config)
    embedded = model.embed(random_ids(config, 1, 8)).detach().requires_grad_()
    rotate = model.rotation(0, 8)
    for t in range(8):
        x = embedded
        for block in model.blocks:
            x = block(x, rotate)
        (gradient,) = torch.autograd.grad(x[0, t].sum(), embedded)
        size = gradient[0].abs().sum(-1)
        assert (size[t + 1 :] == 0).all()
        assert (size[: t + 1] > 0).all()


def test_without_positions_the_order_of_what_came_before_is_invisible():
    model = lively_model(small_config(num_layers=1))
    with torch.no_grad():
        model.positions.zero_()
        ids = random_ids(model.config, 1, 10)
        shuffled = ids[:, [3, 1, 4, 0, 8, 2, 7, 5, 6, 9]]
        torch.testing.assert_close(model(shuffled)[:, -1], model(ids)[:, -1])


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_with_positions_the_order_of_what_came_before_matters(positions):
    model = lively_model(small_config(num_layers=1, positions=positions))
    ids = random_ids(model.config, 1, 10)
    shuffled = ids[:, [3, 1, 4, 0, 8, 2, 7, 5, 6, 9]]
    with torch.no_grad():
        assert (model(shuffled)[:, -1] - model(ids)[:, -1]).abs().max() > 1e-2


@every_kind
def test_rows_of_a_batch_do_not_touch(kind):
    config = small_config(**KINDS[kind])
    model, ids = lively_model(config), random_ids(config, 3, 12)
    with torch.no_grad():
        alone = torch.cat([model(row[None]) for row in ids])
        torch.testing.assert_close(model(ids), alone, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- oracles


def in_pieces(model, ids, sizes):
    cache = model.new_cache(len(ids))
    with torch.no_grad():
        return torch.cat([model(piece, cache) for piece in ids.split(sizes, 1)], 1)


@pytest.mark.parametrize(
    ("kind", "convert"),
    [("gpt2", as_transformers_gpt2), ("llama", as_transformers_llama)],
)
def test_logits_equal_those_of_transformers_with_and_without_a_cache(kind, convert):
    config = small_config(**KINDS[kind], d_ff=None if kind == "gpt2" else 88)
    model = lively_model(config)
    theirs, ids = convert(model), random_ids(config, 3, 16)
    with torch.no_grad():
        expected = theirs(ids).logits
        theirs_cached = theirs(ids[:, :9], use_cache=True)
        rest = theirs(ids[:, 9:], past_key_values=theirs_cached.past_key_values)
        ours = model(ids)
    assert expected.std() > 1  # a comparison of something
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)
    cached = in_pieces(model, ids, [9, 7])
    expected = torch.cat([theirs_cached.logits, rest.logits], dim=1)
    torch.testing.assert_close(cached, expected, rtol=0, atol=1e-4)


def test_the_preset_of_llama_computes_what_llama_does_at_the_cost_of_small():
    config = replace(PRESETS["llama-small"], vocab_size=61)
    torch.manual_seed(0)
    model = GPTModel(config)
    ids = random_ids(config, 2, 16)
    with torch.no_grad():
        expected = as_transformers_llama(model)(ids).logits
        torch.testing.assert_close(model(ids), expected, rtol=0, atol=1e-5)
    small = PRESETS["small"]
    third = 2 * small.feed_forward_dim / 3  # of the three matrices, a GELU has two
    assert config.feed_forward_dim % 8 == 0
    assert third <= config.feed_forward_dim < third + 8
    assert 2 * config.key_value_heads == config.num_heads == small.num_heads


@every_kind
@pytest.mark.parametrize("sizes", [[16], [1] * 16, [5, 1, 7, 3], [15, 1]])
def test_logits_with_a_cache_equal_those_without(kind, sizes):
    config = small_config(**KINDS[kind])
    model, ids = lively_model(config), random_ids(config, 2, 16)
    with torch.no_grad():
        expected = model(ids)
    cached = in_pieces(model, ids, sizes)
    torch.testing.assert_close(cached, expected, rtol=1e-4, atol=1e-4)


def test_a_cleared_cache_begins_again():
    config = small_config()
    model, ids = lively_model(config), random_ids(config, 2, 16)
    cache = model.new_cache(2)
    with torch.no_grad():
        first = model(ids, cache)
        cache.clear()
        assert torch.equal(model(ids, cache), first)


def scalar_norm(values, kind):
    mean = sum(values) / len(values) if kind == "layer" else 0.0
    square = sum((value - mean) ** 2 for value in values) / len(values)
    return [(value - mean) / sqrt(square + 1e-5) for value in values]


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norms_equal_the_hand_formula(kind):
    config = small_config(norm=kind)
    norm = TransformerBlock(config).attention_norm
    x = 0.01 * torch.randn(5, 32, generator=torch.Generator().manual_seed(0)) + 0.02
    for row in x:  # small numbers, so that epsilon counts
        expected = torch.tensor(scalar_norm(row.tolist(), kind))
        torch.testing.assert_close(norm(row), expected, rtol=1e-4, atol=1e-5)


SCALAR_ACTIVATIONS = {
    "gelu": lambda x: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))),
    "relu2": lambda x: max(0.0, x) ** 2,
    "swiglu": lambda x: x / (1 + exp(-x)),
}


@pytest.mark.parametrize("kind", SCALAR_ACTIVATIONS)
def test_the_feed_forward_part_equals_the_hand_formula(kind):
    part = FeedForward(small_config(d_model=4, d_ff=6, num_heads=1, feed_forward=kind))
    for i, parameter in enumerate(part.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(i))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(9))
    bend = SCALAR_ACTIVATIONS[kind]

    def linear(layer, values):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(map(float.__mul__, row, values)) + bias for row, bias in rows]

    for row in x.tolist():
        hidden = linear(part.up, row)
        if kind == "swiglu":
            gates = map(bend, linear(part.gate, row))
            hidden = [gate * h for gate, h in zip(gates, hidden, strict=True)]
        else:
            hidden = list(map(bend, hidden))
        expected = torch.tensor(linear(part.down, hidden))
        torch.testing.assert_close(part(torch.tensor(row)), expected)


def test_squared_relu_of_numbers():
    x = torch.tensor([-2.0, 0.0, 0.5, 3.0])
    assert relu_squared(x).tolist() == [0.0, 0.0, 0.25, 9.0]


def test_the_tanh_form_of_gelu_is_close_to_the_exact_one():
    for x in (-3.0, -0.5, 0.0, 0.5, 3.0):
        exact = x / 2 * (1 + erf(x / sqrt(2)))
        assert SCALAR_ACTIVATIONS["gelu"](x) == pytest.approx(exact, abs=1e-3)


def test_a_block_adds_each_part_to_what_it_read():
    block = TransformerBlock(small_config()).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    middle = x + block.attention(block.attention_norm(x))
    expected = middle + block.feed_forward(block.feed_forward_norm(middle))
    torch.testing.assert_close(block(x), expected)


def test_the_loss_equals_a_sum_over_positions():
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, 4, 2], [1, 1, 3]])
    weights = torch.tensor([[1.0, 0.5, 2.0], [0.0, 1.0, 1.0]])
    losses = [
        [
            log(sum(map(exp, logits[b, t].tolist()))) - logits[b, t, targets[b, t]]
            for t in range(3)
        ]
        for b in range(2)
    ]
    losses = torch.tensor(losses)
    torch.testing.assert_close(next_token_loss(logits, targets), losses.mean())
    expected = (losses * weights).sum() / 5.5
    torch.testing.assert_close(next_token_loss(logits, targets, weights), expected)


def test_positions_of_weight_zero_do_not_exist():
    logits = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    targets, weights = torch.tensor([[1, 2, 0, 0]]), torch.tensor([[1, 1, 0, 0]])
    expected = next_token_loss(logits[:, :2], targets[:, :2])
    logits[:, 2:] = 1e4
    torch.testing.assert_close(next_token_loss(logits, targets, weights), expected)


def test_the_loss_is_computed_in_float32():
    logits = torch.zeros(1, 1, 1000, dtype=torch.bfloat16)
    loss = next_token_loss(logits, torch.tensor([[3]]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(log(1000), rel=1e-6)


# ---------------------------------------------------------------- parameters


def test_a_tied_head_is_the_embedding_itself():
    model = GPTModel(small_config())
    assert model.head.weight is model.token_embedding.weight
    with torch.no_grad():
        model.token_embedding.weight[3] = 7.0
    assert (model.head.weight[3] == 7.0).all()


def test_an_untied_head_has_weights_of_its_own():
    model = GPTModel(small_config(tie_embeddings=False))
    places = {p.data_ptr() for p in (model.head.weight, model.token_embedding.weight)}
    assert len(places) == 2


@every_kind
def test_matrices_are_drawn_from_gpt2s_distribution(kind):
    torch.manual_seed(0)
    config = small_config(**KINDS[kind]) if kind != "relu2" else small_config()
    config = replace(config, d_model=128, num_layers=8, max_seq_len=128)
    for name, parameter in GPTModel(config).named_parameters():
        if parameter.ndim == 2:
            writes = name.endswith(
                ("attention.output.weight", "feed_forward.down.weight")
            )
            expected = 0.02 / sqrt(16) if writes else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.05), name
            assert abs(parameter.mean().item()) < expected / 20, name
        else:
            expected = 0.0 if name.endswith(".bias") else 1.0
            assert (parameter == expected).all(), name


def test_the_residual_stream_keeps_its_size_however_deep_the_model_is():
    """What the blocks add does not grow with their number, thanks to the scaling."""

    def added(num_layers):
        torch.manual_seed(0)
        model = GPTModel(small_config(d_model=64, num_layers=num_layers))
        ids = random_ids(model.config, 4, 16)
        x = embedded = model.embed(ids)
        for block in model.blocks:
            x = block(x)
        return (x - embedded).std().item()

    assert added(32) == pytest.approx(added(2), rel=0.3)


def test_a_generator_repeats_an_initialization():
    def weights(seed):
        model = GPTModel(small_config())
        model.initialize(torch.Generator().manual_seed(seed))
        return parameters_to_vector(model.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def parameters_by_hand(c):
    """Count a GPT's parameters with nothing but its configuration."""
    C, kv, hidden = c.d_model, c.key_value_heads * c.head_dim, c.feed_forward_dim
    bias = int(c.bias)
    norm = C if c.norm == "rms" else C * (1 + bias)
    attention = 2 * C * C + 2 * C * kv + bias * (2 * C + 2 * kv)
    attention += 2 * c.head_dim * c.qk_norm
    num_up = 2 if c.feed_forward == "swiglu" else 1
    feed_forward = norm + num_up * (C + bias) * hidden + (hidden + bias) * C
    if c.feed_forward == "none":
        feed_forward = 0
    embeddings = c.vocab_size * C * (1 if c.tie_embeddings else 2)
    positions = c.max_seq_len * C if c.positions == "learned" else 0
    blocks = c.num_layers * (norm + attention + feed_forward)
    return embeddings + positions + blocks + norm


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_parameters_are_counted_not_claimed(name):
    config = PRESETS[name]
    with torch.device("meta"):
        model = GPTModel(config)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert estimate_model_size(config).parameters == built == parameters_by_hand(config)


@every_kind
def test_every_kind_of_models_parameters_are_counted(kind):
    config = small_config(**KINDS[kind])
    built = sum(parameter.numel() for parameter in GPTModel(config).parameters())
    assert estimate_model_size(config).parameters == built == parameters_by_hand(config)


def test_the_presets_have_the_sizes_that_the_course_names():
    sizes = {
        name: (c.d_model, c.num_heads, c.num_layers, c.max_seq_len)
        for name, c in PRESETS.items()
    }
    assert sizes == {
        "tiny": (64, 4, 2, 128),
        "small": (128, 4, 4, 256),
        "medium": (256, 8, 6, 512),
        "large": (512, 8, 8, 1024),
        "gpt2-small": (768, 12, 12, 1024),
        "llama-small": (128, 4, 4, 256),
    }


def test_gpt2_small_has_as_many_parameters_as_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        theirs = GPT2LMHeadModel(GPT2Config())
    size = estimate_model_size(PRESETS["gpt2-small"])
    assert size.parameters == theirs.num_parameters() == 124_439_808


# ---------------------------------------------------------------- memory


def bytes_kept_for_the_backward_pass(config, batch_size):
    model = GPTModel(config)
    own = {t.data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept = {}  # by address; the tensor itself is held, so that no address is reused

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    ids = random_ids(config, batch_size, config.max_seq_len)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        next_token_loss(model(ids), ids)
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("name", ["tiny", "small", "llama-small"])
def test_the_activations_of_a_preset_are_estimated_within_two_percent(name):
    config = replace(PRESETS[name], vocab_size=2000)
    estimated = estimate_model_size(config, batch_size=2).activations
    measured = bytes_kept_for_the_backward_pass(config, batch_size=2)
    assert estimated == pytest.approx(measured, rel=0.02)


@every_kind
def test_the_activations_of_every_kind_are_estimated_within_three_percent(kind):
    config = replace(
        small_config(**KINDS[kind]), d_model=128, max_seq_len=64, vocab_size=256
    )
    estimated = estimate_model_size(config).activations
    measured = bytes_kept_for_the_backward_pass(config, batch_size=1)
    assert estimated == pytest.approx(measured, rel=0.03)


@every_kind
def test_the_cache_takes_the_bytes_that_were_estimated(kind):
    config = small_config(**KINDS[kind])
    cache = GPTModel(config).new_cache(3)
    estimated = estimate_model_size(config, batch_size=3).cache
    assert estimated == cache.keys.nbytes + cache.values.nbytes


def test_adamw_trains_with_four_numbers_a_parameter_and_the_activations():
    config = small_config()
    model = GPTModel(config)
    optimizer = torch.optim.AdamW(model.parameters())
    next_token_loss(
        model(random_ids(config, 1, 16)), random_ids(config, 1, 16)
    ).backward()
    optimizer.step()
    parameters = list(model.parameters())
    size = estimate_model_size(config)
    assert size.weights == sum(p.nbytes for p in parameters)
    assert size.gradients == sum(p.grad.nbytes for p in parameters)
    moments = [
        tensor.nbytes
        for p in parameters
        for key, tensor in optimizer.state[p].items()
        if key != "step"
    ]
    assert size.optimizer == sum(moments)
    assert size.training == 4 * size.weights + size.activations


def test_half_the_bytes_a_number_is_half_of_everything():
    full = estimate_model_size(PRESETS["tiny"])
    half = estimate_model_size(PRESETS["tiny"], bytes_per_number=2)
    assert (half.training, half.cache) == (full.training // 2, full.cache // 2)
    assert half.parameters == full.parameters


# ---------------------------------------------------------------- use and misuse


@pytest.mark.parametrize("length", [1, 7, 16])
def test_logits_have_one_row_of_scores_for_each_position(length):
    model = GPTModel(small_config())
    assert model(random_ids(model.config, 3, length)).shape == (3, length, 61)


def test_training_drops_embeddings_as_often_as_it_says():
    model = GPTModel(small_config(dropout=0.25))
    dropped = (model.embed(random_ids(model.config, 64, 16)) == 0).float().mean()
    assert dropped.item() == pytest.approx(0.25, abs=0.02)


def test_only_training_drops_activations():
    model = GPTModel(small_config(dropout=0.2))
    ids = random_ids(model.config, 2, 16)
    torch.manual_seed(0)
    assert not torch.equal(model(ids), model(ids))
    with evaluation_mode(model):
        assert torch.equal(model(ids), model(ids))


def fail_in_evaluation_mode(model):
    with evaluation_mode(model):
        assert not model.training
        raise RuntimeError("oops")


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_mode_ends_as_it_began_even_after_an_error(training):
    model = GPTModel(small_config()).train(training)
    with pytest.raises(RuntimeError, match="oops"):
        fail_in_evaluation_mode(model)
    assert model.training == training


def test_a_configuration_cannot_be_changed_only_replaced():
    with pytest.raises(FrozenInstanceError):
        small_config().d_model = 64
    assert replace(small_config(), d_model=64).feed_forward_dim == 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be a positive integer, got 0"),
        ({"num_layers": None}, "num_layers must be a positive integer, got None"),
        ({"d_model": -32}, "d_model must be a positive integer, got -32"),
        ({"num_layers": 2.0}, "num_layers must be a positive integer, got 2.0"),
        ({"num_heads": True}, "num_heads must be a positive integer, got True"),
        ({"max_seq_len": "16"}, "max_seq_len must be a positive integer, got '16'"),
        ({"d_ff": 0}, "d_ff must be a positive integer, got 0"),
        ({"num_kv_heads": 0}, "num_kv_heads must be a positive integer, got 0"),
        ({"num_heads": 5}, "num_heads must divide d_model, got 5 and 32"),
        ({"num_kv_heads": 3}, "num_kv_heads must divide num_heads, got 3 and 4"),
        ({"positions": "none"}, "positions must be one of .* got 'none'"),
        ({"norm": "batch"}, "norm must be one of .* got 'batch'"),
        ({"feed_forward": None}, "feed_forward must be one of .* got None"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
        ({"dropout": float("nan")}, r"dropout must be in \[0, 1\), got nan"),
        ({"d_model": 12, "positions": "rotary"}, "rotary positions .* even .* got 3"),
        (
            {"d_model": 5, "num_heads": 1, "positions": "sinusoidal"},
            "sinusoidal positions .* even .* got 5",
        ),
    ],
)
def test_a_shape_that_cannot_be_is_refused_where_it_is_made(changes, message):
    with pytest.raises(ValueError, match=message):
        small_config(**changes)


def test_a_configuration_is_written_with_names():
    with pytest.raises(TypeError):
        GPTConfig(61, 32, 4, 2, 16)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), r"\(batch, time\), got .* shape \(3,\)"),
        (torch.zeros(1, 3), "must be integers .* got torch.float32"),
        (torch.zeros(1, 17, dtype=torch.int64), "at most 16 positions, got 17"),
    ],
)
def test_ids_the_model_cannot_read_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        GPTModel(small_config())(ids)


def test_a_full_cache_is_refused():
    model = GPTModel(small_config()).eval()
    cache = model.new_cache(1)
    with torch.no_grad():
        model(random_ids(model.config, 1, 10), cache)
        with pytest.raises(ValueError, match="at most 16 positions, got 17"):
            model(random_ids(model.config, 1, 7), cache)
        model(random_ids(model.config, 1, 6), cache)


def test_a_cache_for_another_number_of_rows_is_refused():
    model = GPTModel(small_config()).eval()
    for rows in (1, 3):
        with pytest.raises(ValueError, match=f"cache has 2 rows, the ids have {rows}"):
            model(random_ids(model.config, rows, 4), model.new_cache(2))
