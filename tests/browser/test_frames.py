"""Frames show, at each place of their controls, what Python computed for that place."""

import itertools
import re

import pytest
from browser.hands import drag, press, slider, state_of

from llm_core.course import plots
from llm_core.course.palette import COLORS
from llm_core.course.widgets import Frame, Frames

LOSSES = [4.0, 3.0, 2.5, 2.25, 2.125]
MARK = COLORS["highlight"][0]
SAYINGS = ["", "One word.", "Two words, and <b>more</b> & more of them." * 8, "x", "y"]


def at_step(step):
    axes = plots.loss_curve(range(5), LOSSES, floor=2.0)
    axes.axvline(step, color=plots.color("highlight"))
    return Frame(
        picture=axes,
        alt=f"The loss falls; step {step} is marked.",
        text=SAYINGS[step],
        numbers={"loss": LOSSES[step], "steps left": 4 - step},
    )


def pair(rate, head):
    return Frame(numbers={"both": f"{rate} {head}"})


ONE = Frames(at_step, step=range(5))
TWO = Frames(pair, rate=[0.1, 0.01, 0.001], head=["first", "last"])


def start_of(color, paths):
    """Where the one line of a colour begins."""
    (line,) = [path for path in paths if color in path]
    return re.search(r'd="M ([\d.]+) ', line)[1]


def check_step(widget, step):
    """The picture, the numbers and the text are those of the step, and no others."""
    assert slider(widget, "Step").get_attribute("aria-valuetext") == str(step)
    picture = widget.get_by_role("img")
    assert picture.get_attribute("aria-label") == at_step(step).alt
    paths = picture.locator("path").evaluate_all("all => all.map(p => p.outerHTML)")
    wanted = plots.to_svg(at_step(step).picture).split("<path")
    assert start_of("--llm-highlight", paths) == start_of(MARK, wanted)
    says = f"loss {LOSSES[step]:.3f}, steps left {4 - step}"
    assert widget.locator(".llm-status").text_content() == says
    shown = widget.locator(".llm-frames-text").evaluate_all(
        "all => all.filter(p => p.checkVisibility({visibilityProperty: true}))"
        ".map(p => p.textContent)"
    )
    assert shown == [SAYINGS[step]]


def test_each_step_shows_its_own_frame_by_keyboard(stage):
    with stage(ONE) as page:
        widget = page.locator(".llm-frames")
        check_step(widget, 0)
        for step in range(1, 5):
            press(slider(widget, "Step"), "ArrowRight")
            check_step(widget, step)
        press(slider(widget, "Step"), "Home")
        check_step(widget, 0)


def test_the_mouse_moves_the_slider(stage):
    with stage(ONE) as page:
        widget = page.locator(".llm-frames")
        drag(page, slider(widget, "Step"), 0.75)
        check_step(widget, 3)
        drag(page, slider(widget, "Step"), 0.25)
        check_step(widget, 1)


def test_a_finger_moves_the_slider(stage):
    with stage(ONE, width=390, touch=True) as page:
        widget = page.locator(".llm-frames")
        box = slider(widget, "Step").bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.touchscreen.tap(*middle)
        check_step(widget, 2)


def test_two_controls_reach_every_frame(stage):
    with stage(TWO) as page:
        widget = page.locator(".llm-frames")
        places = itertools.product(
            enumerate(["0.1", "0.01", "0.001"]), ["first", "last"]
        )
        for (at, rate), head in places:
            press(slider(widget, "Rate"), "Home")
            press(slider(widget, "Rate"), "ArrowRight", at)
            widget.get_by_role("combobox", name="Head").select_option(label=head)
            assert slider(widget, "Rate").get_attribute("aria-valuetext") == rate
            said = widget.locator(".llm-status").text_content()
            assert said == f"both {rate} {head}"


def test_the_figure_keeps_its_height(stage):
    with stage(ONE) as page:
        widget = page.locator(".llm-frames")
        heights = set()
        for _ in range(5):
            heights.add(widget.bounding_box()["height"])
            press(slider(widget, "Step"), "ArrowRight")
        assert len(heights) == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_waking_up_moves_nothing_below(browser, stage, addresses, width):
    with stage(ONE, TWO, width=width) as page:
        alive = [w.bounding_box()["height"] for w in page.locator(".llm-frames").all()]
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto(addresses["stage"] + "page.html")
    asleep = [w.bounding_box()["height"] for w in page.locator(".llm-frames").all()]
    assert page.get_by_role("img").get_attribute("aria-label") == at_step(0).alt
    assert page.get_by_text("One of 5 frames, computed when").is_visible()
    page.get_by_text("All frames as a table").first.click()
    assert page.get_by_role("table").first.is_visible()
    context.close()
    assert alive == pytest.approx(asleep, abs=25)


def test_the_page_says_that_its_frames_were_computed_before(stage):
    with stage(ONE) as page:
        note = page.locator(".llm-frames-note").text_content()
        assert "5 frames were computed when the book was built" in note
        assert "each move calls at_step" in note


def test_the_table_holds_all_numbers_and_texts(stage):
    with stage(ONE) as page:
        widget = page.locator(".llm-frames")
        widget.get_by_text("All frames as a table").click()
        rows = widget.locator("details tbody tr").all()
        for step, row in enumerate(rows):
            cells = row.locator("th, td").all_text_contents()
            expected = [str(step), f"{LOSSES[step]:.3f}", str(4 - step), SAYINGS[step]]
            assert cells == expected
        assert len(rows) == 5


def test_a_control_that_changes_pictures_alone_is_not_in_the_table(stage):
    def chart(step, chart):
        return Frame(picture=at_step(step).picture, alt=chart, text=SAYINGS[step])

    with stage(TWO, Frames(chart, step=[1, 3], chart=["this", "that"])) as page:
        for table in page.locator("details").all():
            table.locator("summary").click()
        whole, short = page.get_by_role("table").all()
        assert whole.locator("tbody tr").count() == 6
        assert short.locator("thead th").all_text_contents() == ["Step", "text"]
        rows = [row.locator("th, td") for row in short.locator("tbody tr").all()]
        cells = [row.all_text_contents() for row in rows]
        assert cells == [["1", SAYINGS[1]], ["3", SAYINGS[3]]]


def test_the_picture_follows_the_theme(stage):
    with stage(ONE) as page:
        ink = "getComputedStyle(document.querySelector('.llm-frames text')).fill"
        mark = (
            "getComputedStyle([...document.querySelectorAll('.llm-frames path')]"
            ".find(p => p.outerHTML.includes('--llm-highlight'))).stroke"
        )
        light = page.evaluate(ink), page.evaluate(mark)
        page.evaluate(
            "document.documentElement.dataset.theme = 'dark';"
            "document.body.style.setProperty('--pst-color-text-base', '#eee')"
        )
        dark = page.evaluate(ink), page.evaluate(mark)
        assert light[0] != dark[0]
        assert light[1] != dark[1]


KERNEL = """([state, answer]) => {
  const listeners = [];
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; fire(name); },
    on: (event, listener) => listeners.push([event, listener]),
    save_changes: () => { state._answer = answer; fire("_answer"); },
  };
  const fire = (name) => listeners.filter(([event]) => event === `change:${name}`)
    .forEach(([, listener]) => listener());
  const el = document.querySelector(".llm-frames > div");
  el.replaceChildren();
  llmWidgets.frames.render({ model, el });
}"""


def test_in_jupyterlab_the_kernel_answers_a_move(stage):
    """The page with a stand-in for JupyterLab's kernel; tests/lab has the real one."""
    answer = {
        "place": [1],
        "picture": '<svg role="img" aria-label="new"></svg>',
        "text": "from the kernel",
        "numbers": {"loss": "9.9"},
    }
    with stage(ONE) as page:
        widget = page.locator(".llm-frames")
        live = {**state_of(widget), "_live": True}
        page.evaluate(KERNEL, [live, answer])
        assert "in your kernel" in widget.locator(".llm-frames-note").text_content()
        press(slider(widget, "Step"), "ArrowRight")
        assert widget.locator(".llm-status").text_content() == "loss 9.9"
        assert widget.get_by_role("img").get_attribute("aria-label") == "new"
        assert widget.locator(".llm-shown").text_content() == "from the kernel"
        press(slider(widget, "Step"), "ArrowRight")  # an answer that comes too late
        check_step(widget, 2)
        page.evaluate(KERNEL, [live, {"place": [1], "error": "KeyError: 'x'"}])
        press(slider(widget, "Step"), "ArrowRight")
        said = widget.locator(".llm-status").text_content()
        assert said == "The function did not answer: KeyError: 'x'"
