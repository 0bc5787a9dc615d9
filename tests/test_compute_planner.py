"""The planner's Python half: what it computes, hands to the page, and refuses."""

import html
import re

import pytest

from llm_core.course.widgets import ComputePlanner
from llm_core.course.widgets.compute_planner import DEVICES, TRAININGS, plan

SMALL = {"a small one": (10_000, 100_000, 32, 64)}


def number(text):
    """'3.15 · 10²³' -> 3.15e23, '23,456' -> 23456."""
    digits, _, raised = text.replace(",", "").partition(" · 10")
    power = raised.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(f"{digits}e{power or 0}")


def test_gpt3_cost_what_its_paper_says():
    parameters, tokens, width, context = TRAININGS["GPT-3"]
    cost = plan(parameters, tokens, width, context, peak=1e15, utilization=100)
    assert cost["6 N D"] == pytest.approx(3.15e23)
    assert cost["attention"] / cost["6 N D"] == pytest.approx(2048 / 6 / 12_288)
    assert cost["blocks"] == pytest.approx(96, rel=0.01)  # as published
    assert cost["device-hours"] == pytest.approx(cost["FLOPs"] / 1e15 / 3600)


@pytest.mark.parametrize("ratio", [1, 20, 149])
def test_the_best_use_costs_the_same(ratio):
    cost = plan(1e9, 3e9, 2048, 1024, peak=1e14, ratio=ratio)
    again = plan(
        cost["best parameters"], cost["best tokens"], 2048, 1024, peak=1e14, ratio=ratio
    )
    assert again["FLOPs"] == pytest.approx(cost["FLOPs"])
    assert cost["best tokens"] / cost["best parameters"] == pytest.approx(ratio)


def test_more_devices_take_less_time_and_the_same_work():
    one, eight = (plan(1e9, 2e10, 2048, 1024, peak=1e14, count=n) for n in (1, 8))
    assert eight["hours"] == pytest.approx(one["hours"] / 8)
    assert eight["device-hours"] == one["device-hours"]


def test_the_published_widths_and_sizes_belong_together():
    """Twelve times depth times the width's square, at depths that were published."""
    depths = {
        "GPT-3": 96,
        "Gopher": 80,
        "Chinchilla": 80,
        "LLaMA-7B": 32,
        "LLaMA-65B": 80,
    }
    for name, (parameters, _, width, _) in TRAININGS.items():
        assert 12 * depths[name] * width**2 == pytest.approx(parameters, rel=0.09)


def test_the_fallback_says_what_is_planned():
    fallback = html.unescape(ComputePlanner("GPT-3", 1e11, SMALL).fallback())
    rows = re.findall(r"<tr>(.*?)</tr>", fallback)[1:]
    for (name, numbers), row in zip({**TRAININGS, **SMALL}.items(), rows, strict=True):
        cost = plan(*numbers, peak=DEVICES["A100"])
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t", row)
        assert cells[0] == name
        assert number(cells[3]) == pytest.approx(cost["FLOPs"], rel=6e-3)
        assert number(cells[4]) == pytest.approx(cost["device-hours"], rel=6e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("GPT-9", 1e11), "one of GPT-3, .* got 'GPT-9'"),
        (("GPT-3", 0), "positive number, got 0"),
        (("GPT-3", float("inf")), "positive number, got inf"),
    ],
)
def test_a_mistake_is_told(arguments, said):
    with pytest.raises(ValueError, match=said):
        ComputePlanner(*arguments)
