"""A widget shows what the core computes, whichever way its controls are moved."""

import re

import pytest
import torch
from browser.hands import drag, press, slider, state_of, visible

from llm_core.generation import SamplingConfig
from llm_core.tokenizer import GPT2_PATTERN, count_words, train_merges

INTRO = "book/intro.html"
TOKENIZATION = "notebooks/02_tokenization.html"


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


@pytest.fixture(params=["http", "disk"])
def intro(request, visit):
    with visit(INTRO, request.param) as page:
        yield page


def test_the_sampler_begins_with_the_plain_softmax(intro):
    check_bars(intro.locator(".llm-sampler"))


def test_the_sampler_follows_the_keyboard(intro):
    widget = intro.locator(".llm-sampler")
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
def test_the_sampler_follows_the_mouse(intro, label):
    widget = intro.locator(".llm-sampler")
    control = slider(widget, label)
    drag(intro, control, 0.2)
    value = float(control.get_attribute("aria-valuetext").split()[0])
    trait = label.lower().replace("-", "_")
    assert value != state_of(widget)[trait]
    check_bars(widget, **{trait: int(value) if trait == "top_k" else value})


def test_the_sampler_follows_a_finger(browser, addresses):
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(addresses["http"] + INTRO)
    widget = page.locator(".llm-sampler")
    widget.scroll_into_view_if_needed()
    widget.and_(page.locator("[data-ready]")).wait_for()
    control = slider(widget, "Temperature")
    box = control.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    assert float(control.input_value()) == pytest.approx(0.5, abs=0.2)
    check_bars(widget, temperature=float(control.input_value()))
    context.close()


def test_drawn_tokens_come_from_what_may_be_drawn(intro):
    widget = intro.locator(".llm-sampler")
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


def check_focus(widget, layer, head, focus):
    state = state_of(widget)
    row = state["weights"][layer][head][focus]
    best = sorted(range(len(row)), key=lambda i: (-row[i], i))[:3]
    names = [visible(token) for token in state["tokens"]]
    sentence = widget.locator(".llm-status").text_content()
    said = re.findall(r"“([^”]*)” ([\d.]+) %", sentence)
    assert sentence.startswith(f"“{names[focus]}” reads")
    assert [name for name, _ in said] == [names[i] for i in best]
    for (_, share), i in zip(said, best, strict=True):
        assert float(share) == pytest.approx(100 * row[i], abs=0.051)


def test_the_attention_map_follows_its_controls(intro):
    widget = intro.locator(".llm-attention-map")
    state = state_of(widget)
    layer, head, focus = (state[name] for name in ("layer", "head", "focus"))
    check_focus(widget, layer, head, focus)
    press(slider(widget, "Reading token"), "ArrowLeft", 2)
    check_focus(widget, layer, head, focus - 2)
    widget.locator(".llm-word").nth(3).click()
    check_focus(widget, layer, head, 3)
    drag(intro, slider(widget, "Reading token"), 0.9)
    focus = int(slider(widget, "Reading token").input_value())
    check_focus(widget, layer, head, focus)
    layer, head = len(state["weights"]) - 1, len(state["weights"][0]) - 1
    widget.get_by_role("combobox", name="Layer").select_option(index=layer)
    widget.get_by_role("combobox", name="Head").select_option(index=head)
    check_focus(widget, layer, head, focus)


def test_the_attention_map_has_a_table_twin(intro):
    widget = intro.locator(".llm-attention-map")
    state = state_of(widget)
    widget.locator("summary").click()
    rows = widget.locator("details tbody tr").all()
    weights = state["weights"][state["layer"]][state["head"]]
    assert len(rows) == len(weights)
    for row, expected in zip(rows, weights, strict=True):
        cells = row.locator("td").all_text_contents()
        assert [float(c) for c in cells] == pytest.approx(
            [100 * weight for weight in expected], abs=0.051
        )
    cells = widget.locator(".llm-map rect[style]")
    assert cells.count() == sum(len(row) for row in weights)


def learned_tokens(text):
    """What the core's own trainer learns from a text, as the page writes tokens."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in train_merges(count_words([text], GPT2_PATTERN), 60):
        tokens.append(tokens[left] + tokens[right])
    return [written(token) for token in tokens[256:]]


def written(token):
    try:
        return visible(token.decode())
    except UnicodeDecodeError:
        return f"‹{token.hex(' ')}›"


TEXTS = (
    None,  # the one that the chapter begins with
    "the cat, the hat",
    "日本の日本 naïve naïve 👍🏽👍🏽",
    "we'll 10 100\n\n  x",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_the_merge_stepper_learns_what_the_core_learns(visit, host, text):
    with visit(TOKENIZATION, host) as page:
        widget = page.locator(".llm-merge-stepper")
        if text is None:
            text = state_of(widget)["text"]
        else:
            widget.get_by_role("textbox").fill(text)
        press(slider(widget, "Merges"), "End")
        shown = widget.locator(".llm-learned .llm-box").all_text_contents()
        assert shown == learned_tokens(text)


def test_the_merge_stepper_steps_with_its_buttons(visit):
    with visit(TOKENIZATION) as page:
        widget = page.locator(".llm-merge-stepper")
        tokens = learned_tokens(state_of(widget)["text"])
        for _ in range(3):
            widget.get_by_role("button", name="Merge").click()
        widget.get_by_role("button", name="Back").click()
        shown = widget.locator(".llm-learned .llm-box").all_text_contents()
        assert shown == tokens[:2]


def test_no_control_is_dead_and_each_has_a_name(visit, name):
    """Each slider, choice and button of every page changes something it stands for."""
    with visit(name) as page:
        for widget in page.locator("[data-llm-widget]").all():
            for control in widget.locator("input, select").all():
                assert control.get_attribute("data-lm-suppress-shortcuts") == "true"
                before = widget.inner_html(), control.input_value()
                if control.evaluate("node => node.tagName") == "SELECT":
                    chosen = control.evaluate("node => node.selectedIndex")
                    control.select_option(index=0 if chosen else 1)
                else:
                    press(control, "ArrowLeft")
                    if control.input_value() == before[1]:
                        press(control, "ArrowRight")
                assert control.input_value() != before[1]
                assert widget.inner_html() != before[0]


def test_a_widget_says_its_part_without_a_script(browser, addresses):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(addresses["http"] + INTRO)
    for widget in page.locator("[data-llm-widget]").all():
        assert widget.locator(".llm-fallback table").is_visible()
    context.close()
