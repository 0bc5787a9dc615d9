"""The shape slider says what PyTorch says, for every setting it has."""

import re
from itertools import permutations

import pytest
import torch
from browser.hands import drag, press, slider, state_of

SETUP = "notebooks/00_setup.html"

# Every shape with every order of its axes, each viewed as every shape: set by the
# sliders' own events; what the figure then shows comes back.
EVERY_SETTING = """widget => {
    const inputs = [...widget.querySelectorAll("input")];
    const [shape, order, element] = inputs;
    const target = widget.querySelector("select");
    const set = (node, value, event) => {
        node.value = value;
        node.dispatchEvent(new Event(event, { bubbles: true }));
    };
    const cells = (node) => [...node.querySelectorAll("td")];
    const numbers = (node) => cells(node).map((cell) => +cell.textContent);
    const text = (name) => widget.querySelector(name).textContent;
    const shown = [];
    for (let s = 0; s <= shape.max; s++) {
        set(shape, s, "input");
        for (let o = 0; o <= order.max; o++) {
            set(order, o, "input");
            set(element, (7 * s + 5 * o) % 24, "input");
            for (const option of target.options) {
                set(target, option.value, "change");
                const tables = [...widget.querySelectorAll("table")];
                shown.push([s, o, +element.value, +option.value, text(".llm-status"),
                    text(".llm-address"), text(".llm-after"), tables.map(numbers)]);
            }
        }
    }
    return shown;
}"""


def written(sizes):
    return f"({', '.join(map(str, sizes))})"


def sizes_in(text):
    return [tuple(map(int, m.split(", "))) for m in re.findall(r"\(([\d, ]+)\)", text)]


def expected(shape, order, element, target):
    """What PyTorch says: the reordered tensor, its address, and one more view."""
    x = torch.arange(24).view(shape)
    y = x.permute(order)
    index = [i.item() for i in torch.unravel_index(torch.tensor(element), y.shape)]
    place = sum(i * s for i, s in zip(index, y.stride(), strict=True))
    assert y[tuple(index)] == place
    if target is None:
        return y, index, place, None
    try:
        return y, index, place, y.view(target)
    except RuntimeError:
        return y, index, place, y.reshape(target)


def check_setting(shapes, row):
    s, o, element, t, status, address, after, tables = row
    shape = shapes[s]
    order = list(permutations(range(len(shape))))[o]
    target = None if t < 0 else [[24], *shapes][t]
    y, index, place, last = expected(shape, order, element, target)
    moved = list(order) != sorted(order)
    said = sizes_in(status.partition(" has ")[2])
    assert said[:2] == [tuple(y.shape), y.stride()]
    if moved:
        call = status.partition(" = ")[2].partition(" has ")[0]
        x = torch.arange(24).view(shape)
        assert torch.equal(eval(call, {"x": x}), y)
        elsewhere = (y.flatten() != torch.arange(24)).sum().item()
        assert f"{elsewhere} of its 24 numbers" in status
    assert f"[{', '.join(map(str, index))}]" in address
    assert re.search(r"= (\d+) of the storage", address)[1] == str(place)
    assert int(re.search(r"leads to (\d+)", address)[1]) == element
    assert tables[0] == y.flatten().tolist()
    assert tables[1] == list(range(24))
    if last is None:
        assert after == ""
        assert len(tables) == 2
        return
    assert tables[2] == last.flatten().tolist()
    is_view = last.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    assert ("nothing is copied" in after) is is_view
    assert ("fails" in after) is not is_view
    if is_view:
        assert sizes_in(after) == [tuple(target), last.stride()]
    else:
        assert sizes_in(after) == [tuple(target)] * 2


def test_every_setting_is_what_pytorch_gives(visit, host):
    with visit(SETUP, host) as page:
        widget = page.locator(".llm-shape-slider")
        shapes = state_of(widget)["shapes"]
        rows = widget.evaluate(EVERY_SETTING)
        assert len(rows) == (6 * 2 + 9 * 6 + 4 * 24) * 21
        for row in rows:
            check_setting(shapes, row)


def now(widget, shapes):
    """Read the figure as it stands, by what its controls say in words."""
    words = [
        widget.get_by_role("slider").nth(i).get_attribute("aria-valuetext")
        for i in range(3)
    ]
    [shape] = sizes_in(words[0])
    order = tuple(map(int, words[1].split(", ")))
    return [
        shapes.index(list(shape)),
        list(permutations(range(len(shape)))).index(order),
        int(words[2].split()[0]) - 1,
        int(widget.get_by_role("combobox").input_value()),
        *(
            widget.locator(name).text_content()
            for name in (".llm-status", ".llm-address", ".llm-after")
        ),
        [
            [int(n) for n in table.locator("td").all_text_contents()]
            for table in widget.locator("table").all()
        ],
    ]


@pytest.fixture(params=["http", "disk"])
def figure(request, visit):
    with visit(SETUP, request.param) as page:
        widget = page.locator(".llm-shape-slider")
        yield page, widget, state_of(widget)


def test_it_begins_with_the_split_into_heads(figure):
    _, widget, state = figure
    row = now(widget, state["shapes"])
    check_setting(state["shapes"], row)
    assert "y = x.transpose(0, 1) has the shape (2, 3, 4)" in row[4]


def test_it_follows_the_keyboard(figure):
    _, widget, state = figure
    shapes = state["shapes"]
    for label, key, times in [
        ("Element", "ArrowRight", 3),
        ("Order of axes", "End", 1),
        ("Shape of x", "ArrowRight", 1),
        ("Order of axes", "ArrowRight", 2),
        ("Element", "End", 1),
        ("Shape of x", "End", 1),
        ("Order of axes", "End", 1),
        ("Shape of x", "Home", 1),
    ]:
        before = now(widget, shapes)
        press(slider(widget, label), key, times)
        after = now(widget, shapes)
        assert after != before
        check_setting(shapes, after)
    assert slider(widget, "Order of axes").get_attribute("max") == "1"
    widget.get_by_role("combobox", name="Then view as").select_option("(4, 6)")
    check_setting(shapes, now(widget, shapes))


@pytest.mark.parametrize("label", ["Shape of x", "Order of axes", "Element"])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_it_follows_the_mouse(figure, label, share):
    page, widget, state = figure
    before = now(widget, state["shapes"])
    drag(page, slider(widget, label), share)
    after = now(widget, state["shapes"])
    assert after != before
    check_setting(state["shapes"], after)


def test_a_click_on_a_number_chooses_its_element(figure):
    _, widget, state = figure
    for table, n in ((0, 9), (1, 20)):
        widget.locator("table").nth(table).locator(".llm-number").nth(n).click()
        row = now(widget, state["shapes"])
        assert row[2] == n
        check_setting(state["shapes"], row)


def test_marks_stand_where_the_two_tables_differ(figure):
    _, widget, state = figure
    y, plain, *_ = now(widget, state["shapes"])[7]
    boxes = widget.locator("table").nth(1).locator(".llm-number").all()
    marked = ["llm-elsewhere" in box.get_attribute("class") for box in boxes]
    assert marked == [a != b for a, b in zip(y, plain, strict=True)]
    chosen = widget.locator(".llm-storage .llm-chosen").text_content()
    assert int(chosen) == y[state["element"]]
