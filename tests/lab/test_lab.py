"""The notebooks run in a real JupyterLab, and their widgets are alive there.

Each day has its three chapters; `make test-lab ARGS=--all-chapters` opens them all.
"""

from browser.hands import move_every_control, press, slider
from lab.conftest import A_DAY, CHAPTERS, chapters_of


def move_everything(page):
    cells = page.locator(".jp-Cell").count()
    for widget in page.locator(".jp-OutputArea .llm-widget").all():
        widget.scroll_into_view_if_needed()
        move_every_control(widget)
    # JupyterLab takes an arrow key it sees for "fold this heading"
    assert page.locator(".jp-Cell").count() == cells
    assert page.locator(".jp-collapsedIcon, .jp-mod-collapsed").count() == 0


def test_a_chapter_runs_from_top_to_bottom_and_its_widgets_move(run_all, chapter):
    with run_all(chapter) as page:
        move_everything(page)


def test_the_front_page_runs_too_and_its_model_writes(run_all):
    with run_all("intro") as page:
        widget = page.locator(".jp-OutputArea .llm-playground")
        widget.scroll_into_view_if_needed()
        press(slider(widget, "Temperature"), "Home")
        assert widget.locator("tbody td").nth(1).text_content() == "100.0 %"
        assert "1 of" in widget.locator(".llm-status").text_content()
        press(slider(widget, "Token"), "ArrowLeft", 2)
        assert "stands here" in widget.locator(".llm-status").text_content()
        widget.get_by_role("button", name="Run", exact=True).click()
        widget.locator(".llm-end").wait_for()
        widget.get_by_role("button", name="Start over").click()  # or Run would be off
        move_everything(page)


def test_frames_are_answered_by_the_kernel(run_all):
    with run_all("frames") as page:
        widget = page.locator(".jp-OutputArea .llm-frames")
        assert "in your kernel" in widget.locator(".llm-frames-note").text_content()
        said = widget.locator(".llm-status")
        press(slider(widget, "X"), "ArrowRight")
        said.get_by_text("4").wait_for()  # three for the frames, one for the move
        assert widget.locator(".llm-shown").text_content() == "x is 2"
        press(slider(widget, "X"), "ArrowRight")
        said.get_by_text("did not answer: ZeroDivisionError: on purpose").wait_for()


def test_every_chapter_has_its_day():
    days = range(739_000, 739_000 + len(CHAPTERS))
    assert {name for day in days for name in chapters_of(day)} == set(CHAPTERS)
    ten = [f"{number:02}" for number in range(10)]
    four = {name for day in range(4) for name in chapters_of(day, ten)}
    assert four == set(ten)
    assert all(len(chapters_of(day, ten)) == A_DAY for day in range(20))
