"""The notebooks run in a real JupyterLab, and their widgets are alive there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", ["intro", *NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom_and_its_widgets_move(run_all, name):
    with run_all(name) as page:
        cells = page.locator(".jp-Cell").count()
        for widget in page.locator(".jp-OutputArea .llm-widget").all():
            widget.scroll_into_view_if_needed()
            for control in widget.get_by_role("slider").all():
                before = widget.inner_html(), control.input_value()
                control.focus()
                control.press("ArrowLeft")
                if control.input_value() == before[1]:
                    control.press("ArrowRight")
                assert control.input_value() != before[1]
                assert widget.inner_html() != before[0]
        # JupyterLab takes an arrow key it sees for "fold this heading"
        assert page.locator(".jp-Cell").count() == cells
        assert page.locator(".jp-collapsedIcon, .jp-mod-collapsed").count() == 0


def test_the_sampler_and_the_kernel_agree(run_all):
    with run_all("intro") as page:
        widget = page.locator(".jp-OutputArea .llm-sampler")
        widget.scroll_into_view_if_needed()
        control = widget.get_by_role("slider", name="Temperature")
        control.focus()
        control.press("Home")
        assert widget.locator("td").nth(1).text_content() == "100.0 %"
        assert "1 of" in widget.locator(".llm-status").text_content()


def test_there_are_notebooks():
    assert NOTEBOOKS
