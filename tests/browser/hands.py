"""A reader's hands on a widget: what every browser test does with controls."""

import json

from playwright.sync_api import expect


def state_of(widget):
    return json.loads(widget.locator("script").text_content())


def slider(widget, label):
    return widget.get_by_role("slider", name=label)


def press(control, key, times=1):
    control.focus()
    for _ in range(times):
        control.press(key)


def drag(page, control, share):
    """Press the mouse amid a slider, and let go at a share of its length."""
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, y, steps=5)
    page.mouse.up()


def visible(token):
    return token.replace(" ", "␣").replace("\n", "↵")


def move_every_control(widget):
    """Move each slider and choice, and press each button: none may be dead."""
    for control in widget.locator("input[type=range], select").all():
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
    assert dead_buttons(widget) == []


def dead_buttons(widget):
    """The buttons that change nothing, now or after all others were pressed.

    What a button sets going ends before the next is looked at: its end may switch that
    one off, between the look and the press.
    """
    pressed, alive = set(), set()
    for _ in range(2):
        buttons = widget.get_by_role("button")
        for i in range(buttons.count()):
            button = buttons.nth(i)
            if i in alive or button.is_disabled():
                continue
            if button.get_attribute("aria-pressed") == "true":
                continue
            before = widget.inner_html()
            button.click()
            pressed.add(i)
            if widget.inner_html() != before:
                alive.add(i)
            stop = widget.get_by_role("button", name="Stop")
            expect(stop).to_have_count(0, timeout=90_000)
    return sorted(pressed - alive)
