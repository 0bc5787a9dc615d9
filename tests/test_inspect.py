"""What course.inspect shows is what the model did."""

import pytest
import torch

from llm_core import GPTConfig, GPTModel
from llm_core.attention import MultiHeadAttention, merge_heads
from llm_core.course.inspect import attention_maps

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
PLAIN = {
    "vocab_size": 11,
    "d_model": 16,
    "num_heads": 4,
    "num_layers": 2,
    "max_seq_len": 8,
}


@pytest.fixture(params=["learned", "rotary"])
def model(request):
    torch.manual_seed(0)
    model = GPTModel(GPTConfig(**PLAIN, dropout=0.5, positions=request.param))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def test_maps_have_a_row_of_weights_for_each_reader(model):
    maps = attention_maps(model, IDS)
    assert maps.shape == (1, 2, 4, 8, 8)
    torch.testing.assert_close(maps.sum(-1), torch.ones(1, 2, 4, 8))
    assert maps.triu(1).abs().max() == 0


def test_mixing_values_by_the_maps_gives_what_the_model_computed(model):
    done = []

    def remember(attention, inputs, output):
        x, rotate, _ = inputs
        done.append((attention, attention.project(x, rotate)[2], output))

    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.register_forward_hook(remember)
    maps = attention_maps(model, IDS)
    for layer, (attention, values, output) in enumerate(done):
        mixed = attention.output(merge_heads(maps[:, layer] @ values))
        torch.testing.assert_close(mixed, output)


def test_the_model_is_left_as_it_was(model):
    attention_maps(model, IDS)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
