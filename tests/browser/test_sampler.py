"""The sampler shows the core's own distribution, whichever way it is asked for."""

import pytest
import torch
from browser.hands import drag, press, slider, state_of, visible

from llm_core.course.widgets import Sampler
from llm_core.generation import SamplingConfig


def percent(text):
    return float(text.replace("%", "")) if text != "cut" else 0.0


def expected_bars(state, **sampling):
    """What the sampler must show: the core's own distribution, most likely first."""
    logits = torch.tensor([state["logits"]], dtype=torch.float64)
    config = SamplingConfig(**sampling)
    p = config.filter(logits, torch.zeros(1, 0, dtype=torch.int64)).softmax(-1)[0]
    order = logits[0].argsort(descending=True, stable=True).tolist()
    rows = [(visible(state["tokens"][i]), 100 * p[i].item()) for i in order[:12]]
    return rows, 100 * p[order[12:]].sum().item()


def check_bars(widget, **sampling):
    rows, others = expected_bars(state_of(widget), **sampling)
    shown = widget.locator(".llm-bars tbody tr").all()
    for row, (token, chance) in zip(shown, rows, strict=False):
        assert row.locator("th").text_content() == token
        assert percent(row.locator("td").nth(1).text_content()) == pytest.approx(
            chance, abs=0.051
        )
    last = shown[-1].locator("td").nth(1).text_content()
    assert percent(last) == pytest.approx(others, abs=0.051)
    assert "add up to 100.0 %" in widget.locator(".llm-status").text_content()


def sampler():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, generator=generator)
    return Sampler([f" token{i}" for i in range(40)], logits.tolist(), "Once upon\n")


@pytest.fixture
def page(stage):
    with stage(sampler()) as page:
        yield page


def test_the_sampler_begins_with_the_plain_softmax(page):
    check_bars(page.locator(".llm-sampler"))


def test_the_sampler_follows_the_keyboard(page):
    widget = page.locator(".llm-sampler")
    press(slider(widget, "Temperature"), "ArrowLeft", 10)
    check_bars(widget, temperature=0.5)
    press(slider(widget, "Top-k"), "Home")
    press(slider(widget, "Top-k"), "ArrowRight", 4)
    check_bars(widget, temperature=0.5, top_k=5)
    press(slider(widget, "Top-p"), "ArrowLeft", 4)
    check_bars(widget, temperature=0.5, top_k=5, top_p=0.8)
    press(slider(widget, "Temperature"), "Home")
    check_bars(widget, temperature=0.0)


@pytest.mark.parametrize("label", ["Temperature", "Top-k", "Top-p"])
def test_the_sampler_follows_the_mouse(page, label):
    widget = page.locator(".llm-sampler")
    control = slider(widget, label)
    drag(page, control, 0.2)
    value = float(control.get_attribute("aria-valuetext").split()[0])
    trait = label.lower().replace("-", "_")
    assert value != state_of(widget)[trait]
    check_bars(widget, **{trait: int(value) if trait == "top_k" else value})


def test_the_sampler_follows_a_finger(stage):
    with stage(sampler(), width=390, touch=True) as page:
        widget = page.locator(".llm-sampler")
        control = slider(widget, "Temperature")
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        place = box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2
        page.touchscreen.tap(*place)
        assert float(control.input_value()) == pytest.approx(0.5, abs=0.2)
        check_bars(widget, temperature=float(control.input_value()))


def test_drawn_tokens_come_from_what_may_be_drawn(page):
    widget = page.locator(".llm-sampler")
    press(slider(widget, "Top-k"), "Home")
    press(slider(widget, "Top-k"), "ArrowRight", 2)
    widget.get_by_role("button", name="Draw 100 tokens").click()
    counts = widget.locator(".llm-bars tbody tr td:last-child").all_text_contents()
    assert sum(int(count or 0) for count in counts[:3]) == 100
    assert not any(counts[3:])
    press(slider(widget, "Temperature"), "ArrowRight")
    assert not any(
        widget.locator(".llm-bars tbody tr td:last-child").all_text_contents()
    )
