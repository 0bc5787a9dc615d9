"""GradientSteps walks as torch does, whichever way its controls are moved."""

import re
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from browser.hands import drag, press, slider, state_of, visible

PAGE = "notebooks/03_gradient.html"


def walk(state, rate, start, steps):
    """The path of autograd: logits, shares, slopes and the loss at each step."""
    counts = torch.tensor(state["counts"], dtype=torch.float64)
    free = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    places = []
    for _ in range(steps + 1):
        logits = torch.cat([free, torch.zeros(1, dtype=torch.float64)])
        loss = F.cross_entropy(logits, counts / counts.sum())
        (slopes,) = torch.autograd.grad(loss, free)
        shares = logits.softmax(0).tolist()
        places.append((free.tolist(), shares, slopes.tolist(), loss.item()))
        free = (free - rate * slopes).detach().requires_grad_()
    return places


def number(text):
    return float(text.replace("−", "-").replace("%", ""))


def numbers(texts):
    return [number(text) for text in texts]


def check_descent(widget, rate, start, step):
    """Everything on show, number by number, against autograd's path."""
    places = walk(state_of(widget), rate, start, step)
    logits, shares, slopes, loss = places[-1]
    said = widget.locator(".llm-status").text_content()
    assert said.startswith(f"Step {step}: loss ")
    assert number(re.search(r"loss ([\d.]+) nats", said)[1]) == pytest.approx(
        loss, abs=6e-5
    )
    rose = step > 0 and loss > places[-2][3] + 1e-9
    assert ("made it worse" in said) == rose
    assert ("left the map" in said) == any(abs(z) > 6 for z in logits)
    for i, row in enumerate(widget.locator(".llm-shares tbody tr").all()):
        cells = row.locator("td").all_text_contents()
        assert number(cells[1]) == pytest.approx(100 * shares[i], abs=0.051)
        if i < 2:
            assert number(cells[3]) == pytest.approx(slopes[i], abs=6e-5)
    check_twin(widget, places)
    check_drawing(widget, places)


def check_twin(widget, places):
    rows = widget.evaluate(
        "node => [...node.querySelectorAll('.llm-steps-table tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [int(row[0]) for row in rows] == list(range(len(places)))
    for row, (logits, shares, slopes, loss) in zip(rows, places, strict=True):
        shown = numbers(row[1:])
        assert shown[:2] == pytest.approx(logits, abs=6e-4)
        assert shown[2:5] == pytest.approx([100 * p for p in shares], abs=0.051)
        assert shown[5:7] == pytest.approx(slopes, abs=6e-5)
        assert shown[7] == pytest.approx(loss, abs=6e-5)


def check_drawing(widget, places):
    points = widget.locator(".llm-trace").get_attribute("points").split()
    drawn = [numbers(point.split(",")) for point in points]
    for (x, y), ((first, second), *_) in zip(drawn, places, strict=True):
        assert 0.12 * x - 6 == pytest.approx(first, abs=2e-3)
        assert 6 - 0.12 * y == pytest.approx(second, abs=2e-3)
    line = widget.locator(".llm-loss-line").get_attribute("points").split()
    heights = [number(point.split(",")[1]) for point in line]
    losses = [loss for *_, loss in places]
    order = sorted(range(len(losses)), key=lambda i: -losses[i])
    assert all(heights[a] <= heights[b] + 0.1 for a, b in pairwise(order))


def set_to(control, value):
    """Move a slider to a value by the keyboard alone."""
    press(control, "Home")
    low, step = (float(control.get_attribute(name)) for name in ("min", "step"))
    press(control, "ArrowRight", round((value - low) / step))


@pytest.fixture
def widget(visit, host):
    with visit(PAGE, host) as page:
        yield page.locator(".llm-gradient-steps")


def test_it_begins_at_its_start(widget):
    state = state_of(widget)
    check_descent(widget, state["rate"], (state["first"], state["second"]), 0)


def test_the_keyboard_sets_rate_start_and_steps(widget):
    rates = [0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30]
    state = state_of(widget)
    start = (state["first"], state["second"])
    press(slider(widget, "Steps"), "End")
    press(slider(widget, "Learning rate"), "Home")
    for place, rate in enumerate(rates):
        if place:
            press(slider(widget, "Learning rate"), "ArrowRight")
        check_descent(widget, rate, start, 60)
    for rate, first, second, step in [
        (2, 4.0, -4.0, 7),
        (15, 0.0, 0.0, 33),
        (0.5, -6.0, 6.0, 60),
    ]:
        set_to(slider(widget, "Learning rate"), rates.index(rate))
        set_to(slider(widget, f"Start: logit of {visible(state['names'][0])}"), first)
        set_to(slider(widget, f"Start: logit of {visible(state['names'][1])}"), second)
        set_to(slider(widget, "Steps"), step)
        check_descent(widget, rate, (first, second), step)


@pytest.mark.parametrize(
    "label", ["Learning rate", "Steps", "logit of e", "logit of a"]
)
def test_the_mouse_drags_every_slider(widget, label):
    state = state_of(widget)
    set_to(slider(widget, "Steps"), 5)
    control = slider(widget, label)
    before = control.input_value()
    drag(widget.page, control, 0.8)
    assert control.input_value() != before
    rate, step, first, second = (
        number(slider(widget, name).get_attribute("aria-valuetext"))
        for name in ("Learning rate", "Steps", "logit of e", "logit of a")
    )
    changed = {"Learning rate": rate != state["rate"], "Steps": step != 5}
    assert changed.get(label, (first, second) != (state["first"], state["second"]))
    check_descent(widget, rate, (first, second), int(step))


def test_buttons_step_run_stop_and_go_back(widget):
    state = state_of(widget)
    rate, start = state["rate"], (state["first"], state["second"])
    step = widget.get_by_role("button", name="One step")
    step.click()
    step.press("Enter")
    check_descent(widget, rate, start, 2)
    widget.get_by_role("button", name="Run").click()
    widget.get_by_role("button", name="Stop").wait_for()
    widget.get_by_role("button", name="Run").wait_for()
    check_descent(widget, rate, start, 60)
    assert step.is_disabled()
    widget.get_by_role("button", name="Start over").click()
    check_descent(widget, rate, start, 0)
    widget.get_by_role("button", name="Run").click()
    widget.get_by_role("button", name="Stop").click()
    stopped = int(slider(widget, "Steps").input_value())
    check_descent(widget, rate, start, stopped)


def test_a_click_on_the_map_begins_there(widget):
    state = state_of(widget)
    set_to(slider(widget, "Steps"), 9)
    ground = widget.locator(".llm-landscape")
    box = ground.bounding_box()
    ground.click(position={"x": 0.75 * box["width"], "y": 0.25 * box["height"]})
    first, second = (
        number(slider(widget, name).get_attribute("aria-valuetext"))
        for name in ("logit of e", "logit of a")
    )
    assert (first, second) == pytest.approx((3.0, 3.0), abs=0.11)
    check_descent(widget, state["rate"], (first, second), 0)
    set_to(slider(widget, "Steps"), 12)
    check_descent(widget, state["rate"], (first, second), 12)


def test_a_rate_that_is_too_large_does_not_arrive_and_a_right_one_does(widget):
    press(slider(widget, "Steps"), "End")
    status = widget.locator(".llm-status")
    found = {}
    for place, rate in ((6, 2), (14, 20)):
        set_to(slider(widget, "Learning rate"), place)
        loss, least = re.findall(r"\d\.\d{4}", status.text_content())
        found[rate] = float(loss) - float(least)
    assert found[2] < 1e-3
    assert found[20] > 1


def test_each_contour_joins_places_of_equal_loss(widget):
    counts = torch.tensor(state_of(widget)["counts"], dtype=torch.float64)
    shares = counts / counts.sum()
    least = -(shares * shares.log()).sum()
    for line in widget.locator(".llm-contour").all()[:6]:
        points = re.findall(r"[ML]([\d.]+) ([\d.]+)", line.get_attribute("d"))
        places = torch.tensor([[float(x), float(y)] for x, y in points])
        assert len(places) > 8
        logits = torch.zeros(len(places), 3, dtype=torch.float64)
        logits[:, 0] = 0.12 * places[:, 0] - 6
        logits[:, 1] = 6 - 0.12 * places[:, 1]
        losses = -(shares * logits.log_softmax(1)).sum(1) - least
        assert losses.max() - losses.min() < 0.03


def test_a_reader_who_wants_no_motion_gets_the_end_at_once(browser, addresses):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(addresses["http"] + PAGE)
    widget = page.locator(".llm-gradient-steps")
    widget.scroll_into_view_if_needed()
    widget.and_(page.locator("[data-ready]")).wait_for()
    widget.get_by_role("button", name="Run").click()
    assert widget.locator(".llm-status").text_content().startswith("Step 60:")
    context.close()
