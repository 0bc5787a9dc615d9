"""The planner says what `plan` computes, whichever control was moved, and how."""

import random
import re

import pytest
from browser.hands import drag, press, slider

from llm_core.course.widgets import ComputePlanner
from llm_core.course.widgets.compute_planner import DEVICES, HERE, TRAININGS, plan

CHAPTER = "notebooks/09_scaling.html"
SPEED = 123_456_789_012.0
OURS = {"a small one": (57_344, 229_376, 32, 224)}
PEAKS = {**DEVICES, HERE: SPEED}
FOUR = ("parameters", "tokens", "width", "context")
WORDS = ["", "thousand", "million", "billion", "trillion", "quadrillion"]
UNITS = {"years": 24 * 365.25, "days": 24, "hours": 1, "minutes": 1 / 60}
UNITS["seconds"] = 1 / 3600


def planner(name="GPT-3"):
    return ComputePlanner(name, SPEED, OURS)


def number(text):
    """'175 billion' -> 1.75e11, '40 %' -> 40."""
    digits, _, word = text.replace(",", "").partition(" ")
    return float(digits) * 1000 ** WORDS.index(word.strip("%"))


def shown(widget, label):
    """The number beside a slider."""
    return number(slider(widget, label).get_attribute("aria-valuetext"))


def box(widget, name):
    return widget.get_by_role("spinbutton", name=f"{name}, as a number")


def choices(widget, label):
    return widget.get_by_role("combobox", name=label)


def setting(widget):
    """Where all controls stand; sizes from the boxes, which are exact."""
    sizes = {name: float(box(widget, name).input_value()) for name in FOUR[:2]}
    for name, exact in sizes.items():
        assert shown(widget, name) == pytest.approx(exact, rel=6e-3)
    return {
        **sizes,
        "width": int(shown(widget, "width")),
        "context": int(shown(widget, "context")),
        "peak": PEAKS[choices(widget, "Device").input_value()],
        "utilization": int(shown(widget, "utilization")),
        "count": int(shown(widget, "devices")),
        "ratio": int(shown(widget, "ratio D / N")),
    }


def exact(widget):
    rows = widget.locator("details tbody tr").all()
    cells = [row.locator("th, td").all_text_contents() for row in rows]
    return {name: power(text) for name, text in cells}


AMOUNT = "[\\d.,]+(?: · 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"


def power(text):
    """'3.15 · 10²³' -> 3.15e23, '23,456' -> 23456."""
    assert re.fullmatch(AMOUNT, text)
    digits, _, raised = text.replace(",", "").partition(" · 10")
    raised = raised.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert not raised or not -3 <= int(raised) <= 5
    return float(f"{digits}e{raised or 0}")


def check_plan(widget):
    """Every number of the widget is Python's, for where its controls stand."""
    now = setting(widget)
    right = plan(**now)
    said = exact(widget)
    assert said.keys() == right.keys()
    for name, value in right.items():
        assert said[name] == pytest.approx(value, rel=2e-5), name
    status = widget.locator(".llm-status").text_content()
    flops, share, ratio, hours, time, unit, count, device, percent, peak = re.match(
        f"({AMOUNT}) FLOPs, ({AMOUNT}) % .*; ({AMOUNT}) tokens a parameter\\. "
        f"({AMOUNT}) device-hours: ({AMOUNT}) (\\w+) on (\\d+) × (.*) at (\\d+) % of "
        f"({AMOUNT}) FLOPs a second",
        status,
    ).groups()
    flops, share, ratio, hours, time, peak = map(
        power, (flops, share, ratio, hours, time, peak)
    )
    assert flops == pytest.approx(right["FLOPs"], rel=6e-3)
    assert peak == pytest.approx(now["peak"], rel=6e-3)
    assert share == pytest.approx(100 * right["attention"] / right["FLOPs"], rel=6e-3)
    assert ratio == pytest.approx(right["tokens a parameter"], rel=6e-3)
    assert hours == pytest.approx(right["device-hours"], rel=6e-3)
    assert time * UNITS[unit] == pytest.approx(right["hours"], rel=6e-3)
    assert (int(count), int(percent)) == (now["count"], now["utilization"])
    assert PEAKS[device] == now["peak"]
    assert ("choose a smaller width" in status) == (right["blocks"] < 1)
    best = widget.locator(".llm-best").text_content()
    parts = re.findall(
        r"([\d.,]+(?: \w+illion| thousand)?) (parameters|tokens)\b", best
    )
    numbers = {what: number(text) for text, what in parts}
    assert numbers["parameters"] == pytest.approx(right["best parameters"], rel=6e-3)
    assert numbers["tokens"] == pytest.approx(right["best tokens"], rel=6e-3)


LABELS = (*FOUR, "utilization", "devices", "ratio D / N")


def test_every_slider_is_followed_by_keyboard(stage):
    with stage(planner()) as page:
        widget = page.locator(".llm-compute-planner")
        check_plan(widget)
        for label in LABELS:
            before = setting(widget)
            press(slider(widget, label), "ArrowRight")
            name = {"devices": "count", "ratio D / N": "ratio"}.get(label, label)
            after = setting(widget)
            assert {each for each in after if after[each] != before[each]} == {name}
            assert after[name] > before[name]
            check_plan(widget)
        assert choices(widget, "Training").input_value() == "your own"


@pytest.mark.parametrize("label", LABELS)
def test_every_slider_is_followed_by_the_mouse(stage, label):
    with stage(planner("a small one")) as page:
        widget = page.locator(".llm-compute-planner")
        before = setting(widget)
        drag(page, slider(widget, label), 0.85)
        assert setting(widget) != before
        check_plan(widget)


def test_a_box_takes_any_number_in_its_range(stage):
    with stage(planner()) as page:
        widget = page.locator(".llm-compute-planner")
        for name, typed, value in (
            ("parameters", "6.7e9", 6.7e9),
            ("tokens", "123456", 123_456),
            ("parameters", "10000", 1e4),
        ):
            box(widget, name).fill(typed)
            box(widget, name).press("Enter")
            assert setting(widget)[name] == value
            check_plan(widget)
        for wrong in ("-5", "0", "1e40", ""):
            box(widget, "tokens").fill(wrong)
            box(widget, "tokens").press("Tab")
            assert setting(widget)["tokens"] == 123_456  # what it was
        check_plan(widget)


def test_a_named_training_sets_its_numbers_and_is_recognized(stage):
    with stage(planner()) as page:
        widget = page.locator(".llm-compute-planner")
        for name, numbers in {**TRAININGS, **OURS}.items():
            choices(widget, "Training").select_option(name)
            now = setting(widget)
            assert tuple(now[each] for each in FOUR) == numbers
            check_plan(widget)
        press(slider(widget, "context"), "ArrowRight")
        assert choices(widget, "Training").input_value() == "your own"
        press(slider(widget, "context"), "ArrowLeft")
        assert choices(widget, "Training").input_value() == "a small one"


def test_every_device_has_its_peak(stage):
    with stage(planner()) as page:
        widget = page.locator(".llm-compute-planner")
        for name, peak in PEAKS.items():
            choices(widget, "Device").select_option(name)
            assert setting(widget)["peak"] == peak
            check_plan(widget)
        choices(widget, "Device").focus()
        choices(widget, "Device").press("ArrowUp")
        check_plan(widget)
        assert setting(widget)["peak"] == DEVICES["H100 (SXM)"]


def test_the_button_plans_the_best_use_of_the_budget(stage):
    with stage(planner("Gopher")) as page:
        widget = page.locator(".llm-compute-planner")
        before = setting(widget)
        right = plan(**before)
        press(widget.get_by_role("button", name="Plan this training"), "Enter")
        after = setting(widget)
        assert after["parameters"] == pytest.approx(right["best parameters"], rel=1e-5)
        assert after["tokens"] == pytest.approx(right["best tokens"], rel=1e-5)
        assert plan(**after)["FLOPs"] == pytest.approx(right["FLOPs"], rel=1e-4)
        check_plan(widget)
        assert widget.get_by_role("button", name="Plan this training").is_disabled()
        press(slider(widget, "ratio D / N"), "ArrowRight")
        widget.get_by_role("button", name="Plan this training").click()
        ratio = setting(widget)["tokens"] / setting(widget)["parameters"]
        assert ratio == pytest.approx(setting(widget)["ratio"], rel=1e-4)
        check_plan(widget)


def test_random_settings_cost_what_python_says(stage):
    rng = random.Random(0)
    with stage(planner()) as page:
        widget = page.locator(".llm-compute-planner")
        for _ in range(20):
            for label in LABELS:
                control = slider(widget, label)
                control.fill(str(rng.randint(0, int(control.get_attribute("max")))))
            check_plan(widget)


def test_a_finger_moves_a_slider(browser, stage, addresses):
    with stage(planner()):
        pass
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(addresses["stage"] + "page.html")
    widget = page.locator(".llm-compute-planner[data-ready]")
    control = slider(widget, "parameters")
    control.scroll_into_view_if_needed()
    place = control.bounding_box()
    page.touchscreen.tap(
        place["x"] + place["width"] * 0.2, place["y"] + place["height"] / 2
    )
    assert setting(widget)["parameters"] < 1e9
    check_plan(widget)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_figure_keeps_its_height(stage, width):
    with stage(planner(), width=width) as page:
        widget = page.locator(".llm-compute-planner")
        heights = [widget.bounding_box()["height"]]
        for label, key in (("parameters", "Home"), ("width", "End"), ("tokens", "End")):
            press(slider(widget, label), key)
            heights.append(widget.bounding_box()["height"])
        assert len(set(heights)) == 1


def test_the_chapters_own_planner(visit, host):
    with visit(CHAPTER, host) as page:
        widget = page.locator(".llm-compute-planner")
        assert exact(widget)["6 N D"] == pytest.approx(3.15e23, rel=1e-5)
        assert choices(widget, "Training").input_value() == "GPT-3"
        choices(widget, "Training").select_option("our fifth size")
        press(slider(widget, "devices"), "ArrowRight")
        assert exact(widget)["hours"] * 2 == pytest.approx(
            exact(widget)["device-hours"], rel=2e-5
        )
        widget.get_by_text("The numbers in full").click()
        assert widget.locator("details table").is_visible()
