"""The explorer's Python half: its costs are the chapter's and the oracle's."""

import html
import math
import re
from collections import Counter

import pytest

from llm_core.course.widgets import NextCharacter
from llm_core.stories import next_characters, sample_stories, sample_story

STORY = sample_story(2, seed=1)
WEIGHT = 3


def count(n):
    followers = {}
    for story in sample_stories(20):
        padded = "\n" * (n - 1) + story.text
        for place, character in enumerate(story.text):
            context = padded[place : place + n - 1]
            followers.setdefault(context, Counter())[character] += 1
    return followers


TABLES = {n: count(n) for n in (1, 2, 3)}
TABLES[1][""].update(STORY.text)  # no character of the story may be unknown
WIDGET = NextCharacter(STORY, TABLES, WEIGHT, order=2, place=7)


def chance(place, order):
    """The chapter's formula, from the tables themselves."""
    if order == 0:
        return 1 / len(TABLES[1][""])
    context = ("\n" * (order - 1) + STORY.text)[place : place + order - 1]
    options = TABLES[order].get(context, Counter())
    above = options[STORY.text[place]] + WEIGHT * chance(place, order - 1)
    return above / (options.total() + WEIGHT)


@pytest.mark.parametrize("order", TABLES)
def test_a_cost_is_that_of_the_chapters_formula(order):
    for place in range(len(STORY.text)):
        expected = -math.log2(chance(place, order))
        assert WIDGET.cost(place, order) == pytest.approx(expected)


def test_the_fallback_states_what_the_story_costs():
    table = html.unescape(WIDGET.fallback())
    cells = re.findall(r"<td>([\d.]+)</td><td>([\d.]+)</td>", table)
    places = range(len(STORY.text))
    expected = [sum(WIDGET.cost(i, n) for i in places) for n in TABLES]
    expected.append(STORY.bits)
    for (bits, rate), total in zip(cells, expected, strict=True):
        assert float(bits) == pytest.approx(total, abs=0.11)
        assert float(rate) == pytest.approx(total / len(STORY.text), abs=0.0051)


def test_the_page_gets_the_oracles_distribution_at_every_place():
    for place in range(0, len(STORY.text), 50):
        characters, *chances = WIDGET.oracle[place]
        exact = next_characters(STORY.text[:place])
        assert list(characters) == list(exact)
        assert chances == pytest.approx(list(exact.values()), rel=1e-4)


def test_every_need_of_a_fact_is_there_with_the_place_where_it_was_told():
    needs = sum(len(fact.needs) for fact in STORY.facts)
    assert len(WIDGET.facts) == needs > 5
    for fact in WIDGET.facts:
        told = STORY.text[fact["told"] :][: fact["told_length"]]
        assert fact["told"] < fact["place"]
        assert re.fullmatch(r"[\w' -]+", told)
        if fact["name"] != "pronoun":
            needed = STORY.text[fact["place"] :][: fact["length"]]
            assert told.lower() == needed.lower()
