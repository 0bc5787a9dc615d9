"""The page's four keys: what the reader's hands make of them is what torch says."""

import re

import pytest
import torch
from browser.hands import drag, press, slider, state_of

ATTENTION = "notebooks/04_attention.html"


@pytest.fixture(params=["http", "disk"])
def widget(request, visit):
    with visit(ATTENTION, request.param) as page:
        yield page.locator(".llm-query-key")


def numbers(text):
    """Return the numbers in a text, whatever its minus looks like."""
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


def query_on_show(widget):
    x, y = numbers(widget.locator("caption").text_content())
    return x, y


def check_sums(widget, query, reader=3, scaled=False):
    """Every number in the table is what torch computes for this query."""
    state = state_of(widget)
    keys = torch.tensor(state["key_vectors"], dtype=torch.float64)
    values = torch.tensor(state["value_vectors"], dtype=torch.float64)
    scores = keys @ torch.tensor(query, dtype=torch.float64) / (2**0.5) ** scaled
    scores[reader + 1 :] = -torch.inf
    weights = scores.softmax(0)
    assert query_on_show(widget) == pytest.approx(query)
    *rows, together = widget.locator(".llm-sums tbody tr").all()
    assert len(rows) == len(keys)
    for row, token, score, weight in zip(
        rows, state["tokens"], scores, weights, strict=True
    ):
        assert row.locator("th").text_content() == token
        _, shown, power, share, _ = row.locator("td").all_text_contents()
        if score == -torch.inf:
            assert (shown, numbers(power)) == ("−∞", [0])
        else:
            assert numbers(shown) == pytest.approx([score.item()], abs=0.0051)
        assert numbers(power) == pytest.approx([score.exp().item()], abs=0.0051)
        assert numbers(share) == pytest.approx([100 * weight.item()], abs=0.051)
    mix = numbers(together.locator("td").last.text_content())
    assert mix == pytest.approx((weights @ values).tolist(), abs=0.0051)
    most = [
        f"“{token}”"
        for token, weight in zip(state["tokens"], weights, strict=True)
        if weight == pytest.approx(weights.max())
    ]
    said = widget.locator(".llm-status").text_content()
    assert f"reads {' and '.join(most)} most, " in said
    assert ("% each;" in said) == (len(most) > 1)


def test_it_begins_with_the_query_that_the_cell_gives(widget):
    state = state_of(widget)
    check_sums(widget, (state["x"], state["y"]))


def test_it_follows_the_keyboard(widget):
    press(slider(widget, "Query, 2nd channel"), "ArrowLeft", 10)
    check_sums(widget, (1, 0))  # the one that the chapter works out on paper
    press(slider(widget, "Query, 1st channel"), "Home")
    check_sums(widget, (-3, 0))
    press(slider(widget, "Query, 2nd channel"), "End")
    check_sums(widget, (-3, 3))
    press(slider(widget, "Reader’s place"), "ArrowLeft", 2)
    check_sums(widget, (-3, 3), reader=1)
    widget.get_by_role("combobox", name="Score").select_option(index=1)
    check_sums(widget, (-3, 3), reader=1, scaled=True)
    press(slider(widget, "Reader’s place"), "Home")
    check_sums(widget, (-3, 3), reader=0, scaled=True)
    widget.get_by_role("combobox", name="Score").select_option(index=0)
    check_sums(widget, (-3, 3), reader=0)


@pytest.mark.parametrize("label", ["Query, 1st channel", "Query, 2nd channel"])
def test_its_sliders_follow_the_mouse(widget, label):
    before = query_on_show(widget)
    drag(widget.page, slider(widget, label), 0.15)
    x, y = query_on_show(widget)
    assert (x, y) != before
    assert slider(widget, label).input_value() in (f"{x:g}", f"{y:g}")
    check_sums(widget, (x, y))


def place(widget, x, y):
    """Where the point (x, y) of the plane lies on the screen."""
    box = widget.locator(".llm-plane").bounding_box()
    return (
        box["x"] + box["width"] * (0.5 + x / 6.4),
        box["y"] + box["height"] * (0.5 - y / 6.4),
    )


def test_the_arrow_can_be_dragged(widget):
    widget.locator(".llm-plane").scroll_into_view_if_needed()
    mouse = widget.page.mouse
    mouse.move(*place(widget, *query_on_show(widget)))
    mouse.down()
    mouse.move(*place(widget, -1.5, 2), steps=6)
    check_sums(widget, (-1.5, 2))  # while the button is held
    mouse.move(*place(widget, -9, 2), steps=3)  # out of the plane: to its edge
    check_sums(widget, (-3, 2))
    mouse.up()
    mouse.move(*place(widget, 2, 2), steps=3)  # let go: no longer
    check_sums(widget, (-3, 2))
    assert slider(widget, "Query, 1st channel").input_value() == "-3"


def test_the_arrow_follows_a_finger(browser, addresses):
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(addresses["http"] + ATTENTION)
    widget = page.locator(".llm-query-key")
    widget.scroll_into_view_if_needed()
    widget.and_(page.locator("[data-ready]")).wait_for()
    widget.locator(".llm-plane").scroll_into_view_if_needed()
    page.touchscreen.tap(*place(widget, 2, -1))
    check_sums(widget, (2, -1))
    context.close()


def test_the_discs_show_the_weights(widget):
    state = state_of(widget)
    query = torch.tensor([state["x"], state["y"]])
    weights = (torch.tensor(state["key_vectors"]) @ query).softmax(0)
    discs = widget.locator(".llm-key circle").all()
    radii = [float(disc.get_attribute("r")) for disc in discs]
    assert radii == pytest.approx((3 + 20 * weights.sqrt()).tolist(), abs=0.051)
