"""The calculator for serving says what the core estimates and bandwidth allows."""

import random
import re
from dataclasses import replace
from math import ceil, floor

import pytest
from browser.hands import drag, press, slider

from llm_core import PRESETS, GPTConfig, estimate_model_size
from llm_core.course.widgets import CacheCalculator

CHAPTER = "notebooks/11_inference.html"
LLAMA_70B = GPTConfig(
    vocab_size=32_000,
    d_model=8_192,
    num_heads=64,
    num_layers=80,
    max_seq_len=4_096,
    d_ff=28_672,
    num_kv_heads=8,
    positions="rotary",
    norm="rms",
    feed_forward="swiglu",
    bias=False,
    tie_embeddings=False,
)
SHAPES = {
    "gpt2-small": PRESETS["gpt2-small"],
    "LLaMA-2 70B": LLAMA_70B,
    "llama-small": PRESETS["llama-small"],
}
DEVICES = {"a laptop": (16, 60), "H100": (80, 3_350)}
LABELS = {
    "weight_bits": "bits of a weight",
    "cache_bits": "bits in the cache",
    "context": "tokens in a row",
    "batch_size": "rows at once",
    "memory": "memory",
    "bandwidth": "bandwidth",
}
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}


def calculator(name="LLaMA-2 70B", device="H100", **others):
    return CacheCalculator(SHAPES, name, DEVICES, device, **others)


def control(widget, trait):
    return slider(widget, LABELS[trait])


def setting(widget):
    """The numbers at which the sliders stand."""
    texts = {
        trait: control(widget, trait).get_attribute("aria-valuetext")
        for trait in LABELS
    }
    return {name: int(re.sub(r"[^\d]", "", text)) for name, text in texts.items()}


def chosen(widget, label="Model"):
    return widget.get_by_role("combobox", name=label).input_value()


def exact(widget):
    rows = widget.locator("details tbody tr").all()
    return dict(row.locator("th, td").all_text_contents() for row in rows)


def number(text):
    return int(text.replace(",", ""))


def looked_up(config):
    """Parameters of tables, of which a step reads a row and no more."""
    tables = 0 if config.tie_embeddings else config.vocab_size * config.d_model
    learned = config.positions == "learned"
    return tables + (config.max_seq_len * config.d_model if learned else 0)


def near(text, expected):
    """Three digits that count."""
    return float(text.replace(",", "")) == pytest.approx(expected, rel=5.1e-3)


def check_serving(widget, shapes=SHAPES):
    """Every number of the widget follows from the core's, for where it stands."""
    now, shown = setting(widget), exact(widget)
    config = shapes[chosen(widget)]
    parameters = estimate_model_size(config).parameters
    filled = replace(config, max_seq_len=now["context"])
    cache = estimate_model_size(filled, batch_size=1, bytes_per_number=1).cache
    row = ceil(cache * now["cache_bits"] / 8)
    weights = ceil(parameters * now["weight_bits"] / 8)
    read = ceil((parameters - looked_up(config)) * now["weight_bits"] / 8)
    read += now["batch_size"] * row
    needed, memory = weights + now["batch_size"] * row, now["memory"] * 10**9
    fit = max(0, floor((memory - weights) / row))
    assert number(shown["parameters"]) == parameters
    assert number(shown["bytes: weights"]) == weights
    assert number(shown["bytes: cache of a row"]) == row
    assert number(shown["bytes: cache of a token"]) == ceil(row / now["context"])
    assert number(shown["bytes: cache"]) == now["batch_size"] * row
    assert number(shown["bytes needed"]) == needed
    assert number(shown["bytes read in a step"]) == read
    assert number(shown["rows that fit"]) == fit
    each = now["bandwidth"] * 1e9 / read
    status = widget.locator(".llm-status").text_content()
    if needed > memory:
        assert shown["tokens a second, each row"] == "does not fit"
        assert shown["tokens a second, all rows"] == "does not fit"
        assert "fit" in status
        assert "a second" not in status
        assert ("not even the weights" in status) == (weights > memory)
    else:
        assert near(shown["tokens a second, each row"], each)
        assert near(shown["tokens a second, all rows"], each * now["batch_size"])
        assert f"room for {fit:,} row" in status
        speeds = re.search(
            r"at most ([\d.,]+) tokens a second .*, ([\d.,]+) in", status
        )
        assert near(speeds[1], each)
        assert near(speeds[2], each * now["batch_size"])
    said, unit = re.search(r"tokens need ([\d.]+) ([kMGTP]?)B", status).groups()
    assert near(said, needed / UNITS[unit])
    assert ("was made for" in status) == (now["context"] > config.max_seq_len)
    check_bars(widget, [weights, now["batch_size"] * row, memory])


def check_bars(widget, amounts):
    """A bar is as long as its number's share of the longest."""
    bars = widget.locator(".llm-cost").all()
    widths = [bar.evaluate("bar => parseFloat(bar.style.width)") for bar in bars]
    assert widths == pytest.approx([100 * n / max(amounts) for n in amounts], abs=0.01)


def test_the_calculator_begins_as_it_was_made(stage):
    second = calculator("gpt2-small", "a laptop", weight_bits=8, batch_size=5)
    with stage(calculator(), second) as page:
        first, other = page.locator(".llm-cache-calculator").all()
        assert setting(first)["context"] == 4_096
        assert setting(other)["batch_size"] == 5
        for widget in (first, other):
            check_serving(widget)


@pytest.mark.parametrize("trait", LABELS)
def test_every_slider_is_followed_by_keyboard_and_mouse(stage, trait):
    with stage(calculator("llama-small")) as page:
        widget = page.locator(".llm-cache-calculator")
        for move in (
            lambda: press(control(widget, trait), "ArrowRight"),
            lambda: press(control(widget, trait), "ArrowLeft", 2),
            lambda: drag(page, control(widget, trait), 0.9),
        ):
            before = setting(widget)
            move()
            after = setting(widget)
            assert {name for name in after if after[name] != before[name]} == {trait}
            check_serving(widget)


def test_random_settings_are_what_the_core_says(stage):
    rng = random.Random(0)
    with stage(calculator()) as page:
        widget = page.locator(".llm-cache-calculator")
        for _ in range(25):
            name = rng.choice(list(SHAPES))
            widget.get_by_role("combobox", name="Model").select_option(name)
            for trait in LABELS:
                last = int(control(widget, trait).get_attribute("max"))
                control(widget, trait).fill(str(rng.randint(0, last)))
            check_serving(widget)


def test_a_model_keeps_the_other_settings(stage):
    with stage(calculator()) as page:
        widget = page.locator(".llm-cache-calculator")
        before = setting(widget)
        for name in SHAPES:
            widget.get_by_role("combobox", name="Model").select_option(name)
            assert setting(widget) == before
            check_serving(widget)


def test_a_device_sets_its_sliders_and_is_recognized(stage):
    with stage(calculator()) as page:
        widget = page.locator(".llm-cache-calculator")
        for name, (memory, bandwidth) in DEVICES.items():
            widget.get_by_role("combobox", name="Device").select_option(name)
            now = setting(widget)
            assert (now["memory"], now["bandwidth"]) == (memory, bandwidth)
            check_serving(widget)
        press(control(widget, "memory"), "ArrowRight")
        assert chosen(widget, "Device") == "your own device"
        press(control(widget, "memory"), "ArrowLeft")
        assert chosen(widget, "Device") == "H100"
        press(control(widget, "context"), "ArrowRight")
        assert chosen(widget, "Device") == "H100"


def test_a_finger_moves_a_slider(browser, stage, addresses):
    with stage(calculator()):
        pass
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(addresses["stage"] + "page.html")
    widget = page.locator(".llm-cache-calculator[data-ready]")
    bits = control(widget, "weight_bits")
    bits.scroll_into_view_if_needed()
    box = bits.bounding_box()
    page.touchscreen.tap(box["x"] + 4, box["y"] + box["height"] / 2)
    assert setting(widget)["weight_bits"] == 4
    check_serving(widget)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_figure_keeps_its_height(stage, width):
    with stage(calculator(), width=width) as page:
        widget = page.locator(".llm-cache-calculator")
        heights = [widget.bounding_box()["height"]]
        for trait in ("batch_size", "context", "memory"):
            for key in ("End", "Home"):
                press(control(widget, trait), key)
                heights.append(widget.bounding_box()["height"])
        assert len(set(heights)) == 1


def test_the_chapters_own_calculator(visit, host):
    with visit(CHAPTER, host) as page:
        widget = page.locator(".llm-cache-calculator")
        assert chosen(widget) == "LLaMA-2 7B"
        assert number(exact(widget)["parameters"]) == 6_738_415_616
        widget.get_by_role("combobox", name="Model").select_option("LLaMA-2 70B")
        check_serving(widget, {"LLaMA-2 70B": LLAMA_70B})
        assert number(exact(widget)["parameters"]) == 68_976_648_192
        assert number(exact(widget)["bytes: cache of a token"]) == 327_680
        widget.get_by_text("The numbers in full").click()
        assert widget.locator("details table").is_visible()
