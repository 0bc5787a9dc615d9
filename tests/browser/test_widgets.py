"""What holds for every widget of every page; each has a file of its own beside this."""

from browser.hands import move_every_control


def test_no_control_is_dead(visit, name):
    """Each slider, choice and button of every page changes something."""
    with visit(name) as page:
        for widget in page.locator("[data-llm-widget]").all():
            move_every_control(widget)


def test_every_slider_follows_a_finger(visit, name):
    with visit(name, width=390, touch=True) as page:
        for widget in page.locator("[data-llm-widget]").all():
            for control in widget.get_by_role("slider").all():
                control.scroll_into_view_if_needed()
                before = widget.inner_html(), control.input_value()
                box = control.bounding_box()
                middle = box["y"] + box["height"] / 2
                page.touchscreen.tap(box["x"] + box["width"] * 0.3, middle)
                if control.input_value() == before[1]:
                    page.touchscreen.tap(box["x"] + box["width"] * 0.8, middle)
                assert control.input_value() != before[1]
                assert widget.inner_html() != before[0]


def test_a_widget_says_its_part_without_a_script(browser, addresses):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(addresses["http"] + "book/intro.html")
    for widget in page.locator("[data-llm-widget]").all():
        assert widget.locator(".llm-fallback table").is_visible()
    context.close()
