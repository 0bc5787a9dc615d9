"""The calculator's Python half: what it hands to the page, and what it refuses."""

import html
import re

import pytest

from llm_core import PRESETS, estimate_model_size
from llm_core.course.widgets import ModelCalculator

SHAPES = {name: PRESETS[name] for name in ("tiny", "small", "gpt2-small")}


def test_the_fallback_says_what_the_core_estimates():
    fallback = html.unescape(ModelCalculator(SHAPES, "small", batch_size=3).fallback())
    rows = re.findall(r"<tr>(.*?)</tr>", fallback)[1:]
    for (name, config), row in zip(SHAPES.items(), rows, strict=True):
        size = estimate_model_size(config, batch_size=3)
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t", row)
        costs = [size.weights, size.training, size.cache]
        assert cells[0] == name
        assert cells[6] == f"{size.parameters:,}"
        assert cells[7:] == [f"{cost / 1e9:,.2f}" for cost in costs]


def test_the_page_begins_with_the_chosen_shape():
    state = ModelCalculator(SHAPES, "small", batch_size=3).state()
    assert state["shapes"][state["chosen"]]["d_model"] == state["d_model"] == 128
    assert state["batch_size"] == 3


@pytest.mark.parametrize(
    ("shapes", "name", "said"),
    [
        (SHAPES, "huge", "one of tiny, small, gpt2-small, got 'huge'"),
        (PRESETS, "small", "llama-small is not of GPT-2's form"),
    ],
)
def test_a_mistake_is_told(shapes, name, said):
    with pytest.raises(ValueError, match=said):
        ModelCalculator(shapes, name)
