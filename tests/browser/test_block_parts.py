"""The figure of stacks with parts switched off shows what Python measured."""

import re
from itertools import product

import pytest
from browser.hands import drag, press, slider, state_of
from chapters.test_05 import chapter

BLOCK = "notebooks/05_block.html"
CHOICES = {
    "residual": ("A part’s output", {True: "is added", False: "replaces"}),
    "norm": ("Norm", {"none": "none", "pre": "(pre)", "post": "(post)"}),
    "feed_forward": ("Feed-forward", {True: "on", False: "off"}),
    "small_outputs": ("Output matrices", {False: "full size", True: "smaller"}),
}
DEPTHS = [2, 4, 8, 16, 32]
AT_FIRST = {"residual": True, "norm": "pre", "feed_forward": True}
AT_FIRST |= {"small_outputs": False, "depth": 32}


def number(text):
    """A number as the figure writes it: 0.02, 1,234 or 1.2 · 10⁻⁷."""
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    digits, _, power = plain.partition(" · 10")
    return float(digits) * 10 ** int(power or 0)


def choose(widget, name, value):
    label, options = CHOICES[name]
    box = widget.get_by_role("combobox", name=label, exact=True)
    texts = box.locator("option").all_text_contents()
    box.select_option(label=next(t for t in texts if options[value] in t))


def run_with(state, **changed):
    """The one run of a setting: the first one that the figure shows, and changes."""
    setting = AT_FIRST | changed
    (run,) = [r for r in state["runs"] if all(r[n] == setting[n] for n in setting)]
    return run


def check(widget, run):
    """The sentence, the table, the three pictures: all say what the run says."""
    top, bottom = run["size"][-1], run["gradient"][0]
    alike = run["likeness"][-1]
    said = widget.locator(".llm-status").text_content()
    found = re.search(
        r"(\d+) blocks, (sound|lost).*Size at the top (.*), "
        r"gradient at the bottom (.*), likeness at the top ([-\d.]+)\.$",
        said,
    )
    assert int(found[1]) == run["depth"]
    sound = 0.01 <= top <= 100 and 0.01 <= bottom <= 100 and alike < 0.95
    assert (found[2] == "sound") == sound
    assert ("what flows up vanishes" in said) == (top < 0.01)
    assert ("what flows up explodes" in said) == (top > 100)
    assert ("the gradient explodes" in said) == (bottom > 100)
    assert ("the positions become the same" in said) == (alike >= 0.95)
    assert number(found[3]) == pytest.approx(top, rel=0.06)
    assert number(found[4]) == pytest.approx(bottom, rel=0.06)
    assert float(found[5]) == pytest.approx(alike, abs=0.006)
    rows = widget.locator("details tbody tr")
    assert rows.count() == run["depth"] + 1
    curves = widget.locator("polyline")
    assert curves.count() == 3
    for curve in curves.all():
        points = curve.get_attribute("points").split()
        assert len(points) == run["depth"] + 1
        assert all(0 <= float(n) <= 260 for p in points for n in p.split(","))


def test_every_combination_shows_its_own_run(visit):
    with visit(BLOCK) as page:
        widget = page.locator(".llm-block-parts")
        state = state_of(widget)
        control = slider(widget, "Blocks")
        values = [options for _, options in CHOICES.values()]
        for setting in product(*values):
            named = dict(zip(CHOICES, setting, strict=True))
            for name, value in named.items():
                choose(widget, name, value)
            press(control, "Home")
            for depth in DEPTHS:
                check(widget, run_with(state, **named, depth=depth))
                press(control, "ArrowRight")


def test_the_table_and_the_curves_hold_the_same_numbers(visit, host):
    with visit(BLOCK, host) as page:
        widget = page.locator(".llm-block-parts")
        state = state_of(widget)
        choose(widget, "norm", "none")
        run = run_with(state, norm="none")
        widget.locator("summary").click()
        rows = widget.locator("details tbody tr").all()
        for depth, row in enumerate(rows):
            assert row.locator("th").text_content() == str(depth)
            cells = row.locator("td").all_text_contents()
            for cell, name in zip(cells, ("size", "gradient", "likeness"), strict=True):
                got, expected = number(cell), run[name][depth]
                assert got == pytest.approx(expected, rel=0.06, abs=0.006)


def test_the_curves_rise_where_the_numbers_do(visit):
    with visit(BLOCK) as page:
        widget = page.locator(".llm-block-parts")
        run = run_with(state_of(widget))
        for curve, name in zip(
            widget.locator("polyline").all(),
            ("size", "gradient", "likeness"),
            strict=True,
        ):
            points = [p.split(",") for p in curve.get_attribute("points").split()]
            across = [float(x) for x, _ in points]
            height = [-float(y) for _, y in points]
            assert across == sorted(across)
            highest = max(range(33), key=run[name].__getitem__)
            assert height[highest] == pytest.approx(max(height), abs=0.2)


def test_the_depth_follows_the_mouse(visit):
    with visit(BLOCK) as page:
        widget = page.locator(".llm-block-parts")
        control = slider(widget, "Blocks")
        drag(page, control, 0.26)
        depth = int(control.get_attribute("aria-valuetext"))
        assert depth in DEPTHS[:3]
        check(widget, run_with(state_of(widget), depth=depth))


@pytest.mark.parametrize(
    ("residual", "norm", "feed_forward", "small"),
    [(True, "pre", True, False), (True, "post", False, True), (False, "none", True, 0)],
)
def test_the_page_carries_what_python_measures(
    visit, residual, norm, feed_forward, small
):
    names = chapter().chapter()
    parts = names["make_parts"](8, feed_forward, small)
    measured = names["measure"](parts, residual, norm, every=1 + feed_forward)
    with visit(BLOCK) as page:
        run = run_with(
            state_of(page.locator(".llm-block-parts")),
            residual=residual,
            norm=norm,
            feed_forward=feed_forward,
            small_outputs=bool(small),
            depth=8,
        )
    for name, curve in zip(("size", "gradient", "likeness"), measured, strict=True):
        assert run[name] == pytest.approx(curve, rel=2e-3, abs=1e-4)
