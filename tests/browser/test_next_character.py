"""The next-character explorer counts as the chapter does, and asks the oracle."""

import math

import pytest
from browser.hands import drag, press, slider, state_of, visible

from llm_core.stories import next_characters, score_story

COUNTING = "notebooks/01_counting.html"


@pytest.fixture(params=["http", "disk"])
def explorer(request, visit):
    with visit(COUNTING, request.param) as page:
        yield page.locator(".llm-next-character")


def counted(state, place, order):
    """What the counts of all orders up to this one expect, by the chapter's formula."""
    alphabet, weight = state["alphabet"], state["weight"]
    p = dict.fromkeys(alphabet, 1 / len(alphabet))
    for n in range(1, order + 1):
        context = ("\n" * (n - 1) + state["story"])[place : place + n - 1]
        characters, *numbers = state["counts"].get(context, [""])
        seen = dict(zip(characters, numbers, strict=True))
        total = sum(numbers) + weight
        p = {c: (seen.get(c, 0) + weight * p[c]) / total for c in alphabet}
    return p


def percent(text):
    return float(text.replace("%", ""))


def check(widget, place, order):
    """Compare every number that the explorer shows with Python's."""
    state = state_of(widget)
    story = state["story"]
    came = story[place]
    counts, oracle = counted(state, place, order), next_characters(story[:place])
    *rows, others = widget.locator(".llm-pair-bars tbody tr").all()
    sums = [0.0, 0.0]
    names = []
    for row in rows:
        name = row.locator("th span").text_content()
        character = next(c for c in state["alphabet"] if visible(c) == name)
        _, p, _, q = row.locator("td").all_text_contents()
        assert percent(p) == pytest.approx(100 * counts[character], abs=0.051)
        assert percent(q) == pytest.approx(100 * oracle.get(character, 0), abs=0.051)
        assert ("came" in row.locator("th").text_content()) == (character == came)
        sums = [sums[0] + counts[character], sums[1] + oracle.get(character, 0)]
        names.append(character)
    assert came in names
    assert set(sorted(counts, key=counts.get)[-3:]) <= set(names)
    _, p, _, q = others.locator("td").all_text_contents()
    assert percent(p) == pytest.approx(100 * (1 - sums[0]), abs=0.051)
    assert percent(q) == pytest.approx(100 * (1 - sums[1]), abs=0.051)
    status = widget.locator(".llm-status").text_content()
    assert status.startswith(f"“{visible(came)}” came.")
    assert f"{-math.log2(counts[came]):.2f} bits under the counts" in status
    assert f"{abs(math.log2(oracle[came])):.2f} bits under the oracle" in status
    here = widget.locator(".llm-here")
    assert here.get_attribute("data-place") == str(place)
    assert widget.locator(".llm-seen").count() == min(place, order - 1)
    assert f"{place + 1} of {len(story)}" in widget.text_content()


def place_of(widget):
    return int(slider(widget, "Place").input_value())


def test_it_follows_the_keyboard(explorer):
    state = state_of(explorer)
    check(explorer, state["place"], state["order"])
    press(slider(explorer, "Place"), "ArrowRight", 3)
    check(explorer, state["place"] + 3, state["order"])
    press(slider(explorer, "n"), "Home")
    check(explorer, state["place"] + 3, 1)
    press(slider(explorer, "n"), "End")
    check(explorer, state["place"] + 3, state["orders"])
    press(slider(explorer, "Place"), "Home")
    check(explorer, 0, state["orders"])
    assert explorer.get_by_role("button", name="Back").is_disabled()
    press(slider(explorer, "Place"), "End")
    check(explorer, len(state["story"]) - 1, state["orders"])
    assert explorer.get_by_role("button", name="Next", exact=True).is_disabled()


def test_it_follows_the_mouse(explorer):
    page = explorer.page
    drag(page, slider(explorer, "Place"), 0.3)
    drag(page, slider(explorer, "n"), 0.1)
    order = int(slider(explorer, "n").input_value())
    assert order != state_of(explorer)["order"]
    check(explorer, place_of(explorer), order)
    explorer.locator(".llm-story span").nth(40).click()
    check(explorer, 40, order)
    explorer.get_by_role("button", name="Next", exact=True).click()
    check(explorer, 41, order)
    explorer.get_by_role("button", name="Back").click()
    check(explorer, 40, order)


def test_every_fact_can_be_reached_and_is_told_truly(explorer):
    state = state_of(explorer)
    press(slider(explorer, "Place"), "Home")
    for fact in state["facts"]:
        explorer.get_by_role("button", name="Next fact").click()
        check(explorer, fact["place"], state["order"])
        status = explorer.locator(".llm-status").text_content()
        distance = fact["place"] - fact["told"]
        assert f"The {fact['name']} was told {distance} characters before." in status
        told = explorer.locator(".llm-told").all_text_contents()
        start = fact["told"]
        assert "".join(told) == state["story"][start : start + len(told)]
    explorer.get_by_role("button", name="Next fact").click()  # and round again
    check(explorer, state["facts"][0]["place"], state["order"])


def all_costs(state, order):
    story = state["story"]
    counts = [-math.log2(counted(state, i, order)[c]) for i, c in enumerate(story)]
    oracle = [-math.log2(next_characters(story[:i])[c]) for i, c in enumerate(story)]
    return counts, oracle


def test_the_shades_and_the_totals_are_the_costs(explorer):
    state = state_of(explorer)
    story = state["story"]
    for order, shade in ((state["order"], "counts"), (2, "oracle"), (2, "difference")):
        press(slider(explorer, "n"), "Home")
        press(slider(explorer, "n"), "ArrowRight", order - 1)
        explorer.get_by_role("combobox").select_option(value=shade)
        counts, oracle = all_costs(state, order)
        bits = {
            "counts": counts,
            "oracle": oracle,
            "difference": [c - o for c, o in zip(counts, oracle, strict=True)],
        }[shade]
        shown = explorer.locator(".llm-story span").evaluate_all(
            "nodes => nodes.map(n => parseFloat(n.style.getPropertyValue('--share')))"
        )
        expected = [100 * max(0, min(1, each / 8)) for each in bits]
        assert shown == pytest.approx(expected, abs=0.06)
        text = explorer.text_content()
        assert f"costs {sum(counts) / len(story):.3f} bits per character" in text
        assert f"and {score_story(story) / len(story):.3f} under the oracle" in text


def test_its_table_has_the_cost_of_every_character(explorer):
    state = state_of(explorer)
    explorer.locator("summary").click()
    for order in (state["order"], 1):
        counts, oracle = all_costs(state, order)
        rows = explorer.locator("details tbody tr")
        rows.nth(len(state["story"]) - 1).wait_for(state="attached")
        cells = rows.evaluate_all(
            "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        )
        assert [cell[1] for cell in cells] == [visible(c) for c in state["story"]]
        assert [float(c[2]) for c in cells] == pytest.approx(counts, abs=0.006)
        assert [float(c[3]) for c in cells] == pytest.approx(oracle, abs=0.006)
        press(slider(explorer, "n"), "Home")


def test_it_sees_what_the_oracle_sees_and_nothing_is_made_up(explorer):
    state = state_of(explorer)
    for place in (0, 20, 58, 200):
        exact = next_characters(state["story"][:place])
        characters, *chances = state["oracle"][place]
        assert list(characters) == list(exact)
        assert chances == pytest.approx(list(exact.values()), rel=1e-4)
