"""Pictures: data in, Axes out, right on light and dark pages."""

import re

import pytest
from IPython.core.formatters import DisplayFormatter

from llm_core.course import plots
from llm_core.course.palette import COLORS, INK, follow_theme

MAP = [[1.0, 0.0], [0.25, 0.75]]
PLANE = {"x_label": "first", "y_label": "second"}


def pictures():
    yield plots.curves({"a": ([1, 2], [3, 4])}, x_label="x", y_label="y")
    yield plots.distribution({"a b": 0.75, "c": 0.25}, x_label="share")
    yield plots.loss_curve([1, 2], [3, 2], validation=([2], [2.1]), floor=1.0)
    yield plots.attention_map(MAP, [" the", " cat"])
    yield plots.shades([[0.25, 0.0]], ["a"], ["b", "c"], **PLANE)
    yield plots.grids([{"x": [["a", "b"]], "y": [["b"], ["a"]]}], {"a": 0.2, "b": 0.6})
    yield plots.points({"a": {" one": (0, 1)}, "b": {"x": (1, 0)}}, **PLANE)
    yield plots.graph({"u": (0, 0, "u = 1", "2"), "v": (2, 0, "v", "1")}, [("u", "v")])
    yield plots.stream(["attention"])
    yield plots.stream(["attention", "feed-forward"], norm="post")


def test_a_picture_uses_no_colour_but_the_palettes_and_the_pages_ink():
    known = {light for light, _ in COLORS.values()} | {INK}
    for ax in pictures():
        used = set(re.findall(r"#[0-9a-f]{6}\b", plots.to_svg(ax)))
        assert INK in used
        assert used <= known


def test_on_the_page_every_colour_follows_the_theme():
    for ax in pictures():
        svg = follow_theme(plots.to_svg(ax))
        assert "currentColor" in svg
        assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_a_picture_has_no_paper_of_its_own():
    for ax in pictures():
        svg = plots.to_svg(ax)
        assert "#ffffff" not in svg
        assert "rgb(" not in svg


def test_letters_stay_letters():
    [ax] = [plots.curves({"a": ([1, 2], [3, 4])}, x_label="vocabulary", y_label="y")]
    assert ">vocabulary<" in plots.to_svg(ax)


def test_the_same_data_give_the_same_file():
    first, second = ([plots.to_svg(ax) for ax in pictures()] for _ in range(2))
    assert first == second


def test_curves_show_the_data_they_were_given():
    ax = plots.curves(
        {"one": ([256, 512], [1, 2]), "two": ([256, 512], [3, 5])},
        x_label="size",
        y_label="bytes",
        log_x=True,
    )
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [3, 5]]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["256", "512"]
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_a_legend_above_hides_no_curve_and_is_written_in_the_pages_ink():
    ax = plots.curves({"a": ([1, 2], [3, 4]), "b": ([1, 2], [4, 3])}, **PLANE)
    assert plots.legend_above(ax) is ax
    plots.to_svg(ax)  # which lays it out
    legend, frame = ax.get_legend(), ax.get_window_extent()
    assert legend.get_window_extent().y0 >= frame.y1
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert {text.get_color() for text in legend.get_texts()} == {INK}


def test_more_curves_than_can_be_told_apart_are_refused():
    series = {str(i): ([1], [1]) for i in range(5)}
    with pytest.raises(ValueError, match="1 to 4 curves, got 5"):
        plots.curves(series, x_label="x", y_label="y")


def test_a_distribution_has_a_bar_for_each_name_with_its_value():
    ax = plots.distribution({" a": 0.75, "b": 0.25}, x_label="share")
    assert [bar.get_width() for bar in ax.patches] == [0.75, 0.25]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["␣a", "b"]
    assert {"0.75", "0.25"} <= {text.get_text() for text in ax.texts}


def test_the_floor_is_drawn_where_it_lies():
    loss = plots.loss_curve([1, 2], [3, 2], floor=1.25)
    curve = plots.curves({"a": ([1, 2], [3, 4])}, **PLANE, floor=1.25)
    for ax in (loss, curve):
        assert list(ax.lines[-1].get_ydata()) == [1.25, 1.25]


def test_a_loss_is_compared_with_other_losses_by_name():
    ax = plots.loss_curve([1, 2], [3, 2], levels={"counted": 1.5}, floor=1.0)
    assert list(ax.lines[1].get_ydata()) == [1.5, 1.5]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["training", "counted", "floor"]


def test_points_are_named_where_they_lie():
    ax = plots.points({"a": {" one": (0, 1)}, "b": {"x": (1, 0)}}, **PLANE)
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        ("␣one", (0, 1)),
        ("x", (1, 0)),
    ]
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_more_groups_than_can_be_told_apart_are_refused():
    groups = {str(i): {"x": (0, 0)} for i in range(5)}
    with pytest.raises(ValueError, match="1 to 4 groups, got 5"):
        plots.points(groups, **PLANE)


def test_a_graph_has_a_box_for_each_node_and_an_arrow_for_each_edge():
    nodes = {"u": (0, 0, "u = 1", "slope 2"), "v": (2, 1, "v = 3", "slope 1")}
    ax = plots.graph(nodes, [("u", "v")])
    assert [patch.get_xy() for patch in ax.patches] == [(-0.75, -0.5), (1.25, 0.5)]
    [arrow] = [text for text in ax.texts if not text.get_text()]
    assert (arrow.xyann, arrow.xy) == ((0.75, 0), (1.25, 1))


def test_sizes_far_apart_share_a_picture():
    ax = plots.curves(
        {"a": ([1, 2], [1e-9, 1e6])}, x_label="x", y_label="y", log_y=True
    )
    ticks = re.findall(r">(10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|[\d.,]+)</text>", plots.to_svg(ax))
    assert ax.get_yscale() == "log"
    assert "1" in ticks
    assert "10⁶" in ticks


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_stream_has_a_norm_and_a_plus_for_each_part(norm):
    ax = plots.stream(["attention", "feed-forward"], norm)
    words = [text.get_text() for text in ax.texts if text.get_text()]
    assert sorted(words) == ["+", "+", "attention", "feed-forward", "norm", "norm"]
    height = {text.get_text(): text.get_position()[1] for text in ax.texts}
    beside = "attention" if norm == "pre" else "+"
    assert height["norm"] == pytest.approx(height[beside], abs=0.05)


def test_an_attention_map_is_as_dark_as_its_weights():
    ax = plots.attention_map(MAP, ["a", "b"])
    drawn = {(p.get_y(), p.get_x()): p.get_alpha() for p in ax.patches}
    assert drawn == {(0, 0): 1.0, (0, 1): 0.0, (1, 0): 0.25, (1, 1): 0.75}


@pytest.mark.parametrize("draw", [plots.attention_map, plots.attention_table])
def test_weights_must_fit_the_tokens(draw):
    with pytest.raises(ValueError, match="expected weights"):
        draw(MAP, ["a", "b", "c"])


def test_the_table_twin_says_what_the_map_shows():
    table = plots.attention_table(MAP, [" a", "<b>"])
    assert "<td>0.25</td><td>0.75</td>" in table._repr_html_()
    assert "&lt;b&gt;" in table._repr_html_()
    assert repr(table) == "␣a 1.00 0.00\n<b> 0.25 0.75"


def test_tokens_show_spaces_broken_characters_and_markup_safely():
    picture = plots.tokens([b" <b>", "é".encode()[:1], "\n"])
    assert repr(picture) == "␣<b>|‹c3›|↵"
    assert "&lt;b&gt;" in picture._repr_html_()
    assert "<b>" not in picture._repr_html_()


def test_a_notebook_shows_svg_and_jupyterlab_gives_it_a_light_ground():
    ax = plots.curves({"a": ([1, 2], [3, 4])}, x_label="x", y_label="y")
    formatter = DisplayFormatter()
    data, metadata = formatter.format(ax)
    assert set(data) == {"image/svg+xml", "text/plain"}
    assert metadata["image/svg+xml"] == {"needs_background": "light"}


def test_a_picture_leaves_no_open_figure_behind():
    import matplotlib.pyplot as plt

    list(pictures())
    assert plt.get_fignums() == []


def test_a_grid_writes_each_word_once_and_shades_it_as_told():
    rows = [{"x": [["a", "b"]], "y": [["c"], ["a"]]}, {"z": [["b"]]}]
    ax = plots.grids(rows, {"a": 0.2, "b": 0.6})
    written = [text.get_text() for text in ax.texts]
    assert sorted(written) == ["a", "a", "b", "b", "c", "x", "y", "z"]
    shades = [
        patch.get_alpha() for patch in ax.patches if patch.get_alpha() is not None
    ]
    assert shades == [0.2, 0.6, 0, 0.2, 0.6]


def test_shades_are_as_dark_as_their_shares_and_the_twin_says_the_same():
    values = [[0.25, 0.0], [1.0, -0.5]]
    ax = plots.shades(values, ["a", "b"], ["c", "d"], **PLANE)
    assert [box.get_alpha() for box in ax.patches] == [0.15, 0, 0.6, 0]
    assert [text.get_text() for text in ax.texts] == ["25", "100"]
    twin = plots.shades_table(values, ["a", "b"], ["c", "d"], "Shares")
    assert repr(twin).splitlines()[1:] == ["a 25 0", "b 100 -50"]
    assert "Shares, in percent" in twin.markup
