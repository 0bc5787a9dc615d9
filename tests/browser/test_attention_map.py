"""The attention map shows the weights that it was given, head by head."""

import re

import pytest
from browser.hands import drag, press, slider, state_of, visible

INTRO = "book/intro.html"


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


@pytest.fixture(params=["http", "disk"])
def intro(request, visit):
    with visit(INTRO, request.param) as page:
        yield page


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


def test_the_table_twin_follows_the_head(intro):
    widget = intro.locator(".llm-attention-map")
    weights = state_of(widget)["weights"]
    press(widget.locator("summary"), "Enter")
    widget.locator(".llm-head").last.click()
    last = widget.locator("details tbody tr").last.locator("td").all_text_contents()
    assert [float(cell) for cell in last] == pytest.approx(
        [100 * weight for weight in weights[-1][-1][-1]], abs=0.051
    )


def test_a_cell_of_the_map_says_what_it_is_and_can_be_chosen(intro):
    widget = intro.locator(".llm-attention-map")
    state = state_of(widget)
    reader, read = len(state["tokens"]) - 2, 1
    cell = widget.locator(".llm-map rect[style]").nth(reader * (reader + 1) // 2 + read)
    cell.hover()
    names = [visible(token) for token in state["tokens"]]
    share = 100 * state["weights"][state["layer"]][state["head"]][reader][read]
    said = widget.locator(".llm-map > title").text_content()
    assert said == f"{names[reader]} reads {names[read]}: {share:.1f} %"
    cell.click()
    check_focus(widget, state["layer"], state["head"], reader)


def check_heads(widget, focus):
    """Every head has a button with the token it reads most at the token in focus."""
    state = state_of(widget)
    names = [visible(token) for token in state["tokens"]]
    rows = widget.locator(".llm-head").all()
    heads = [head for layer in state["weights"] for head in layer]
    for row, head in zip(rows, heads, strict=True):
        read = head[focus]
        best = max(range(len(read)), key=lambda i: (read[i], -i))
        said = re.fullmatch(r"(.*?)(\d+\.\d) %", row.text_content())
        assert said[1] == names[best]
        assert float(said[2]) == pytest.approx(100 * read[best], abs=0.051)


def test_the_heads_side_by_side_follow_the_focus_and_can_be_chosen(intro):
    widget = intro.locator(".llm-attention-map")
    state = state_of(widget)
    check_heads(widget, state["focus"])
    press(slider(widget, "Reading token"), "ArrowLeft", 3)
    check_heads(widget, state["focus"] - 3)
    layer, head = len(state["weights"]) - 1, len(state["weights"][0]) - 1
    widget.locator(".llm-head").last.click()
    check_focus(widget, layer, head, state["focus"] - 3)
    assert widget.locator(".llm-head[aria-pressed=true]").count() == 1
    assert widget.get_by_role("combobox", name="Layer").input_value() == str(layer)
    widget.locator(".llm-head").first.focus()
    intro.keyboard.press("Enter")
    check_focus(widget, 0, 0, state["focus"] - 3)
