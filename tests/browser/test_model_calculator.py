"""The calculator says what the core estimates and what PyTorch's counter counts."""

import random
import re

import pytest
import torch
from browser.hands import drag, press, slider
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llm_core import PRESETS, GPTConfig, GPTModel, estimate_model_size
from llm_core.course.widgets import ModelCalculator

CHAPTER = "notebooks/06_gpt.html"
FIVE = ("vocab_size", "d_model", "num_layers", "num_heads", "max_seq_len")
SHAPES = {
    "tiny": PRESETS["tiny"],
    "gpt2-small": PRESETS["gpt2-small"],
    "odd": GPTConfig(
        vocab_size=777, d_model=96, num_heads=8, num_layers=7, max_seq_len=111
    ),
}
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
UNITS |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}


def calculator(name="gpt2-small", batch_size=8):
    return ModelCalculator(SHAPES, name, batch_size)


def setting(widget):
    """The numbers at which the sliders stand."""
    texts = {
        name: slider(widget, name).get_attribute("aria-valuetext")
        for name in (*FIVE, "batch_size")
    }
    return {name: int(text.replace(",", "")) for name, text in texts.items()}


def exact(widget):
    """The table of exact numbers, which may be folded away."""
    rows = widget.locator("details tbody tr").all()
    cells = [row.locator("th, td").all_text_contents() for row in rows]
    return {name: int(number.replace(",", "")) for name, number in cells}


def flops_forward(config):
    """What PyTorch counts for a token on its way forward, in plain products."""
    with torch.device("meta"):
        ids = torch.zeros(1, config.max_seq_len, dtype=torch.int64)
        model = GPTModel(config)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(ids)
    return counter.get_total_flops() / config.max_seq_len


def check_costs(widget):
    """Every number of the widget is the core's, for where its sliders stand."""
    numbers = setting(widget)
    batch_size = numbers.pop("batch_size")
    config = GPTConfig(**numbers)
    size = estimate_model_size(config, batch_size=batch_size)
    forward = flops_forward(config)
    shown = exact(widget)
    assert shown["parameters"] == size.parameters
    parts = [n for name, n in shown.items() if name.startswith("parameters: ")]
    assert sum(parts) == size.parameters
    for name in ("weights", "gradients", "optimizer", "activations", "cache"):
        assert shown[f"bytes: {name}"] == getattr(size, name)
    assert shown["bytes in training"] == size.training
    assert shown["FLOPs of a token, forward"] == forward
    assert shown["FLOPs of a token in training"] == 3 * forward
    step = 3 * forward * batch_size * config.max_seq_len
    assert shown["FLOPs of a training step"] == pytest.approx(step, rel=1e-12)
    status = widget.locator(".llm-status").text_content()
    assert status.startswith(f"{size.parameters:,} parameters. ")
    memory, work = re.findall(r"([\d.]+) ([kMGTPE]?)(?:B|FLOP)\b", status)
    assert float(memory[0]) * UNITS[memory[1]] == pytest.approx(size.training, rel=5e-3)
    assert float(work[0]) * UNITS[work[1]] == pytest.approx(step, rel=5e-3)


def check_bars(widget):
    """A bar is as long as its number's share of the longest in its table."""
    for table in widget.locator(".llm-bill").all():
        rows = table.locator("tbody tr").all()
        words = [row.locator("td").last.text_content() for row in rows]
        amounts = [amount(text) for text in words]
        widths = [
            row.locator(".llm-cost").evaluate("bar => parseFloat(bar.style.width)")
            for row in rows
        ]
        for number, width in zip(amounts, widths, strict=True):
            assert width == pytest.approx(100 * number / max(amounts), abs=1)


def amount(text):
    number, _, unit = text.partition(" ")
    prefix = unit.removesuffix("FLOP").removesuffix("B")
    return float(number) * UNITS[prefix]


def test_the_calculator_begins_with_the_chosen_model(stage):
    with stage(calculator(), calculator("odd", 1)) as page:
        for widget in page.locator(".llm-model-calculator").all():
            check_costs(widget)
            check_bars(widget)


def test_every_slider_is_followed_by_keyboard(stage):
    steps = dict.fromkeys((*FIVE, "batch_size"), 1) | {"num_heads": 3}  # 8 fit, not 5
    with stage(calculator("tiny")) as page:
        widget = page.locator(".llm-model-calculator")
        for name, times in steps.items():
            before = setting(widget)
            press(slider(widget, name), "ArrowRight", times)
            after = setting(widget)
            assert {n for n in after if after[n] != before[n]} == {name}
            check_costs(widget)
        assert chosen(widget) == "your own shape"
        check_bars(widget)


@pytest.mark.parametrize("label", ["vocab_size", "num_layers", "max_seq_len"])
def test_a_slider_is_followed_by_the_mouse(stage, label):
    with stage(calculator("tiny")) as page:
        widget = page.locator(".llm-model-calculator")
        before = setting(widget)
        drag(page, slider(widget, label), 0.1)
        assert setting(widget)[label] != before[label]
        check_costs(widget)


def test_random_settings_cost_what_the_core_says(stage):
    """Sliders set at random, where heads and width fit."""
    rng = random.Random(0)
    with stage(calculator()) as page:
        widget = page.locator(".llm-model-calculator")
        tried = 0
        while tried < 25:
            for name in (*FIVE, "batch_size"):
                control = slider(widget, name)
                last = int(control.get_attribute("max"))
                if name == "num_layers":
                    last //= 2  # 24 layers: meta models have to be built, too
                control.fill(str(rng.randint(0, last)))
            numbers = setting(widget)
            if numbers["d_model"] % numbers["num_heads"]:
                check_misfit(widget)
                continue
            check_costs(widget)
            tried += 1


def chosen(widget):
    return widget.get_by_role("combobox", name="Model").input_value()


def test_a_named_model_sets_all_sliders_and_is_recognized(stage):
    with stage(calculator()) as page:
        widget = page.locator(".llm-model-calculator")
        for name in ("odd", "tiny", "gpt2-small"):
            widget.get_by_role("combobox", name="Model").select_option(name)
            numbers = setting(widget)
            assert numbers.pop("batch_size") == 8
            assert GPTConfig(**numbers) == SHAPES[name]
            check_costs(widget)
        press(slider(widget, "num_layers"), "ArrowRight")
        assert chosen(widget) == "your own shape"
        press(slider(widget, "num_layers"), "ArrowLeft")
        assert chosen(widget) == "gpt2-small"
        press(slider(widget, "batch_size"), "ArrowRight")
        assert chosen(widget) == "gpt2-small"


def check_misfit(widget):
    numbers = setting(widget)
    heads, width = numbers["num_heads"], numbers["d_model"]
    said = widget.locator(".llm-status").text_content()
    assert said.startswith("num_heads must divide d_model")
    assert f"{heads} heads cannot share {width:,} channels" in said
    fits = [n for n in range(1, width + 1) if width % n == 0]
    below = max(n for n in fits if n <= heads)
    above = min((n for n in fits if n > heads), default=below)
    offered = re.findall(r"\d+", said.partition("evenly.")[2])
    assert [int(number) for number in offered] == sorted({below, above})
    for node in (widget.locator(".llm-bills"), widget.locator("details .llm-scroll")):
        assert "llm-void" in node.get_attribute("class")


def test_heads_that_do_not_fit_are_told_so_and_cost_nothing(stage):
    with stage(calculator("tiny")) as page:
        widget = page.locator(".llm-model-calculator")
        press(slider(widget, "num_heads"), "ArrowRight")  # five heads, 64 channels
        check_misfit(widget)
        assert not widget.locator(".llm-bill").first.is_visible()
        press(slider(widget, "num_heads"), "End")  # more heads than channels
        check_misfit(widget)
        press(slider(widget, "num_heads"), "Home")
        check_costs(widget)
        assert widget.locator(".llm-bill").first.is_visible()


def test_a_finger_moves_a_slider(browser, stage, addresses):
    with stage(calculator()):
        pass
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(addresses["stage"] + "page.html")
    widget = page.locator(".llm-model-calculator[data-ready]")
    control = slider(widget, "num_layers")
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    assert setting(widget)["num_layers"] < 12
    check_costs(widget)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_figure_keeps_its_height(stage, width):
    with stage(calculator("tiny"), width=width) as page:
        widget = page.locator(".llm-model-calculator")
        heights = [widget.bounding_box()["height"]]
        for key in ("ArrowRight", "End", "Home"):
            press(slider(widget, "num_heads"), key)
            heights.append(widget.bounding_box()["height"])
        assert len(set(heights)) == 1


def test_the_chapters_own_calculator(visit, host):
    with visit(CHAPTER, host) as page:
        widget = page.locator(".llm-model-calculator")
        check_costs(widget)
        widget.get_by_role("combobox", name="Model").select_option("GPT-2 XL")
        assert exact(widget)["parameters"] == 1_557_611_200
        widget.get_by_text("The numbers in full").click()
        assert widget.locator("details table").is_visible()
