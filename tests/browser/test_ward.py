"""Chapter 08's sliders show what was recorded: the sweep, the three fits, the ward."""

import re

import pytest
from browser.hands import drag, press, slider, state_of

from llm_core.course import recordings
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.widgets.base import CONTROL_CHARACTERS

DYNAMICS = "notebooks/08_dynamics.html"


def rows(name):
    return recordings.load(NOTEBOOKS / "recordings" / f"{name}.json").rows


def spoken(frame):
    return ", ".join(f"{name} {number}" for name, number in frame["numbers"].items())


def check_frame(widget, at, row):
    """Numbers, text and picture are those of one recorded run."""
    frame = state_of(widget)["frames"][at]
    assert widget.locator(".llm-status").text_content() == spoken(frame)
    sample = CONTROL_CHARACTERS.sub("\ufffd", row["sample"])
    assert frame["text"] == sample
    assert widget.locator(".llm-shown").text_content() == sample
    label = widget.get_by_role("img").get_attribute("aria-label")
    said = float(re.search(r"(\d+\.\d+)(?!.*\d)", label)[1])
    assert abs(said - row["validation"][-1]) <= 0.0051


def test_every_rate_can_be_reached_by_keyboard(visit):
    with visit(DYNAMICS) as page:
        widget = page.locator(".llm-frames").nth(0)
        for at, row in enumerate(rows("learning_rate_sweep")):
            check_frame(widget, at, row)
            press(slider(widget, "Rate"), "ArrowRight")


def test_the_mouse_moves_the_rate_from_disk_too(visit):
    with visit(DYNAMICS, "disk") as page:
        widget = page.locator(".llm-frames").nth(0)
        drag(page, slider(widget, "Rate"), 1.0)
        check_frame(widget, 7, rows("learning_rate_sweep")[-1])


def test_each_of_three_fits_can_be_chosen(visit):
    with visit(DYNAMICS) as page:
        widget = page.locator(".llm-frames").nth(1)
        for at, row in enumerate(rows("fit_sweep")):
            widget.get_by_role("combobox", name="Run").select_option(index=at)
            check_frame(widget, at, row)


@pytest.mark.parametrize("chart", [0, 1, 2])
def test_every_patient_can_be_visited(visit, chart):
    with visit(DYNAMICS) as page:
        widget = page.locator(".llm-frames").nth(2)
        widget.get_by_role("combobox", name="Chart").select_option(index=chart)
        for at, row in enumerate(rows("patient")):
            widget.get_by_role("combobox", name="Patient").select_option(index=at)
            check_frame(widget, 3 * at + chart, row)
