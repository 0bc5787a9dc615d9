"""Frames hold what the function returned, and say what they cannot hold."""

import html
import re

import pytest

from llm_core.course import plots
from llm_core.course.palette import INK
from llm_core.course.widgets import Frame, Frames
from llm_core.course.widgets.frames import changes


def square(x):
    axes = plots.axes()
    axes.plot([0, x], [0, x * x])
    axes.set(xlim=(0, 20), ylim=(0, 400))
    return Frame(
        picture=axes,
        alt=f"A line to {x} < 9",
        text=f"{x} &\nso on",
        numbers={"square": x * x, "root": x**0.5, "as text": f"{x:.0%}"},
    )


def drawn(widget, at):
    return whole(widget.lines, widget.frames[at]["picture"])


def whole(lines, pieces):
    parts = [[p] if isinstance(p, str) else lines[p[0] : p[1]] for p in pieces]
    return "\n".join(line for part in parts for line in part)


def test_each_value_has_the_frame_that_the_function_returns():
    widget = Frames(square, x=[1, 2, 3])
    assert (widget.labels, widget.values) == (["X"], [["1", "2", "3"]])
    numbers = [frame["numbers"] for frame in widget.frames]
    assert numbers[1] == {"square": "4", "root": "1.414", "as text": "200%"}
    assert [frame["text"] for frame in widget.frames][2] == "3 &\nso on"
    for at, x in enumerate([1, 2, 3]):
        svg = drawn(widget, at)
        assert f'role="img" aria-label="A line to {x} &lt; 9"' in svg
        assert INK not in svg
        assert svg.count("<svg") == svg.count("</svg>") == 1


def test_pairs_of_values_run_with_the_last_one_fastest():
    def pair(step, head):
        return Frame(text=f"{step} {head}")

    widget = Frames(pair, step=range(0, 2000, 1000), head=["first", "last"])
    texts = [frame["text"] for frame in widget.frames]
    assert texts == ["0 first", "0 last", "1000 first", "1000 last"]
    assert widget.values == [["0", "1,000"], ["first", "last"]]
    assert widget.numeric == [True, False]


def test_the_fallback_shows_the_first_frame_and_the_table_all_of_them():
    fallback = Frames(square, x=[1, 2, 3]).fallback()
    assert fallback.count("<svg") == 1
    assert "computed when the book was built" in fallback
    rows = re.findall(r"<tr>(.*?)</tr>", fallback, re.S)
    cells = [re.findall(r">([^<]*)</t[hd]>", row) for row in rows]
    assert cells[0] == ["X", "square", "root", "as text", "text"]
    assert html.unescape(cells[3][-1]) == "3 &\nso on"
    assert [row[1] for row in cells[1:]] == ["1", "4", "9"]


@pytest.mark.parametrize(("names", "columns"), [("a", ["X"]), ("ab", ["X", "Name"])])
def test_a_control_that_changes_pictures_alone_is_not_in_the_table(names, columns):
    def frame(x, name):
        return Frame(text=names[-1] if x == 3 and name == "q" else "a")

    fallback = Frames(frame, x=[1, 2, 3], name=["p", "q"]).fallback()
    head = re.findall(r'<th scope="col">(.*?)</th>', fallback)
    assert head == [*columns, "text"]
    assert fallback.count('<th scope="row">') == 3 * len(columns)


def test_control_characters_are_marked():
    widget = Frames(lambda x: Frame(text=f"a\x1f\n{x}"), x=[1, 2])
    assert widget.frames[0]["text"] == "a\ufffd\n1"


def test_what_is_alike_is_sent_once():
    """Twenty frames of a curve cost the page little more than two."""
    two = len(Frames(square, x=[1, 2]).to_html())
    assert len(Frames(square, x=range(1, 21)).to_html()) < 1.5 * two


def test_changes_give_every_text_back():
    first = "a\nb\n\nb"
    for text in (first, "", "\n", "b\na", "a\n\nb\nc"):
        lines = first.split("\n")
        assert whole(lines, changes(lines, text)) == text
        assert whole([""], changes([""], text)) == text


def test_anything_that_jupyter_shows_as_html_is_a_picture():
    widget = Frames(lambda n: Frame(picture=plots.tokens(["a"] * n)), n=[1, 2])
    assert drawn(widget, 1) == plots.tokens(["a", "a"])._repr_html_()


def test_a_move_in_jupyterlab_calls_the_function_again():
    known = {"factor": 1}
    widget = Frames(lambda x: Frame(numbers={"y": known["factor"] * x}), x=[1, 2, 3])
    known["factor"] = 10
    widget.first = 2
    assert widget._answer["numbers"] == {"y": "30"}
    assert widget._answer["place"] == [2]
    del known["factor"]
    widget.first = 1
    assert widget._answer == {"error": "KeyError: 'factor'", "place": [1]}


def test_the_page_knows_of_no_kernel():
    assert "_live" not in Frames(square, x=[1, 2]).to_html()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Frame(), "it has none"),
        (lambda: Frame(picture=plots.axes()), "needs alt"),
        (lambda: Frame(picture=plots.axes(), alt=" "), "needs alt"),
        (lambda: Frames(square), "got 0"),
        (lambda: Frames(square, a=[1, 2], b=[1, 2], c=[1, 2]), "got 3"),
        (lambda: Frames(square, x=[1]), r"different values of x, got \[1\]"),
        (lambda: Frames(square, x=[1, 2, 1]), "different values of x"),
        (
            lambda: Frames(lambda x: Frame(numbers={str(x): x}), x=[1, 2]),
            r"got \['1'\] and \['2'\]",
        ),
    ],
)
def test_a_mistake_is_told(make, said):
    with pytest.raises(ValueError, match=said):
        make()
