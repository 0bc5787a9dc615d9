"""Chapter 07's curve scrubber shows, at each step, what was measured there."""

import re
from itertools import pairwise

from browser.hands import drag, press, slider, state_of

TRAINING = "notebooks/07_training.html"


def spoken(frame):
    return ", ".join(f"{name} {number}" for name, number in frame["numbers"].items())


def check_look(widget, at):
    """Number, sample and marked picture are those of one look at the model."""
    state = state_of(widget)
    frame = state["frames"][at]
    step = state["values"][0][at]
    assert slider(widget, "Step").get_attribute("aria-valuetext") == step
    assert widget.locator(".llm-status").text_content() == spoken(frame)
    assert widget.locator(".llm-shown").text_content() == frame["text"]
    label = widget.get_by_role("img").get_attribute("aria-label")
    marked, bits = re.search(r"step (\d+) is marked, at ([\d.]+) bits", label).groups()
    assert marked == step.replace(",", "")
    shown = float(frame["numbers"]["bits per character"])
    assert abs(float(bits) - shown) <= 0.0051  # two digits beside four


def test_every_look_can_be_reached_by_keyboard(visit):
    with visit(TRAINING) as page:
        widget = page.locator(".llm-frames")
        looks = len(state_of(widget)["frames"])
        assert 15 <= looks <= 20
        for at in range(looks):
            check_look(widget, at)
            press(slider(widget, "Step"), "ArrowRight")
        press(slider(widget, "Step"), "Home")
        check_look(widget, 0)


def test_the_mouse_moves_it_from_disk_too(visit):
    with visit(TRAINING, "disk") as page:
        widget = page.locator(".llm-frames")
        last = len(state_of(widget)["frames"]) - 1
        drag(page, slider(widget, "Step"), 1.0)
        check_look(widget, last)


def test_the_story_it_tells_is_that_of_the_chapter(visit):
    """The loss falls from look to look, towards a floor that it never reaches."""
    with visit(TRAINING) as page:
        widget = page.locator(".llm-frames")
        frames = state_of(widget)["frames"]
        bits = [float(frame["numbers"]["bits per character"]) for frame in frames]
        assert bits[0] > 2.5
        assert bits[-1] < 0.75
        assert all(later < earlier + 0.02 for earlier, later in pairwise(bits))
        assert all(
            re.fullmatch(r"\d+ of \d+", frame["numbers"]["facts recalled"])
            for frame in frames
        )
