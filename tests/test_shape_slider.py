"""The slider's Python half: its fallback says what PyTorch does."""

import re

import pytest
import torch

from llm_core.course.widgets import ShapeSlider
from llm_core.course.widgets.shape_slider import factorizations


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((3, 2, 4), (1, 0, 2)),
        ((4, 6), (1, 0)),
        ((2, 3, 2, 2), (3, 1, 0, 2)),
        ((2, 2, 6), (0, 1, 2)),
    ],
)
def test_the_fallback_says_what_permute_and_view_give(shape, order):
    x = torch.arange(24).view(shape)
    y = x.permute(order)
    rows = re.findall(r"<tr>(.*?)</tr>", ShapeSlider(shape, order).fallback())
    names = re.findall(r"<th[^>]*>(.*?)</th>", rows[0])
    assert names == ["index", f"x.permute{order}", f"x.view{tuple(y.shape)}"]
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows[1:]]
    permuted, viewed = (
        [int(number) for row in cells for number in row[column].split()]
        for column in (0, 1)
    )
    assert permuted == y.flatten().tolist()
    assert viewed == list(range(24))


def test_the_slider_begins_where_it_is_told():
    state = ShapeSlider((2, 3, 4), (2, 0, 1), element=7).state()
    assert state["shapes"][state["shape"]] == [2, 3, 4]
    assert (state["order"], state["target"], state["element"]) == (4, -1, 7)


def test_every_shape_on_offer_has_all_numbers_and_no_axis_of_size_1():
    shapes = ShapeSlider((3, 2, 4)).state()["shapes"]
    assert len(shapes) == len({tuple(shape) for shape in shapes}) == 19
    assert all(torch.Size(shape).numel() == 24 and min(shape) > 1 for shape in shapes)
    assert len(list(factorizations(24))) == 20  # and the flat one


@pytest.mark.parametrize(
    ("shape", "order", "said"),
    [
        ((24,), (0,), r"two to four sizes .* got \(24,\)"),
        ((1, 24), (1, 0), "of at least 2"),
        ((7, 7), (1, 0), "at most 48"),
        ((2, 2, 2, 2, 2), (0, 1, 2, 3, 4), "two to four"),
        ((3, 2, 4), (1, 0), r"each of 3 axes once, got \(1, 0\)"),
        ((3, 8), (1, 1), "axes once"),
    ],
)
def test_a_mistake_is_told(shape, order, said):
    with pytest.raises(ValueError, match=said):
        ShapeSlider(shape, order)
