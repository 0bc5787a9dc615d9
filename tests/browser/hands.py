"""A reader's hands on a widget: what every browser test does with controls."""

import json


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
